//! The values of a table's columns as text.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, PrimitiveArray, StringArray};
use arrow_schema::DataType;

/// A column's values as text.
pub(super) enum Cells<'a> {
    Time(&'a PrimitiveArray<TimestampMicrosecondType>, Clock),
    Count(&'a Int64Array),
    Number(&'a Float64Array),
    Flag(&'a BooleanArray),
    Word(&'a dyn Array, &'a StringArray),
    Text(&'a StringArray),
    Unknown,
}

impl<'a> Cells<'a> {
    pub fn of(column: &'a dyn Array, opens_bar: bool) -> Self {
        match column.data_type() {
            DataType::Timestamp(..) => {
                let clock = if opens_bar {
                    Clock::Seconds
                } else {
                    Clock::Micros
                };
                Self::Time(column.as_primitive(), clock)
            }
            DataType::Int64 => Self::Count(column.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Number(column.as_primitive::<Float64Type>()),
            DataType::Boolean => Self::Flag(column.as_boolean()),
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Dictionary(..) => {
                let words = column.as_dictionary::<Int32Type>().values();
                Self::Word(column, words.as_string())
            }
            _ => Self::Unknown,
        }
    }

    pub fn write(&self, row: usize, text: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = match self {
            Self::Time(times, clock) if times.is_valid(row) => {
                clock.write(times.value(row), text);
                Ok(())
            }
            Self::Count(counts) if counts.is_valid(row) => write!(text, "{}", counts.value(row)),
            Self::Number(numbers) if numbers.is_valid(row) && !numbers.value(row).is_nan() => {
                write_number(numbers.value(row), text);
                Ok(())
            }
            Self::Flag(flags) if flags.is_valid(row) => write!(text, "{}", flags.value(row)),
            Self::Text(texts) if texts.is_valid(row) => write!(text, "{}", texts.value(row)),
            Self::Word(column, words) if column.is_valid(row) => {
                let key = column.as_dictionary::<Int32Type>().keys().value(row);
                write!(text, "{}", words.value(key as usize))
            }
            _ => Ok(()),
        };
    }
}

/// How times are written.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// `2020-01-01 00:00:00+00:00`
    Seconds,
    /// `2020-01-01 00:00:00.000000+00:00`
    Micros,
}

impl Clock {
    pub fn write(self, time_us: i64, text: &mut Vec<u8>) {
        let Ok(time) = jiff::Timestamp::from_microsecond(time_us) else {
            return;
        };
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        let (date, clock) = (time.date(), time.time());
        let _ = write!(
            text,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
        );
        if let Self::Micros = self {
            let _ = write!(text, ".{:06}", clock.subsec_nanosecond() / 1000);
        }
        text.extend_from_slice(b"+00:00");
    }
}

/// As Python writes it: as few digits as read back to the same value, and of those the nearest to it.
fn write_number(number: f64, text: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let plain = buffer.format(number);
    let size = number.abs();
    if size < 1e16 && (size >= 1e-4 || size == 0.0) || !size.is_finite() {
        text.extend_from_slice(plain.as_bytes());
        return;
    }
    let (sign, plain) = match plain.strip_prefix('-') {
        Some(plain) => ("-", plain),
        None => ("", plain),
    };
    let (decimal, power) = match plain.split_once('e') {
        Some((decimal, power)) => (decimal, power.parse().unwrap_or(0)),
        None => (plain, 0),
    };
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits: String = [whole, fraction].concat();
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let power = power + whole.len() as i32 - 1 - leading as i32;
    let digits = digits.trim_matches('0');
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    // Writing to memory does not fail.
    let _ = write!(
        text,
        "{sign}{first}{point}{rest}e{}{:02}",
        if power < 0 { '-' } else { '+' },
        power.abs()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> String {
        let mut text = Vec::new();
        write_number(number, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-1234.5, "-1234.5"),
            // Halfway between two decimals of 16 digits.
            (887_157_394.410_156_2, "887157394.4101562"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_012_34, "1.234e-05"),
            (-5e-324, "-5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
        ] {
            assert_eq!(number(value), text);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }

    #[test]
    fn times_have_the_decimals_of_their_column() {
        let time = |clock: Clock, time_us: i64| {
            let mut text = Vec::new();
            clock.write(time_us, &mut text);
            String::from_utf8(text).unwrap()
        };
        let new_year = 1_577_836_800_000_000;
        assert_eq!(time(Clock::Seconds, new_year), "2020-01-01 00:00:00+00:00");
        assert_eq!(
            time(Clock::Micros, new_year + 59_999_000),
            "2020-01-01 00:00:59.999000+00:00"
        );
    }
}
