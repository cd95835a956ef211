//! Where rows follow each other, and where they do not.

use std::collections::HashMap;
use std::ops::Range;

/// What windows may not reach across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holes {
    /// The grid: what most rows are behind the row before, in the unit of the times; `None` without times.
    pub step: Option<i64>,
    /// Times at which a row is another step behind the row before.
    pub jumps: usize,
    /// Rows that lack a value, or have one that is no finite number.
    pub lacking: usize,
}

/// The longest stretches of whole rows that are each one step behind the row before.
pub fn find(
    rows: usize,
    times: Option<&[i64]>,
    whole: impl Fn(usize) -> bool,
) -> (Vec<Range<usize>>, Holes) {
    let step = times.and_then(usual_step);
    let mut holes = Holes {
        step,
        ..Holes::default()
    };
    let (mut stretches, mut first) = (Vec::new(), None);
    for row in 0..rows {
        let jumps = match (times, step) {
            (Some(times), Some(step)) if row > 0 => times[row] - times[row - 1] != step,
            _ => false,
        };
        holes.jumps += usize::from(jumps);
        let is_whole = whole(row);
        holes.lacking += usize::from(!is_whole);
        if let Some(begun) = first
            && (jumps || !is_whole)
        {
            stretches.push(begun..row);
            first = None;
        }
        if is_whole && first.is_none() {
            first = Some(row);
        }
    }
    stretches.extend(first.map(|begun| begun..rows));
    (stretches, holes)
}

/// The most frequent step; of two that are equally frequent the shorter.
fn usual_step(times: &[i64]) -> Option<i64> {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for pair in times.windows(2) {
        *counts.entry(pair[1] - pair[0]).or_default() += 1;
    }
    let most = |(step, count): &(i64, usize)| (*count, std::cmp::Reverse(*step));
    counts.into_iter().max_by_key(most).map(|(step, _)| step)
}

/// The first rows of all windows of so many rows that lie in `within`, without a hole, one in `stride` of each stretch.
pub fn windows(
    stretches: &[Range<usize>],
    within: Range<usize>,
    rows: usize,
    stride: usize,
) -> Vec<usize> {
    let mut starts = Vec::new();
    for stretch in stretches {
        let (from, to) = (stretch.start.max(within.start), stretch.end.min(within.end));
        if to >= from + rows {
            starts.extend((from..=to - rows).step_by(stride));
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_jump_and_a_row_that_lacks_a_value_end_a_stretch() {
        let times = [0, 10, 20, 40, 50, 60, 70, 75, 85];
        let (stretches, holes) = find(9, Some(&times), |row| row != 5);
        assert_eq!(stretches, [0..3, 3..5, 6..7, 7..9]);
        let expected = Holes {
            step: Some(10),
            jumps: 2,
            lacking: 1,
        };
        assert_eq!(holes, expected);
    }

    #[test]
    fn without_times_only_lacking_values_are_holes() {
        let (stretches, holes) = find(5, None, |row| row != 2);
        assert_eq!((stretches, holes.step), (vec![0..2, 3..5], None));
        assert_eq!(find(0, None, |_| true).0, []);
        let (stretches, _) = find(1, Some(&[5]), |_| true);
        assert_eq!(stretches.first(), Some(&(0..1)));
    }

    proptest! {
        #[test]
        fn no_window_has_a_hole_and_none_is_left_out(
            steps in prop::collection::vec(1_i64..3, 1..60),
            lacking in prop::collection::vec(prop::bool::weighted(0.1), 60),
            rows in 1_usize..6,
            from in 0_usize..20,
        ) {
            let times: Vec<i64> = steps.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
            let (stretches, holes) = find(times.len(), Some(&times), |row| !lacking[row]);
            let step = holes.step.unwrap_or(1);
            let within = from..times.len().max(from);
            let sound = |start: &usize| {
                let window = *start..*start + rows;
                window.clone().all(|row| !lacking[row])
                    && window.clone().skip(1).all(|row| times[row] - times[row - 1] == step)
            };
            let last = (within.end + 1).saturating_sub(rows);
            let expected: Vec<usize> = (within.start..last.max(within.start)).filter(sound).collect();
            prop_assert_eq!(windows(&stretches, within, rows, 1), expected);
        }
    }
}
