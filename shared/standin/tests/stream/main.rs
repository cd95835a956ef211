//! The streams of the stand-in as an independent client sees them.

mod client;
mod real;
mod recordings;
