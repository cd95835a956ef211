//! A day's captured trades as lines of the archive's CSV, and the proof that none of them is missing.

use std::fmt::{self, Write};
use std::ops::{ControlFlow, Range};

use jiff::civil::Date;
use tapemill_lake::{Lake, Result};
use tapemill_market::{Market, Period, Symbol};

use crate::coverage::{Coverage, Span};
use crate::dataset::Dataset;
use crate::files::{CaptureFile, coverage, trade_streams};
use crate::names::{Format, day_folder, format_of};
use crate::reader::{AggTradeRow, agg_trade_ids, agg_trade_rows};

/// Ids of one stretch: their rows are in memory together, 15 MB of them.
const STRETCH: i64 = 1 << 18;

/// Lines that are given at a time, about.
const CHUNK_BYTES: usize = 1 << 16;

/// Longer after its trade no message is sent: where it is counted on, rows are told by the times of their messages.
const LATE_MS: i64 = 60_000;

/// What a double holds of any decimal.
const EXACT_DIGITS: usize = 15;

/// What captures have of the aggregated trades of a symbol and a day.
///
/// A trade is of the day by the time of the trade, wherever its row was flushed. Ids go up with time; what does not fit that
/// is no proof.
#[derive(Debug)]
pub struct CapturedDay {
    symbol: Symbol,
    /// The day, up to where it had come.
    time_ms: Range<i64>,
    /// Those that hold rows of the day, each with its lowest and highest id of it.
    files: Vec<(CaptureFile, i64, i64)>,
    first_id: i64,
    last_id: i64,
    /// The first trade behind the day's last.
    after: Option<i64>,
}

/// Why captured trades prove no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No trade with this id is there.
    Missing(i64),
    /// Two files tell otherwise of this one.
    Disputed(i64),
    /// This one was written with more digits than a double holds.
    Inexact(i64),
    /// This one is of another time than those around it.
    Misplaced(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id) => write!(f, "trade {id} was not captured"),
            Self::Disputed(id) => write!(f, "trade {id} was captured twice, and differs"),
            Self::Misplaced(id) => write!(f, "trade {id} is not of the time of those around it"),
            Self::Inexact(id) => write!(f, "trade {id} has more than {EXACT_DIGITS} digits"),
        }
    }
}

/// How far the lines went that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Lines.
    pub rows: u64,
    /// The id of the last.
    pub last_id: i64,
    /// Its time in milliseconds.
    pub last_ms: i64,
    /// What ended them before the end; none where they are all.
    pub fault: Option<Fault>,
}

impl CapturedDay {
    /// Looks for the trades of a day that were before a time in milliseconds; `None` where none is there, or nothing proves
    /// that the first one is the day's first. That does a captured trade before it; or `last_before`, the last id of the
    /// day before, as someone else knows it.
    ///
    /// # Errors
    ///
    /// As [`crate::files`] and [`agg_trade_rows`].
    pub fn find(
        lake: &Lake,
        market: Market,
        symbol: &Symbol,
        day: Date,
        until_ms: i64,
        last_before: Option<i64>,
    ) -> Result<Option<Self>> {
        let start_ms = Period::Day(day).start_us() / 1000;
        let mut survey = Survey::new(symbol, start_ms..until_ms, last_before);
        if let Ok(yesterday) = day.yesterday() {
            // From its end on: one file that ends before the day is enough.
            for file in of_folder(lake, market, yesterday)?.into_iter().rev() {
                let rows = survey.files.len();
                survey.look(lake, file)?;
                if survey.before.is_some() && survey.files.len() == rows {
                    break;
                }
            }
        }
        for day in [Some(day), day.tomorrow().ok()].into_iter().flatten() {
            for file in of_folder(lake, market, day)? {
                survey.look(lake, file)?;
            }
        }
        Ok(survey.day())
    }

