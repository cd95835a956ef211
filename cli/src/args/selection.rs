//! Which archives are meant.

use clap::Args;
use tapemill_market::{Decimal, Market};

use super::output::decimal;

/// Which archives.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    #[command(flatten)]
    pub of: SymbolDaysArgs,
    /// Kinds of data: aggTrades, aggTrades:raw, trades, klines:1m, markPriceKlines:1h, fundingRate, metrics and others
    #[arg(
        long,
        value_name = "LIST",
        default_value = "aggTrades,klines:1m",
        env = "TAPEMILL_DATA"
    )]
    pub data: String,
}

/// Which symbols, and which days of them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct SymbolDaysArgs {
    /// um (USD-M futures), cm (COIN-M futures) or spot
    #[arg(long, default_value = "um", env = "TAPEMILL_MARKET")]
    pub market: Market,
    /// Symbols: a list, @FILE (one a line, or CSV with a symbol column), or all
    #[arg(long, value_name = "LIST", env = "TAPEMILL_SYMBOLS")]
    pub symbols: Option<String>,
    /// Symbols whose tasks go first [default: the 35 most traded]
    #[arg(long, value_name = "LIST", env = "TAPEMILL_PRIORITY")]
    pub priority: Option<String>,
    /// Only the symbols of --priority
    #[arg(long, env = "TAPEMILL_PRIORITY_ONLY")]
    pub priority_only: bool,
    /// Only the symbols of these categories: major, defi, layer1, layer2, meme, gaming, ai, storage, exchange,
    /// stable_pairs, or those of [categories] in the settings file
    #[arg(long, value_name = "LIST", env = "TAPEMILL_CATEGORIES")]
    pub categories: Option<String>,
    /// The settings file's own categories, each name with its symbols.
    #[arg(skip)]
    pub own_categories: Vec<(String, String)>,
    /// Only symbols that traded at least as much within the last 24 hours, in their quote (cm: in USD), as the
    /// exchange's ticker says when it is planned; what is delisted has no ticker and is left out
    #[arg(long, value_name = "QUOTE", value_parser = decimal, env = "TAPEMILL_MIN_VOLUME")]
    pub min_volume: Option<Decimal>,
    /// First month or day: YYYY-MM, YYYY-MM-DD, or -7d for seven days ago
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        env = "TAPEMILL_START"
    )]
    pub start: Option<String>,
    /// Last month or day, inclusive
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        env = "TAPEMILL_END"
    )]
    pub end: Option<String>,
    /// Only these months: YYYY-MM,YYYY-MM
    #[arg(long, value_name = "LIST", conflicts_with_all = ["start", "end"], env = "TAPEMILL_MONTHS")]
    pub months: Option<String>,
}

impl SelectionArgs {
    /// Of everything there is of some kinds and symbols.
    pub fn of(market: Market, data: String, symbols: String) -> Self {
        Self {
            of: SymbolDaysArgs {
                market,
                symbols: Some(symbols),
                priority: None,
                priority_only: false,
                categories: None,
                own_categories: Vec::new(),
                min_volume: None,
                start: None,
                end: None,
                months: None,
            },
            data,
        }
    }
}
