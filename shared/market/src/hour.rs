//! Minutes → hours: the order-flow factors, a function of the minutes' `f64`s alone.

use crate::exact;
use crate::minute::Minute;

/// One hour that holds at least one minute: a row of `factors_1h`.
///
/// Sums are the exact sum of the minutes' values, rounded once; what is derived from them follows in plain `f64`.
/// `None` where a denominator is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/datasets.md"
)]
pub struct Hour {
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

const HOUR_US: i64 = 3_600_000_000;
const MINUTE_US: i64 = 60_000_000;

/// Folds ascending minutes into hours.
pub fn hours(minutes: &[Minute]) -> Vec<Hour> {
    minutes
        .chunk_by(|a, b| hour_of(a) == hour_of(b))
        .map(|minutes| hour(hour_of(&minutes[0]), minutes))
        .collect()
}

fn hour_of(minute: &Minute) -> i64 {
    minute.minute_us - minute.minute_us.rem_euclid(HOUR_US)
}

fn hour(start_us: i64, minutes: &[Minute]) -> Hour {
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
    Hour {
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
        tw_cvd_quote_norm: time_weighted_cvd(start_us, minutes),
        price_change,
        cvd_per_abs_price_change: ratio(cvd_quote, price_change.abs()),
    }
}

/// Generic over the field, so that each sum is a loop without calls.
fn sum(minutes: &[Minute], field: impl Fn(&Minute) -> f64 + Copy) -> f64 {
    exact::sum(minutes.iter().map(field))
}

/// Σ (m + 1)(buy − sell) over the minutes present, m the minute of the hour, over 1 + … + 60.
fn time_weighted_cvd(start_us: i64, minutes: &[Minute]) -> f64 {
    let weighted = minutes.iter().map(|minute| {
        let weight = (minute.minute_us - start_us) / MINUTE_US + 1;
        weight as f64 * (minute.taker_buy_quote - minute.taker_sell_quote)
    });
    exact::sum(weighted) / 1830.0
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}
