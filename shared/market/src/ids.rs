//! The ids that a file has shown, to count each trade once.

use roaring::RoaringTreemap;

/// Runs that grow at the same time: two interleaved streams need two.
const OPEN_RUNS: usize = 4;

/// Bytes of remembered ids past which a file is refused: a bit each, that is 134 million in any order.
const MOST_BYTES: usize = 16 << 20;

/// How many closed runs lie between two looks at the size.
const LOOK_EVERY: u32 = 1 << 16;

/// A set of ids that costs a few words while they ascend without gaps, and at worst about a bit for each.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    /// Runs at whose end the next id is expected, the most recently grown first. An id is in one place only.
    open: Vec<(u64, u64)>,
    closed: RoaringTreemap,
    closings: u32,
    highest: Option<u64>,
    distinct: u64,
    /// The id behind the first open run, while that holds the highest id: then it is new, and all it costs is to count
    /// on. The run's end is brought up to date when another id comes. 0 when there is no such run.
    next: u64,
}

/// What an id was when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It had not come before.
    pub new: bool,
    /// It is lower than one before it.
    pub below: bool,
}

/// More ids, and further apart, than are remembered.
#[derive(Debug)]
pub(crate) struct TooScattered;

impl IdSet {
    /// Adds the id that is most expected: false, with nothing changed, for another.
    #[inline(always)]
    pub fn goes_on(&mut self, id: u64) -> bool {
        if id != self.next || id == 0 {
            return false;
        }
        self.next = id + 1;
        true
    }

    /// The id that is most expected; `None` when none is.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn expected(&self) -> Option<u64> {
        (self.next != 0).then_some(self.next)
    }

    /// Adds so many ids from the most expected one on.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn go_on_by(&mut self, count: u64) {
        self.next += count;
    }

    /// Adds an id and says what it was.
    #[inline(always)]
    pub fn insert(&mut self, id: u64) -> Result<Seen, TooScattered> {
        if self.goes_on(id) {
            return Ok(Seen {
                new: true,
                below: false,
            });
        }
        self.insert_elsewhere(id)
    }

    fn insert_elsewhere(&mut self, id: u64) -> Result<Seen, TooScattered> {
        self.settle();
        let below = self.highest.is_some_and(|highest| id < highest);
        let seen = (below || self.highest == Some(id)) && self.contains(id);
        if !seen {
            self.highest = self.highest.max(Some(id));
            self.distinct += 1;
            match self.open.iter().position(|&(_, end)| end + 1 == id) {
                Some(at) => {
                    self.open[at].1 = id;
                    self.open[..=at].rotate_right(1);
                }
                None => {
                    if self.open.len() == OPEN_RUNS {
                        self.close_last()?;
                    }
                    self.open.insert(0, (id, id));
                }
            }
        }
        if let Some(&(_, end)) = self.open.first()
            && self.highest == Some(end)
        {
            self.next = end + 1;
        }
        Ok(Seen { new: !seen, below })
    }

    /// Brings the run that grew last up to date.
    fn settle(&mut self) {
        if let (Some(end), Some(run)) = (self.next.checked_sub(1), self.open.first_mut()) {
            self.distinct += end - run.1;
            run.1 = end;
            self.highest = Some(end);
            self.next = 0;
        }
    }

    fn contains(&self, id: u64) -> bool {
        self.open
            .iter()
            .any(|&(start, end)| (start..=end).contains(&id))
            || self.closed.contains(id)
    }

    fn close_last(&mut self) -> Result<(), TooScattered> {
        let Some((start, end)) = self.open.pop() else {
            return Ok(());
        };
        if start == end {
            self.closed.insert(start);
        } else {
            self.closed.insert_range(start..=end);
        }
        self.closings += 1;
        if self.closings == LOOK_EVERY {
            self.closings = 0;
            self.closed.optimize();
            if self.closed.serialized_size() > MOST_BYTES {
                return Err(TooScattered);
            }
        }
        Ok(())
    }

    /// Lowest and highest id, the number of gaps between them, and how many ids they skip.
    pub fn summary(mut self) -> Result<Option<IdSummary>, TooScattered> {
        self.settle();
        if self.closed.is_empty() {
            self.open.sort_unstable();
            let joints = self
                .open
                .windows(2)
                .filter(|pair| pair[0].1 + 1 != pair[1].0)
                .count();
            return Ok(self.summarise(self.open.first().map(|run| run.0), joints as u64));
        }
        while !self.open.is_empty() {
            self.close_last()?;
        }
        let mut gaps = 0;
        let mut end: Option<u64> = None;
        for (high, low) in self.closed.bitmaps() {
            let mut ranges = low.iter();
            while let Some(range) = ranges.next_range() {
                let start = u64::from(high) << 32 | u64::from(*range.start());
                gaps += u64::from(end.is_some_and(|end| end + 1 != start));
                end = Some(u64::from(high) << 32 | u64::from(*range.end()));
            }
        }
        Ok(self.summarise(self.closed.min(), gaps))
    }

    fn summarise(&self, first: Option<u64>, gaps: u64) -> Option<IdSummary> {
        let (first, last) = (first?, self.highest?);
        Some(IdSummary {
            first,
            last,
            gaps,
            missing: last - first + 1 - self.distinct,
        })
    }
}

/// What the ids of a whole file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdSummary {
    pub first: u64,
    pub last: u64,
    pub gaps: u64,
    pub missing: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(ids in prop::collection::vec((0u64..3, 0u64..200), 0..400), base in prop::sample::select(vec![0u64, u64::from(u32::MAX) - 100, 1 << 40])) {
            let mut set = IdSet::default();
            let mut plain = BTreeSet::new();
            for (stream, step) in ids {
                let id = base + stream * 100_000 + step;
                let below = plain.last().is_some_and(|&highest| id < highest);
                prop_assert_eq!(set.insert(id).unwrap(), Seen { new: plain.insert(id), below });
            }
            let sorted: Vec<_> = plain.iter().copied().collect();
            let steps: Vec<_> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let expected = sorted.first().map(|&first| IdSummary {
                first,
                last: *sorted.last().unwrap(),
                gaps: steps.iter().filter(|&&step| step > 1).count() as u64,
                missing: steps.iter().map(|step| step - 1).sum(),
            });
            prop_assert_eq!(set.summary().unwrap(), expected);
        }
    }

    #[test]
    fn interleaved_streams_stay_runs() {
        let mut set = IdSet::default();
        for at in 0..100_000 {
            assert!(set.insert(1_000 + at).unwrap().new);
            assert!(set.insert(9_000_000 + at).unwrap().new);
        }
        assert_eq!(set.open.len(), 2);
        assert!(set.closed.is_empty());
        assert!(!set.insert(50_000).unwrap().new);
    }

    #[test]
    fn ids_scattered_without_end_are_refused() {
        let mut set = IdSet::default();
        let refused = (0..4_000_000u64).any(|at| {
            set.insert(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2)
                .is_err()
        });
        assert!(refused);
    }
}
