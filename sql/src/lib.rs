//! SQL expressions over minutes, as columns of bars: a file of them becomes [`OwnFactors`](tapemill_dataset::export::OwnFactors).
//!
//! A file is what stands between `SELECT` and `FROM`: expressions with names, and comments. Each is evaluated over the minutes
//! of one bar, by DataFusion.

mod bars;
mod error;
mod exact;
mod expressions;

pub use error::SqlError;
pub use expressions::{BUILT_IN, Expressions};