    /// Gives the day's lines to `take`, some at a time and in the order of ids, as long as nothing is missing, or until it
    /// breaks. A line is `id,price,quantity,first_trade_id,last_trade_id,time,is_buyer_maker`; prices and quantities are the shortest
    /// decimals that are read as the same double, which are those of the exchange where these have at most 15 digits.
    ///
    /// # Errors
    ///
    /// As [`agg_trade_rows`].
    pub fn lines(
        &self,
        lake: &Lake,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Proven> {
        self.lines_by(STRETCH, lake, take)
    }

    fn lines_by(
        &self,
        stretch: i64,
        lake: &Lake,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Proven> {
        let mut proven = Proven {
            rows: 0,
            last_id: self.first_id.saturating_sub(1),
            last_ms: i64::MIN,
            fault: None,
        };
        let mut lines = String::with_capacity(CHUNK_BYTES + 256);
        let mut from = self.first_id;
        while from <= self.last_id && proven.fault.is_none() {
            let until = from
                .saturating_add(stretch)
                .min(self.last_id.saturating_add(1));
            for (id, slot) in (from..until).zip(self.stretch(lake, from..until)?) {
                proven.fault = slot.line(id, &self.time_ms, &mut lines);
                if proven.fault.is_some() {
                    break;
                }
                proven.rows += 1;
                (proven.last_id, proven.last_ms) = (id, slot.trade_ms());
                if lines.len() >= CHUNK_BYTES {
                    if take(&lines).is_break() {
                        return Ok(proven);
                    }
                    lines.clear();
                }
            }
            from = until;
        }
        if !lines.is_empty() && take(&lines).is_break() {
            return Ok(proven);
        }
        let next = self.last_id.saturating_add(1);
        if proven.fault.is_none() && self.after != Some(next) {
            proven.fault = Some(Fault::Missing(next));
        }
        Ok(proven)
    }

    /// The rows of some ids, each at the place of its id.
    fn stretch(&self, lake: &Lake, ids: Range<i64>) -> Result<Vec<Slot>> {
        let count = usize::try_from(ids.end - ids.start).unwrap_or_default();
        let mut slots = vec![Slot::Empty; count];
        for (file, low, high) in &self.files {
            if *high < ids.start || *low >= ids.end {
                continue;
            }
            agg_trade_rows(lake, file, &self.symbol, &mut |row| {
                if ids.contains(&row.id)
                    && let Ok(at) = usize::try_from(row.id - ids.start)
                {
                    slots[at].put(row);
                }
            })?;
        }
        Ok(slots)
    }
}

/// The files of trades that were flushed on a day, by their names and so by the local clock.
fn of_folder(lake: &Lake, market: Market, day: Date) -> Result<Vec<CaptureFile>> {
    let files = lake.captures(&day_folder(Dataset::Trades, market, day))?;
    let known = files.into_iter().filter_map(|(path, bytes)| {
        Some(CaptureFile {
            format: format_of(Dataset::Trades, path.file_name())?,
            path,
            bytes,
            day,
            coverage: None,
        })
    });
    Ok(known.collect())
}

/// What the ids and times of a day's files tell.
struct Survey {
    symbol: Symbol,
    streams: [String; 2],
    time_ms: Range<i64>,
    files: Vec<(CaptureFile, i64, i64)>,
    /// The last id before the day that was captured, and as someone else knows it.
    before: Option<i64>,
    known_before: Option<i64>,
    /// The lowest and the highest of the day.
    of_day: Option<(i64, i64)>,
    /// The first one behind.
    after: Option<i64>,
}

impl Survey {
    fn new(symbol: &Symbol, time_ms: Range<i64>, known_before: Option<i64>) -> Self {
        Self {
            symbol: symbol.clone(),
            streams: trade_streams(symbol.as_str()),
            time_ms,
            files: Vec::new(),
            before: None,
            known_before,
            of_day: None,
            after: None,
        }
    }

    /// Takes an id; whether it is of the day.
    fn see(&mut self, id: i64, trade_ms: i64) -> bool {
        if trade_ms < self.time_ms.start {
            self.before = Some(self.before.map_or(id, |before| before.max(id)));
        } else if trade_ms >= self.time_ms.end {
            self.after = Some(self.after.map_or(id, |after| after.min(id)));
        } else {
            self.see_of_day(id, id);
            return true;
        }
        false
    }

    fn see_of_day(&mut self, first: i64, last: i64) {
        let (low, high) = self.of_day.unwrap_or((first, last));
        self.of_day = Some((low.min(first), high.max(last)));
    }

    /// Looks at a file: at its footer, and at its rows where that does not say enough.
    fn look(&mut self, lake: &Lake, file: CaptureFile) -> Result<()> {
        let footer = match file.format {
            Format::Parquet => coverage(lake, &file.path)?,
            Format::Jsonl => None,
        };
        let mut of_day: Option<(i64, i64)> = None;
        let mut add = |low: i64, high: i64| {
            let (lowest, highest) = of_day.unwrap_or((low, high));
            of_day = Some((lowest.min(low), highest.max(high)));
        };
        match footer.and_then(|footer| self.placed(&footer)) {
            Some(spans) => {
                for span in spans {
                    self.see_of_day(span.first_id, span.last_id);
                    add(span.first_id, span.last_id);
                }
            }
            None => {
                let symbol = self.symbol.clone();
                agg_trade_ids(lake, &file, &symbol, &mut |id, trade_ms| {
                    if self.see(id, trade_ms) {
                        add(id, id);
                    }
                })?;
            }
        }
        self.files
            .extend(of_day.map(|(low, high)| (file, low, high)));
        Ok(())
    }

    /// What of a file is of the day, where its footer tells that; `None` where its rows have to. What the footer gets wrong
    /// is missed with the rows, and never taken for there.
    fn placed(&mut self, footer: &Coverage) -> Option<Vec<Span>> {
        let Range { start, end } = self.time_ms;
        let spans = self
            .streams
            .each_ref()
            .map(|name| footer.coverage.get(name).copied());
        let mut of_day = Vec::new();
        for span in spans.into_iter().flatten() {
            // A trade is never later than its message, and not much earlier.
            let earliest = span.first_ms.min(span.last_ms).saturating_sub(LATE_MS);
            let latest = span.first_ms.max(span.last_ms);
            let is_run = span.last_id.checked_sub(span.first_id) == Some(span.rows - 1);
            if latest < start {
                self.see(span.last_id, latest);
            } else if earliest >= end {
                self.see(span.first_id, earliest);
            } else if is_run && start <= earliest && latest < end {
                of_day.push(span);
            } else {
                return None;
            }
        }
        Some(of_day)
    }

    fn day(self) -> Option<CapturedDay> {
        let (first_id, last_id) = self.of_day?;
        let before = Some(first_id.checked_sub(1)?);
        (self.before == before || self.known_before == before).then_some(CapturedDay {
            symbol: self.symbol,
            time_ms: self.time_ms,
            files: self.files,
            first_id,
            last_id,
            after: self.after,
        })
    }
}

/// The place of an id.
#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Row(AggTradeRow),
    Disputed,
}

impl Slot {
    fn put(&mut self, row: &AggTradeRow) {
        *self = match self {
            Self::Empty => Self::Row(*row),
            Self::Row(there) if there == row => return,
            _ => Self::Disputed,
        };
    }

