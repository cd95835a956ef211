//! The common form of a klines row, read sixteen bytes at a time: digits, at most one point, no sign, quote or space.
//!
//! Whatever else a row holds, [`Kline::parse`] reads or refuses it.

use crate::cells;
use crate::exact;
use crate::kline::Kline;

/// Bytes that must be there to read a row: a cell's sixteen may begin at any place of the longest row.
pub(crate) const ROOM: usize = LONGEST + CELL;

/// The longest row of the common form.
const LONGEST: usize = 256;

/// Bytes looked at for one cell.
const CELL: usize = 16;

/// Digits of a cell that is longer, which always fit 64 bits.
const MOST_DIGITS: usize = 18;

impl Kline {
    /// Reads the row that `bytes` begins with, and tells where the one behind it begins; `None` for any other form.
    #[inline]
    pub(crate) fn parse_plain(bytes: &[u8; ROOM]) -> Option<(Self, usize)> {
        let mut row = Cells { bytes, at: 0 };
        let bar = Self {
            open_time_us: row.time_us()?,
            open: row.float()?,
            high: row.float()?,
            low: row.float()?,
            close: row.float()?,
            volume: row.float()?,
            close_time_us: row.time_us()?,
            quote_volume: row.float()?,
            trades: row.whole()?,
            taker_buy_volume: row.float()?,
            taker_buy_quote_volume: row.float()?,
        };
        Some((bar, row.end()?))
    }
}

/// The cells of a row from `at` on, each with the comma behind it.
struct Cells<'a> {
    bytes: &'a [u8; ROOM],
    at: usize,
}

/// A cell's digits without the point.
struct Number {
    mantissa: u64,
    digits: usize,
    /// Digits behind the point; a point without any is told apart.
    places: usize,
    has_point: bool,
}

impl Cells<'_> {
    #[inline(always)]
    fn time_us(&mut self) -> Option<i64> {
        let number = self.number()?;
        let time = match number.digits {
            13 => number.mantissa as i64 * 1000,
            16 => number.mantissa as i64,
            _ => return None,
        };
        (!number.has_point && cells::is_plausible_us(time)).then_some(time)
    }

    #[inline(always)]
    fn whole(&mut self) -> Option<i64> {
        let number = self.number()?;
        (!number.has_point).then_some(number.mantissa as i64)
    }

    #[inline(always)]
    fn float(&mut self) -> Option<f64> {
        let number = self.number()?;
        // More decimals may be zeros or an error: the careful reader knows.
        if number.places > usize::from(crate::decimal::MOST_DECIMALS) {
            return None;
        }
        Some(exact::round_small(number.mantissa, number.places as u32))
    }

    /// The digits of the next cell, and its comma.
    #[inline(always)]
    fn number(&mut self) -> Option<Number> {
        let at = self.at;
        let text = self.bytes.get(at..)?.first_chunk::<CELL>()?;
        let values = u128::from_le_bytes(*text) ^ ZEROS;
        // The highest bit of each byte that is no digit. No byte carries into the next: both terms stay below 0x80.
        let others = (((values & LOW_BITS) + ABOVE_NINE) | values) & HIGH_BITS;
        let first = others.trailing_zeros() as usize / 8;
        let behind = others & others.wrapping_sub(1);
        let second = behind.trailing_zeros() as usize / 8;
        let has_point = self.byte(at + first) == b'.';
        let end = if has_point { second } else { first };
        if self.byte(at + end) != b',' {
            return if end == CELL { self.long() } else { None };
        }
        // The point is taken out, and what is behind the digits is shifted out: zeros come in front.
        let (digits, spelled) = if has_point {
            let before = u128::MAX.unbounded_shl(8 * first as u32);
            (end - 1, (values & !before) | (values >> 8 & before))
        } else {
            (end, values)
        };
        if digits == 0 {
            return None;
        }
        let spelled = spelled << (8 * (CELL - digits));
        self.at = at + end + 1;
        Some(Number {
            mantissa: cells::eight_digits(spelled as u64) * 100_000_000
                + cells::eight_digits((spelled >> 64) as u64),
            digits,
            places: if has_point { end - first - 1 } else { 0 },
            has_point,
        })
    }

    /// A cell of sixteen bytes or more.
    #[inline(never)]
    fn long(&mut self) -> Option<Number> {
        let mut number = Number {
            mantissa: 0,
            digits: 0,
            places: 0,
            has_point: false,
        };
        let mut at = self.at;
        loop {
            let byte = *self.bytes.get(at)?;
            at += 1;
            match byte {
                b'0'..=b'9' if number.digits < MOST_DIGITS => {
                    number.mantissa = number.mantissa * 10 + u64::from(byte - b'0');
                    number.digits += 1;
                    number.places += usize::from(number.has_point);
                }
                b'.' if !number.has_point => number.has_point = true,
                b',' => break,
                _ => return None,
            }
        }
        self.at = at;
        Some(number)
    }

    /// The last cell, which nobody reads, and the line's end behind it.
    #[inline(always)]
    fn end(&self) -> Option<usize> {
        let mut at = self.at;
        while matches!(self.byte(at), b'0'..=b'9' | b'.') {
            at += 1;
        }
        if self.byte(at) == b'\r' {
            at += 1;
        }
        (self.byte(at) == b'\n').then_some(at + 1)
    }

    /// A zero behind the room, which is no byte of a row.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }
}

