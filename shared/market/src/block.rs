//! The rows that end in a short piece of a chunk, read one after the other before the first is added.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::shape::{BEFORE, PackedRow, Shape, ShapedRow, WINDOW};
use crate::stretch::{Quotes, Stretch};
use crate::sums::SlimBounds;

/// Bytes whose rows are read at a time.
pub(crate) const BLOCK: usize = 2048;

/// The most rows that end in a block.
pub(crate) const MOST_ROWS: usize = BLOCK / 32;

/// The rows of a block.
///
/// Where they end is found for all of them before the first is read, and all are read before the first is added: else
/// each would wait for the one before.
#[derive(Debug)]
pub(crate) struct Block {
    /// With room for a place that is written without being there.
    ends: [usize; MOST_ROWS + 2],
    rows: [PackedRow; MOST_ROWS],
    /// All bits where the buyer is the maker.
    makers: [u64; MOST_ROWS],
    quotes: Quotes,
}

/// What became of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRead {
    /// How many rows have the shape, up to the first that has not.
    pub rows: usize,
    /// Whether these are all rows of the block.
    pub whole: bool,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            ends: [0; MOST_ROWS + 2],
            rows: [PackedRow::NOTHING; MOST_ROWS],
            makers: [0; MOST_ROWS],
            quotes: [[0; 4]; MOST_ROWS / 4],
        }
    }
}

impl Block {
    /// Reads the rows that end within the block at `block_at`, of which the first begins at `at`; `None` where the chunk
    /// does not hold the block and a window for each of its rows.
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn read(
        &mut self,
        shape: &Shape,
        chunk: &[u8],
        block_at: usize,
        at: usize,
    ) -> Option<BlockRead> {
        let block = chunk[block_at..].first_chunk()?;
        // The last row begins within the block, and its window ends at most so far behind.
        if at < BEFORE || chunk.len() < block_at + BLOCK + WINDOW {
            return None;
        }
        let Some(ends) = self.find_ends(block, block_at) else {
            return Some(BlockRead {
                rows: 0,
                whole: false,
            });
        };
        let read = if shape.is_simple() {
            self.read_rows::<true>(shape, chunk, at, ends)
        } else {
            self.read_rows::<false>(shape, chunk, at, ends)
        };
        Some(BlockRead {
            rows: read,
            whole: read == ends,
        })
    }

    /// Reads rows whose ends were found, up to the first that has another shape, and says how many.
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn read_rows<const SIMPLE: bool>(
        &mut self,
        shape: &Shape,
        chunk: &[u8],
        at: usize,
        ends: usize,
    ) -> usize {
        let (mut read, mut next) = (0, at);
        let rows = self.rows.iter_mut().zip(&mut self.makers);
        for ((row, maker), &end) in rows.zip(&self.ends[..ends]) {
            let Some(window) = chunk[next - BEFORE..].first_chunk() else {
                break;
            };
            if !shape.read::<SIMPLE>(window, end - next, row, maker) {
                break;
            }
            read += 1;
            next = end + 1;
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

    /// Finds the places of `\n` in a block that begins at `from`, and says how many; `None` when they are too close to
    /// each other for rows.
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn find_ends(&mut self, block: &[u8; BLOCK], from: usize) -> Option<usize> {
        let end = _mm256_set1_epi8(b'\n' as i8);
        let (mut found, mut most) = (0, 0);
        for (at, bytes) in block.as_chunks::<64>().0.iter().enumerate() {
            let [low, high] = bytemuck::cast::<[u8; 64], [__m256i; 2]>(*bytes)
                .map(|half| u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(half, end)) as u32));
            let bits = low | high << 32;
            let place = from + at * 64;
            // Both are written, whether there or not; the next ones go over what is not.
            let both = self.ends.get_mut(found..found + 2)?;
            both[0] = place + bits.trailing_zeros() as usize;
            both[1] = place + (bits & bits.wrapping_sub(1)).trailing_zeros() as usize;
            let count = bits.count_ones() as usize;
            most = most.max(count);
            found += count;
        }
        (most <= 2).then_some(found)
    }
}

/// Room to read rows in, used again for each chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub block: Block,
    pub edge: Edge,
}

/// The last rows of a chunk, where the chunk has no room for a block: the same bytes with room behind them.
#[derive(Debug)]
pub(crate) struct Edge([u8; BEFORE + 2 * BLOCK + WINDOW]);

impl Default for Edge {
    fn default() -> Self {
        Self([0; BEFORE + 2 * BLOCK + WINDOW])
    }
}

impl Edge {
    /// Where the rows begin.
    pub const BEGINS: usize = BEFORE;

    /// A chunk of what is left from `at` on; `None` where that needs no edge, or has nothing before it to look at.
    pub fn of(&mut self, chunk: &[u8], at: usize) -> Option<&[u8]> {
        let rest = &chunk[at.checked_sub(BEFORE)?..];
        let (bytes, room) = self.0.split_at_mut_checked(rest.len())?;
        // All of them end in two blocks.
        if rest.len() > BEFORE + 2 * BLOCK {
            return None;
        }
        bytes.copy_from_slice(rest);
        room.fill(0);
        Some(&self.0[..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::is_supported;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn ends_are_found_or_refused(gaps in prop::collection::vec(0usize..90, 0..40)) {
            let mut block = [b'7'; BLOCK];
            let mut expected = Vec::new();
            let mut at = 0;
            for gap in gaps {
                at += gap;
                if at >= BLOCK { break; }
                block[at] = b'\n';
                expected.push(1000 + at);
                at += 1;
            }
            if !is_supported() {
                return Ok(());
            }
            let mut rows = Block::default();
            // SAFETY: the processor has what the function is compiled for, as was just asked.
            #[expect(unsafe_code, reason = "the function under test")]
            let found = unsafe { rows.find_ends(&block, 1000) };
            let found = found.map(|found| rows.ends[..found].to_vec());
            let crowded = block.as_chunks::<64>().0.iter().any(|bytes| bytes.iter().filter(|&&byte| byte == b'\n').count() > 2);
            prop_assert_eq!(found, (!crowded).then_some(expected));
        }
    }
}
