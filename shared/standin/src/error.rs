use std::io;
use std::path::{Path, PathBuf};

/// Why the stand-in could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandinError {
    /// A spec, a name or a fault rule asks for something that cannot be. Change the input.
    #[error("{what}: {why}")]
    Invalid {
        /// The field, flag or text that is wrong.
        what: String,
        /// Why, and what is accepted.
        why: String,
    },
    /// A file or folder of the archive could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server could not listen. Choose another address, or port 0.
    #[error("cannot listen on {address}, choose another address or port 0: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl StandinError {
    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            why: why.into(),
        }
    }

    /// For `map_err`: names the file an I/O error belongs to.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
