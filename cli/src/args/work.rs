//! The queue, and how tasks are worked on.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use tapemill_runtime::values;

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

/// A cap of nothing would wait for ever.
pub(super) fn bytes_per_second(text: &str) -> Result<NonZeroU64, String> {
    let bytes = values::bytes(text).map_err(|error| error.to_string())?;
    NonZeroU64::new(bytes).ok_or_else(|| "at least 1 byte a second".to_owned())
}

/// A lease shorter than its heartbeats can be sent, or longer than anyone waits for a dead worker, is a mistake.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
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
