//! One day of some symbols, in one pass over its captures.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_schema::Schema;
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tapemill_book::{Counts, DepthRow, Grid, HftEvents, Replay};
use tapemill_capture::{CaptureFile, Dataset, Wanted, day_folder, depth_rows};
use tapemill_lake::{Footer, Lake, LakeError, Source, StagedTable, TablePath, TableWriter};
use tapemill_market::Symbol;

use super::sources::{AROUND_MS, go_on, of_day, range_ms};
use super::{BookDay, Books, BooksError, hft, table};

/// Rows that are gathered before they go to the writer.
const ROWS_AT_ONCE: usize = 1024;

/// One symbol's book on its way through the day.
struct Build {
    symbol: Symbol,
    replay: Replay,
    listeners: (Grid, Option<HftEvents>),
    /// Begun with the first rows.
    writer: Option<TableWriter>,
    times_ms: Option<(i64, i64)>,
    /// Rows of the captures, by the day of their folder.
    read: BTreeMap<Date, u64>,
    stage: Stage,
    /// Whether any row is of the day.
    has_day: bool,
    /// Counts of the replay when the day began, and when it ended.
    began: Counts,
    ended: Counts,
}

/// Where a symbol's rows are.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// On the way to the day.
    Before,
    Inside,
    /// Rows behind the day are read for the snapshots among them.
    Behind,
    /// No row counts any more.
    Past,
}

