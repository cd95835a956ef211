//! The queue in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Tasks, and the size of their archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many.
    pub tasks: u64,
    /// Of archives, as planned.
    pub bytes: u64,
}

/// One count per state, in the order of [`TaskState::ALL`](crate::TaskState::ALL).
pub type StateCounts = [Count; 5];

/// The queue in numbers, at a cost that does not grow with its tasks or leases.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Claims are refused until someone resumes.
    pub paused: bool,
    /// Claims are refused for this long.
    pub brake: Option<Duration>,
    /// Counts of each dataset that has tasks.
    pub datasets: BTreeMap<String, StateCounts>,
    /// Over completions of the last [`RATE_WINDOW`]; 0 when there were none.
    pub rows_per_second: f64,
    /// Likewise, of bytes the workers read.
    pub bytes_per_second: f64,
    /// How long the oldest claimable task has waited.
    pub oldest_pending_age: Option<Duration>,
    /// How long the oldest attempt has run.
    pub oldest_lease_age: Option<Duration>,
    /// Completions accepted since the queue was made or cleared; a repeated one counts once.
    pub completions: u64,
    /// What the store takes, on disk or in memory.
    pub store_bytes: u64,
    /// Workers heard of lately, in the order of [`WorkerState::ALL`](crate::WorkerState::ALL).
    pub workers: [u64; 3],
}

/// What counts as recent for a rate.
pub const RATE_WINDOW: Duration = Duration::from_secs(300);

/// Completions are summed in slots of this length.
pub(crate) const RATE_SLOT: Duration = Duration::from_secs(10);

impl Stats {
    /// The counts of all datasets together.
    #[must_use]
    pub fn totals(&self) -> StateCounts {
        let mut totals = StateCounts::default();
        for counts in self.datasets.values() {
            for (total, count) in totals.iter_mut().zip(counts) {
                total.tasks += count.tasks;
                total.bytes += count.bytes;
            }
        }
        totals
    }
}
