//! What an output has of one symbol for its wide table.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use tapemill_lake::{LakeError, LakePath, Output};
use tapemill_market::{Bars, DateRange, Interval, Period, Symbol};

use super::table::Inputs;
use crate::bars::{BarsOf, Known, whole_bars};
use crate::export::Export;
use crate::export::own::Columns;
use crate::stored::Stored;

/// The tables of one symbol that has bars.
pub(super) struct Tables {
    pub symbol: Symbol,
    output: Output,
    interval: Interval,
    base: BarsOf,
    prices: [Option<BarsOf>; 3],
    funding: Option<Stored>,
    metrics: Option<Stored>,
    /// Factors of the bars' own length, or the minutes that they are made of.
    factors: Option<Stored>,
}

/// The symbol that the index is of: its own, or the pair of a contract (`BTCUSD` of `BTCUSD_PERP`).
fn pair_of(symbol: &Symbol) -> Option<Symbol> {
    let (pair, _) = symbol.as_str().split_once('_')?;
    Symbol::exact(pair).ok()
}

/// What factors of other lengths than an hour are made of, and own ones.
const MINUTES: &str = "aggtrades_1m";

/// The table that the factors of an interval come from.
fn factors_table(interval: Interval, columns: Columns<'_>) -> &'static str {
    match interval == Interval::HOUR && columns.own.is_none() {
        true => "factors_1h",
        false => MINUTES,
    }
}

impl Tables {
    /// Looks for all there is of each symbol that has bars.
    pub fn find_all(
        export: &Export,
        interval: Interval,
        columns: Columns<'_>,
    ) -> Result<Vec<Self>, LakeError> {
        let (output, market) = (&export.output, export.market);
        let bars = |of, symbols| BarsOf::find_all(output, market, of, interval, symbols);
        let mut base = bars(Bars::Trade, export.symbols.as_ref())?;
        base.retain(|_, bars| bars.touches(&export.range));
        let symbols: BTreeSet<Symbol> = base.keys().cloned().collect();
        let pairs = symbols.iter().filter_map(pair_of);
        let with_pairs: BTreeSet<Symbol> = symbols.iter().cloned().chain(pairs).collect();
        let stored = |table| Stored::find_all(output, market, table, Some(&symbols));
        let mut mark = bars(Bars::MarkPrice, Some(&symbols))?;
        let index = bars(Bars::IndexPrice, Some(&with_pairs))?;
        let mut premium = bars(Bars::PremiumIndex, Some(&symbols))?;
        let mut funding = stored("funding_rate")?;
        let mut metrics = stored("metrics")?;
        let mut factors = stored(factors_table(interval, columns))?;
        let tables = base.into_iter().map(|(symbol, base)| {
            let own_index = index.get(&symbol);
            let of_pair = || index.get(&pair_of(&symbol)?);
            Self {
                output: output.clone(),
                interval,
                base,
                // Of one pair there may be several contracts.
                prices: [
                    mark.remove(&symbol),
                    own_index.or_else(of_pair).cloned(),
                    premium.remove(&symbol),
                ],
                funding: funding.remove(&symbol),
                metrics: metrics.remove(&symbol),
                factors: factors.remove(&symbol),
                symbol,
            }
        });
        Ok(tables.collect())
    }

    /// What the bars that give the rows cover.
    pub fn periods(&self) -> Vec<Period> {
        self.base.periods()
    }

    /// Every file that a range may take something from, each once and in order.
    pub fn files(&self, range: &DateRange) -> BTreeSet<LakePath> {
        let prices = self.prices.iter().flatten();
        let bars = prices
            .chain([&self.base])
            .flat_map(|bars| bars.files(range));
        let rest = [&self.funding, &self.metrics, &self.factors];
        let rest = rest.into_iter().flatten();
        let rest = rest.flat_map(|stored| stored.files(range).map(|(_, path)| path));
        bars.chain(rest).cloned().collect()
    }

    /// All rows of a range.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a table that cannot be read.
    pub fn load(&self, range: &DateRange, columns: Columns<'_>) -> Result<Inputs, LakeError> {
        let bars = |bars: &Option<BarsOf>| match bars {
            Some(bars) => bars.load(range),
            None => Ok(None),
        };
        let rows = |stored: &Option<Stored>| match stored {
            Some(stored) => stored.load(range, None),
            None => Ok(None),
        };
        let [mark, index, premium] = &self.prices;
        Ok(Inputs {
            base: self.base.load(range)?,
            prices: [bars(mark)?, bars(index)?, bars(premium)?],
            funding: rows(&self.funding)?,
            metrics: rows(&self.metrics)?,
            factors: match &self.factors {
                Some(stored) => self.factors_of(stored, range, columns)?,
                None => None,
            },
        })
    }

    fn factors_of(
        &self,
        stored: &Stored,
        range: &DateRange,
        columns: Columns<'_>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        let known = Known::of(&self.output, stored)?;
        let batch = if stored.table() == MINUTES {
            Some(columns.fold(stored, &whole_bars(range, self.interval), self.interval)?)
        } else {
            stored.load(range, None)?
        };
        Ok(batch.map(|batch| known.finished(&batch, self.interval)))
    }
}
