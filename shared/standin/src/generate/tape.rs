//! An endless-looking, yet finite and repeatable, stream of trades.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::agg_trades::AggTradesSpec;
use super::marks::Marks;
use super::style::Decimals;
use crate::period::DAY_US;

/// How busy each UTC hour is with `sessions`, relative to the others.
const HOUR_WEIGHTS: [f64; 24] = [
    1.2, 1.0, 0.9, 0.7, 0.6, 0.6, 0.7, 0.9, 1.1, 1.1, 1.0, 0.9, 1.2, 1.6, 2.0, 1.9, 1.6, 1.3, 1.1,
    0.9, 0.8, 0.8, 0.9, 1.1,
];
/// Largest number of ids one hole skips.
const LARGEST_HOLE: u64 = 2_000;
const HOUR_US: i64 = 3_600_000_000;

/// One aggregated trade. Prices and quantities are whole numbers of 10^-decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) decimals: Decimals,
    pub(crate) first_trade_id: u64,
    pub(crate) last_trade_id: u64,
    pub(crate) time_us: i64,
    pub(crate) is_buyer_maker: bool,
    pub(crate) is_best_match: bool,
}

/// The distinct trades of a spec by id. Cloning forks it: both copies go on alike.
#[derive(Debug, Clone)]
pub(crate) struct Tape<'a> {
    spec: &'a AggTradesSpec,
    rng: Xoshiro256PlusPlus,
    zeros: Marks,
    holes: Marks,
    row: u64,
    id: u64,
    trade_id: u64,
    time_us: i64,
    price: i64,
    start_price: i64,
    decimals: Decimals,
}

impl<'a> Tape<'a> {
    pub(crate) fn new(spec: &'a AggTradesSpec) -> Self {
        let mut marks_rng = Xoshiro256PlusPlus::seed_from_u64(spec.seed ^ 0x6d61_726b);
        // Rows outside the period stand at the head and the tail; a row has one oddity only.
        let inside = (spec.head_outside(), spec.rows - spec.tail_outside());
        let zeros = Marks::choose(&mut marks_rng, spec.zero_quantities, inside.0, inside.1);
        let holes = Marks::choose(&mut marks_rng, spec.id_gaps, 1, spec.rows);
        let start_price = scaled(spec.start_price, spec.decimals.price);
        Self {
            spec,
            rng: Xoshiro256PlusPlus::seed_from_u64(spec.seed),
            zeros,
            holes,
            row: 0,
            id: spec.first_id,
            trade_id: spec.first_id * 3,
            time_us: spec.period.start_us(),
            price: start_price,
            start_price,
            decimals: spec.decimals,
        }
    }

    /// Price, step and mean move from the first to the second scale at the middle of the file.
    fn change_decimals(&mut self) {
        let Some(later) = self.spec.decimals_later else {
            return;
        };
        if self.row == self.spec.rows / 2 {
            let (from, to) = (self.decimals.price, later.price);
            self.price = rescaled(self.price, from, to).max(1);
            self.start_price = rescaled(self.start_price, from, to).max(1);
            self.decimals = later;
        }
    }

    fn walk_time(&mut self) -> i64 {
        let (start, end) = (self.spec.period.start_us(), self.spec.period.end_us());
        let tick = self
            .spec
            .style
            .time_unit
            .tick_us(self.row >= self.spec.rows / 2);
        let (head, tail) = (self.spec.head_outside(), self.spec.tail_outside());
        if self.row < head {
            return start - (head - self.row) as i64 * 7 * tick;
        }
        if self.row >= self.spec.rows - tail {
            return end + (self.row + tail - self.spec.rows) as i64 * 7 * tick;
        }
        // Every second trade shares its millisecond with the one before.
        if self.rng.random::<f64>() < 0.5 && self.row > head {
            return self.time_us;
        }
        let left_us = (end - self.time_us) as f64;
        let left_rows = (self.spec.rows - tail - self.row) as f64;
        // 4u³ has mean 1 and a long tail, and no function whose last bit depends on the platform.
        let u: f64 = self.rng.random();
        let mut gap_us = 2.0 * left_us / (left_rows + 1.0) * 4.0 * u * u * u;
        if self.spec.sessions {
            let hour = self.time_us.rem_euclid(DAY_US) / HOUR_US;
            gap_us /= HOUR_WEIGHTS[hour as usize];
        }
        let mut time_us = self.time_us + gap_us as i64;
        for outage in &self.spec.outages {
            let from = start + outage.from_minute as i64 * 60_000_000;
            let to = from + outage.minutes as i64 * 60_000_000;
            if (from..to).contains(&time_us) {
                time_us = to;
            }
        }
        self.time_us = time_us.clamp(start, end - tick) / tick * tick;
        self.time_us
    }

