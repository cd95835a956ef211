//! Tables side by side in time: which row of one belongs to which of another.
//!
//! All of it is pure, over ascending times in UTC microseconds, and answers with row numbers that
//! [`take`](arrow_select::take::take) makes columns of: one pass over both sides, whatever the number of columns.

mod join;
mod merge;

pub use join::{latest, same};
pub use merge::either;
