//! Sums of rows that follow each other within one minute, four rows at a time (AVX2).
//!
//! Most of an archive is such rows: each id one above the last, no time below it. Then the first and the last print are
//! those of the first and the last row, and everything else is a sum, a maximum or a minimum: no row waits for the one
//! before it. Rows of which something else is true are added one by one.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::block::MOST_ROWS;
use crate::shape::{PackedRow, Shape};
use crate::sums::SlimBounds;

/// Rows in a register.
const LANES: usize = 4;

/// Bits of a quote that is summed here: the sum over a block keeps within 63, and so do the products of its halves.
const QUOTE_BITS: u32 = 56;

/// The quotes of a block's rows: room to work in.
pub(crate) type Quotes = [[u64; LANES]; MOST_ROWS / LANES];

/// The sums of some rows. Pairs are by side: taker bought, taker sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub trades: [u32; 2],
    pub raw_trades: u64,
    pub quantity: [u64; 2],
    pub quote: [u64; 2],
    pub quote_square: [u128; 2],
    pub whale: [u64; 2],
    pub retail: [u64; 2],
    pub high: u64,
    pub low: u64,
}

/// Rows of a block, and what they have to be to be summed.
pub(crate) struct StretchRows<'a> {
    pub rows: &'a [PackedRow; MOST_ROWS],
    pub makers: &'a [u64; MOST_ROWS],
    pub range: Range<usize>,
    pub first_id: u64,
    pub shape: &'a Shape,
    pub bounds: SlimBounds,
}

/// Four sums of all rows and of those where the taker sold.
#[derive(Clone, Copy)]
struct Sums {
    all: __m256i,
    sold: __m256i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self {
            all: _mm256_setzero_si256(),
            sold: _mm256_setzero_si256(),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, values: __m256i, sold: __m256i) {
        self.all = _mm256_add_epi64(self.all, values);
        self.sold = _mm256_add_epi64(self.sold, _mm256_and_si256(values, sold));
    }
}

