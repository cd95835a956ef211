//! Entries of the ledger: what the collector did, and what is missing.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use tapemill_capture::Dataset;
use tapemill_stream::{Hole, Mark};

use super::Origin;
use super::columns::{batch, received};

/// One entry; which fields it has depends on what it tells: docs/live.md.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Entry {
    pub event_type: &'static str,
    pub received_ns: i64,
    pub market: String,
    pub symbol: Option<String>,
    pub stream: Option<String>,
    pub session: String,
    pub generation: Option<i64>,
    pub connection: Option<i32>,
    pub cause: Option<&'static str>,
    pub after: Option<Mark>,
    pub before: Option<Mark>,
    pub missing: Option<i64>,
    pub filled: Option<i64>,
    pub detail: Option<String>,
}

impl Entry {
    /// With what a hole says.
    pub fn with(self, hole: &Hole) -> Self {
        Self {
            after: hole.after,
            before: hole.before,
            missing: hole.missing.and_then(|missing| i64::try_from(missing).ok()),
            ..self
        }
    }
}

pub(super) fn batch_of(entries: &[Entry]) -> Option<RecordBatch> {
    let text = |of: fn(&Entry) -> Option<&str>| -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<StringArray>())
    };
    let whole = |of: fn(&Entry) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<Int64Array>())
    };
    let origins: Vec<_> = entries
        .iter()
        .map(|entry| Origin {
            received_ns: entry.received_ns,
            ..Origin::default()
        })
        .collect();
    let connections = entries.iter().map(|entry| entry.connection);
    let columns: Vec<ArrayRef> = vec![
        text(|entry| Some(entry.event_type)),
        whole(|entry| Some(entry.received_ns.div_euclid(1_000_000))),
        received(origins.iter()),
        text(|entry| Some(&entry.market)),
        text(|entry| entry.symbol.as_deref()),
        text(|entry| entry.stream.as_deref()),
        text(|entry| Some(&entry.session)),
        whole(|entry| entry.generation),
        Arc::new(connections.collect::<Int32Array>()),
        text(|entry| entry.cause),
        whole(|entry| entry.after.map(|mark| mark.id)),
        whole(|entry| entry.before.map(|mark| mark.id)),
        whole(|entry| entry.after.map(|mark| mark.event_ms)),
        whole(|entry| entry.before.map(|mark| mark.event_ms)),
        whole(|entry| entry.missing),
        whole(|entry| entry.filled),
        text(|entry| entry.detail.as_deref()),
    ];
    batch(Dataset::Ledger, columns)
}
