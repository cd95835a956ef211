//! What a worker does beside its tasks, for as long as it works.

use std::sync::Arc;
use std::time::Duration;

use tapemill_queue::{Queue, WorkerId, reap_all};
use tapemill_runtime::{Health, Outage, Outages, Ticker};
use tokio::task::JoinSet;

use crate::attempt::Workshop;

/// How often expired leases are looked for.
const REAP_EVERY: Duration = Duration::from_secs(3);

/// How often the queue is asked whether the archive told another process to wait.
const HEED_EVERY: Duration = Duration::from_millis(500);

/// The longest a loop may go without a turn: a call to the store at the end of its patience, or a wait for its end.
pub(crate) const LONGEST_TURN: Duration = Duration::from_secs(60);

/// Starts them; they end when the set is dropped.
pub(crate) fn start(
    queue: &Arc<dyn Queue>,
    worker: &WorkerId,
    workshop: &Workshop,
    health: &Health,
    outages: &Outages,
) -> JoinSet<()> {
    let mut background = JoinSet::new();
    let watch = |name| health.watch(name, LONGEST_TURN);
    background.spawn(reap(
        queue.clone(),
        worker.clone(),
        outages.caller(),
        watch("reap"),
    ));
    background.spawn(tell_brake(
        queue.clone(),
        workshop.clone(),
        outages.caller(),
    ));
    background.spawn(heed_brake(
        queue.clone(),
        workshop.clone(),
        outages.caller(),
        watch("brake"),
    ));
    background
}

/// Returns expired leases to the queue.
async fn reap(queue: Arc<dyn Queue>, worker: WorkerId, mut outage: Outage, ticker: Ticker) {
    loop {
        ticker.tick();
        let wait = match reap_all(&*queue, worker.as_str()).await {
            Ok(()) => {
                outage.answered();
                REAP_EVERY
            }
            Err(error) => outage.failed(&error),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Heeds what another process was told by the archive: heartbeats are too far apart for a wait of seconds.
async fn heed_brake(queue: Arc<dyn Queue>, workshop: Workshop, mut outage: Outage, ticker: Ticker) {
    let mut wait = HEED_EVERY;
    loop {
        tokio::time::sleep(wait).await;
        ticker.tick();
        wait = match queue.brake_left().await {
            Ok(left) => {
                outage.answered();
                if let Some(left) = left {
                    workshop.brake.obey(left);
                }
                HEED_EVERY
            }
            Err(error) => outage.failed(&error),
        };
    }
}

/// Tells the queue when the archive asks for fewer requests, so that all its workers heed it.
async fn tell_brake(queue: Arc<dyn Queue>, workshop: Workshop, mut outage: Outage) {
    loop {
        let hold = workshop.brake.news().await;
        tracing::warn!(
            seconds = hold.as_secs_f64().ceil(),
            "the archive asks for fewer requests: all workers of the queue wait"
        );
        // What is left of it is all that the others need to know.
        while let left = workshop.brake.remaining()
            && !left.is_zero()
        {
            match queue.brake(left).await {
                Ok(()) => {
                    outage.answered();
                    break;
                }
                Err(error) => tokio::time::sleep(outage.failed(&error)).await,
            }
        }
    }
}
