//! What the archive has, as the last scan found it: one table and some reports, all for people.
//!
//! They lie under `_symbols`, which is no dataset. Nothing reads them to decide what is right; the next scan reads the
//! table to ask for less.

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::columns::{numbers, numbers_of, texts, texts_of, time, times, times_of, word, words};
use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::lineage::Footer;
use crate::paths::LakePath;
use crate::publish::Part;
use crate::reader::read_table;
use crate::writer::{TableOptions, TableWriter};

const FOLDER: &str = "_symbols";
const TABLE: &str = "availability.parquet";

/// A series that has nothing newer than this many days has ended.
const RECENT_DAYS: i32 = 5;

/// Rows of a row group.
const GROUP_ROWS: usize = 131_072;

/// All archives of one symbol, dataset and interval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// um, cm or spot.
    pub market: String,
    /// The archive's folder, such as `klines`.
    pub dataset: String,
    /// The symbol.
    pub symbol: String,
    /// The interval of candles; empty for everything else.
    pub interval: String,
    /// The first day; a month counts from its first.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// How many archives: months, and the days of months that have none.
    pub archives: u64,
    /// Their size.
    pub bytes: u64,
    /// Months and days between the first and the last that have no archive.
    pub holes: Vec<String>,
    /// The day the listing was asked.
    pub asked: Date,
}

impl Series {
    /// Whether it is still being continued: the archive is a day late, or a few.
    pub fn is_recent(&self, today: Date) -> bool {
        self.last > today.saturating_sub(jiff::Span::new().days(RECENT_DAYS))
    }
}

impl Lake {
    /// What the last scan found, in order; nothing when there was none, or none of this release.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a file that cannot be read; what the store says for a bucket.
    pub fn availability(&self) -> Result<Vec<Series>> {
        let batches = match read_table(self, &place(TABLE)?) {
            Ok(batches) => batches,
            Err(error) if error.is_absent() || error.is_file() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let found: Option<Vec<_>> = batches.iter().map(series_of).collect();
        Ok(found.unwrap_or_default().concat())
    }

    /// Publishes what a scan found, in order.
    ///
    /// # Errors
    ///
    /// As [`TableWriter::write`] and [`crate::Staged::publish`].
    pub fn publish_availability(&self, series: &[Series]) -> Result<LakePath> {
        let options = TableOptions {
            sort_by: Vec::new(),
            unique: false,
            row_group_rows: GROUP_ROWS,
        };
        let mut writer = TableWriter::create(self, &place(TABLE)?, &schema(), &options)?;
        writer.write(&batch(series))?;
        Ok(writer.finish(Footer::default())?.publish()?.path)
    }

    /// Publishes a report beside the table.
    ///
    /// # Errors
    ///
    /// As [`Part::append`] and [`crate::Staged::publish`].
    pub fn publish_report(&self, name: &str, text: &str) -> Result<LakePath> {
        let mut part = Part::create(self, &place(name)?)?;
        let shown = part.shown().to_path_buf();
        part.write_all(text.as_bytes())
            .map_err(|error| LakeError::io("write", &shown, error))?;
        Ok(part.stage()?.publish()?.path)
    }
}

fn place(name: &str) -> Result<LakePath> {
    LakePath::parse(&format!("{FOLDER}/{name}"))
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("market", word(), false),
        Field::new("dataset", word(), false),
        Field::new("symbol", word(), false),
        Field::new("interval", word(), true),
        Field::new("first", time(), false),
        Field::new("last", time(), false),
        Field::new("archives", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("holes", DataType::Int64, false),
        Field::new("missing", DataType::Utf8, true),
        Field::new("asked", time(), false),
    ])
}

fn batch(series: &[Series]) -> RecordBatch {
    let missing: Vec<String> = series.iter().map(|series| series.holes.join(",")).collect();
    let filled = |text: &'_ str| !text.is_empty();
    let columns = vec![
        words(series.iter().map(|series| Some(series.market.as_str()))),
        words(series.iter().map(|series| Some(series.dataset.as_str()))),
        words(series.iter().map(|series| Some(series.symbol.as_str()))),
        words(
            series
                .iter()
                .map(|series| Some(series.interval.as_str()).filter(|text| filled(text))),
        ),
        times(series.iter().map(|series| midnight_us(series.first))),
        times(series.iter().map(|series| midnight_us(series.last))),
        numbers(series.iter().map(|series| Some(series.archives))),
        numbers(series.iter().map(|series| Some(series.bytes))),
        numbers(series.iter().map(|series| Some(series.holes.len() as u64))),
        texts(
            missing
                .iter()
                .map(|text| Some(text.as_str()).filter(|text| filled(text))),
        ),
        times(series.iter().map(|series| midnight_us(series.asked))),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns).expect("columns are made to the schema")
}

/// `None` for a batch of other columns.
fn series_of(batch: &RecordBatch) -> Option<Vec<Series>> {
    let text = |name: &str| texts_of(batch.column_by_name(name)?);
    let number = |name: &str| numbers_of(batch.column_by_name(name)?);
    let day = |name: &str| times_of(batch.column_by_name(name)?);
    let (markets, datasets, symbols) = (text("market")?, text("dataset")?, text("symbol")?);
    let (intervals, missing) = (text("interval")?, text("missing")?);
    let (firsts, lasts, asked) = (day("first")?, day("last")?, day("asked")?);
    let (archives, bytes) = (number("archives")?, number("bytes")?);
    (0..batch.num_rows())
        .map(|at| {
            let holes = missing[at].as_deref().unwrap_or_default();
            Some(Series {
                market: markets[at].clone()?,
                dataset: datasets[at].clone()?,
                symbol: symbols[at].clone()?,
                interval: intervals[at].clone().unwrap_or_default(),
                first: date_of(firsts[at]?)?,
                last: date_of(lasts[at]?)?,
                archives: archives[at]?,
                bytes: bytes[at]?,
                holes: holes
                    .split(',')
                    .filter(|hole| !hole.is_empty())
                    .map(str::to_owned)
                    .collect(),
                asked: date_of(asked[at]?)?,
            })
        })
        .collect()
}

fn midnight_us(date: Date) -> i64 {
    let midnight = date
        .to_zoned(TimeZone::UTC)
        .expect("a date has a midnight in UTC");
    midnight.timestamp().as_microsecond()
}

fn date_of(time_us: i64) -> Option<Date> {
    let time = jiff::Timestamp::from_microsecond(time_us).ok()?;
    Some(time.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        assert_eq!(lake.availability().unwrap(), []);
        let series = |symbol: &str, interval: &str, holes: &[&str]| Series {
            market: "um".to_owned(),
            dataset: "klines".to_owned(),
            symbol: symbol.to_owned(),
            interval: interval.to_owned(),
            first: "2019-12-31".parse().unwrap(),
            last: "2024-06-14".parse().unwrap(),
            archives: 55,
            bytes: 1 << 40,
            holes: holes.iter().map(|hole| (*hole).to_owned()).collect(),
            asked: "2024-06-15".parse().unwrap(),
        };
        let all = [
            series("BTCUSDT", "1d", &["2022-02", "2022-04-01"]),
            series("ETHUSDT", "", &[]),
        ];

        lake.publish_availability(&all).unwrap();
        lake.publish_report("um_earliest_dates.csv", "market,symbol\n")
            .unwrap();

        assert_eq!(lake.availability().unwrap(), all);
        let text = std::fs::read_to_string(folder.path().join("_symbols/um_earliest_dates.csv"));
        assert_eq!(text.unwrap(), "market,symbol\n");
        assert!(lake.tables().unwrap().is_empty(), "they are no datasets");
    }
}
