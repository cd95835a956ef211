//! The task queue: leases with generations, one trait, its backends and their conformance suite.
//!
//! ```text
//!                 claim (generation + 1)              complete
//!   enqueue ─▶ pending ───────────────────▶ leased ─────────────▶ done | missing
//!                 ▲   ◀── release, fail ──────┤                        │
//!                 │   ◀── reap (lease over) ──┤                        │ enqueue with `reopen`
//!                 │                           │ final failure, budget  │
//!                 │                           ▼ spent, cancel          │
//!                 ├─────────── retry ─────── dead                      │
//!                 └────────────────────────────────────────────────────┘
//! ```
//!
//! * **The promise**: at least once; at most one accepted completion per task; a stale holder is
//!   always refused and told. A holder is stale when its lease was reaped, cancelled or replaced;
//!   one that is late but not yet reaped still holds.
//! * **Who calls what**: planners `enqueue`; workers `claim`, `heartbeat`, `confirm` before they
//!   publish, then `complete`, `fail` or `release`; any process may `reap`.
//! * **Time** is the store's clock; no caller compares its own with a deadline of the store.
//! * **Of markets it knows nothing**: a task carries an opaque `spec`, and comes back with an
//!   opaque `summary`.
//!
//! [`SqliteQueue`] is the backend for one machine, [`RedisQueue`] the one for many. Every backend passes the suite in
//! `conformance` (feature of the same name) as it is.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod lease;
pub mod limits;
mod metered;
mod open;
mod queue;
mod reaper;
mod reasons;
pub mod redis;
mod settings;
pub mod sqlite;
mod stats;
mod task;
mod weight;
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{BoxError, QueueError};
pub use lease::{
    Claim, ClaimRequest, Claimed, CompletedAndClaimed, Completion, Expired, Failure, Lease,
    Outcome, Reaped, Retry, Wait,
};
pub use metered::{Calls, Meter};
pub use open::{open, open_existing, queues, shown};
pub use queue::Queue;
pub use reaper::reap_all;
pub use redis::RedisQueue;
pub use sqlite::SqliteQueue;
pub use stats::{Count, RATE_WINDOW, StateCounts, Stats};
pub use task::{
    Attempt, AttemptOutcome, Budgets, Enqueued, NewTask, Page, TaskFilter, TaskId, TaskRecord,
    TaskState, UnknownState,
};
pub use weight::HostWeight;
pub use worker::{
    Beat, HeartbeatReply, HeartbeatRequest, LostReason, Progress, WorkerId, WorkerRecord,
    WorkerState, WorkingOn,
};
