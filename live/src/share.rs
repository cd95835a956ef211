//! Symbols shared among collectors: each is a leased task of a queue, so that those of a collector that died are taken over.
//!
//! What is claimed at once is collected by one [`Collector`](crate::Collector), with a session of its own. A lease that is lost ends
//! that session without another flush: its rows are the successor's to have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tapemill_market::{Market, Symbol};
use tapemill_queue::{
    Beat, ClaimRequest, HeartbeatRequest, Lease, NewTask, Progress, Queue, QueueError, TaskId,
    WorkerId, WorkerState,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::collector::State;
use crate::error::LiveError;

/// Beats in the length of a lease: five can be lost.
const BEATS_PER_LEASE: u32 = 6;

/// Tasks of one call.
const AT_ONCE: usize = 200;

/// What the tasks are counted under.
const DATASET: &str = "live";

/// How long the right to symbols lasts, as far as is known here.
#[derive(Debug, Clone)]
pub struct Right {
    until: Arc<Mutex<Instant>>,
    is_lost: Arc<AtomicBool>,
}

impl Right {
    fn until(until: Instant) -> Self {
        Self {
            until: Arc::new(Mutex::new(until)),
            is_lost: Arc::default(),
        }
    }

    /// For ever, for what nobody else collects.
    pub fn unlimited() -> Self {
        Self::until(Instant::now() + Duration::from_secs(100 * 365 * 86_400))
    }

    /// Whether rows may be stored now.
    pub fn lasts(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_lost() && Instant::now() < until
    }

    /// Whether someone else has it.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    fn extend(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }
}

/// Symbols that were claimed together.
#[derive(Debug, Clone)]
pub struct Share {
    /// The symbols, each with the generation of its lease: from 2 on it was someone else's before, or of an earlier run.
    pub symbols: BTreeMap<Symbol, u64>,
    /// Lasts while the leases do.
    pub right: Right,
    /// Ends the collector in an orderly way, or at once where the right is lost.
    pub ending: CancellationToken,
}

/// A collector of a share.
pub type Collecting = JoinHandle<Result<State, LiveError>>;

struct Held {
    share: Share,
    leases: Vec<Lease>,
    collecting: Collecting,
}

/// Claims symbols, and has each share collected.
pub struct Keeper<Start> {
    /// Where the leases are; no queue that others claim tasks from.
    pub queue: Arc<dyn Queue>,
    /// Who claims.
    pub worker: WorkerId,
    /// How long a lease lasts without a heartbeat.
    pub lease: Duration,
    /// The market.
    pub market: Market,
    /// All symbols that are to be collected, by whomever.
    pub symbols: Vec<Symbol>,
    /// At most so many here.
    pub most: usize,
    /// Ends it: all shares are ended in an orderly way, and their leases released.
    pub draining: CancellationToken,
    /// Begins to collect a share.
    pub start: Start,
}

impl<Start: FnMut(Share) -> Result<Collecting, LiveError>> Keeper<Start> {
    /// Keeps shares until it is told to end: how each ended.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where a collector cannot begin, or the queue refuses the tasks.
    pub async fn run(mut self) -> Result<Vec<State>, LiveError> {
        let period = self.lease / BEATS_PER_LEASE;
        let mut held: Vec<Held> = Vec::new();
        let mut states = Vec::new();
        self.enqueue().await?;
        // Others that begin at the same time are seen before anyone takes more than a share.
        self.beat(&mut held).await;
        self.pause(period).await;
        let mut failure = None;
        while !self.draining.is_cancelled() && failure.is_none() {
            self.beat(&mut held).await;
            for ended in take_ended(&mut held) {
                self.release(&ended.leases).await;
                match ended.collecting.join() {
                    Ok(Ok(state)) => states.push(state),
                    Ok(Err(error)) => failure = Some(error),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            if failure.is_none() {
                match self.claim(&held).await {
                    Ok(Some(more)) => held.push(more),
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
            self.pause(period).await;
        }
        held.iter().for_each(|held| held.share.ending.cancel());
        while !held.is_empty() {
            // Rows are still being stored: the leases have to last.
            self.beat(&mut held).await;
            for ended in take_ended(&mut held) {
                self.release(&ended.leases).await;
                if let Ok(Ok(state)) = ended.collecting.join() {
                    states.push(state);
                }
            }
            if !held.is_empty() {
                sleep(period.min(Duration::from_millis(100))).await;
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(states),
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = sleep(pause) => {}
        }
    }

    fn task(&self, symbol: &Symbol) -> TaskId {
        TaskId::new(format!("live/{}/{symbol}", self.market))
    }

    async fn enqueue(&self) -> Result<(), LiveError> {
        let tasks: Vec<NewTask> = self
            .symbols
            .iter()
            .map(|symbol| NewTask::new(self.task(symbol).as_str(), DATASET))
            .collect();
        for tasks in tasks.chunks(AT_ONCE) {
            self.queue.enqueue(tasks).await?;
        }
        Ok(())
    }

    /// Extends all leases; shares with one that is lost are lost.
    async fn beat(&self, held: &mut [Held]) {
        let leases = held.iter().flat_map(|held| &held.leases);
        let beats: Vec<Beat> = leases
            .map(|lease| Beat::new(lease, Progress::default()))
            .collect();
        let sent = Instant::now();
        let request = HeartbeatRequest {
            worker: &self.worker,
            state: match beats.is_empty() {
                true => WorkerState::Idle,
                false => WorkerState::Busy,
            },
            lease: self.lease,
            beats: &beats,
        };
        let Some(reply) = self.asked(self.queue.heartbeat(&request)).await else {
            return;
        };
        for held in held.iter() {
            let is_lost = |lease: &Lease| reply.lost.iter().any(|(task, _)| *task == lease.task);
            if held.leases.iter().any(is_lost) {
                tracing::warn!("symbols were taken over by another collector");
                held.share.right.lose();
                held.share.ending.cancel();
            } else {
                held.share.right.extend(sent + self.lease);
            }
        }
    }

    /// Takes symbols up to a fair share, and beyond where nobody else does.
    async fn claim(&mut self, held: &[Held]) -> Result<Option<Held>, LiveError> {
        self.asked(self.queue.reap(AT_ONCE)).await;
        let Some(workers) = self.asked(self.queue.workers()).await else {
            return Ok(None);
        };
        let alive = workers
            .iter()
            .filter(|worker| worker.seen_ago < self.lease)
            .count()
            .max(1);
        let mine: usize = held.iter().map(|held| held.leases.len()).sum();
        let fair = self.symbols.len().div_ceil(alive).min(self.most);
        let wanted = fair.saturating_sub(mine);
        if wanted == 0 {
            return Ok(None);
        }
        let ids: Vec<TaskId> = self
            .symbols
            .iter()
            .map(|symbol| self.task(symbol))
            .collect();
        let sent = Instant::now();
        let mut claims = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let left = wanted.saturating_sub(claims.len());
            if left == 0 {
                break;
            }
            let request = ClaimRequest {
                worker: &self.worker,
                request: Uuid::new_v4(),
                limit: left.min(AT_ONCE),
                lease: self.lease,
                only: Some(ids),
            };
            if let Some(claimed) = self.asked(self.queue.claim(&request)).await {
                claims.extend(claimed.claims);
            }
        }
        if claims.is_empty() {
            return Ok(None);
        }
        // How often a collector died says nothing of its symbols.
        let claimed: Vec<TaskId> = claims.iter().map(|claim| claim.task.clone()).collect();
        self.asked(self.queue.retry(&claimed)).await;
        let symbols = self.symbols.iter().filter_map(|symbol| {
            let task = self.task(symbol);
            let claim = claims.iter().find(|claim| claim.task == task)?;
            Some((symbol.clone(), claim.generation))
        });
        let share = Share {
            symbols: symbols.collect(),
            right: Right::until(sent + self.lease),
            ending: CancellationToken::new(),
        };
        tracing::info!(symbols = share.symbols.len(), "collecting a share");
        Ok(Some(Held {
            collecting: (self.start)(share.clone())?,
            share,
            leases: claims.iter().map(tapemill_queue::Claim::lease).collect(),
        }))
    }

    async fn release(&self, leases: &[Lease]) {
        for lease in leases {
            self.asked(self.queue.release(lease)).await;
        }
    }

    /// What the queue answers in good time; what fails is tried again with the next beat.
    async fn asked<T>(&self, asked: impl Future<Output = Result<T, QueueError>>) -> Option<T> {
        match timeout(self.lease / BEATS_PER_LEASE, asked).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!("the queue does not answer: {error}");
                None
            }
            Err(_) => {
                tracing::warn!("the queue does not answer in time");
                None
            }
        }
    }
}

fn take_ended(held: &mut Vec<Held>) -> Vec<Held> {
    held.extract_if(.., |held| held.collecting.is_finished())
        .collect()
}
