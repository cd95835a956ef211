//! What others see of the queue: read at most once a second, however many look.

use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_queue::{Queue, QueueError, Stats, TaskId, WorkerRecord};
use tapemill_runtime::{Health, Ticker, one_line};
use tokio::sync::{Mutex, Notify, watch};

use crate::chart::{Chart, Mapper};
use crate::status::{page_value, status_value};

/// How long a snapshot is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The longest a look may take: what hangs is told as an outage.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after the last look at the map it is kept.
const WATCHED: Duration = Duration::from_secs(60);

/// The longest a loop may go without a turn: a call to the store at the end of its patience.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// The queue at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// In numbers.
    pub stats: Stats,
    /// Who works.
    pub workers: Vec<WorkerRecord>,
}

/// Why there is no snapshot, in one line.
pub type NoAnswer = Arc<str>;

/// What was read of the queue, shared by whoever asks within a second.
struct Shared<T>(Mutex<Option<(Instant, Answer<T>)>>);

type Answer<T> = Result<Arc<T>, NoAnswer>;

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shared<T> {
    async fn get(&self, read: impl Future<Output = Result<T, NoAnswer>>) -> Answer<T> {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = match tokio::time::timeout(PATIENCE, read).await {
            Ok(answer) => answer.map(Arc::new),
            Err(_) => Err("the queue does not answer".into()),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// A queue under observation. It can be shown before it is open.
pub struct QueueView {
    name: String,
    queue: OnceLock<Arc<dyn Queue>>,
    counted: Shared<Stats>,
    looked: Shared<Snapshot>,
    status: watch::Sender<Option<Arc<str>>>,
    chart: std::sync::Mutex<Chart>,
    watched: std::sync::Mutex<Option<Instant>>,
    woken: Notify,
}

impl QueueView {
    /// Of the queue that people call `name`.
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            queue: OnceLock::new(),
            counted: Shared::default(),
            looked: Shared::default(),
            status: watch::Sender::new(None),
            chart: std::sync::Mutex::default(),
            watched: std::sync::Mutex::default(),
            woken: Notify::new(),
        })
    }

    /// Tells changes and keeps the map, both only while somebody looks, until it is dropped.
    pub async fn attend(self: Arc<Self>, health: Health) {
        let ticker = health.watch("events", LONGEST_TURN);
        let mapping = health.watch("map", LONGEST_TURN);
        tokio::join!(self.tell_changes(ticker), Mapper::new(&self).keep(mapping));
    }

    /// The queue is open; the first one counts.
    pub fn open(&self, queue: Arc<dyn Queue>) {
        // Nobody opens a second one.
        let _ = self.queue.set(queue);
    }

    /// The queue.
    ///
    /// # Errors
    ///
    /// While it is not open.
    pub fn queue(&self) -> Result<&Arc<dyn Queue>, NoAnswer> {
        let not_yet = || Arc::from("the queue is not open yet");
        self.queue.get().ok_or_else(not_yet)
    }

    /// The queue as it was a second ago or less.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when the queue gave none; it is asked again after a second.
    pub async fn look(&self) -> Result<Arc<Snapshot>, NoAnswer> {
        let read = async {
            let stats = self.count().await?;
            let workers = self
                .queue()?
                .workers()
                .await
                .map_err(|error| told(&error))?;
            Ok(Snapshot { stats, workers })
        };
        self.looked.get(read).await
    }

    /// The queue in numbers, as it was a second ago or less: what it costs grows with neither tasks nor leases.
    ///
    /// # Errors
    ///
    /// As [`QueueView::look`].
    pub async fn stats(&self) -> Result<Arc<Stats>, NoAnswer> {
        self.counted.get(self.count()).await
    }

    async fn count(&self) -> Result<Stats, NoAnswer> {
        self.queue()?.stats().await.map_err(|error| told(&error))
    }

    /// The very JSON of `status --json`.
    ///
    /// # Errors
    ///
    /// As [`QueueView::look`].
    pub async fn status(&self) -> Result<Value, NoAnswer> {
        let seen = self.look().await?;
        Ok(status_value(&self.name, &seen.stats, &seen.workers))
    }

    /// All that the page shows beside the map.
    ///
    /// # Errors
    ///
    /// As [`QueueView::look`].
    pub(crate) async fn page(&self, is_writable: bool) -> Result<Value, NoAnswer> {
        self.watch();
        let seen = self.look().await?;
        let status = status_value(&self.name, &seen.stats, &seen.workers);
        let chart = self.chart().value(&seen.stats);
        Ok(page_value(status, &seen, chart, is_writable))
    }

    /// The map, as far as it is known.
    pub(crate) fn chart(&self) -> MutexGuard<'_, Chart> {
        self.chart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody looks at the map.
    pub(crate) fn watch(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.replace(Instant::now()).is_none() {
            self.woken.notify_one();
        }
    }

    /// Returns when somebody looks at the map, or after a second.
    pub(crate) async fn is_watched(&self) -> bool {
        let lately = || {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            *watched = watched.filter(|at| at.elapsed() < WATCHED);
            watched.is_some()
        };
        if !lately() {
            // Whoever comes first is not kept waiting.
            let _ = tokio::time::timeout(FRESH, self.woken.notified()).await;
        }
        lately()
    }

    /// Somebody changed these tasks: the map shows it at once.
    ///
    /// # Errors
    ///
    /// Of the queue.
    pub(crate) async fn changed(&self, ids: &[TaskId]) -> Result<(), QueueError> {
        let Some(queue) = self.queue.get() else {
            return Ok(());
        };
        let records = queue.get(ids).await?;
        self.chart().put_all(ids, &records);
        Ok(())
    }

    /// The status from now on, whenever it changed.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.status.subscribe()
    }

    /// Tells changes to whoever listens; one reader for all of them, and none while nobody does.
    async fn tell_changes(&self, ticker: Ticker) {
        loop {
            ticker.tick();
            if self.status.receiver_count() > 0
                && let Ok(status) = self.status().await
            {
                let status: Arc<str> = status.to_string().into();
                self.status.send_if_modified(|told| {
                    let changed = told.as_ref() != Some(&status);
                    *told = Some(status);
                    changed
                });
            }
            tokio::time::sleep(FRESH).await;
        }
    }
}

fn told(error: &QueueError) -> NoAnswer {
    one_line(error).into()
}
