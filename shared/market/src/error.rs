//! What can be wrong with a name, a row or a number.

/// A name, date or setting that a person or a listing wrote is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?}: {expected}")]
pub struct NameError {
    /// Which kind of name, such as `symbol` or `interval`.
    pub what: &'static str,
    /// What was there, cut to a readable length.
    pub found: String,
    /// What would have been right.
    pub expected: String,
}

impl NameError {
    pub(crate) fn new(what: &'static str, found: &str, expected: impl Into<String>) -> Self {
        Self {
            what,
            found: found.chars().take(80).collect(),
            expected: expected.into(),
        }
    }
}

/// A row that does not parse, or that cannot be counted exactly. It makes its archive corrupt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {found:?} is not {expected}")]
pub struct RowError {
    /// Line of the CSV, the first is 1.
    pub line: u64,
    /// Name of the column.
    pub column: &'static str,
    /// What was there, at most 60 characters of it.
    pub found: String,
    /// What would have been right.
    pub expected: &'static str,
}

/// A [`RowError`] before the line is known: what a row's parser returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellError {
    pub column: &'static str,
    pub found: String,
    pub expected: &'static str,
}

impl CellError {
    pub(crate) fn new(column: &'static str, found: &[u8], expected: &'static str) -> Self {
        let found = String::from_utf8_lossy(&found[..found.len().min(240)]);
        Self {
            column,
            found: found.chars().take(60).collect(),
            expected,
        }
    }

    pub(crate) fn at(self, line: u64) -> RowError {
        RowError {
            line,
            column: self.column,
            found: self.found,
            expected: self.expected,
        }
    }
}
