//! Bars: drawn at random, or folded from trades so that both archives agree.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::agg_trades::AggTradesSpec;
use super::klines::KlinesSpec;
use super::marks::Marks;
use super::tape::Trade;
use crate::{Interval, Period};

/// One kline. Prices and volumes are whole numbers of 10^-decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) open_us: i64,
    pub(crate) close_us: i64,
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) volume: i128,
    pub(crate) quote: i128,
    pub(crate) count: u64,
    pub(crate) buy_volume: i128,
    pub(crate) buy_quote: i128,
    pub(crate) ignore: i128,
    pub(crate) decimals: BarDecimals,
}

/// Digits after the point of a bar's prices, volumes and quote volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BarDecimals {
    pub(crate) price: u8,
    pub(crate) volume: u8,
    pub(crate) quote: u8,
}

impl Bar {
    /// A bar in which nothing traded: every price is `price`.
    fn still(open_us: i64, close_us: i64, price: i64, decimals: BarDecimals) -> Self {
        Self {
            open_us,
            close_us,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            quote: 0,
            count: 0,
            buy_volume: 0,
            buy_quote: 0,
            ignore: 0,
            decimals,
        }
    }
}

/// Folds trades, in the order of their ids, into the minutes of their period.
pub(crate) struct BarFold {
    period: Period,
    tick_us: i64,
    decimals: BarDecimals,
    contract_size: Option<u64>,
    /// One per minute; a bar with count 0 has no price yet.
    bars: Vec<Bar>,
    start_price: i64,
}

impl BarFold {
    pub(crate) fn new(spec: &AggTradesSpec) -> Self {
        let contract_size = spec.market.contract_size(&spec.symbol);
        let decimals = BarDecimals {
            price: spec.decimals.price,
            volume: spec.decimals.quantity,
            quote: match contract_size {
                Some(_) => 8,
                None => spec.decimals.price + spec.decimals.quantity,
            },
        };
        let tick_us = spec.style.time_unit.tick_us(true);
        let bars = Interval::MINUTE
            .opens(spec.period)
            .map(|open| {
                let end = Interval::MINUTE.end_of(open, spec.period);
                Bar::still(open, end - tick_us, 0, decimals)
            })
            .collect();
        let start = spec.start_price * 10f64.powi(i32::from(spec.decimals.price));
        Self {
            period: spec.period,
            tick_us,
            decimals,
            contract_size,
            bars,
            start_price: start.round() as i64,
        }
    }

    /// Adds a trade inside the period.
    pub(crate) fn add(&mut self, trade: &Trade) {
        let minute = (trade.time_us - self.period.start_us()) / 60_000_000;
        let Some(bar) = usize::try_from(minute)
            .ok()
            .and_then(|at| self.bars.get_mut(at))
        else {
            return;
        };
        let (price, quantity) = (i128::from(trade.price), i128::from(trade.quantity));
        let quote = match self.contract_size {
            // COIN-M bars hold the base amount where others hold the quote: contracts × size / price, to 8 decimals.
            Some(size) => {
                let scale = 10i128.pow(8 + u32::from(self.decimals.price));
                let unit = 10i128.pow(u32::from(self.decimals.volume));
                half_even(quantity * i128::from(size) * scale, price * unit)
            }
            None => price * quantity,
        };
        if bar.count == 0 {
            (bar.open, bar.high, bar.low) = (trade.price, trade.price, trade.price);
        }
        bar.high = bar.high.max(trade.price);
        bar.low = bar.low.min(trade.price);
        bar.close = trade.price;
        bar.volume += quantity;
        bar.quote += quote;
        bar.count += trade.last_trade_id - trade.first_trade_id + 1;
        if !trade.is_buyer_maker {
            bar.buy_volume += quantity;
            bar.buy_quote += quote;
        }
    }

