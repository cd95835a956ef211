//! Workers: who holds leases, and what they say of themselves.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::cut;
use crate::{Lease, TaskId};

/// A worker's name, never used twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(String);

impl WorkerId {
    /// A fresh name: host, process and a random part.
    #[must_use]
    pub fn fresh() -> Self {
        Self::named(&rustix::system::uname().nodename().to_string_lossy())
    }

    /// A fresh name that starts with `name` instead of the host, cut to 64 bytes.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name = cut(name, 64);
        Self(format!(
            "{name}-{}-{}",
            std::process::id(),
            Uuid::new_v4().simple()
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a silent worker stays in the list: two leases, and at least a minute.
pub(crate) fn remembered(lease: Duration) -> Duration {
    lease.saturating_mul(2).max(Duration::from_secs(60))
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Waits for tasks.
    Idle,
    /// Works.
    Busy,
    /// Finishes what it holds and claims no more. One that holds nothing is leaving: such a
    /// heartbeat is its last, and its record goes.
    Draining,
}

impl WorkerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Busy, Self::Draining];

    /// Its place in [`WorkerState::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The word that stores keep; an unknown one is of a release that knows more.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "idle" => Self::Idle,
            "draining" => Self::Draining,
            _ => Self::Busy,
        }
    }

    /// The word used in output and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes of the archive read.
    pub bytes: u64,
    /// Its size; 0 while unknown.
    pub bytes_total: u64,
    /// Rows read.
    pub rows: u64,
}

/// One lease in a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// What is held.
    pub lease: Lease,
    /// How far it has come.
    pub progress: Progress,
}

impl Beat {
    /// Extends `lease`, and tells how far its attempt has come.
    #[must_use]
    pub fn new(lease: &Lease, progress: Progress) -> Self {
        Self {
            lease: lease.clone(),
            progress,
        }
    }
}

/// Extends all leases of a worker.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatRequest<'a> {
    /// Who beats.
    pub worker: &'a WorkerId,
    /// What it is doing.
    pub state: WorkerState,
    /// How long the leases last from now on.
    pub lease: Duration,
    /// All it holds; at most [`MAX_BEATS`](crate::limits::MAX_BEATS).
    pub beats: &'a [Beat],
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// Leases no longer held: stop these attempts, and write nothing.
    pub lost: Vec<(TaskId, LostReason)>,
    /// The queue is paused: claims will be refused.
    pub paused: bool,
    /// Every worker is to slow down for this long.
    pub brake: Option<Duration>,
}

/// Why a lease is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// It ended, or another attempt has begun.
    Reclaimed,
    /// The task was cancelled, or replaced by another.
    Cancelled,
    /// The task is finished.
    Finished,
}

/// A worker that was heard of lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerRecord {
    /// Its name.
    pub id: String,
    /// What it said it is doing.
    pub state: WorkerState,
    /// What it holds.
    pub tasks: Vec<WorkingOn>,
    /// Since its last heartbeat.
    pub seen_ago: Duration,
}

/// A task in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkingOn {
    /// The task.
    pub task: TaskId,
    /// Of the lease.
    pub generation: u64,
    /// How far the attempt has come.
    pub progress: Progress,
    /// Since it was claimed.
    pub held_for: Duration,
}
