//! Minutes → the order-flow factors of hours, or of bars of any interval: a function of the minutes' `f64`s alone.

use crate::exact;
use crate::interval::Interval;
use crate::minute::Minute;

/// The order-flow factors of one bar that holds at least one minute: a row of `factors_1h`.
///
/// Sums are the exact sum of the minutes' values, rounded once; what is derived from them follows in plain `f64`.
/// `None` where a denominator is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/datasets.md"
)]
pub struct Factors {
    pub minute_us: i64,
    pub trade_count: i64,
    pub base_volume: f64,
    pub quote_volume: f64,
    pub taker_buy_qty: f64,
    pub taker_sell_qty: f64,
    pub taker_buy_quote: f64,
    pub taker_sell_quote: f64,
    pub taker_buy_quote_sq: f64,
    pub taker_sell_quote_sq: f64,
    pub taker_buy_trade_count: i64,
    pub taker_sell_trade_count: i64,
    pub whale_buy_quote: f64,
    pub whale_sell_quote: f64,
    pub retail_buy_quote: f64,
    pub retail_sell_quote: f64,
    pub price_open: f64,
    pub price_close: f64,
    pub price_high: f64,
    pub price_low: f64,
    pub cvd_qty: f64,
    pub cvd_quote: f64,
    pub vwap: Option<f64>,
    pub whale_cvd_quote: f64,
    pub retail_cvd_quote: f64,
    pub avg_trade_quote: Option<f64>,
    pub avg_trade_base: Option<f64>,
    pub taker_buy_avg_trade_quote: Option<f64>,
    pub taker_sell_avg_trade_quote: Option<f64>,
    pub taker_buy_hhi_quote: Option<f64>,
    pub taker_sell_hhi_quote: Option<f64>,
    pub imbalance_ratio_quote: Option<f64>,
    pub tw_cvd_quote_norm: f64,
    pub price_change: f64,
    pub cvd_per_abs_price_change: Option<f64>,
}

const MINUTE_US: i64 = 60_000_000;

/// Folds ascending minutes into bars of an interval that is made of whole minutes.
pub fn factors(minutes: &[Minute], interval: Interval) -> Vec<Factors> {
    let open_of = |minute: &Minute| interval.open_of(minute.minute_us);
    minutes
        .chunk_by(|a, b| open_of(a) == open_of(b))
        .map(|minutes| bar(open_of(&minutes[0]), interval, minutes))
        .collect()
}

