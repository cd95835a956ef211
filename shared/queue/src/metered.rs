//! Measures every call to a queue, and remembers whether the store answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::{
    ClaimRequest, Claimed, CompletedAndClaimed, Completion, Enqueued, Failure, HeartbeatReply,
    HeartbeatRequest, Lease, LostReason, NewTask, Page, Queue, QueueError, Reaped, Stats,
    TaskFilter, TaskId, TaskRecord, TaskState, WorkerRecord,
};

/// Every call, as its label says it.
const OPS: [&str; 25] = [
    "enqueue",
    "retry",
    "claim",
    "heartbeat",
    "confirm",
    "complete",
    "complete_and_claim",
    "fail",
    "release",
    "reap",
    "get",
    "states",
    "list",
    "cancel",
    "pause",
    "brake",
    "brake_left",
    "take_weight",
    "correct_weight",
    "prune",
    "clear",
    "fix_settings",
    "settings",
    "stats",
    "workers",
];

/// The calls that name a lease.
const FENCED: [&str; 6] = [
    "heartbeat",
    "confirm",
    "complete",
    "complete_and_claim",
    "fail",
    "release",
];

/// The calls that a task waits for, from its claim to its end.
const OF_TASKS: [&str; 6] = [
    "claim",
    "confirm",
    "complete",
    "complete_and_claim",
    "fail",
    "release",
];

/// The calls that nobody waits for: they are made beside the work, once in a while.
const OF_THE_PROCESS: [&str; 6] = [
    "heartbeat",
    "reap",
    "brake",
    "brake_left",
    "take_weight",
    "correct_weight",
];

/// From a local file that is cached to a store at the end of its patience, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 2.5, 10.0];

/// A store in use answers several times a second.
const LATELY: Duration = Duration::from_secs(30);

/// What the calls of a process to its queue came to. Clones are the same meter.
#[derive(Clone)]
pub struct Meter {
    durations: HistogramVec,
    stale: IntCounterVec,
    expired: IntCounter,
    last: Arc<Mutex<Last>>,
}

/// Calls to the queue so far, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// How long they took, one added to the other.
    pub spent: Duration,
}

#[derive(Default)]
struct Last {
    answered: Option<Instant>,
    /// Why the latest call was not answered.
    failure: Option<String>,
}

