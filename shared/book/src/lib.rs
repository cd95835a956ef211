//! Order books: what snapshots and differences make, and series of them.
//!
//! ```text
//! stored rows ──► Replay ── tells ──► Grid        the best levels at fixed times
//!                   │                 HftEvents   the same as events that hftbacktest reads
//!                   └──► Book
//! ```
//!
//! No files, sockets, clocks or randomness here.

mod book;
mod hft;
mod replay;
mod series;

pub use book::{Book, Levels, Side};
pub use hft::{HFT_ROW_BYTES, HftEvents, HftRows, HftTrade, npy_header};
pub use replay::{Counts, DepthRow, Listener, Moment, Replay, Step};
pub use series::{Grid, Series};
