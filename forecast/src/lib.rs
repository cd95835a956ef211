//! A temporal convolutional network over features, trained, evaluated, and beside its baselines.
//!
//! Rows of a Parquet file go through these in turn:
//!
//! * [`table`]: the columns, and with [`stretches`] where windows may lie: across no jump in time and no row that lacks a value;
//! * [`split`] and [`scaler`]: what is learned from, chosen by and judged by, apart in time; scaled by what is learned from alone;
//! * [`prepared`] and [`compute`]: batches of windows, shared out among threads, the same result with as many as there are;
//! * [`network`], over [`shape`] and [`weights`]: forecasts and gradients, by Burn's tensors; [`adam`] moves the weights;
//! * [`train`]: the loop, a [`checkpoint`] after each epoch;
//! * [`score`]: errors, beside those of what says that nothing changes and of the [`linear`] baseline; [`output`] writes forecasts, and
//!   [`plot`] draws.

pub mod adam;
pub mod checkpoint;
pub mod compute;
mod error;
pub mod linear;
pub mod network;
pub mod output;
pub mod plot;
pub mod prepared;
mod publish;
pub mod random;
mod saved;
pub mod scaler;
pub mod score;
pub mod settings;
pub mod shape;
pub mod split;
pub mod stretches;
pub mod table;
pub mod train;
pub mod weights;

pub use error::{ForecastError, Result};
