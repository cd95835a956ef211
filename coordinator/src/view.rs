//! What others see of the queue: read at most once a second, however many look.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_queue::{Queue, Stats, WorkerRecord};
use tapemill_runtime::{Ticker, one_line};
use tokio::sync::{Mutex, watch};

use crate::status::status_value;

/// How long a snapshot is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The longest a look may take: what hangs is told as an outage.
const PATIENCE: Duration = Duration::from_secs(5);

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

type Looked = Result<Arc<Snapshot>, NoAnswer>;

/// A queue under observation. It can be shown before it is open.
pub struct QueueView {
    name: String,
    queue: OnceLock<Arc<dyn Queue>>,
    last: Mutex<Option<(Instant, Looked)>>,
    status: watch::Sender<Option<Arc<str>>>,
}

impl QueueView {
    /// Of the queue that people call `name`.
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            queue: OnceLock::new(),
            last: Mutex::default(),
            status: watch::Sender::new(None),
        })
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
        let mut last = self.last.lock().await;
        if let Some((at, looked)) = &*last
            && at.elapsed() < FRESH
        {
            return looked.clone();
        }
        let looked = match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(looked) => looked,
            Err(_) => Err("the queue does not answer".into()),
        };
        *last = Some((Instant::now(), looked.clone()));
        looked
    }

    async fn read(&self) -> Looked {
        let queue = self.queue()?;
        let why = |error| Arc::from(one_line(&error));
        let stats = queue.stats().await.map_err(why)?;
        let workers = queue.workers().await.map_err(why)?;
        Ok(Arc::new(Snapshot { stats, workers }))
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

    /// The status from now on, whenever it changed.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.status.subscribe()
    }

    /// Tells changes to whoever listens; one reader for all of them, and none while nobody does.
    pub(crate) async fn tell_changes(&self, ticker: Ticker) {
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
