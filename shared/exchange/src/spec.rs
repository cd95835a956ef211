//! What a task says of where its rows come from.

use std::fmt;

/// The task's rows are asked of the exchange, and not read from the archive: what of its period had ended by a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestSpec {
    /// Milliseconds since 1970-01-01 UTC.
    pub closed_by_ms: i64,
}

impl RestSpec {
    /// Reads a task's spec; `None` for a task of the archive.
    pub fn of(spec: &str) -> Option<Self> {
        let closed_by_ms = spec.strip_prefix("rest ")?.parse().ok()?;
        Some(Self { closed_by_ms })
    }
}

impl fmt::Display for RestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rest {}", self.closed_by_ms)
    }
}
