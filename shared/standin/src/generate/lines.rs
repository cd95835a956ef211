//! Rows to text: numbers, times and line ends.

use std::io::{self, Write};

use super::style::{LastLine, Style, TimeUnit};

/// Writes the lines of one CSV.
pub(crate) struct Lines<'a, W: Write> {
    out: W,
    style: &'a Style,
    line: Vec<u8>,
    rows: u64,
    expected: u64,
    pending_end: bool,
}

impl<'a, W: Write> Lines<'a, W> {
    /// `expected` rows decide where the second half of the file begins.
    pub(crate) fn new(out: W, style: &'a Style, expected: u64) -> Self {
        Self {
            out,
            style,
            line: Vec::with_capacity(256),
            rows: 0,
            expected,
            pending_end: false,
        }
    }

    pub(crate) fn header(&mut self, columns: &str) -> io::Result<()> {
        if self.style.header {
            self.line.extend_from_slice(columns.as_bytes());
            self.end_line()?;
        }
        Ok(())
    }

    pub(crate) fn integer(&mut self, value: u64) {
        self.comma();
        push_digits(&mut self.line, u128::from(value), 1);
    }

    pub(crate) fn decimal(&mut self, mantissa: i128, decimals: u8) {
        self.comma();
        push_decimal(&mut self.line, mantissa, decimals);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.comma();
        let text = self.style.booleans.spell(flag);
        self.line.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn time(&mut self, time_us: i64) {
        self.comma();
        let second_half = self.rows >= self.expected / 2;
        push_time(&mut self.line, time_us, self.style.time_unit, second_half);
    }

    pub(crate) fn end_row(&mut self) -> io::Result<()> {
        if let Some((row, text)) = &self.style.broken_row
            && *row == self.rows
        {
            self.line.clear();
            self.line.extend_from_slice(text.as_bytes());
        }
        self.rows += 1;
        self.end_line()
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        let ends = match self.style.last_line {
            LastLine::Unended => 0,
            LastLine::Ended => 1,
            LastLine::ThenBlank => 2,
        };
        for _ in 0..ends {
            self.out.write_all(line_end(self.style))?;
        }
        self.out.flush()
    }

    fn comma(&mut self) {
        if !self.line.is_empty() {
            self.line.push(b',');
        }
    }

    // The end of a line is written with the next one, since only the last line may lack it.
    fn end_line(&mut self) -> io::Result<()> {
        if self.pending_end {
            self.out.write_all(line_end(self.style))?;
        }
        self.out.write_all(&self.line)?;
        self.line.clear();
        self.pending_end = true;
        Ok(())
    }
}

fn line_end(style: &Style) -> &'static [u8] {
    if style.crlf { b"\r\n" } else { b"\n" }
}

fn push_digits(line: &mut Vec<u8>, mut value: u128, least: usize) {
    let mut digits = [b'0'; 40];
    let mut at = digits.len();
    // 128-bit division is several times slower, and almost every number fits 64 bits.
    while value > u128::from(u64::MAX) {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let mut low = value as u64;
    while low > 0 {
        at -= 1;
        digits[at] = b'0' + (low % 10) as u8;
        low /= 10;
    }
    let from = at.min(digits.len().saturating_sub(least));
    line.extend_from_slice(&digits[from..]);
}

pub(crate) fn push_decimal(line: &mut Vec<u8>, mantissa: i128, decimals: u8) {
    if mantissa < 0 {
        line.push(b'-');
    }
    let scale = 10u128.pow(u32::from(decimals));
    let value = mantissa.unsigned_abs();
    let (whole, part) = match (u64::try_from(value), u64::try_from(scale)) {
        (Ok(value), Ok(scale)) => (u128::from(value / scale), u128::from(value % scale)),
        _ => (value / scale, value % scale),
    };
    push_digits(line, whole, 1);
    if decimals > 0 {
        line.push(b'.');
        push_digits(line, part, usize::from(decimals));
    }
}

fn push_time(line: &mut Vec<u8>, time_us: i64, unit: TimeUnit, second_half: bool) {
    let micros = time_us.unsigned_abs();
    match unit {
        TimeUnit::Iso => {
            let time = jiff::Timestamp::from_microsecond(time_us).unwrap_or_default();
            let text = time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
            line.extend_from_slice(text.as_bytes());
        }
        _ if unit.tick_us(second_half) == 1 => push_digits(line, u128::from(micros), 1),
        _ => push_digits(line, u128::from(micros / 1_000), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_zeros() {
        let mut line = Vec::new();

        push_decimal(&mut line, 1_230, 4);
        line.push(b' ');
        push_decimal(&mut line, 5, 8);
        line.push(b' ');
        push_decimal(&mut line, 31_584, 0);
        line.push(b' ');
        push_decimal(&mut line, -70, 1);

        assert_eq!(line, b"0.1230 0.00000005 31584 -7.0");
    }

    #[test]
    fn long_numbers_are_written_in_full() {
        let mut line = Vec::new();

        push_decimal(&mut line, i128::MAX, 0);
        line.push(b' ');
        push_decimal(&mut line, 50_000 * 10i128.pow(24) + 7, 24);

        let expected = format!("{} 50000.{}7", i128::MAX, "0".repeat(23));
        assert_eq!(line, expected.as_bytes());
    }

    #[test]
    fn a_file_can_change_from_milliseconds_to_microseconds() {
        let style = Style {
            time_unit: TimeUnit::MsThenUs,
            last_line: LastLine::Unended,
            ..Style::default()
        };
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, &style, 2);

        for _ in 0..2 {
            lines.time(1_704_067_200_123_000);
            lines.end_row().unwrap();
        }
        lines.finish().unwrap();

        assert_eq!(out, b"1704067200123\n1704067200123000");
    }

    #[test]
    fn iso_times_are_utc_without_a_zone() {
        let mut line = Vec::new();

        push_time(&mut line, 1_704_067_200_123_000, TimeUnit::Iso, false);

        assert_eq!(line, b"2024-01-01 00:00:00.123");
    }
}
