//! One row of an aggTrades archive and its parser.
//!
//! Source: `binance/binance-public-data` README. Columns: aggregate id, price, quantity, first trade id, last trade
//! id, time, buyer-is-maker; spot adds best-price-match. Futures archives have a header in some months only.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cells;
use crate::decimal::{Decimal, MOST_DECIMALS};
use crate::error::CellError;

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
    /// Reads a row without its line end.
    #[inline]
    pub(crate) fn parse(row: &[u8]) -> Result<Self, CellError> {
        match Self::parse_plain(row) {
            Some(trade) => Ok(trade),
            None => Self::parse_any(row),
        }
    }

    /// A number that two rows share when they carry the same values, however they are written.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for decimal in [self.price, self.quantity] {
            decimal
                .mantissa_at(MOST_DECIMALS)
                .unwrap_or(u128::MAX)
                .hash(&mut hasher);
        }
        (
            self.first_trade_id,
            self.last_trade_id,
            self.time_us,
            self.buyer_is_maker,
        )
            .hash(&mut hasher);
        hasher.finish()
    }

    /// The common form: digits without spaces or quotes, at most 18 a number, times as digits. `None` for the rest.
    #[inline]
    fn parse_plain(row: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { rest: row };
        let id = cursor.whole()?;
        let price = cursor.decimal()?;
        let quantity = cursor.decimal()?;
        let first_trade_id = cursor.whole()?;
        let last_trade_id = cursor.whole()?;
        let before = cursor.rest.len();
        let time = cursor.whole()? as i64;
        let time_us = match before - cursor.rest.len() - 1 {
            13 => time * 1000,
            16 => time,
            _ => return None,
        };
        // Earlier and later times go the slow way, which names them.
        if !(1_400_000_000_000_000..4_000_000_000_000_000).contains(&time_us)
            || last_trade_id < first_trade_id
        {
            return None;
        }
        let buyer_is_maker = match cursor.rest {
            b"true" | b"True" | b"True,True" | b"True,False" => true,
            b"false" | b"False" | b"False,True" | b"False,False" => false,
            _ => return None,
        };
        Some(Self {
            id,
            price,
            quantity,
            first_trade_id,
            last_trade_id,
            time_us,
            buyer_is_maker,
        })
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

/// Reads cells one after another, each with the comma behind it.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// Digits that always fit an `i64`.
const MOST_DIGITS: usize = 18;

impl Cursor<'_> {
    #[inline(always)]
    fn whole(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                if byte != b',' || at == 0 || at > MOST_DIGITS {
                    return None;
                }
                self.rest = &self.rest[at + 1..];
                return Some(value);
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        }
        None
    }

    #[inline(always)]
    fn decimal(&mut self) -> Option<Decimal> {
        let mut value = 0u64;
        let mut point = usize::MAX;
        for (at, &byte) in self.rest.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            } else if byte == b'.' && point == usize::MAX && at > 0 {
                point = at;
            } else {
                let scale = if point == usize::MAX {
                    0
                } else {
                    at - point - 1
                };
                if byte != b',' || at == 0 || at > MOST_DIGITS || scale > 12 {
                    return None;
                }
                self.rest = &self.rest[at + 1..];
                return Some(Decimal {
                    mantissa: u128::from(value),
                    scale: scale as u8,
                });
            }
        }
        None
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

    proptest! {
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
