//! The command line: every flag once, in the group of what it is about.
//!
//! Each setting is also a `TAPEMILL_*` variable and a key of `tapemill.toml`; see [`crate::settings`].

mod book;
mod commands;
mod export;
mod forecast;
mod live;
mod output;
mod selection;
mod source;
mod verify;
mod work;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tapemill_runtime::LogFormat;

pub use book::{BookArgs, Trades};
pub use commands::{
    CleanupArgs, ConfigCommand, CoordinatorArgs, DemoArgs, FetchArgs, PlanArgs, QueueCommand,
    QueueOnlyArgs, RunArgs, StatusArgs, SymbolsArgs, TasksArgs, TasksCommand, UpdateArgs,
    WorkerArgs,
};
pub use export::{ExportArgs, ExportArrowArgs, ExportCommand, ExportCsvArgs, ExportQlibArgs};
pub use forecast::ForecastCommand;
#[cfg(feature = "forecast")]
pub use forecast::{ForecastArgs, ForecastEvaluateArgs, ForecastPredictArgs, ForecastTrainArgs};
pub use live::LiveArgs;
pub use output::{OutputArgs, ShapeArgs};
pub use selection::{SelectionArgs, SymbolDaysArgs};
pub use source::{AskingArgs, RestArgs, SourceArgs};
pub use verify::{LimitArgs, VerifyArgs};
pub use work::{ListenArgs, QueueArgs, ReplanArgs, WorkArgs};

/// Binance's public market-data archives into research-ready minutes and order-flow factors.
#[derive(Debug, Parser)]
#[command(
    name = "tapemill",
    version,
    propagate_version = true,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to say it.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Read settings from this file instead of ./tapemill.toml
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TAPEMILL_CONFIG",
        help_heading = "Common"
    )]
    pub config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true, env = "TAPEMILL_JSON", help_heading = "Common")]
    pub json: bool,
    /// How log lines look: text or json
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        env = "TAPEMILL_LOG_FORMAT",
        help_heading = "Common"
    )]
    pub log_format: LogFormat,
    /// Only warnings and errors; no progress
    #[arg(
        short,
        long,
        global = true,
        env = "TAPEMILL_QUIET",
        help_heading = "Common"
    )]
    pub quiet: bool,
    /// More log lines; twice for all of them
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Common")]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan, work and report on this machine until the selection is finished: the main job
    Run(RunArgs),
    /// Bring a selection up to now: new months, then days, then what only the exchange has; short holes too
    Update(UpdateArgs),
    /// List the archive and enqueue one task per archive file
    Plan(PlanArgs),
    /// Plan again and again, return expired leases, serve page, API and metrics, until told to stop
    Coordinator(CoordinatorArgs),
    /// Claim tasks of a queue and mill them, until told to stop
    Worker(WorkerArgs),
    /// Download and check archives only, into {output}/raw
    Fetch(FetchArgs),
    /// What the archive has: every symbol, dataset and interval, from when to when, with holes; the universe of a date
    Symbols(SymbolsArgs),
    /// Prove what is on disk: every table whole, what its place says, following from what it was made of, without holes
    Verify(VerifyArgs),
    /// Collect streams of the exchange as they come, until told to stop
    Live(LiveArgs),
    /// Write what the output has as other programs want it
    #[command(subcommand)]
    Export(ExportCommand),
    /// The best levels of captured order books at fixed times; files for hftbacktest
    Book(BookArgs),
    /// Train, score and run a forecaster; needs a build with the feature forecast
    #[command(subcommand)]
    Forecast(ForecastCommand),
    /// Counts per dataset and state, rate, ETA, workers
    Status(StatusArgs),
    /// List, show, retry or cancel tasks
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Pause, resume, list, delete or prune a queue
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Remove unfinished files and superseded days
    Cleanup(CleanupArgs),
    /// Make a small archive, serve it on loopback, run the main job on it, show the result; needs no network
    Demo(DemoArgs),
    /// Show the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell: bash, zsh, fish, elvish or powershell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

impl Command {
    /// Where commands with a selection take the settings file's own categories.
    pub fn own_categories_mut(&mut self) -> Option<&mut Vec<(String, String)>> {
        let selection = match self {
            Self::Run(args) => &mut args.selection.of,
            Self::Update(args) => &mut args.run.selection.of,
            Self::Plan(args) => &mut args.selection.of,
            Self::Coordinator(args) => &mut args.selection.of,
            Self::Fetch(args) => &mut args.selection.of,
            Self::Export(command) => &mut command.common_mut().of,
            Self::Verify(args) => return Some(&mut args.own_categories),
            _ => return None,
        };
        Some(&mut selection.own_categories)
    }
}
