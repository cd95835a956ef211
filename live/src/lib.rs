//! Streams of the exchange, stored as they come.
//!
//! A [`Collector`] keeps connections open (`lane`, `connection`, `socket`, `proxy`), gives what they bring to the [`Recorder`], which decides
//! without any I/O what is stored and what is missing, asks the exchange for that (`asks`), and hands rows to a [`Sink`] on a
//! thread of its own (`writer`).

mod asks;
mod clock;
mod collector;
mod config;
mod connection;
mod error;
mod lane;
mod metrics;
mod proxy;
mod recorder;
mod rows;
mod share;
mod sink;
mod socket;
mod writer;

pub use collector::{Collector, State, Symbols};
pub use config::Config;
pub use error::{ConnectionError, LiveError, SinkError};
pub use metrics::LiveMetrics;
pub use recorder::{Counts, Heard, Received, Recorder, Tally, Wanted};
pub use rows::{Batch, Entry, Origin};
pub use share::{Collecting, Keeper, Right, Share};
pub use sink::{Followed, JsonlSink, ParquetSink, Session, Sink, Stored};
pub use socket::Address;
pub use writer::Written;
