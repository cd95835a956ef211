//! What each command takes.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tapemill_runtime::values;

use super::work::bytes_per_second;
use super::{
    AskingArgs, ListenArgs, OutputArgs, QueueArgs, ReplanArgs, RestArgs, SelectionArgs, ShapeArgs,
    SourceArgs, WorkArgs,
};

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
    /// Mill again what was published anew with the size it had
    #[arg(long, conflicts_with = "rest_only", help_heading = "Work")]
    pub refresh: bool,
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
    pub rest: RestArgs,
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
    pub rest: RestArgs,
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
    pub rest: RestArgs,
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
    pub rest: RestArgs,
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
    /// Also ask the exchange what it says of each market's symbols (since when, until when, by which rules), and write
    /// symbols_info.json beside the reports
    #[arg(long)]
    pub info: bool,
    /// Print the symbols that had archives of this day, YYYY-MM-DD, as the last scan found them; asks nothing
    #[arg(long, value_name = "DATE", conflicts_with_all = ["test", "refresh", "info"])]
    pub on: Option<jiff::civil::Date>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// List the archive again, and print what was published anew or withdrawn since it was milled
    #[arg(long, conflicts_with = "summary")]
    pub changes: bool,
    /// Look again and again: a full screen on a terminal, else one status after the other; q or Ctrl-C ends it
    #[arg(long, conflicts_with_all = ["changes", "summary"])]
    pub watch: bool,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration, requires = "watch")]
    pub every: Duration,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub queue: QueueArgs,
    /// Count symbols and the bytes of the output too: walks through all tasks, and lists the output
    #[arg(long)]
    pub summary: bool,
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
