//! Bars of an interval from finer ones.

use tapemill_market::{ExactSum, Interval};

use super::bar::{
    AMOUNT, Bar, CLOSE, HIGH, LOW, OPEN, TAKER_BUY_AMOUNT, TAKER_BUY_VOLUME, TRADES, VOLUME,
};

/// A bar made of finer ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Folded {
    /// The bar.
    pub bar: Bar,
    /// Some of the finer bars that it has room for are not there.
    pub is_partial: bool,
}

/// Folds ascending bars of `finer` into those of `interval`, aligned in UTC (weeks on Monday, months by the calendar).
///
/// Open of the first, close of the last, extremes, and exact sums rounded once, each of the values that are there. What has
/// no value at all is left out: a bar in which nobody knows what happened is no bar.
pub fn fold(bars: &[Bar], finer: Interval, interval: Interval) -> Vec<Folded> {
    let open_of = |bar: &Bar| interval.open_of(bar.open_us);
    let groups = bars.chunk_by(|a, b| open_of(a) == open_of(b));
    let folded = groups.map(|bars| one(open_of(&bars[0]), bars, finer, interval));
    folded.filter(|folded| !folded.bar.is_empty()).collect()
}

fn one(open_us: i64, bars: &[Bar], finer: Interval, interval: Interval) -> Folded {
    let known = |field: usize| {
        let cells = bars.iter().map(move |bar| bar.cells[field]);
        cells.filter(|cell| !cell.is_nan())
    };
    let mut bar = Bar::empty(open_us);
    let extremes = [
        (OPEN, known(OPEN).next()),
        (HIGH, known(HIGH).reduce(f64::max)),
        (LOW, known(LOW).reduce(f64::min)),
        (CLOSE, known(CLOSE).next_back()),
    ];
    for (field, value) in extremes {
        bar.cells[field] = value.unwrap_or(f64::NAN);
    }
    for field in [VOLUME, AMOUNT, TRADES, TAKER_BUY_VOLUME, TAKER_BUY_AMOUNT] {
        let mut cells = known(field).peekable();
        if cells.peek().is_some() {
            bar.cells[field] = cells.collect::<ExactSum>().value();
        }
    }
    let there = bars
        .iter()
        .filter(|bar| finer.is_on_grid(bar.open_us) && !bar.is_empty())
        .count();
    let room = finer.length_us().map_or(1, |length| {
        (interval.next(open_us) - open_us) / length.max(1)
    });
    Folded {
        bar: bar.with_vwap(),
        is_partial: (there as i64) < room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapemill_market::{Kline, Market, Symbol, fold_klines};

    const MINUTE_US: i64 = 60_000_000;

    fn minutes(range: std::ops::Range<i64>) -> Vec<Kline> {
        let minute = |at: i64| Kline {
            open_time_us: at * MINUTE_US,
            open: 100.0 + (at % 7) as f64 * 0.1,
            high: 101.0 + (at % 11) as f64 * 0.1,
            low: 99.0 - (at % 5) as f64 * 0.1,
            close: 100.0 + (at % 3) as f64 * 0.1,
            volume: 0.1 * (at % 13) as f64,
            close_time_us: (at + 1) * MINUTE_US - 1000,
            quote_volume: 10.01 * (at % 13) as f64,
            trades: at % 13,
            taker_buy_volume: 0.03 * (at % 13) as f64,
            taker_buy_quote_volume: 3.01 * (at % 13) as f64,
        };
        range.map(minute).collect()
    }

    fn bars(klines: &[Kline]) -> Vec<Bar> {
        let symbol = Symbol::exact("BTCUSDT").unwrap();
        let bars = klines
            .iter()
            .map(|kline| Bar::of(kline, Market::Um, &symbol));
        bars.collect()
    }

    fn texts(bars: impl IntoIterator<Item = Bar>) -> Vec<String> {
        // NaN is not equal to itself.
        bars.into_iter().map(|bar| format!("{bar:?}")).collect()
    }

    #[test]
    fn whole_minutes_fold_as_the_tables_of_hours_do() {
        for interval in ["1h", "4h", "1d", "1w", "1mo"] {
            let interval: Interval = interval.parse().unwrap();
            let klines = minutes(28_400_000..28_400_000 + 5000);

            let folded = fold(&bars(&klines), Interval::MINUTE, interval);

            let expected = bars(&fold_klines(&klines, interval));
            assert_eq!(
                texts(folded.iter().map(|folded| folded.bar)),
                texts(expected)
            );
        }
    }

    #[test]
    fn an_hour_with_fewer_minutes_is_partial_and_one_without_is_none() {
        let mut known = bars(&minutes(0..179));
        known.retain(|bar| !(60..120).contains(&(bar.open_us / MINUTE_US)));
        known.insert(60, Bar::empty(60 * MINUTE_US));

        let folded = fold(&known, Interval::MINUTE, Interval::HOUR);

        let seen: Vec<_> = folded
            .iter()
            .map(|folded| (folded.bar.open_us / MINUTE_US, folded.is_partial))
            .collect();
        assert_eq!(seen, [(0, false), (120, true)]);
    }

    #[test]
    fn values_that_are_not_there_do_not_spoil_those_that_are() {
        let mut two = bars(&minutes(1..3));
        two[0].cells[OPEN] = f64::NAN;
        two[1].cells[VOLUME] = f64::NAN;

        let bar = fold(&two, Interval::MINUTE, Interval::HOUR)[0].bar;

        assert_eq!(bar.cells[OPEN], two[1].cells[OPEN]);
        assert_eq!(bar.cells[VOLUME], two[0].cells[VOLUME]);
    }
}
