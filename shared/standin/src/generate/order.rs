//! Puts rows in the order of the file, in bounded memory.

use std::collections::VecDeque;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::marks::Marks;

/// Rows a shuffle holds at once.
const WINDOW: usize = 262_144;
/// A repeated row follows its original by at most this many rows.
const LATEST_REPEAT: u64 = 200;

/// Two streams that alternate row by row until both end.
pub(crate) struct Alternate<I> {
    streams: [I; 2],
    turn: usize,
}

impl<I: Iterator> Alternate<I> {
    pub(crate) fn new(first: I, second: I) -> Self {
        Self {
            streams: [first, second],
            turn: 0,
        }
    }
}

impl<I: Iterator> Iterator for Alternate<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let turn = self.turn;
        self.turn = 1 - turn;
        self.streams[turn]
            .next()
            .or_else(|| self.streams[1 - turn].next())
    }
}

/// What a marked row is followed by.
pub(crate) struct Repeat<T> {
    pub(crate) marks: Marks,
    pub(crate) change: fn(T) -> T,
}

/// Repeats marked rows, as they are or changed, some rows later.
pub(crate) struct Repeats<I: Iterator> {
    rows: I,
    repeats: Vec<Repeat<I::Item>>,
    due: VecDeque<(u64, I::Item)>,
    rng: Xoshiro256PlusPlus,
    row: u64,
}

impl<I: Iterator> Repeats<I> {
    pub(crate) fn new(rows: I, repeats: Vec<Repeat<I::Item>>, seed: u64) -> Self {
        Self {
            rows,
            repeats,
            due: VecDeque::new(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x0072_6570),
            row: 0,
        }
    }
}

impl<I: Iterator<Item: Copy>> Iterator for Repeats<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.due.front().is_some_and(|(at, _)| *at <= self.row) {
            return self.due.pop_front().map(|(_, item)| item);
        }
        let Some(item) = self.rows.next() else {
            return self.due.pop_front().map(|(_, item)| item);
        };
        for repeat in &mut self.repeats {
            if repeat.marks.hit(self.row) {
                // Half of them follow at once.
                let later = self.rng.random_range(0..2) * self.rng.random_range(0..LATEST_REPEAT);
                let at = self.row + 1 + later;
                let place = self.due.partition_point(|(due, _)| *due <= at);
                self.due.insert(place, (at, (repeat.change)(item)));
            }
        }
        self.row += 1;
        Some(item)
    }
}

/// Rows in random order within a window.
pub(crate) struct Shuffle<I: Iterator> {
    rows: I,
    window: Vec<I::Item>,
    rng: Xoshiro256PlusPlus,
}

impl<I: Iterator> Shuffle<I> {
    pub(crate) fn new(rows: I, seed: u64) -> Self {
        Self {
            rows,
            window: Vec::new(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x7368_7566),
        }
    }
}

impl<I: Iterator> Iterator for Shuffle<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let room = WINDOW - self.window.len();
        self.window.extend(self.rows.by_ref().take(room));
        if self.window.is_empty() {
            return None;
        }
        let at = self.rng.random_range(0..self.window.len());
        Some(self.window.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_every_row() {
        let mut shuffled: Vec<u32> = Shuffle::new(0..1_000u32, 7).collect();

        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert!(shuffled.into_iter().eq(0..1_000));
    }

    #[test]
    fn repeats_come_after_their_original() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let marks = Marks::choose(&mut rng, 50, 0, 1_000);
        let repeat = Repeat {
            marks,
            change: |row: u32| row + 10_000,
        };

        let rows: Vec<u32> = Repeats::new(0..1_000u32, vec![repeat], 1).collect();

        assert_eq!(rows.len(), 1_050);
        let place = |row: u32| rows.iter().position(|other| *other == row);
        let repeated = rows.iter().filter(|row| **row >= 10_000);
        for row in repeated {
            let (original, copy) = (place(row - 10_000), place(*row));
            assert!(original < copy, "{row}");
        }
    }

    #[test]
    fn two_streams_alternate_row_by_row() {
        let rows: Vec<u32> = Alternate::new(0..3u32, 10..12).collect();

        assert_eq!(rows, [0, 10, 1, 11, 2]);
    }
}
