//! What can be wrong with how a process is started.

use std::io;
use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;

/// Why a process cannot start as asked. All but [`RuntimeError::System`] and
/// [`RuntimeError::Listen`] are the user's to mend: exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The configuration file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the configuration file that cannot be taken.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// A variable of the environment that cannot be taken.
    #[error("environment variable {name} {problem}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A value that is not of its kind.
    #[error("{value:?} is not {kind}: {problem}")]
    Value {
        /// The value, cut to a readable length.
        value: String,
        /// What it should be, with its article.
        kind: &'static str,
        /// What to write.
        problem: &'static str,
    },
    /// The system refused something every process needs.
    #[error("cannot {doing}: {source}")]
    System {
        /// The step that failed.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A server cannot listen where it should.
    #[error(
        "cannot listen on {address}: {source}; name another address with --listen (port 0 picks a free one)"
    )]
    Listen {
        /// As given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Logs were set up before in this process.
    #[error("logs are already set up in this process")]
    LogsTaken,
}
