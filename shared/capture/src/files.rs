//! Which files hold the rows of a day, and in which order they are read.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tapemill_lake::{Lake, LakePath, Result};
use tapemill_market::Market;

use crate::coverage::{COVERAGE_KEY, Coverage};
use crate::dataset::Dataset;
use crate::names::{Format, day_folder, flush_ms, format_of};

/// One file of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureFile {
    /// Where it lies.
    pub path: LakePath,
    /// Its size.
    pub bytes: u64,
    /// How its rows are stored.
    pub format: Format,
    /// The day of its folder: that of the flush.
    pub day: Date,
    /// What its footer says; `None` for JSON lines, and for files of another collector.
    pub coverage: Option<Coverage>,
}

impl CaptureFile {
    /// Whether it may hold a snapshot of this symbol's book: only a footer says that it does not.
    pub fn may_hold_snapshot(&self, symbol: &str) -> bool {
        self.coverage.as_ref().is_none_or(|coverage| {
            let stream = snapshot_stream(symbol);
            coverage.coverage.contains_key(&stream)
        })
    }

    /// The time of its first row in milliseconds: the exchange's, as the footer has it, else that of the flush.
    pub fn first_ms(&self) -> Option<i64> {
        self.first_event_ms()
            .or_else(|| flush_ms(self.path.file_name()))
    }

    fn first_event_ms(&self) -> Option<i64> {
        let spans = self.coverage.as_ref()?.coverage.iter();
        // A snapshot's time may be of the local clock.
        let events = spans.filter(|(stream, _)| !stream.ends_with(SNAPSHOT_STREAM));
        events.map(|(_, span)| span.first_ms).min()
    }
}

const SNAPSHOT_STREAM: &str = "@snapshot";

/// What follows a stream's name where its rows were asked for.
pub const FILLED: &str = "@filled";

/// The name under which a footer tells of a symbol's snapshots.
pub fn snapshot_stream(symbol: &str) -> String {
    format!("{}{SNAPSHOT_STREAM}", symbol.to_lowercase())
}

/// The names under which a footer tells of a symbol's aggregated trades: those that came, and those that were asked for
/// where they had not.
pub fn trade_streams(symbol: &str) -> [String; 2] {
    let stream = format!("{}@aggTrade", symbol.to_lowercase());
    let filled = format!("{stream}{FILLED}");
    [stream, filled]
}

/// The files of a dataset that were flushed on these days, in the order their rows came.
///
/// The files of a session follow each other as it counts them. Sessions are merged by the exchange's time of each file's
/// first event: one may have begun before another and taken over its symbols later. The local clock, which names the files,
/// counts only where there is no footer.
///
/// # Errors
///
/// As [`Lake::captures`] and [`Lake::open_capture`]; a footer that is not to be read makes the file damaged.
pub fn files(
    lake: &Lake,
    dataset: Dataset,
    market: Market,
    days: impl IntoIterator<Item = Date>,
) -> Result<Vec<CaptureFile>> {
    let mut found = Vec::new();
    for day in days {
        for (path, bytes) in lake.captures(&day_folder(dataset, market, day))? {
            let Some(format) = format_of(dataset, path.file_name()) else {
                continue;
            };
            let coverage = match format {
                Format::Jsonl => None,
                Format::Parquet => coverage(lake, &path)?,
            };
            found.push(CaptureFile {
                path,
                bytes,
                format,
                day,
                coverage,
            });
        }
    }
    Ok(in_order(found))
}

/// What a file's footer says.
pub(crate) fn coverage(lake: &Lake, path: &LakePath) -> Result<Option<Coverage>> {
    let capture = lake.open_capture(path)?;
    let read = capture.key(COVERAGE_KEY).map(serde_json::from_str);
    read.transpose()
        .map_err(|error| lake.damaged(path, &format!("{COVERAGE_KEY}: {error}")))
}

fn in_order(files: Vec<CaptureFile>) -> Vec<CaptureFile> {
    let mut sessions: BTreeMap<Option<String>, Vec<CaptureFile>> = BTreeMap::new();
    for file in files {
        let session = file
            .coverage
            .as_ref()
            .map(|coverage| coverage.session.clone());
        sessions.entry(session).or_default().push(file);
    }
    let mut keyed = Vec::new();
    for (_, mut files) in sessions {
        files.sort_by(|one, other| {
            let sequence = |file: &CaptureFile| file.coverage.as_ref().map(|of| of.sequence);
            let key = |file: &CaptureFile| (sequence(file), flush_ms(file.path.file_name()));
            (key(one), &one.path).cmp(&(key(other), &other.path))
        });
        let mut time_ms = i64::MIN;
        for file in files {
            let first = file.first_ms();
            time_ms = first.map_or(time_ms, |first| first.max(time_ms));
            keyed.push((time_ms, file));
        }
    }
    // Files of one time stay in the order of their session.
    keyed.sort_by_key(|(time_ms, _)| *time_ms);
    keyed.into_iter().map(|(_, file)| file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Span;

    fn file(name: &str, coverage: Option<(&str, u64, i64)>) -> CaptureFile {
        let coverage = coverage.map(|(session, sequence, first_ms)| Coverage {
            session: session.to_owned(),
            sequence,
            market: "um".to_owned(),
            coverage: BTreeMap::from([
                ("btcusdt@depth@100ms".to_owned(), Span::of(1, first_ms)),
                ("btcusdt@snapshot".to_owned(), Span::of(1, 5)),
            ]),
        });
        CaptureFile {
            path: LakePath::parse(&format!("orderbook/date=2025-09-22/{name}")).unwrap(),
            bytes: 1,
            format: Format::Parquet,
            day: jiff::civil::date(2025, 9, 22),
            coverage,
        }
    }

    #[test]
    fn a_clock_that_jumped_back_changes_no_order() {
        let first = file(
            "orderbook_20250922T101512123456_0123abcd.parquet",
            Some(("a", 0, 1000)),
        );
        let second = file(
            "orderbook_20250922T091512123456_0123abcd.parquet",
            Some(("a", 1, 2000)),
        );

        let ordered = in_order(vec![second.clone(), first.clone()]);

        assert_eq!(ordered, [first, second]);
    }

    #[test]
    fn sessions_are_merged_by_the_exchanges_time() {
        let files: Vec<_> = [
            ("b", 7, 1000),
            ("a", 0, 2000),
            ("a", 1, 2500),
            ("b", 8, 3000),
        ]
        .into_iter()
        .map(|coverage| {
            file(
                "orderbook_20250922T101512123456_0123abcd.parquet",
                Some(coverage),
            )
        })
        .collect();
        let mut mixed = files.clone();
        mixed.reverse();

        assert_eq!(in_order(mixed), files);
    }

    #[test]
    fn without_footers_the_time_of_the_flush_counts() {
        let first = file("orderbook_20250922T091512123456_ffffffff.parquet", None);
        let second = file("orderbook_20250922T101512123456_0123abcd.parquet", None);

        assert_eq!(
            in_order(vec![second.clone(), first.clone()]),
            [first.clone(), second]
        );
        assert!(first.may_hold_snapshot("BTCUSDT"));
    }
}
