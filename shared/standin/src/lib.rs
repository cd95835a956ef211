//! A stand-in for the exchange: [`generate`] lays down archives with every known quirk, made from a seed, [`server`]
//! serves a folder of them over HTTP with the bucket's listing and faults on demand, [`mod@exchange`] is its REST
//! interface, and [`stream`] its streams.
//!
//! It shares no code with the parts it tests.

mod error;
pub mod exchange;
pub mod generate;
mod interval;
mod market;
mod period;
pub mod server;
pub mod stream;

pub use error::StandinError;
pub use interval::Interval;
pub use market::Market;
pub use period::Period;
