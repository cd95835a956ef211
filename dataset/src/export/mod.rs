//! Tables of an output as other programs want them.
//!
//! Every file is published at once and whole: a reader never sees part of one, and an export that is killed leaves what was
//! there before.

mod arrow;
mod cells;
mod csv;
mod factors;
mod meta;
mod own;
mod qlib;
mod wide;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use tapemill_lake::{Lake, LakeError, Output};
use tapemill_market::{DateRange, Market, Period, Symbol, iso_time};

use crate::stored::Stored;

pub use arrow::{ArrowExported, Gap, IndexError, export_arrow};
pub use csv::{CsvOptions, Names, export_csv};
pub use factors::{FactorsOptions, export_factors};
pub use own::OwnFactors;
pub use qlib::{Frequency, Prefix, QlibExported, QlibOptions, export_qlib};
pub use wide::export_wide;

/// What is exported, and to where.
#[derive(Debug, Clone)]
pub struct Export {
    /// Where the tables are.
    pub output: Output,
    /// The market.
    pub market: Market,
    /// The symbols; `None` for all that the output has.
    pub symbols: Option<BTreeSet<Symbol>>,
    /// Rows of these days are exported, and no others.
    pub range: DateRange,
    /// Where files go: a folder.
    pub to: Lake,
    /// Symbols at once.
    pub threads: usize,
}

/// A file that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its path in the folder.
    pub file: String,
    /// The symbol whose rows it has; `None` for a file of several.
    pub symbol: Option<Symbol>,
    /// Its rows.
    pub rows: u64,
    /// The first and the last time, in UTC microseconds.
    pub times: Option<(i64, i64)>,
    /// Months, or days of a month of which there are some, that the output does not have.
    pub missing: Vec<Period>,
    /// It was there already, made of the same tables.
    pub is_kept: bool,
}

impl Exported {
    /// As data.
    pub fn value(&self) -> Value {
        let missing: Vec<_> = self.missing.iter().map(ToString::to_string).collect();
        json!({
            "file": self.file,
            "symbol": self.symbol.as_ref().map(Symbol::as_str),
            "rows": self.rows,
            "first": self.times.map(|(first, _)| iso_time(first)),
            "last": self.times.map(|(_, last)| iso_time(last)),
            "missing": missing,
            "kept": self.is_kept,
        })
    }
}

