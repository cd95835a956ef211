//! Archives made from a seed: values, their CSV, the ZIP around it and the sidecar beside it.

mod agg_trades;
mod bars;
mod demo;
mod klines;
mod lines;
mod marks;
mod order;
mod packing;
mod style;
mod tape;
mod zip_file;

pub use agg_trades::{AggTradesFacts, AggTradesSpec, Outage};
pub use demo::{DEMO_MONTHS, DEMO_SYMBOLS, demo_archive};
pub use klines::{KlinesFacts, KlinesSpec};
pub use packing::{Archive, Damage, Packing, Sidecar};
pub use style::{Booleans, Decimals, LastLine, Order, Style, TimeUnit};
pub use zip_file::{EntryName, Method, ZipOptions};
