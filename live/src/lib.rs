//! Streams of the exchange, stored as they come.

mod error;
mod recorder;
mod rows;
mod socket;

pub use error::{ConnectionError, LiveError, SinkError};
pub use recorder::{Counts, Heard, Received, Recorder, Wanted};
pub use rows::{Batch, Entry, Origin};
pub use socket::Address;
