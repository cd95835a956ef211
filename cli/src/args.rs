//! The command line: every flag once, in the group of what it is about.
//!
//! Each setting is also a `TAPEMILL_*` variable and a key of `tapemill.toml`; see [`crate::settings`].

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Args, Parser, Subcommand};
use tapemill_lake::Layout;
use tapemill_market::{Decimal, Market};
use tapemill_runtime::{LogFormat, values};

use crate::output_place::OutputPlace;

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
}

impl Command {
    /// The selection of commands that have one.
    pub fn selection_mut(&mut self) -> Option<&mut SelectionArgs> {
        match self {
            Self::Run(args) => Some(&mut args.selection),
            Self::Update(args) => Some(&mut args.run.selection),
            Self::Plan(args) => Some(&mut args.selection),
            Self::Coordinator(args) => Some(&mut args.selection),
            Self::Fetch(args) => Some(&mut args.selection),
            _ => None,
        }
    }
}

impl SelectionArgs {
    /// Of everything there is of some kinds and symbols.
    pub fn of(market: Market, data: String, symbols: String) -> Self {
        Self {
            market,
            data,
            symbols: Some(symbols),
            priority: None,
            priority_only: false,
            categories: None,
            own_categories: Vec::new(),
            start: None,
            end: None,
            months: None,
        }
    }
}

/// Which archives.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// um (USD-M futures), cm (COIN-M futures) or spot
    #[arg(long, default_value = "um", env = "TAPEMILL_MARKET")]
    pub market: Market,
    /// Kinds of data: aggTrades, aggTrades:raw, trades, klines:1m, markPriceKlines:1h, fundingRate, metrics and others
    #[arg(
        long,
        value_name = "LIST",
        default_value = "aggTrades,klines:1m",
        env = "TAPEMILL_DATA"
    )]
    pub data: String,
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

/// Where archives come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// A mirror with the archive's paths, or a folder with archives in any tree
    #[arg(long, value_name = "URL|DIR", default_value = tapemill_archive::OFFICIAL_BASE, env = "TAPEMILL_SOURCE")]
    pub source: String,
    /// The S3 listing of the source [default: the source itself; the exchange's own for its archive]
    #[arg(long, value_name = "URL", env = "TAPEMILL_LISTING")]
    pub listing: Option<String>,
}

/// How the exchange is asked for what the archive does not have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct RestArgs {
    /// The exchange's REST interface: scheme, host and port [default: the exchange's own]
    #[arg(long, value_name = "URL", env = "TAPEMILL_REST")]
    pub rest: Option<String>,
    /// What requests to one host may weigh a minute [default: 90 % of what it serves an address]
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(20..=1_000_000), env = "TAPEMILL_REST_WEIGHT")]
    pub rest_weight: Option<u32>,
    /// Ask the exchange for nothing
    #[arg(long, env = "TAPEMILL_NO_REST")]
    pub no_rest: bool,
}

/// How the archive is asked what there is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct AskingArgs {
    /// Probe file by file instead of listing, for mirrors without a listing
    #[arg(long, env = "TAPEMILL_NO_LISTING")]
    pub no_listing: bool,
}

/// Where tables go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The output: a folder, or s3://bucket/prefix with the credentials of the environment
    #[arg(
        long,
        value_name = "PATH|s3://…",
        default_value = "./data",
        value_parser = clap::builder::PathBufValueParser::new().map(OutputPlace::from),
        env = "TAPEMILL_OUTPUT"
    )]
    pub output: OutputPlace,
}

/// What shapes the tables.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct ShapeArgs {
    /// How folders are named: plain or hive
    #[arg(
        long,
        value_name = "LAYOUT",
        default_value = "plain",
        env = "TAPEMILL_LAYOUT"
    )]
    pub layout: Layout,
    /// Quote value from which a trade is a whale's
    #[arg(long, value_name = "QUOTE", default_value = "50000", value_parser = decimal, env = "TAPEMILL_WHALE_QUOTE")]
    pub whale_quote: Decimal,
    /// Quote value up to which a trade is retail
    #[arg(long, value_name = "QUOTE", default_value = "1000", value_parser = decimal, env = "TAPEMILL_RETAIL_QUOTE")]
    pub retail_quote: Decimal,
}

