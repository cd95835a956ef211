//! Waits that the archive asks for while it is listed: they hold the workers of the queue, and theirs hold the listing.

use std::time::Duration;

use tapemill_archive::Brake;
use tapemill_queue::Queue;

/// How often the queue is asked whether the archive told another process to wait.
const HEED_EVERY: Duration = Duration::from_millis(500);

/// Does the work, which sends requests to the archive, in step with the other processes of the queue.
///
/// A queue that does not answer is no hindrance: the calls that need it tell.
pub async fn in_step<T>(queue: &dyn Queue, brake: &Brake, work: impl Future<Output = T>) -> T {
    heed(queue, brake).await;
    let heeding = async {
        loop {
            tokio::time::sleep(HEED_EVERY).await;
            heed(queue, brake).await;
        }
    };
    let telling = async {
        loop {
            let hold = brake.news().await;
            tracing::warn!(
                seconds = hold.as_secs_f64().ceil(),
                "the archive asks for fewer requests: all workers of the queue wait"
            );
            tell(queue, hold).await;
        }
    };
    let result = tokio::select! {
        biased;
        result = work => result,
        never = telling => never,
        never = heeding => never,
    };
    // Work that failed by a refusal may be over before that was told. A wait known already is not made longer.
    let left = brake.remaining();
    if !left.is_zero() {
        tell(queue, left).await;
    }
    result
}

async fn tell(queue: &dyn Queue, hold: Duration) {
    if let Err(error) = queue.brake(hold).await {
        tracing::warn!(%error, "cannot tell the other workers");
    }
}

async fn heed(queue: &dyn Queue, brake: &Brake) {
    if let Ok(Some(left)) = queue.brake_left().await {
        brake.obey(left);
    }
}
