//! One row of an aggTrades archive and its parser.
//!
//! Source: `binance/binance-public-data` README. Columns: aggregate id, price, quantity, first trade id, last trade
//! id, time, buyer-is-maker; spot adds best-price-match. Futures archives have a header in some months only.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cells;
use crate::decimal::{Decimal, MOST_DECIMALS};
use crate::error::CellError;
use crate::exact::POW10;

/// Trades of one taker order at one price, as the exchange aggregates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggTrade {
    /// Aggregate trade id, ascending without gaps in a sound archive.
    pub id: u64,
    /// Price in quote units.
    pub price: Decimal,
    /// Quantity: base units for um and spot, contracts for cm.
    pub quantity: Decimal,
    /// Id of the first trade in it.
    pub first_trade_id: u64,
    /// Id of the last trade in it.
    pub last_trade_id: u64,
    /// Time in UTC microseconds.
    pub time_us: i64,
    /// Whether the buyer was the maker: then the taker **sold**.
    pub buyer_is_maker: bool,
}

/// The names each column goes by in headers.
pub(crate) const COLUMNS: &[&[&str]] = &[
    &["agg_trade_id", "aggregate_trade_id", "aggtradeid"],
    &["price"],
    &["quantity", "qty"],
    &["first_trade_id", "firsttradeid"],
    &["last_trade_id", "lasttradeid"],
    &["transact_time", "timestamp", "time"],
    &["is_buyer_maker", "isbuyermaker"],
    &["is_best_match", "isbestmatch"],
];

impl AggTrade {
    /// A number that two rows share when they carry the same values, however they are written.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for decimal in [self.price, self.quantity] {
            decimal
                .mantissa_at(MOST_DECIMALS)
                .unwrap_or(u128::MAX)
                .hash(&mut hasher);
        }
        let rest = (
            self.first_trade_id,
            self.last_trade_id,
            self.time_us,
            self.buyer_is_maker,
        );
        rest.hash(&mut hasher);
        hasher.finish()
    }

    /// Reads a row without its line end.
    pub(crate) fn parse(row: &[u8]) -> Result<Self, CellError> {
        let mut room = [0; FAST_ROOM];
        if row.len() < FAST_ROOM {
            room[..row.len()].copy_from_slice(row);
            room[row.len()] = b'\n';
            if let Some((trade, read)) = Self::parse_plain(&room, &mut RowBefore::default())
                && read == row.len()
            {
                return Ok(trade);
            }
        }
        Self::parse_any(row)
    }

    /// Reads a row of the common form at the beginning of `bytes`, and tells where its `\n` is.
    ///
    /// Digits without spaces or quotes, at most 18 a number, times as digits, plausible; `None` for the rest, which
    /// goes the slow way and is named there.
    #[inline(always)]
    pub(crate) fn parse_plain(
        bytes: &[u8; FAST_ROOM],
        before: &mut RowBefore,
    ) -> Option<(Self, usize)> {
        let mut cursor = Cursor {
            bytes,
            at: 0,
            wrong: 0,
        };
        let id = cursor.whole(&mut before.id)?;
        let price = cursor.decimal(&mut before.price)?;
        let quantity = cursor.decimal(&mut before.quantity)?;
        let first_trade_id = cursor.whole(&mut before.first_trade_id)?;
        let last_trade_id = cursor.whole(&mut before.last_trade_id)?;
        let time_at = cursor.at;
        let time = cursor.whole(&mut before.time)? as i64;
        let time_us = match cursor.at - time_at {
            14 => time * 1000,
            17 => time,
            _ => return None,
        };
        let buyer_is_maker = cursor.boolean();
        if cursor.byte() == b',' {
            cursor.at += 1;
            cursor.boolean();
        }
        let read = cursor.at;
        cursor.wrong |= u64::from(cursor.byte() ^ b'\n');
        let plausible = PLAUSIBLE_US.contains(&time_us) & (last_trade_id >= first_trade_id);
        if cursor.wrong != 0 || read >= LONGEST_FAST || !plausible {
            return None;
        }
        let trade = Self {
            id,
            price,
            quantity,
            first_trade_id,
            last_trade_id,
            time_us,
            buyer_is_maker,
        };
        Some((trade, read))
    }

    #[cold]
    fn parse_any(row: &[u8]) -> Result<Self, CellError> {
        let [id, price, quantity, first, last, time, maker] = match cells::split::<8>(row) {
            Some([cells @ .., best_match]) => {
                cells::boolean("is_best_match", best_match)?;
                cells
            }
            None => cells::split::<7>(row)
                .ok_or_else(|| CellError::new("row", row, "a row of 7 or 8 columns"))?,
        };
        let trade = Self {
            id: cells::whole("agg_trade_id", id)?,
            price: cells::decimal("price", price)?,
            quantity: cells::decimal("quantity", quantity)?,
            first_trade_id: cells::whole("first_trade_id", first)?,
            last_trade_id: cells::whole("last_trade_id", last)?,
            time_us: cells::time_us("transact_time", time)?,
            buyer_is_maker: cells::boolean("is_buyer_maker", maker)?,
        };
        if trade.last_trade_id < trade.first_trade_id {
            return Err(CellError::new(
                "last_trade_id",
                last,
                "at least first_trade_id",
            ));
        }
        Ok(trade)
    }
}

