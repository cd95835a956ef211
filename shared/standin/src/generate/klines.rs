use std::io::{self, Write};
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::bars::{Bar, BarDecimals, BarWalk};
use super::lines::Lines;
use super::marks::Marks;
use super::order::{Alternate, Repeat, Repeats, Shuffle};
use super::packing::{Archive, Packing, file_stem};
use super::style::{Decimals, Order, Style};
use crate::{Interval, Market, Period, StandinError};

// COIN-M files have these words too, and mean contracts and base amounts by them.
const HEADER: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore";

/// One klines archive: what it says and how it is written. Equal specs give equal bytes.
#[derive(Debug, Clone)]
pub struct KlinesSpec {
    /// The market, which decides what the volumes count.
    pub market: Market,
    /// As the archive writes it.
    pub symbol: String,
    /// Length of a bar.
    pub interval: Interval,
    /// The month or day the archive is named for.
    pub period: Period,
    /// Chooses everything that is random.
    pub seed: u64,
    /// Open of the first bar.
    pub start_price: f64,
    /// Digits after the point of prices and volumes.
    pub decimals: Decimals,
    /// How the text is written.
    pub style: Style,
    /// Order of the rows.
    pub order: Order,
    /// Bars that are missing.
    pub gaps: u64,
    /// Bars repeated later with other values; the last one counts.
    pub duplicates: u64,
    /// Bars that open off the grid.
    pub off_grid: u64,
    /// Bars in which nothing traded.
    pub zero_trade_bars: u64,
    /// Bars whose close time lies before their open time.
    pub backward_closes: u64,
    /// Whether the last column holds numbers other than 0, as in 2017.
    pub ignore_filled: bool,
}

/// What a written klines archive holds, known by construction.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct KlinesFacts {
    /// Data rows, repeated ones included.
    pub rows: u64,
    /// Rows whose open time came before.
    pub duplicates: u64,
    /// Distinct open times.
    pub bars: u64,
    /// Distinct open times off the grid.
    pub off_grid: u64,
    /// Distinct bars in which nothing traded.
    pub zero_trade_bars: u64,
    /// Rows that open before the latest open so far.
    pub unordered: u64,
}

impl KlinesSpec {
    /// A plain archive as the exchange writes it today, with nothing wrong.
    pub fn new(market: Market, symbol: &str, interval: Interval, period: Period) -> Self {
        let decimals = match market {
            Market::Spot => Decimals {
                price: 8,
                quantity: 8,
            },
            Market::Um => Decimals {
                price: 2,
                quantity: 3,
            },
            Market::Cm => Decimals {
                price: 1,
                quantity: 0,
            },
        };
        Self {
            market,
            symbol: symbol.to_owned(),
            interval,
            period,
            seed: 1,
            start_price: 40_000.0,
            decimals,
            style: Style {
                header: market != Market::Spot,
                ..Style::default()
            },
            order: Order::Sorted,
            gaps: 0,
            duplicates: 0,
            off_grid: 0,
            zero_trade_bars: 0,
            backward_closes: 0,
            ignore_filled: false,
        }
    }

    /// The archive's key: `data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-17.zip`.
    pub fn key(&self) -> String {
        let Self {
            symbol,
            interval,
            period,
            ..
        } = self;
        let cadence = period.folder();
        let market = self.market.folder();
        format!("{market}/{cadence}/klines/{symbol}/{interval}/{symbol}-{interval}-{period}.zip")
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
    ) -> Result<(Archive, KlinesFacts), StandinError> {
        self.check()?;
        let mut facts = KlinesFacts::default();
        let archive = packing.write(root, &self.key(), self.market, self.period, &mut |out| {
            self.write_csv(out, &mut facts)
        })?;
        Ok((archive, facts))
    }

    /// The CSV alone, without a ZIP around it.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for a spec that cannot be met.
    pub fn csv(&self) -> Result<Vec<u8>, StandinError> {
        self.check()?;
        let mut text = Vec::new();
        self.write_csv(&mut text, &mut KlinesFacts::default())
            .map_err(StandinError::io(Path::new(&self.key())))?;
        Ok(text)
    }

    /// Bars of the whole period.
    pub(crate) fn slots(&self) -> u64 {
        self.interval.opens(self.period).count() as u64
    }

    pub(crate) fn bar_decimals(&self) -> BarDecimals {
        BarDecimals {
            price: self.decimals.price,
            volume: self.decimals.quantity,
            quote: match self.market {
                Market::Cm => 8,
                Market::Um => self.decimals.price + self.decimals.quantity,
                Market::Spot => 8,
            },
        }
    }