impl Stretch {
    /// What [`Stretch::of`] does, with the registers and instructions of AVX-512.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn of_wide(stretch: &StretchRows<'_>, quotes: &mut Quotes) -> Option<Self> {
        Self::of::<true>(stretch, quotes)
    }

    /// Sums the rows, if the ids count on from `first_id`, no time is below the one before, and the numbers are such that
    /// no sum can leave its width; `None` otherwise. That the times are of one minute is not checked.
    ///
    /// `WIDE` changes nothing but that there is a second one, which [`Stretch::of_wide`] alone calls, and is compiled for
    /// what that is compiled for.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn of<const WIDE: bool>(stretch: &StretchRows<'_>, quotes: &mut Quotes) -> Option<Self> {
        let StretchRows {
            rows,
            makers,
            ref range,
            first_id,
            shape,
            bounds,
        } = *stretch;
        let every = |value: u64| _mm256_set1_epi64x(value as i64);
        let zero = _mm256_setzero_si256();
        let one = every(1);
        let low_half = every(u64::from(u32::MAX));
        let (price_factor, quantity_factor) = shape.factors();
        let (price_factor, quantity_factor) = (every(price_factor), every(quantity_factor));
        // Signed comparisons: a quote of these bits is below the largest of either kind.
        let below_whale = every(bounds.below_whale.min(i64::MAX as u64));
        let most_retail = every(bounds.retail.min(i64::MAX as u64));
        let (start, end) = (every(range.start as u64), every(range.end as u64));

        let groups = range.start / LANES..range.end.div_ceil(LANES);
        let mut place = _mm256_add_epi64(
            every((groups.start * LANES) as u64),
            _mm256_setr_epi64x(0, 1, 2, 3),
        );
        // The id that stands at place 0 if they count on.
        let mut expected =
            _mm256_add_epi64(place, every(first_id.wrapping_sub(range.start as u64)));
        let step = every(LANES as u64);
        let mut time_before = zero;
        let (mut odd, mut wide, mut quotes_or) = (zero, zero, zero);
        let (mut quantity, mut quote) = (Sums::new(), Sums::new());
        let (mut square_low, mut square_high) = (Sums::new(), Sums::new());
        let (mut whale, mut retail) = (Sums::new(), Sums::new());
        let (mut raw_trades, mut sold) = (zero, zero);
        let (mut high, mut low) = (zero, _mm256_set1_epi8(-1));

        let rows = &rows.as_chunks::<LANES>().0[groups.clone()];
        let makers = &makers.as_chunks::<LANES>().0[groups.clone()];
        for ((rows, makers), quotes) in rows.iter().zip(makers).zip(quotes.iter_mut()) {
            let inside = _mm256_andnot_si256(
                _mm256_cmpgt_epi64(start, place),
                _mm256_cmpgt_epi64(end, place),
            );
            let whole = rows.map(|row| bytemuck::cast::<_, __m256i>(row.halves()[0]));
            let decimal = rows.map(|row| bytemuck::cast::<_, __m256i>(row.halves()[1]));
            let [id, last, first, time] = columns(whole);
            let front = _mm256_unpacklo_epi64(decimal[0], decimal[1]);
            let back = _mm256_unpacklo_epi64(decimal[2], decimal[3]);
            let price = _mm256_permute2x128_si256::<0x20>(front, back);
            let amount = _mm256_permute2x128_si256::<0x31>(front, back);
            let price = _mm256_and_si256(price, inside);
            let amount = _mm256_and_si256(amount, inside);
            let is_sold = _mm256_and_si256(bytemuck::cast(*makers), inside);

            // Each time beside the one before it; before the first of all stands 0.
            let turned = _mm256_permute4x64_epi64::<0b10_01_00_11>(time);
            let before = _mm256_blend_epi32::<0b11>(turned, time_before);
            time_before = turned;
            let descends = _mm256_cmpgt_epi64(before, time);
            let descends = _mm256_andnot_si256(_mm256_cmpeq_epi64(place, start), descends);
            let wrong = _mm256_or_si256(
                _mm256_or_si256(_mm256_xor_si256(id, expected), descends),
                _mm256_cmpgt_epi64(first, last),
            );
            let wrong = _mm256_or_si256(wrong, _mm256_cmpeq_epi64(amount, zero));
            odd = _mm256_or_si256(odd, _mm256_and_si256(wrong, inside));

            // Factors of 32 bits and below.
            wide = _mm256_or_si256(wide, _mm256_or_si256(price, amount));
            let price = _mm256_mul_epu32(price, price_factor);
            let amount = _mm256_mul_epu32(amount, quantity_factor);
            wide = _mm256_or_si256(wide, _mm256_or_si256(price, amount));
            let value = _mm256_mul_epu32(price, amount);
            quotes_or = _mm256_or_si256(quotes_or, value);
            *quotes = bytemuck::cast(value);

            sold = _mm256_sub_epi64(sold, is_sold);
            let span = _mm256_add_epi64(_mm256_sub_epi64(last, first), one);
            raw_trades = _mm256_add_epi64(raw_trades, _mm256_and_si256(span, inside));
            quantity.add(amount, is_sold);
            high = _mm256_max_epu32(high, price);
            low = _mm256_min_epu32(
                low,
                _mm256_or_si256(price, _mm256_xor_si256(inside, _mm256_set1_epi8(-1))),
            );

            place = _mm256_add_epi64(place, step);
            expected = _mm256_add_epi64(expected, step);
        }

        let too_wide = _mm256_or_si256(
            _mm256_srli_epi64::<32>(wide),
            _mm256_srli_epi64::<{ QUOTE_BITS as i32 }>(quotes_or),
        );
        let refused = _mm256_or_si256(odd, too_wide);
        if _mm256_testz_si256(refused, refused) == 0 {
            return None;
        }
        // In a second round, so that each keeps its sums in registers.
        for (quotes, makers) in quotes[..groups.len()].iter().zip(makers) {
            let (value, is_sold) = (bytemuck::cast(*quotes), bytemuck::cast(*makers));
            quote.add(value, is_sold);
            let square = _mm256_mul_epu32(value, value);
            square_low.add(_mm256_and_si256(square, low_half), is_sold);
            square_high.add(_mm256_srli_epi64::<32>(square), is_sold);
            let is_whale = _mm256_cmpgt_epi64(value, below_whale);
            whale.add(_mm256_and_si256(value, is_whale), is_sold);
            let is_more = _mm256_cmpgt_epi64(value, most_retail);
            retail.add(_mm256_andnot_si256(is_more, value), is_sold);
        }
        let [quantity_all, quantity_sold, quote_all, quote_sold] =
            totals([quantity.all, quantity.sold, quote.all, quote.sold]);
        let [low_all, low_sold, high_all, high_sold] = totals([
            square_low.all,
            square_low.sold,
            square_high.all,
            square_high.sold,
        ]);
        let [whale_all, whale_sold, retail_all, retail_sold] =
            totals([whale.all, whale.sold, retail.all, retail.sold]);
        let [raw_trades, sold, ..] = totals([raw_trades, sold, zero, zero]);
        let square = |low: u64, high: u64| u128::from(low) + (u128::from(high) << 32);
        let (mut square_all, mut square_sold) =
            (square(low_all, high_all), square(low_sold, high_sold));
        let halves = _mm256_srli_epi64::<32>(quotes_or);
        if _mm256_testz_si256(halves, halves) == 0 {
            let [all, sold] = upper_squares(&quotes[..groups.len()], makers);
            square_all += all;
            square_sold += sold;
        }
        let by_side = |all: u64, sold: u64| [all - sold, sold];
        Some(Self {
            trades: [(range.len() as u32) - sold as u32, sold as u32],
            raw_trades,
            quantity: by_side(quantity_all, quantity_sold),
            quote: by_side(quote_all, quote_sold),
            quote_square: [square_all - square_sold, square_sold],
            whale: by_side(whale_all, whale_sold),
            retail: by_side(retail_all, retail_sold),
            high: across(high).into_iter().fold(0, u64::max),
            low: across(low)
                .into_iter()
                .fold(u64::MAX, |low, lane| low.min(lane & u64::from(u32::MAX))),
        })
    }
}

