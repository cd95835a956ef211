//! Which tables of an output are meant.

use std::collections::{BTreeMap, BTreeSet};

use tapemill_coordinator::{Symbols, VolumeFilter};
use tapemill_lake::{TableFile, TablePath};
use tapemill_market::{Data, DateRange, Decimal, Market, Symbol};

use crate::args::{SelectionArgs, SymbolDaysArgs, VerifyArgs};
use crate::context;
use crate::failure::Failure;

/// Which tables of an output are meant; what is not named is not asked.
pub(super) struct OnDisk {
    market: Option<String>,
    tables: Option<Vec<String>>,
    symbols: Option<Vec<String>>,
    /// By market.
    volumes: Option<BTreeMap<String, VolumeFilter>>,
    range: DateRange,
}

impl OnDisk {
    pub async fn of(args: &VerifyArgs) -> Result<Self, Failure> {
        let has_groups = args.priority_only || args.categories.is_some();
        let all = (!has_groups).then(|| "all".to_owned());
        // The kinds are those of any market.
        let mut asked = SelectionArgs::of(Market::Um, "aggTrades".to_owned(), String::new());
        asked.of = SymbolDaysArgs {
            priority: args.priority.clone(),
            priority_only: args.priority_only,
            categories: args.categories.clone(),
            own_categories: args.own_categories.clone(),
            symbols: args.symbols.clone().or(all),
            start: args.start.clone(),
            end: args.end.clone(),
            months: args.months.clone(),
            ..asked.of
        };
        let asked = context::selection(&asked, &args.rest)?;
        let symbols = match asked.symbols {
            Symbols::All => None,
            Symbols::These(symbols) | Symbols::Among(symbols) => {
                Some(symbols.iter().map(ToString::to_string).collect())
            }
        };
        let kinds = args.data.as_deref().map(Data::parse_list).transpose()?;
        Ok(Self {
            market: args.market.map(|market| market.to_string()),
            tables: kinds.map(|kinds| kinds.into_iter().flat_map(Data::tables).collect()),
            symbols,
            volumes: match args.min_volume {
                Some(least) => Some(volumes(args, least).await?),
                None => None,
            },
            range: asked.range,
        })
    }

    /// Whether nothing was left out.
    pub fn is_everything(&self) -> bool {
        self.market.is_none()
            && self.tables.is_none()
            && self.symbols.is_none()
            && self.volumes.is_none()
            && self.range == DateRange::default()
    }

    pub fn holds(&self, file: &TableFile) -> bool {
        self.holds_table(&file.table)
    }

    pub fn holds_table(&self, table: &TablePath) -> bool {
        self.names(table) && self.trades_enough(table)
    }

    /// What `--min-volume` leaves out of these, in a line; `None` where it leaves out nothing.
    pub fn left_out(&self, all: &[TableFile]) -> Option<String> {
        let lines = self
            .volumes
            .iter()
            .flatten()
            .filter_map(|(market, filter)| {
                let tables = all.iter().map(|file| &file.table);
                let named = tables.filter(|table| table.market() == market && self.names(table));
                let symbols: BTreeSet<Symbol> = named
                    .filter_map(|table| Symbol::exact(table.symbol()).ok())
                    .collect();
                Some(format!("{market}: {}", filter.left_out(&symbols)?))
            });
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    fn trades_enough(&self, table: &TablePath) -> bool {
        let Some(volumes) = &self.volumes else {
            return true;
        };
        match (volumes.get(table.market()), Symbol::exact(table.symbol())) {
            (Some(filter), Ok(symbol)) => filter.passes(&symbol),
            _ => false,
        }
    }

    fn names(&self, table: &TablePath) -> bool {
        let among = |names: &Option<Vec<String>>, name: &str| {
            names
                .as_ref()
                .is_none_or(|names| names.iter().any(|known| known == name))
        };
        let touched = table
            .period()
            .parse()
            .map_or(true, |period| self.range.touches(period));
        let of_market = self
            .market
            .as_ref()
            .is_none_or(|market| market == table.market());
        of_market
            && touched
            && among(&self.tables, table.dataset())
            && among(&self.symbols, table.symbol())
    }
}

/// Asks what the symbols of the market traded, or of all markets.
async fn volumes(
    args: &VerifyArgs,
    least: Decimal,
) -> Result<BTreeMap<String, VolumeFilter>, Failure> {
    let exchange = context::rest_alone(&args.rest)?;
    let exchange = exchange.ok_or_else(|| context::forbidden("--min-volume"))?;
    let markets = match args.market {
        Some(market) => vec![market],
        None => vec![Market::Um, Market::Cm, Market::Spot],
    };
    let mut volumes = BTreeMap::new();
    for market in markets {
        let filter = VolumeFilter::ask(Some(&exchange), market, least).await?;
        volumes.insert(market.to_string(), filter);
    }
    Ok(volumes)
}
