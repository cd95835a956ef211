//! The harness of the end-to-end tests: the command, the outputs it makes, and independent readers of them.

mod command;
mod outputs;
mod python;
mod real;

pub use command::{Finished, Running, Tapemill};
pub use outputs::{hashes, parts};
pub use python::{Python, golden_folder, reference_folder};
pub use real::real_data;
