//! Where archives come from: an HTTP mirror with its listing, or a folder.
//!
//! The crate knows keys (`data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip`),
//! bytes and HTTP, and nothing of markets.
//!
//! * [`Source`] lists, probes and opens; [`HttpSource`] and [`DirSource`] are the two kinds.
//! * [`Transfer`] streams one archive through cuts, restarts and busy servers.
//! * [`Brake`] is the one place where "slow down" is kept; every request of the process waits on it.
//! * [`Bandwidth`] caps the bytes that all transfers of the process bring together.
//!
//! A 404 is the only answer that means "not there"; refusals and outages are errors.

mod address;
mod bandwidth;
mod brake;
mod checksum;
mod chunk_pool;
mod client;
mod counters;
mod dir;
mod error;
mod http;
mod listing;
mod options;
mod pages;
mod reply;
mod retry;
mod source;
mod transfer;
mod tree;

pub use address::shown;
pub use bandwidth::Bandwidth;
pub use brake::{Brake, LONGEST_HOLD};
pub use checksum::{Hasher, Sha256Digest, hex, parse_sidecar, sha256};
pub use client::{ClientSettings, client, tls_config};
pub use counters::{HttpCounters, RESPONSE_CLASSES, TransferStats};
pub use dir::DirSource;
pub use error::ArchiveError;
pub use http::{HttpSource, OFFICIAL_BASE, OFFICIAL_LISTING};
pub use options::HttpOptions;
pub use reply::{date_ms, named_wait};
pub use retry::{Retry, RetryPolicy};
pub use source::{Body, Object, Opened, Query, SIDECAR_SUFFIX, Source, SymbolOf, Validator};
pub use transfer::{Event, Resume, Transfer};
