use std::io::Write;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::bars::BarFold;
use super::klines::{KlinesSpec, write_bars};
use super::lines::Lines;
use super::marks::Marks;
use super::order::{Alternate, Repeat, Repeats, Shuffle};
use super::packing::{Archive, Packing, file_stem};
use super::style::{Booleans, Decimals, Order, Style};
use super::tape::{Tape, Trade};
use crate::{Market, Period, StandinError};

const HEADER: &str =
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker";
const SPOT_HEADER: &str = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,is_best_match";

/// Minutes of the period in which nothing trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// First minute, counted from the start of the period.
    pub from_minute: u32,
    /// How many.
    pub minutes: u32,
}

/// One aggTrades archive: what it says and how it is written.
///
/// Equal specs give equal bytes. Rows are made one at a time, so a file of any length needs no more than a few MiB
/// (a shuffled one about 30).
#[derive(Debug, Clone)]
pub struct AggTradesSpec {
    /// The market, which decides the columns and what a quantity counts.
    pub market: Market,
    /// As the archive writes it: `BTCUSDT`, `BTCUSD_PERP`.
    pub symbol: String,
    /// The month or day the archive is named for.
    pub period: Period,
    /// Distinct ids. Repeated rows come on top.
    pub rows: u64,
    /// Chooses everything that is random.
    pub seed: u64,
    /// Id of the first trade.
    pub first_id: u64,
    /// Price of the first trade; the walk stays within about 20 % of it.
    pub start_price: f64,
    /// Digits after the point.
    pub decimals: Decimals,
    /// Digits after the point from the middle of the file on.
    pub decimals_later: Option<Decimals>,
    /// How the text is written.
    pub style: Style,
    /// Order of the rows.
    pub order: Order,
    /// Rows repeated as they are, at once or up to 200 rows later.
    pub duplicates: u64,
    /// Rows repeated with another price (and quantity, unless that is zero).
    pub contradictions: u64,
    /// Rows with quantity zero.
    pub zero_quantities: u64,
    /// Rows with a time outside the period, half before it and half after.
    pub out_of_period: u64,
    /// Places where ids are skipped, 1 to 2,000 each.
    pub id_gaps: u64,
    /// Trades of exactly 50,000 and 1,000 quotes and one step beside, where a price near by allows it.
    pub landmarks: bool,
    /// Busy and quiet hours instead of an even flow.
    pub sessions: bool,
    /// Stretches without a trade.
    pub outages: Vec<Outage>,
}

/// What a written aggTrades archive holds, known by construction; named as the `quality` of its results.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct AggTradesFacts {
    /// Data rows, repeated ones included.
    pub rows: u64,
    /// Rows that repeat an id as it is.
    pub duplicates: u64,
    /// Rows that repeat an id with other values.
    pub contradictions: u64,
    /// First rows of their id with quantity zero.
    pub zero_quantity: u64,
    /// First rows of their id with a time outside the period.
    pub out_of_period: u64,
    /// Rows whose id is lower than the highest before.
    pub unordered: u64,
    /// Jumps in the sorted distinct ids.
    pub id_gaps: u64,
    /// Ids those jumps skip.
    pub missing_ids: u64,
    /// Lowest id.
    pub first_id: u64,
    /// Highest id.
    pub last_id: u64,
}

