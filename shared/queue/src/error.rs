//! What can go wrong, cut by what a caller can do about it.

use crate::TaskId;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A queue call that was refused or could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The caller no longer holds the lease; another attempt may run. Stop, and write nothing.
    #[error("lease on task {task} (generation {generation}) is lost")]
    LeaseLost {
        /// The task.
        task: TaskId,
        /// The generation the caller held.
        generation: u64,
    },
    /// The queue was planned with other settings; a process set otherwise must not join.
    #[error(
        "this queue was planned with {name} {theirs}, here it is {ours}: \
         set it to the queue's value, or use another queue and output"
    )]
    Settings {
        /// The setting that differs.
        name: String,
        /// Its value in the queue.
        theirs: String,
        /// Its value in the caller.
        ours: String,
    },
    /// The store did not answer, so the outcome is unknown. Safe to repeat.
    #[error("queue {queue} did not answer while trying to {op}")]
    Unavailable {
        /// The store.
        queue: String,
        /// What was asked of it.
        op: &'static str,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// The store answers, and refuses: a wrong password, a replica, no memory left. Somebody has to
    /// set it right, and the same call succeeds once that is done.
    #[error("queue {queue} refused to {op}: {why}")]
    Refused {
        /// The store.
        queue: String,
        /// What was asked of it.
        op: &'static str,
        /// What it said, and what to do.
        why: String,
    },
    /// The store cannot be written: its disk is full, or read-only. No fault of any task.
    #[error(
        "queue {queue} cannot be written while trying to {op}: \
         free space on its disk, or make it writable"
    )]
    Full {
        /// The store.
        queue: String,
        /// What was asked of it.
        op: &'static str,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// The place named holds something else; it was left untouched.
    #[error("{queue} is not a tapemill queue ({why}): name another file with --queue")]
    NotAQueue {
        /// The place.
        queue: String,
        /// What was found there.
        why: String,
    },
    /// A newer release wrote this queue; it was left untouched.
    #[error(
        "queue {queue} has schema {found}, this release reads up to {ours}: use a newer tapemill"
    )]
    NewerSchema {
        /// The store.
        queue: String,
        /// Its schema.
        found: i64,
        /// The newest this release knows.
        ours: i64,
    },
    /// What the store holds contradicts itself.
    #[error("queue {queue} is damaged ({why}): delete it, and plan again to restore it")]
    Damaged {
        /// The store.
        queue: String,
        /// What was found.
        why: String,
    },
    /// Several machines would share memory that only one can: the file lies on a network disk.
    #[error(
        "queue {path} lies on a network file system ({kind}): \
         put it on a local disk, or use a redis:// queue"
    )]
    NetworkFilesystem {
        /// The file.
        path: String,
        /// The file system's name.
        kind: &'static str,
    },
    /// The store's software is too old to be trusted with a queue.
    #[error("queue {queue} needs {needs}, found {found}: update it")]
    OldStore {
        /// The store.
        queue: String,
        /// What is needed.
        needs: &'static str,
        /// What is there.
        found: String,
    },
    /// Nothing was ever planned there.
    #[error(
        "there is no queue at {queue}: name it with --queue or --output, \
         or make one with `tapemill plan` or `run`"
    )]
    NoQueue {
        /// The place.
        queue: String,
    },
    /// A queue URL that names no queue.
    #[error(
        "queue URL {url:?} is not usable ({why}): use sqlite:PATH or redis://HOST:PORT?queue=NAME"
    )]
    BadUrl {
        /// The URL, as given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A task id no store can keep; nothing was written.
    #[error("task id {id:?} is not usable: it is empty or holds control characters")]
    BadId {
        /// The id, as given.
        id: String,
    },
    /// Something handed over is beyond its bound; nothing was written.
    #[error("{what} is too large: {size}, at most {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size, in bytes or items.
        size: usize,
        /// The bound.
        limit: usize,
    },
}

impl QueueError {
    /// Whether the same call may succeed later with nothing changed by hand.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. })
    }
}
