//! Order books of captures: the best levels at fixed times as tables, one a day, and as files that other programs read.
//!
//! ```text
//! captures of the day before, the day, the day after ──► rows in order ──► Replay of each symbol
//!     ──► Grid ──► book_top25_100ms/{market}/{SYMBOL}/{day}.parquet ──► --merged: one file of all
//!     ──► HftEvents, with the trades ──► --hftbacktest: {SYMBOL}_{day}.npz
//! ```
//!
//! A day is made of its own captures and of those around midnight, so days are made at once and in any order. It begins
//! with the last snapshot of the day before; a symbol that has none then begins with the first of the day.

mod day;
mod hft;
mod merged;
mod sources;
mod table;

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::{Value, json};
use tapemill_book::Counts;
use tapemill_capture::Dataset;
use tapemill_lake::{Lake, LakeError, LakePath, Output};
use tapemill_market::{DateRange, Market, Symbol, iso_time};

pub(crate) use table::{options, schema};

/// What is made of which captures.
#[derive(Debug, Clone)]
pub struct Books {
    /// Where the captures are, and the tables go.
    pub output: Output,
    /// The market.
    pub market: Market,
    /// The symbols; `None` for all that the captures have.
    pub symbols: Option<BTreeSet<Symbol>>,
    /// The days, by the exchange's event time in UTC.
    pub range: DateRange,
    /// Levels of each side, at least 1.
    pub levels: usize,
    /// The time between two rows in milliseconds, at least 1.
    pub step_ms: i64,
    /// Days at once.
    pub threads: usize,
    /// All rows in one file too.
    pub merged: Option<OneFile>,
    /// Files for hftbacktest too.
    pub hftbacktest: Option<HftFiles>,
}

/// A file of all rows, with the columns and types that training code of the older collector reads.
#[derive(Debug, Clone)]
pub struct OneFile {
    /// The folder.
    pub folder: Lake,
    /// The file in it.
    pub path: LakePath,
}

/// Files for hftbacktest, one for each symbol and day.
#[derive(Debug, Clone)]
pub struct HftFiles {
    /// The folder.
    pub folder: Lake,
    /// Where the trades are from: [`Dataset::Trades`] or [`Dataset::RawTrades`].
    pub trades: Dataset,
}

/// What was made of one symbol and day.
#[derive(Debug, Clone, PartialEq)]
pub struct BookDay {
    /// The symbol.
    pub symbol: Symbol,
    /// The day.
    pub day: Date,
    /// The table, if it has rows.
    pub table: Option<LakePath>,
    /// Its rows.
    pub rows: u64,
    /// The first and the last time, in UTC milliseconds.
    pub times_ms: Option<(i64, i64)>,
    /// What was seen within the day.
    pub counts: Counts,
    /// The file for hftbacktest and its rows.
    pub hftbacktest: Option<(LakePath, u64)>,
}

impl BookDay {
    /// As data.
    pub fn value(&self) -> Value {
        let time = |ms: i64| iso_time(ms.saturating_mul(1000));
        json!({
            "file": self.table.as_ref().map(LakePath::as_str),
            "symbol": self.symbol.as_str(),
            "day": self.day.to_string(),
            "rows": self.rows,
            "first": self.times_ms.map(|(first, _)| time(first)),
            "last": self.times_ms.map(|(_, last)| time(last)),
            "updates": self.counts.applied,
            "levels": self.counts.levels,
            "holes": self.counts.holes,
            "ignored": self.counts.ignored,
            "resyncs": self.counts.anchored,
            "snapshots": self.counts.renewed,
            "snapshots_differing": self.counts.differing,
            "hftbacktest": self.hftbacktest.as_ref().map(|(path, _)| path.as_str()),
            "hftbacktest_rows": self.hftbacktest.as_ref().map(|(_, rows)| rows),
        })
    }
}

/// Why nothing, or not all, was made.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The output, or a folder files go to.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// There are no captures.
    #[error(
        "{place} has no captures of order books of {market} on these days: tapemill live makes them"
    )]
    NoCaptures {
        /// The output.
        place: String,
        /// The market.
        market: Market,
    },
    /// A symbol that was named has no rows in the captures.
    #[error("the captures have no order book of {symbol} in {market} on these days")]
    Nothing {
        /// The symbol.
        symbol: Symbol,
        /// The market.
        market: Market,
    },
    /// More events than a file of hftbacktest is made of.
    #[error("{symbol} has too many events on {day} for one file of hftbacktest")]
    TooMany {
        /// The symbol.
        symbol: Symbol,
        /// The day.
        day: Date,
    },
}

