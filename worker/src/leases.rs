//! The leases this process holds, and the thread that keeps them alive.
//!
//! Heartbeats have a thread and a runtime of their own, so that no inflating or parsing can delay them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tapemill_archive::Brake;
use tapemill_queue::{
    Beat, HeartbeatRequest, Lease, LostReason, Queue, QueueError, TaskId, WorkerId, WorkerState,
};
use tapemill_runtime::{Outage, Ticker};
use tokio_util::sync::CancellationToken;

use crate::metrics::WorkerMetrics;
use crate::progress::TaskProgress;

/// Beats in the length of a lease: five can be lost.
const BEATS_PER_LEASE: u32 = 6;

/// How long the last beat, which only tidies up, may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The leases held, by task.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashMap<TaskId, Held>>);

struct Held {
    lease: Lease,
    progress: Arc<TaskProgress>,
    cancel: CancellationToken,
}

impl Leases {
    /// Has a lease kept alive until it is let go; the token fires when it is lost.
    pub fn hold(&self, lease: Lease, progress: Arc<TaskProgress>, cancel: CancellationToken) {
        self.held().insert(
            lease.task.clone(),
            Held {
                lease,
                progress,
                cancel,
            },
        );
    }

    /// Stops keeping a lease alive.
    pub fn let_go(&self, lease: &Lease) {
        let mut held = self.held();
        if held
            .get(&lease.task)
            .is_some_and(|held| held.lease == *lease)
        {
            held.remove(&lease.task);
        }
    }

    /// Tells every attempt to stop.
    pub fn cancel_all(&self) {
        self.held().values().for_each(|held| held.cancel.cancel());
    }

    fn beats(&self) -> Vec<Beat> {
        self.held()
            .values()
            .map(|held| Beat::new(&held.lease, held.progress.get()))
            .collect()
    }

    /// What stops the attempt whose lease was lost, and its generation; none when it ended meanwhile.
    fn lost(&self, beats: &[Beat], task: &TaskId) -> Option<(CancellationToken, u64)> {
        let beaten = beats.iter().find(|beat| beat.lease.task == *task)?;
        let held = self.held();
        let held = held.get(task).filter(|held| held.lease == beaten.lease)?;
        Some((held.cancel.clone(), held.lease.generation))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TaskId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread. Dropping it stops it without a farewell.
pub(crate) struct Heartbeats {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs to know.
pub(crate) struct Pulse {
    pub queue: Arc<dyn Queue>,
    pub worker: WorkerId,
    pub lease: Duration,
    pub leases: Arc<Leases>,
    pub brake: Arc<Brake>,
    pub draining: CancellationToken,
    pub metrics: WorkerMetrics,
    pub ticker: Ticker,
    pub outage: Outage,
}

impl Heartbeats {
    /// Starts beating: once now, then six times in the length of a lease.
    pub fn start(pulse: Pulse) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || runtime.block_on(pulse.beat_until(stopped)))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Stops, after a last beat that says the worker is leaving.
    pub async fn farewell(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed; there is nothing left to save.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Pulse {
    async fn beat_until(mut self, stop: CancellationToken) {
        let period = self.lease / BEATS_PER_LEASE;
        let mut due = Instant::now();
        while !stop.is_cancelled() {
            let late = Instant::now().saturating_duration_since(due);
            self.metrics.heartbeat(late);
            if late > period {
                tracing::warn!(worker.id = %self.worker, late_ms = late.as_millis() as u64, "heartbeat is late");
            }
            // Read before the beat that tells it: a drain that begins meanwhile is told by one of its own.
            let drains = self.draining.is_cancelled();
            let wait = self.beat().await.map_or(period, |wait| wait.min(period));
            due = (due + wait).max(Instant::now());
            self.ticker.tick();
            tokio::select! {
                () = tokio::time::sleep(due - Instant::now()) => {}
                () = self.draining.cancelled(), if !drains => due = Instant::now(),
                () = stop.cancelled() => {}
            }
        }
        let _ = tokio::time::timeout(FAREWELL, self.send(WorkerState::Draining, &[])).await;
    }

    /// Beats once; how long to wait before the next try when the queue did not take it.
    async fn beat(&mut self) -> Option<Duration> {
        let beats = self.leases.beats();
        let state = match (self.draining.is_cancelled(), beats.is_empty()) {
            // Draining with nothing held is the farewell, which comes when the process really leaves.
            (true, false) => WorkerState::Draining,
            (_, true) => WorkerState::Idle,
            (false, false) => WorkerState::Busy,
        };
        match self.send(state, &beats).await {
            Ok(()) => {
                self.outage.answered();
                None
            }
            Err(error) => Some(self.outage.failed(&error)),
        }
    }

    async fn send(&self, state: WorkerState, beats: &[Beat]) -> Result<(), QueueError> {
        let request = HeartbeatRequest {
            worker: &self.worker,
            state,
            lease: self.lease,
            beats,
        };
        let reply = self.queue.heartbeat(&request).await?;
        if let Some(brake) = reply.brake {
            self.brake.obey(brake);
        }
        for (task, reason) in &reply.lost {
            // An attempt that finished meanwhile is not lost; whoever holds no lease any more is not told.
            let Some((cancel, generation)) = self.leases.lost(beats, task) else {
                continue;
            };
            match reason {
                LostReason::Finished => {}
                LostReason::Cancelled => {
                    tracing::info!(task.id = %task, generation, worker.id = %self.worker, "task was cancelled, stopping");
                    cancel.cancel();
                }
                LostReason::Reclaimed => {
                    tracing::warn!(task.id = %task, generation, worker.id = %self.worker, "lease lost, stopping");
                    cancel.cancel();
                }
            }
        }
        Ok(())
    }
}