/// Digits that always fit an `i64`.
const MOST_DIGITS: usize = 18;

/// Bytes that the fast form may look at, and the longest row it accepts: a power of two, so that a masked place is
/// always inside, and what lies behind the mask is refused at the end.
pub(crate) const FAST_ROOM: usize = 192;
const LONGEST_FAST: usize = 128;

/// Times that the fast form accepts, in microseconds: 2014 to 2096.
pub(crate) const PLAUSIBLE_US: std::ops::Range<i64> = 1_400_000_000_000_000..4_000_000_000_000_000;

/// What the row before looked like, for the next one mostly looks the same.
///
/// Where a cell ends is guessed from the row before and then checked. So the processor need not have read a cell to
/// begin with the next, and the first eight digits of a long number, which mostly stay, are not converted again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowBefore {
    id: Number,
    price: Point,
    quantity: Point,
    first_trade_id: Number,
    last_trade_id: Number,
    time: Number,
}

#[derive(Debug, Clone, Copy)]
struct Number {
    digits: usize,
    /// Its first eight digits as they stood in the row, and what they are worth in a number of so many digits.
    first_eight: u64,
    worth: u64,
    /// By how much the eight bytes that hold its last digits are shifted to be a number.
    shift: u32,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            digits: 0,
            first_eight: ZEROS,
            worth: 0,
            shift: 0,
        }
    }
}

impl Number {
    /// The next one is expected to have so many digits, 1 to 16; with 0 it is read as if it were the first.
    fn expect(&mut self, digits: usize) {
        let last_bytes = if digits > 8 { digits - 8 } else { digits };
        self.digits = digits;
        self.shift = 64 - 8 * last_bytes as u32;
        (self.first_eight, self.worth) = (ZEROS, 0);
    }
}

/// Eight digits that are worth nothing, however many follow.
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// Where the point of a decimal is, and its comma: 0 until one with a point, of at most seven digits, was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    at: usize,
    end: usize,
    /// The bytes before the point.
    before: u64,
    /// By how much its digits, the point taken out, are shifted to be a number.
    shift: u32,
}

/// Reads cells one after another, each with the comma behind it, eight bytes at a time.
///
/// What is wrong is gathered and looked at once a row; branches are kept for what rows of one file do alike.
struct Cursor<'a> {
    bytes: &'a [u8; FAST_ROOM],
    at: usize,
    /// Not 0 once something did not stand where it should.
    wrong: u64,
}

