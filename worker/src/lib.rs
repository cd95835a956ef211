//! Claims tasks, streams archives into tables, publishes them.
//!
//! ```text
//! claim ─► transfer ─► SHA-256 ─► unzip ─► parse ─► minutes ─► hours ─► Parquet ─► confirm ─► publish ─► complete
//!          resumes       └ one thread per task, chunk by chunk ┘          staged     the lease  rename
//! ```
//!
//! A [`Worker`] holds no state of its own: kill it anywhere, and its leases return to the queue. Nothing is visible
//! before `publish`, and what is published has a name and bytes that depend on the archive alone.

mod attempt;
mod background;
mod claimer;
mod corrupt;
mod handover;
mod keep;
mod leases;
mod live;
mod loss;
mod metrics;
mod milling;
mod mills;
mod next;
mod progress;
mod reading;
mod rest;
mod running;
mod selection;
mod settle;
mod task;
mod unzip;

pub use attempt::{AttemptError, Verdict, Workshop};
pub use claimer::{Stopped, Worker, WorkerError};
pub use corrupt::Corrupt;
pub use metrics::WorkerMetrics;
pub use progress::{Board, Finished, TaskProgress};
pub use rest::{OwnWeights, QueueWeights};
pub use selection::Scope;
