//! The claim loop: as many tasks at once as it may, until its scope is finished or it is told to drain.

mod draining;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapemill_lake::LakeError;
use tapemill_queue::{Claim, Queue, QueueError, Wait, WorkerId};
use tapemill_runtime::{Health, Outage, Outages};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::Workshop;
use crate::background::{self, LONGEST_TURN};
use crate::leases::{Heartbeats, Leases, Pulse};
use crate::loss::{LOST, Loss};
use crate::metrics::WorkerMetrics;
use crate::next::Next;
use crate::progress::{Board, TaskProgress};
use crate::running::{Ended, InHand, Running, Underway};
use crate::selection::{Claimant, Remaining, Scope};
use crate::task::{Ending, Task};

/// The longest a worker waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a worker that ends when the queue is drained waits at least for a lost queue to be planned again.
const PLANNED_AGAIN: Duration = Duration::from_secs(30);

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
    /// What it counts.
    pub metrics: WorkerMetrics,
    /// Of the process.
    pub health: Health,
    /// Of the queue.
    pub outages: Outages,
    /// Fires when no more tasks are to be claimed.
    pub draining: CancellationToken,
}

/// Why a worker stopped, when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its scope is finished; of a selection, tasks that are gone from the queue count as finished.
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
    /// The queue came back empty, and nobody planned it again.
    #[error("{LOST}: nobody did")]
    Lost,
    /// The heartbeat thread cannot be started.
    #[error("cannot start the heartbeat thread: {0}")]
    Thread(std::io::Error),
}

/// What the claim loop carries from turn to turn.
struct Work {
    remaining: Remaining,
    next: Arc<Next>,
    loss: Loss,
    last_hint: Wait,
    /// Of the claims.
    queue: Outage,
    /// Of the output; while it lasts, one task at a time finds out whether it is over.
    output: Outage,
    /// Nothing is claimed before this.
    hold: Option<Instant>,
}

impl Work {
    /// Whether nothing is to be claimed yet.
    fn is_held(&self) -> bool {
        self.hold.is_some_and(|until| Instant::now() < until)
    }
}

