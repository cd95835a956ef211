//! The backend for one machine: an SQLite file that any number of its processes share.
//!
//! Writes go through one connection per open queue and hold the file's write lock for a few
//! statements; reads have a connection of their own and wait for nobody (write-ahead log).
//! The log is synchronised at checkpoints only: a process that dies loses nothing, a power cut may
//! undo the last calls, which "at least once" covers.

mod checkpoint;
mod claim;
mod control;
mod enqueue;
mod fault;
mod filesystem;
mod finish;
mod heartbeat;
mod open;
#[cfg(test)]
mod plans;
mod presence;
mod read;
mod reap;
mod rows;
mod thread;
mod weight;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Transaction;

use fault::{Fault, file_error};
use presence::Presence;
use thread::ConnectionThread;

use crate::{
    Budgets, ClaimRequest, Claimed, Clock, CompletedAndClaimed, Completion, Enqueued, Failure,
    HeartbeatReply, HeartbeatRequest, Lease, NewTask, Page, Queue, QueueError, Reaped, Stats,
    SystemClock, TaskFilter, TaskId, TaskRecord, TaskState, WorkerRecord, limits, settings,
};

/// Tasks written or read per transaction, so that other processes get their turn.
const CHUNK: usize = 500;

/// How a queue is opened.
#[derive(Clone)]
pub struct Options {
    /// How much trouble a task may have.
    pub budgets: Budgets,
    /// The time to live by; all processes of a queue must agree on it.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budgets: Budgets::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// A queue in an SQLite file. Cheap to share behind an `Arc`; opening it twice is fine.
pub struct SqliteQueue {
    path: PathBuf,
    budgets: Budgets,
    clock: Arc<dyn Clock>,
    presence: Arc<Presence>,
    writer: ConnectionThread,
    reader: ConnectionThread,
}

impl SqliteQueue {
    /// Opens a queue file, and makes it and its folder when they are not there.
    ///
    /// Blocks for as long as other processes keep the file locked, seconds at most.
    ///
    /// # Errors
    ///
    /// * [`QueueError::NotAQueue`], [`QueueError::NewerSchema`]: the file is something else, and
    ///   stays as it is.
    /// * [`QueueError::NetworkFilesystem`] (known on Linux only), [`QueueError::OldStore`].
    /// * [`QueueError::Full`]: the place cannot be written.
    /// * [`QueueError::Unavailable`]: anything else.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, QueueError> {
        let given = path.as_ref();
        let name: Arc<str> = given.display().to_string().into();
        // A later change of the working directory must not split the queue in two.
        let path = std::path::absolute(given)
            .map_err(|error| file_error(error, &name, "find its folder"))?;
        open::prepare_place(&path, &name)?;
        let (writer, checkpoints) = open::open_writer(&path, &name)?;
        let reader = open::open_reader(&path, &name)?;
        let presence = Presence::take(&path)
            .map_err(|error| file_error(error, &name, "lock a file beside it"))?;
        Ok(Self {
            path,
            budgets: options.budgets,
            clock: options.clock,
            presence: Arc::new(presence),
            writer: ConnectionThread::start(
                writer,
                Some(checkpoints),
                "queue-writer",
                name.clone(),
            )?,
            reader: ConnectionThread::start(reader, None, "queue-reader", name)?,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes in one transaction. The time is taken once the file is locked, so that it never
    /// precedes what other processes wrote.
    async fn write<T, F>(&self, op: &'static str, body: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, i64) -> Result<T, Fault> + Send + 'static,
    {
        let clock = self.clock.clone();
        self.writer
            .write(op, move |transaction| body(transaction, clock.now_ms()))
            .await
    }

    /// Reads from one snapshot.
    async fn read<T, F>(&self, op: &'static str, body: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, i64) -> Result<T, Fault> + Send + 'static,
    {
        let clock = self.clock.clone();
        self.reader
            .read(op, move |transaction| body(transaction, clock.now_ms()))
            .await
    }

    /// The name new leases record, with its lock file in place.
    fn holder(&self, op: &'static str) -> Result<String, QueueError> {
        let queue = || self.path.display().to_string();
        self.presence
            .renew()
            .map_err(|error| file_error(error, &queue(), op))?;
        Ok(self.presence.holder().to_owned())
    }
}

/// The path in a URL of the form `sqlite:PATH`.
///
/// # Errors
///
/// [`QueueError::BadUrl`] for any other scheme, and for no path.
pub fn parse_url(url: &str) -> Result<PathBuf, QueueError> {
    let bad = |why| QueueError::BadUrl {
        url: url.to_owned(),
        why,
    };
    let rest = url
        .strip_prefix("sqlite:")
        .ok_or_else(|| bad("it does not begin with sqlite:"))?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return Err(bad("it names no file"));
    }
    Ok(PathBuf::from(path))
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued, QueueError> {
        limits::check_new_tasks(tasks)?;
        let mut total = Enqueued::default();
        for chunk in tasks.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            let part = self
                .write("enqueue tasks", move |tx, now| {
                    enqueue::enqueue(tx, now, &chunk)
                })
                .await?;
            total += part;
        }
        Ok(total)
    }

    async fn retry(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        let mut retried = 0;
        for chunk in ids.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            retried += self
                .write("retry tasks", move |tx, now| {
                    control::retry(tx, now, &chunk)
                })
                .await?;
        }
        Ok(retried)
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claimed, QueueError> {
        limits::check_only(request.only)?;
        let op = "claim tasks";
        let wanted = claim::Wanted::new(request, self.holder(op)?);
        self.write(op, move |tx, now| claim::claim(tx, now, &wanted))
            .await
    }

    async fn heartbeat(
        &self,
        request: &HeartbeatRequest<'_>,
    ) -> Result<HeartbeatReply, QueueError> {
        limits::check_beats(request.beats)?;
        let op = "extend leases";
        let beating = heartbeat::Beating::new(request, self.holder(op)?);
        self.write(op, move |tx, now| heartbeat::heartbeat(tx, now, &beating))
            .await
    }

    async fn confirm(&self, lease: &Lease) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.read("confirm a lease", move |tx, _| {
            finish::held(tx, &lease).map(drop)
        })
        .await
    }

    async fn complete(&self, lease: &Lease, completion: &Completion) -> Result<(), QueueError> {
        limits::check_completion(&lease.task, completion)?;
        let (lease, completion) = (lease.clone(), completion.clone());
        self.write("complete a task", move |tx, now| {
            finish::complete(tx, now, &lease, &completion)
        })
        .await
    }

    async fn complete_and_claim(
        &self,
        lease: &Lease,
        completion: &Completion,
        request: &ClaimRequest<'_>,
    ) -> Result<CompletedAndClaimed, QueueError> {
        limits::check_completion(&lease.task, completion)?;
        limits::check_only(request.only)?;
        let op = "complete a task and claim the next";
        let wanted = claim::Wanted::new(request, self.holder(op)?);
        let (lease, completion) = (lease.clone(), completion.clone());
        self.write(op, move |tx, now| {
            let accepted = match finish::complete(tx, now, &lease, &completion) {
                Ok(()) => true,
                Err(Fault::Refused(QueueError::LeaseLost { .. })) => false,
                Err(fault) => return Err(fault),
            };
            let claimed = claim::claim(tx, now, &wanted)?;
            Ok(CompletedAndClaimed { accepted, claimed })
        })
        .await
    }

    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<TaskState, QueueError> {
        let (lease, retry, budgets) = (lease.clone(), failure.retry, self.budgets);
        let (reason, message) = limits::cut_failure(failure);
        self.write("report a failure", move |tx, now| {
            finish::fail(tx, now, &lease, retry, budgets, (&reason, &message))
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.write("release a task", move |tx, now| {
            finish::release(tx, now, &lease)
        })
        .await
    }

    async fn reap(&self, limit: usize) -> Result<Reaped, QueueError> {
        let (budgets, limit) = (self.budgets, limit.min(limits::MAX_REAPED));
        let presence = self.presence.clone();
        // Looked at outside the write lock: it asks the file system once per open queue, and
        // whoever is gone stays gone.
        let due = self
            .read("look for lost leases", move |tx, now| {
                let gone = presence.gone(reap::holders(tx)?);
                let any = reap::any_lapsed(tx, now, &gone)?;
                Ok(any.then_some(gone))
            })
            .await?;
        let Some(gone) = due else {
            return Ok(Reaped::default());
        };
        self.write("return lost leases", move |tx, now| {
            reap::reap(tx, now, &gone, limit, budgets)
        })
        .await
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, QueueError> {
        let mut records = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            records.extend(
                self.read("read tasks", move |tx, _| read::get(tx, &chunk))
                    .await?,
            );
        }
        Ok(records)
    }

    async fn states(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskState>>, QueueError> {
        let mut states = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            states.extend(
                self.read("read states", move |tx, _| read::states(tx, &chunk))
                    .await?,
            );
        }
        Ok(states)
    }

    async fn list(
        &self,
        filter: &TaskFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page, QueueError> {
        let filter = filter.clone();
        let limit = limit.clamp(1, limits::MAX_PAGE);
        self.read("list tasks", move |tx, _| {
            read::list(tx, &filter, cursor.as_deref(), limit)
        })
        .await
    }

    async fn cancel(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        let mut cancelled = 0;
        for chunk in ids.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            cancelled += self
                .write("cancel tasks", move |tx, now| {
                    control::cancel(tx, now, &chunk)
                })
                .await?;
        }
        Ok(cancelled)
    }

    async fn pause(&self, paused: bool) -> Result<(), QueueError> {
        self.write("pause or resume", move |tx, _| control::pause(tx, paused))
            .await
    }

    async fn brake(&self, at_least: Duration) -> Result<(), QueueError> {
        self.write("slow down", move |tx, now| {
            control::brake(tx, now, at_least)
        })
        .await
    }

    async fn brake_left(&self) -> Result<Option<Duration>, QueueError> {
        self.read("ask for a brake", control::brake_left).await
    }

    async fn take_weight(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, QueueError> {
        limits::check_host(host)?;
        let host = host.to_owned();
        self.write("count a request", move |tx, now| {
            weight::take(tx, now, &host, weight, most)
        })
        .await
    }

    async fn correct_weight(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), QueueError> {
        limits::check_host(host)?;
        let host = host.to_owned();
        self.write("count a request", move |tx, now| {
            weight::correct(tx, now, &host, used, hold)
        })
        .await
    }

    async fn prune(&self, older_than: Duration) -> Result<u64, QueueError> {
        let mut pruned = 0;
        loop {
            let part = self
                .write("prune tasks", move |tx, now| {
                    control::prune(tx, now, older_than, CHUNK)
                })
                .await?;
            pruned += part as u64;
            if part < CHUNK {
                return Ok(pruned);
            }
        }
    }

    async fn clear(&self) -> Result<(), QueueError> {
        self.write("delete everything", |tx, _| control::clear(tx))
            .await
    }

    async fn fix_settings(&self, ours: &BTreeMap<String, String>) -> Result<(), QueueError> {
        settings::check(ours)?;
        let ours = ours.clone();
        self.write("compare settings", move |tx, _| {
            control::fix_settings(tx, &ours)
        })
        .await
    }

    async fn settings(&self) -> Result<Option<BTreeMap<String, String>>, QueueError> {
        self.read("read settings", |tx, _| control::settings(tx))
            .await
    }

    async fn stats(&self) -> Result<Stats, QueueError> {
        let path = self.path.clone();
        self.read("count tasks", move |tx, now| read::stats(tx, now, &path))
            .await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>, QueueError> {
        self.read("list workers", read::workers).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_path_relative_or_not() {
        assert_eq!(
            parse_url("sqlite:data/queue.db").unwrap(),
            Path::new("data/queue.db")
        );
        assert_eq!(
            parse_url("sqlite:/data/queue.db").unwrap(),
            Path::new("/data/queue.db")
        );
        assert_eq!(
            parse_url("sqlite:///data/queue.db").unwrap(),
            Path::new("/data/queue.db")
        );
    }

    #[test]
    fn a_url_without_a_path_or_of_another_scheme_is_refused() {
        for url in ["sqlite:", "sqlite://", "redis://host", "queue.db", ""] {
            assert!(
                matches!(parse_url(url), Err(QueueError::BadUrl { .. })),
                "{url}"
            );
        }
    }
}
