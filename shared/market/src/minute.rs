//! Trades → minutes: exact, whatever the order of the rows.

#[cfg(target_arch = "x86_64")]
use std::ops::Range;

use crate::agg_trade::AggTrade;
use crate::decimal::Decimal;
use crate::error::CellError;
use crate::exact::POW10;
use crate::sums::{Buckets, MinuteSums, Narrow, ScaledTrade, Slim, Sum, Wide256, Width};
use crate::wide::{Wide, limbs};
use crate::{Market, Period, Symbol};
#[cfg(target_arch = "x86_64")]
use crate::{
    block::Block,
    shape::{Shape, ShapedRow},
    sums::{Print, SlimBounds},
};

/// One minute that saw at least one trade: a row of `aggtrades_1m`.
///
/// Times are UTC microseconds; `_qty` and `base_volume` are base units, `_quote` quote units (USD for cm). Every sum
/// is the exact decimal sum, rounded once to the nearest `f64`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/datasets.md"
)]
pub struct Minute {
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
    pub first_ts_us: i64,
    pub price_first: f64,
    pub last_ts_us: i64,
    pub price_last: f64,
    pub price_high: f64,
    pub price_low: f64,
    pub raw_trade_count: i64,
}

/// The quotes from which a trade counts as a whale's, and up to which as retail; both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Default 50,000.
    pub whale_quote: Decimal,
    /// Default 1,000.
    pub retail_quote: Decimal,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            whale_quote: Decimal::whole(50_000),
            retail_quote: Decimal::whole(1_000),
        }
    }
}

/// Digits behind the point of a base quantity that is computed from contracts.
const CONTRACT_BASE_SCALE: u8 = 8;

const MINUTE_US: i64 = 60_000_000;

/// What the archive's quantities are.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Base,
    Contracts { usd: u64 },
}

/// The scales that a table's integers are in. They grow when a row shows more decimals.
#[derive(Debug, Clone, Copy)]
struct Scales {
    unit: Unit,
    price: u8,
    quantity: u8,
}

impl Scales {
    fn base(self) -> u32 {
        match self.unit {
            Unit::Base => u32::from(self.quantity),
            Unit::Contracts { .. } => u32::from(CONTRACT_BASE_SCALE),
        }
    }

    fn quote(self) -> u32 {
        match self.unit {
            Unit::Base => u32::from(self.price) + u32::from(self.quantity),
            Unit::Contracts { .. } => u32::from(self.quantity),
        }
    }

    fn buckets<Q: Sum>(self, thresholds: &Thresholds) -> Buckets<Q> {
        let scaled = |threshold: Decimal, up: bool| {
            let (mantissa, from, to) =
                (threshold.mantissa, u32::from(threshold.scale), self.quote());
            if to < from {
                let unit = u128::from(POW10[(from - to) as usize]);
                let whole = if up {
                    mantissa.div_ceil(unit)
                } else {
                    mantissa / unit
                };
                return Q::from_limbs(&limbs(whole));
            }
            let mut wide = Wide::<4>::from_limbs(&limbs(mantissa))?;
            for factor in power_of_ten(to - from) {
                wide = wide.checked_mul_limb(factor)?;
            }
            Q::from_limbs(&wide.0)
        };
        Buckets {
            whale: scaled(thresholds.whale_quote, true),
            retail: scaled(thresholds.retail_quote, false),
        }
    }

    /// Whether these scales are fine enough for the row.
    #[inline]
    fn hold(self, row: &AggTrade) -> bool {
        row.price.fits(self.price) && row.quantity.fits(self.quantity)
    }

