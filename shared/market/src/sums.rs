//! One minute's exact sums, as scaled integers of three widths.
//!
//! [`Slim`] holds what most archives hold, [`Narrow`] what all real ones do, [`Wide256`] any decimals of 12 places. A
//! table starts slim and is widened once a value does not fit, so the common case pays nothing for the rare one.

use crate::exact;
use crate::wide::{Wide, limbs};
#[cfg(target_arch = "x86_64")]
use crate::{shape::ShapedRow, stretch::Stretch};

/// An unsigned integer that sums are kept in.
pub(crate) trait Sum: Copy + Ord + Default {
    /// The sum, or `None` past the end.
    fn plus(self, other: Self) -> Option<Self>;
    /// The product with a power of ten, or `None` past the end.
    fn times(self, factor: u64) -> Option<Self>;
    /// From limbs, lowest first, or `None` when they do not fit.
    fn from_limbs(limbs: &[u64]) -> Option<Self>;
    /// Divided by 10 to the `scale`, to the nearest `f64`.
    fn round(self, scale: u32) -> f64;
    /// The sum of both, which may leave this width, rounded once.
    fn round_total(self, other: Self, scale: u32) -> f64;
}

impl Sum for u64 {
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }
    fn times(self, factor: u64) -> Option<Self> {
        self.checked_mul(factor)
    }
    fn from_limbs(limbs: &[u64]) -> Option<Self> {
        Some(Wide::<1>::from_limbs(limbs)?.0[0])
    }
    fn round(self, scale: u32) -> f64 {
        exact::round(&[self], scale)
    }
    fn round_total(self, other: Self, scale: u32) -> f64 {
        (u128::from(self) + u128::from(other)).round(scale)
    }
}

impl Sum for u128 {
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }
    fn times(self, factor: u64) -> Option<Self> {
        self.checked_mul(u128::from(factor))
    }
    fn from_limbs(limbs: &[u64]) -> Option<Self> {
        let [low, high] = Wide::<2>::from_limbs(limbs)?.0;
        Some(u128::from(low) | u128::from(high) << 64)
    }
    fn round(self, scale: u32) -> f64 {
        exact::round(&limbs(self), scale)
    }
    fn round_total(self, other: Self, scale: u32) -> f64 {
        Wide(limbs(self)).round_total(Wide(limbs(other)), scale)
    }
}

impl<const N: usize> Sum for Wide<N> {
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }
    fn times(self, factor: u64) -> Option<Self> {
        self.checked_mul_limb(factor)
    }
    fn from_limbs(limbs: &[u64]) -> Option<Self> {
        Self::from_limbs(limbs)
    }
    fn round(self, scale: u32) -> f64 {
        exact::round(&self.0, scale)
    }
    fn round_total(self, other: Self, scale: u32) -> f64 {
        let wider = |sum: Self| Wide::<9>::from_limbs(&sum.0).expect("at most eight limbs");
        let total = wider(self)
            .checked_add(wider(other))
            .expect("one limb to spare");
        exact::round(&total.0, scale)
    }
}

/// Which integers a table's values, quotes and squares are kept in.
pub(crate) trait Width: Copy {
    /// Prices, and sums of quantities.
    type Value: Sum;
    /// Quotes, price × quantity, and their sums.
    type Quote: Sum;
    /// Sums of squared quotes.
    type Square: Sum;

    /// A row's number in this width.
    fn value(mantissa: u128) -> Option<Self::Value>;
    /// Price × quantity.
    fn product(price: Self::Value, quantity: Self::Value) -> Option<Self::Quote>;
    /// The quote's square.
    fn square(quote: Self::Quote) -> Option<Self::Square>;
}

/// 64-bit values, 64-bit quotes, 128-bit squares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slim;

impl Width for Slim {
    type Value = u64;
    type Quote = u64;
    type Square = u128;

    #[inline]
    fn value(mantissa: u128) -> Option<u64> {
        u64::try_from(mantissa).ok()
    }
    #[inline]
    fn product(price: u64, quantity: u64) -> Option<u64> {
        price.checked_mul(quantity)
    }
    #[inline]
    fn square(quote: u64) -> Option<u128> {
        Some(u128::from(quote) * u128::from(quote))
    }
}