/// The queue.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queue")]
pub struct QueueArgs {
    /// The queue [default: sqlite:{output}/queue.db]
    #[arg(long, value_name = "URL", env = "TAPEMILL_QUEUE")]
    pub queue: Option<String>,
    /// Failed attempts after which a task is dead
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000), env = "TAPEMILL_ATTEMPTS")]
    pub attempts: u32,
    /// Expired leases after which a task is dead
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000), env = "TAPEMILL_EXPIRIES")]
    pub expiries: u32,
}

/// How tasks are worked on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// Tasks at once [default: the cores it may use, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "TAPEMILL_WORKERS")]
    pub workers: Option<u16>,
    /// How long a lease lasts without a heartbeat
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = lease, env = "TAPEMILL_LEASE")]
    pub lease: Duration,
    /// How long running tasks may take once told to stop
    #[arg(long, value_name = "TIME", default_value = "100s", value_parser = values::duration, env = "TAPEMILL_GRACE")]
    pub grace: Duration,
    /// What this worker's name begins with [default: the host's name]
    #[arg(long, value_name = "NAME", env = "TAPEMILL_NAME")]
    pub name: Option<String>,
    /// Keep the archives under {output}/raw
    #[arg(long, env = "TAPEMILL_KEEP_ZIP")]
    pub keep_zip: bool,
    /// Bytes a second that all downloads of this process bring together, such as 50MB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = bytes_per_second, env = "TAPEMILL_MAX_BYTES_PER_SECOND")]
    pub max_bytes_per_second: Option<NonZeroU64>,
}

/// Where the process tells how it is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching")]
pub struct ListenArgs {
    /// Serve /metrics, /healthz and /readyz at HOST:PORT; port 0 picks a free one [default: the coordinator: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR", value_parser = address, env = "TAPEMILL_LISTEN")]
    pub listen: Option<String>,
}

/// How often the coordinator plans.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Work")]
pub struct ReplanArgs {
    /// Plan again this often
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = replan, env = "TAPEMILL_REPLAN")]
    pub replan: Duration,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub asking: AskingArgs,
    #[command(flatten)]
    pub rest: RestArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Mill again what is finished
    #[arg(long, env = "TAPEMILL_FORCE", help_heading = "Work")]
    pub force: bool,
    /// In the end, tell where the time went and what bounded it
    #[arg(long, env = "TAPEMILL_PROFILE", help_heading = "Watching")]
    pub profile: bool,
}

/// `update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Ask the exchange for all of --start to --end, and read no archive
    #[arg(
        long,
        requires = "start",
        conflicts_with = "no_rest",
        env = "TAPEMILL_REST_ONLY",
        help_heading = "Source"
    )]
    pub rest_only: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub asking: AskingArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    /// Print files, bytes and holes, and enqueue nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Enqueue again what is finished
    #[arg(long, env = "TAPEMILL_FORCE")]
    pub force: bool,
}

/// `coordinator`.
#[derive(Debug, Args)]
pub struct CoordinatorArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub asking: AskingArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    #[command(flatten)]
    pub replan: ReplanArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub rest: RestArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// End when nothing is pending or leased
    #[arg(long, env = "TAPEMILL_EXIT_WHEN_DRAINED")]
    pub exit_when_drained: bool,
}

/// `fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub asking: AskingArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Downloads at once [default: the cores it may use, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "TAPEMILL_WORKERS")]
    pub workers: Option<u16>,
    /// Failed attempts after which an archive is given up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000), env = "TAPEMILL_ATTEMPTS")]
    pub attempts: u32,
    /// Bytes a second that all downloads of this process bring together, such as 50MB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = bytes_per_second, env = "TAPEMILL_MAX_BYTES_PER_SECOND")]
    pub max_bytes_per_second: Option<NonZeroU64>,
}

