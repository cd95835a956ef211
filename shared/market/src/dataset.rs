//! The datasets whose rows are kept as they are: what their archives hold, column by column.
//!
//! Adding a dataset is one file below this one that describes it, and one line in [`ALL`]: reading, checking, sorting,
//! typing, storing and its paths follow from the description.

mod agg_trades;
mod book_depth;
mod book_ticker;
mod funding_rate;
mod liquidation_snapshot;
mod metrics;
mod trades;

use crate::Market;

pub use agg_trades::AGG_TRADES;

/// Every dataset of rows that `--data` names by itself.
const ALL: [&Dataset; 6] = [
    &trades::TRADES,
    &funding_rate::FUNDING_RATE,
    &metrics::METRICS,
    &book_depth::BOOK_DEPTH,
    &book_ticker::BOOK_TICKER,
    &liquidation_snapshot::LIQUIDATION_SNAPSHOT,
];

/// A dataset of rows: one archive file is one table, its rows sorted by time.
#[derive(Debug)]
pub struct Dataset {
    /// The archive's folder, and the item of `--data`.
    pub name: &'static str,
    /// The folder of its table.
    pub table: &'static str,
    /// Its columns in each market that has it.
    pub layouts: &'static [Layout],
    /// Which of several rows counts.
    pub repeats: Repeats,
}

/// The columns of an archive in some markets, in the order of the file.
#[derive(Debug)]
pub struct Layout {
    /// The markets whose files have them.
    pub markets: &'static [Market],
    /// The columns. Exactly one is a [`Kind::Time`] marked as the row's own, by standing in [`Layout::time`].
    pub columns: &'static [Column],
    /// Which column is the row's time.
    pub time: usize,
}

/// A column of an archive.
#[derive(Debug)]
pub struct Column {
    /// Its name in the table.
    pub name: &'static str,
    /// The names it goes by in headers; the first is the exchange's own.
    pub headers: &'static [&'static str],
    /// How its cells are typed.
    pub kind: Kind,
    /// What its numbers count or measure, for people.
    pub unit: &'static str,
}

/// How a cell is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A time; in the table UTC microseconds.
    Time,
    /// The row's id, ascending with time.
    Id,
    /// A whole number.
    Count,
    /// A decimal.
    Number,
    /// A decimal, or an empty cell.
    MaybeNumber,
    /// `true` or `false`.
    Flag,
    /// A short word of a small vocabulary.
    Word,
    /// The symbol itself, which the file has to agree with; it is no column of the table.
    Symbol,
}

/// Which rows are one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Those of one id, which count on without gaps: the first counts.
    Id,
    /// Those of one time and id, which ascend with gaps: the first counts.
    TimeAndId,
    /// Those of one time: the last counts.
    Time,
    /// Those that agree in everything.
    Row,
}

impl Dataset {
    /// The dataset of this `--data` item.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|dataset| dataset.name == name)
    }

    /// The dataset of this table, but for that of `aggTrades:raw`.
    pub(crate) fn of_table(table: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|dataset| dataset.table == table)
    }

    /// The names of all datasets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|dataset| dataset.name)
    }

    /// All datasets, the trades of aggTrades archives among them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.into_iter().chain([&AGG_TRADES])
    }

    /// Its columns in a market's files; `None` where the market has no such archive.
    pub fn layout(&self, market: Market) -> Option<&'static Layout> {
        self.layouts
            .iter()
            .find(|layout| layout.markets.contains(&market))
    }
}

// Datasets are told apart by their names.
impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Dataset {}

impl PartialOrd for Dataset {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dataset {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(other.name)
    }
}

impl std::hash::Hash for Dataset {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Layout {
    /// The columns of the table in order, by their place in the file: the time, the id if there is one, the others as the
    /// file has them.
    pub fn table_order(&self) -> impl Iterator<Item = usize> + '_ {
        let id = self.id();
        let others = (0..self.columns.len()).filter(move |&at| {
            at != self.time && Some(at) != id && self.columns[at].kind != Kind::Symbol
        });
        [self.time].into_iter().chain(id).chain(others)
    }

    /// Which column is the id.
    pub fn id(&self) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.kind == Kind::Id)
    }
}

/// Lists columns as `Kind name = header, … : unit`; the header may be left out where it is the name.
macro_rules! columns {
    ($($kind:ident $name:ident $(= $($header:ident),+)? : $unit:literal),+ $(,)?) => {
        &[$($crate::dataset::Column {
            name: stringify!($name),
            headers: columns!(@headers $name $($($header)+)?),
            kind: $crate::dataset::Kind::$kind,
            unit: $unit,
        }),+]
    };
    (@headers $name:ident) => { &[stringify!($name)] };
    (@headers $name:ident $($header:ident)+) => { &[$(stringify!($header)),+] };
}
use columns;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_can_be_a_table() {
        for dataset in Dataset::all() {
            for layout in dataset.layouts {
                let columns = layout.columns;
                let count = |kind| columns.iter().filter(|column| column.kind == kind).count();

                assert_eq!(columns[layout.time].kind, Kind::Time, "{}", dataset.name);
                assert!(count(Kind::Symbol) <= 1, "{}", dataset.name);
                assert_eq!(
                    count(Kind::Id),
                    usize::from(matches!(dataset.repeats, Repeats::Id | Repeats::TimeAndId)),
                    "{}",
                    dataset.name
                );
                let mut order: Vec<_> = layout.table_order().collect();
                assert_eq!(order[0], layout.time);
                order.sort_unstable();
                order.dedup();
                assert_eq!(order.len(), columns.len() - count(Kind::Symbol));
            }
        }
    }

    #[test]
    fn no_market_has_two_layouts_of_one_dataset() {
        for dataset in Dataset::all() {
            for market in [Market::Um, Market::Cm, Market::Spot] {
                let layouts = dataset
                    .layouts
                    .iter()
                    .filter(|layout| layout.markets.contains(&market));
                assert!(layouts.count() <= 1, "{} {market}", dataset.name);
            }
        }
    }
}