    /// The row in these scales, which are fine enough for it.
    #[inline]
    fn trade<W: Width>(self, row: &AggTrade) -> Option<ScaledTrade<W>> {
        let price_mantissa = row.price.mantissa_at(self.price)?;
        let quantity_mantissa = row.quantity.mantissa_at(self.quantity)?;
        let price = W::value(price_mantissa)?;
        let (quantity, quote) = match self.unit {
            Unit::Base => {
                let quantity = W::value(quantity_mantissa)?;
                (quantity, W::product(price, quantity)?)
            }
            Unit::Contracts { usd } => {
                let quote = quantity_mantissa.checked_mul(u128::from(usd))?;
                let base = base_of_contracts(usd, row)?;
                (W::value(base)?, W::Quote::from_limbs(&limbs(quote))?)
            }
        };
        Some(ScaledTrade {
            id: row.id,
            time_us: row.time_us,
            price,
            quantity,
            quote,
            side: usize::from(row.buyer_is_maker),
            raw_trades: row.last_trade_id - row.first_trade_id + 1,
        })
    }
}

/// Quote ÷ price at 8 decimals, half to even.
///
/// From the row's own decimals: in the table's scales, which may be finer, the numerator could leave 128 bits.
fn base_of_contracts(usd: u64, row: &AggTrade) -> Option<u128> {
    let ten_to = |exponent: u8| 10u128.pow(u32::from(exponent));
    let quote = row.quantity.mantissa.checked_mul(u128::from(usd))?;
    let (price, up) = (row.price.mantissa, CONTRACT_BASE_SCALE + row.price.scale);
    let (numerator, denominator) = match up.checked_sub(row.quantity.scale) {
        Some(up) => (quote.checked_mul(ten_to(up))?, price),
        None => (quote, price.checked_mul(ten_to(row.quantity.scale - up))?),
    };
    let (whole, rest) = (
        numerator.checked_div(denominator)?,
        numerator.checked_rem(denominator)?,
    );
    let round_up = match rest.cmp(&(denominator - rest)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => whole % 2 == 1,
        std::cmp::Ordering::Less => false,
    };
    Some(whole + u128::from(round_up))
}

/// 10 to the `exponent` as factors of one limb each.
fn power_of_ten(exponent: u32) -> impl Iterator<Item = u64> {
    let full = exponent / 19;
    std::iter::repeat_n(POW10[19], full as usize).chain([POW10[(exponent % 19) as usize]])
}

/// The minutes of a period while its trades come in, in any order.
///
/// Memory is one slot per minute of the period: about 8 MB for a month, whatever the number of trades.
#[derive(Debug)]
pub(crate) struct MinuteTable {
    start_us: i64,
    end_us: i64,
    thresholds: Thresholds,
    scales: Option<Scales>,
    unit: Unit,
    slots: Slots,
    /// The slot of the latest row and where its minute begins: rows mostly stay in it.
    current: usize,
    current_us: i64,
}

/// The narrowest width that has held everything so far.
#[derive(Debug)]
enum Slots {
    Slim(Vec<MinuteSums<Slim>>, Buckets<u64>),
    Narrow(Vec<MinuteSums<Narrow>>, Buckets<u128>),
    Wide(Vec<MinuteSums<Wide256>>, Buckets<Wide<4>>),
}

impl MinuteTable {
    pub fn new(market: Market, symbol: &Symbol, period: Period, thresholds: Thresholds) -> Self {
        let unit = match market {
            Market::Cm => Unit::Contracts {
                usd: symbol.contract_size_usd(),
            },
            Market::Um | Market::Spot => Unit::Base,
        };
        Self {
            start_us: period.start_us(),
            end_us: period.end_us(),
            thresholds,
            scales: None,
            unit,
            slots: Slots::Slim(
                vec![MinuteSums::default(); period.minutes()],
                Buckets::default(),
            ),
            current: 0,
            current_us: period.start_us(),
        }
    }

    /// Whether the time lies in the period.
    #[inline]
    pub fn covers(&self, time_us: i64) -> bool {
        (self.start_us..self.end_us).contains(&time_us)
    }

    /// The scales of price and quantity that the rows so far needed.
    #[cfg(target_arch = "x86_64")]
    pub fn scales(&self) -> Option<(u8, u8)> {
        self.scales.map(|scales| (scales.price, scales.quantity))
    }

