//! Processes that are killed, stopped, cut off and slowed while they mill an archive that fails in its own ways; at the
//! end the output has to be the one that an undisturbed run makes, to the byte, and the queue's records have to show
//! that no completion was accepted twice.
//!
//! The schedule follows from the seed alone. When processes meet is up to the machine: a seed repeats what was done to
//! them, not what they did.

mod dealer;
mod ground;
mod kind;
mod look;
mod member;
mod options;
mod schedule;
mod storm;
mod tally;
mod troubled_redis;
mod verdict;
mod world;

pub use kind::Kind;
pub use options::{ChaosOptions, Output, Store};
pub use schedule::{Act, Event, Schedule, Side, Trouble, Victim};
pub use storm::Storm;
pub use verdict::Verdict;
pub use world::run;
