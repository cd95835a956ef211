//! What `live` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tapemill_market::Market;
use tapemill_runtime::values;

use super::{ListenArgs, OutputArgs, RestArgs};

/// `live`.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// um (USD-M futures), cm (COIN-M futures) or spot
    #[arg(
        long,
        default_value = "um",
        env = "TAPEMILL_MARKET",
        help_heading = "Selection"
    )]
    pub market: Market,
    /// Symbols: a list, @FILE (one a line, or CSV with a symbol column), or all that are traded
    #[arg(
        long,
        alias = "symbol",
        value_name = "LIST",
        default_value = "BTCUSDT",
        env = "TAPEMILL_SYMBOLS",
        help_heading = "Selection"
    )]
    pub symbols: String,
    /// Streams of each: depth@100ms, aggTrade, trade, bookTicker, markPrice@1s, kline_1m, forceOrder
    #[arg(
        long,
        value_name = "LIST",
        default_value = "depth@100ms,aggTrade",
        env = "TAPEMILL_STREAMS",
        help_heading = "Selection"
    )]
    pub streams: String,
    /// How rows are stored: parquet, one file a dataset and flush, or jsonl, one a dataset and day
    #[arg(
        long,
        alias = "sink-format",
        value_name = "FORMAT",
        default_value = "parquet",
        value_parser = ["parquet", "jsonl"],
        env = "TAPEMILL_SINK",
        help_heading = "Output"
    )]
    pub sink: String,
    /// Store rows at least so often: seconds, or a time such as 500ms
    #[arg(long, value_name = "TIME", default_value = "5", value_parser = some_time, env = "TAPEMILL_FLUSH_INTERVAL", help_heading = "Output")]
    pub flush_interval: Duration,
    /// And where so many rows of a symbol are held, over all symbols
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000), env = "TAPEMILL_MAX_BATCH_SIZE", help_heading = "Output")]
    pub max_batch_size: u32,
    /// Rows in memory come to at most about this; with more, nothing is read until some are stored
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = values::bytes, env = "TAPEMILL_MAX_BUFFER", help_heading = "Output")]
    pub max_buffer: u64,
    /// Levels of each side of a snapshot
    #[arg(long, value_name = "LEVELS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(5..=5_000), env = "TAPEMILL_DEPTH_LIMIT", help_heading = "Source")]
    pub depth_limit: u32,
    /// Ask for a fresh snapshot of each book about so often: a day that has one can be rebuilt by itself
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = some_time, env = "TAPEMILL_SNAPSHOT_EVERY", help_heading = "Source")]
    pub snapshot_every: Duration,
    /// Ids that a book's updates may jump over without a new snapshot; the exchange's own rule is 0
    #[arg(
        long,
        value_name = "IDS",
        default_value_t = 0,
        env = "TAPEMILL_MAX_UPDATE_GAP",
        help_heading = "Source"
    )]
    pub max_update_gap: u32,
    /// The streams' address: scheme, host and port [default: the exchange's own]
    #[arg(long, value_name = "URL", env = "TAPEMILL_WS", help_heading = "Source")]
    pub ws: Option<String>,
    /// The longest wait for an answer of the REST interface
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = some_time, env = "TAPEMILL_HTTP_TIMEOUT", help_heading = "Source")]
    pub http_timeout: Duration,
    /// The wait before the second try to connect; it doubles with each
    #[arg(long, value_name = "TIME", default_value = "2", value_parser = some_time, env = "TAPEMILL_BACKOFF", help_heading = "Source")]
    pub backoff: Duration,
    /// The longest such wait
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = some_time, env = "TAPEMILL_MAX_BACKOFF", help_heading = "Source")]
    pub max_backoff: Duration,
    /// A stream that brings nothing for so long, while its symbol trades, is connected anew
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_time, env = "TAPEMILL_SILENT_AFTER", help_heading = "Source")]
    pub silent_after: Duration,
    /// Replace a connection after about so long; the exchange ends it after a day
    #[arg(long, value_name = "TIME", default_value = "23h", value_parser = some_time, env = "TAPEMILL_ROTATE_AFTER", help_heading = "Source")]
    pub rotate_after: Duration,
    /// How long its successor may take until it brings the same
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_time, env = "TAPEMILL_OVERLAP", help_heading = "Source")]
    pub overlap: Duration,
    /// Each stream by two connections; what comes twice is stored once
    #[arg(long, env = "TAPEMILL_REDUNDANT", help_heading = "Source")]
    pub redundant: bool,
    /// Share the symbols with other collectors by leases in a queue beside this one; without it all are collected here
    #[arg(
        long,
        value_name = "URL",
        env = "TAPEMILL_QUEUE",
        help_heading = "Sharing"
    )]
    pub queue: Option<String>,
    /// How long a lease lasts without a heartbeat: after so long another collector takes over
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::work::lease, env = "TAPEMILL_LEASE", help_heading = "Sharing")]
    pub lease: Duration,
    /// Collect at most so many symbols here
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), env = "TAPEMILL_MOST_SYMBOLS", help_heading = "Sharing")]
    pub most_symbols: Option<u32>,
    /// What this collector's name begins with [default: the host's name]
    #[arg(
        long,
        value_name = "NAME",
        env = "TAPEMILL_NAME",
        help_heading = "Sharing"
    )]
    pub name: Option<String>,
    /// End after so long [default: when told to]
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub run_for: Option<Duration>,
    /// The folder, as older collectors name it
    #[arg(long, value_name = "DIR", hide = true)]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub rest: RestArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Seconds, as older collectors take them, or a time with its unit; not nothing.
fn some_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("{text:?} is no number of seconds"))?,
        Err(_) => values::duration(text).map_err(|error| error.to_string())?,
    };
    match time.as_millis() {
        0 => Err("at least 1ms".to_owned()),
        _ => Ok(time),
    }
}
