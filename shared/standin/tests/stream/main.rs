//! The streams of the stand-in as an independent client sees them.

mod binary;
mod books;
mod client;
mod faults;
mod laps;
mod protocol;
mod real;
mod recordings;
mod truth;
