//! How tables are laid out as Parquet. Everything here shapes the bytes: a change raises [`crate::CODEC`].
//!
//! Measured on a month of aggregated minutes (44,640 rows, 24 columns: 3 times, 4 counts, 16 doubles, 1 symbol; exact sums
//! of 10 million trades), one thread, medians of nine. CPU to write in ms / file in MB:
//!
//! | integers, doubles            | zstd 1     | zstd 3     | zstd 6      | zstd 9      |
//! | ---------------------------- | ---------- | ---------- | ----------- | ----------- |
//! | dictionary (the default)     | 43 / 6.22  | 58 / 5.41  |  89 / 5.25  | 111 / 5.24  |
//! | plain, plain                 | 19 / 4.88  | 41 / 4.17  | 103 / 4.11  | 150 / 4.00  |
//! | delta, plain (**ours**)      | 17 / 4.33  | 33 / 3.89  |  80 / 3.82  | 110 / 3.72  |
//! | plain, byte stream split     | 17 / 5.19  | 26 / 4.88  |  68 / 4.90  |  93 / 4.88  |
//! | delta, byte stream split     | 15 / 4.65  | 23 / 4.61  |  51 / 4.61  |  57 / 4.60  |
//!
//! Byte stream split costs least and loses half of what zstd finds in quantities and prices: they are decimals that
//! repeat as whole values. zstd 3 buys a tenth of the size for the double of the time.
//!
//! Row groups (delta, plain, zstd 1, one page per group): CPU ms to write, MB, CPU ms to read the month, and CPU ms of a
//! query for one day with each reader. pyarrow and pandas skip by the statistics of row groups only; polars and DuckDB
//! use pages too.
//!
//! | rows             | write | MB   | read | pyarrow | pandas | polars | DuckDB |
//! | ---------------- | ----- | ---- | ---- | ------- | ------ | ------ | ------ |
//! |  1,440 (day)     | 44    | 4.37 | 18   | 3.4     | 3.7    | 1.9    | 3.6    |
//! |  4,320           | 19    | 4.43 | 10   | 2.8     | 3.0    | 1.9    | 2.4    |
//! | 10,080 (**week**)| 15    | 4.38 |  7   | 3.3     | 4.3    | 2.5    | 2.2    |
//! | 44,640 (month)   | 15    | 4.33 |  5   | 8.2     | 8.9    | 3.6    | 2.1    |
//!
//! Pages of one day inside the week's group cost 6 ms more to write, 1.9 ms more in pyarrow, and save polars 0.8 ms.

use arrow_schema::{DataType, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Rows of a row group in tables of bars: a week of minutes.
pub const BAR_GROUP_ROWS: usize = 10_080;
/// Rows of a row group in tables of events.
pub(crate) const EVENT_GROUP_ROWS: usize = 131_072;
/// The most rows of a page, which is also what a writer gathers before it encodes.
pub(crate) const PAGE_ROWS: usize = 16_384;

const ZSTD_LEVEL: i32 = 1;
/// Names the writer and the codec, never the release: releases of one codec write the same bytes.
const CREATED_BY: &str = "tapemill version 1.0.0 (build codec-1)";
/// No size cuts a page before its rows do, so that pages do not depend on estimates.
const NO_LIMIT: usize = usize::MAX;

pub(crate) fn properties(
    schema: &Schema,
    sort_by: &[usize],
    group_rows: usize,
) -> Result<WriterProperties, ParquetError> {
    let sorting = sort_by.iter().map(|&column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: false,
    });
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(false)
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_data_page_size_limit(NO_LIMIT)
        .set_sorting_columns(Some(sorting.collect()));
    for field in schema.fields() {
        let encoding = match field.data_type() {
            DataType::Dictionary(..) | DataType::Utf8 | DataType::Boolean => continue,
            DataType::Float64 => Encoding::PLAIN,
            _ => Encoding::DELTA_BINARY_PACKED,
        };
        let column = ColumnPath::new(vec![field.name().clone()]);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_named_by_its_codec() {
        let codec = format!("codec-{})", crate::CODEC);

        assert!(CREATED_BY.ends_with(&codec), "{CREATED_BY}");
    }
}
