//! The exchange's streams: names, addresses, frames, and what proves that none is missing.

mod depth;
mod hole;
mod ids;

pub use depth::{Anchor, Chain, Fit, Ids, follows, reaches};
pub use hole::{Hole, Link, Mark};
pub use ids::{Counting, Ordered};
