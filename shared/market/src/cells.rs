//! Cells of a CSV row: what the row parsers share.
//!
//! Rows have no quotes and no spaces in practice; both are tolerated on the slow path.

use crate::decimal::Decimal;
use crate::error::CellError;

/// Times before 2009 or after 2100 are no times of an exchange.
const EARLIEST_US: i64 = 1_230_768_000_000_000;
const LATEST_US: i64 = 4_102_444_800_000_000;

/// Bytes of a number past which it is none.
const LONGEST_NUMBER: usize = 64;

/// Splits a row into exactly its cells; `None` when their number is another.
pub(crate) fn split<const N: usize>(row: &[u8]) -> Option<[&[u8]; N]> {
    let mut cells = [&row[..0]; N];
    let mut rest = row;
    for cell in &mut cells[..N - 1] {
        let comma = memchr::memchr(b',', rest)?;
        *cell = &rest[..comma];
        rest = &rest[comma + 1..];
    }
    if memchr::memchr(b',', rest).is_some() {
        return None;
    }
    cells[N - 1] = rest;
    Some(cells)
}

/// The cell without spaces and one pair of quotes around it.
pub(crate) fn trim(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    match cell {
        [b'"', inner @ .., b'"'] => inner.trim_ascii(),
        _ => cell,
    }
}

/// A whole number of at most 19 digits below 2⁶³.
pub(crate) fn whole(column: &'static str, cell: &[u8]) -> Result<u64, CellError> {
    let text = trim(cell);
    let bad = || CellError::new(column, cell, "a whole number");
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let value = text.iter().fold(0u64, |sum, b| {
        sum.wrapping_mul(10).wrapping_add(u64::from(b - b'0'))
    });
    if value > i64::MAX as u64 {
        Err(bad())
    } else {
        Ok(value)
    }
}

/// A non-negative decimal, exact.
pub(crate) fn decimal(column: &'static str, cell: &[u8]) -> Result<Decimal, CellError> {
    Decimal::parse(trim(cell)).ok_or_else(|| {
        CellError::new(
            column,
            cell,
            "a decimal of at most 12 places without a sign",
        )
    })
}

/// A decimal that may carry a sign, as its nearest `f64`.
pub(crate) fn signed_f64(column: &'static str, cell: &[u8]) -> Result<f64, CellError> {
    let text = trim(cell);
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    let value = Decimal::parse(digits)
        .ok_or_else(|| CellError::new(column, cell, "a decimal of at most 12 places"))?
        .to_f64();
    Ok(if negative { -value } else { value })
}

/// A decimal of any length, with a sign and an exponent or without, as its nearest `f64`.
pub(crate) fn number(column: &'static str, cell: &[u8]) -> Result<f64, CellError> {
    if let Ok(value) = signed_f64(column, cell) {
        return Ok(value);
    }
    let text = trim(cell);
    let bad = || CellError::new(column, cell, "a decimal");
    // The standard parser also takes `inf` and `nan`.
    let shaped = text
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !shaped || text.len() > LONGEST_NUMBER {
        return Err(bad());
    }
    let value: f64 = std::str::from_utf8(text)
        .map_err(|_| bad())?
        .parse()
        .map_err(|_| bad())?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(bad())
    }
}

/// A time in UTC microseconds: 13 digits are milliseconds, 16 are microseconds, text is ISO 8601 (UTC without a zone).
pub(crate) fn time_us(column: &'static str, cell: &[u8]) -> Result<i64, CellError> {
    let text = trim(cell);
    let bad = || {
        CellError::new(
            column,
            cell,
            "a time (13-digit ms, 16-digit us or ISO 8601)",
        )
    };
    let time = match (text.len(), text.iter().all(u8::is_ascii_digit)) {
        (13, true) => whole(column, text)? as i64 * 1000,
        (16, true) => whole(column, text)? as i64,
        (_, true) => return Err(bad()),
        _ => iso_us(std::str::from_utf8(text).map_err(|_| bad())?).ok_or_else(bad)?,
    };
    if is_plausible_us(time) {
        Ok(time)
    } else {
        Err(bad())
    }
}

/// Whether an exchange may have had this time.
#[inline]
pub(crate) fn is_plausible_us(time: i64) -> bool {
    (EARLIEST_US..LATEST_US).contains(&time)
}

fn iso_us(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(utc.timestamp().as_microsecond())
}

/// `true` or `false` in any case.
pub(crate) fn boolean(column: &'static str, cell: &[u8]) -> Result<bool, CellError> {
    let text = trim(cell);
    if text.eq_ignore_ascii_case(b"true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Ok(false)
    } else {
        Err(CellError::new(column, cell, "true or false"))
    }
}

/// Whether the first row of a file is a header: its first cell is not a number.
pub(crate) fn is_header(row: &[u8]) -> bool {
    let first = trim(row.split(|&b| b == b',').next().unwrap_or_default());
    !first.first().is_some_and(u8::is_ascii_digit)
}

/// Refuses a header whose known names stand in another order than the columns: their meaning would be swapped.
pub(crate) fn check_header(
    row: &[u8],
    columns: impl Iterator<Item = &'static [&'static str]> + Clone,
) -> Result<(), CellError> {
    for (at, cell) in row.split(|&b| b == b',').enumerate() {
        let name = String::from_utf8_lossy(trim(cell)).to_ascii_lowercase();
        let known = columns
            .clone()
            .position(|names| names.contains(&name.as_str()));
        if known.is_some_and(|known| known != at) {
            return Err(CellError::new(
                "header",
                row,
                "the columns in their documented order",
            ));
        }
    }
    Ok(())
}

/// Eight digits as values, the first in the lowest byte: pairs, then fours, then all eight.
#[inline(always)]
pub(crate) fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_their_own_digits() {
        let time = |text: &str| time_us("t", text.as_bytes());
        assert_eq!(time("1704067200123").unwrap(), 1_704_067_200_123_000);
        assert_eq!(time("1704067200123456").unwrap(), 1_704_067_200_123_456);
        assert_eq!(
            time("2024-01-01 00:00:00.123").unwrap(),
            1_704_067_200_123_000
        );
        assert_eq!(time("2024-01-01T00:00:00Z").unwrap(), 1_704_067_200_000_000);
        assert_eq!(
            time("2024-01-01T02:00:00+02:00").unwrap(),
            1_704_067_200_000_000
        );
        for text in [
            "",
            "1704067200",
            "170406720012345",
            "1704067200123456789",
            "yesterday",
            "-1704067200123",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time("9999999999999").is_err(), "the year 2286");
    }

    #[test]
    fn booleans_come_in_any_case() {
        for (text, expected) in [
            ("true", true),
            ("False", false),
            ("TRUE", true),
            ("\"fAlse\"", false),
        ] {
            assert_eq!(boolean("b", text.as_bytes()).unwrap(), expected);
        }
        for text in ["1", "t", "", "truee"] {
            assert!(boolean("b", text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_exact_number_of_cells_splits() {
        assert!(split::<3>(b"a,b,c").is_some());
        assert!(split::<3>(b"a,b").is_none());
        assert!(split::<3>(b"a,b,c,d").is_none());
    }
}