    /// Every minute of the period; one without a trade repeats the close before it.
    pub(crate) fn finish(self) -> Vec<Bar> {
        let mut price = self.start_price;
        let mut bars = self.bars;
        for bar in &mut bars {
            if bar.count == 0 {
                let end_us = bar.close_us + self.tick_us;
                *bar = Bar::still(bar.open_us, end_us - self.tick_us, price, self.decimals);
            }
            price = bar.close;
        }
        bars
    }
}

/// `numerator / denominator` to the nearest whole number, ties to even. Both positive.
fn half_even(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}

/// The distinct bars of a klines spec by open time.
pub(crate) struct BarWalk<'a> {
    spec: &'a KlinesSpec,
    opens: Box<dyn Iterator<Item = i64> + 'a>,
    rng: Xoshiro256PlusPlus,
    gaps: Marks,
    still: Marks,
    off_grid: Marks,
    backward: Marks,
    row: u64,
    price: i64,
}

impl<'a> BarWalk<'a> {
    pub(crate) fn new(spec: &'a KlinesSpec) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(spec.seed ^ 0x6b6c_696e);
        let slots = spec.slots();
        let mut choose = |count| Marks::choose(&mut rng, count, 0, slots);
        let (gaps, still) = (choose(spec.gaps), choose(spec.zero_trade_bars));
        let (off_grid, backward) = (choose(spec.off_grid), choose(spec.backward_closes));
        let price = spec.start_price * 10f64.powi(i32::from(spec.decimals.price));
        Self {
            spec,
            opens: Box::new(spec.interval.opens(spec.period)),
            rng: Xoshiro256PlusPlus::seed_from_u64(spec.seed),
            gaps,
            still,
            off_grid,
            backward,
            row: 0,
            price: (price.round() as i64).max(1),
        }
    }

    fn bar(&mut self, mut open_us: i64) -> Bar {
        let spec = self.spec;
        let end_us = spec.interval.end_of(open_us, spec.period);
        let tick_us = spec.style.time_unit.tick_us(true);
        if self.off_grid.hit(self.row) {
            // As after the outage of 2018-02: late by some 47 % of the interval, on a millisecond.
            open_us += (end_us - open_us) / 1_000 * 47 / 100 * 1_000 + 1_000;
        }
        let decimals = spec.bar_decimals();
        let mut bar = Bar::still(open_us, end_us - tick_us, self.price, decimals);
        if self.backward.hit(self.row) {
            bar.close_us = open_us - tick_us;
        }
        if !self.still.hit(self.row) {
            self.trade(&mut bar);
        }
        if spec.ignore_filled {
            bar.ignore = i128::from(self.rng.random_range(1..100_000_000i64));
        }
        self.price = bar.close;
        bar
    }

    fn trade(&mut self, bar: &mut Bar) {
        let reach = (self.price / 500).max(1);
        let low = (self.price - reach).max(1);
        let mut prices = [0i64; 3];
        prices.fill_with(|| self.rng.random_range(low..=self.price + reach));
        bar.close = prices[0];
        bar.high = prices.into_iter().max().unwrap_or(bar.open).max(bar.open);
        bar.low = prices.into_iter().min().unwrap_or(bar.open).min(bar.open);
        bar.count = self.rng.random_range(1..2_000);
        bar.volume = i128::from(self.rng.random_range(1..1_000_000i64)) * i128::from(bar.count);
        bar.buy_volume = bar.volume * self.rng.random_range(0..=100) / 100;
        let scale = self.spec.quote_per_volume(prices[1]);
        bar.quote = bar.volume * scale.0 / scale.1;
        bar.buy_quote = bar.buy_volume * scale.0 / scale.1;
    }
}

impl Iterator for BarWalk<'_> {
    type Item = Bar;

    fn next(&mut self) -> Option<Bar> {
        loop {
            let open_us = self.opens.next()?;
            let missing = self.gaps.hit(self.row);
            let bar = self.bar(open_us);
            self.row += 1;
            if !missing {
                return Some(bar);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour() {
        let rounded = [1, 3, 5, 7, 8].map(|numerator| half_even(numerator, 2));

        assert_eq!(rounded, [0, 2, 2, 4, 4]);
    }
}
