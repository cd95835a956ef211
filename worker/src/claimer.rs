//! The claim loop: as many tasks at once as it may, until its scope is finished or it is told to drain.

use std::sync::Arc;
use std::time::Duration;

use tapemill_lake::LakeError;
use tapemill_queue::{Claim, Lease, Queue, QueueError, TaskId, Wait, WorkerId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::Workshop;
use crate::leases::{Heartbeats, Leases, Pulse};
use crate::progress::{Board, TaskProgress};
use crate::selection::{Claimant, Remaining, Scope};
use crate::task::{Ending, Task};

/// How often expired leases are looked for.
const REAP_EVERY: Duration = Duration::from_secs(5);
const REAP_LIMIT: usize = 100;

/// How often the queue is asked whether the archive told another process to wait.
const HEED_EVERY: Duration = Duration::from_millis(500);

/// The longest a worker with free hands waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long attempts that were told to stop may take to hand their tasks back.
const HAND_BACK: Duration = Duration::from_secs(10);

/// A worker of this process.
pub struct Worker {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// What attempts need.
    pub workshop: Workshop,
    /// Its name in the queue.
    pub id: WorkerId,
    /// Tasks at once.
    pub tasks: usize,
    /// Length of a lease.
    pub lease: Duration,
    /// How long running tasks may take once draining has begun.
    pub grace: Duration,
    /// Which tasks it is for.
    pub scope: Scope,
    /// What others may watch.
    pub board: Arc<Board>,
    /// Fires when no more tasks are to be claimed.
    pub draining: CancellationToken,
}

/// Why a worker stopped, when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its scope is finished.
    Finished,
    /// It was told to drain.
    Drained,
}

/// Why a worker failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The output is full or may not be written; tasks in hand were handed back.
    #[error(transparent)]
    Disk(LakeError),
    /// The queue failed in a way that waiting does not heal.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The heartbeat thread cannot be started.
    #[error("cannot start the heartbeat thread: {0}")]
    Thread(std::io::Error),
}

type Ended = (TaskId, Result<Ending, QueueError>);

impl Worker {
    /// Works until the scope is finished or draining is done.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]; tasks in hand have been handed back where that was possible.
    pub async fn run(self) -> Result<Stopped, WorkerError> {
        let leases = Arc::new(Leases::default());
        let pulse = Pulse {
            queue: self.queue.clone(),
            worker: self.id.clone(),
            lease: self.lease,
            leases: leases.clone(),
            brake: self.workshop.brake.clone(),
            draining: self.draining.clone(),
        };
        let heartbeats = Heartbeats::start(pulse).map_err(WorkerError::Thread)?;
        let mut background = JoinSet::new();
        background.spawn(reap(self.queue.clone(), self.id.clone()));
        background.spawn(tell_brake(self.queue.clone(), self.workshop.clone()));
        background.spawn(heed_brake(self.queue.clone(), self.workshop.clone()));

        let mut running = JoinSet::new();
        let worked = self.work(&leases, &mut running).await;
        let drained = self.drain(&leases, &mut running, worked.is_err()).await;
        heartbeats.farewell().await;
        worked.and_then(|stopped| drained.map(|()| stopped))
    }

