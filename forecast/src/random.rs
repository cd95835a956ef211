//! Random numbers from a seed and a place: the same wherever and in whatever order they are drawn.

/// A stream of random numbers.
///
/// SplitMix64 (Steele, Lea and Flood, 2014): one addition and three multiplications a number, no state but a counter.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed and of a place in the work, such as an epoch and a batch.
    pub fn of(seed: u64, place: &[u64]) -> Self {
        let mut random = Self(seed);
        for part in place {
            random = Self(random.bits() ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        }
        random
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly between `-bound` and `bound`.
    pub fn within(&mut self, bound: f32) -> f32 {
        let unit = (self.bits() >> 40) as f32 / (1_u64 << 24) as f32;
        bound * (2.0 * unit - 1.0)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        // The high half of the product; its bias is less than end / 2⁶⁴.
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// Puts things into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A mask for dropout: 0 with this probability, else what keeps the mean.
    pub fn mask(&mut self, length: usize, probability: f64) -> Vec<f32> {
        let limit = (probability * 2_f64.powi(32)) as u64;
        let kept = (1.0 / (1.0 - probability)) as f32;
        let value = |bits: u64| if bits < limit { 0.0 } else { kept };
        let mut mask = Vec::with_capacity(length + 1);
        while mask.len() < length {
            let bits = self.bits();
            mask.push(value(bits & 0xffff_ffff));
            mask.push(value(bits >> 32));
        }
        mask.truncate(length);
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_stream_of_its_own() {
        let first = |place: &[u64]| Random::of(7, place).bits();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        for other in [&[1, 3][..], &[2, 1], &[1], &[1, 2, 0]] {
            assert_ne!(first(&[1, 2]), first(other), "{other:?}");
        }
    }

    #[test]
    fn a_shuffle_loses_nothing_and_moves_most() {
        let mut things: Vec<usize> = (0..1000).collect();
        Random::of(1, &[]).shuffle(&mut things);
        let moved = things.iter().enumerate().filter(|(at, thing)| at != *thing);
        assert!(moved.count() > 950);
        things.sort_unstable();
        assert!(things.into_iter().eq(0..1000));
    }

    #[test]
    fn a_mask_keeps_the_mean_and_drops_its_share() {
        let mask = Random::of(1, &[]).mask(100_001, 0.1);
        assert_eq!(mask.len(), 100_001);
        let dropped = mask.iter().filter(|value| **value == 0.0).count();
        assert!((9_500..10_500).contains(&dropped), "{dropped}");
        let mean = mask.iter().sum::<f32>() / mask.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(
            Random::of(1, &[])
                .mask(9, 0.0)
                .iter()
                .all(|value| *value == 1.0)
        );
    }
}
