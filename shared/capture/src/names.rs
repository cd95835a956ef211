//! The names of a capture's files.

use std::fmt;

use jiff::civil::Date;
use tapemill_market::Market;

use crate::dataset::Dataset;

const DAY_US: i64 = 86_400_000_000;

/// How the rows of a capture are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One Parquet file a flush.
    Parquet,
    /// One file of JSON lines a day, appended to.
    Jsonl,
}

impl Format {
    /// The end of a file's name, and the format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The folder of what was flushed on a day, below the output: `orderbook/date=2025-09-22`.
pub fn day_folder(dataset: Dataset, market: Market, day: Date) -> String {
    format!("{}/date={day}", dataset.folder(market))
}

/// The path of one flush below the output, with the time of the flush and eight hexadecimal digits that keep it apart
/// from another flush of the same microsecond: `orderbook/date=2025-09-22/orderbook_20250922T101512123456_0123abcd.parquet`.
///
/// `None` for a time that no calendar has.
pub fn parquet_path(
    dataset: Dataset,
    market: Market,
    flush_us: i64,
    unique: u32,
) -> Option<String> {
    let day = tapemill_market::day_of(flush_us)?;
    let of_day = u64::try_from(flush_us.rem_euclid(DAY_US)).ok()?;
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = day.to_string().replace('-', "");
    let folder = day_folder(dataset, market, day);
    Some(format!(
        "{folder}/{dataset}_{date}T{hours:02}{minutes:02}{seconds:02}{micros:06}_{unique:08x}.parquet"
    ))
}

/// The path of a day's JSON lines below the output: `orderbook/date=2025-09-22/orderbook_20250922.jsonl`.
pub fn jsonl_path(dataset: Dataset, market: Market, day: Date) -> String {
    let date = day.to_string().replace('-', "");
    let folder = day_folder(dataset, market, day);
    format!("{folder}/{dataset}_{date}.jsonl")
}

/// The format of a capture's file, by its name; `None` for a file that is none of the dataset's.
pub fn format_of(dataset: Dataset, file_name: &str) -> Option<Format> {
    let name = file_name.strip_prefix(&dataset.name())?.strip_prefix('_')?;
    let (stem, format) = match name.strip_suffix(".parquet") {
        Some(stem) => (stem, Format::Parquet),
        None => (name.strip_suffix(".jsonl")?, Format::Jsonl),
    };
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let fits = match format {
        Format::Jsonl => digits(stem, 8),
        Format::Parquet => {
            let (time, unique) = stem.split_once('_')?;
            let (date, time) = time.split_once('T')?;
            let is_hex = unique.len() == 8 && unique.bytes().all(|b| b.is_ascii_hexdigit());
            digits(date, 8) && digits(time, 12) && is_hex
        }
    };
    fits.then_some(format)
}

/// When a file was flushed, by its name, in milliseconds: of JSON lines the begin of the day.
pub(crate) fn flush_ms(file_name: &str) -> Option<i64> {
    let stem = file_name.split_once('.')?.0;
    let digits = stem
        .split('_')
        .find(|part| part.starts_with("20") && part.len() >= 8)?;
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i8>().ok();
    let year = digits.get(..4)?.parse().ok()?;
    let day = Date::new(year, number(4, 6)?, number(6, 8)?).ok()?;
    let start_ms = tapemill_market::Period::Day(day).start_us() / 1000;
    let Some(time) = digits.get(9..) else {
        return Some(start_ms);
    };
    let part = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let seconds = part(0, 2)? * 3600 + part(2, 4)? * 60 + part(4, 6)?;
    Some(start_ms + seconds * 1000 + part(6, 9)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_in_the_folder_of_the_day_they_were_flushed_on() {
        let flush_us = 1_758_536_112_123_456;

        let path = parquet_path(Dataset::OrderBook, Market::Um, flush_us, 0x0123_abcd).unwrap();

        assert_eq!(
            path,
            "orderbook/date=2025-09-22/orderbook_20250922T101512123456_0123abcd.parquet"
        );
        let klines = Dataset::Klines("1m".parse().unwrap());
        let day = tapemill_market::day_of(flush_us).unwrap();
        assert_eq!(
            jsonl_path(klines, Market::Cm, day),
            "cm/klines_1m_live/date=2025-09-22/klines_1m_live_20250922.jsonl"
        );
    }

    #[test]
    fn a_name_tells_when_its_file_was_flushed() {
        let time = |name| flush_ms(name);

        assert_eq!(
            time("klines_1m_live_20250922T101512123456_20abcdef.parquet"),
            Some(1_758_536_112_123)
        );
        assert_eq!(time("orderbook_20250922.jsonl"), Some(1_758_499_200_000));
        assert_eq!(time("orderbook_20251322.jsonl"), None);
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        let book = |name| format_of(Dataset::OrderBook, name);

        assert_eq!(
            book("orderbook_20250922T101512123456_0123abcd.parquet"),
            Some(Format::Parquet)
        );
        assert_eq!(book("orderbook_20250922.jsonl"), Some(Format::Jsonl));
        for name in [
            "trades_20250922.jsonl",
            "orderbook_2025.jsonl",
            "orderbook_20250922T101512_0123abcd.parquet",
            ".orderbook_20250922T101512123456_0123abcd.parquet.0123.part",
            "orderbook.parquet",
        ] {
            assert_eq!(book(name), None, "{name}");
        }
    }
}
