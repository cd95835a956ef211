//! One file of all rows, as training code of the older collector reads it: `timestamp` as whole milliseconds first, then
//! `symbol` and the numbers. Symbols follow one another, each in the order of time.

use std::io::{self, BufWriter};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tapemill_lake::{LakeError, Part, TableReader};

use super::{BookDay, Books, BooksError, OneFile, table};

/// Rows of a row group.
const GROUP_ROWS: usize = 65_536;

/// Writes the file from the tables that were just made.
pub(super) fn write(books: &Books, file: &OneFile, made: &[BookDay]) -> Result<(), BooksError> {
    let part = Part::create(&file.folder, &file.path)?;
    let shown = part.shown().to_path_buf();
    let failed = |error: ParquetError| LakeError::io("write", &shown, io::Error::other(error));
    let schema = Arc::new(schema(books.levels));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let destination = BufWriter::with_capacity(1 << 20, part);
    let mut writer =
        ArrowWriter::try_new(destination, schema.clone(), Some(properties)).map_err(failed)?;
    for day in made {
        let Some(path) = &day.table else {
            continue;
        };
        for batch in TableReader::open(&books.output.lake, path)? {
            let batch = of_table(&schema, day.symbol.as_str(), &batch?);
            writer.write(&batch).map_err(failed)?;
        }
    }
    let written = writer.into_inner().map_err(failed)?;
    let part = written
        .into_inner()
        .map_err(|error| LakeError::io("write", &shown, error.into_error()))?;
    part.stage()?.publish()?;
    Ok(())
}

fn schema(levels: usize) -> Schema {
    let head = [
        Field::new("timestamp", DataType::Int64, true),
        Field::new("symbol", DataType::Utf8, true),
    ];
    let numbers = table::number_fields(levels).map(|field| field.with_nullable(true));
    Schema::new(head.into_iter().chain(numbers).collect::<Fields>())
}

fn of_table(schema: &Arc<Schema>, symbol: &str, batch: &RecordBatch) -> RecordBatch {
    let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let times = times.values().iter().map(|us| us / 1000);
    let symbols = std::iter::repeat_n(symbol, batch.num_rows());
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(times)),
        Arc::new(StringArray::from_iter_values(symbols)),
    ];
    columns.extend(batch.columns().iter().skip(2).cloned());
    RecordBatch::try_new(schema.clone(), columns).expect("the table was made with these columns")
}
