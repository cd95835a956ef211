//! Why a file of expressions is refused.

use std::fmt;

use datafusion::common::DataFusionError;

/// Something in a file of expressions: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SqlError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; `None` where it is of the file as a whole.
    pub line: Option<u64>,
    /// The column that the expression gives.
    pub column: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ": {column}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What the engine says, in one line and without its own layers' names.
pub(crate) fn told(error: &DataFusionError) -> String {
    let root = error.find_root();
    let said = match root {
        DataFusionError::SchemaError(error, _) => error.to_string(),
        DataFusionError::SQL(error, _) => error.to_string(),
        root => root.message().into_owned(),
    };
    let said = said
        .split_once("\n\nbacktrace")
        .map_or(said.as_str(), |(said, _)| said);
    // What a function says of its arguments comes wrapped.
    let said = match said.split_once(" failed with: Error during planning: ") {
        Some((_, own)) => own
            .split_once(" No function matches")
            .map_or(own, |(own, _)| own),
        None => said,
    };
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