impl AggTradesSpec {
    /// A plain archive as the exchange writes it today, with nothing wrong.
    pub fn new(market: Market, symbol: &str, period: Period, rows: u64) -> Self {
        let start_price = match symbol.get(..3) {
            Some("BTC") => 40_000.0,
            Some("ETH") => 2_500.0,
            Some("SOL") => 100.0,
            _ => 1.25,
        };
        let decimals = match (market, start_price as u32) {
            (Market::Spot, _) => (8, 8),
            (Market::Cm, 40_000) => (1, 1),
            (Market::Cm, _) => (3, 1),
            (Market::Um, 40_000) => (1, 3),
            (Market::Um, 2_500) => (2, 3),
            (Market::Um, 100) => (3, 0),
            (Market::Um, _) => (4, 1),
        };
        let is_spot = market == Market::Spot;
        Self {
            market,
            symbol: symbol.to_owned(),
            period,
            rows,
            seed: 1,
            first_id: 1_000_000,
            start_price,
            decimals: Decimals {
                price: decimals.0,
                quantity: decimals.1,
            },
            decimals_later: None,
            style: Style {
                header: !is_spot,
                booleans: if is_spot {
                    Booleans::Title
                } else {
                    Booleans::Lower
                },
                ..Style::default()
            },
            order: Order::Sorted,
            duplicates: 0,
            contradictions: 0,
            zero_quantities: 0,
            out_of_period: 0,
            id_gaps: 0,
            landmarks: true,
            sessions: false,
            outages: Vec::new(),
        }
    }

    /// The archive's key: `data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip`.
    pub fn key(&self) -> String {
        let Self {
            market,
            symbol,
            period,
            ..
        } = self;
        let cadence = period.folder();
        format!(
            "{}/{cadence}/aggTrades/{symbol}/{symbol}-aggTrades-{period}.zip",
            market.folder()
        )
    }

    /// Writes the archive and its sidecar below `root`, and says what is in it.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for a spec that cannot be met, [`StandinError::Io`] for the disk.
    pub fn write(
        &self,
        root: &Path,
        packing: &Packing,
    ) -> Result<(Archive, AggTradesFacts), StandinError> {
        self.check()?;
        let mut facts = None;
        let archive = packing.write(root, &self.key(), self.market, self.period, &mut |out| {
            facts = Some(self.write_csv(out, &mut |_| ())?);
            Ok(())
        })?;
        Ok((archive, facts.unwrap_or_default()))
    }