    fn trade_ms(&self) -> i64 {
        match self {
            Self::Row(row) => row.trade_ms,
            _ => i64::MIN,
        }
    }

    /// Appends its line, or says why there is none.
    fn line(&self, id: i64, time_ms: &Range<i64>, lines: &mut String) -> Option<Fault> {
        let row = match self {
            Self::Empty => return Some(Fault::Missing(id)),
            Self::Disputed => return Some(Fault::Disputed(id)),
            Self::Row(row) if time_ms.contains(&row.trade_ms) => row,
            Self::Row(_) => return Some(Fault::Misplaced(id)),
        };
        let before = lines.len();
        let _ = write!(lines, "{id},");
        let is_exact = push(lines, row.price) && {
            lines.push(',');
            push(lines, row.quantity)
        };
        if !is_exact {
            lines.truncate(before);
            return Some(Fault::Inexact(id));
        }
        let (first, last) = (row.first_trade_id, row.last_trade_id);
        let (time, maker) = (row.trade_ms, row.is_buyer_maker);
        let _ = writeln!(lines, ",{first},{last},{time},{maker}");
        None
    }
}

/// Appends the shortest decimal; whether a double holds all decimals of so many digits.
fn push(lines: &mut String, value: f64) -> bool {
    let before = lines.len();
    let _ = write!(lines, "{value}");
    let digits = lines[before..]
        .bytes()
        .filter(u8::is_ascii_digit)
        .skip_while(|digit| *digit == b'0');
    digits.count() <= EXACT_DIGITS
}

#[cfg(test)]
mod tests;
