//! What can go wrong, in one line each.

use std::io;
use std::path::PathBuf;

/// A forecaster that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForecastError {
    /// A file could not be opened, read or understood.
    #[error("cannot read {}: {reason}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file is sound, and there is nothing to be done with what is in it.
    #[error("{}: {reason}", file.display())]
    Data {
        /// Which.
        file: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// A setting, or settings that do not go together.
    #[error("{0}")]
    Setting(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The loss is no number any more.
    #[error(
        "the loss of epoch {epoch} is no number: lower --learning-rate, or look for wild values in the columns"
    )]
    Diverged {
        /// When, from 1.
        epoch: usize,
    },
}

impl ForecastError {
    /// A file that cannot be read.
    pub fn read(file: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Read {
            file: file.into(),
            reason: reason.to_string(),
        }
    }

    /// A file with which nothing can be done.
    pub fn data(file: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Data {
            file: file.into(),
            reason: reason.to_string(),
        }
    }
}

/// What may fail here.
pub type Result<T> = std::result::Result<T, ForecastError>;
