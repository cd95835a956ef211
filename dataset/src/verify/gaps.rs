//! Stretches of time without a row.

use std::fmt::Write as _;

use tapemill_market::iso_time;

use super::limits::Limits;

/// Gaps that are named one by one.
const NAMED: usize = 5;

const MINUTE_US: i64 = 60_000_000;

/// Steps between times that are longer than they should be, as they pass by in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gaps {
    step_us: i64,
    least_us: i64,
    last_us: Option<i64>,
    /// The first of them: from the first time without a row to the next one with one.
    named: Vec<(i64, i64)>,
    /// How many there are, and how many steps they leave out.
    pub count: u64,
    pub lacking: u64,
}

impl Gaps {
    /// Of rows that should be a step apart: gaps of at least as long as told in the limits, or of a step.
    pub fn new(step_us: i64, limits: &Limits) -> Self {
        Self {
            step_us,
            least_us: i64::from(limits.gap_minutes) * MINUTE_US,
            last_us: None,
            named: Vec::new(),
            count: 0,
            lacking: 0,
        }
    }

    /// The next row.
    pub fn next(&mut self, time_us: i64) {
        if let Some(last_us) = self.last_us {
            let (from, length) = (last_us + self.step_us, time_us - last_us - self.step_us);
            if length >= self.step_us && length >= self.least_us {
                self.count += 1;
                self.lacking += (length / self.step_us) as u64;
                if self.named.len() < NAMED {
                    self.named.push((from, time_us));
                }
            }
        }
        self.last_us = Some(time_us);
    }

    /// The gaps, in words: the first of them by their ends.
    pub fn words(&self) -> String {
        let mut words = String::new();
        for (at, (from, to)) in self.named.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(words, "{comma}{} to {}", iso_time(*from), iso_time(*to));
        }
        if self.count > self.named.len() as u64 {
            let _ = write!(words, " and {} more", self.count - self.named.len() as u64);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(minutes: &[i64], least: u32) -> Gaps {
        let limits = Limits {
            gap_minutes: least,
            ..Limits::default()
        };
        let mut gaps = Gaps::new(MINUTE_US, &limits);
        minutes.iter().for_each(|at| gaps.next(at * MINUTE_US));
        gaps
    }

    #[test]
    fn a_gap_reaches_from_the_first_time_without_a_row_to_the_next_row() {
        let found = gaps(&[0, 1, 5, 6, 8], 1);
        assert_eq!((found.count, found.lacking), (2, 4));
        assert_eq!(
            found.words(),
            "1970-01-01T00:02:00Z to 1970-01-01T00:05:00Z, 1970-01-01T00:07:00Z to 1970-01-01T00:08:00Z"
        );
    }

    #[test]
    fn short_gaps_are_none() {
        assert_eq!(gaps(&[0, 1, 5, 6, 8], 3).count, 1);
        assert_eq!(gaps(&[0, 1, 5, 6, 8], 4).count, 0);
        assert_eq!(gaps(&[0, 1, 2], 0).count, 0);
    }

    #[test]
    fn many_gaps_are_counted_and_the_first_of_them_named() {
        let found = gaps(&[0, 2, 4, 6, 8, 10, 12, 14], 1);
        assert_eq!(found.count, 7);
        assert!(found.words().ends_with(" and 2 more"), "{}", found.words());
    }
}
