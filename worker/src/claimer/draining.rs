//! The end of the claim loop: nothing more is begun, and what is in hand is finished or handed back.

use std::time::Duration;

use super::{Work, Worker, WorkerError};
use crate::leases::Leases;
use crate::running::Running;

/// How long attempts that were told to stop may take to hand their tasks back.
const HAND_BACK: Duration = Duration::from_secs(10);

impl Worker {
    /// Lets running tasks finish within the grace, then has them hand back.
    pub(super) async fn drain(
        &self,
        work: &mut Work,
        leases: &Leases,
        running: &mut Running,
        at_once: bool,
    ) -> Result<(), WorkerError> {
        let mut result = Ok(());
        let grace = if at_once { Duration::ZERO } else { self.grace };
        let finish = self.finish(work, running, &mut result);
        if tokio::time::timeout(grace, finish).await.is_ok() {
            return result;
        }
        leases.cancel_all();
        let hand_back = self.finish(work, running, &mut result);
        if tokio::time::timeout(HAND_BACK, hand_back).await.is_err() {
            tracing::warn!(worker.id = %self.id, "some tasks could not be handed back; their leases will run out");
        }
        result
    }

    async fn finish(
        &self,
        work: &mut Work,
        running: &mut Running,
        result: &mut Result<(), WorkerError>,
    ) {
        let next = work.next.clone();
        next.hand_back(&*self.queue, &self.outages).await;
        while let Some((underway, ended)) = running.next().await {
            // The first failure decides; the others are handed back all the same.
            let ended = self.ended(work, &underway, ended);
            if result.is_ok() {
                *result = ended;
            }
            next.hand_back(&*self.queue, &self.outages).await;
        }
    }
}
