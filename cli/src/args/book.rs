//! What `book` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use tapemill_lake::Layout;
use tapemill_market::Market;
use tapemill_runtime::values;

use crate::output_place::OutputPlace;

use super::OutputArgs;

/// `book`.
#[derive(Debug, Args)]
pub struct BookArgs {
    /// um (USD-M futures), cm (COIN-M futures) or spot
    #[arg(
        long,
        default_value = "um",
        env = "TAPEMILL_MARKET",
        help_heading = "Selection"
    )]
    pub market: Market,
    /// Symbols: a list, @FILE (one a line, or CSV with a symbol column), or all that the captures have
    #[arg(
        long,
        value_name = "LIST",
        alias = "symbol",
        env = "TAPEMILL_SYMBOLS",
        help_heading = "Selection"
    )]
    pub symbols: String,
    /// First month or day: YYYY-MM, YYYY-MM-DD, or -7d for seven days ago
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        env = "TAPEMILL_START",
        help_heading = "Selection"
    )]
    pub start: Option<String>,
    /// Last month or day, inclusive
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        env = "TAPEMILL_END",
        help_heading = "Selection"
    )]
    pub end: Option<String>,
    /// Levels of each side
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1000), alias = "top-levels")]
    pub levels: u16,
    /// The time between two rows
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = step)]
    pub step: Duration,
    /// The same in milliseconds.
    #[arg(long, value_name = "N", hide = true, conflicts_with = "step", value_parser = clap::value_parser!(u32).range(1..=MOST_STEP_MS))]
    pub frequency_ms: Option<u32>,
    /// Write all rows to one Parquet file too, with timestamp in milliseconds first
    #[arg(long, value_name = "FILE")]
    pub merged: Option<PathBuf>,
    /// Write {SYMBOL}_{day}.npz for hftbacktest too: a folder, or s3://bucket/prefix
    #[arg(
        long,
        value_name = "DIR|s3://…",
        value_parser = clap::builder::PathBufValueParser::new().map(OutputPlace::from)
    )]
    pub hftbacktest: Option<OutputPlace>,
    /// The trades in the files for hftbacktest
    #[arg(long, value_name = "DATASET", default_value = "trades")]
    pub trades: Trades,
    /// Days at once [default: the cores it may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "TAPEMILL_WORKERS", help_heading = "Work")]
    pub workers: Option<u16>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// How folders are named: plain or hive
    #[arg(
        long,
        value_name = "LAYOUT",
        default_value = "plain",
        env = "TAPEMILL_LAYOUT",
        help_heading = "Output"
    )]
    pub layout: Layout,
}

/// Which captured trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trades {
    /// Aggregated ones, of aggTrade.
    #[value(name = "trades")]
    Aggregated,
    /// Single ones, of trade.
    #[value(name = "raw_trades")]
    Single,
}

/// A day.
const MOST_STEP_MS: i64 = 86_400_000;

fn step(text: &str) -> Result<Duration, String> {
    let step = values::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(1)..=Duration::from_millis(86_400_000)).contains(&step) {
        Ok(step)
    } else {
        Err("a step is between 1ms and 1d".to_owned())
    }
}