/// Makes a day; those symbols of which there was no row are left out.
pub(super) fn make(
    books: &Books,
    day: Date,
    symbols: &[Symbol],
) -> Result<Vec<BookDay>, BooksError> {
    let lake = &books.output.lake;
    let files = of_day(lake, books.market, day, symbols)?;
    let range = range_ms(day);
    let schema = Arc::new(table::schema(books.levels));
    let wanted = Wanted::new(symbols);
    let mut builds: Vec<_> = symbols
        .iter()
        .map(|symbol| Build::new(books, day, symbol))
        .collect();
    let mut left = builds.len();
    let mut failed = None;
    let mut hashes = Hashes::default();
    for file in &files {
        hashes.add(lake, file)?;
        let done = depth_rows(lake, file, books.market, &wanted, &mut |at, row| {
            let build = &mut builds[at];
            if build.stage == Stage::Past {
                return ControlFlow::Continue(());
            }
            build.take(&range, file.day, row);
            if build.stage == Stage::Past {
                left -= 1;
                return go_on(left);
            }
            match build.write(books, day, &schema, ROWS_AT_ONCE) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if done.is_break() {
            break;
        }
    }
    let mut made = Vec::new();
    for build in builds {
        // A symbol that only had rows on other days is not of this one.
        if build.stage != Stage::Before && build.has_day {
            made.push(build.finish(books, day, &schema, &hashes)?);
        }
    }
    hft::write(books, day, &mut made)?;
    Ok(made.into_iter().map(|(made, _)| made).collect())
}

impl Build {
    fn new(books: &Books, day: Date, symbol: &Symbol) -> Self {
        let range = range_ms(day);
        let events = books
            .hftbacktest
            .as_ref()
            .map(|_| HftEvents::new(range.clone()));
        Self {
            symbol: symbol.clone(),
            replay: Replay::new(books.market),
            listeners: (Grid::new(books.levels, books.step_ms, range), events),
            writer: None,
            times_ms: None,
            read: BTreeMap::new(),
            stage: Stage::Before,
            has_day: false,
            began: Counts::default(),
            ended: Counts::default(),
        }
    }

    fn take(&mut self, range: &Range<i64>, folder: Date, row: &DepthRow<'_>) {
        // A snapshot's time may be of the local clock.
        if !row.is_snapshot {
            self.move_on(range, row.ids.event_ms);
        }
        if self.stage != Stage::Past {
            *self.read.entry(folder).or_default() += 1;
            self.replay.row(row, &mut self.listeners);
        }
    }

    fn move_on(&mut self, range: &Range<i64>, event_ms: i64) {
        self.has_day |= range.contains(&event_ms);
        if self.stage == Stage::Before && event_ms >= range.start {
            self.stage = Stage::Inside;
            self.began = self.replay.counts();
        }
        if self.stage == Stage::Inside && event_ms >= range.end {
            self.stage = Stage::Behind;
            self.ended = self.replay.counts();
        }
        if self.stage == Stage::Behind && event_ms >= range.end + AROUND_MS {
            self.stage = Stage::Past;
        }
    }

    /// Hands rows to the writer once there are so many.
    fn write(
        &mut self,
        books: &Books,
        day: Date,
        schema: &Arc<Schema>,
        at_least: usize,
    ) -> Result<(), LakeError> {
        let series = self.listeners.0.series();
        let (Some(first), Some(last)) = (series.times_ms.first(), series.times_ms.last()) else {
            return Ok(());
        };
        if series.times_ms.len() < at_least {
            return Ok(());
        }
        self.times_ms = Some((self.times_ms.map_or(*first, |times| times.0), *last));
        let batch = table::batch(schema, self.symbol.as_str(), series);
        if self.writer.is_none() {
            let path = table_path(books, &self.symbol, day)?.path(books.output.layout)?;
            let writer = TableWriter::create(&books.output.lake, &path, schema, &table::options())?;
            self.writer = Some(writer);
        }
        match &mut self.writer {
            Some(writer) => writer.write(&batch),
            None => Ok(()),
        }
    }

    fn finish(
        mut self,
        books: &Books,
        day: Date,
        schema: &Arc<Schema>,
        hashes: &Hashes,
    ) -> Result<(BookDay, Option<HftEvents>), LakeError> {
        if let Some(book) = self.replay.book() {
            self.listeners.0.finish(book);
        }
        self.write(books, day, schema, 1)?;
        if self.stage == Stage::Inside {
            self.ended = self.replay.counts();
        }
        let mut made = BookDay {
            symbol: self.symbol,
            day,
            table: None,
            rows: 0,
            times_ms: self.times_ms,
            counts: self.ended.since(self.began),
            hftbacktest: None,
        };
        if let Some(writer) = self.writer {
            made.rows = writer.rows();
            let footer = Footer {
                settings: Map::from_iter([
                    ("levels".to_owned(), books.levels.into()),
                    ("step_ms".to_owned(), books.step_ms.into()),
                ]),
                sources: hashes.sources(books, &self.read),
                quality: quality(&made),
            };
            let staged: StagedTable = writer.finish(footer)?;
            made.table = Some(staged.publish()?.path);
        }
        Ok((made, self.listeners.1))
    }
}

/// Where a table lies.
pub(super) fn table_path(
    books: &Books,
    symbol: &Symbol,
    day: Date,
) -> Result<TablePath, LakeError> {
    TablePath::new(
        &books.table(),
        books.market.as_str(),
        symbol.as_str(),
        &day.to_string(),
    )
}

fn quality(made: &BookDay) -> Value {
    json!({
        "rows": made.rows,
        "updates": made.counts.applied,
        "holes": made.counts.holes,
        "ignored": made.counts.ignored,
        "resyncs": made.counts.anchored,
        "snapshots": made.counts.renewed,
        "snapshots_differing": made.counts.differing,
    })
}

/// What was read, by the day of its folder: thousands of small files are one source.
#[derive(Default)]
struct Hashes {
    folders: BTreeMap<Date, (Sha256, u64)>,
}

impl Hashes {
    fn add(&mut self, lake: &Lake, file: &CaptureFile) -> Result<(), LakeError> {
        let (hash, size) = self.folders.entry(file.day).or_default();
        let mut bytes = lake.bytes_of(&file.path)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = bytes.read(&mut buffer);
            let length = read.map_err(|error| lake.damaged(&file.path, &error))?;
            if length == 0 {
                return Ok(());
            }
            hash.update(&buffer[..length]);
            *size += length as u64;
        }
    }

    fn sources(&self, books: &Books, read: &BTreeMap<Date, u64>) -> Vec<Source> {
        let source = |(day, rows): (&Date, &u64)| {
            let (hash, bytes) = self.folders.get(day)?;
            let digest = hash.clone().finalize();
            Some(Source {
                key: day_folder(Dataset::OrderBook, books.market, *day),
                bytes: *bytes,
                sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
                rows: *rows,
            })
        };
        read.iter().filter_map(source).collect()
    }
}