    /// Moves the price: a random walk of about 5 % over the file, pulled back beyond 15 %.
    fn walk_price(&mut self) {
        let step = self.price as f64 * 0.08 / (self.spec.rows as f64).sqrt();
        let step = (step as i64).max(1);
        if self.rng.random::<f64>() < 0.6 {
            return;
        }
        let far = self.start_price * 15 / 100;
        let up = match self.price - self.start_price {
            away if away > far => 0.3,
            away if away < -far => 0.7,
            _ => 0.5,
        };
        let size = self.rng.random_range(1..=step);
        let signed = if self.rng.random::<f64>() < up {
            size
        } else {
            -size
        };
        self.price = (self.price + signed).max(1);
    }

    /// A size whose quote is roughly lognormal around 400, from cents to a few hundred thousand.
    fn size(&mut self) -> i64 {
        let bell: f64 = (0..4).map(|_| self.rng.random::<f64>()).sum::<f64>() - 2.0;
        let quote = 400.0 * exp2(bell * 5.0);
        let unit = 10f64.powi(i32::from(self.decimals.quantity));
        let quantity = match self.spec.market.contract_size(&self.spec.symbol) {
            Some(size) => (quote / size as f64).round().max(1.0) * unit,
            None => {
                let price = self.price as f64 / 10f64.powi(i32::from(self.decimals.price));
                (quote / price * unit).round().max(1.0)
            }
        };
        quantity.min(1e15) as i64
    }

    /// Now and then a trade of exactly 50,000 or 1,000 quotes, or one step beside it.
    fn landmark(&mut self) -> Option<(i64, i64)> {
        let target: i128 = match self.row % 97 {
            13..=15 => 50_000,
            53..=55 => 1_000,
            _ => return None,
        };
        let beside = (self.row % 97 % 40) as i64 - 14;
        let quantity_scale = 10i128.pow(u32::from(self.decimals.quantity));
        if let Some(size) = self.spec.market.contract_size(&self.spec.symbol) {
            let contracts = target / i128::from(size) * quantity_scale;
            let quantity = i64::try_from(contracts).ok()?;
            return Some((self.price, quantity + beside * quantity_scale as i64));
        }
        let price = round_price(self.price, self.decimals.price)?;
        let scale = 10i128.pow(u32::from(self.decimals.price)) * quantity_scale;
        let product = target * scale;
        if product % i128::from(price) != 0 {
            return None;
        }
        let quantity = i64::try_from(product / i128::from(price)).ok()? + beside;
        (quantity > 0).then_some((price, quantity))
    }
}

impl Iterator for Tape<'_> {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        if self.row >= self.spec.rows {
            return None;
        }
        self.change_decimals();
        if self.holes.hit(self.row) {
            self.id += self.rng.random_range(1..=LARGEST_HOLE);
        }
        let time_us = self.walk_time();
        self.walk_price();
        let mut price = self.price;
        let mut quantity = self.size();
        if self.spec.landmarks
            && let Some(landmark) = self.landmark()
        {
            (price, quantity) = landmark;
        }
        if self.zeros.hit(self.row) {
            quantity = 0;
        }
        // One trade in four spans several fills; single trade ids are skipped at times.
        let fills = match self.rng.random_range(0..16u32) {
            0..12 => 1,
            12..15 => self.rng.random_range(2..6),
            _ => self.rng.random_range(6..40),
        };
        self.trade_id += u64::from(self.rng.random_range(0..1_000u32) == 0);
        let trade = Trade {
            id: self.id,
            price,
            quantity,
            decimals: self.decimals,
            first_trade_id: self.trade_id,
            last_trade_id: self.trade_id + fills - 1,
            time_us,
            is_buyer_maker: self.rng.random(),
            is_best_match: self.rng.random_range(0..50u32) != 0,
        };
        self.row += 1;
        self.id += 1;
        self.trade_id += fills;
        Some(trade)
    }
}

/// 2^x with the mantissa interpolated: the same bits on every platform.
fn exp2(x: f64) -> f64 {
    let whole = x.floor();
    (1.0 + (x - whole)) * 2f64.powi(whole as i32)
}

fn scaled(value: f64, decimals: u8) -> i64 {
    ((value * 10f64.powi(i32::from(decimals))).round() as i64).max(1)
}

fn rescaled(value: i64, from: u8, to: u8) -> i64 {
    let up = 10i64.pow(u32::from(to.saturating_sub(from)));
    let down = 10i64.pow(u32::from(from.saturating_sub(to)));
    value.saturating_mul(up) / down
}

/// The nearest price that divides round quotes evenly, when it is within 3 %.
fn round_price(price: i64, decimals: u8) -> Option<i64> {
    const LEADS: [i64; 11] = [
        1000, 1250, 1600, 2000, 2500, 3200, 4000, 5000, 6250, 8000, 10_000,
    ];
    let mut unit = 1i64;
    while price / unit >= 10_000 {
        unit *= 10;
    }
    // Below 1,000 units there are too few digits for the table; powers of ten still fit.
    if price < 1_000 {
        let one = 10i64.pow(u32::from(decimals));
        return (price * 97 <= one * 100 && price * 103 >= one * 100).then_some(one);
    }
    LEADS
        .iter()
        .map(|lead| lead * unit)
        .find(|&round| (round - price).abs() <= price / 33)
}