fn bar(start_us: i64, interval: Interval, minutes: &[Minute]) -> Factors {
    let count = |field: fn(&Minute) -> i64| minutes.iter().map(field).sum::<i64>();
    let (first, last) = (&minutes[0], &minutes[minutes.len() - 1]);

    let trade_count = count(|m| m.trade_count);
    let base_volume = sum(minutes, |m| m.base_volume);
    let quote_volume = sum(minutes, |m| m.quote_volume);
    let taker_buy_qty = sum(minutes, |m| m.taker_buy_qty);
    let taker_sell_qty = sum(minutes, |m| m.taker_sell_qty);
    let taker_buy_quote = sum(minutes, |m| m.taker_buy_quote);
    let taker_sell_quote = sum(minutes, |m| m.taker_sell_quote);
    let taker_buy_quote_sq = sum(minutes, |m| m.taker_buy_quote_sq);
    let taker_sell_quote_sq = sum(minutes, |m| m.taker_sell_quote_sq);
    let taker_buy_trade_count = count(|m| m.taker_buy_trade_count);
    let taker_sell_trade_count = count(|m| m.taker_sell_trade_count);
    let whale_buy_quote = sum(minutes, |m| m.whale_buy_quote);
    let whale_sell_quote = sum(minutes, |m| m.whale_sell_quote);
    let retail_buy_quote = sum(minutes, |m| m.retail_buy_quote);
    let retail_sell_quote = sum(minutes, |m| m.retail_sell_quote);

    let cvd_quote = taker_buy_quote - taker_sell_quote;
    let price_change = last.price_last - first.price_first;
    Factors {
        minute_us: start_us,
        trade_count,
        base_volume,
        quote_volume,
        taker_buy_qty,
        taker_sell_qty,
        taker_buy_quote,
        taker_sell_quote,
        taker_buy_quote_sq,
        taker_sell_quote_sq,
        taker_buy_trade_count,
        taker_sell_trade_count,
        whale_buy_quote,
        whale_sell_quote,
        retail_buy_quote,
        retail_sell_quote,
        price_open: first.price_first,
        price_close: last.price_last,
        price_high: minutes
            .iter()
            .map(|m| m.price_high)
            .fold(f64::NEG_INFINITY, f64::max),
        price_low: minutes
            .iter()
            .map(|m| m.price_low)
            .fold(f64::INFINITY, f64::min),
        cvd_qty: taker_buy_qty - taker_sell_qty,
        cvd_quote,
        vwap: ratio(quote_volume, base_volume),
        whale_cvd_quote: whale_buy_quote - whale_sell_quote,
        retail_cvd_quote: retail_buy_quote - retail_sell_quote,
        avg_trade_quote: ratio(quote_volume, trade_count as f64),
        avg_trade_base: ratio(base_volume, trade_count as f64),
        taker_buy_avg_trade_quote: ratio(taker_buy_quote, taker_buy_trade_count as f64),
        taker_sell_avg_trade_quote: ratio(taker_sell_quote, taker_sell_trade_count as f64),
        taker_buy_hhi_quote: ratio(taker_buy_quote_sq, taker_buy_quote * taker_buy_quote),
        taker_sell_hhi_quote: ratio(taker_sell_quote_sq, taker_sell_quote * taker_sell_quote),
        imbalance_ratio_quote: ratio(cvd_quote.abs(), taker_buy_quote + taker_sell_quote),
        tw_cvd_quote_norm: time_weighted_cvd(start_us, interval, minutes),
        price_change,
        cvd_per_abs_price_change: ratio(cvd_quote, price_change.abs()),
    }
}

/// Generic over the field, so that each sum is a loop without calls.
fn sum(minutes: &[Minute], field: impl Fn(&Minute) -> f64 + Copy) -> f64 {
    exact::sum(minutes.iter().map(field))
}

/// Σ (m + 1)(buy − sell) over the minutes present, m the minute of the bar, over 1 + … + the minutes it has room for.
fn time_weighted_cvd(start_us: i64, interval: Interval, minutes: &[Minute]) -> f64 {
    let weighted = minutes.iter().map(|minute| {
        let weight = (minute.minute_us - start_us) / MINUTE_US + 1;
        weight as f64 * (minute.taker_buy_quote - minute.taker_sell_quote)
    });
    let room = (interval.next(start_us) - start_us) / MINUTE_US;
    exact::sum(weighted) / (room * (room + 1) / 2) as f64
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(at: i64, buy: f64, sell: f64) -> Minute {
        Minute {
            minute_us: at * MINUTE_US,
            trade_count: 1,
            taker_buy_quote: buy,
            taker_sell_quote: sell,
            price_first: at as f64,
            price_last: at as f64 + 0.5,
            ..Minute::default()
        }
    }

    #[test]
    fn later_minutes_weigh_more_over_the_room_that_a_bar_has() {
        let minutes = [
            minute(0, 2.0, 1.0),
            minute(119, 4.0, 1.0),
            minute(120, 1.0, 0.0),
        ];

        let bars = factors(&minutes, "2h".parse().unwrap());

        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0].tw_cvd_quote_norm, (1.0 + 120.0 * 3.0) / 7260.0);
        assert_eq!((bars[0].price_open, bars[0].price_close), (0.0, 119.5));
        assert_eq!(bars[1].minute_us, 120 * MINUTE_US);
    }

    #[test]
    fn a_month_has_room_for_the_minutes_of_its_own_days() {
        let february = 1_706_745_600_000_000 / MINUTE_US;
        let bars = factors(&[minute(february, 2.0, 1.0)], "1mo".parse().unwrap());
        let room = 29.0 * 1440.0;
        assert_eq!(bars[0].tw_cvd_quote_norm, 1.0 / (room * (room + 1.0) / 2.0));
    }
}
