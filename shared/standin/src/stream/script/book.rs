//! The book behind a made-up tape.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::Market;

/// Levels of a side at the start.
const DEEP: i64 = 400;

/// Prices in ticks, quantities in the market's smallest unit.
#[derive(Debug)]
pub(super) struct TrueBook {
    pub bids: BTreeMap<i64, i64>,
    pub asks: BTreeMap<i64, i64>,
    /// Between the best bid, below it, and the best ask, at or above it.
    middle: i64,
    pub last_id: u64,
    events: u32,
    is_spot: bool,
}

/// What one depth event says.
#[derive(Debug)]
pub(super) struct Moved {
    pub first_id: u64,
    pub last_id: u64,
    pub previous_id: u64,
    pub bids: BTreeMap<i64, i64>,
    pub asks: BTreeMap<i64, i64>,
}

impl TrueBook {
    pub(super) fn new(market: Market, random: &mut Xoshiro256PlusPlus) -> Self {
        let middle = random.random_range(500_000..600_000);
        let mut quantity = |_| random.random_range(1..20_000_i64);
        let bids = (1..=DEEP).map(|down| (middle - down, quantity(down)));
        let bids = bids.collect();
        let asks = (0..DEEP).map(|up| (middle + up, quantity(up))).collect();
        Self {
            bids,
            asks,
            middle,
            last_id: random.random_range(5_000_000_000_000..6_000_000_000_000),
            events: 0,
            is_spot: market == Market::Spot,
        }
    }

    pub(super) fn middle(&self) -> i64 {
        self.middle
    }

    pub(super) fn events(&self) -> u32 {
        self.events
    }

    /// The price at which a taker finds the other side: the best bid where the buyer was there first.
    pub(super) fn best(&self, is_bid: bool) -> i64 {
        let found = match is_bid {
            true => self.bids.last_key_value(),
            false => self.asks.first_key_value(),
        };
        found.map_or(self.middle, |(price, _)| *price)
    }

    /// Moves on by one depth event.
    pub(super) fn step(&mut self, random: &mut Xoshiro256PlusPlus, changes: u32) -> Moved {
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        self.middle += random.random_range(-2..=2_i64);
        // What the middle ran over is gone.
        let crossed: Vec<i64> = self.bids.range(self.middle..).map(|(at, _)| *at).collect();
        for price in crossed {
            set(&mut self.bids, &mut bids, price, 0);
        }
        let crossed: Vec<i64> = self.asks.range(..self.middle).map(|(at, _)| *at).collect();
        for price in crossed {
            set(&mut self.asks, &mut asks, price, 0);
        }
        for _ in 0..random.random_range(0..=changes * 2) {
            let away = random.random_range(1..60_i64);
            // A third of them go, also where there is nothing to go: that is normal.
            let quantity = match random.random_range(0..3) {
                0 => 0,
                _ => random.random_range(1..20_000),
            };
            match random.random_bool(0.5) {
                true => set(&mut self.bids, &mut bids, self.middle - away, quantity),
                false => set(&mut self.asks, &mut asks, self.middle + away - 1, quantity),
            }
        }
        // Neither side is ever empty at its best prices.
        for (side, said, price) in [
            (&mut self.bids, &mut bids, self.middle - 1),
            (&mut self.asks, &mut asks, self.middle),
        ] {
            if !side.contains_key(&price) {
                set(side, said, price, random.random_range(1..20_000));
            }
        }
        let previous_id = self.last_id;
        // The ids of the futures are those of all symbols together, so they skip.
        let skipped = if self.is_spot {
            0
        } else {
            random.random_range(0..500)
        };
        let first_id = previous_id + 1 + skipped;
        self.last_id = first_id + random.random_range(0..300);
        self.events += 1;
        Moved {
            first_id,
            last_id: self.last_id,
            previous_id,
            bids,
            asks,
        }
    }
}

fn set(side: &mut BTreeMap<i64, i64>, said: &mut BTreeMap<i64, i64>, price: i64, quantity: i64) {
    match quantity {
        0 => side.remove(&price),
        _ => side.insert(price, quantity),
    };
    said.insert(price, quantity);
}
