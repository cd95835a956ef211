//! One bar of a klines archive and its parser.
//!
//! Source: `binance/binance-public-data` README. Columns: open time, open, high, low, close, volume, close time, quote
//! volume, number of trades, taker buy volume, taker buy quote volume, ignore. For cm the volume is in contracts, and
//! the two quote columns hold base units.

use crate::cells;
use crate::error::CellError;
use crate::exact;
use crate::interval::Interval;

/// The exchange's own candle. Times are UTC microseconds; both ends of a bar are inclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kline {
    /// First microsecond of the bar.
    pub open_time_us: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Base units; contracts for cm.
    pub volume: f64,
    /// Open time + interval − one tick of the archive's time unit; shorter at outages.
    pub close_time_us: i64,
    /// Quote units; base units for cm.
    pub quote_volume: f64,
    /// Number of trades.
    pub trades: i64,
    /// Like `volume`, where the taker bought.
    pub taker_buy_volume: f64,
    /// Like `quote_volume`, where the taker bought.
    pub taker_buy_quote_volume: f64,
}

/// The names each column goes by in headers.
pub(crate) const COLUMNS: &[&[&str]] = &[
    &["open_time"],
    &["open"],
    &["high"],
    &["low"],
    &["close"],
    &["volume"],
    &["close_time"],
    &["quote_volume", "quote_asset_volume"],
    &["count", "trades", "number_of_trades"],
    &["taker_buy_volume", "taker_buy_base_asset_volume"],
    &["taker_buy_quote_volume", "taker_buy_quote_asset_volume"],
    &["ignore"],
];

impl Kline {
    /// Reads a row without its line end.
    pub(crate) fn parse(row: &[u8]) -> Result<Self, CellError> {
        let [
            open_time,
            open,
            high,
            low,
            close,
            volume,
            close_time,
            quote,
            trades,
            taker,
            taker_quote,
            _ignored,
        ] = cells::split::<12>(row)
            .ok_or_else(|| CellError::new("row", row, "a row of 12 columns"))?;
        Ok(Self {
            open_time_us: cells::time_us("open_time", open_time)?,
            open: cells::signed_f64("open", open)?,
            high: cells::signed_f64("high", high)?,
            low: cells::signed_f64("low", low)?,
            close: cells::signed_f64("close", close)?,
            volume: cells::signed_f64("volume", volume)?,
            close_time_us: cells::time_us("close_time", close_time)?,
            quote_volume: cells::signed_f64("quote_volume", quote)?,
            trades: cells::whole("trades", trades)? as i64,
            taker_buy_volume: cells::signed_f64("taker_buy_volume", taker)?,
            taker_buy_quote_volume: cells::signed_f64("taker_buy_quote_volume", taker_quote)?,
        })
    }
}

/// Folds ascending bars into those of an interval that is made of whole ones: hours from minutes are what
/// `klines_1h_from_1m` holds.
///
/// Open of the first, close of the last, extremes, and the exact sums of the bars' values rounded once. A bar's close
/// time is its own end, also where the last of what it is made of are missing.
pub fn fold_klines(bars: &[Kline], interval: Interval) -> Vec<Kline> {
    let open_of = |bar: &Kline| interval.open_of(bar.open_time_us);
    bars.chunk_by(|a, b| open_of(a) == open_of(b))
        .map(|bars| fold(open_of(&bars[0]), interval, bars))
        .collect()
}

/// Generic over the field, so that each sum is a loop without calls.
fn sum(bars: &[Kline], field: impl Fn(&Kline) -> f64 + Copy) -> f64 {
    exact::sum(bars.iter().map(field))
}

fn fold(start_us: i64, interval: Interval, bars: &[Kline]) -> Kline {
    let (first, last) = (&bars[0], &bars[bars.len() - 1]);
    let tick_us = if first.close_time_us % 1000 == 0 {
        1000
    } else {
        1
    };
    Kline {
        open_time_us: start_us,
        open: first.open,
        high: bars
            .iter()
            .map(|bar| bar.high)
            .fold(f64::NEG_INFINITY, f64::max),
        low: bars.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min),
        close: last.close,
        volume: sum(bars, |bar| bar.volume),
        close_time_us: interval.next(start_us) - tick_us,
        quote_volume: sum(bars, |bar| bar.quote_volume),
        trades: bars.iter().map(|bar| bar.trades).sum(),
        taker_buy_volume: sum(bars, |bar| bar.taker_buy_volume),
        taker_buy_quote_volume: sum(bars, |bar| bar.taker_buy_quote_volume),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_to_the_nearest_floats() {
        let row =
            b"1577836800000,7195.24000000,7196.25000000,7183.14000000,7186.68000000,51.64281200,\
                    1577836859999,371233.51835535,493,19.59823000,140888.41428273,0";
        let bar = Kline::parse(row).unwrap();
        assert_eq!(bar.open_time_us, 1_577_836_800_000_000);
        assert_eq!(bar.close_time_us, 1_577_836_859_999_000);
        assert_eq!(bar.quote_volume, 371_233.518_355_35);
        assert_eq!(bar.trades, 493);
    }

    #[test]
    fn a_bad_cell_is_named() {
        let column = |row: &str| Kline::parse(row.as_bytes()).unwrap_err().column;
        assert_eq!(
            column("1577836800000,1,1,1,1,1,1577836859999,1,1,1,1"),
            "row"
        );
        assert_eq!(
            column("1577836800000,1,x,1,1,1,1577836859999,1,1,1,1,0"),
            "high"
        );
        assert_eq!(
            column("1577836800000,1,1,1,1,1,1577836859999,1,1.5,1,1,0"),
            "trades"
        );
    }

    #[test]
    fn hours_take_their_ends_from_the_first_and_last_minute() {
        let bar = |minute: i64, open: f64, close: f64| Kline {
            open_time_us: minute * 60_000_000,
            open,
            high: open.max(close),
            low: open.min(close),
            close,
            volume: 0.1,
            close_time_us: (minute + 1) * 60_000_000 - 1000,
            quote_volume: 1.0,
            trades: 2,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        };
        let bars: Vec<_> = (50..70)
            .map(|minute| bar(minute, minute as f64, minute as f64 + 0.5))
            .collect();

        let hours = fold_klines(&bars, Interval::HOUR);

        assert_eq!(hours.len(), 2);
        assert_eq!(
            (hours[0].open, hours[0].close, hours[0].high),
            (50.0, 59.5, 59.5)
        );
        assert_eq!(hours[0].volume, 1.0, "ten tenths, rounded once");
        assert_eq!(hours[1].open_time_us, 3_600_000_000);
        assert_eq!(hours[1].close_time_us, 7_200_000_000 - 1000);
        assert_eq!(hours[1].trades, 20);
    }
}