/// What a turn of the claim loop came to.
enum Turn {
    Claimed(Vec<Claim>),
    Wait(Duration),
    Finished,
}

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
            metrics: self.metrics.clone(),
            ticker: self.health.watch("heartbeat", self.lease + LONGEST_TURN),
            outage: self.outages.caller(),
        };
        let heartbeats = Heartbeats::start(pulse).map_err(WorkerError::Thread)?;
        let _background = background::start(
            &self.queue,
            &self.id,
            &self.workshop,
            &self.health,
            &self.outages,
        );
        let mut running = Running::default();
        let mut work = self.begin();
        let worked = self.work(&mut work, &leases, &mut running).await;
        let at_once = worked.is_err();
        let drained = self.drain(&mut work, &leases, &mut running, at_once).await;
        heartbeats.farewell().await;
        worked.and_then(|stopped| drained.map(|()| stopped))
    }

    fn begin(&self) -> Work {
        let remaining = Remaining::new(self.scope.clone());
        let (worker, draining) = (self.id.clone(), self.draining.clone());
        Work {
            next: Arc::new(Next::new(worker, self.lease, remaining.clone(), draining)),
            remaining,
            loss: Loss::default(),
            last_hint: Wait::Ready,
            queue: self.outages.caller(),
            output: Outages::of("the output", "takes tables again").caller(),
            hold: None,
        }
    }

    /// Claims and works until nothing more is to be claimed.
    async fn work(
        &self,
        work: &mut Work,
        leases: &Arc<Leases>,
        running: &mut Running,
    ) -> Result<Stopped, WorkerError> {
        // Dropped when draining begins: a loop that ended is not stuck.
        let ticker = self.health.watch("claim", LONGEST_TURN);
        let next = work.next.clone();
        let mut claimant = Claimant::new(&*self.queue, &self.id, self.lease, &next);
        loop {
            ticker.tick();
            if self.draining.is_cancelled() {
                return Ok(Stopped::Drained);
            }
            self.start_found(work, &next, leases, running);
            let mut wait = ASK_AGAIN;
            let free = self.free(work, running);
            // While an outage of the output lasts, this loop alone decides who finds out whether it is over.
            next.want(!work.is_held() && !work.output.lasts());
            if free > 0 {
                match self
                    .turn(work, &mut claimant, free, running.is_empty())
                    .await
                {
                    Ok(Turn::Claimed(claims)) => {
                        work.queue.answered();
                        work.loss.claimed();
                        for claim in claims {
                            self.start(claim, &next, leases, running);
                        }
                        continue;
                    }
                    Ok(Turn::Wait(hint)) => {
                        work.queue.answered();
                        wait = hint;
                    }
                    Ok(Turn::Finished) => return Ok(Stopped::Finished),
                    Err(WorkerError::Queue(error)) if error.retryable() => {
                        wait = work.queue.failed(&error);
                    }
                    Err(error) => return Err(error),
                }
            }
            tokio::select! {
                biased;
                () = self.draining.cancelled() => {}
                Some((underway, ended)) = running.next() => self.ended(work, &underway, ended)?,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How many tasks may be claimed now.
    fn free(&self, work: &Work, running: &Running) -> usize {
        if work.is_held() {
            return 0;
        }
        let most = if work.output.lasts() { 1 } else { self.tasks };
        most.max(1).saturating_sub(running.len())
    }

    /// Asks for tasks; where there are none, finds out what that means.
    async fn turn(
        &self,
        work: &mut Work,
        claimant: &mut Claimant<'_>,
        free: usize,
        idle: bool,
    ) -> Result<Turn, WorkerError> {
        let (claims, hint) = work.remaining.claim(claimant, free).await?;
        if !claims.is_empty() {
            return Ok(Turn::Claimed(claims));
        }
        if hint == Wait::Paused && work.last_hint != Wait::Paused {
            tracing::info!(worker.id = %self.id, "the queue is paused: `tapemill queue resume` goes on");
        }
        work.last_hint = hint;
        if hint == Wait::Empty
            && let Some(lost_for) = self.lost_for(work).await?
        {
            let waits_on =
                !work.remaining.ends_when_drained() || lost_for < self.lease.max(PLANNED_AGAIN);
            return match waits_on {
                true => Ok(Turn::Wait(ASK_AGAIN)),
                false => Err(WorkerError::Lost),
            };
        }
        if idle && work.remaining.is_finished(&*self.queue).await? {
            return Ok(Turn::Finished);
        }
        Ok(Turn::Wait(self.heed(hint)))
    }

    /// How long the queue has been lost. Of a selection the caller knows what to do about tasks that are gone.
    async fn lost_for(&self, work: &mut Work) -> Result<Option<Duration>, QueueError> {
        match self.scope {
            Scope::Selection(_) => Ok(None),
            Scope::Everything { .. } => {
                let settings = self.workshop.output.fixed_settings();
                work.loss.look(&*self.queue, &settings).await
            }
        }
    }

    /// Starts what the tasks that ended claimed for their places.
    fn start_found(
        &self,
        work: &mut Work,
        next: &Arc<Next>,
        leases: &Arc<Leases>,
        running: &mut Running,
    ) {
        for claim in next.take() {
            work.queue.answered();
            work.loss.claimed();
            self.start(claim, next, leases, running);
        }
    }

    fn start(&self, claim: Claim, next: &Arc<Next>, leases: &Arc<Leases>, running: &mut Running) {
        let progress = Arc::new(TaskProgress::default());
        let cancel = CancellationToken::new();
        // Of the highest level: whatever is filtered out, the lines that are left name their task.
        let span = tracing::error_span!(
            "task", task.id = %claim.task, generation = claim.generation, worker.id = %self.id, attempt = claim.attempt
        );
        tracing::debug!(parent: &span, "task claimed");
        self.metrics.begin(&claim.dataset);
        let held = InHand::take(&claim, leases, &self.board, &progress, &cancel);
        let (queue, workshop) = (self.queue.clone(), self.workshop.clone());
        let (metrics, outages) = (self.metrics.clone(), self.outages.clone());
        let (claimed, next) = (claim.clone(), next.clone());
        let work = async move {
            let task = Task {
                queue: &*queue,
                workshop: &workshop,
                lease: claim.lease(),
                claim: &claim,
                metrics: &metrics,
                outages: &outages,
                next: &next,
                cancel: &cancel,
            };
            let ended = task.run(&progress).await;
            drop(held);
            ended
        };
        running.start(&claimed, work.instrument(span));
    }

    /// Counts what a task came to; an error when the whole worker must stop.
    fn ended(&self, work: &mut Work, task: &Underway, ended: Ended) -> Result<(), WorkerError> {
        let (id, generation) = (&task.lease.task, task.lease.generation);
        let ending = match ended {
            Ended::Told(ending) => ending,
            // Its lease runs out, and the attempt is repeated or given up as lost.
            Ended::Panicked(error) => {
                tracing::error!(task.id = %id, generation, worker.id = %self.id, error, "a task panicked");
                work.remaining.returned(id.clone());
                return Ok(());
            }
        };
        match ending {
            Ok(Ending::Done { bytes, rows }) => {
                // A task from before the outage may have been published before it, and told only now.
                if work.hold.is_none_or(|until| task.begun >= until) {
                    work.output.answered();
                }
                self.metrics.finished(&task.dataset, "done");
                let took = task.begun.elapsed();
                self.metrics.milled(&task.dataset, took, rows);
                self.board.count(|finished| {
                    finished.done += 1;
                    finished.bytes += bytes;
                    finished.rows += rows;
                });
            }
            Ok(Ending::Missing) => {
                self.metrics.finished(&task.dataset, "missing");
                self.board.count(|finished| finished.missing += 1);
            }
            Ok(Ending::Dead) => {
                self.metrics.finished(&task.dataset, "dead");
                self.board.count(|finished| finished.dead += 1);
            }
            Ok(Ending::WillRepeat) => {
                self.board.count(|finished| finished.failed_attempts += 1);
                work.remaining.returned(id.clone());
            }
            Ok(Ending::Released) => work.remaining.returned(id.clone()),
            Ok(Ending::Lost) => {
                self.metrics.lease_lost();
                work.remaining.returned(id.clone());
            }
            Ok(Ending::Outage(error)) => {
                work.hold = Some(Instant::now() + work.output.failed(&error));
                work.remaining.returned(id.clone());
            }
            Ok(Ending::Disk(error)) => return Err(WorkerError::Disk(error)),
            Err(error) if error.retryable() => {
                tracing::error!(task.id = %id, generation, worker.id = %self.id, %error, "the queue was not told how the task ended");
                work.remaining.returned(id.clone());
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

#[cfg(test)]
mod tests;