impl Books {
    /// The name of the tables: `book_top25_100ms`.
    pub fn table(&self) -> String {
        table_name(Shape {
            levels: self.levels,
            step_ms: self.step_ms,
        })
    }

    /// Makes all of it. `told` hears of each symbol and day with rows when it is done.
    ///
    /// # Errors
    ///
    /// The first that was met; what was finished before stays.
    pub fn make(&self, told: &(dyn Fn(&BookDay) + Sync)) -> Result<Vec<BookDay>, BooksError> {
        let days = self.days()?;
        let symbols = match &self.symbols {
            Some(symbols) => symbols.iter().cloned().collect(),
            None => sources::symbols(&self.output.lake, self.market, &days)?,
        };
        if days.is_empty() || symbols.is_empty() {
            return Err(BooksError::NoCaptures {
                place: self.output.lake.place(),
                market: self.market,
            });
        }
        let chunks: Vec<_> = days
            .iter()
            .flat_map(|day| symbols.chunks(SYMBOLS_AT_ONCE).map(|chunk| (*day, chunk)))
            .collect();
        let made = crate::threads::each(&chunks, self.threads, |(day, symbols)| {
            let made = day::make(self, *day, symbols)?;
            made.iter().for_each(told);
            Ok::<_, BooksError>(made)
        })?;
        let mut made: Vec<_> = made.into_iter().flatten().collect();
        made.sort_by(|one, other| (&one.symbol, one.day).cmp(&(&other.symbol, other.day)));
        let seen: BTreeSet<_> = made.iter().map(|made| &made.symbol).collect();
        let named = self.symbols.iter().flatten();
        if let Some(symbol) = named.into_iter().find(|symbol| !seen.contains(symbol)) {
            return Err(BooksError::Nothing {
                symbol: symbol.clone(),
                market: self.market,
            });
        }
        if let Some(file) = &self.merged {
            merged::write(self, file, &made)?;
        }
        Ok(made)
    }

    /// The days that captures may have rows of: those of their folders, and those around them. Rows are flushed behind
    /// midnight, or before it where the local clock is behind the exchange's.
    fn days(&self) -> Result<Vec<Date>, BooksError> {
        let flushed = sources::days(&self.output.lake, self.market)?;
        let mut days = BTreeSet::new();
        for day in flushed {
            days.insert(day);
            days.extend([day.yesterday(), day.tomorrow()].into_iter().flatten());
        }
        let asked = |day: &Date| self.range.touches(tapemill_market::Period::Day(*day));
        Ok(days.into_iter().filter(asked).collect())
    }
}

/// What a table of books holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Levels of each side.
    pub levels: usize,
    /// The time between two rows, at which each of them is a multiple.
    pub step_ms: i64,
}

impl Shape {
    /// The shape of `book_top25_100ms`; `None` for any other table.
    pub fn of_table(name: &str) -> Option<Self> {
        let (levels, step) = name.strip_prefix("book_top")?.split_once('_')?;
        let digits = step.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
        let (_, size) = units
            .iter()
            .find(|(unit, _)| *unit == &step[digits.len()..])?;
        let shape = Self {
            levels: levels.parse().ok().filter(|levels| *levels > 0)?,
            step_ms: digits.parse::<i64>().ok()?.checked_mul(*size)?,
        };
        (shape.step_ms > 0 && table_name(shape) == name).then_some(shape)
    }
}

fn table_name(shape: Shape) -> String {
    format!("book_top{}_{}", shape.levels, step_name(shape.step_ms))
}

/// Symbols whose books are rebuilt in one pass over a day's captures: each has some megabytes of rows at hand.
const SYMBOLS_AT_ONCE: usize = 64;

/// A step as it stands in the name of a table: in the largest unit of which it is a whole number.
fn step_name(step_ms: i64) -> String {
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if step_ms % size == 0 {
            return format!("{}{unit}", step_ms / size);
        }
    }
    format!("{step_ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_in_its_largest_unit() {
        for (step, name) in [
            (100, "100ms"),
            (1000, "1s"),
            (1500, "1500ms"),
            (60_000, "1m"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(step_name(step), name);
            let shape = Shape {
                levels: 25,
                step_ms: step,
            };
            assert_eq!(Shape::of_table(&table_name(shape)), Some(shape));
        }
        for name in [
            "book_top25_1000ms",
            "book_top0_1s",
            "book_top25_0s",
            "book_depth",
            "book_top25_",
        ] {
            assert_eq!(Shape::of_table(name), None, "{name}");
        }
    }
}
