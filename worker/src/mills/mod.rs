//! From the bytes of a CSV to tables, one file for each kind of archive.
//!
//! A new dataset of rows as they are needs nothing here; a new kind of computation is a file here with its [`Plan`], and
//! one line in [`plan`].

mod agg_trades;
mod both;
mod check;
mod klines;
mod rows;
mod runs;

use tapemill_lake::{Footer, LakeError, Output, StagedTable};
use tapemill_market::dataset::AGG_TRADES;
use tapemill_market::{Account, ArchiveName, Data, Quality};

use crate::Corrupt;

pub(crate) use check::CheckPlan;

/// How to read one archive, as often as its transfer has to start over.
pub(crate) trait Plan: Send + Sync {
    /// A mill for one reading.
    fn start(&self) -> Box<dyn Mill>;
}

/// One reading of an archive.
pub(crate) trait Mill: Send {
    /// Takes the next bytes of the CSV.
    fn feed(&mut self, csv: &[u8]) -> Result<(), MillError>;
    /// Rows read so far.
    fn rows(&self) -> u64;
    /// Ends the CSV.
    fn finish(self: Box<Self>) -> Result<Reading, MillError>;
}

/// What came of a reading.
pub(crate) enum Reading {
    /// The tables, to be written.
    Milled(Box<dyn Milled>),
    /// The archive has to be read once more, in another way.
    Again(Box<dyn Plan>),
}

/// A whole archive, milled but not written.
pub(crate) trait Milled: Send {
    /// What was seen beside the rows that were used.
    fn quality(&self) -> &Quality;
    /// The rows of its main table; `None` where they are no bars, or too many to hold.
    fn account(&self) -> Option<Account> {
        None
    }
    /// Takes other rows in the place of its own, where it gave them out, and what was seen beside those.
    fn settle(&mut self, _account: Account, _quality: Quality) {}
    /// Writes all tables, none of them visible yet.
    fn write(self: Box<Self>, footer: &Footer) -> Result<Vec<StagedTable>, LakeError>;
}

/// Why a reading stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MillError {
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl From<tapemill_market::RowError> for MillError {
    fn from(error: tapemill_market::RowError) -> Self {
        Self::Corrupt(error.into())
    }
}

/// How to mill an archive of this name; `None` where the market has no such archives.
pub(crate) fn plan(output: &Output, name: &ArchiveName) -> Option<Box<dyn Plan>> {
    let trades = || agg_trades::AggTradesPlan::new(output, name);
    let rows = |dataset| rows::RowsPlan::new(output, name, dataset);
    Some(match name.data {
        Data::AggTrades => Box::new(trades()),
        Data::RawAggTrades => Box::new(both::Both::new(trades(), rows(&AGG_TRADES)?)),
        Data::Klines(_, interval) => Box::new(klines::KlinesPlan::new(output, name, interval)),
        Data::Rows(dataset) => Box::new(rows(dataset)?),
    })
}

/// Rows handed to a table writer at a time: minutes of a day, which stay in the second cache between their rounding,
/// their hours and their columns.
const BATCH_ROWS: usize = 1440;
