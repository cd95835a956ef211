//! What no candle can be.

use tapemill_market::{Bars, Data, Kline};

/// Candles that cannot be, counted by what is wrong with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OddBars {
    counts: Vec<(&'static str, u64)>,
}

impl OddBars {
    /// Looks at one candle. A premium may be below zero.
    pub fn look(&mut self, data: Data, bar: &Kline) {
        let (highest, lowest) = (bar.open.max(bar.close), bar.open.min(bar.close));
        let may_be_negative = matches!(data, Data::Klines(Bars::PremiumIndex, _));
        let prices = [bar.open, bar.high, bar.low, bar.close];
        let volumes = [
            bar.volume,
            bar.quote_volume,
            bar.taker_buy_volume,
            bar.taker_buy_quote_volume,
        ];
        for (what, is_so) in [
            ("high below low", bar.high < bar.low),
            (
                "open or close above high",
                bar.high < highest && bar.high >= bar.low,
            ),
            (
                "open or close below low",
                bar.low > lowest && bar.high >= bar.low,
            ),
            (
                "price not above zero",
                !may_be_negative && prices.iter().any(|price| *price <= 0.0),
            ),
            (
                "negative volume or count",
                bar.trades < 0 || volumes.iter().any(|volume| *volume < 0.0),
            ),
            (
                "taker buys above the volume",
                bar.taker_buy_volume > bar.volume,
            ),
            (
                "closes before it opens",
                bar.close_time_us < bar.open_time_us,
            ),
            (
                "not a number",
                prices
                    .iter()
                    .chain(&volumes)
                    .any(|value| !value.is_finite()),
            ),
        ] {
            if is_so {
                self.count(what);
            }
        }
    }

    fn count(&mut self, what: &'static str) {
        match self.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((what, 1)),
        }
    }

    /// In words; `None` when every candle can be.
    pub fn words(&self) -> Option<String> {
        let counts = self.counts.iter();
        let words: Vec<_> = counts
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar() -> Kline {
        Kline {
            open_time_us: 0,
            open: 2.0,
            high: 3.0,
            low: 1.0,
            close: 2.5,
            volume: 4.0,
            close_time_us: 59_999_000,
            quote_volume: 9.0,
            trades: 2,
            taker_buy_volume: 4.0,
            taker_buy_quote_volume: 9.0,
        }
    }

    #[track_caller]
    fn words(data: &str, bar: Kline) -> String {
        let mut odd = OddBars::default();
        odd.look(data.parse().unwrap(), &bar);
        odd.words().unwrap_or_default()
    }

    #[test]
    fn each_rule_has_its_words() {
        let trades = |bar| words("klines:1m", bar);
        assert_eq!(trades(bar()), "");
        assert_eq!(trades(Kline { high: 0.5, ..bar() }), "high below low: 1");
        assert_eq!(
            trades(Kline { high: 2.2, ..bar() }),
            "open or close above high: 1"
        );
        assert_eq!(
            trades(Kline { low: 2.2, ..bar() }),
            "open or close below low: 1"
        );
        assert_eq!(
            trades(Kline { low: 0.0, ..bar() }),
            "price not above zero: 1"
        );
        assert_eq!(
            trades(Kline {
                quote_volume: -1.0,
                ..bar()
            }),
            "negative volume or count: 1"
        );
        assert_eq!(
            trades(Kline {
                taker_buy_volume: 4.5,
                ..bar()
            }),
            "taker buys above the volume: 1"
        );
        assert_eq!(
            trades(Kline {
                close_time_us: -1,
                ..bar()
            }),
            "closes before it opens: 1"
        );
        assert_eq!(
            trades(Kline {
                open: f64::NAN,
                ..bar()
            }),
            "not a number: 1"
        );
    }

    #[test]
    fn a_premium_may_be_negative() {
        let below = Kline {
            open: -2.0,
            high: -1.0,
            low: -3.0,
            close: -2.0,
            ..bar()
        };
        assert_eq!(words("premiumIndexKlines:1h", below), "");
        assert_eq!(
            words("markPriceKlines:1h", below),
            "price not above zero: 1"
        );
    }
}
