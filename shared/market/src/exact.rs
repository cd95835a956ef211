//! The one rounding of exact sums: scaled integers to the nearest `f64`, and the exact sum of `f64`s.

/// 10⁰ … 10¹⁹.
pub(crate) const POW10: [u64; 20] = {
    let mut table = [1u64; 20];
    let mut at = 1;
    while at < 20 {
        table[at] = table[at - 1] * 10;
        at += 1;
    }
    table
};

/// 10⁰ … 10²², all exact in an `f64`.
const EXACT_F64: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// 5⁰ … 5²⁷, all that fit in 64 bits.
const POW5: [u64; 28] = {
    let mut table = [1u64; 28];
    let mut at = 1;
    while at < 28 {
        table[at] = table[at - 1] * 5;
        at += 1;
    }
    table
};

/// As [`round`], of a number of one limb.
#[inline]
pub(crate) fn round_small(value: u64, scale: u32) -> f64 {
    // Both the number and the power of ten are exact, so their quotient is rounded once.
    match EXACT_F64.get(scale as usize) {
        Some(power) if value <= 1 << 53 => value as f64 / power,
        _ => round(&[value], scale),
    }
}

/// `limbs` (lowest first) divided by 10 to the `scale`, to the nearest `f64`, ties to even.
pub(crate) fn round(limbs: &[u64], scale: u32) -> f64 {
    let used = limbs
        .iter()
        .rposition(|&limb| limb != 0)
        .map_or(0, |at| at + 1);
    match used {
        0 => 0.0,
        1 if limbs[0] <= 1 << 53 && scale <= 22 => round_small(limbs[0], scale),
        1 => round_u128(u128::from(limbs[0]), scale)
            .unwrap_or_else(|| round_wide(&limbs[..1], scale)),
        2 => round_u128(u128::from(limbs[0]) | u128::from(limbs[1]) << 64, scale)
            .unwrap_or_else(|| round_wide(&limbs[..2], scale)),
        _ => round_wide(&limbs[..used], scale),
    }
}

/// By one integer division, where the quotient keeps enough bits; `None` elsewhere.
fn round_u128(value: u128, scale: u32) -> Option<f64> {
    let divisor = u128::from(*POW5.get(scale as usize)?);
    // 55 bits of quotient decide the rounding, the remainder breaks ties.
    let wanted = 55 + (128 - divisor.leading_zeros()) as i32 - (128 - value.leading_zeros()) as i32;
    let shift = wanted.max(0) as u32;
    if shift > value.leading_zeros() {
        return None;
    }
    let shifted = value << shift;
    let (quotient, remainder) = (shifted / divisor, shifted % divisor);
    // The lowest bit stands for all that was cut off: there are at least two bits between it and the rounding.
    let sticky = quotient | u128::from(remainder != 0);
    Some(ldexp(sticky as f64, -(shift as i32) - scale as i32))
}

/// `value` × 2 to the `exponent`; exact, for the exponents of this module stay far from the subnormals.
fn ldexp(value: f64, exponent: i32) -> f64 {
    value * f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Limbs of the widest sum, a total of two of eight.
const MOST_LIMBS: usize = 9;

/// Limbs behind the point: so many that a quotient by 10 to [`WIDEST_SCALE`] has more than 64 bits.
const FRACTION: usize = 3;

/// Squares of products of two numbers of 12 decimals have 48.
const WIDEST_SCALE: u32 = 48;

/// By long division, of a number that is not zero.
fn round_wide(limbs: &[u64], scale: u32) -> f64 {
    if limbs.len() > MOST_LIMBS || scale > WIDEST_SCALE {
        return round_text(limbs, scale);
    }
    let mut quotient = [0; FRACTION + MOST_LIMBS];
    quotient[FRACTION..FRACTION + limbs.len()].copy_from_slice(limbs);
    // Whether anything was cut off: a quotient that is cut and divided again is cut where the whole would be.
    let mut cut = false;
    let mut rest = scale;
    while rest > 0 {
        let step = rest.min(POW5.len() as u32 - 1);
        let divisor = u128::from(POW5[step as usize]);
        let mut remainder = 0;
        for limb in quotient[..FRACTION + limbs.len()].iter_mut().rev() {
            let dividend = remainder << 64 | u128::from(*limb);
            *limb = (dividend / divisor) as u64;
            remainder = dividend % divisor;
        }
        cut |= remainder != 0;
        rest -= step;
    }
    let Some(top) = quotient.iter().rposition(|&limb| limb != 0) else {
        return 0.0;
    };
    let zeros = quotient[top].leading_zeros();
    let below = |places: usize| top.checked_sub(places).map_or(0, |at| quotient[at]);
    let pair = (u128::from(quotient[top]) << 64 | u128::from(below(1))) << zeros;
    cut |= pair as u64 != 0
        || quotient[..top.saturating_sub(1)]
            .iter()
            .any(|&limb| limb != 0);
    // The lowest of 64 bits stands for all that was cut off: eleven lie below the rounding.
    let bits = (pair >> 64) as u64 | u64::from(cut);
    let exponent = 64 * (top as i32 - FRACTION as i32) - zeros as i32 - scale as i32;
    ldexp(bits as f64, exponent)
}

/// By the decimal digits and the standard parser, which rounds any number of them correctly.
fn round_text(limbs: &[u64], scale: u32) -> f64 {
    let mut rest = limbs.to_vec();
    let mut groups = Vec::new();
    while rest.iter().any(|&limb| limb != 0) {
        let mut carry = 0u128;
        for limb in rest.iter_mut().rev() {
            carry = carry << 64 | u128::from(*limb);
            *limb = (carry / u128::from(POW10[19])) as u64;
            carry %= u128::from(POW10[19]);
        }
        groups.push(carry as u64);
    }
    let mut text = String::with_capacity(groups.len() * 19 + 6);
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:019}"));
    }
    text.push_str(&format!("e-{scale}"));
    text.parse().expect("digits and an exponent are a number")
}

