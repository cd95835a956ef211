//! Which tables of an output are meant.

use tapemill_coordinator::Symbols;
use tapemill_lake::{TableFile, TablePath};
use tapemill_market::{Data, DateRange};

use crate::args::VerifyArgs;
use crate::context;
use crate::failure::Failure;

/// Which tables of an output are meant; what is not named is not asked.
pub(super) struct OnDisk {
    market: Option<String>,
    tables: Option<Vec<String>>,
    symbols: Option<Vec<String>>,
    range: DateRange,
}

impl OnDisk {
    pub fn of(args: &VerifyArgs) -> Result<Self, Failure> {
        let (start, end) = (args.start.as_deref(), args.end.as_deref());
        let symbols = match args.symbols.as_deref().map(context::symbols).transpose()? {
            None | Some(Symbols::All) => None,
            Some(Symbols::These(symbols) | Symbols::Among(symbols)) => {
                Some(symbols.iter().map(ToString::to_string).collect())
            }
        };
        let kinds = args.data.as_deref().map(Data::parse_list).transpose()?;
        Ok(Self {
            market: args.market.map(|market| market.to_string()),
            tables: kinds.map(|kinds| kinds.into_iter().flat_map(Data::tables).collect()),
            symbols,
            range: DateRange::parse(start, end, None, context::today())?,
        })
    }

    pub fn holds(&self, file: &TableFile) -> bool {
        self.holds_table(&file.table)
    }

    pub fn holds_table(&self, table: &TablePath) -> bool {
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
