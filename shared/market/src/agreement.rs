//! Minutes made of trades beside the exchange's own one-minute klines: two accounts of one tape.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::iso::iso_time;
use crate::{Kline, Market, Minute, Symbol};

/// Sums of the exchange are rounded to the decimals it prints: they may differ by this part.
const ROUNDING: f64 = 1e-7;

/// Or by this much, where they are small.
const LEAST: f64 = 1e-7;

/// Minutes that are named one by one.
const NAMED: usize = 20;

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Minutes that both have.
    pub compared: usize,
    /// Minutes with trades of which there is no kline.
    pub without_kline: usize,
    /// Minutes in which the two differ, and in what.
    pub differing: BTreeMap<i64, Vec<&'static str>>,
}

impl Agreement {
    /// Bars in which the two agree.
    pub fn agreeing(&self) -> usize {
        self.compared - self.differing.len()
    }

    /// The bars that differ, in words: how many, and the first of them.
    pub fn words(&self, bars: &str) -> String {
        let mut words = format!("{} of {} {bars}", self.differing.len(), self.compared);
        for (minute_us, columns) in self.differing.iter().take(NAMED) {
            let time = iso_time(*minute_us);
            // Writing to a string cannot fail.
            let _ = write!(words, "; {time} {}", columns.join(", "));
        }
        words
    }
}

/// Compares the minutes with the klines, both ascending; a kline of a minute without trades has to say that there were
/// none.
pub fn compare_minutes(
    market: Market,
    symbol: &Symbol,
    minutes: &[Minute],
    klines: &[Kline],
) -> Agreement {
    let of: BTreeMap<i64, &Minute> = minutes
        .iter()
        .map(|minute| (minute.minute_us, minute))
        .collect();
    let mut agreement = Agreement::default();
    let mut seen = 0;
    for kline in klines {
        let differing = match of.get(&kline.open_time_us) {
            Some(minute) => {
                seen += 1;
                agreement.compared += 1;
                differing(market, symbol, minute, kline)
            }
            None if kline.trades != 0 || kline.volume != 0.0 => {
                agreement.compared += 1;
                vec!["trades"]
            }
            None => continue,
        };
        if !differing.is_empty() {
            agreement.differing.insert(kline.open_time_us, differing);
        }
    }
    agreement.without_kline = minutes.len() - seen;
    agreement
}

/// Compares hours as the exchange gives them with those that its minutes make, both ascending; of hours that both have.
pub fn compare_hours(hours: &[Kline], of_minutes: &[Kline]) -> Agreement {
    let of: BTreeMap<i64, &Kline> = of_minutes
        .iter()
        .map(|hour| (hour.open_time_us, hour))
        .collect();
    let mut agreement = Agreement::default();
    for hour in hours {
        let Some(made) = of.get(&hour.open_time_us) else {
            continue;
        };
        agreement.compared += 1;
        let columns = [
            ("open", made.open == hour.open),
            ("high", made.high == hour.high),
            ("low", made.low == hour.low),
            ("close", made.close == hour.close),
            ("volume", is_near(made.volume, hour.volume)),
            (
                "quote_volume",
                is_near(made.quote_volume, hour.quote_volume),
            ),
            ("trades", made.trades == hour.trades),
        ];
        let differing = columns.into_iter().filter(|(_, agrees)| !agrees);
        let differing: Vec<_> = differing.map(|(column, _)| column).collect();
        if !differing.is_empty() {
            agreement.differing.insert(hour.open_time_us, differing);
        }
    }
    agreement
}

fn is_near(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= LEAST + ROUNDING * ours.abs().max(theirs.abs())
}

