//! Left joins on time.

use arrow_array::UInt32Array;
use arrow_array::builder::UInt32Builder;

/// For each label the row of exactly this time, or null; of several rows of one time the last.
///
/// Both sides ascend; at most `u32::MAX` rows.
pub fn same(labels: &[i64], times: &[i64]) -> UInt32Array {
    latest(labels, times, 0)
}

/// For each label the last row at or before it that is no older than `most_us`, or null: of several rows of one time the
/// last.
///
/// Both sides ascend; at most `u32::MAX` rows.
pub fn latest(labels: &[i64], times: &[i64], most_us: i64) -> UInt32Array {
    let mut rows = UInt32Builder::with_capacity(labels.len());
    // The rows at or before the label.
    let mut passed = 0;
    for &label in labels {
        passed += run(&times[passed..], label);
        let last = passed.checked_sub(1);
        let fresh = last.filter(|&row| label.saturating_sub(times[row]) <= most_us);
        rows.append_option(fresh.map(|row| row as u32));
    }
    rows.finish()
}

/// How many of these times are at or before the label. Steps double, so that sparse labels do not walk over dense times,
/// and a label next door costs one comparison.
fn run(times: &[i64], label: i64) -> usize {
    let mut step = 1;
    let mut from = 0;
    while from + step <= times.len() && times[from + step - 1] <= label {
        from += step;
        step *= 2;
    }
    let to = (from + step - 1).min(times.len());
    from + times[from..to].partition_point(|&time| time <= label)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_takes_what_is_known_by_then_and_not_too_old() {
        let rows = latest(&[5, 10, 15, 30], &[6, 10, 10, 12], 4);
        assert_eq!(
            rows.iter().collect::<Vec<_>>(),
            [None, Some(2), Some(3), None]
        );
        let rows = same(&[5, 10, 12, 13], &[6, 10, 10, 12]);
        assert_eq!(
            rows.iter().collect::<Vec<_>>(),
            [None, Some(2), Some(3), None]
        );
        assert_eq!(same(&[1], &[]).iter().collect::<Vec<_>>(), [None]);
        assert!(same(&[], &[1]).is_empty());
    }

    #[test]
    fn times_at_the_ends_of_what_can_be_do_no_harm() {
        let rows = latest(&[i64::MIN, i64::MAX], &[i64::MIN], i64::MAX - 1);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [Some(0), None]);
    }

    fn ascending(len: usize) -> impl Strategy<Value = Vec<i64>> {
        vec(-50i64..200, 0..len).prop_map(|mut times| {
            times.sort_unstable();
            times
        })
    }

    proptest! {
        #[test]
        fn joins_are_what_looking_at_every_pair_finds(
            labels in ascending(40),
            times in ascending(150),
            most_us in 0i64..60,
        ) {
            let found = latest(&labels, &times, most_us);
            for (at, label) in labels.iter().enumerate() {
                let known = times.iter().rposition(|time| time <= label);
                let fresh = known.filter(|&row| label - times[row] <= most_us);
                prop_assert_eq!(found.iter().nth(at), Some(fresh.map(|row| row as u32)));
            }
            let found = same(&labels, &times);
            for (at, label) in labels.iter().enumerate() {
                let equal = times.iter().rposition(|time| time == label);
                prop_assert_eq!(found.iter().nth(at), Some(equal.map(|row| row as u32)));
            }
        }

        #[test]
        fn what_comes_after_a_label_does_not_matter_to_it(
            labels in ascending(40),
            times in ascending(150),
            other in ascending(150),
            cut in -50i64..200,
        ) {
            let before = || times.iter().copied().filter(|&time| time < cut);
            let changed: Vec<_> = before().chain(other.into_iter().filter(|&time| time >= cut)).collect();
            let rows = labels.iter().filter(|&&label| label < cut).count();
            let one = latest(&labels, &times, 30);
            let two = latest(&labels, &changed, 30);
            prop_assert_eq!(one.slice(0, rows), two.slice(0, rows));
        }
    }
}