/// Why nothing, or not all, was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output or the folder.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The index of files.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A symbol that was named has no rows.
    #[error(
        "the output has no {table} of {symbol} in {market}, or none of these days: tapemill run makes it"
    )]
    Nothing {
        /// The table.
        table: String,
        /// The symbol.
        symbol: Symbol,
        /// The market.
        market: Market,
    },
    /// No symbol has rows.
    #[error("the output has no {tables} in {market}: check --output and the selection")]
    NoTables {
        /// The tables that were looked for.
        tables: String,
        /// The market.
        market: Market,
    },
    /// An interval that cannot be made.
    #[error("{wanted} cannot be made of {of}: a bar has to hold whole ones")]
    Interval {
        /// What was asked for.
        wanted: String,
        /// What there is.
        of: String,
    },
    /// A folder that cannot be replaced by an export.
    #[error("cannot export to {}: {problem}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Another process exports to the same folder.
    #[error("another export writes {}: wait for it or stop it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Files from elsewhere that cannot be taken over.
    #[error("{place}: {problem}")]
    Import {
        /// The file, and the line.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Export {
    /// What the output has of a table, by symbol.
    ///
    /// # Errors
    ///
    /// As [`Stored::find_all`].
    pub fn stored(&self, table: &str) -> Result<BTreeMap<Symbol, Stored>, LakeError> {
        Stored::find_all(&self.output, self.market, table, self.symbols.as_ref())
    }

    /// What the output has of a table within the range, in the order of symbols.
    ///
    /// # Errors
    ///
    /// As [`Export::stored`]; for a symbol that was named and has nothing, and where no symbol has anything.
    pub fn with_rows(&self, table: &str) -> Result<Vec<Stored>, ExportError> {
        self.with_rows_of(std::slice::from_ref(&table))
    }

    /// As [`Export::with_rows`], of several tables: table by table; a symbol that was named has to have rows of one of them.
    ///
    /// # Errors
    ///
    /// As [`Export::with_rows`].
    pub fn with_rows_of(&self, tables: &[&str]) -> Result<Vec<Stored>, ExportError> {
        let mut found = Vec::new();
        for table in tables {
            let stored = self.stored(table)?.into_values();
            found.extend(stored.filter(|stored| stored.files(&self.range).next().is_some()));
        }
        let symbols: BTreeSet<_> = found.iter().map(Stored::symbol).collect();
        self.check_found(&tables.join(" or "), &symbols)?;
        Ok(found)
    }

    /// Whether each symbol that was named has rows, and any symbol where none was.
    ///
    /// # Errors
    ///
    /// [`ExportError::Nothing`] and [`ExportError::NoTables`].
    fn check_found(&self, tables: &str, found: &BTreeSet<&Symbol>) -> Result<(), ExportError> {
        let mut named = self.symbols.iter().flatten();
        if let Some(symbol) = named.find(|symbol| !found.contains(symbol)) {
            return Err(ExportError::Nothing {
                table: tables.to_owned(),
                symbol: symbol.clone(),
                market: self.market,
            });
        }
        if found.is_empty() {
            return Err(ExportError::NoTables {
                tables: tables.to_owned(),
                market: self.market,
            });
        }
        Ok(())
    }

    /// Does this for each, several at once, in any order; what comes of them is in the order of `items`.
    ///
    /// # Errors
    ///
    /// The first one's; then no other begins.
    pub fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R, ExportError> + Sync,
    ) -> Result<Vec<R>, ExportError> {
        crate::threads::each(items, self.threads, work)
    }
}

/// The months of a range that a table does not have, and the days of months of which it has some: from the first to the last
/// day that was asked for, or that there is.
pub fn missing(range: &DateRange, periods: &[Period]) -> Vec<Period> {
    let (Some(earliest), Some(latest)) = (periods.first(), periods.last()) else {
        return Vec::new();
    };
    let there: BTreeSet<Period> = periods.iter().copied().collect();
    let (first, last) = (
        range.first.unwrap_or_else(|| earliest.first_day()),
        range.last.unwrap_or_else(|| latest.last_day()),
    );
    let mut missing = Vec::new();
    let mut next = Some(Period::month_of(first));
    while let Some(month) = next.filter(|month| month.first_day() <= last) {
        next = month.step_months(1);
        if there.contains(&month) || !range.touches(month) {
            continue;
        }
        let is_of_month = |period: &Period| period.month() == month;
        if !there.iter().any(is_of_month) {
            missing.push(month);
            continue;
        }
        let mut day = month.first_day();
        while day <= month.last_day() {
            let period = Period::Day(day);
            if (first..=last).contains(&day) && !there.contains(&period) {
                missing.push(period);
            }
            match day.tomorrow() {
                Ok(tomorrow) => day = tomorrow,
                Err(_) => break,
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(names: &[&str]) -> Vec<Period> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_missing_is_told_by_month_and_by_day() {
        let there = periods(&["2024-01", "2024-03", "2024-04-01", "2024-04-03"]);
        let range = |start: Option<&str>, end: Option<&str>| {
            DateRange::parse(start, end, None, "2024-06-01".parse().unwrap()).unwrap()
        };
        assert_eq!(
            missing(&range(None, None), &there),
            periods(&["2024-02", "2024-04-02"])
        );
        assert_eq!(
            missing(&range(Some("2023-12-30"), Some("2024-04-04")), &there),
            periods(&["2023-12", "2024-02", "2024-04-02", "2024-04-04"])
        );
        assert_eq!(missing(&range(Some("2024-04-03"), None), &there), []);
        assert_eq!(missing(&range(None, None), &[]), []);
    }
}
