//! What can go wrong with a source, cut by what a caller can do about it.

use std::{error::Error, io, path::PathBuf, time::Duration};

/// A failure of the archive. Messages name the place without user names, passwords or queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The source said 404, or the folder holds no such file. Not a failure: the archive is missing.
    #[error("{key} is not in the archive")]
    Missing {
        /// The archive's key.
        key: String,
    },
    /// An answer other than the one asked for, after all requests. Never a 404.
    #[error("{url} answered {status}")]
    Status {
        /// Where.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The server asked for fewer requests; the [`crate::Brake`] is held.
    #[error("{url} answered {status} and asks to wait {} s", wait.as_secs())]
    RateLimited {
        /// Where.
        url: String,
        /// 429, 418, or 403 with a Retry-After.
        status: u16,
        /// For how long every request of the process is held.
        wait: Duration,
    },
    /// No connection, a cut, or no byte for too long. Safe to repeat.
    #[error("the transfer from {url} failed")]
    Network {
        /// Where.
        url: String,
        /// What the HTTP client says, without the address.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer that contradicts itself or the one before it. Safe to repeat.
    #[error("{url} sent an answer that cannot be used: {why}")]
    Reply {
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The listing is no S3 listing, or does not come to an end.
    #[error(
        "no usable S3 listing at {url}: {why}; name another with --listing URL, \
         or probe file by file with --no-listing"
    )]
    Listing {
        /// Where.
        url: String,
        /// What came instead.
        why: String,
    },
    /// Two files of a folder could be the archive, and their contents differ.
    #[error("{name} could be {} or {}, which differ; keep one of them", first.display(), second.display())]
    Ambiguous {
        /// The archive's file name.
        name: String,
        /// One candidate.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A file or folder of a [`crate::DirSource`] cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cancellation token fired.
    #[error("cancelled")]
    Cancelled,
    /// Something from outside exceeds its bound.
    #[error("{what} is larger than {limit} {unit}")]
    TooLarge {
        /// What, and where.
        what: String,
        /// The bound.
        limit: u64,
        /// Of what: bytes or files.
        unit: &'static str,
    },
    /// The sidecar is there but holds no checksum of this archive. Not the same as no sidecar.
    #[error("the checksum file of {key} is unusable: {why}")]
    Sidecar {
        /// The archive's key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key that is no plain relative path.
    #[error("{key:?} is no archive path: {why}")]
    Key {
        /// The key as given.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The source or listing named by the user is unusable as such.
    #[error("{text} cannot be a source: {why}")]
    Address {
        /// The address, without user name, password and query.
        text: String,
        /// What is wrong with it, and what would do.
        why: String,
    },
    /// The HTTP client cannot be set up: certificates or proxy settings of the environment.
    #[error("cannot set up HTTPS: {why}")]
    Client {
        /// What is wrong, and which variable to look at.
        why: String,
    },
}

impl ArchiveError {
    /// A short stable code, for metrics, histories and filters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Status { status, .. } => match status {
                403 => "http_403",
                400..=499 => "http_4xx",
                500..=599 => "http_5xx",
                _ => "http_other",
            },
            Self::RateLimited { .. } => "rate_limited",
            Self::Network { .. } => "network",
            Self::Reply { .. } => "bad_reply",
            Self::Listing { .. } => "listing",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Io { .. } => "io",
            Self::Cancelled => "cancelled",
            Self::TooLarge { .. } => "too_large",
            Self::Sidecar { .. } => "sidecar",
            Self::Key { .. } => "key",
            Self::Address { .. } => "address",
            Self::Client { .. } => "client",
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::RateLimited { .. }
                | Self::Network { .. }
                | Self::Reply { .. }
        )
    }

    /// The message and its causes in one line.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }

    /// What the HTTP client met, at this place.
    pub fn network(url: &str, error: reqwest::Error) -> Self {
        Self::Network {
            url: url.to_owned(),
            source: error.without_url().into(),
        }
    }

    pub(crate) fn reply(url: &str, why: impl Into<String>) -> Self {
        Self::Reply {
            url: url.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
