//! The next rows of a chunk, read one after the other before the first is added.

use std::ops::Range;

use crate::shape::{BEFORE, PackedRow, Shape, ShapedRow, WINDOW};
use crate::stretch::{Quotes, Stretch};
use crate::sums::SlimBounds;

/// The most rows of a block.
pub(crate) const MOST_ROWS: usize = 64;

/// Some rows that follow each other.
///
/// All are read before the first is added: else each would wait for the one before.
#[derive(Debug)]
pub(crate) struct Block {
    ends: [usize; MOST_ROWS],
    rows: [PackedRow; MOST_ROWS],
    /// All bits where the buyer is the maker.
    makers: [u64; MOST_ROWS],
    quotes: Quotes,
}

/// How many rows were read, and why no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRead {
    pub rows: usize,
    pub stop: BlockStop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockStop {
    Full,
    /// The chunk has no window for the next row.
    ChunkEnds,
    /// The next row has not the shape.
    Unshaped,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            ends: [0; MOST_ROWS],
            rows: [PackedRow::NOTHING; MOST_ROWS],
            makers: [0; MOST_ROWS],
            quotes: [[0; 4]; MOST_ROWS / 4],
        }
    }
}

impl Block {
    /// Reads the rows that follow each other from `at` on.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn read(&mut self, shape: &Shape, chunk: &[u8], at: usize) -> BlockRead {
        if shape.is_simple() {
            self.read_rows::<true>(shape, chunk, at)
        } else {
            self.read_rows::<false>(shape, chunk, at)
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn read_rows<const SIMPLE: bool>(
        &mut self,
        shape: &Shape,
        chunk: &[u8],
        at: usize,
    ) -> BlockRead {
        let mut read = BlockRead {
            rows: 0,
            stop: BlockStop::Full,
        };
        let Some(mut rest) = at.checked_sub(BEFORE).map(|from| &chunk[from..]) else {
            read.stop = BlockStop::ChunkEnds;
            return read;
        };
        let rows = self.rows.iter_mut().zip(&mut self.makers);
        for ((row, maker), end) in rows.zip(&mut self.ends) {
            let Some(window) = rest.first_chunk() else {
                read.stop = BlockStop::ChunkEnds;
                break;
            };
            let Some(length) = shape.read::<SIMPLE>(window, row, maker) else {
                read.stop = BlockStop::Unshaped;
                break;
            };
            *end = chunk.len() - rest.len() + BEFORE + length;
            rest = &rest[length + 1..];
            read.rows += 1;
        }
        read
    }

    /// Where a row that was read ends.
    #[inline]
    pub fn end(&self, at: usize) -> usize {
        self.ends[at]
    }

    /// A row that was read, in units of the shape's scales; `None` where its times or trade ids are odd.
    #[inline]
    pub fn row(&self, shape: &Shape, at: usize) -> Option<ShapedRow> {
        shape.unpacked(&self.rows[at], self.makers[at] != 0)
    }

    /// How many rows from `rows.start` on have times from `begins_us` to `length_us` later, if times do not descend.
    #[inline]
    pub fn rows_within(
        &self,
        shape: &Shape,
        rows: Range<usize>,
        begins_us: i64,
        length_us: u64,
    ) -> usize {
        let within = |row: &PackedRow| ((shape.time_us(row) - begins_us) as u64) < length_us;
        let rows = &self.rows[rows];
        match rows {
            [first, .., last] if within(first) && within(last) => rows.len(),
            _ => rows.iter().take_while(|row| within(row)).count(),
        }
    }

    /// What [`Stretch::of`] makes of these rows.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn stretch(
        &mut self,
        shape: &Shape,
        rows: Range<usize>,
        first_id: u64,
        bounds: SlimBounds,
    ) -> Option<Stretch> {
        Stretch::of(
            &self.rows,
            &self.makers,
            rows,
            first_id,
            shape,
            bounds,
            &mut self.quotes,
        )
    }
}

/// Room to read rows in, used again for each chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub block: Block,
    pub edge: Edge,
}

/// The last rows of a chunk, where the chunk has no window for them: the same bytes with room behind them.
#[derive(Debug)]
pub(crate) struct Edge([u8; 2 * WINDOW]);

impl Default for Edge {
    fn default() -> Self {
        Self([0; 2 * WINDOW])
    }
}

impl Edge {
    /// Where the rows begin.
    pub const BEGINS: usize = BEFORE;

    /// A chunk of what is left from `at` on; `None` where that needs no edge, or has nothing before it to look at.
    pub fn of(&mut self, chunk: &[u8], at: usize) -> Option<&[u8]> {
        let rest = &chunk[at.checked_sub(BEFORE)?..];
        if rest.len() >= WINDOW {
            return None;
        }
        let (bytes, room) = self.0.split_at_mut(rest.len());
        bytes.copy_from_slice(rest);
        room.fill(0);
        Some(&self.0[..])
    }
}
