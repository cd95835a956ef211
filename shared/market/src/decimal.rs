//! Decimals as scaled integers.

use crate::exact;
use crate::wide::limbs;

/// A non-negative decimal: `mantissa` / 10 to the `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// Digits without the point; below 2⁹⁶.
    pub mantissa: u128,
    /// Digits behind the point, 0 to 12.
    pub scale: u8,
}

/// The most digits behind the point; trailing zeros beyond them are accepted.
pub const MOST_DECIMALS: u8 = 12;

const LARGEST: u128 = 1 << 96;

impl Decimal {
    /// A whole number.
    pub const fn whole(value: u64) -> Self {
        Self {
            mantissa: value as u128,
            scale: 0,
        }
    }

    /// Reads `123`, `123.450` or `1.5E-8`; `None` for anything else, a sign or more than 12 decimals.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (digits, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => {
                let exponent: i32 = std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?;
                (&text[..at], exponent.clamp(-1000, 1000))
            }
            None => (text, 0),
        };
        let mut mantissa = 0u128;
        let mut scale = -exponent;
        let (mut point, mut seen) = (false, false);
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    mantissa = mantissa
                        .checked_mul(10)?
                        .checked_add(u128::from(byte - b'0'))?;
                    scale += i32::from(point);
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        if !seen {
            return None;
        }
        while scale > i32::from(MOST_DECIMALS) && mantissa.is_multiple_of(10) {
            if mantissa == 0 {
                scale = 0;
                break;
            }
            mantissa /= 10;
            scale -= 1;
        }
        while scale < 0 {
            if mantissa == 0 {
                scale = 0;
                break;
            }
            mantissa = mantissa.checked_mul(10)?;
            if mantissa >= LARGEST {
                return None;
            }
            scale += 1;
        }
        (scale <= i32::from(MOST_DECIMALS) && mantissa < LARGEST).then_some(Self {
            mantissa,
            scale: scale as u8,
        })
    }

    /// So many times as much; `None` where that is 2⁹⁶ of its last decimal or more.
    pub fn times(self, count: u64) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(u128::from(count))?;
        (mantissa < LARGEST).then_some(Self { mantissa, ..self })
    }

    /// Whether it is as much or more, whatever the scales.
    pub fn is_at_least(self, other: Self) -> bool {
        let scale = self.scale.max(other.scale);
        match (self.mantissa_at(scale), other.mantissa_at(scale)) {
            (Some(own), Some(other)) => own >= other,
            // Only one of them has fewer decimals; where it does not fit it is beyond the other.
            (own, _) => own.is_none(),
        }
    }

    /// Whether all decimals behind `scale` are zero.
    #[inline]
    pub(crate) fn fits(self, scale: u8) -> bool {
        self.scale <= scale || self.at_smaller(scale).is_some()
    }

    /// How many decimals it needs at least.
    pub(crate) fn fewest_decimals(self) -> u8 {
        (0..self.scale)
            .find(|&scale| self.fits(scale))
            .unwrap_or(self.scale)
    }

    /// The mantissa at another scale; `None` when it does not fit 128 bits, or decimals would be lost.
    #[inline]
    pub(crate) fn mantissa_at(self, scale: u8) -> Option<u128> {
        if scale == self.scale {
            return Some(self.mantissa);
        }
        if scale < self.scale {
            return self.at_smaller(scale);
        }
        self.mantissa
            .checked_mul(u128::from(exact::POW10[usize::from(scale - self.scale)]))
    }

    #[inline(never)]
    fn at_smaller(self, scale: u8) -> Option<u128> {
        let unit = exact::POW10[usize::from(self.scale - scale)];
        if let Ok(small) = u64::try_from(self.mantissa) {
            let cut = small / unit;
            return (cut * unit == small).then_some(u128::from(cut));
        }
        let cut = self.mantissa / u128::from(unit);
        (cut * u128::from(unit) == self.mantissa).then_some(cut)
    }

    /// The nearest `f64`, ties to even.
    pub fn to_f64(self) -> f64 {
        exact::round(&limbs(self.mantissa), u32::from(self.scale))
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = format!(
            "{:0width$}",
            self.mantissa,
            width = usize::from(self.scale) + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        let fraction = fraction.trim_end_matches('0');
        f.write_str(whole)?;
        if fraction.is_empty() {
            Ok(())
        } else {
            write!(f, ".{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        Decimal::parse(text.as_bytes()).map(|d| d.to_string())
    }

    #[test]
    fn plain_and_scientific_forms_are_read_exactly() {
        assert_eq!(parse("42283.50").as_deref(), Some("42283.5"));
        assert_eq!(parse("0E-16").as_deref(), Some("0"));
        assert_eq!(parse("1.5E-8").as_deref(), Some("0.000000015"));
        assert_eq!(parse("2e3").as_deref(), Some("2000"));
        assert_eq!(
            parse("0.0000000000010000").as_deref(),
            Some("0.000000000001")
        );
        assert_eq!(parse(".5").as_deref(), Some("0.5"));
    }

    #[test]
    fn decimals_of_any_scale_are_compared_exactly() {
        let at_least = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| Decimal::parse(text.as_bytes()).unwrap());
            a.is_at_least(b)
        };
        assert!(at_least("1000000", "1000000.000000000000"));
        assert!(at_least("1000000.000000000000", "1000000"));
        assert!(!at_least("999999.999999999999", "1000000"));
        assert!(at_least("1000000.000000000001", "1000000"));
        // Scaled up, it would not fit 128 bits.
        let largest = (LARGEST - 1).to_string();
        assert!(at_least(&largest, "79228162514264337.593543950335"));
        assert!(!at_least("79228162514264337.593543950335", &largest));
    }

    #[test]
    fn so_many_times_as_much_keeps_every_decimal() {
        let times = |text: &str, count| Decimal::parse(text.as_bytes())?.times(count);
        assert_eq!(times("12.5", 100).unwrap().to_string(), "1250");
        assert_eq!(times("79228162514264337593543950335", 2), None);
        assert_eq!(times("79228162514264337593543950335", u64::MAX), None);
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1,5",
            "1.2.3",
            "nan",
            "0.0000000000001",
            "1e30",
            "1e",
            " 1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(40)), None);
    }
}
