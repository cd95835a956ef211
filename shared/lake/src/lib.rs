//! The output: where tables lie, how they are written, published and read back.
//!
//! A [`Lake`] is a folder, or a bucket of an S3-compatible store, of Parquet files, one per dataset, market, symbol and
//! period ([`TablePath`]). A table goes through three hands, and nothing is visible before the last:
//!
//! ```text
//! TableWriter::create ── write* ── finish(footer) ──► Staged ── publish ──► Published
//!   hidden part, locked     rows in order              fsynced                renamed, folder fsynced
//!   in memory, or uploading                            all bytes sent         put, or completed
//! ```
//!
//! Dropping a writer or a [`Staged`] removes its part, or its upload. A process that dies leaves the part with a free
//! lock, and that is how [`cleanup`] tells it from one that is being written.
//!
//! **The same rows and footer give the same bytes**: batch boundaries do not matter, and no clock, host, path or worker
//! name goes in. [`CODEC`] is raised when the bytes for the same input change.

mod availability;
mod capture;
mod catalogue;
mod columns;
mod content;
mod content_reader;
mod dispute;
mod error;
mod guard;
mod handover;
mod holdings;
mod json;
mod lake;
mod ledger;
mod lineage;
mod local;
mod order;
mod output;
mod parquet_format;
mod paths;
mod proof;
mod publish;
mod reader;
mod receipt;
mod s3;
mod segment;
mod store;
mod task_spec;
mod writer;

pub mod cleanup;
pub mod tables;

pub use availability::Series;
pub use capture::{Capture, CaptureBatches};
pub use catalogue::CatalogueRow;
pub use content::{content_of, read_verified, verify_content};
pub use dispute::Dispute;
pub use error::{LakeError, Result};
pub use handover::Handover;
pub use holdings::{Holdings, Wanted};
pub use lake::{Lake, TableFile, Usage};
pub use ledger::{Edition, LedgerEntry};
pub use lineage::{CODEC, Footer, Lineage, Source, read_lineage};
pub use local::PART_VERSION_SUFFIX;
pub use output::Output;
pub use parquet_format::BAR_GROUP_ROWS;
pub use paths::{LakePath, Layout, TablePath};
pub use proof::{Proof, prove};
pub use publish::{Part, Published, Staged};
pub use reader::{TableReader, read_table};
pub use receipt::Receipt;
pub use s3::S3Settings;
pub use task_spec::TaskSpec;
pub use writer::{StagedTable, TableOptions, TableWriter};
