//! Two tables of the same columns as one.

use arrow_array::UInt32Array;

/// The rows of the first, and those of the second at times that the first has none of: in order of time, as row numbers of
/// both behind each other.
///
/// Both sides ascend, with each time once; at most `u32::MAX` rows in all.
pub fn either(first: &[i64], second: &[i64]) -> UInt32Array {
    let mut rows = Vec::with_capacity(first.len() + second.len());
    let mut left = 0;
    for (right, &time) in second.iter().enumerate() {
        while left < first.len() && first[left] < time {
            rows.push(left as u32);
            left += 1;
        }
        if first.get(left) != Some(&time) {
            rows.push((first.len() + right) as u32);
        }
    }
    rows.extend((left..first.len()).map(|row| row as u32));
    rows.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_wins_where_both_have_a_time(
            first in btree_set(0i64..60, 0..40),
            second in btree_set(0i64..60, 0..40),
        ) {
            let [first, second] = [first, second].map(|times| times.into_iter().collect::<Vec<_>>());
            let both = [&first[..], &second[..]].concat();
            // Whatever comes later in the map replaces what is there.
            let naive: BTreeMap<i64, u32> =
                (0..both.len()).rev().map(|row| (both[row], row as u32)).collect();
            let rows = either(&first, &second);
            prop_assert_eq!(rows.values().to_vec(), naive.into_values().collect::<Vec<_>>());
        }
    }
}