/// 64-bit values, 128-bit quotes, 256-bit squares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Narrow;

impl Width for Narrow {
    type Value = u64;
    type Quote = u128;
    type Square = Wide<4>;

    #[inline]
    fn value(mantissa: u128) -> Option<u64> {
        u64::try_from(mantissa).ok()
    }
    #[inline]
    fn product(price: u64, quantity: u64) -> Option<u128> {
        Some(u128::from(price) * u128::from(quantity))
    }
    #[inline]
    fn square(quote: u128) -> Option<Wide<4>> {
        match u64::try_from(quote) {
            Ok(small) => {
                let [low, high] = limbs(u128::from(small) * u128::from(small));
                Some(Wide([low, high, 0, 0]))
            }
            Err(_) => Wide::product(&limbs(quote), &limbs(quote)),
        }
    }
}

/// 128-bit values, 256-bit quotes, 512-bit squares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wide256;

impl Width for Wide256 {
    type Value = u128;
    type Quote = Wide<4>;
    type Square = Wide<8>;

    fn value(mantissa: u128) -> Option<u128> {
        Some(mantissa)
    }
    fn product(price: u128, quantity: u128) -> Option<Wide<4>> {
        Wide::product(&limbs(price), &limbs(quantity))
    }
    fn square(quote: Wide<4>) -> Option<Wide<8>> {
        Wide::product(&quote.0, &quote.0)
    }
}

/// A row in the table's own scales.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScaledTrade<W: Width> {
    pub id: u64,
    pub time_us: i64,
    pub price: W::Value,
    /// Base units, whatever the archive counts in.
    pub quantity: W::Value,
    pub quote: W::Quote,
    /// 0: the taker bought, 1: the taker sold.
    pub side: usize,
    pub raw_trades: u64,
}

/// When and at what price: ordered by time, then id.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Print<V> {
    pub time_us: i64,
    pub id: u64,
    pub price: V,
}

impl<V> Print<V> {
    /// Time, then id, as one number: a comparison without a branch on whether the times are equal, which in bursts
    /// of trades is a coin's toss.
    #[inline(always)]
    fn key(&self) -> u128 {
        u128::from(self.time_us as u64) << 64 | u128::from(self.id)
    }
}

/// The sums of one minute. Pairs are by side: taker bought, taker sold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MinuteSums<W: Width> {
    pub trades: [u32; 2],
    pub raw_trades: u64,
    pub quantity: [W::Value; 2],
    pub quote: [W::Quote; 2],
    pub quote_square: [W::Square; 2],
    pub whale: [W::Quote; 2],
    pub retail: [W::Quote; 2],
    pub first: Print<W::Value>,
    pub last: Print<W::Value>,
    pub high: W::Value,
    pub low: W::Value,
}

impl<W: Width> Default for MinuteSums<W> {
    fn default() -> Self {
        Self {
            trades: [0; 2],
            raw_trades: 0,
            quantity: Default::default(),
            quote: Default::default(),
            quote_square: Default::default(),
            whale: Default::default(),
            retail: Default::default(),
            first: Print::default(),
            last: Print::default(),
            high: Default::default(),
            low: Default::default(),
        }
    }
}

/// The quotes from which a trade is a whale's, and up to which it is retail, in the table's scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets<Q> {
    /// `None`: larger than any quote of this width.
    pub whale: Option<Q>,
    /// `None`: every quote of this width is retail.
    pub retail: Option<Q>,
}

/// The same as two numbers.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlimBounds {
    /// The largest quote that is no whale's.
    pub below_whale: u64,
    /// The largest quote that is retail.
    pub retail: u64,
}

#[cfg(target_arch = "x86_64")]
impl Buckets<u64> {
    /// `None` where every trade is a whale's, of nothing too.
    pub fn bounds(&self) -> Option<SlimBounds> {
        let below_whale = match self.whale {
            Some(whale) => whale.checked_sub(1)?,
            None => u64::MAX,
        };
        Some(SlimBounds {
            below_whale,
            retail: self.retail.unwrap_or(u64::MAX),
        })
    }
}

impl<Q> Default for Buckets<Q> {
    fn default() -> Self {
        Self {
            whale: None,
            retail: None,
        }
    }
}

