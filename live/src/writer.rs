//! The thread that stores rows: sockets never wait for a disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{LiveError, SinkError};
use crate::rows::Batch;
use crate::sink::{Sink, Stored};

/// Between two tries to store the same rows.
const RETRY: Duration = Duration::from_secs(1);

/// Flushes that wait for the thread; more stay with the recorder.
const WAITING: usize = 2;

/// What the thread has done so far, and what it cannot do.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// All flushes together.
    pub stored: Stored,
    /// Flushes that were stored.
    pub flushes: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Why nothing is stored now, and since when.
    pub fails: Option<(String, Instant)>,
    /// What the last flush took.
    pub last_flush: Duration,
    /// The longest outage that ended since this was asked for: how long, and why.
    pub healed: Option<(Duration, String)>,
}

/// Stores flushes one after the other.
pub struct Writer {
    flushes: Option<SyncSender<Vec<Batch>>>,
    written: Arc<Mutex<Written>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`LiveError::Thread`] where the system gives none.
    pub fn start(sink: Box<dyn Sink>) -> Result<Self, LiveError> {
        let (sender, receiver) = sync_channel(WAITING);
        let written = Arc::new(Mutex::new(Written::default()));
        let told = written.clone();
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(sink, &receiver, &told))
            .map_err(LiveError::Thread)?;
        Ok(Self {
            flushes: Some(sender),
            written,
            thread: Some(thread),
        })
    }

    /// Gives rows to be stored; gives them back where too many wait.
    ///
    /// # Errors
    ///
    /// The rows.
    pub fn give(&self, batches: Vec<Batch>) -> Result<(), Vec<Batch>> {
        match &self.flushes {
            Some(flushes) => flushes.try_send(batches).map_err(|error| match error {
                TrySendError::Full(batches) | TrySendError::Disconnected(batches) => batches,
            }),
            None => Err(batches),
        }
    }

    /// What has been done.
    pub fn written(&self) -> Written {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let told = written.clone();
        written.healed = None;
        told
    }

    /// Waits until all is stored that was given; blocking.
    pub fn finish(mut self, last: Vec<Batch>) -> Written {
        if let Some(flushes) = self.flushes.take() {
            // Waits for room: nothing is given up.
            let _ = flushes.send(last);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.written()
    }
}

fn write(mut sink: Box<dyn Sink>, flushes: &Receiver<Vec<Batch>>, written: &Mutex<Written>) {
    let tell = |change: &mut dyn FnMut(&mut Written)| {
        change(&mut written.lock().unwrap_or_else(PoisonError::into_inner));
    };
    for (sequence, batches) in flushes.iter().filter(|flush| !flush.is_empty()).enumerate() {
        let started = Instant::now();
        let mut stored = Stored::default();
        for batch in &batches {
            loop {
                match sink.store(batch, sequence as u64) {
                    Ok(more) => {
                        stored.files += more.files;
                        stored.bytes += more.bytes;
                        stored.rows += more.rows;
                        break;
                    }
                    Err(error) => {
                        tell(&mut |written| failed(written, &error));
                        thread::sleep(RETRY);
                    }
                }
            }
        }
        tell(&mut |written| {
            written.stored.files += stored.files;
            written.stored.bytes += stored.bytes;
            written.stored.rows += stored.rows;
            written.flushes += 1;
            written.last_flush = started.elapsed();
            if let Some((why, since)) = written.fails.take() {
                tracing::warn!(
                    "rows are stored again after {} s",
                    since.elapsed().as_secs()
                );
                written.healed = Some((since.elapsed(), why));
            }
        });
    }
}

fn failed(written: &mut Written, error: &SinkError) {
    written.failures += 1;
    if written.fails.is_none() {
        tracing::error!("rows cannot be stored, and are kept in memory: {error}");
    }
    let since = written
        .fails
        .take()
        .map_or_else(Instant::now, |(_, since)| since);
    written.fails = Some((error.to_string(), since));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Entry, Rows};

    /// Fails some times first.
    struct Failing {
        left: u32,
        sequences: Arc<Mutex<Vec<u64>>>,
    }

    impl Sink for Failing {
        fn store(&mut self, batch: &Batch, sequence: u64) -> Result<Stored, SinkError> {
            if self.left > 0 {
                self.left -= 1;
                return Err(SinkError::Other("no room".to_owned()));
            }
            self.sequences.lock().unwrap().push(sequence);
            Ok(Stored {
                rows: batch.rows.num_rows() as u64,
                ..Stored::default()
            })
        }
    }

    fn batches() -> Vec<Batch> {
        let mut rows = Rows::new(Vec::new());
        rows.tell(Entry::default());
        rows.take()
    }

    #[test]
    fn rows_that_cannot_be_stored_are_stored_later_and_once() {
        let sequences = Arc::default();
        let sink = Failing {
            left: 2,
            sequences: Arc::clone(&sequences),
        };
        let writer = Writer::start(Box::new(sink)).unwrap();
        writer.give(batches()).unwrap();
        writer.give(Vec::new()).unwrap();

        let written = writer.finish(batches());

        assert_eq!(*sequences.lock().unwrap(), [0, 1]);
        assert_eq!((written.stored.rows, written.failures), (2, 2));
        assert!(written.fails.is_none());
        assert!(written.healed.is_some_and(|(_, why)| why == "no room"));
    }
}