/// What the upper 32 bits of quotes add to the sum of their squares: of all of them, and where the taker sold.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn upper_squares(quotes: &[[u64; LANES]], makers: &[[u64; LANES]]) -> [u128; 2] {
    let (mut mixed, mut upper) = (Sums::new(), Sums::new());
    for (quotes, makers) in quotes.iter().zip(makers) {
        let (quote, sold) = (bytemuck::cast(*quotes), bytemuck::cast(*makers));
        let high = _mm256_srli_epi64::<32>(quote);
        mixed.add(_mm256_mul_epu32(high, quote), sold);
        upper.add(_mm256_mul_epu32(high, high), sold);
    }
    let [mixed_all, mixed_sold, upper_all, upper_sold] =
        totals([mixed.all, mixed.sold, upper.all, upper.sold]);
    let square = |mixed: u64, upper: u64| (u128::from(mixed) << 33) + (u128::from(upper) << 64);
    [square(mixed_all, upper_all), square(mixed_sold, upper_sold)]
}

/// Four rows as four columns.
#[inline]
#[target_feature(enable = "avx2")]
fn columns([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (front_even, front_odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (back_even, back_odd) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(front_even, back_even),
        _mm256_permute2x128_si256::<0x20>(front_odd, back_odd),
        _mm256_permute2x128_si256::<0x31>(front_even, back_even),
        _mm256_permute2x128_si256::<0x31>(front_odd, back_odd),
    ]
}

/// The sum over the lanes of each.
#[inline]
#[target_feature(enable = "avx2")]
fn totals(sums: [__m256i; 4]) -> [u64; 4] {
    let [a, b, c, d] = columns(sums);
    across(_mm256_add_epi64(
        _mm256_add_epi64(a, b),
        _mm256_add_epi64(c, d),
    ))
}

#[inline]
fn across(lanes: __m256i) -> [u64; 4] {
    bytemuck::cast(lanes)
}
