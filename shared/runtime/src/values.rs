//! Values as people write them: durations and sizes.

use std::time::Duration;

use crate::error::{Result, RuntimeError};

/// A duration: `100ms`, `60s`, `5m`, `1h`, `2d`, or several of them, largest first (`1h30m`).
///
/// # Errors
///
/// [`RuntimeError::Value`] for anything else; a number without a unit too, since nobody knows what it meant.
pub fn duration(text: &str) -> Result<Duration> {
    const UNITS: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let refused = || {
        refused(
            text,
            "a duration",
            "write a number and a unit, as 100ms, 60s, 5m, 1h or 2d",
        )
    };
    let mut milliseconds = 0_u64;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, behind) = number_and_unit(rest).ok_or_else(refused)?;
        // Each unit is looked for behind the last one, so that none repeats or grows.
        let (_, size) = units.find(|(name, _)| *name == unit).ok_or_else(refused)?;
        let part = number.checked_mul(*size).ok_or_else(refused)?;
        milliseconds = milliseconds.checked_add(part).ok_or_else(refused)?;
        rest = behind;
    }
    if text.is_empty() {
        return Err(refused());
    }
    Ok(Duration::from_millis(milliseconds))
}

/// A size in bytes: `1048576`, `64KiB`, `512MiB`, `2GiB`, `10GB` (powers of 1024 with an `i`, of 1000 without).
///
/// # Errors
///
/// [`RuntimeError::Value`] for anything else.
pub fn bytes(text: &str) -> Result<u64> {
    let refused = || {
        refused(
            text,
            "a size",
            "write bytes, or a number and KiB, MiB, GiB, TiB, kB, MB, GB or TB",
        )
    };
    let (number, unit, behind) = number_and_unit(text).ok_or_else(refused)?;
    let size: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(refused()),
    };
    if !behind.is_empty() {
        return Err(refused());
    }
    number.checked_mul(size).ok_or_else(refused)
}

/// The leading digits, the letters behind them, and the rest.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (unit, behind) = rest.split_at(letters);
    Some((number.parse().ok()?, unit, behind))
}

fn refused(value: &str, kind: &'static str, problem: &'static str) -> RuntimeError {
    RuntimeError::Value {
        value: value.chars().take(60).collect(),
        kind,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, milliseconds) in [
            ("100ms", 100),
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("1m500ms", 60_500),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text).unwrap(),
                Duration::from_millis(milliseconds),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_to_write() {
        for text in [
            "",
            "60",
            "s",
            "1.5h",
            "-1s",
            "1 h",
            "1x",
            "30m1h",
            "1s1s",
            "99999999999999999999s",
            "18446744073709551615d",
            "1ß",
        ] {
            let error = duration(text).unwrap_err().to_string();

            assert!(
                error.contains("is not a duration: write a number and a unit"),
                "{error}"
            );
        }
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, size) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("64KiB", 64 << 10),
            ("64kib", 64 << 10),
            ("2GiB", 2 << 30),
            ("10GB", 10_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "1.5GiB",
            "-1",
            "1 GiB",
            "1K",
            "1GiB1",
            "18446744073709551615KiB",
        ] {
            assert!(
                matches!(bytes(text), Err(RuntimeError::Value { .. })),
                "{text}"
            );
        }
    }
}
