//! What a run of chaos is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::Kind;

/// Kills, stops, cuts off and slows processes by a schedule that a seed decides, and judges what they made.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos", max_term_width = 110)]
pub struct ChaosOptions {
    /// Decides the schedule
    #[arg(long)]
    pub seed: u64,
    /// Archives to mill
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub tasks: u32,
    /// For how long there is trouble, in seconds; the archive is as slow as it takes
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub seconds: u32,
    /// Where the queue is
    #[arg(long, default_value = "redis")]
    pub store: Store,
    /// Where the tables go
    #[arg(long, default_value = "local")]
    pub output: Output,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub workers: u32,
    /// Coordinator processes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    pub coordinators: u32,
    /// A worker is killed (-9) this often, in seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub kill_every: u32,
    /// How often Redis is killed (-9) and started again
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub redis_kills: u32,
    /// No other trouble than kills
    #[arg(long)]
    pub only_kills: bool,
    /// Only this other trouble
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub only: Vec<Kind>,
    /// Not this other trouble
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub without: Vec<Kind>,
    /// Seconds of a lease
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub lease: u32,
    /// Gives up when the tasks are not finished so long after the trouble
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub minutes: u32,
    /// Keeps the logs of all processes in this folder [default: a temporary one, kept after a failure]
    #[arg(long, value_name = "PATH")]
    pub logs: Option<PathBuf>,
    /// Prints the schedule, and runs nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Where the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// One Redis with an append-only file, `everysec`.
    Redis,
    /// A file beside the output.
    Sqlite,
}

/// Where the tables go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A folder.
    Local,
    /// A bucket.
    S3,
}

impl ChaosOptions {
    /// The defaults.
    pub fn new(seed: u64) -> Self {
        Self::parse_from(["chaos", "--seed", &seed.to_string()])
    }

    /// For how long there is trouble.
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// How often Redis is killed, where there is one.
    pub fn redis_kills(&self) -> u32 {
        match self.store {
            Store::Redis => self.redis_kills,
            Store::Sqlite => 0,
        }
    }

    /// The kinds of other trouble that may come.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.only_kills {
            return Vec::new();
        }
        let wanted = |kind: &Kind| {
            (self.only.is_empty() || self.only.contains(kind)) && !self.without.contains(kind)
        };
        let can_be = |kind: &Kind| kind.can_be(self.store, self.output);
        let all = Kind::value_variants().iter().copied();
        all.filter(can_be).filter(wanted).collect()
    }
}
