//! Tapes made up: every kind of message of a market in the fields the exchange documents for it, with a true book, so
//! that what recordings lack can be played too.

mod book;
mod words;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::tape::Tape;
use crate::{Market, StandinError};
use book::TrueBook;
use words::{Bar, Fill, Words};

/// One made-up tape. Equal scripts give equal tapes.
///
/// Of every symbol: `depth@100ms` with a snapshot that a collector would have asked for, `bookTicker` behind each depth
/// event and with its `u`, `trade` and `aggTrade` with consecutive ids, `kline_1m`, and on the futures `markPrice@1s`
/// and `forceOrder`.
#[derive(Debug, Clone)]
pub struct Script {
    /// The market, which decides the fields.
    pub market: Market,
    /// Upper case, as the exchange writes them.
    pub symbols: Vec<String>,
    /// How long it runs.
    pub seconds: u32,
    /// Chooses everything that is random.
    pub seed: u64,
    /// When it begins, in milliseconds since 1970.
    pub start_ms: i64,
    /// How many aggregated trades a symbol has a second, on average. At most 1000.
    pub trades_per_second: u32,
    /// How many levels a depth event changes, on average.
    pub changes: u32,
}

impl Script {
    /// Ten trades a second, eight changes a depth event, from 2026 on.
    pub fn new(market: Market, symbols: &[&str], seconds: u32) -> Self {
        Self {
            market,
            symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
            seconds,
            seed: 1,
            start_ms: 1_775_000_000_000,
            trades_per_second: 10,
            changes: 8,
        }
    }

    /// Makes the tape.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for a market's symbol that has no name.
    pub fn tape(&self) -> Result<Tape, StandinError> {
        let mut lines = Vec::new();
        for (number, symbol) in self.symbols.iter().enumerate() {
            if symbol.is_empty() {
                return Err(StandinError::invalid("symbol", "it has no name"));
            }
            let seed = self
                .seed
                .wrapping_mul(0x9e37_79b9)
                .wrapping_add(number as u64);
            let mut play = Play::new(self, symbol, seed);
            play.run(self);
            lines.extend(play.lines);
        }
        // Stable: what comes at one time stays in the order of the symbols.
        lines.sort_by_key(|(at_ms, _)| *at_ms);
        let mut tape = Tape::new(self.market);
        for (at_ms, line) in lines {
            let at_ns = at_ms * 1_000_000;
            match line {
                Said::Frame(json) => tape.push(at_ns, &json)?,
                Said::Snapshot(symbol, json) => tape.push_snapshot(at_ns, &symbol, &json),
            }
        }
        Ok(tape)
    }
}

enum Said {
    Frame(String),
    Snapshot(String, String),
}

/// One symbol's part.
struct Play {
    random: Xoshiro256PlusPlus,
    words: Words,
    book: TrueBook,
    bar: Bar,
    /// Milliseconds since the start, and what comes then.
    lines: Vec<(i64, Said)>,
    agg_id: u64,
    trade_id: u64,
    /// A snapshot on its way.
    snapshot: Option<String>,
}

impl Play {
    fn new(script: &Script, symbol: &str, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let book = TrueBook::new(script.market, &mut random);
        let words = Words::new(script.market, symbol);
        let bar = Bar::new(script.start_ms, book.middle());
        Self {
            agg_id: random.random_range(1_000_000_000..2_000_000_000),
            trade_id: random.random_range(3_000_000_000..4_000_000_000),
            random,
            words,
            book,
            bar,
            lines: Vec::new(),
            snapshot: None,
        }
    }

    fn run(&mut self, script: &Script) {
        // Symbols do not speak in the same millisecond.
        let phase = self.random.random_range(0..100);
        let chance = f64::from(script.trades_per_second.min(1000)) / 1000.0;
        for at in 0..i64::from(script.seconds) * 1000 {
            let now = script.start_ms + at;
            if self.random.random_bool(chance) {
                self.trade(at, now);
            }
            if at % 100 == phase {
                self.depth(at, now, script.changes);
            }
            if at % 250 == phase {
                let bar = self.words.kline(now, &self.bar);
                self.say(at, "kline_1m", &bar);
            }
            if script.market != Market::Spot && at % 1000 == 0 {
                let mark = self.words.mark(now, self.book.middle());
                self.say(at, "markPrice@1s", &mark);
            }
            // At most one a second.
            if script.market != Market::Spot && at % 1000 == 500 && self.random.random_bool(0.2) {
                let side = ["BUY", "SELL"][usize::from(self.random.random_bool(0.5))];
                let quantity = self.random.random_range(1..5000);
                let order = self
                    .words
                    .liquidation(now, side, self.book.middle(), quantity);
                self.say(at, "forceOrder", &order);
            }
        }
    }

