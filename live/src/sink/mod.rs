//! Where rows go.

mod jsonl;
mod parquet;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tapemill_capture::{Coverage, Dataset, day_folder};
use tapemill_market::Market;
use tapemill_stream::Mark;

use crate::error::SinkError;
use crate::rows::Batch;

pub use jsonl::JsonlSink;
pub use parquet::ParquetSink;

/// What a sink knows of the rows that it is given.
#[derive(Debug, Clone)]
pub struct Session {
    /// The market.
    pub market: Market,
    /// Names the run of the collector.
    pub name: Arc<str>,
}

/// A sink: something that stores rows. A writer to a database is one more.
///
/// All calls come from one thread, which may wait.
pub trait Sink: Send {
    /// Stores the rows of one dataset of one flush, and returns when they are durable, whole and visible. The ledger's come first
    /// in a flush. `sequence` counts the flushes of the session from 0.
    ///
    /// # Errors
    ///
    /// [`SinkError`]; then the same rows come again.
    fn store(&mut self, batch: &Batch, sequence: u64) -> Result<Stored, SinkError>;

    /// What was stored last of these streams by earlier sessions; those that are not known are left out. Each stream is named with
    /// its dataset and symbol.
    ///
    /// # Errors
    ///
    /// [`SinkError`] where that cannot be read.
    fn last(&mut self, streams: &[Followed]) -> Result<BTreeMap<String, Mark>, SinkError> {
        let _ = streams;
        Ok(BTreeMap::new())
    }
}

/// A stream that a session goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its name.
    pub stream: String,
    /// Where its rows are.
    pub dataset: Dataset,
    /// Its symbol.
    pub symbol: String,
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Files that were made or added to.
    pub files: u64,
    /// Their bytes, or those that were added.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

impl Session {
    /// The coverage of a batch.
    fn coverage(&self, batch: &Batch, sequence: u64) -> Coverage {
        Coverage {
            session: self.name.to_string(),
            sequence,
            market: self.market.to_string(),
            coverage: batch.coverage.clone(),
        }
    }
}

/// The folders that rows of the last day lie in, the newest first.
fn recent_folders(dataset: Dataset, market: Market) -> Vec<String> {
    let now_us = Timestamp::now().as_microsecond();
    let days = [now_us, now_us - DAY_US].map(tapemill_market::day_of);
    let days = days.into_iter().flatten();
    days.map(|day| day_folder(dataset, market, day)).collect()
}

const DAY_US: i64 = 86_400_000_000;