    /// Adds a trade whose time the period covers.
    #[inline]
    pub fn add(&mut self, row: &AggTrade) -> Result<(), CellError> {
        let scales = match self.scales {
            Some(scales) if scales.hold(row) => scales,
            _ => self.refine(row)?,
        };
        if !self.is_current(row.time_us) {
            self.turn_to(row.time_us);
        }
        if let Slots::Slim(slots, buckets) = &mut self.slots
            && let Some(trade) = scales.trade::<Slim>(row)
            && slots[self.current].add(&trade, buckets).is_some()
        {
            return Ok(());
        }
        self.add_wider(scales, row)
    }

    /// Whether the time lies in the minute of the row before; then the period covers it.
    #[inline]
    fn is_current(&self, time_us: i64) -> bool {
        ((time_us - self.current_us) as u64) < MINUTE_US as u64
    }

    #[inline(never)]
    fn turn_to(&mut self, time_us: i64) {
        self.current = ((time_us - self.start_us) / MINUTE_US) as usize;
        self.current_us = self.start_us + self.current as i64 * MINUTE_US;
    }

    /// The row as a trade, its numbers in the table's scales.
    #[cfg(target_arch = "x86_64")]
    pub fn shaped(&self, row: &ShapedRow) -> Option<AggTrade> {
        let scales = self.scales?;
        let decimal = |mantissa: u64, scale| Decimal {
            mantissa: u128::from(mantissa),
            scale,
        };
        Some(AggTrade {
            id: row.id,
            price: decimal(row.price, scales.price),
            quantity: decimal(row.quantity, scales.quantity),
            first_trade_id: 0,
            last_trade_id: row.raw_trades - 1,
            time_us: row.time_us,
            buyer_is_maker: row.buyer_is_maker,
        })
    }

