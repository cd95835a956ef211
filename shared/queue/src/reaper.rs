//! Returning expired leases, as every process that works on a queue does it.

use crate::{Queue, QueueError};

/// Leases returned in one call.
const REAPED_AT_ONCE: usize = 100;

/// Returns all leases that ran out, and logs whose they were; `by` names who does it.
///
/// # Errors
///
/// Only the general ones of [`Queue`]; what was returned before it stays so.
pub async fn reap_all(queue: &dyn Queue, by: &str) -> Result<(), QueueError> {
    loop {
        let reaped = queue.reap(REAPED_AT_ONCE).await?;
        for lease in &reaped.returned {
            tracing::warn!(task.id = %lease.task, generation = lease.generation, worker.id = by, holder = lease.worker, "a lease ran out or its process is gone, the task is pending again");
        }
        for lease in &reaped.dead {
            tracing::error!(task.id = %lease.task, generation = lease.generation, worker.id = by, holder = lease.worker, "task is dead: its leases ran out too often");
        }
        if !reaped.more {
            return Ok(());
        }
    }
}