impl Cursor<'_> {
    #[inline(always)]
    fn whole(&mut self, before: &mut Number) -> Option<u64> {
        let digits = before.digits;
        if self.byte_at(self.at + digits) != b',' || digits == 0 {
            return self.other_whole(before);
        }
        let eight = Eight::at(self.bytes, self.at);
        if digits <= 8 {
            self.at += digits + 1;
            self.wrong |= eight.others() << before.shift;
            return Some(eight.number(before.shift));
        }
        let last = Eight::at(self.bytes, self.at + 8);
        if eight.0 != before.first_eight {
            if eight.others() != 0 {
                return None;
            }
            before.first_eight = eight.0;
            before.worth = eight.number(0) * POW10[(digits - 8) & 15];
        }
        self.at += digits + 1;
        self.wrong |= last.others() << before.shift;
        Some(before.worth + last.number(before.shift))
    }

    /// A whole number of another length than the one before.
    #[inline(never)]
    fn other_whole(&mut self, before: &mut Number) -> Option<u64> {
        let (value, digits) = self.digits()?;
        // Longer ones are read this way each time.
        before.expect(if digits <= 16 { digits } else { 0 });
        self.wrong |= u64::from((self.byte() ^ b',') | u8::from(digits == 0));
        self.at += 1;
        Some(value)
    }

    #[inline(always)]
    fn decimal(&mut self, before: &mut Point) -> Option<Decimal> {
        let point = *before;
        if self.byte_at(self.at + point.at) != b'.'
            || self.byte_at(self.at + point.end) != b','
            || point.end == 0
        {
            return self.other_decimal(before);
        }
        // Take the point out, and what is left within the eight bytes is one number.
        let eight = Eight::at(self.bytes, self.at).0;
        let number = Eight((eight & point.before) | (eight >> 8 & !point.before));
        self.at += point.end + 1;
        self.wrong |= number.others() << point.shift;
        Some(Decimal {
            mantissa: u128::from(number.number(point.shift)),
            scale: (point.end - point.at - 1) as u8,
        })
    }

    /// A decimal of another shape than the one before, of more than seven digits, or without a point.
    #[inline(never)]
    fn other_decimal(&mut self, before: &mut Point) -> Option<Decimal> {
        let (whole, digits) = self.digits()?;
        if digits == 0 {
            return None;
        }
        let (mut mantissa, mut scale) = (whole, 0);
        if self.byte() == b'.' {
            self.at += 1;
            let (fraction, places) = self.digits()?;
            if places > usize::from(MOST_DECIMALS) || digits + places > MOST_DIGITS {
                return None;
            }
            mantissa = whole * POW10[places] + fraction;
            scale = places as u8;
            if places > 0 && digits + places <= 7 {
                *before = Point {
                    at: digits,
                    end: digits + 1 + places,
                    before: (1 << (8 * digits)) - 1,
                    shift: 64 - 8 * (digits + places) as u32,
                };
            }
        }
        self.wrong |= u64::from(self.byte() ^ b',');
        self.at += 1;
        Some(Decimal {
            mantissa: u128::from(mantissa),
            scale,
        })
    }

    /// The digits that follow, as a number, and how many they are; `None` past 18.
    #[inline(always)]
    fn digits(&mut self) -> Option<(u64, usize)> {
        let (mut value, mut digits) = (0, 0);
        loop {
            let eight = Eight::at(self.bytes, self.at);
            let bits = eight.digit_bits();
            let count = bits as usize / 8;
            digits += count;
            if digits > MOST_DIGITS {
                return None;
            }
            if count > 0 {
                value = value * POW10[count] + eight.number(64 - bits);
            }
            self.at += count;
            if count < 8 {
                return Some((value, digits));
            }
        }
    }

    /// `true` or `false` in any case, without a branch on which: takers buy and sell at random.
    #[inline(always)]
    fn boolean(&mut self) -> bool {
        const TRUE: u64 = u32::from_le_bytes(*b"true") as u64;
        const FALSE: u64 = u64::from_le_bytes(*b"false\0\0\0");
        let letters = Eight::at(self.bytes, self.at).0 | 0x0020_2020_2020;
        let is_true = letters & 0xffff_ffff == TRUE;
        let is_false = letters & 0x00ff_ffff_ffff == FALSE;
        self.at += 5 - usize::from(is_true);
        self.wrong |= u64::from(!(is_true | is_false));
        is_true
    }

    #[inline(always)]
    fn byte(&self) -> u8 {
        self.byte_at(self.at)
    }

    #[inline(always)]
    fn byte_at(&self, at: usize) -> u8 {
        self.bytes[at & (LONGEST_FAST - 1)]
    }
}

