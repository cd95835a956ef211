//! What a capture file says of itself in its footer: whose it is, its place in the order, and what it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The footer key of a capture's Parquet file; its value is a [`Coverage`] as JSON.
pub const COVERAGE_KEY: &str = "tapemill.live";

/// Whose rows a file holds, and which.
///
/// The files of one session and dataset follow each other by `sequence`. Their names hold the local clock, which may
/// have jumped, so nothing is ordered by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The run of the collector that wrote it.
    pub session: String,
    /// Counts the session's flushes from 0.
    pub sequence: u64,
    /// The market: `um`, `cm` or `spot`.
    pub market: String,
    /// What it holds of each stream, by the stream's name, as `btcusdt@depth@100ms`. Snapshots are told under
    /// `btcusdt@snapshot` ([`crate::snapshot_stream`]).
    pub coverage: BTreeMap<String, Span>,
}

/// What a file holds of one stream, in the file's own order. In JSON five numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[i64; 5]", into = "[i64; 5]")]
pub struct Span {
    /// Id of the first row.
    pub first_id: i64,
    /// Id of the last row.
    pub last_id: i64,
    /// Event time of the first row, in milliseconds.
    pub first_ms: i64,
    /// Event time of the last row, in milliseconds.
    pub last_ms: i64,
    /// Rows.
    pub rows: i64,
}

impl Span {
    /// The span of one row.
    pub fn of(id: i64, event_ms: i64) -> Self {
        Self {
            first_id: id,
            last_id: id,
            first_ms: event_ms,
            last_ms: event_ms,
            rows: 1,
        }
    }

    /// Adds the next row.
    pub fn add(&mut self, id: i64, event_ms: i64) {
        self.last_id = id;
        self.last_ms = event_ms;
        self.rows += 1;
    }
}

impl From<[i64; 5]> for Span {
    fn from([first_id, last_id, first_ms, last_ms, rows]: [i64; 5]) -> Self {
        Self {
            first_id,
            last_id,
            first_ms,
            last_ms,
            rows,
        }
    }
}

impl From<Span> for [i64; 5] {
    fn from(span: Span) -> Self {
        [
            span.first_id,
            span.last_id,
            span.first_ms,
            span.last_ms,
            span.rows,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_comes_back_from_its_json() {
        let mut span = Span::of(7, 1000);
        span.add(9, 1100);
        let coverage = Coverage {
            session: "0123abcd".to_owned(),
            sequence: 3,
            market: "um".to_owned(),
            coverage: BTreeMap::from([("btcusdt@depth@100ms".to_owned(), span)]),
        };

        let json = serde_json::to_string(&coverage).unwrap();

        assert_eq!(
            json,
            r#"{"session":"0123abcd","sequence":3,"market":"um","coverage":{"btcusdt@depth@100ms":[7,9,1000,1100,2]}}"#
        );
        assert_eq!(serde_json::from_str::<Coverage>(&json).unwrap(), coverage);
    }
}
