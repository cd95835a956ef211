//! A connection on a thread of its own, and calls to it from async code.
//!
//! SQLite blocks while it waits for other processes; an executor's threads must not.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::fault::{Fault, file_error};
use crate::QueueError;

/// How long one try waits for other processes to release the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one call, each with its own timeout.
const TRIES: u32 = 3;
/// Longest sleep between two looks at a locked file.
const LONGEST_NAP_US: u64 = 4_000;
/// Calls that may wait for the thread before callers wait to hand theirs over.
const WAITING_CALLS: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Hands calls to the thread that owns a connection. The thread ends when this is dropped.
pub(super) struct ConnectionThread {
    jobs: mpsc::Sender<Job>,
    queue: Arc<str>,
}

impl ConnectionThread {
    /// Starts the thread. `checkpoints` is absent for a connection that only reads.
    pub(super) fn start(
        mut connection: Connection,
        mut checkpoints: Option<Checkpoints>,
        thread_name: &str,
        queue: Arc<str>,
    ) -> Result<Self, QueueError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING_CALLS);
        std::thread::Builder::new()
            .name(thread_name.to_owned())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    job(&mut connection);
                    if let Some(checkpoints) = &mut checkpoints {
                        checkpoints.run_if_due(&mut connection);
                    }
                }
            })
            .map_err(|error| file_error(error, &queue, "start a thread"))?;
        Ok(Self { jobs, queue })
    }

    /// Runs `body` in a transaction that holds the write lock from its start.
    ///
    /// A read that turns into a write would fail at once when another process wrote in between.
    pub(super) async fn write<T, F>(&self, op: &'static str, body: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.transact(op, TransactionBehavior::Immediate, body)
            .await
    }

    /// Runs `body` on one snapshot of the file.
    pub(super) async fn read<T, F>(&self, op: &'static str, body: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.transact(op, TransactionBehavior::Deferred, body).await
    }

    async fn transact<T, F>(
        &self,
        op: &'static str,
        behavior: TransactionBehavior,
        body: F,
    ) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.clone();
        let job: Job = Box::new(move |connection| {
            let result = retry_while_busy(op, || transaction(connection, behavior, &body));
            // The caller may have gone away; what was asked has happened all the same.
            let _ = reply.send(result.map_err(|fault| fault.into_error(&queue, op)));
        });
        let gone = || QueueError::Unavailable {
            queue: self.queue.to_string(),
            op,
            source: "its thread is gone".into(),
        };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn transaction<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    body: impl Fn(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let value = body(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Makes a call again while other processes keep the file locked beyond the busy timeout.
pub(super) fn retry_while_busy<T>(
    op: &'static str,
    mut call: impl FnMut() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut tries = 1;
    loop {
        match call() {
            Err(fault) if fault.is_busy() && tries < TRIES => {
                tracing::warn!(
                    op,
                    tries,
                    "queue file is locked by other processes, trying again"
                );
                std::thread::sleep(nap(LONGEST_NAP_US));
                tries += 1;
            }
            result => return result,
        }
    }
}

/// Waits for other processes in short random naps.
///
/// SQLite's own handler sleeps longer each time, so a newcomer overtakes whoever waits longest.
pub(super) fn wait_politely(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |naps: i32| {
        if naps == 0 {
            since = Instant::now();
        }
        if since.elapsed() >= BUSY_TIMEOUT {
            return false;
        }
        let longest_us = (100 << naps.clamp(0, 6)).min(LONGEST_NAP_US);
        std::thread::sleep(nap(longest_us));
        true
    }))
}

/// A random time of up to `longest_us`.
fn nap(longest_us: u64) -> Duration {
    // Each new state hashes differently, which is randomness enough to part two processes.
    let random = RandomState::new().build_hasher().finish();
    Duration::from_micros(random % longest_us + 1)
}