impl Meter {
    /// Registers what it measures; all counters begin at zero.
    ///
    /// # Errors
    ///
    /// When the registry has these metrics already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "tapemill_store_call_duration_seconds",
                "How long calls to the queue's store take, failed ones included.",
            )
            .buckets(BUCKETS.into()),
            &["op"],
        )?;
        let stale = IntCounterVec::new(
            Opts::new(
                "tapemill_stale_calls_rejected_total",
                "Calls refused because their lease had been lost.",
            ),
            &["op"],
        )?;
        let expired = IntCounter::new(
            "tapemill_lease_expirations_total",
            "Leases that ran out, or whose process was gone, returned by this process.",
        )?;
        for op in OPS {
            durations.with_label_values(&[op]);
        }
        for op in FENCED {
            stale.with_label_values(&[op]);
        }
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(stale.clone()))?;
        registry.register(Box::new(expired.clone()))?;
        Ok(Self {
            durations,
            stale,
            expired,
            last: Arc::default(),
        })
    }

    /// The same queue, measured.
    pub fn measure(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        Arc::new(MeteredQueue {
            inner: queue,
            meter: self.clone(),
        })
    }

    /// The calls that a task waits for, from its claim to its end.
    pub fn calls_of_tasks(&self) -> Calls {
        self.calls(|op| OF_TASKS.contains(&op))
    }

    /// The calls that something waits for: those of tasks, and those of planning.
    pub fn awaited_calls(&self) -> Calls {
        self.calls(|op| !OF_THE_PROCESS.contains(&op))
    }

    /// All calls.
    pub fn all_calls(&self) -> Calls {
        self.calls(|_| true)
    }

    fn calls(&self, counts: impl Fn(&str) -> bool) -> Calls {
        let mut calls = Calls::default();
        for op in OPS.into_iter().filter(|op| counts(op)) {
            let durations = self.durations.with_label_values(&[op]);
            calls.count += durations.get_sample_count();
            calls.spent += Duration::from_secs_f64(durations.get_sample_sum());
        }
        calls
    }

    /// Whether the store answered the latest call, and lately.
    ///
    /// # Errors
    ///
    /// Says why the queue is of no use now.
    pub fn ready(&self) -> Result<(), String> {
        let last = self.last();
        if let Some(failure) = &last.failure {
            return Err(failure.clone());
        }
        match last.answered.map(|answered| answered.elapsed()) {
            None => Err("the queue is not open yet".to_owned()),
            Some(silent) if silent > LATELY => Err(format!(
                "the queue has not answered for {} s",
                silent.as_secs()
            )),
            Some(_) => Ok(()),
        }
    }

    /// Notes a call that was not answered, such as one to open the queue.
    pub fn failed(&self, error: &QueueError) {
        self.last().failure = Some(error.to_string());
    }

    fn measured<T>(
        &self,
        op: &'static str,
        begun: Instant,
        result: Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        let duration = self.durations.with_label_values(&[op]);
        duration.observe(begun.elapsed().as_secs_f64());
        match &result {
            Err(
                error @ (QueueError::Unavailable { .. }
                | QueueError::Refused { .. }
                | QueueError::Full { .. }),
            ) => self.failed(error),
            // Any other error is an answer.
            Ok(_) | Err(_) => {
                *self.last() = Last {
                    answered: Some(Instant::now()),
                    failure: None,
                }
            }
        }
        if matches!(result, Err(QueueError::LeaseLost { .. })) {
            self.stale.with_label_values(&[op]).inc();
        }
        result
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue whose calls are measured; see [`Meter::measure`].
struct MeteredQueue {
    inner: Arc<dyn Queue>,
    meter: Meter,
}

macro_rules! measured {
    ($self:ident.$op:ident($($argument:expr),*)) => {{
        let begun = Instant::now();
        let result = $self.inner.$op($($argument),*).await;
        $self.meter.measured(stringify!($op), begun, result)
    }};
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Queue for MeteredQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued, QueueError> {
        measured!(self.enqueue(tasks))
    }

    async fn retry(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        measured!(self.retry(ids))
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claimed, QueueError> {
        measured!(self.claim(request))
    }

    async fn heartbeat(
        &self,
        request: &HeartbeatRequest<'_>,
    ) -> Result<HeartbeatReply, QueueError> {
        let reply = measured!(self.heartbeat(request))?;
        // One that was finished between the beat and its answer is nobody's trouble.
        let lost = reply.lost.iter();
        let lost = lost.filter(|(_, reason)| *reason != LostReason::Finished);
        let stale = self.meter.stale.with_label_values(&["heartbeat"]);
        stale.inc_by(lost.count() as u64);
        Ok(reply)
    }

    async fn confirm(&self, lease: &Lease) -> Result<(), QueueError> {
        measured!(self.confirm(lease))
    }

    async fn complete(&self, lease: &Lease, completion: &Completion) -> Result<(), QueueError> {
        measured!(self.complete(lease, completion))
    }

    async fn complete_and_claim(
        &self,
        lease: &Lease,
        completion: &Completion,
        request: &ClaimRequest<'_>,
    ) -> Result<CompletedAndClaimed, QueueError> {
        let answer = measured!(self.complete_and_claim(lease, completion, request))?;
        let stale = self.meter.stale.with_label_values(&["complete_and_claim"]);
        stale.inc_by(u64::from(!answer.accepted));
        Ok(answer)
    }

    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<TaskState, QueueError> {
        measured!(self.fail(lease, failure))
    }

    async fn release(&self, lease: &Lease) -> Result<(), QueueError> {
        measured!(self.release(lease))
    }

    async fn reap(&self, limit: usize) -> Result<Reaped, QueueError> {
        let reaped = measured!(self.reap(limit))?;
        let expired = reaped.returned.len() + reaped.dead.len();
        self.meter.expired.inc_by(expired as u64);
        Ok(reaped)
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, QueueError> {
        measured!(self.get(ids))
    }

    async fn states(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskState>>, QueueError> {
        measured!(self.states(ids))
    }

    async fn list(
        &self,
        filter: &TaskFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page, QueueError> {
        measured!(self.list(filter, cursor, limit))
    }

    async fn cancel(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        measured!(self.cancel(ids))
    }

    async fn pause(&self, paused: bool) -> Result<(), QueueError> {
        measured!(self.pause(paused))
    }

    async fn brake(&self, at_least: Duration) -> Result<(), QueueError> {
        measured!(self.brake(at_least))
    }

    async fn brake_left(&self) -> Result<Option<Duration>, QueueError> {
        measured!(self.brake_left())
    }

    async fn take_weight(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, QueueError> {
        measured!(self.take_weight(host, weight, most))
    }

    async fn correct_weight(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), QueueError> {
        measured!(self.correct_weight(host, used, hold))
    }

    async fn prune(&self, older_than: Duration) -> Result<u64, QueueError> {
        measured!(self.prune(older_than))
    }

    async fn clear(&self) -> Result<(), QueueError> {
        measured!(self.clear())
    }

    async fn fix_settings(&self, settings: &BTreeMap<String, String>) -> Result<(), QueueError> {
        measured!(self.fix_settings(settings))
    }

    async fn settings(&self) -> Result<Option<BTreeMap<String, String>>, QueueError> {
        measured!(self.settings())
    }

    async fn stats(&self) -> Result<Stats, QueueError> {
        measured!(self.stats())
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>, QueueError> {
        measured!(self.workers())
    }
}
