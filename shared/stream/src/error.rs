//! What is no frame.

/// A text that is not what the exchange documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in the text that was read.
    pub at: usize,
}

/// A name of a stream that a market does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{market} has no stream {name:?}: {why}")]
pub struct UnknownChannel {
    /// The market.
    pub market: tapemill_market::Market,
    /// The name.
    pub name: String,
    /// What it has.
    pub why: String,
}