const fn everywhere(byte: u8) -> u128 {
    u128::from_le_bytes([byte; CELL])
}

const ZEROS: u128 = everywhere(b'0');
const LOW_BITS: u128 = everywhere(0x7f);
const HIGH_BITS: u128 = everywhere(0x80);
/// What carries values above nine, and no others, into the highest bit.
const ABOVE_NINE: u128 = everywhere(0x76);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The row as the fast form reads it, with another row behind it.
    fn plain(row: &str) -> Option<Kline> {
        let mut bytes = [b'7'; ROOM];
        let text = format!("{row}\n1577836800000,1");
        let taken = text.len().min(ROOM);
        bytes[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        let (bar, next) = Kline::parse_plain(&bytes)?;
        assert_eq!(next, row.len() + 1, "{row}");
        Some(bar)
    }

    const SPOT: &str = "1735689600000000,93576.00000000,93610.93000000,93537.50000000,93610.93000000,8.21827000,\
                        1735689659999999,768978.56438890,2631,3.95157000,369757.32335910,0";
    const FUTURES: &str = "1577836800000,7195.24,7196.25,7183.14,7186.6,51.642,1577836859999,371233.51835,493,19.5,140888.4,0";

    #[test]
    fn rows_of_each_market_are_plain() {
        for row in [SPOT, FUTURES, &format!("{FUTURES}\r")] {
            let careful = Kline::parse(row.trim_end().as_bytes()).unwrap();
            assert_eq!(plain(row), Some(careful), "{row}");
        }
    }

    #[test]
    fn other_forms_are_left_to_the_careful_reader() {
        let odd = [
            ("7195.24", "-7195.24"),
            ("7195.24", "7.19524E3"),
            ("7195.24", "\"7195.24\""),
            ("7195.24", " 7195.24"),
            ("7195.24", "7195.2.4"),
            ("7195.24", "0.1234567890123"),
            ("7195.24", "1234567890123456789"),
            ("7195.24", ""),
            ("7195.24", "."),
            ("493", "4.93"),
            ("493", "493."),
            ("1577836800000", "157783680000"),
            ("1577836800000", "9999999999999"),
            ("140888.4,0", "140888.4"),
            ("140888.4,0", "140888.4,0,0"),
            ("140888.4,0", "140888.4,none"),
        ];
        for (sound, odd) in odd {
            let row = FUTURES.replacen(sound, odd, 1);
            assert_eq!(plain(&row), None, "{row}");
        }
        assert_eq!(
            plain(&format!("{FUTURES}{}", "0".repeat(250))),
            None,
            "too long"
        );
    }

    proptest! {
        #[test]
        fn whatever_it_reads_the_careful_reader_reads_alike(
            cells in prop::collection::vec("[0-9]{0,17}([.][0-9]{0,13})?|[-+.eE\" 0-9]{0,20}", 8),
            count in "[0-9]{0,18}[.]?",
            micros: bool,
        ) {
            let unit = if micros { "000" } else { "" };
            let [open, high, low, close, volume, quote, taker, taker_quote] = &cells[..] else { unreachable!() };
            let row = format!(
                "1577836800000{unit},{open},{high},{low},{close},{volume},1577836859999{unit},{quote},{count},{taker},{taker_quote},0"
            );
            if let Some(bar) = plain(&row) {
                prop_assert_eq!(Kline::parse(row.as_bytes()).unwrap(), bar);
            }
        }

        #[test]
        fn any_plain_decimals_are_read(
            cells in prop::collection::vec((0u64..1_000_000_000, 0u32..100_000_000), 8),
            places in 0usize..=8,
        ) {
            let cells: Vec<String> = cells.iter().map(|(whole, fraction)| {
                let fraction = format!("{fraction:08}");
                if places == 0 { whole.to_string() } else { format!("{whole}.{}", &fraction[..places]) }
            }).collect();
            let row = format!(
                "1577836800000,{},1577836859999,{},12,{},{},0",
                cells[..5].join(","), cells[5], cells[6], cells[7]
            );
            prop_assert_eq!(plain(&row), Some(Kline::parse(row.as_bytes()).unwrap()));
        }

        #[test]
        fn no_bytes_make_it_panic(row in prop::collection::vec(any::<u8>(), ROOM)) {
            let _ = Kline::parse_plain(row.first_chunk().unwrap());
        }

        #[test]
        fn no_digits_make_it_panic(row in "[0-9.,\n]{272}") {
            let _ = Kline::parse_plain(row.as_bytes().first_chunk().unwrap());
        }
    }
}
