//! What a person asked for.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tapemill_market::{Data, DateRange, Decimal, Market, NameError, Symbol};

/// Which archives are wanted.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The market.
    pub market: Market,
    /// The kinds of data.
    pub data: Vec<Data>,
    /// The symbols.
    pub symbols: Symbols,
    /// Of these only what traded as much within the last 24 hours, in its quote.
    pub min_volume: Option<Decimal>,
    /// The days.
    pub range: DateRange,
    /// Symbols whose tasks go before all others.
    pub priority: Vec<Symbol>,
    /// The date: nothing is expected of it yet, or of what comes after.
    pub today: jiff::civil::Date,
    /// What the exchange is asked for.
    pub rest: RestUse,
    /// Days without an archive whose trades a collector may have captured ([`captured_days`](crate::captured_days)).
    pub captured: BTreeSet<Date>,
}

/// What the exchange's REST interface is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestUse {
    /// Nothing.
    #[default]
    Nothing,
    /// What the archive does not have: what is younger, what is older, short holes.
    Unarchived,
    /// Everything, and the archive for nothing.
    Everything,
}

/// Which symbols are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symbols {
    /// Every one the archive has.
    All,
    /// These, all of which have to be there.
    These(Vec<Symbol>),
    /// Those of these that the archive has.
    Among(Vec<Symbol>),
}

impl Symbols {
    /// Reads a comma-separated list, or `all`; a symbol given twice counts once.
    ///
    /// # Errors
    ///
    /// Names the item that is no symbol.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let symbols = text
            .split(',')
            .map(Symbol::parse)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::These(unique(symbols)))
    }

    /// Reads the text of a symbols file: one a line with `#` comments, or CSV with a `symbol` column.
    ///
    /// # Errors
    ///
    /// Names the line that holds no symbol, or says that there is none at all.
    pub fn parse_file(text: &str) -> Result<Self, NameError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        let mut lines = lines.filter(|line| !line.is_empty()).peekable();
        let cells = |line: &str| -> Vec<String> {
            line.split(',')
                .map(|cell| cell.trim().trim_matches('"').to_owned())
                .collect()
        };
        let header = lines.peek().map(|line| cells(line)).unwrap_or_default();
        let column = header
            .iter()
            .position(|name| name.eq_ignore_ascii_case("symbol"));
        if column.is_some() {
            lines.next();
        }
        let mut symbols = Vec::new();
        for line in lines {
            let cells = cells(line);
            let cell = match column {
                Some(column) => cells.get(column).map_or("", String::as_str),
                None => line,
            };
            symbols.push(Symbol::parse(cell)?);
        }
        if symbols.is_empty() {
            return Err(NameError {
                what: "symbols file",
                found: String::new(),
                expected: "at least one symbol, one a line or in a column named symbol".to_owned(),
            });
        }
        Ok(Self::These(unique(symbols)))
    }
}

fn unique(symbols: Vec<Symbol>) -> Vec<Symbol> {
    let mut seen = std::collections::HashSet::new();
    symbols
        .into_iter()
        .filter(|symbol| seen.insert(symbol.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(symbols: Symbols) -> Vec<String> {
        match symbols {
            Symbols::All => vec!["all".to_owned()],
            Symbols::These(symbols) | Symbols::Among(symbols) => {
                symbols.iter().map(ToString::to_string).collect()
            }
        }
    }

    #[test]
    fn lists_keep_their_order_and_drop_repeats() {
        assert_eq!(
            names(Symbols::parse("ethusdt,BTC/USDT,ETHUSDT").unwrap()),
            ["ETHUSDT", "BTCUSDT"]
        );
        assert_eq!(Symbols::parse("ALL").unwrap(), Symbols::All);
        assert!(Symbols::parse("BTCUSDT,").is_err());
    }

    #[test]
    fn files_hold_a_symbol_a_line_or_a_column() {
        let lines = Symbols::parse_file("# mine\nbtcusdt\n\nETH/USDT:USDT # second\n").unwrap();
        assert_eq!(names(lines), ["BTCUSDT", "ETHUSDT"]);
        let table = Symbols::parse_file(
            "market,symbol,first\num,BTCUSDT,2019-12-31\num,\"ETHUSDT\",2019-12-31\n",
        )
        .unwrap();
        assert_eq!(names(table), ["BTCUSDT", "ETHUSDT"]);
        assert!(Symbols::parse_file("# nothing\n").is_err());
        assert!(Symbols::parse_file("BTCUSDT\n../x\n").is_err());
    }
}
