//! Two tables of the same columns as one.

use arrow_array::UInt32Array;

/// The rows of the first, and those of the second at times that the first has none of: in order of time, as row numbers of
/// both behind each other.
///
/// Both sides ascend; at most `u32::MAX` rows in all.
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
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn ascending() -> impl Strategy<Value = Vec<i64>> {
        vec(0i64..60, 0..40).prop_map(|mut times| {
            times.sort_unstable();
            times
        })
    }

    proptest! {
        #[test]
        fn the_first_wins_where_both_have_a_time(first in ascending(), second in ascending()) {
            let both = [&first[..], &second[..]].concat();
            let mut naive: Vec<u32> = (0..both.len() as u32)
                .filter(|&row| (row as usize) < first.len() || !first.contains(&both[row as usize]))
                .collect();
            naive.sort_by_key(|&row| both[row as usize]);
            prop_assert_eq!(either(&first, &second).values().to_vec(), naive);
        }
    }
}