/// The exact sum of finite `f64`s, rounded once to the nearest, ties to even: what `math.fsum` returns.
///
/// Shewchuk's algorithm: the partial sums do not overlap, so together they hold every bit.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    partials: Vec<f64>,
}

impl ExactSum {
    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        if value == 0.0 {
            return;
        }
        let mut x = value;
        let mut kept = 0;
        for at in 0..self.partials.len() {
            let mut y = self.partials[at];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        if x != 0.0 {
            self.partials.push(x);
        }
    }

    /// Numbers whose exact sum it is; none where it is zero.
    pub fn partials(&self) -> &[f64] {
        &self.partials
    }

    /// The sum so far.
    pub fn value(&self) -> f64 {
        let mut parts = self.partials.iter().rev().copied();
        let Some(mut high) = parts.next() else {
            return 0.0;
        };
        while let Some(part) = parts.next() {
            let before = high;
            high = before + part;
            let low = part - (high - before);
            if low != 0.0 {
                // Half-way cases: the next partial's sign says on which side the true sum lies.
                if let Some(next) = parts.next()
                    && ((low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0))
                {
                    let doubled = low * 2.0;
                    let candidate = high + doubled;
                    if doubled == candidate - high {
                        high = candidate;
                    }
                }
                break;
            }
        }
        high
    }
}

/// The exact sum of finite values, rounded once to the nearest, ties to even: what [`ExactSum`] gives.
///
/// Most sums are of values near enough to each other to be cut into two halves that add without rounding: the hours of a
/// month take a third of the time that sums of 128-bit integers took.
pub(crate) fn sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    sum_of_halves(values.clone()).unwrap_or_else(|| values.collect::<ExactSum>().value())
}