impl<W: Width> MinuteSums<W> {
    pub fn is_empty(&self) -> bool {
        // Every row has a raw trade. Not `trades`: two counts read as one word right after one of them was written make
        // the processor wait, each row.
        self.raw_trades == 0
    }

    /// Adds a trade; `None`, with nothing changed, when a sum leaves this width.
    #[inline]
    pub fn add(&mut self, trade: &ScaledTrade<W>, buckets: &Buckets<W::Quote>) -> Option<()> {
        let side = trade.side;
        let trades = self.trades[side].checked_add(1)?;
        let raw_trades = self.raw_trades.checked_add(trade.raw_trades)?;
        let quantity = self.quantity[side].plus(trade.quantity)?;
        let quote = self.quote[side].plus(trade.quote)?;
        let quote_square = self.quote_square[side].plus(W::square(trade.quote)?)?;
        if self.is_empty() {
            self.first = Print {
                time_us: trade.time_us,
                id: trade.id,
                price: trade.price,
            };
            self.last = self.first;
            self.high = trade.price;
            self.low = trade.price;
        } else {
            let print = Print {
                time_us: trade.time_us,
                id: trade.id,
                price: trade.price,
            };
            if print.key() > self.last.key() {
                self.last = print;
            }
            if print.key() < self.first.key() {
                self.first = print;
            }
            self.high = self.high.max(trade.price);
            self.low = self.low.min(trade.price);
        }
        self.trades[side] = trades;
        self.raw_trades = raw_trades;
        self.quantity[side] = quantity;
        self.quote[side] = quote;
        self.quote_square[side] = quote_square;
        // Sums of zero instead of branches: sizes of trades are too random to be predicted. A bucket's sum is never
        // larger than the quote's, which fitted.
        let zero = W::Quote::default();
        let is_whale = buckets.whale.is_some_and(|whale| trade.quote >= whale);
        let is_retail = buckets.retail.is_none_or(|retail| trade.quote <= retail);
        self.whale[side] = self.whale[side].plus(if is_whale { trade.quote } else { zero })?;
        self.retail[side] = self.retail[side].plus(if is_retail { trade.quote } else { zero })?;
        Some(())
    }

    /// The same sums in finer scales; `None` when one leaves this width.
    pub fn rescaled(&self, price: u64, quantity: u64, quote: &[u64]) -> Option<Self> {
        let quotes = |sums: [W::Quote; 2]| scaled_pair(sums, quote);
        let print = |print: Print<W::Value>| {
            Some(Print {
                price: print.price.times(price)?,
                ..print
            })
        };
        let square = scaled_pair(scaled_pair(self.quote_square, quote)?, quote)?;
        Some(Self {
            quantity: scaled_pair(self.quantity, &[quantity])?,
            quote: quotes(self.quote)?,
            quote_square: square,
            whale: quotes(self.whale)?,
            retail: quotes(self.retail)?,
            first: print(self.first)?,
            last: print(self.last)?,
            high: self.high.times(price)?,
            low: self.low.times(price)?,
            ..*self
        })
    }
}

fn scaled_pair<S: Sum>(sums: [S; 2], factors: &[u64]) -> Option<[S; 2]> {
    let mut scaled = sums;
    for sum in &mut scaled {
        for &factor in factors {
            *sum = sum.times(factor)?;
        }
    }
    Some(scaled)
}

