//! zlib-rs, by way of flate2.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Damaged, Step};

/// A stream under way.
pub(crate) struct Inflate(Decompress);

impl Inflate {
    /// A stream that has not begun.
    pub fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Takes from the input, and gives what fits into the output.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Damaged> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| Damaged)?;
        Ok(Step {
            read: (self.0.total_in() - before_in) as usize,
            written: (self.0.total_out() - before_out) as usize,
            ended: status == Status::StreamEnd,
            behind: Vec::new(),
        })
    }
}
