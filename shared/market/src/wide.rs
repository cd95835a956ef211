//! Unsigned integers wider than 128 bits, with only what exact sums need.

/// An unsigned integer of `N` 64-bit limbs, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wide<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> PartialOrd for Wide<N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Wide<N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl<const N: usize> Wide<N> {
    /// The value; `None` when it has more limbs than fit.
    pub fn from_limbs(limbs: &[u64]) -> Option<Self> {
        let mut out = [0; N];
        for (at, &limb) in limbs.iter().enumerate() {
            match out.get_mut(at) {
                Some(place) => *place = limb,
                None if limb == 0 => {}
                None => return None,
            }
        }
        Some(Self(out))
    }

    /// The sum, or `None` past the end.
    #[inline]
    pub fn checked_add(mut self, other: Self) -> Option<Self> {
        let mut carry = false;
        for (limb, add) in self.0.iter_mut().zip(other.0) {
            let (sum, over_a) = limb.overflowing_add(add);
            let (sum, over_b) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over_a | over_b;
        }
        (!carry).then_some(self)
    }

    /// The product with one limb, or `None` past the end.
    pub fn checked_mul_limb(mut self, factor: u64) -> Option<Self> {
        let mut carry = 0u128;
        for limb in &mut self.0 {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        (carry == 0).then_some(self)
    }

    /// The product of two numbers of any limbs, or `None` when it does not fit.
    pub fn product(a: &[u64], b: &[u64]) -> Option<Self> {
        let mut out = [0u64; N];
        for (i, &x) in a.iter().enumerate() {
            let mut carry = 0u128;
            for (j, &y) in b.iter().enumerate() {
                if x == 0 && carry == 0 {
                    break;
                }
                let term = u128::from(x) * u128::from(y) + carry;
                let Some(place) = out.get_mut(i + j) else {
                    if term == 0 {
                        continue;
                    }
                    return None;
                };
                let sum = term + u128::from(*place);
                *place = sum as u64;
                carry = sum >> 64;
            }
            for place in i + b.len().. {
                if carry == 0 {
                    break;
                }
                let sum = carry + u128::from(*out.get(place)?);
                out[place] = sum as u64;
                carry = sum >> 64;
            }
        }
        Some(Self(out))
    }
}

/// Both limbs of a `u128`.
#[inline]
pub(crate) fn limbs(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_and_sums_agree_with_u128(a: u64, b: u64, c: u64) {
            let product = Wide::<4>::product(&[a], &[b]).unwrap();
            let expected = u128::from(a) * u128::from(b);
            prop_assert_eq!(product, Wide::from_limbs(&limbs(expected)).unwrap());
            let sum = product.checked_add(Wide::from_limbs(&[c]).unwrap()).unwrap();
            let [low, high] = limbs(expected);
            let (low, carry) = low.overflowing_add(c);
            prop_assert_eq!(sum, Wide::from_limbs(&[low, high + u64::from(carry)]).unwrap());
        }

        #[test]
        fn a_product_is_the_same_limb_by_limb(a: [u64; 3], b: u64, c: u64) {
            let once = Wide::<5>::product(&a, &limbs(u128::from(b) * u128::from(c))).unwrap();
            let steps = Wide::<5>::from_limbs(&a).unwrap().checked_mul_limb(b).unwrap().checked_mul_limb(c).unwrap();
            prop_assert_eq!(once, steps);
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let full = Wide::<2>([u64::MAX; 2]);
        assert_eq!(full.checked_add(Wide([1, 0])), None);
        assert_eq!(full.checked_mul_limb(2), None);
        assert_eq!(Wide::<2>::product(&[0, 1], &[0, 1]), None);
        assert_eq!(Wide::<2>::product(&[0, 1], &[5, 0]), Some(Wide([0, 5])));
        assert_eq!(Wide::<2>::from_limbs(&[1, 2, 3]), None);
    }
}
