//! One claimed task from its claim to its end in the queue.

use std::sync::Arc;
use std::time::Duration;

use tapemill_exchange::{ExchangeError, RestSpec};
use tapemill_lake::{LakeError, Output, Receipt, TaskSpec};
use tapemill_market::ArchiveName;
use tapemill_queue::{
    Claim, Completion, Failure, Lease, Outcome, Queue, QueueError, Retry, TaskState,
};
use tapemill_runtime::{Outage, Outages, Stage};
use tokio_util::sync::CancellationToken;

use crate::attempt::{AttemptError, Prepared, Workshop};
use crate::metrics::WorkerMetrics;
use crate::next::Next;
use crate::progress::TaskProgress;

/// Waits between attempts: a second, doubling, a minute at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait between two tries of a call that ends a task.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long handing a task back is tried: its lease runs out all the same.
const HAND_BACK: Duration = Duration::from_secs(10);

/// How a claimed task ended for this process.
#[derive(Debug)]
pub(crate) enum Ending {
    Done {
        bytes: u64,
        rows: u64,
    },
    Missing,
    /// The attempt failed; another one follows.
    WillRepeat,
    Dead,
    /// Handed back at no cost.
    Released,
    /// Someone else holds it, or it was cancelled.
    Lost,
    /// The output is full or read-only: the task was handed back, and every other would fail alike.
    Disk(LakeError),
    /// The output takes nothing now: the task was handed back, and every other would fail alike until that heals.
    Outage(LakeError),
}

/// A task in hand.
pub(crate) struct Task<'a> {
    pub queue: &'a dyn Queue,
    pub workshop: &'a Workshop,
    pub claim: &'a Claim,
    pub lease: Lease,
    pub metrics: &'a WorkerMetrics,
    pub outages: &'a Outages,
    /// What may be claimed in its place when it completes.
    pub next: &'a Next,
    /// Fires when the lease is lost, or the process leaves.
    pub cancel: &'a CancellationToken,
}

