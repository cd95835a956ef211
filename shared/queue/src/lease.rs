//! Leases: the time-bound right to work on a task, and how it ends.

use std::time::Duration;

use uuid::Uuid;

use crate::{TaskId, WorkerId};

/// The right to work on a task. The generation fences off earlier holders, and the claim's request
/// those that a store forgot: one that lost its last second may give a generation out again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Raised by each claim.
    pub generation: u64,
    /// Of the claim that took it, see [`ClaimRequest::request`].
    pub request: Uuid,
}

/// Asks for tasks.
#[derive(Debug, Clone, Copy)]
pub struct ClaimRequest<'a> {
    /// Who asks.
    pub worker: &'a WorkerId,
    /// Fresh for each claim, the same when a claim is repeated after its answer was lost.
    pub request: Uuid,
    /// The most tasks wanted.
    pub limit: usize,
    /// How long the leases last without a heartbeat.
    pub lease: Duration,
    /// Only these, in this order; at most [`MAX_ONLY`](crate::limits::MAX_ONLY).
    pub only: Option<&'a [TaskId]>,
}

/// A task to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub task: TaskId,
    /// What it is counted under.
    pub dataset: String,
    /// Of this lease.
    pub generation: u64,
    /// Of the claim that this answers.
    pub request: Uuid,
    /// Counts from 1 since the task's budget was fresh; a lease that ran out costs none.
    pub attempt: u32,
    /// Time left until the lease may be reaped. Measure it with a clock that only moves forward.
    pub deadline_in: Duration,
    /// Size of the archive.
    pub bytes: u64,
    /// As planned.
    pub spec: String,
}

impl Claim {
    /// What the holder names in every later call.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease {
            task: self.task.clone(),
            generation: self.generation,
            request: self.request,
        }
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The tasks now held, in their order.
    pub claims: Vec<Claim>,
    /// What to do next.
    pub wait: Wait,
}

/// The answer to a completion that claims what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedAndClaimed {
    /// Whether the completion was accepted; if not, the lease was lost.
    pub accepted: bool,
    /// The tasks now held, whether it was or not.
    pub claimed: Claimed,
}

/// Whether to ask for tasks again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// At once, if more are wanted.
    Ready,
    /// The queue is paused.
    Paused,
    /// Every worker is to slow down for this long.
    Braked(Duration),
    /// The next task may be claimed after this long.
    NotBefore(Duration),
    /// Nothing is pending; what is leased may still come back.
    Empty,
}

/// How a task was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its output is published.
    Done,
    /// The archive has no such file.
    Missing,
}

/// What a finished task brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// How it was finished.
    pub outcome: Outcome,
    /// Opaque here; at most [`MAX_SUMMARY_BYTES`](crate::limits::MAX_SUMMARY_BYTES).
    pub summary: String,
    /// Rows read, for the rate.
    pub rows: u64,
    /// Bytes read, for the rate.
    pub bytes: u64,
}

/// Why an attempt ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A short code, cut to [`MAX_REASON_BYTES`](crate::limits::MAX_REASON_BYTES).
    pub reason: String,
    /// For people, cut to [`MAX_MESSAGE_BYTES`](crate::limits::MAX_MESSAGE_BYTES).
    pub message: String,
    /// Whether another attempt makes sense.
    pub retry: Retry,
}

/// What becomes of a task whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Pending again after this long, while its budget lasts.
    After(Duration),
    /// Dead at once.
    Final,
}

/// What a reap did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Their tasks are pending again.
    pub returned: Vec<Expired>,
    /// Their tasks are dead: the budget of expiries is spent.
    pub dead: Vec<Expired>,
    /// More leases have run out than the limit allowed.
    pub more: bool,
}

/// A lease that ended without its holder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expired {
    /// The task.
    pub task: TaskId,
    /// Of the lease.
    pub generation: u64,
    /// Who held it.
    pub worker: String,
}