    /// Claims and works until nothing more is to be claimed.
    async fn work(
        &self,
        leases: &Arc<Leases>,
        running: &mut JoinSet<Ended>,
    ) -> Result<Stopped, WorkerError> {
        let mut remaining = Remaining::new(self.scope.clone());
        let mut last_hint = Wait::Ready;
        let claimant = Claimant {
            queue: &*self.queue,
            worker: &self.id,
            lease: self.lease,
        };
        loop {
            if self.draining.is_cancelled() {
                return Ok(Stopped::Drained);
            }
            let mut wait = ASK_AGAIN;
            let free = self.tasks.max(1).saturating_sub(running.len());
            if free > 0 {
                match remaining.claim(&claimant, free).await {
                    Ok((claims, _)) if !claims.is_empty() => {
                        claims
                            .into_iter()
                            .for_each(|claim| self.start(claim, leases, running));
                        continue;
                    }
                    Ok((_, hint)) => {
                        if hint == Wait::Paused && last_hint != Wait::Paused {
                            tracing::info!(worker.id = %self.id, "the queue is paused: `tapemill queue resume` goes on");
                        }
                        last_hint = hint;
                        wait = self.heed(hint);
                    }
                    Err(error) if error.retryable() => {
                        tracing::warn!(worker.id = %self.id, %error, "cannot claim, asking again");
                    }
                    Err(error) => return Err(error.into()),
                }
                if running.is_empty() {
                    match remaining.is_finished(&*self.queue).await {
                        Ok(true) => return Ok(Stopped::Finished),
                        Ok(false) => {}
                        Err(error) if error.retryable() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.draining.cancelled() => {}
                Some(ended) = running.join_next() => self.ended(ended, &mut remaining)?,
                () = tokio::time::sleep(wait), if free > 0 => {}
            }
        }
    }

    /// Lets running tasks finish within the grace, then has them hand back.
    async fn drain(
        &self,
        leases: &Leases,
        running: &mut JoinSet<Ended>,
        at_once: bool,
    ) -> Result<(), WorkerError> {
        let mut nothing = Remaining::new(Scope::Everything {
            exit_when_drained: false,
        });
        let mut result = Ok(());
        let grace = if at_once { Duration::ZERO } else { self.grace };
        let finish = async {
            while let Some(ended) = running.join_next().await {
                // The first failure decides; the others are handed back all the same.
                let ended = self.ended(ended, &mut nothing);
                if result.is_ok() {
                    result = ended;
                }
            }
        };
        if tokio::time::timeout(grace, finish).await.is_ok() {
            return result;
        }
        leases.cancel_all();
        let hand_back = async {
            while let Some(ended) = running.join_next().await {
                let ended = self.ended(ended, &mut nothing);
                if result.is_ok() {
                    result = ended;
                }
            }
        };
        if tokio::time::timeout(HAND_BACK, hand_back).await.is_err() {
            tracing::warn!(worker.id = %self.id, "some tasks could not be handed back; their leases will run out");
        }
        result
    }

    fn start(&self, claim: Claim, leases: &Arc<Leases>, running: &mut JoinSet<Ended>) {
        let progress = Arc::new(TaskProgress::default());
        let cancel = CancellationToken::new();
        // Of the highest level: whatever is filtered out, the lines that are left name their task.
        let span = tracing::error_span!(
            "task", task.id = %claim.task, generation = claim.generation, worker.id = %self.id, attempt = claim.attempt
        );
        tracing::debug!(parent: &span, "task claimed");
        let held = InHand::take(&claim, leases, &self.board, &progress, &cancel);
        let (queue, workshop) = (self.queue.clone(), self.workshop.clone());
        let work = async move {
            let task = Task {
                queue: &*queue,
                workshop: &workshop,
                lease: claim.lease(),
                claim: &claim,
            };
            let ended = task.run(&progress, &cancel).await;
            drop(held);
            (claim.task, ended)
        };
        running.spawn(work.instrument(span));
    }

    /// Counts what a task came to; an error when the whole worker must stop.
    fn ended(
        &self,
        ended: Result<Ended, tokio::task::JoinError>,
        remaining: &mut Remaining,
    ) -> Result<(), WorkerError> {
        let (task, ending) = match ended {
            Ok(ended) => ended,
            // Its lease runs out, and the attempt is repeated or given up as lost.
            Err(error) => {
                tracing::error!(worker.id = %self.id, %error, "a task panicked");
                return Ok(());
            }
        };
        match ending {
            Ok(Ending::Done { bytes, rows }) => self.board.count(|finished| {
                finished.done += 1;
                finished.bytes += bytes;
                finished.rows += rows;
            }),
            Ok(Ending::Missing) => self.board.count(|finished| finished.missing += 1),
            Ok(Ending::Dead) => self.board.count(|finished| finished.dead += 1),
            Ok(Ending::WillRepeat) => {
                self.board.count(|finished| finished.failed_attempts += 1);
                remaining.returned(task);
            }
            Ok(Ending::Released | Ending::Lost) => remaining.returned(task),
            Ok(Ending::Disk(error)) => return Err(WorkerError::Disk(error)),
            Ok(Ending::Outage(error)) => {
                tracing::warn!(task.id = %task, worker.id = %self.id, "task handed back: {error}");
                remaining.returned(task);
            }
            Err(error) if error.retryable() => {
                tracing::error!(task.id = %task, worker.id = %self.id, %error, "the queue was not told how the task ended");
                remaining.returned(task);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn heed(&self, hint: Wait) -> Duration {
        match hint {
            Wait::NotBefore(wait) => wait.min(ASK_AGAIN).max(Duration::from_millis(10)),
            Wait::Braked(wait) => {
                self.workshop.brake.obey(wait);
                wait.min(ASK_AGAIN)
            }
            Wait::Ready | Wait::Paused | Wait::Empty => ASK_AGAIN,
        }
    }
}

/// A task in hand: its lease is kept alive and its progress is shown until this is dropped, on a panic too.
struct InHand {
    lease: Lease,
    leases: Arc<Leases>,
    board: Arc<Board>,
}

impl InHand {
    fn take(
        claim: &Claim,
        leases: &Arc<Leases>,
        board: &Arc<Board>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Self {
        leases.hold(claim.lease(), progress.clone(), cancel.clone());
        board.begin(&claim.task, progress.clone());
        Self {
            lease: claim.lease(),
            leases: leases.clone(),
            board: board.clone(),
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.leases.let_go(&self.lease);
        self.board.end(&self.lease.task);
    }
}

/// Returns expired leases to the queue, for as long as the process works.
async fn reap(queue: Arc<dyn Queue>, worker: WorkerId) {
    loop {
        match queue.reap(REAP_LIMIT).await {
            Ok(reaped) => {
                for lease in &reaped.returned {
                    tracing::warn!(task.id = %lease.task, generation = lease.generation, worker.id = %worker, holder = lease.worker, "a lease ran out or its process is gone, the task is pending again");
                }
                for lease in &reaped.dead {
                    tracing::error!(task.id = %lease.task, generation = lease.generation, worker.id = %worker, holder = lease.worker, "task is dead: its leases ran out too often");
                }
                if reaped.more {
                    continue;
                }
            }
            Err(error) => {
                tracing::warn!(worker.id = %worker, %error, "cannot look for expired leases")
            }
        }
        tokio::time::sleep(REAP_EVERY).await;
    }
}

/// Heeds what another process was told by the archive: heartbeats are too far apart for a wait of seconds.
async fn heed_brake(queue: Arc<dyn Queue>, workshop: Workshop) {
    loop {
        tokio::time::sleep(HEED_EVERY).await;
        // A queue that does not answer is told by the calls that need it.
        if let Ok(stats) = queue.stats().await
            && let Some(brake) = stats.brake
        {
            workshop.brake.obey(brake);
        }
    }
}

/// Tells the queue when the archive asks for fewer requests, so that all its workers heed it.
async fn tell_brake(queue: Arc<dyn Queue>, workshop: Workshop) {
    loop {
        let hold = workshop.brake.news().await;
        tracing::warn!(
            seconds = hold.as_secs_f64().ceil(),
            "the archive asks for fewer requests: all workers of the queue wait"
        );
        if let Err(error) = queue.brake(hold).await {
            tracing::warn!(%error, "cannot tell the other workers");
        }
    }
}