/// Eight bytes of text, the first in the lowest place.
#[derive(Clone, Copy)]
struct Eight(u64);

impl Eight {
    #[inline(always)]
    fn at(bytes: &[u8; FAST_ROOM], at: usize) -> Self {
        let at = at & (LONGEST_FAST - 1);
        let eight: [u8; 8] = bytes[at..at + 8].try_into().expect("eight bytes");
        Self(u64::from_le_bytes(eight))
    }

    /// The highest bit of each byte that is no digit, up to the first such byte; what is behind it is random.
    #[inline(always)]
    fn others(self) -> u64 {
        // A digit becomes 0 to 9. Adding 0x76 carries everything above 9 into its byte's highest bit; what a larger
        // byte carries further only reaches the bytes behind it.
        let values = self.0 ^ 0x3030_3030_3030_3030;
        (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080
    }

    /// Bits of the digits before the first other byte: a multiple of 8, 64 where all are digits.
    #[inline(always)]
    fn digit_bits(self) -> u32 {
        self.others().trailing_zeros() & !7
    }

    /// The number that its first digits spell, 64 − `shift` bits of them, at least one.
    #[inline(always)]
    fn number(self, shift: u32) -> u64 {
        // Zeros in front, in place of what is behind.
        cells::eight_digits((self.0 ^ 0x3030_3030_3030_3030) << shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_futures_row_reads() {
        let trade =
            AggTrade::parse(b"26129,0.01633102,4.70443515,27781,27783,1498793709153,true").unwrap();

        assert_eq!(trade.id, 26129);
        assert_eq!(trade.price.to_string(), "0.01633102");
        assert_eq!(trade.quantity.to_string(), "4.70443515");
        assert_eq!((trade.first_trade_id, trade.last_trade_id), (27781, 27783));
        assert_eq!(trade.time_us, 1_498_793_709_153_000);
        assert!(trade.buyer_is_maker);
    }

    #[test]
    fn a_spot_row_has_a_last_column_more() {
        let trade = AggTrade::parse(b"1,93000.01000000,0.00100000,5,5,1767225600000123,False,True")
            .unwrap();
        assert_eq!(trade.time_us, 1_767_225_600_000_123);
        assert!(!trade.buyer_is_maker);
    }

    #[test]
    fn odd_but_sound_forms_read_alike() {
        let plain = AggTrade::parse(b"1,2.5,3,5,5,1704067200123,true").unwrap();
        for row in [
            " 1 ,\"2.5\",3,5,5,1704067200123,TRUE",
            "1,2.5,3,5,5,2024-01-01T00:00:00.123Z,tRue",
            "1,25E-1,3,5,5,1704067200123000,true,false",
        ] {
            assert_eq!(AggTrade::parse(row.as_bytes()).unwrap(), plain, "{row}");
        }
    }

    #[test]
    fn a_bad_cell_is_named() {
        let column = |row: &str| AggTrade::parse(row.as_bytes()).unwrap_err().column;
        assert_eq!(column("x,1,1,1,1,1704067200123,true"), "agg_trade_id");
        assert_eq!(column("1,1.2.3,1,1,1,1704067200123,true"), "price");
        assert_eq!(column("1,1,-1,1,1,1704067200123,true"), "quantity");
        assert_eq!(column("1,1,1,2,1,1704067200123,true"), "last_trade_id");
        assert_eq!(column("1,1,1,1,1,1704067200,true"), "transact_time");
        assert_eq!(column("1,1,1,1,1,1704067200123,yes"), "is_buyer_maker");
        assert_eq!(column("1,1,1,1,1,1704067200123"), "row");
        assert_eq!(column("1,1,1,1,1,1704067200123,true,true,true"), "row");
        assert_eq!(
            column("99999999999999999999,1,1,1,1,1704067200123,true"),
            "agg_trade_id"
        );
    }

    /// Reads rows one after another as a file's are read: each remembers the one before.
    fn in_a_row(rows: &[String]) -> Vec<Option<AggTrade>> {
        let mut before = RowBefore::default();
        let read = |row: &String| {
            let mut room = [b'x'; FAST_ROOM];
            room[..row.len()].copy_from_slice(row.as_bytes());
            room[row.len()] = b'\n';
            let (trade, read) = AggTrade::parse_plain(&room, &mut before)?;
            assert_eq!(read, row.len());
            Some(trade)
        };
        rows.iter().map(read).collect()
    }

    #[test]
    fn bytes_of_zero_are_no_digits() {
        let row = "1234567890,1.5,2.5,1,1,1704067200123,true".to_owned();
        for cell in ["\0\0\0\0\0\0\0\090", "00000000\090"] {
            let rows = [row.clone(), row.replace("1234567890", cell)];
            assert!(in_a_row(&rows)[1].is_none(), "{cell:?}");
            assert!(AggTrade::parse(rows[1].as_bytes()).is_err(), "{cell:?}");
        }
        let rows = [row.clone(), row.replace("1234567890", "0000000090")];
        assert_eq!(in_a_row(&rows)[1].unwrap().id, 90);
    }

    #[test]
    fn what_the_slow_way_forgave_is_not_remembered_as_digits() {
        let spaced = " 123456789,1.5,2.5,1,1,1704067200123,true".to_owned();
        let rows = [spaced.clone(), spaced];

        assert_eq!(in_a_row(&rows), [None, None]);
        assert_eq!(AggTrade::parse(rows[0].as_bytes()).unwrap().id, 123_456_789);
    }

    proptest! {
        #[test]
        fn rows_of_changing_shape_read_as_they_do_alone(
            rows in prop::collection::vec(
                ("[0-9]{1,18}", "[0-9]{1,9}(\\.[0-9]{1,9})?", "[0-9]{1,4}(\\.[0-9]{1,3})?", "[0-9]{1,12}", "1[4-9][0-9]{11}([0-9]{3})?", "(true|False)(,True)?"),
                1..12,
            ),
        ) {
            let rows: Vec<String> = rows
                .into_iter()
                .map(|(id, price, quantity, trade, time, maker)| format!("{id},{price},{quantity},{trade},{trade},{time},{maker}"))
                .collect();
            for (row, read) in rows.iter().zip(in_a_row(&rows)) {
                let slow = AggTrade::parse_any(row.as_bytes());
                if let Some(read) = read {
                    prop_assert_eq!(Ok(read), slow);
                }
            }
        }

        #[test]
        fn the_fast_form_agrees_with_the_slow_one(
            id in 0u64..10_000_000_000, price in 0u64..100_000_000_000, point in 0u32..9,
            quantity in 0u64..1_000_000_000, places in 0u32..4, time in 1_500_000_000_000u64..2_000_000_000_000,
            maker: bool, spot: bool,
        ) {
            let decimal = |value: u64, places: u32| {
                let unit = 10u64.pow(places);
                if places == 0 { value.to_string() }
                else { format!("{}.{:0width$}", value / unit, value % unit, width = places as usize) }
            };
            let mut row = format!("{id},{},{},{id},{},{time},{maker}",
                decimal(price, point), decimal(quantity, places), id + 3);
            if spot { row.push_str(",True"); }
            let slow = AggTrade::parse_any(row.as_bytes()).unwrap();
            prop_assert_eq!(AggTrade::parse(row.as_bytes()).unwrap(), slow);
        }

        #[test]
        fn no_bytes_make_it_panic(row in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = AggTrade::parse(&row);
        }

        #[test]
        fn no_digits_make_it_panic(row in "[0-9,.eE+-]{0,90}") {
            let _ = AggTrade::parse(row.as_bytes());
        }
    }
}
