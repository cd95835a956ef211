//! How far the tasks of this process are: written by the pipeline, read by heartbeats and bars.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tapemill_queue::{Progress, TaskId};

/// One attempt's bytes and rows so far.
#[derive(Debug, Default)]
pub struct TaskProgress {
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    rows: AtomicU64,
}

impl TaskProgress {
    /// What to tell others.
    pub fn get(&self) -> Progress {
        Progress {
            bytes: self.bytes.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            rows: self.rows.load(Relaxed),
        }
    }

    pub(crate) fn set_total(&self, bytes: u64) {
        self.bytes_total.store(bytes, Relaxed);
    }

    pub(crate) fn set(&self, bytes: u64, rows: u64) {
        self.bytes.store(bytes, Relaxed);
        self.rows.store(rows, Relaxed);
    }
}

/// What this process works on and has finished.
#[derive(Debug, Default)]
pub struct Board {
    running: Mutex<BTreeMap<TaskId, Arc<TaskProgress>>>,
    finished: Mutex<Finished>,
}

/// Tasks that this process finished, and what was in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    /// Published.
    pub done: u64,
    /// Not in the archive.
    pub missing: u64,
    /// Given up.
    pub dead: u64,
    /// Attempts that failed and will be repeated.
    pub failed_attempts: u64,
    /// Bytes of the archives done.
    pub bytes: u64,
    /// Rows of the archives done.
    pub rows: u64,
}

impl Board {
    /// The tasks under way, by name.
    pub fn running(&self) -> Vec<(TaskId, Progress)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .map(|(task, progress)| (task.clone(), progress.get()))
            .collect()
    }

    /// What is finished.
    pub fn finished(&self) -> Finished {
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, task: &TaskId, progress: Arc<TaskProgress>) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(task.clone(), progress);
    }

    pub(crate) fn end(&self, task: &TaskId) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task);
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Finished)) {
        change(&mut self.finished.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
