//! The next rows of a chunk, read one after the other before the first is added.

use std::ops::Range;

use crate::shape::{BEFORE, PackedRow, Shape, ShapedRow, WINDOW, WideShape};
use crate::stretch::{Quotes, Stretch, StretchRows};
use crate::sums::SlimBounds;

/// The most rows of a block.
pub(crate) const MOST_ROWS: usize = 64;

/// Some rows that follow each other.
///
/// All are read before the first is added: else each would wait for the one before.
#[derive(Debug, Default)]
pub(crate) struct Block {
    read: ReadRows,
    quotes: Quotes,
    /// The shape with each length of price that was seen, by that length; empty where the processor reads no wide shape.
    wide: Vec<(usize, WideShape)>,
    /// Which of them fits the latest row.
    latest: usize,
}

/// Rows as they were read.
#[derive(Debug)]
struct ReadRows {
    ends: [usize; MOST_ROWS],
    rows: [PackedRow; MOST_ROWS],
    /// All bits where the buyer is the maker.
    makers: [u64; MOST_ROWS],
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

impl Default for ReadRows {
    fn default() -> Self {
        Self {
            ends: [0; MOST_ROWS],
            rows: [PackedRow::NOTHING; MOST_ROWS],
            makers: [0; MOST_ROWS],
        }
    }
}

impl ReadRows {
    /// Reads rows one after the other. Inlined, so that it is compiled for what its caller is compiled for.
    #[inline(always)]
    fn fill(
        &mut self,
        chunk: &[u8],
        at: usize,
        mut read_row: impl FnMut(&[u8; WINDOW], &mut PackedRow, &mut u64) -> Option<usize>,
    ) -> BlockRead {
        let mut read = BlockRead {
            rows: 0,
            stop: BlockStop::Full,
        };
        let Some(mut rest) = at.checked_sub(BEFORE).map(|from| &chunk[from..]) else {
            read.stop = BlockStop::ChunkEnds;
            return read;
        };
        let mut begins = at;
        let rows = self.rows.iter_mut().zip(&mut self.makers);
        for ((row, maker), end) in rows.zip(&mut self.ends) {
            let Some(window) = rest.first_chunk() else {
                read.stop = BlockStop::ChunkEnds;
                break;
            };
            let Some(length) = read_row(window, row, maker) else {
                read.stop = BlockStop::Unshaped;
                break;
            };
            *end = begins + length;
            begins += length + 1;
            rest = &rest[length + 1..];
            read.rows += 1;
        }
        read
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn any<const SIMPLE: bool>(&mut self, shape: &Shape, chunk: &[u8], at: usize) -> BlockRead {
        self.fill(chunk, at, |window, row, maker| {
            shape.read::<SIMPLE>(window, row, maker)
        })
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn wide<const SIMPLE: bool>(
        &mut self,
        shape: &WideShape,
        chunk: &[u8],
        at: usize,
    ) -> BlockRead {
        self.fill(chunk, at, |window, row, maker| {
            shape.read::<SIMPLE>(window, row, maker)
        })
    }
}

impl Block {
    /// Reads the rows that follow each other from `at` on, all of one shape until [`Block::forget`].
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn read(&mut self, shape: &Shape, chunk: &[u8], at: usize) -> BlockRead {
        let simple = shape.is_simple();
        if let Some((_, wide)) = self.wide.get(self.latest) {
            // SAFETY: there is no wide shape where the processor does not have what the function is compiled for.
            #[expect(
                unsafe_code,
                reason = "a row costs 6.4 ns, 7.4 ns with the narrower reader (Zen 4)"
            )]
            let mut read = unsafe {
                if simple {
                    self.read.wide::<true>(wide, chunk, at)
                } else {
                    self.read.wide::<false>(wide, chunk, at)
                }
            };
            if read.stop != BlockStop::Unshaped {
                return read;
            }
            if read.rows > 0 {
                // The next row may only have a price of another length.
                read.stop = BlockStop::Full;
                return read;
            }
        }
        let read = if simple {
            self.read.any::<true>(shape, chunk, at)
        } else {
            self.read.any::<false>(shape, chunk, at)
        };
        if read.rows > 0 {
            let begins = if read.rows == 1 {
                at
            } else {
                self.end(read.rows - 2) + 1
            };
            self.learn(shape, &chunk[begins..self.end(read.rows - 1)]);
        }
        read
    }

    /// Forgets the shape.
    #[cold]
    pub fn forget(&mut self) {
        self.wide.clear();
    }

    /// Expects more rows with a price as long as this one's.
    #[cold]
    fn learn(&mut self, shape: &Shape, row: &[u8]) {
        let Some(price) = row.split(|&byte| byte == b',').nth(1) else {
            return;
        };
        let known = self
            .wide
            .iter()
            .position(|(length, _)| *length == price.len());
        if let Some(known) = known {
            self.latest = known;
        } else if let Some(wide) = WideShape::of(shape, price.len()) {
            self.latest = self.wide.len();
            self.wide.push((price.len(), wide));
        }
    }

    /// Where a row that was read ends.
    #[inline]
    pub fn end(&self, at: usize) -> usize {
        self.read.ends[at]
    }

    /// A row that was read, in units of the shape's scales; `None` where its times or trade ids are odd.
    #[inline]
    pub fn row(&self, shape: &Shape, at: usize) -> Option<ShapedRow> {
        shape.unpacked(&self.read.rows[at], self.read.makers[at] != 0)
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
        let rows = &self.read.rows[rows];
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
        let rows = StretchRows {
            rows: &self.read.rows,
            makers: &self.read.makers,
            range: rows,
            first_id,
            shape,
            bounds,
        };
        if self.wide.is_empty() {
            return Stretch::of::<false>(&rows, &mut self.quotes);
        }
        // SAFETY: there is no wide shape where the processor does not have what the function is compiled for.
        #[expect(unsafe_code, reason = "0.25 ns a row less (Zen 4)")]
        unsafe {
            Stretch::of_wide(&rows, &mut self.quotes)
        }
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