fn differing(market: Market, symbol: &Symbol, minute: &Minute, kline: &Kline) -> Vec<&'static str> {
    // Klines of cm count contracts, and base units where others have quote units.
    let (volume, quote, buy_volume, buy_quote) = match market {
        Market::Um | Market::Spot => (
            minute.base_volume,
            minute.quote_volume,
            minute.taker_buy_qty,
            minute.taker_buy_quote,
        ),
        Market::Cm => {
            let contract = symbol.contract_size_usd() as f64;
            (
                minute.quote_volume / contract,
                minute.base_volume,
                minute.taker_buy_quote / contract,
                minute.taker_buy_qty,
            )
        }
    };
    [
        ("open", minute.price_first == kline.open),
        ("high", minute.price_high == kline.high),
        ("low", minute.price_low == kline.low),
        ("close", minute.price_last == kline.close),
        ("volume", is_near(volume, kline.volume)),
        ("quote_volume", is_near(quote, kline.quote_volume)),
        ("trades", minute.raw_trade_count == kline.trades),
        (
            "taker_buy_volume",
            is_near(buy_volume, kline.taker_buy_volume),
        ),
        (
            "taker_buy_quote_volume",
            is_near(buy_quote, kline.taker_buy_quote_volume),
        ),
    ]
    .into_iter()
    .filter_map(|(column, agrees)| (!agrees).then_some(column))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn minute(at: i64) -> Minute {
        Minute {
            minute_us: at * MINUTE_US,
            trade_count: 2,
            base_volume: 3.0,
            quote_volume: 30.0,
            taker_buy_qty: 1.0,
            taker_sell_qty: 2.0,
            taker_buy_quote: 10.0,
            taker_sell_quote: 20.0,
            taker_buy_quote_sq: 100.0,
            taker_sell_quote_sq: 400.0,
            taker_buy_trade_count: 1,
            taker_sell_trade_count: 1,
            whale_buy_quote: 0.0,
            whale_sell_quote: 0.0,
            retail_buy_quote: 10.0,
            retail_sell_quote: 20.0,
            first_ts_us: at * MINUTE_US,
            price_first: 9.0,
            last_ts_us: at * MINUTE_US + 5,
            price_last: 10.0,
            price_high: 11.0,
            price_low: 8.0,
            raw_trade_count: 5,
        }
    }

    fn kline(at: i64) -> Kline {
        Kline {
            open_time_us: at * MINUTE_US,
            open: 9.0,
            high: 11.0,
            low: 8.0,
            close: 10.0,
            volume: 3.0,
            close_time_us: (at + 1) * MINUTE_US - 1000,
            quote_volume: 30.000_000_1,
            trades: 5,
            taker_buy_volume: 1.0,
            taker_buy_quote_volume: 10.0,
        }
    }

    fn btc() -> Symbol {
        Symbol::exact("BTCUSDT").unwrap()
    }

    #[test]
    fn what_differs_is_named_and_rounding_does_not_count() {
        let minutes = [minute(1), minute(2), minute(4)];
        let quiet = Kline {
            volume: 0.0,
            trades: 0,
            ..kline(3)
        };
        let odd = Kline {
            close: 10.5,
            trades: 6,
            ..kline(2)
        };
        let agreement = compare_minutes(
            Market::Um,
            &btc(),
            &minutes,
            &[kline(1), odd, quiet, kline(5)],
        );
        assert_eq!((agreement.compared, agreement.without_kline), (3, 1));
        let differing: Vec<_> = agreement.differing.iter().collect();
        let (second, fifth) = (2 * MINUTE_US, 5 * MINUTE_US);
        assert_eq!(
            differing,
            [
                (&second, &vec!["close", "trades"]),
                (&fifth, &vec!["trades"])
            ]
        );
        assert_eq!(
            agreement.words("minutes are not what the exchange's klines say"),
            "2 of 3 minutes are not what the exchange's klines say; 1970-01-01T00:02:00Z close, trades; \
             1970-01-01T00:05:00Z trades"
        );
    }

    #[test]
    fn contracts_are_compared_as_contracts() {
        let coin = Kline {
            volume: 0.3,
            quote_volume: 3.0,
            taker_buy_volume: 0.1,
            taker_buy_quote_volume: 1.0,
            ..kline(1)
        };
        let symbol = Symbol::exact("BTCUSD_PERP").unwrap();
        let agreement = compare_minutes(Market::Cm, &symbol, &[minute(1)], &[coin]);
        assert_eq!(agreement.differing.len(), 0);
    }
}
