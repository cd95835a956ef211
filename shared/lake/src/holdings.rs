//! Which tables of a selection are there, and how large, from few listings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tapemill_market::{ArchiveName, Data, Market, Period, Symbol};

use crate::error::Result;
use crate::output::Output;
use crate::paths::TablePath;

/// Up to so many symbols are listed one by one; for more, a market is listed as a whole.
const FEW: usize = 16;

/// The kinds of data and the symbols that are looked for.
pub type Wanted = BTreeMap<Data, BTreeSet<Symbol>>;

/// The sizes of the tables that are there. Kept small: a number and a period for each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// By table and symbol.
    tables: HashMap<String, HashMap<String, BTreeMap<Period, u64>>>,
}

impl Output {
    /// Lists what is there of a market's tables, in the output's layout: one listing of each folder of a symbol, or of
    /// each folder of a market where there are many symbols.
    ///
    /// # Errors
    ///
    /// [`LakeError`](crate::LakeError) for a folder that cannot be read; what the store says for a bucket.
    pub fn holdings(&self, market: Market, wanted: &Wanted) -> Result<Holdings> {
        let mut holdings = Holdings::default();
        for (data, symbols) in wanted {
            for table in data.tables() {
                let mut found: HashMap<String, BTreeMap<Period, u64>> = HashMap::new();
                self.each_file(market, &table, Some(symbols), |symbol, period, bytes| {
                    found
                        .entry(symbol.to_string())
                        .or_default()
                        .insert(period, bytes);
                })?;
                holdings.tables.insert(table, found);
            }
        }
        Ok(holdings)
    }

    /// Lists one table of a market, in the output's layout: of these symbols, or of all.
    ///
    /// # Errors
    ///
    /// As [`Output::holdings`].
    pub fn each_file(
        &self,
        market: Market,
        table: &str,
        symbols: Option<&BTreeSet<Symbol>>,
        mut found: impl FnMut(Symbol, Period, u64),
    ) -> Result<()> {
        for folder in self.folders(market, table, symbols)? {
            self.lake.each_table(&folder, |file| {
                let symbol = Symbol::exact(file.table.symbol()).ok();
                let period = file.table.period().parse::<Period>().ok();
                if let (Some(symbol), Some(period)) = (symbol, period)
                    && file.layout == self.layout
                    && symbols.is_none_or(|symbols| symbols.contains(&symbol))
                {
                    found(symbol, period, file.bytes);
                }
            })?;
        }
        Ok(())
    }

    fn folders(
        &self,
        market: Market,
        table: &str,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<Vec<String>> {
        let folder_of = |symbol: &str| -> Result<String> {
            // Any period will do: all lie in one folder.
            let any = TablePath::new(table, market.as_str(), symbol, "2000-01")?;
            Ok(up(any.path(self.layout)?.as_str()))
        };
        match symbols {
            Some(few) if few.len() <= FEW => {
                let folders = few.iter().map(|symbol| folder_of(symbol.as_str()));
                folders.collect()
            }
            _ => Ok(vec![up(&folder_of("X")?)]),
        }
    }
}

fn up(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(up, _)| up).to_owned()
}

impl Holdings {
    /// The sizes of an archive's tables, in their order; `None` unless all are there.
    pub fn of(&self, name: &ArchiveName) -> Option<Vec<u64>> {
        let size = |table: String| {
            let periods = self.tables.get(&table)?.get(name.symbol.as_str())?;
            periods.get(&name.period).copied()
        };
        name.data.tables().into_iter().map(size).collect()
    }

    /// Whether any of an archive's tables is there.
    pub fn has_any_of(&self, name: &ArchiveName) -> bool {
        let is_there = |table: String| {
            let of_table = self.tables.get(&table);
            let periods = of_table.and_then(|of| of.get(name.symbol.as_str()));
            periods.is_some_and(|periods| periods.contains_key(&name.period))
        };
        name.data.tables().into_iter().any(is_there)
    }

    /// The published months of a series that still have files of their days beside them. A month counts when every
    /// table of its task is there.
    pub fn months_with_leftover_days(&self, data: Data, symbol: &Symbol) -> BTreeSet<Period> {
        let mut months: Option<BTreeSet<Period>> = None;
        let mut with_days = BTreeSet::new();
        for table in data.tables() {
            let periods = self
                .tables
                .get(&table)
                .and_then(|of| of.get(symbol.as_str()));
            let periods = periods.into_iter().flat_map(BTreeMap::keys).copied();
            let (days, here): (BTreeSet<Period>, _) = periods.partition(|p| p.is_day());
            with_days.extend(days.into_iter().map(Period::month));
            months = Some(match months {
                None => here,
                Some(before) => &before & &here,
            });
        }
        &months.unwrap_or_default() & &with_days
    }

    /// Whether any table has days of this month.
    pub fn has_days_of(&self, month: &ArchiveName) -> bool {
        month.data.tables().iter().any(|table| {
            let periods = self
                .tables
                .get(table)
                .and_then(|of| of.get(month.symbol.as_str()));
            let mut periods = periods.into_iter().flat_map(BTreeMap::keys);
            periods.any(|period| period.is_day() && period.month() == month.period)
        })
    }

    /// Forgets the days of a month, which were removed.
    pub fn forget_days_of(&mut self, month: &ArchiveName) {
        for table in month.data.tables() {
            let of_table = self.tables.get_mut(&table);
            if let Some(periods) = of_table.and_then(|of| of.get_mut(month.symbol.as_str())) {
                periods.retain(|period, _| !period.is_day() || period.month() != month.period);
            }
        }
    }
}
