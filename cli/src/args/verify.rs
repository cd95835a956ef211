//! What `verify` takes.

use std::path::PathBuf;

use clap::Args;
use tapemill_market::{Decimal, Market};

use super::output::decimal;
use super::{AskingArgs, OutputArgs, QueueArgs, RestArgs, ShapeArgs, SourceArgs, WorkArgs};

/// `verify`: everything, unless a part is selected.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    /// Only of this market
    #[arg(long)]
    pub market: Option<Market>,
    /// Only tables of these kinds of data
    #[arg(long, value_name = "LIST")]
    pub data: Option<String>,
    /// Only these symbols: a list, @FILE, or all
    #[arg(long, value_name = "LIST")]
    pub symbols: Option<String>,
    /// Only the symbols of --priority
    #[arg(long)]
    pub priority_only: bool,
    /// The symbols of --priority-only [default: the 35 most traded]
    #[arg(long, value_name = "LIST", env = "TAPEMILL_PRIORITY")]
    pub priority: Option<String>,
    /// Only the symbols of these categories
    #[arg(long, value_name = "LIST")]
    pub categories: Option<String>,
    /// The settings file's own categories, each name with its symbols.
    #[arg(skip)]
    pub own_categories: Vec<(String, String)>,
    /// Only symbols that traded at least as much within the last 24 hours, in their quote (cm: in USD), as the
    /// exchange's ticker says now; without --market all three markets are asked
    #[arg(long, value_name = "QUOTE", value_parser = decimal)]
    pub min_volume: Option<Decimal>,
    /// From this month or day on
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub start: Option<String>,
    /// To this month or day, inclusive
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub end: Option<String>,
    /// Only these months: YYYY-MM,YYYY-MM
    #[arg(long, value_name = "LIST", conflicts_with_all = ["start", "end"])]
    pub months: Option<String>,
    /// Write the verdicts to DIR/verify.json, and DIR/verify.html with a map of symbols and months
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Ask the source for the checksum of each archive and hold it against what the tables say they were made of; done
    /// without being told where --source names a mirror or a folder
    #[arg(long)]
    pub sidecars: bool,
    /// Get the exchange's klines of minutes that have none on disk, and compare; nothing is kept of them
    #[arg(long)]
    pub against_klines: bool,
    /// Mill each archive once more and hold the rows against those on disk; takes as long as a run, and the disk of a symbol
    #[arg(long)]
    pub remill: bool,
    /// Make defective and lacking tables again from what they are made of
    #[arg(long)]
    pub fix: bool,
    /// With --fix: days in a row without a row that are filled from elsewhere; 0 fills nothing
    #[arg(
        long,
        value_name = "N",
        default_value_t = 30,
        env = "TAPEMILL_MAX_GAP_DAYS"
    )]
    pub max_gap_days: u32,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub asking: AskingArgs,
    #[command(flatten)]
    pub rest: RestArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    #[command(flatten)]
    pub work: WorkArgs,
}

/// What `verify` finds worth a note.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notes")]
pub struct LimitArgs {
    /// Minutes without a trade or a bar that are told
    #[arg(
        long,
        value_name = "N",
        default_value_t = 60,
        env = "TAPEMILL_GAP_MINUTES"
    )]
    pub gap_minutes: u32,
    /// Part by which a close may differ from the one before
    #[arg(long, value_name = "PART", default_value_t = 0.5, value_parser = positive, env = "TAPEMILL_MAX_PRICE_CHANGE")]
    pub max_price_change: f64,
    /// Times the mean volume of the 24 bars before, of bars of an hour and longer
    #[arg(long, value_name = "TIMES", default_value_t = 100.0, value_parser = positive, env = "TAPEMILL_VOLUME_SPIKE_FACTOR")]
    pub volume_spike_factor: f64,
    /// Funding rate, up or down
    #[arg(long, value_name = "RATE", default_value_t = 0.01, value_parser = positive, env = "TAPEMILL_MAX_FUNDING_RATE")]
    pub max_funding_rate: f64,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "a number above zero is expected".to_owned())
}
