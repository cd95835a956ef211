//! What can go wrong with the exchange, cut by what a caller can do about it.

use std::time::Duration;

use tapemill_archive::ArchiveError;

use crate::weights::WeightsError;

/// A failure of the exchange. Messages name the place without user names, passwords or queries.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The exchange has no such rows: the symbol is not (or no longer) there, or the times are out of its reach.
    #[error("{url} has no such rows: {why}")]
    Missing {
        /// Where.
        url: String,
        /// What the exchange says.
        why: String,
    },
    /// The exchange does not serve this region.
    #[error(
        "{url} answered 451: the exchange does not serve this region; the archive works all the same with --no-rest, \
         or name another address with --rest URL"
    )]
    Region {
        /// Where.
        url: String,
    },
    /// The exchange refused the question, and will again.
    #[error("{url} refused the request: {why}")]
    Refused {
        /// Where.
        url: String,
        /// What the exchange says.
        why: String,
    },
    /// The host asked for a wait that is too long to sit out.
    #[error("{host} asks to wait {} s", wait.as_secs())]
    Held {
        /// The host.
        host: String,
        /// From now on.
        wait: Duration,
    },
    /// No answer that can be used, after all requests.
    #[error("{}", .0.one_line())]
    Http(ArchiveError),
    /// The store that keeps the weights did not answer.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The cancellation token fired.
    #[error("cancelled")]
    Cancelled,
}

impl ExchangeError {
    /// A short stable code, for metrics, histories and filters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Region { .. } => "region",
            Self::Refused { .. } => "refused",
            Self::Held { .. } => "rate_limited",
            Self::Http(error) => error.reason(),
            Self::Weights(_) => "queue",
            Self::Cancelled => "cancelled",
        }
    }

    /// In one line, for what can be done without by leaving out a flag.
    pub fn line_without(&self, flag: &str) -> String {
        match self {
            Self::Region { url } => format!(
                "{url} answered 451: the exchange does not serve this region; name another address with --rest URL, \
                 or leave out {flag}"
            ),
            error => error.to_string(),
        }
    }

    /// Whether the same question may be answered later.
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Missing { .. } | Self::Region { .. } | Self::Refused { .. }
        )
    }
}