    /// The minutes for rows in the table's scales, while the narrowest width takes them.
    #[cfg(target_arch = "x86_64")]
    pub fn current(&mut self) -> Option<CurrentMinute<'_>> {
        let (Slots::Slim(slots, buckets), Unit::Base) = (&mut self.slots, self.unit) else {
            return None;
        };
        Some(CurrentMinute {
            start_us: self.start_us,
            end_us: self.end_us,
            bounds: buckets.bounds()?,
            at: self.current,
            begins_us: self.current_us,
            slots,
        })
    }

    /// Adds a trade for which the narrowest width is too narrow.
    #[cold]
    fn add_wider(&mut self, scales: Scales, row: &AggTrade) -> Result<(), CellError> {
        loop {
            let at = self.current;
            let added = match &mut self.slots {
                Slots::Slim(..) => None,
                Slots::Narrow(slots, buckets) => scales
                    .trade::<Narrow>(row)
                    .and_then(|trade| slots[at].add(&trade, buckets)),
                Slots::Wide(slots, buckets) => scales
                    .trade::<Wide256>(row)
                    .and_then(|trade| slots[at].add(&trade, buckets)),
            };
            if added.is_some() {
                return Ok(());
            }
            if !self.widen(scales) {
                return Err(too_large(row));
            }
        }
    }

    /// Moves to scales that hold the row's decimals.
    #[cold]
    fn refine(&mut self, row: &AggTrade) -> Result<Scales, CellError> {
        let (price, quantity) = (row.price.fewest_decimals(), row.quantity.fewest_decimals());
        let scales = match self.scales {
            None => Scales {
                unit: self.unit,
                price,
                quantity,
            },
            Some(old) => {
                let new = Scales {
                    price: old.price.max(price),
                    quantity: old.quantity.max(quantity),
                    ..old
                };
                self.rescale(old, new).ok_or_else(|| too_large(row))?;
                new
            }
        };
        self.scales = Some(scales);
        match &mut self.slots {
            Slots::Slim(_, buckets) => *buckets = scales.buckets(&self.thresholds),
            Slots::Narrow(_, buckets) => *buckets = scales.buckets(&self.thresholds),
            Slots::Wide(_, buckets) => *buckets = scales.buckets(&self.thresholds),
        }
        Ok(scales)
    }

    /// Multiplies all sums, in the first width that holds them.
    fn rescale(&mut self, old: Scales, new: Scales) -> Option<()> {
        let price = POW10[usize::from(new.price - old.price)];
        let quantity = POW10[(new.base() - old.base()) as usize];
        let quote: Vec<u64> = power_of_ten(new.quote() - old.quote()).collect();
        fn all<W: Width>(
            slots: &mut [MinuteSums<W>],
            by: impl Fn(&MinuteSums<W>) -> Option<MinuteSums<W>>,
        ) -> Option<()> {
            // All of them or none: the widths that follow begin from what was there.
            let mut used = slots.iter().filter(|slot| !slot.is_empty());
            used.try_for_each(|slot| by(slot).map(drop))?;
            let mut used = slots.iter_mut().filter(|slot| !slot.is_empty());
            used.try_for_each(|slot| by(slot).map(|finer| *slot = finer))
        }
        loop {
            let finer = match &mut self.slots {
                Slots::Slim(slots, _) => all(slots, |slot| slot.rescaled(price, quantity, &quote)),
                Slots::Narrow(slots, _) => {
                    all(slots, |slot| slot.rescaled(price, quantity, &quote))
                }
                Slots::Wide(slots, _) => all(slots, |slot| slot.rescaled(price, quantity, &quote)),
            };
            if finer.is_some() {
                return Some(());
            }
            if !self.widen(old) {
                return None;
            }
        }
    }

    /// Moves to the next width; false when there is none.
    #[cold]
    fn widen(&mut self, scales: Scales) -> bool {
        let wider = match &self.slots {
            Slots::Slim(slots, _) => Slots::Narrow(
                slots.iter().map(MinuteSums::<Slim>::widened).collect(),
                scales.buckets(&self.thresholds),
            ),
            Slots::Narrow(slots, _) => Slots::Wide(
                slots.iter().map(MinuteSums::<Narrow>::widened).collect(),
                scales.buckets(&self.thresholds),
            ),
            Slots::Wide(..) => return false,
        };
        self.slots = wider;
        true
    }

    /// The minutes that saw a trade, ascending.
    pub fn minutes(&self) -> Box<dyn Iterator<Item = Minute> + '_> {
        let Some(scales) = self.scales else {
            return Box::new(std::iter::empty());
        };
        match &self.slots {
            Slots::Slim(slots, _) => Box::new(rounded(slots, scales, self.start_us)),
            Slots::Narrow(slots, _) => Box::new(rounded(slots, scales, self.start_us)),
            Slots::Wide(slots, _) => Box::new(rounded(slots, scales, self.start_us)),
        }
    }

    /// The times of the first and the last trade.
    pub fn first_and_last_time(&self) -> Option<(i64, i64)> {
        fn ends<W: Width>(slots: &[MinuteSums<W>]) -> Option<(i64, i64)> {
            let mut present = slots.iter().filter(|slot| !slot.is_empty());
            let first = present.next()?;
            Some((
                first.first.time_us,
                present.next_back().unwrap_or(first).last.time_us,
            ))
        }
        match &self.slots {
            Slots::Slim(slots, _) => ends(slots),
            Slots::Narrow(slots, _) => ends(slots),
            Slots::Wide(slots, _) => ends(slots),
        }
    }

    /// Minutes of the period, with trades or without.
    pub fn minutes_in_period(&self) -> usize {
        ((self.end_us - self.start_us) / MINUTE_US) as usize
    }

    /// How many minutes of the period saw a trade.
    pub fn len(&self) -> usize {
        match &self.slots {
            Slots::Slim(slots, _) => slots.iter().filter(|slot| !slot.is_empty()).count(),
            Slots::Narrow(slots, _) => slots.iter().filter(|slot| !slot.is_empty()).count(),
            Slots::Wide(slots, _) => slots.iter().filter(|slot| !slot.is_empty()).count(),
        }
    }
}

/// Slim minutes that rows of a shape are added to, one minute at hand.
#[cfg(target_arch = "x86_64")]
pub(crate) struct CurrentMinute<'a> {
    start_us: i64,
    end_us: i64,
    bounds: SlimBounds,
    slots: &'a mut [MinuteSums<Slim>],
    at: usize,
    begins_us: i64,
}

