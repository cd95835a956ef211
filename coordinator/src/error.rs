//! Why a plan cannot be made.

use tapemill_archive::ArchiveError;
use tapemill_exchange::ExchangeError;
use tapemill_lake::LakeError;
use tapemill_market::NameError;
use tapemill_queue::QueueError;

/// A plan that cannot be made; nothing was enqueued.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The selection itself is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What the selection is made from cannot be read any more.
    #[error("{why}")]
    Selection {
        /// What, and why.
        why: String,
    },
    /// A symbol that the archive does not have.
    #[error("no symbol {symbol} in {folder} of {place}; nearest: {nearest}")]
    NoSuchSymbol {
        /// As asked for.
        symbol: String,
        /// The folder it should be in.
        folder: String,
        /// Which archive.
        place: String,
        /// The nearest names, or that there are none.
        nearest: String,
    },
    /// The symbols exist, but nothing in the range does.
    #[error("{place} has nothing of this selection: {detail}")]
    Nothing {
        /// Which archive.
        place: String,
        /// What there is instead.
        detail: String,
    },
    /// The exchange does not tell what symbols traded.
    #[error("--min-volume cannot be judged: {}", .0.line_without("--min-volume"))]
    Volumes(ExchangeError),
    /// The archive failed.
    #[error("{}", .0.one_line())]
    Archive(#[from] ArchiveError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The output failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A thread of the planner failed.
    #[error("a thread of the planner failed: {0}")]
    Thread(String),
}
