//! What captures there are, and where the reading of a day begins and ends.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use jiff::civil::Date;
use tapemill_capture::{CaptureFile, Dataset, Format, files};
use tapemill_lake::{Lake, LakeError};
use tapemill_market::{Market, Period, Symbol};

/// How far the local clock, and so a file's folder, may be from the time of its events; and how long after a day's end a
/// snapshot may still come that its last updates waited for.
pub(super) const AROUND_MS: i64 = 600_000;

/// How long before a snapshot's file its updates may stand.
const BEFORE_SNAPSHOT_MS: i64 = 120_000;

/// The days of the folders of captured order books, in order.
pub(super) fn days(lake: &Lake, market: Market) -> Result<BTreeSet<Date>, LakeError> {
    let mut days = BTreeSet::new();
    for (path, _) in lake.captures(&Dataset::OrderBook.folder(market))? {
        let day = path
            .as_str()
            .rsplit('/')
            .nth(1)
            .and_then(|folder| folder.strip_prefix("date="));
        days.extend(day.and_then(|day| day.parse::<Date>().ok()));
    }
    Ok(days)
}

/// The symbols that captures of these days name, in order.
pub(super) fn symbols(
    lake: &Lake,
    market: Market,
    days: &[Date],
) -> Result<Vec<Symbol>, LakeError> {
    let mut names = BTreeSet::new();
    for file in files(lake, Dataset::OrderBook, market, around(days))? {
        match &file.coverage {
            Some(coverage) => {
                let streams = coverage.coverage.keys();
                let names_of = streams.filter_map(|stream| stream.split('@').next());
                names.extend(names_of.map(str::to_uppercase));
            }
            None => tapemill_capture::symbols(lake, &file, &mut names)?,
        }
    }
    Ok(names
        .iter()
        .filter_map(|name| Symbol::exact(name).ok())
        .collect())
}

fn around(days: &[Date]) -> BTreeSet<Date> {
    let beside = |day: &Date| [day.yesterday().ok(), Some(*day), day.tomorrow().ok()];
    days.iter().flat_map(beside).flatten().collect()
}

/// The times of a day in milliseconds.
pub(super) fn range_ms(day: Date) -> Range<i64> {
    let day = Period::Day(day);
    day.start_us() / 1000..day.end_us() / 1000
}

/// The files that a day of these symbols is made of, in the order of their rows.
pub(super) fn of_day(
    lake: &Lake,
    market: Market,
    day: Date,
    symbols: &[Symbol],
) -> Result<Vec<CaptureFile>, LakeError> {
    let mut files = files(lake, Dataset::OrderBook, market, around(&[day]))?;
    let range = range_ms(day);
    let begin = begin(&files, day, symbols);
    files.drain(..begin);
    let is_behind = |file: &CaptureFile| {
        file.format == Format::Parquet
            && file
                .first_ms()
                .is_some_and(|first| first >= range.end + AROUND_MS)
    };
    files.retain(|file| !is_behind(file));
    Ok(files)
}

/// Where the reading begins: some minutes before the last snapshot of the symbol whose is the oldest, of those that were
/// well before midnight. Footers tell; a file without one may hold any, so then all of the day before is read.
fn begin(files: &[CaptureFile], day: Date, symbols: &[Symbol]) -> usize {
    let start_ms = range_ms(day).start;
    let first_ms = |file: &CaptureFile| file.first_ms().unwrap_or(i64::MIN);
    let before = files.partition_point(|file| first_ms(file) < start_ms - BEFORE_SNAPSHOT_MS);
    let tells_none = |file: &CaptureFile| file.coverage.is_none();
    let tells_snapshots = |file: &CaptureFile| {
        let coverage = file.coverage.iter();
        let mut streams = coverage.flat_map(|coverage| coverage.coverage.keys());
        streams.any(|stream| stream.ends_with("@snapshot"))
    };
    if files[..before].iter().any(tells_none) || !files[..before].iter().any(tells_snapshots) {
        return 0;
    }
    let last_snapshot = |symbol: &Symbol| {
        let held = |file: &CaptureFile| file.may_hold_snapshot(symbol.as_str());
        files[..before].iter().rposition(held)
    };
    let oldest = symbols
        .iter()
        .filter_map(last_snapshot)
        .min()
        .unwrap_or(before);
    let Some(from_ms) = files
        .get(oldest)
        .map(|file| first_ms(file) - BEFORE_SNAPSHOT_MS)
    else {
        return oldest;
    };
    files
        .partition_point(|file| first_ms(file) < from_ms)
        .min(oldest)
}

/// What ends the reading of a file: every symbol has gone past the day.
pub(super) fn go_on(left: usize) -> ControlFlow<()> {
    if left == 0 {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
