//! Why a collector cannot begin or go on, and why a connection ended.

use std::time::Duration;

use tapemill_archive::ArchiveError;
use tapemill_exchange::ExchangeError;
use tapemill_lake::LakeError;
use tapemill_queue::QueueError;

/// A collector cannot begin, or has to end.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Certificates or proxies that cannot be used.
    #[error(transparent)]
    Client(#[from] ArchiveError),
    /// What the exchange says of its symbols.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The place where rows go.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The queue that symbols are shared by.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Rows that could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The output.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Anything else of a sink's own.
    #[error("{0}")]
    Other(String),
}

/// Why a connection ended, or never was.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is no such host, or no way to it.
    #[error("cannot connect to {host}: {why}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system says.
        why: String,
    },
    /// The exchange answered the handshake with a refusal.
    #[error("{host} answered {status} to the handshake")]
    Refused {
        /// Host and port.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The wait it asks for.
        wait: Option<Duration>,
    },
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// The exchange ended it.
    #[error("the exchange closed it: {0}")]
    Closed(String),
    /// It was ended from here.
    #[error("ended")]
    Ended,
}
