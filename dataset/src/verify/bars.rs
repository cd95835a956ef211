//! What no candle, minute or event can be, and what few are.

use tapemill_market::{Bars, Data, Kline, Minute};

use super::limits::Limits;

/// Bars of which the mean volume is taken.
const WINDOW: usize = 24;

/// A volume is compared with those before it in bars of this length and longer: single minutes may be of anything.
const SPIKES_FROM_US: i64 = 3_600_000_000;

/// Rows that cannot be, or are out of the ordinary, counted by what is odd about them.
#[derive(Debug, Clone)]
pub(super) struct OddRows {
    limits: Limits,
    now_us: i64,
    counts: Vec<(&'static str, u64)>,
    last_close: Option<f64>,
    /// The volumes of the last bars, and where the next goes.
    volumes: Vec<f64>,
    next: usize,
}

impl OddRows {
    pub fn new(limits: Limits, now_us: i64) -> Self {
        Self {
            limits,
            now_us,
            counts: Vec::new(),
            last_close: None,
            volumes: Vec::new(),
            next: 0,
        }
    }

    /// Looks at one minute of trades.
    pub fn minute(&mut self, minute: &Minute) {
        let prices = [
            minute.price_first,
            minute.price_last,
            minute.price_high,
            minute.price_low,
        ];
        let sums = [
            minute.base_volume,
            minute.quote_volume,
            minute.taker_buy_quote,
            minute.taker_sell_quote,
        ];
        self.time(minute.minute_us);
        self.count_if(
            "price not above zero",
            prices.iter().any(|price| *price <= 0.0),
        );
        self.count_if(
            "negative volume or count",
            sums.iter().any(|sum| *sum < 0.0),
        );
        self.close(minute.price_last);
    }

    /// Looks at a rate of funding.
    pub fn funding(&mut self, rate: f64) {
        self.count_if(
            "funding rate out of the ordinary",
            rate.abs() > self.limits.funding_rate,
        );
    }

    /// Looks at a price of an event.
    pub fn price(&mut self, price: f64) {
        self.count_if("price not above zero", price <= 0.0);
    }

    /// Looks at a quantity of an event.
    pub fn quantity(&mut self, quantity: f64) {
        self.count_if("negative volume or count", quantity < 0.0);
    }

    /// Looks at the time of a row.
    pub fn time(&mut self, time_us: i64) {
        self.count_if("time in the future", time_us > self.now_us);
    }

    /// Looks at one candle. A premium may be below zero, and changes by any part.
    pub fn bar(&mut self, data: Data, bar: &Kline) {
        self.time(bar.open_time_us);
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
            self.count_if(what, is_so);
        }
        if !may_be_negative {
            self.close(bar.close);
        }
        if let Data::Klines(Bars::Trade, interval) = data
            && interval
                .length_us()
                .is_none_or(|length| length >= SPIKES_FROM_US)
        {
            self.volume(bar.volume);
        }
    }

    fn close(&mut self, close: f64) {
        if let Some(last) = self.last_close.replace(close) {
            let change = (close / last - 1.0).abs();
            self.count_if(
                "price out of the ordinary",
                last > 0.0 && change > self.limits.price_change,
            );
        }
    }

    fn volume(&mut self, volume: f64) {
        if self.volumes.len() < WINDOW {
            self.volumes.push(volume);
            return;
        }
        let mean = self.volumes.iter().sum::<f64>() / WINDOW as f64;
        let spike = mean > 0.0 && volume > self.limits.volume_spike * mean;
        self.count_if("volume out of the ordinary", spike);
        self.volumes[self.next] = volume;
        self.next = (self.next + 1) % WINDOW;
    }

    fn count_if(&mut self, what: &'static str, is_so: bool) {
        if !is_so {
            return;
        }
        match self.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((what, 1)),
        }
    }

    /// In words; `None` where nothing is odd.
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

    fn odd() -> OddRows {
        OddRows::new(Limits::default(), 1_000)
    }

    #[track_caller]
    fn words(data: &str, bars: impl IntoIterator<Item = Kline>) -> String {
        let mut odd = odd();
        let data = data.parse().unwrap();
        bars.into_iter().for_each(|bar| odd.bar(data, &bar));
        odd.words().unwrap_or_default()
    }

    #[test]
    fn each_rule_has_its_words() {
        let trades = |bar| words("klines:1m", [bar]);
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
        assert_eq!(
            trades(Kline {
                open_time_us: 1_001,
                ..bar()
            }),
            "time in the future: 1"
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
        let far = Kline {
            close: -1.0,
            ..below
        };
        assert_eq!(words("premiumIndexKlines:1h", [below, far]), "");
        assert_eq!(
            words("markPriceKlines:1h", [below]),
            "price not above zero: 1"
        );
    }

    #[test]
    fn a_jump_of_the_close_and_a_spike_of_the_volume_are_told() {
        let high = Kline {
            high: 5.0,
            close: 4.0,
            ..bar()
        };
        assert_eq!(
            words("klines:1m", [bar(), high]),
            "price out of the ordinary: 1"
        );
        let spike = Kline {
            volume: 401.0,
            ..bar()
        };
        let bars = |interval: &str| {
            words(
                interval,
                std::iter::repeat_n(bar(), 24).chain([spike, bar()]),
            )
        };
        assert_eq!(bars("klines:1h"), "volume out of the ordinary: 1");
        assert_eq!(bars("klines:1m"), "");
    }

    #[test]
    fn events_have_rules_too() {
        let mut odd = odd();
        odd.price(0.0);
        odd.quantity(-1.0);
        odd.funding(-0.011);
        odd.funding(0.01);
        assert_eq!(
            odd.words().as_deref(),
            Some(
                "price not above zero: 1, negative volume or count: 1, funding rate out of the ordinary: 1"
            )
        );
    }
}
