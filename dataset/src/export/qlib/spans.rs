//! Times of bars as stretches without holes: a calendar of years in a few numbers.

use serde::{Deserialize, Serialize};

/// Ascending times on a grid, as the first and the last of each stretch that follows without a hole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// Adds a time behind all others.
    pub fn push(&mut self, time: i64, step: i64) {
        match self.0.last_mut() {
            Some(last) if time - last.1 <= step => last.1 = time,
            _ => self.0.push((time, time)),
        }
    }

    /// Every time that any of these has.
    pub fn union<'a>(all: impl Iterator<Item = &'a Self>, step: i64) -> Self {
        let mut spans: Vec<_> = all.flat_map(|spans| spans.0.iter().copied()).collect();
        spans.sort_unstable();
        let mut union = Self::default();
        for (first, last) in spans {
            match union.0.last_mut() {
                Some(before) if first - before.1 <= step => before.1 = before.1.max(last),
                _ => union.0.push((first, last)),
            }
        }
        union
    }

    /// The first and the last time.
    pub fn ends(&self) -> Option<(i64, i64)> {
        Some((self.0.first()?.0, self.0.last()?.1))
    }

    /// How many lie before this one.
    pub fn before(&self, time: i64, step: i64) -> u64 {
        let earlier = self.0.iter().filter(|(first, _)| *first < time);
        let counts = earlier.map(|&(first, last)| (last.min(time - step) - first) / step + 1);
        counts.sum::<i64>() as u64
    }

    /// The stretches.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().copied()
    }

    /// The times, in order.
    pub fn times(&self, step: i64) -> impl Iterator<Item = i64> + '_ {
        let of = move |&(first, last): &(i64, i64)| {
            std::iter::successors(Some(first), move |time| Some(time + step))
                .take_while(move |&time| time <= last)
        };
        self.0.iter().flat_map(of)
    }
}

/// The times of a file, which are all of `calendar`, among those of the calendar: how many places are empty before each
/// stretch of them, and how long it is.
pub fn places(own: &Spans, calendar: &Spans, step: i64) -> Vec<(u64, u64)> {
    let Some((first, _)) = own.ends() else {
        return Vec::new();
    };
    let mut at = calendar.before(first, step);
    let mut places = Vec::new();
    for (first, last) in own.iter() {
        let position = calendar.before(first, step);
        let count = ((last - first) / step + 1) as u64;
        places.push((position - at, count));
        at = position + count;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(times: &[i64]) -> Spans {
        let mut spans = Spans::default();
        times.iter().for_each(|&time| spans.push(time, 10));
        spans
    }

    #[test]
    fn a_calendar_has_the_times_of_all() {
        let (a, b) = (spans(&[10, 20, 50]), spans(&[30, 70, 80]));

        let calendar = Spans::union([&a, &b].into_iter(), 10);

        let times: Vec<_> = calendar.times(10).collect();
        assert_eq!(times, [10, 20, 30, 50, 70, 80]);
        assert_eq!(calendar.ends(), Some((10, 80)));
        for (at, time) in times.iter().enumerate() {
            assert_eq!(calendar.before(*time, 10), at as u64, "{time}");
        }
        assert_eq!(calendar.before(60, 10), 4);
    }

    #[test]
    fn the_places_of_a_file_are_those_of_its_times() {
        let own = spans(&[20, 50, 80]);
        let calendar = spans(&[10, 20, 30, 50, 70, 80, 90]);

        assert_eq!(places(&own, &calendar, 10), [(0, 1), (1, 1), (1, 1)]);
        assert_eq!(places(&own, &own, 10), [(0, 1), (0, 1), (0, 1)]);
        assert_eq!(places(&Spans::default(), &own, 10), []);
    }
}
