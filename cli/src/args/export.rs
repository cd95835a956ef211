//! What `export` takes.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use tapemill_dataset::export::{Frequency, Names, Prefix};
use tapemill_market::Interval;

use crate::output_place::OutputPlace;

use super::{OutputArgs, QueueArgs, RestArgs, ShapeArgs, SymbolDaysArgs};

/// `export`.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// One CSV per table and symbol; the hourly factors as {SYMBOL}_aggTrades.csv
    Csv(ExportCsvArgs),
    /// The order-flow factors of another interval, made of the stored minutes
    Factors(ExportFactorsArgs),
    /// One table per symbol of all that is known of each hour: klines, prices, funding, open interest, factors
    Wide(ExportWideArgs),
    /// Klines as memory-mappable Arrow files of a day each, with an index of them
    Arrow(ExportArrowArgs),
    /// A folder that Qlib reads: features, calendars and instruments, as its own dump would have made it
    Qlib(ExportQlibArgs),
}

impl ExportCommand {
    /// What all of them take.
    pub fn common_mut(&mut self) -> &mut ExportArgs {
        match self {
            Self::Csv(args) => &mut args.common,
            Self::Factors(args) => &mut args.common,
            Self::Wide(args) => &mut args.common,
            Self::Arrow(args) => &mut args.common,
            Self::Qlib(args) => &mut args.common,
        }
    }
}

/// What every export takes; without --symbols, --priority-only and --categories all symbols that the output has.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Where files go: a folder, or s3://bucket/prefix with the credentials of the environment
    #[arg(
        long,
        value_name = "DIR|s3://…",
        value_parser = clap::builder::PathBufValueParser::new().map(OutputPlace::from)
    )]
    pub to: OutputPlace,
    #[command(flatten)]
    pub of: SymbolDaysArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub rest: RestArgs,
}

/// `export csv`.
#[derive(Debug, Args)]
pub struct ExportCsvArgs {
    /// Kinds of data, as for run; each of their tables is written
    #[arg(
        long,
        value_name = "LIST",
        default_value = "aggTrades,klines:1m",
        env = "TAPEMILL_DATA",
        help_heading = "Selection"
    )]
    pub data: String,
    /// Of these only some tables, such as factors_1h
    #[arg(long, value_name = "LIST", help_heading = "Selection")]
    pub tables: Option<String>,
    /// Names of columns: own, or seed for those of the collectors that people come from
    #[arg(long, value_name = "NAMES", default_value_t)]
    pub names: Names,
    /// Leave files alone that were made of the same tables for the same request
    #[arg(long)]
    pub skip_existing: bool,
    #[command(flatten)]
    pub common: ExportArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// `export factors`.
#[derive(Debug, Args)]
pub struct ExportFactorsArgs {
    /// The length of a bar: 1m, 5m, 2h, 4h, 1d, 1w, 1mo and the exchange's others
    #[arg(long, value_name = "INTERVAL")]
    pub interval: Interval,
    /// Own factors behind the built-in ones: a file of SQL expressions over the minutes of a bar (docs/factors.md)
    #[arg(long, value_name = "FILE.sql")]
    pub factors: Option<PathBuf>,
    /// Only those of --factors, without the built-in ones
    #[arg(long, requires = "factors")]
    pub own_only: bool,
    #[command(flatten)]
    pub common: ExportArgs,
}

/// `export wide`.
#[derive(Debug, Args)]
pub struct ExportWideArgs {
    /// The length of a bar: 1m, 5m, 1h, 4h, 1d, 1w, 1mo and the exchange's others
    #[arg(long, value_name = "INTERVAL", default_value_t = Interval::HOUR)]
    pub interval: Interval,
    /// Own factors behind the others, their names with at_ before them: a file of SQL expressions over the minutes of a bar
    #[arg(long, value_name = "FILE.sql")]
    pub factors: Option<PathBuf>,
    #[command(flatten)]
    pub common: ExportArgs,
}

/// `export arrow`.
#[derive(Debug, Args)]
pub struct ExportArrowArgs {
    /// The lengths of bars: 1m, 1h, 1d and the exchange's others
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    pub interval: Vec<Interval>,
    #[command(flatten)]
    pub common: ExportArgs,
}

/// `export qlib`.
#[derive(Debug, Args)]
pub struct ExportQlibArgs {
    /// The lengths of bars: 1min, 60min, 240min, day (or 1m, 1h, 4h, 1d) [default: 1min,60min,day, those of which there are bars]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub interval: Option<Vec<Frequency>>,
    /// What stands before the symbol in the name of an instrument [default: binance_MARKET.]
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<Prefix>,
    /// Leave out bars that do not exist, instead of filling the calendar with empty ones
    #[arg(long)]
    pub no_fill: bool,
    /// Also write the collector's CSVs, source_* and normalize_*, and its manifest.json
    #[arg(long)]
    pub csv: bool,
    /// Take bars that the output does not have from source CSVs of the collector
    #[arg(long, value_name = "DIR")]
    pub import: Option<PathBuf>,
    #[command(flatten)]
    pub common: ExportArgs,
}