/// `None` for values too far from each other, too many, or near the ends of the range of an `f64`.
///
/// Rump, Ogita and Oishi, Accurate floating-point summation I (2008), lemma 3.3: let σ be a power of two, at least the
/// number of values plus two times the largest power of two of any; then (σ + v) − σ cuts v to a multiple of σ's last
/// bit, what is cut off is exact and no larger than half of that bit, and the cut values add without rounding.
fn sum_of_halves(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    /// Bits of a mantissa and of the counts of values; far inside the range, so that no unit underflows.
    const BITS: i32 = f64::MANTISSA_DIGITS as i32;
    const MOST: u32 = 1 << 20;
    const RANGE: std::ops::RangeInclusive<f64> = 1e-200..=1e200;
    let (mut largest, mut count) = (0.0, 0u32);
    for value in values.clone() {
        largest = f64::max(largest, value.abs());
        count += 1;
    }
    if largest == 0.0 {
        return Some(0.0);
    }
    if !RANGE.contains(&largest) || count > MOST {
        return None;
    }
    let above = (largest.to_bits() >> (BITS - 1)) as i32 - 1023 + 1;
    let spread = (count + 2).next_power_of_two().ilog2() as i32;
    let upper_unit = ldexp(1.0, above + spread);
    let lower_unit = ldexp(1.0, above + 2 * spread - BITS);
    let (mut upper, mut lower, mut left) = (0.0, 0.0, false);
    for value in values {
        let high = (upper_unit + value) - upper_unit;
        let rest = value - high;
        let low = (lower_unit + rest) - lower_unit;
        upper += high;
        lower += low;
        left |= rest != low;
    }
    // Both are exact, so only their sum rounds.
    (!left).then_some(upper + lower)
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        values.into_iter().for_each(|value| sum.add(value));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wide::limbs;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_agrees_with_the_standard_parser(low: u64, high in any::<u64>(), cut in 0u32..128, scale in 0u32..49) {
            let value = (u128::from(high) << 64 | u128::from(low)) >> cut;
            let expected: f64 = format!("{value}e-{scale}").parse().unwrap();
            prop_assert_eq!(round(&limbs(value), scale).to_bits(), expected.to_bits());
        }

        #[test]
        fn ties_are_rounded_to_even(mantissa in (1u64 << 52)..(1 << 53), shift in 0u32..60, scale in 0u32..20) {
            // (2m + 1) / 2 is exactly half-way between two floats; times 10^scale it must survive the division.
            let odd = u128::from(mantissa * 2 + 1) << shift;
            if let Some(scaled) = odd.checked_mul(u128::from(POW10[scale as usize])) {
                prop_assert_eq!(round(&limbs(scaled), scale).to_bits(), (odd as f64).to_bits());
            }
        }

        #[test]
        fn wide_values_agree_with_the_text(limbs in prop::collection::vec(prop::sample::select(vec![0u64, 1, u64::MAX, 1 << 63, 0x1234_5678_9abc_def0]), 1..10), more: [u64; 9], mixed: [bool; 9], scale in 0u32..49) {
            let limbs: Vec<u64> = limbs.iter().enumerate().map(|(at, &limb)| if mixed[at] { more[at] } else { limb }).collect();
            prop_assume!(limbs.iter().any(|&limb| limb != 0));
            prop_assert_eq!(round(&limbs, scale).to_bits(), round_text(&limbs, scale).to_bits());
        }

        #[test]
        fn wide_ties_are_rounded_to_even(mantissa in (1u64 << 52)..(1 << 53), shift in 0u32..60, scale in 20u32..49, off in -1i64..2) {
            // Half-way between two floats, times 10^scale, or one beside it.
            let mut wide = crate::wide::Wide::<9>::from_limbs(&limbs(u128::from(mantissa * 2 + 1) << shift)).unwrap();
            for factor in [POW10[(scale % 16) as usize], POW10[16]].into_iter().chain((scale >= 32).then_some(POW10[16])) {
                wide = wide.checked_mul_limb(factor).unwrap();
            }
            let mut limbs = wide.0;
            limbs[0] = limbs[0].wrapping_add_signed(off);
            let scale = scale % 16 + 16 * (1 + u32::from(scale >= 32));
            prop_assert_eq!(round(&limbs, scale).to_bits(), round_text(&limbs, scale).to_bits());
        }

        #[test]
        fn sums_of_halves_are_the_exact_sums(
            values in prop::collection::vec((-1e9f64..1e9, -40i32..40, prop::sample::select(vec![0.0, 1.0, 1.0])), 0..70),
            near: bool,
        ) {
            let scaled = values.iter().map(|&(value, exponent, keep)| {
                value * keep * 2f64.powi(if near { exponent / 8 } else { exponent * 3 })
            });
            let expected: ExactSum = scaled.clone().collect();
            prop_assert_eq!(sum(scaled.clone()).to_bits(), expected.value().to_bits());
            if near {
                prop_assert!(sum_of_halves(scaled).is_some() || values.iter().any(|value| value.0.abs() < 1.0));
            }
        }

        #[test]
        fn ties_of_sums_are_rounded_to_even(mantissa in (1u64 << 52)..(1 << 53), half in prop::sample::select(vec![0.5, 0.25, 0.75, -0.5])) {
            let values = [mantissa as f64, half, mantissa as f64 / 2.0, -(mantissa as f64) / 2.0];
            let expected: ExactSum = values.into_iter().collect();
            prop_assert_eq!(sum_of_halves(values.into_iter()).map(f64::to_bits), Some(expected.value().to_bits()));
        }

        #[test]
        fn a_sum_does_not_depend_on_the_order(mut values in prop::collection::vec(-1e12f64..1e12, 0..60), seed: u64) {
            let forward: ExactSum = values.iter().copied().collect();
            let len = values.len().max(1);
            values.rotate_left(seed as usize % len);
            values.reverse();
            let other: ExactSum = values.into_iter().collect();
            prop_assert_eq!(forward.value().to_bits(), other.value().to_bits());
        }
    }

    #[test]
    fn small_bits_are_not_lost_beside_large_ones() {
        let sum: ExactSum = [1e16, 1.0, 1e-16, -1e16].into_iter().collect();
        assert_eq!(sum.value(), 1.0);
        let tenths: ExactSum = std::iter::repeat_n(0.1, 10).collect();
        assert_eq!(tenths.value(), 1.0);
        assert_eq!(ExactSum::default().value(), 0.0);
        // 1e16 + 1 is half-way; the tiny rest decides.
        let above: ExactSum = [1e16, 1.0, 1e-30].into_iter().collect();
        assert_eq!(above.value(), 1e16 + 2.0);
    }
}
