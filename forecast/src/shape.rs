//! The network's shape, and which of its values the forecast depends on.

use serde::{Deserialize, Serialize};

/// Rows in a tap of a convolution.
pub const KERNEL: usize = 3;
/// Channels of each block's output.
pub const CHANNELS: [usize; 3] = [64, 64, 128];

/// How much goes in and comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Columns of a row that goes in.
    pub features: usize,
    /// Columns of a row that comes out.
    pub targets: usize,
    /// Rows of a window.
    pub input: usize,
    /// Rows that are forecast behind it.
    pub horizon: usize,
}

impl Shape {
    /// Values that come out for one window: the horizon's rows, each with all targets.
    pub fn outputs(&self) -> usize {
        self.horizon * self.targets
    }

    /// Rows from the first of a window to the last that is forecast.
    pub fn rows(&self) -> usize {
        self.input + self.horizon
    }

    /// Channels that go into a block.
    pub fn channels_in(&self, block: usize) -> usize {
        match block {
            0 => self.features,
            later => CHANNELS[later - 1],
        }
    }
}

/// The rows of one block that are computed.
///
/// A causal convolution of dilation `d` looks at rows `0`, `d`, … back from its own. The head looks at the last row alone, so of the
/// last block only that row is needed, of what goes into it every fourth of some rows, of what goes into that every second, and of the
/// window itself the last 29 rows. All other values of the textbook network reach no output and no gradient, and are not computed: on
/// what is left, each convolution is a dense one. The forecasts are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Rows between two that go in, which is the dilation.
    pub step: usize,
    /// Rows that go in, the last of them the window's last row.
    pub rows_in: usize,
    /// Rows between the two convolutions, `step` apart as well.
    pub rows_between: usize,
    /// Rows that come out.
    pub rows_out: usize,
    /// Of the rows between, one in this many comes out.
    pub stride: usize,
}

/// The grid of each block, first to last.
pub fn grids() -> [Grid; CHANNELS.len()] {
    let blocks = CHANNELS.len();
    let (mut rows_out, mut step_out) = (1, 1 << (blocks - 1));
    let mut grids = [Grid {
        step: 0,
        rows_in: 0,
        rows_between: 0,
        rows_out: 0,
        stride: 0,
    }; CHANNELS.len()];
    for block in (0..blocks).rev() {
        let step = 1 << block;
        let stride = step_out / step;
        let rows_between = (rows_out - 1) * stride + KERNEL;
        let rows_in = rows_between + KERNEL - 1;
        grids[block] = Grid {
            step,
            rows_in,
            rows_between,
            rows_out,
            stride,
        };
        (rows_out, step_out) = (rows_in, step);
    }
    grids
}

/// Rows of a window that its forecast depends on.
pub fn receptive_rows() -> usize {
    grids()[0].rows_in
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_sees_29_rows() {
        // 1 + 2 convolutions × 2 taps back × dilations 1, 2 and 4.
        assert_eq!(receptive_rows(), 29);
        let rows: Vec<_> = grids()
            .iter()
            .map(|grid| (grid.rows_in, grid.rows_between, grid.rows_out, grid.stride))
            .collect();
        assert_eq!(rows, [(29, 27, 13, 2), (13, 11, 5, 2), (5, 3, 1, 1)]);
    }
}