/// `symbols`.
#[derive(Debug, Args)]
pub struct SymbolsArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Markets to scan
    #[arg(long, value_name = "LIST", default_value = "spot,um,cm")]
    pub markets: String,
    /// Only these datasets, such as klines,fundingRate [default: all there are]
    #[arg(long, value_name = "LIST")]
    pub data: Option<String>,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub parallel: u16,
    /// Only the first 5 symbols of each market and dataset
    #[arg(short, long)]
    pub test: bool,
    /// Ask for everything again, also for what cannot have changed
    #[arg(long)]
    pub refresh: bool,
    /// Print the symbols that had archives of this day, YYYY-MM-DD, as the last scan found them; asks nothing
    #[arg(long, value_name = "DATE", conflicts_with_all = ["test", "refresh"])]
    pub on: Option<jiff::civil::Date>,
}

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
    /// From this month or day on
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub start: Option<String>,
    /// To this month or day, inclusive
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub end: Option<String>,
    /// Write the verdicts to DIR/verify.json, and DIR/verify.html with a map of symbols and months
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Ask the source for the checksum of each archive and hold it against what the tables say they were made of
    #[arg(long)]
    pub sidecars: bool,
    /// Mill each archive once more and hold the rows against those on disk; takes as long as a run, and the disk of a symbol
    #[arg(long)]
    pub remill: bool,
    /// Make defective and lacking tables again from what they are made of
    #[arg(long)]
    pub fix: bool,
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

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// `tasks`.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List tasks
    List(TasksArgs),
    /// Show tasks with their history
    Show(TasksArgs),
    /// Give tasks fresh budgets: dead ones become pending
    Retry(TasksArgs),
    /// Give up pending and leased tasks
    Cancel(TasksArgs),
}

/// Which tasks.
#[derive(Debug, Args)]
pub struct TasksArgs {
    /// Task ids, such as um/aggTrades/BTCUSDT/2024-01
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Only tasks in this state: pending, leased, done, missing, dead
    #[arg(long, value_name = "STATE")]
    pub state: Option<tapemill_queue::TaskState>,
    /// Only tasks of this dataset, such as aggTrades or klines:1m
    #[arg(long, value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Only tasks whose id begins like this
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// `queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Refuse claims until resumed; what is running goes on
    Pause(QueueOnlyArgs),
    /// Allow claims again
    Resume(QueueOnlyArgs),
    /// Show the queue and its counts
    List(QueueOnlyArgs),
    /// Delete all tasks and settings of the queue
    Delete(QueueDeleteArgs),
    /// Forget done and missing tasks
    Prune(QueuePruneArgs),
}

/// The queue alone.
#[derive(Debug, Args)]
pub struct QueueOnlyArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// `queue delete`.
#[derive(Debug, Args)]
pub struct QueueDeleteArgs {
    #[command(flatten)]
    pub queue: QueueOnlyArgs,
    /// Really delete it
    #[arg(long)]
    pub yes: bool,
}

/// `queue prune`.
#[derive(Debug, Args)]
pub struct QueuePruneArgs {
    #[command(flatten)]
    pub queue: QueueOnlyArgs,
    /// Only tasks that were finished at least this long ago
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = values::duration)]
    pub older_than: Duration,
}

/// `cleanup`.
#[derive(Debug, Args)]
pub struct CleanupArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The demo's own folder
    #[arg(long, value_name = "PATH", default_value = "./tapemill-demo")]
    pub folder: PathBuf,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting, its value and where it came from
    Show(Box<ConfigShowArgs>),
}

/// `config show` takes every setting there is.
#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub replan: ReplanArgs,
    /// End when nothing is pending or leased (worker)
    #[arg(long, env = "TAPEMILL_EXIT_WHEN_DRAINED", help_heading = "Work")]
    pub exit_when_drained: bool,
}

fn decimal(text: &str) -> Result<Decimal, String> {
    Decimal::parse(text.as_bytes())
        .ok_or_else(|| "write a decimal of at most 12 places, such as 50000".to_owned())
}

/// A cap of nothing would wait for ever.
fn bytes_per_second(text: &str) -> Result<NonZeroU64, String> {
    let bytes = values::bytes(text).map_err(|error| error.to_string())?;
    NonZeroU64::new(bytes).ok_or_else(|| "at least 1 byte a second".to_owned())
}

/// A lease shorter than its heartbeats can be sent, or longer than anyone waits for a dead worker, is a mistake.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = values::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(500)..=Duration::from_secs(86_400)).contains(&lease) {
        Ok(lease)
    } else {
        Err("a lease is between 500ms and 1d".to_owned())
    }
}

/// Planning lists the archive; more often than this is a mistake.
fn replan(text: &str) -> Result<Duration, String> {
    let replan = values::duration(text).map_err(|error| error.to_string())?;
    if replan >= Duration::from_secs(1) {
        Ok(replan)
    } else {
        Err("plan again after 1s or more".to_owned())
    }
}

/// A host and a port; whether there is such a host shows when it is listened on.
fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, such as 127.0.0.1:9464".to_owned()),
    }
}