impl MinuteSums<Slim> {
    /// What [`MinuteSums::add`] does, for a row that is in these units already.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub fn add_shaped(&mut self, row: &ShapedRow, bounds: SlimBounds) -> Option<()> {
        let side = usize::from(row.buyer_is_maker);
        let quote = row.price.checked_mul(row.quantity)?;
        let quote_sum = self.quote[side].checked_add(quote)?;
        let quantity_sum = self.quantity[side].checked_add(row.quantity)?;
        let trades = self.trades[side].checked_add(1)?;
        let raw_trades = self.raw_trades.checked_add(row.raw_trades)?;
        let print = Print {
            time_us: row.time_us,
            id: row.id,
            price: row.price,
        };
        if self.is_empty() {
            (self.first, self.last) = (print, print);
            (self.high, self.low) = (row.price, row.price);
        } else {
            if print.key() > self.last.key() {
                self.last = print;
            }
            if print.key() < self.first.key() {
                self.first = print;
            }
            self.high = self.high.max(row.price);
            self.low = self.low.min(row.price);
        }
        self.trades[side] = trades;
        self.raw_trades = raw_trades;
        self.quantity[side] = quantity_sum;
        self.quote[side] = quote_sum;
        // The sums below stay below one that was checked: a sum of squares is no larger than the square of the sum.
        let square = u128::from(quote) * u128::from(quote);
        self.quote_square[side] = self.quote_square[side].wrapping_add(square);
        let whale = if quote > bounds.below_whale { quote } else { 0 };
        let retail = if quote <= bounds.retail { quote } else { 0 };
        self.whale[side] = self.whale[side].wrapping_add(whale);
        self.retail[side] = self.retail[side].wrapping_add(retail);
        Some(())
    }

    /// Adds rows of which `first` and `last` are the first and the last by time and id; `None`, with nothing changed, when
    /// a sum leaves this width.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn add_stretch(
        &mut self,
        stretch: &Stretch,
        first: Print<u64>,
        last: Print<u64>,
    ) -> Option<()> {
        let pair = |sums: [u64; 2], more: [u64; 2]| {
            Some([sums[0].checked_add(more[0])?, sums[1].checked_add(more[1])?])
        };
        let quote = pair(self.quote, stretch.quote)?;
        let quantity = pair(self.quantity, stretch.quantity)?;
        let raw_trades = self.raw_trades.checked_add(stretch.raw_trades)?;
        let trades = [
            self.trades[0].checked_add(stretch.trades[0])?,
            self.trades[1].checked_add(stretch.trades[1])?,
        ];
        if self.is_empty() {
            (self.first, self.last) = (first, last);
            (self.high, self.low) = (stretch.high, stretch.low);
        } else {
            if last.key() > self.last.key() {
                self.last = last;
            }
            if first.key() < self.first.key() {
                self.first = first;
            }
            self.high = self.high.max(stretch.high);
            self.low = self.low.min(stretch.low);
        }
        self.trades = trades;
        self.raw_trades = raw_trades;
        self.quantity = quantity;
        self.quote = quote;
        // As with a row: these stay below one that was checked.
        for side in 0..2 {
            self.quote_square[side] =
                self.quote_square[side].wrapping_add(stretch.quote_square[side]);
            self.whale[side] = self.whale[side].wrapping_add(stretch.whale[side]);
            self.retail[side] = self.retail[side].wrapping_add(stretch.retail[side]);
        }
        Some(())
    }

    /// The same sums, with room.
    pub fn widened(&self) -> MinuteSums<Narrow> {
        MinuteSums {
            trades: self.trades,
            raw_trades: self.raw_trades,
            quantity: self.quantity,
            quote: self.quote.map(u128::from),
            quote_square: self.quote_square.map(|square| {
                let [low, high] = limbs(square);
                Wide([low, high, 0, 0])
            }),
            whale: self.whale.map(u128::from),
            retail: self.retail.map(u128::from),
            first: self.first,
            last: self.last,
            high: self.high,
            low: self.low,
        }
    }
}

impl MinuteSums<Narrow> {
    /// The same sums, with room.
    pub fn widened(&self) -> MinuteSums<Wide256> {
        let quotes = |sums: [u128; 2]| sums.map(wide_quote);
        let print = |print: Print<u64>| Print {
            time_us: print.time_us,
            id: print.id,
            price: u128::from(print.price),
        };
        MinuteSums {
            trades: self.trades,
            raw_trades: self.raw_trades,
            quantity: self.quantity.map(u128::from),
            quote: quotes(self.quote),
            quote_square: self
                .quote_square
                .map(|Wide([a, b, c, d])| Wide([a, b, c, d, 0, 0, 0, 0])),
            whale: quotes(self.whale),
            retail: quotes(self.retail),
            first: print(self.first),
            last: print(self.last),
            high: u128::from(self.high),
            low: u128::from(self.low),
        }
    }
}

fn wide_quote(quote: u128) -> Wide<4> {
    let [low, high] = limbs(quote);
    Wide([low, high, 0, 0])
}