    fn say(&mut self, at: i64, kind: &str, data: &str) {
        let frame = self.words.frame(kind, data);
        self.lines.push((at, Said::Frame(frame)));
    }

    fn depth(&mut self, at: i64, now: i64, changes: u32) {
        let moved = self.book.step(&mut self.random, changes);
        let data = self.words.depth(now, &moved);
        self.say(at, "depth@100ms", &data);
        let ticker = self.words.ticker(now, &self.book);
        self.say(at, "bookTicker", &ticker);
        // Asked for early on, it comes two events late, as over REST.
        let events = self.book.events();
        if events == 3 {
            self.snapshot = Some(self.words.snapshot(now, &self.book));
        } else if events == 5
            && let Some(snapshot) = self.snapshot.take()
        {
            let symbol = self.words.symbol.clone();
            self.lines.push((at, Said::Snapshot(symbol, snapshot)));
        }
    }

    /// An order that takes one to three others at one price.
    fn trade(&mut self, at: i64, now: i64) {
        let is_buyer_maker = self.random.random_bool(0.5);
        let price = self.book.best(is_buyer_maker);
        let first = self.trade_id;
        let mut total = 0;
        for _ in 0..self.random.random_range(1..=3) {
            let quantity = self.random.random_range(1..2000);
            total += quantity;
            let fill = Fill {
                id: self.trade_id,
                first: 0,
                last: 0,
                price,
                quantity,
                is_buyer_maker,
            };
            let data = self.words.trade(now, &fill);
            self.say(at, "trade", &data);
            self.bar.add(now, &fill);
            self.trade_id += 1;
        }
        let fill = Fill {
            id: self.agg_id,
            first,
            last: self.trade_id - 1,
            price,
            quantity: total,
            is_buyer_maker,
        };
        let data = self.words.agg_trade(now, &fill);
        self.say(at, "aggTrade", &data);
        self.agg_id += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::scan;

    fn ids(tape: &Tape, stream: &str, name: &str) -> Vec<u64> {
        let data = |json| scan::field(json, 0, "data").unwrap().start;
        tape.of(stream)
            .map(|json| scan::number(json, data(json), name).unwrap())
            .collect()
    }

    #[test]
    fn equal_scripts_give_equal_tapes() {
        let script = Script::new(Market::Um, &["BTCUSDT", "ETHUSDT"], 3);

        let tape = script.tape().unwrap();

        assert_eq!(tape, script.tape().unwrap());
        let other = Script { seed: 2, ..script };
        assert_ne!(tape, other.tape().unwrap());
        assert_eq!(tape.symbols, ["BTCUSDT", "ETHUSDT"]);
    }

    #[test]
    fn every_market_has_its_kinds_and_its_chain() {
        for (market, symbol, kinds) in [
            (Market::Um, "BTCUSDT", 7),
            (Market::Cm, "BTCUSD_PERP", 7),
            (Market::Spot, "BTCUSDT", 5),
        ] {
            let tape = Script::new(market, &[symbol], 30).tape().unwrap();
            let stream = |kind| format!("{}@{kind}", symbol.to_lowercase());

            assert_eq!(tape.streams().len(), kinds, "{market}");
            assert_eq!(tape.snapshots.len(), 1, "{market}");
            let agg_ids = ids(&tape, &stream("aggTrade"), "a");
            assert!(agg_ids.len() > 200);
            assert!(agg_ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
            let trade_ids = ids(&tape, &stream("trade"), "t");
            assert!(trade_ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
            let last = ids(&tape, &stream("depth@100ms"), "u");
            let next = match market {
                Market::Spot => ids(&tape, &stream("depth@100ms"), "U")
                    .iter()
                    .map(|first| first - 1)
                    .collect(),
                _ => ids(&tape, &stream("depth@100ms"), "pu"),
            };
            assert_eq!(last[..last.len() - 1], next[1..], "{market}");
        }
    }
}