    /// What one last digit of volume at `price` adds to the quote volume, as a fraction of its last digit.
    pub(crate) fn quote_per_volume(&self, price: i64) -> (i128, i128) {
        let power = |exponent: u8| 10i128.pow(u32::from(exponent));
        let decimals = self.bar_decimals();
        match self.market.contract_size(&self.symbol) {
            Some(size) => (
                i128::from(size) * power(decimals.quote + decimals.price),
                i128::from(price) * power(decimals.volume),
            ),
            None => (
                i128::from(price) * power(decimals.quote),
                power(decimals.price + decimals.volume),
            ),
        }
    }

    fn check(&self) -> Result<(), StandinError> {
        file_stem(&self.symbol)?;
        let slots = self.slots();
        let odd = [
            self.gaps,
            self.duplicates,
            self.off_grid,
            self.zero_trade_bars,
            self.backward_closes,
        ];
        if odd.into_iter().any(|count| count > slots) || self.gaps + self.duplicates > slots {
            let why = format!("the period has {slots} bars, fewer than an oddity asks for");
            return Err(StandinError::invalid("klines", why));
        }
        let digits = self.start_price * 10f64.powi(i32::from(self.decimals.price));
        let decimals = self.decimals;
        if decimals.price > 8 || decimals.quantity > 8 || !(1.0..=4e15).contains(&digits) {
            let why = "at most 8, and the price in its last digit between 1 and 4e15";
            return Err(StandinError::invalid("decimals", why));
        }
        Ok(())
    }

    fn write_csv(&self, out: &mut dyn Write, facts: &mut KlinesFacts) -> io::Result<()> {
        let step_us = |bar: &Bar| self.interval.end_of(bar.open_us, self.period) - bar.open_us;
        for bar in BarWalk::new(self) {
            facts.bars += 1;
            // Every interval but the week divides its distance from the epoch; weeks open on Monday.
            let origin = if self.interval.as_str() == "1w" {
                -259_200_000_000
            } else {
                0
            };
            let is_month = self.interval.as_str() == "1mo";
            let on_grid = match is_month {
                true => bar.open_us == self.period.start_us(),
                false => (bar.open_us - origin) % step_us(&bar) == 0,
            };
            facts.off_grid += u64::from(!on_grid);
            facts.zero_trade_bars += u64::from(bar.count == 0);
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ 0x0064_7570);
        let marks = Marks::choose(&mut rng, self.duplicates, 0, facts.bars);
        facts.duplicates = marks.len();
        facts.rows = facts.bars + facts.duplicates;
        let rows = self.in_file_order(
            Repeat {
                marks,
                change: correct,
            },
            facts.bars,
        );
        let mut latest = i64::MIN;
        let unordered = &mut facts.unordered;
        let rows = rows.inspect(|bar| {
            *unordered += u64::from(bar.open_us < latest);
            latest = latest.max(bar.open_us);
        });
        write_bars(out, &self.style, rows, facts.rows)
    }

    fn in_file_order<'a>(
        &'a self,
        repeat: Repeat<Bar>,
        bars: u64,
    ) -> Box<dyn Iterator<Item = Bar> + 'a> {
        let walk = BarWalk::new(self);
        let half = (bars / 2) as usize;
        let rows: Box<dyn Iterator<Item = Bar> + 'a> = match self.order {
            Order::Sorted => Box::new(walk),
            Order::Shuffled => Box::new(Shuffle::new(walk, self.seed)),
            Order::InterleavedTwoStreams => {
                let second = BarWalk::new(self).skip(half);
                Box::new(Alternate::new(
                    Box::new(walk.take(half)) as Box<dyn Iterator<Item = Bar>>,
                    Box::new(second),
                ))
            }
        };
        // Repeated after the shuffle: the last of two rows counts, and that must be the changed one.
        Box::new(Repeats::new(rows, vec![repeat], self.seed))
    }
}

/// The later, corrected version of a bar. One in which nothing traded stays so.
fn correct(bar: Bar) -> Bar {
    let traded = bar.count > 0;
    Bar {
        high: bar.high + 1,
        close: bar.high + 1,
        volume: bar.volume + i128::from(traded),
        count: bar.count + u64::from(traded),
        ..bar
    }
}

pub(crate) fn write_bars(
    out: &mut dyn Write,
    style: &Style,
    bars: impl Iterator<Item = Bar>,
    count: u64,
) -> io::Result<()> {
    let mut lines = Lines::new(out, style, count);
    lines.header(HEADER)?;
    for bar in bars {
        let decimals = bar.decimals;
        lines.time(bar.open_us);
        for price in [bar.open, bar.high, bar.low, bar.close] {
            lines.decimal(i128::from(price), decimals.price);
        }
        lines.decimal(bar.volume, decimals.volume);
        lines.time(bar.close_us);
        lines.decimal(bar.quote, decimals.quote);
        lines.integer(bar.count);
        lines.decimal(bar.buy_volume, decimals.volume);
        lines.decimal(bar.buy_quote, decimals.quote);
        let ignored = if bar.ignore == 0 { 0 } else { 8 };
        lines.decimal(bar.ignore, ignored);
        lines.end_row()?;
    }
    lines.finish()
}
