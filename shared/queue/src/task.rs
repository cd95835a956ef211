//! Tasks: what is planned, and what is known of it.

use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Progress;

/// A task's name; it derives from what the task is, so planning it twice adds nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(String);

impl TaskId {
    /// Names a task, as in `um/aggTrades/BTCUSDT/2024-01`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TaskId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// May be claimed, now or from its `not_before` on.
    Pending,
    /// A worker holds it; a crash leaves it here until it is reaped.
    Leased,
    /// Finished; only an enqueue with `reopen` moves it on.
    Done,
    /// Finished: the archive has no such file. Moves on like `Done`.
    Missing,
    /// Given up, with its history; only a retry moves it on.
    Dead,
}

impl TaskState {
    /// Every state, in the order of [`StateCounts`](crate::StateCounts).
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Leased,
        Self::Done,
        Self::Missing,
        Self::Dead,
    ];

    /// The word used in output and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Missing => "missing",
            Self::Dead => "dead",
        }
    }

    /// The position in [`TaskState::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether nothing more will happen to the task by itself.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::Missing | Self::Dead)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no task state.
#[derive(Debug, thiserror::Error)]
#[error("no task state is called {0:?}: use pending, leased, done, missing or dead")]
pub struct UnknownState(String);

impl FromStr for TaskState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        let named = Self::ALL.into_iter().find(|state| state.as_str() == word);
        named.ok_or_else(|| UnknownState(word.to_owned()))
    }
}

/// A task to plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its name.
    pub id: TaskId,
    /// What it is counted under.
    pub dataset: String,
    /// Goes before all tasks that are not.
    pub urgent: bool,
    /// Larger is newer, and goes earlier; cut to [`MAX_RANK`](crate::limits::MAX_RANK).
    pub rank: i64,
    /// Size of the archive.
    pub bytes: u64,
    /// What the worker needs to know, opaque here; at most
    /// [`MAX_SPEC_BYTES`](crate::limits::MAX_SPEC_BYTES).
    pub spec: String,
    /// Tasks this one makes needless: they are removed, and a holder hears `Cancelled`.
    pub replaces: Vec<TaskId>,
    /// A done or missing task becomes pending again, with fresh budgets.
    pub reopen: bool,
    /// Already finished elsewhere, with this summary: an absent, pending or missing task becomes
    /// done. Wins over `reopen`.
    pub done: Option<String>,
}

impl NewTask {
    /// A plain pending task, neither urgent nor ranked.
    pub fn new(id: impl Into<String>, dataset: impl Into<String>) -> Self {
        Self {
            id: TaskId::new(id),
            dataset: dataset.into(),
            urgent: false,
            rank: 0,
            bytes: 0,
            spec: String::new(),
            replaces: Vec::new(),
            reopen: false,
            done: None,
        }
    }
}

/// What an enqueue changed, in tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// New and pending.
    pub created: u64,
    /// Done or missing before, pending now.
    pub reopened: u64,
    /// Recorded as done without having been worked on.
    pub adopted: u64,
    /// In the state they were in; a pending one may have new bytes, spec or order.
    pub unchanged: u64,
    /// Removed because another task replaces them.
    pub replaced: u64,
}

impl AddAssign for Enqueued {
    fn add_assign(&mut self, more: Self) {
        self.created += more.created;
        self.reopened += more.reopened;
        self.adopted += more.adopted;
        self.unchanged += more.unchanged;
        self.replaced += more.replaced;
    }
}

/// How much trouble a task may have before it is dead. Each counts on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Attempts that may fail: the last of them kills the task.
    pub attempts: u32,
    /// Leases that may run out: the last of them kills the task.
    pub expiries: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            attempts: 5,
            expiries: 5,
        }
    }
}

/// How a troubled attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// The worker reported a failure.
    Failed,
    /// The lease ran out, or its process was gone.
    Expired,
    /// Someone cancelled the task.
    Cancelled,
}

impl AttemptOutcome {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One attempt that had trouble. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The generation of its lease.
    pub generation: u64,
    /// Who held it.
    pub worker: String,
    /// When it was claimed.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// A short code.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// All that is known of a task. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRecord {
    /// Its name.
    pub id: TaskId,
    /// What it is counted under.
    pub dataset: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// Of the latest claim; 0 before the first.
    pub generation: u64,
    /// Attempts that failed since its budget was fresh, and the one that runs or finished it.
    pub attempts: u32,
    /// Leases that ran out since its budget was fresh.
    pub expiries: u32,
    /// Pending, and not to be claimed before this time.
    pub not_before_ms: Option<i64>,
    /// Of the last trouble, a short code.
    pub reason: Option<String>,
    /// Of the last trouble, for people.
    pub message: Option<String>,
    /// As planned.
    pub spec: String,
    /// Size of the archive.
    pub bytes: u64,
    /// What the worker brought back.
    pub summary: Option<String>,
    /// Of the attempt that runs.
    pub progress: Option<Progress>,
    /// Who holds it.
    pub worker: Option<String>,
    /// The last attempts that had trouble, oldest first.
    pub history: Vec<Attempt>,
}

/// Which tasks to list; absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In this state.
    pub state: Option<TaskState>,
    /// Of this dataset.
    pub dataset: Option<String>,
    /// With an id that starts like this.
    pub id_prefix: Option<String>,
}

/// Part of a list, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<TaskRecord>,
    /// Hand this back for the next part; absent at the end.
    pub next: Option<String>,
}