#[cfg(target_arch = "x86_64")]
impl CurrentMinute<'_> {
    /// Adds a row; `None`, with nothing changed, when its time or its numbers are outside.
    #[inline(always)]
    pub fn add(&mut self, row: &ShapedRow) -> Option<()> {
        if (row.time_us - self.begins_us) as u64 >= MINUTE_US as u64 {
            if !(self.start_us..self.end_us).contains(&row.time_us) {
                return None;
            }
            self.at = ((row.time_us - self.start_us) / MINUTE_US) as usize;
            self.begins_us = self.start_us + self.at as i64 * MINUTE_US;
        }
        self.slots.get_mut(self.at)?.add_shaped(row, self.bounds)
    }

    /// How many rows from `rows.start` on are in the minute at hand, if times do not descend.
    #[inline]
    pub fn rows_within(&self, block: &Block, shape: &Shape, rows: Range<usize>) -> usize {
        block.rows_within(shape, rows, self.begins_us, MINUTE_US as u64)
    }

    /// Adds rows that are in the minute at hand, if they are a stretch and their ids count on from `first_id`; `None`, with
    /// nothing changed, if not.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn add_stretch(
        &mut self,
        block: &mut Block,
        shape: &Shape,
        rows: Range<usize>,
        first_id: u64,
    ) -> Option<()> {
        let print = |at: usize| {
            block.row(shape, at).map(|row| Print {
                time_us: row.time_us,
                id: row.id,
                price: row.price,
            })
        };
        let (first, last) = (print(rows.start)?, print(rows.end - 1)?);
        let stretch = block.stretch(shape, rows, first_id, self.bounds)?;
        self.slots
            .get_mut(self.at)?
            .add_stretch(&stretch, first, last)
    }
}

fn too_large(row: &AggTrade) -> CellError {
    let found = format!("price {} quantity {}", row.price, row.quantity);
    CellError::new(
        "quantity",
        found.as_bytes(),
        "within the range of exact sums, with a price above zero",
    )
}

fn rounded<W: Width>(
    slots: &[MinuteSums<W>],
    scales: Scales,
    start_us: i64,
) -> impl Iterator<Item = Minute> + '_ {
    let present = slots
        .iter()
        .enumerate()
        .filter(|(_, sums)| !sums.is_empty());
    present.map(move |(at, sums)| {
        let price = |value: W::Value| value.round(u32::from(scales.price));
        let base = |value: W::Value| value.round(scales.base());
        let quote = |value: W::Quote| value.round(scales.quote());
        let square = |value: W::Square| value.round(2 * scales.quote());
        let [buy, sell] = [0, 1];
        Minute {
            minute_us: start_us + at as i64 * MINUTE_US,
            trade_count: i64::from(sums.trades[buy]) + i64::from(sums.trades[sell]),
            base_volume: sums.quantity[buy].round_total(sums.quantity[sell], scales.base()),
            quote_volume: sums.quote[buy].round_total(sums.quote[sell], scales.quote()),
            taker_buy_qty: base(sums.quantity[buy]),
            taker_sell_qty: base(sums.quantity[sell]),
            taker_buy_quote: quote(sums.quote[buy]),
            taker_sell_quote: quote(sums.quote[sell]),
            taker_buy_quote_sq: square(sums.quote_square[buy]),
            taker_sell_quote_sq: square(sums.quote_square[sell]),
            taker_buy_trade_count: i64::from(sums.trades[buy]),
            taker_sell_trade_count: i64::from(sums.trades[sell]),
            whale_buy_quote: quote(sums.whale[buy]),
            whale_sell_quote: quote(sums.whale[sell]),
            retail_buy_quote: quote(sums.retail[buy]),
            retail_sell_quote: quote(sums.retail[sell]),
            first_ts_us: sums.first.time_us,
            price_first: price(sums.first.price),
            last_ts_us: sums.last.time_us,
            price_last: price(sums.last.price),
            price_high: price(sums.high),
            price_low: price(sums.low),
            raw_trade_count: sums.raw_trades as i64,
        }
    })
}