impl Task<'_> {
    /// Works on the task until the queue knows its end.
    pub async fn run(&self, progress: &Arc<TaskProgress>) -> Result<Ending, QueueError> {
        let id = &self.claim.task;
        let name = match ArchiveName::from_task_id(id.as_str()) {
            Ok(name) => name,
            Err(error) => {
                return self
                    .failed("unknown_task", &error.to_string(), Retry::Final)
                    .await;
            }
        };
        let prepared = match RestSpec::of(&self.claim.spec) {
            Some(spec) if spec.captured_first => {
                let attempt = (self.workshop).attempt_by_live(&name, spec, progress, self.cancel);
                attempt.await
            }
            Some(spec) => {
                let attempt = (self.workshop).attempt_by_rest(&name, spec, progress, self.cancel);
                attempt.await
            }
            None => {
                let spec = TaskSpec::of(&self.claim.spec);
                let bytes = self.claim.bytes;
                let attempt = (self.workshop).attempt(&name, bytes, spec, progress, self.cancel);
                attempt.await
            }
        };
        match prepared {
            Ok(prepared) => self.publish(&name, prepared).await,
            Err(AttemptError::Missing(key)) => {
                tracing::info!(%key, "there is no such file, or no such rows");
                self.completed(Outcome::Missing, String::new(), 0, 0).await
            }
            Err(AttemptError::Cancelled) => self.released().await,
            Err(AttemptError::Lake(error)) if error.is_disk() || error.is_outage() => {
                self.handed_back(error).await
            }
            Err(error @ AttemptError::Corrupt { .. }) => {
                self.failed(error.reason(), &error.to_string(), Retry::Final)
                    .await
            }
            Err(AttemptError::Exchange(error)) => {
                let retry = match &error {
                    ExchangeError::Held { wait, .. } => Retry::After(*wait),
                    error if error.is_transient() => Retry::After(self.wait()),
                    _ => Retry::Final,
                };
                self.failed(error.reason(), &error.to_string(), retry).await
            }
            Err(error) => {
                let retry = Retry::After(self.wait().max(self.workshop.brake.remaining()));
                self.failed(error.reason(), &error.to_string(), retry).await
            }
        }
    }

    /// Shows the tables, the lease being checked as the last step before.
    async fn publish(&self, name: &ArchiveName, prepared: Prepared) -> Result<Ending, QueueError> {
        match self.patiently(|| self.queue.confirm(self.lease())).await {
            Ok(()) => {}
            Err(error) => {
                discard(prepared).await;
                return match error {
                    QueueError::LeaseLost { .. } => Ok(self.lost()),
                    error => Err(error),
                };
            }
        }
        let (origin, verdict) = (prepared.origin.clone(), prepared.verdict);
        let version = prepared.version;
        let (output, name) = (self.workshop.output.clone(), name.clone());
        let spec = TaskSpec::of(&self.claim.spec);
        let stages = self.workshop.stages.clone();
        let published = tokio::task::spawn_blocking(move || {
            let _publishing = stages.time(Stage::Publish);
            show(prepared, &output, &name, spec)
        })
        .await;
        let files = match published {
            Ok(Ok(files)) => files,
            Ok(Err(error)) if error.is_disk() || error.is_outage() => {
                return self.handed_back(error).await;
            }
            Ok(Err(error)) => {
                return self
                    .failed("output", &error.to_string(), Retry::After(self.wait()))
                    .await;
            }
            Err(error) => {
                return self
                    .failed("internal", &error.to_string(), Retry::After(self.wait()))
                    .await;
            }
        };
        self.metrics.published(files.iter().sum());
        if verdict.as_str() == "stale_sidecar" {
            tracing::warn!(key = %origin.key, "the checksum file does not fit, but the same bytes came twice and the ZIP is sound: published"
            );
        }
        let receipt = Receipt {
            verdict: verdict.as_str().to_owned(),
            bytes: origin.bytes,
            rows: origin.rows,
            sha256: Receipt::digest(&origin.sha256).expect("a digest was written as digits"),
            files,
            version,
        };
        self.completed(
            Outcome::Done,
            receipt.to_string(),
            origin.rows,
            origin.bytes,
        )
        .await
    }

    async fn completed(
        &self,
        outcome: Outcome,
        summary: String,
        rows: u64,
        bytes: u64,
    ) -> Result<Ending, QueueError> {
        let completion = Completion {
            outcome,
            summary,
            rows,
            bytes,
        };
        match self.complete(&completion).await {
            Ok(()) if outcome == Outcome::Missing => Ok(Ending::Missing),
            Ok(()) => Ok(Ending::Done { bytes, rows }),
            Err(QueueError::LeaseLost { .. }) => Ok(self.lost()),
            Err(error) => Err(error),
        }
    }

    /// Completes the task, and claims another for its place where one is wanted.
    async fn complete(&self, completion: &Completion) -> Result<(), QueueError> {
        let Some(request) = self.next.request() else {
            return self
                .patiently(|| self.queue.complete(self.lease(), completion))
                .await;
        };
        let claim = request.as_claim();
        let call = || (self.queue).complete_and_claim(self.lease(), completion, &claim);
        let answer = self.patiently(call).await.inspect_err(|error| {
            if error.retryable() {
                self.next.unanswered(&request);
            }
        })?;
        self.next.answered(answer.claimed.claims);
        match answer.accepted {
            true => Ok(()),
            false => Err(QueueError::LeaseLost {
                task: self.lease.task.clone(),
                generation: self.lease.generation,
            }),
        }
    }

    async fn failed(
        &self,
        reason: &str,
        message: &str,
        retry: Retry,
    ) -> Result<Ending, QueueError> {
        let failure = Failure {
            reason: reason.to_owned(),
            message: message.to_owned(),
            retry,
        };
        match self
            .patiently(|| self.queue.fail(self.lease(), &failure))
            .await
            .inspect(|_| self.metrics.failed(&self.claim.dataset, reason))
        {
            Ok(TaskState::Dead) => {
                tracing::error!(reason, "task is dead: {message}");
                Ok(Ending::Dead)
            }
            Ok(_) => {
                tracing::warn!(reason, "attempt failed, another follows: {message}");
                Ok(Ending::WillRepeat)
            }
            Err(QueueError::LeaseLost { .. }) => Ok(self.lost()),
            Err(error) => Err(error),
        }
    }

    async fn released(&self) -> Result<Ending, QueueError> {
        match self.hand_back().await {
            Ok(()) => Ok(Ending::Released),
            Err(QueueError::LeaseLost { .. }) => Ok(self.lost()),
            Err(error) => Err(error),
        }
    }

    async fn hand_back(&self) -> Result<(), QueueError> {
        self.outage()
            .outlast(tokio::time::sleep(HAND_BACK), QueueError::retryable, || {
                self.queue.release(self.lease())
            })
            .await
    }

    /// Releases the task because of the output. That is what counts, whatever the queue answers.
    async fn handed_back(&self, error: LakeError) -> Result<Ending, QueueError> {
        let _ = self.hand_back().await;
        Ok(if error.is_disk() {
            Ending::Disk(error)
        } else {
            Ending::Outage(error)
        })
    }

    /// Another attempt holds the task, or it was cancelled. What may have been published under the same name has the
    /// bytes that any other attempt publishes.
    fn lost(&self) -> Ending {
        tracing::warn!("lease lost, this attempt does not count");
        Ending::Lost
    }

    fn lease(&self) -> &Lease {
        &self.lease
    }

    fn wait(&self) -> Duration {
        let doublings = self.claim.attempt.saturating_sub(1).min(16);
        let full = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        full.mul_f64(0.5 + 0.5 * rand::random::<f64>())
    }

    /// Repeats a call until the queue answers, or this attempt is told to stop: the result of hours must not be lost to
    /// an outage.
    async fn patiently<T, F>(&self, call: impl FnMut() -> F) -> Result<T, QueueError>
    where
        F: Future<Output = Result<T, QueueError>>,
    {
        self.outage()
            .outlast(self.cancel.cancelled(), QueueError::retryable, call)
            .await
    }

    fn outage(&self) -> Outage {
        self.outages.caller().waiting_at_most(LONGEST_PAUSE)
    }
}

/// Shows what was prepared, the kept archive first, and removes what it replaces. Returns the sizes of the tables.
///
/// Tables of an older edition of the archive are in the ledger before the first of them is gone.
fn show(
    prepared: Prepared,
    output: &Output,
    name: &ArchiveName,
    spec: TaskSpec,
) -> Result<Vec<u64>, LakeError> {
    for kept in prepared.kept {
        kept.publish()?;
    }
    if prepared.verdict.is_of_archive() {
        output.enter_replaced(name, &prepared.origin, &prepared.tables, spec)?;
    }
    for dispute in &prepared.disputes {
        output.lake.enter_dispute(name, dispute)?;
    }
    for handover in &prepared.handovers {
        output.lake.enter_handover(name, handover)?;
    }
    let tables = prepared.tables.into_iter();
    let sizes = tables
        .map(|table| table.publish().map(|published| published.bytes))
        .collect::<Result<_, _>>()?;
    output.finish_month(name, spec)?;
    Ok(sizes)
}

/// Removing what is hidden may wait for the store.
async fn discard(prepared: Prepared) {
    let _ = tokio::task::spawn_blocking(move || drop(prepared)).await;
}