    /// Writes the archive as [`Self::write`] does, and beside it the one-minute klines of the same trades.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_with_klines(
        &self,
        root: &Path,
        packing: &Packing,
    ) -> Result<(Archive, Archive, AggTradesFacts), StandinError> {
        self.check()?;
        if self.decimals_later.is_some() {
            let why = "klines have one number of decimals; leave it out";
            return Err(StandinError::invalid("decimals_later", why));
        }
        let mut fold = BarFold::new(self);
        let mut facts = None;
        let trades = packing.write(root, &self.key(), self.market, self.period, &mut |out| {
            facts = Some(self.write_csv(out, &mut |trade| fold.add(trade))?);
            Ok(())
        })?;
        let klines = KlinesSpec {
            style: self.style.clone(),
            ..KlinesSpec::new(
                self.market,
                &self.symbol,
                crate::Interval::MINUTE,
                self.period,
            )
        };
        let bars = fold.finish();
        let count = bars.len() as u64;
        let klines = packing.write(root, &klines.key(), self.market, self.period, &mut |out| {
            write_bars(out, &klines.style, bars.iter().copied(), count)
        })?;
        Ok((trades, klines, facts.unwrap_or_default()))
    }

    /// The CSV alone, without a ZIP around it.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for a spec that cannot be met.
    pub fn csv(&self) -> Result<Vec<u8>, StandinError> {
        self.check()?;
        let mut text = Vec::new();
        self.write_csv(&mut text, &mut |_| ())
            .map_err(StandinError::io(Path::new(&self.key())))?;
        Ok(text)
    }

    pub(crate) fn head_outside(&self) -> u64 {
        self.out_of_period / 2
    }

    pub(crate) fn tail_outside(&self) -> u64 {
        self.out_of_period - self.head_outside()
    }

    fn check(&self) -> Result<(), StandinError> {
        file_stem(&self.symbol)?;
        let invalid = |what: &str, why: &str| Err(StandinError::invalid(what, why));
        let odd = [
            self.duplicates,
            self.contradictions,
            self.zero_quantities,
            self.out_of_period,
            self.id_gaps,
        ];
        if odd.into_iter().any(|count| count > self.rows / 2) {
            return invalid("rows", "each oddity needs at least twice as many rows");
        }
        if self.rows > 1 << 40 || self.first_id > 1 << 50 {
            return invalid("rows", "at most 2^40 rows and a first id of at most 2^50");
        }
        for decimals in [Some(self.decimals), self.decimals_later]
            .into_iter()
            .flatten()
        {
            let digits = self.start_price * 10f64.powi(i32::from(decimals.price));
            if decimals.price > 12 || decimals.quantity > 12 || !(1.0..=4e17).contains(&digits) {
                return invalid(
                    "decimals",
                    "at most 12, and the price in its last digit between 1 and 4e17",
                );
            }
        }
        Ok(())
    }

    fn write_csv(
        &self,
        out: &mut dyn Write,
        each_counted: &mut dyn FnMut(&Trade),
    ) -> std::io::Result<AggTradesFacts> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ 0x0064_7570);
        let duplicates = Marks::choose(&mut rng, self.duplicates, 0, self.rows);
        let contradictions = Marks::choose(&mut rng, self.contradictions, 0, self.rows);
        let mut facts = AggTradesFacts {
            duplicates: duplicates.len(),
            contradictions: contradictions.len(),
            out_of_period: self.out_of_period,
            first_id: self.first_id,
            ..AggTradesFacts::default()
        };
        let repeats = vec![
            Repeat {
                marks: duplicates,
                change: |trade| trade,
            },
            Repeat {
                marks: contradictions,
                change: contradict,
            },
        ];
        let is_spot = self.market == Market::Spot;
        let mut lines = Lines::new(out, &self.style, self.rows);
        lines.header(if is_spot { SPOT_HEADER } else { HEADER })?;
        // Two passes: the originals, by id, are what the facts and the klines are made of; the file may hold them in
        // any order.
        let mut before = None;
        for trade in Tape::new(self) {
            let in_period = (self.period.start_us()..self.period.end_us()).contains(&trade.time_us);
            facts.zero_quantity += u64::from(trade.quantity == 0);
            let skipped = before.map_or(0, |before: u64| trade.id - before - 1);
            facts.id_gaps += u64::from(skipped > 0);
            facts.missing_ids += skipped;
            before = Some(trade.id);
            facts.last_id = trade.id;
            if in_period && trade.quantity > 0 {
                each_counted(&trade);
            }
        }
        let mut highest = None;
        for trade in self.in_file_order(repeats) {
            facts.rows += 1;
            facts.unordered += u64::from(highest.is_some_and(|highest| trade.id < highest));
            highest = highest.max(Some(trade.id));
            lines.integer(trade.id);
            lines.decimal(i128::from(trade.price), trade.decimals.price);
            lines.decimal(i128::from(trade.quantity), trade.decimals.quantity);
            lines.integer(trade.first_trade_id);
            lines.integer(trade.last_trade_id);
            lines.time(trade.time_us);
            lines.flag(trade.is_buyer_maker);
            if is_spot {
                lines.flag(trade.is_best_match);
            }
            lines.end_row()?;
        }
        lines.finish()?;
        Ok(facts)
    }

    fn in_file_order<'a>(
        &'a self,
        repeats: Vec<Repeat<Trade>>,
    ) -> Box<dyn Iterator<Item = Trade> + 'a> {
        let tape = Tape::new(self);
        match self.order {
            Order::Sorted => Box::new(Repeats::new(tape, repeats, self.seed)),
            Order::InterleavedTwoStreams => {
                let half = self.rows / 2;
                let mut second = tape.clone();
                for _ in second.by_ref().take(half as usize) {}
                let first = tape.take(half as usize);
                let rows = Alternate::new(
                    Box::new(first) as Box<dyn Iterator<Item = Trade>>,
                    Box::new(second),
                );
                Box::new(Repeats::new(rows, repeats, self.seed))
            }
            Order::Shuffled => Box::new(Shuffle::new(
                Repeats::new(tape, repeats, self.seed),
                self.seed,
            )),
        }
    }
}

fn contradict(trade: Trade) -> Trade {
    Trade {
        price: trade.price + 1,
        quantity: if trade.quantity == 0 {
            0
        } else {
            trade.quantity + 1
        },
        ..trade
    }
}
