//! An archive that cannot be read.

use tapemill_market::RowError;

/// Why an archive is corrupt: one line that says what and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(String);

impl Corrupt {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<RowError> for Corrupt {
    fn from(error: RowError) -> Self {
        Self(error.to_string())
    }
}
