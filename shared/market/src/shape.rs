//! The shape that the rows of one file share, and reading rows of that shape with 32-byte registers (AVX2).
//!
//! Rows of a file mostly differ in nothing but their digits and in the lengths of price, quantity and the last word.
//! So where a row ends and where its price ends is looked up, and everything else follows from these two places. Each
//! number is loaded as the 16 bytes before its end, six at a time are checked against what the shape has there and
//! turned from digits into integers; nothing branches on what a row holds, only on whether it has the shape. A row
//! without it is read by [`AggTrade::parse_plain`](crate::AggTrade), which then teaches the shape again. With AVX-512,
//! [`WideShape`] does the same in fewer steps for rows whose prices have one length.

mod wide;

use std::arch::x86_64::*;

pub(crate) use wide::WideShape;

use crate::agg_trade::PLAUSIBLE_US;
use crate::exact::POW10;

/// Bytes before a row that the reader may look at; what they are does not matter.
pub(crate) const BEFORE: usize = 64;

/// Bytes that the reader may look at: those before a row and any 32 that begin within its first 256, so that a masked
/// place is always inside. Places are counted from where the row begins.
pub(crate) const WINDOW: usize = 256 + BEFORE + 32;

/// The shortest rows of a shape have at most so many bytes.
const LONGEST: usize = 160;

/// The rows of a shape have so many lengths, from the shortest on: their ends are looked for in a register.
const ROW_LENGTHS: usize = 32;

/// A row of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapedRow {
    pub id: u64,
    /// In the scales that the shape was made for.
    pub price: u64,
    pub quantity: u64,
    /// From its first trade id to its last.
    pub raw_trades: u64,
    pub time_us: i64,
    pub buyer_is_maker: bool,
}

/// A row as it leaves the registers: the numbers as they are written, neither scaled nor held against each other.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct PackedRow(pub [u64; 8]);

impl PackedRow {
    pub const NOTHING: Self = Self([0; 8]);

    /// Id, last trade id, first trade id, time; price, price, quantity, quantity.
    #[inline]
    pub fn halves(&self) -> [[u64; 4]; 2] {
        bytemuck::cast(self.0)
    }
}

/// Whether the processor has what [`Shape::read`] is compiled for.
#[inline]
pub(crate) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// What the rows of a file have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    id: usize,
    first: usize,
    last: usize,
    time: usize,
    price: Fraction,
    quantity: Fraction,
    /// How many bytes a row has.
    lengths: Lengths,
    /// Whether price or quantity have zeros that are not read.
    zeros: bool,
    /// Whether the rows have an eighth column.
    best_match: bool,
    words: Words,
    /// Microseconds of one unit of time.
    unit_us: u64,
    /// The scales of the prices and quantities it reads.
    pub scales: (u8, u8),
    /// What stands where in the 16 bytes of each number, and how far a byte may be above it.
    id_and_first: Lanes,
    last_and_time: Lanes,
    price_and_quantity: Lanes,
}

/// How the decimals of a column are written: a point or none, decimals that are read, zeros behind them.
#[derive(Debug, Clone, Copy)]
struct Fraction {
    point: bool,
    read: usize,
    zeros: usize,
    /// What makes what is read a number of the wanted scale.
    factor: u64,
    /// The bits, of the last eight bytes, that hold the zeros.
    zero_bits: u64,
    /// How many bytes it has.
    lengths: Lengths,
}

/// From a shortest length on, so many.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    shortest: usize,
    count: usize,
}

impl Lengths {
    fn new(range: std::ops::Range<usize>) -> Self {
        Self {
            shortest: range.start,
            count: range.len(),
        }
    }

    #[inline]
    fn holds(self, length: usize) -> bool {
        length.wrapping_sub(self.shortest) < self.count
    }
}

/// `,false` in the lower six bytes and `,true` in the lower five, in the file's case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words([u64; 2]);

/// Two times 16 bytes, the last one that of a number's last digit.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    /// `0` for a digit, else the byte that has to stand there.
    expected: [u8; 32],
    /// 9 for a digit, else 0.
    above: [u8; 32],
    /// All bits where there is something to be checked.
    checked: [u8; 32],
    /// Takes out the point.
    order: [u8; 32],
}

impl Lanes {
    const NONE: Self = Self {
        expected: [0; 32],
        above: [0; 32],
        checked: [0; 32],
        order: [0x80; 32],
    };

    /// A whole number of so many digits behind a comma, in lane 0 or 1.
    fn whole(&mut self, lane: usize, digits: usize, comma: bool) {
        for at in 0..16 {
            let place = lane * 16 + at;
            let before = 15 - at;
            if before < digits {
                self.expected[place] = b'0';
                self.above[place] = 9;
                self.checked[place] = 0xff;
            } else if before == digits && comma {
                self.expected[place] = b',';
                self.checked[place] = 0xff;
            }
        }
    }

    /// A decimal, of any number of digits before the point.
    fn decimal(&mut self, lane: usize, fraction: &Fraction) {
        for at in 0..16 {
            let place = lane * 16 + at;
            let before = 15 - at;
            let is_point = fraction.point && before == fraction.read;
            self.expected[place] = if is_point { b'.' } else { b'0' };
            self.above[place] = if is_point { 0 } else { 9 };
            // The bytes from the point on move down by one.
            let from = if fraction.point && before >= fraction.read {
                at.wrapping_sub(1)
            } else {
                at
            };
            self.order[place] = if from < 16 { from as u8 } else { 0x80 };
        }
    }
}

impl Fraction {
    /// Of a cell as it is written, for numbers of a scale that holds all of its decimals that are not zero.
    fn of(cell: &[u8], scale: u8) -> Option<Self> {
        let scale = usize::from(scale);
        let point = cell.iter().position(|&byte| byte == b'.');
        let decimals = point.map_or(0, |at| cell.len() - at - 1);
        if point.is_some() && decimals == 0 {
            return None;
        }
        let read = decimals.min(scale);
        let zeros = decimals - read;
        // Zeros are checked in eight bytes. A factor of up to 1000 leaves 16 digits within 64 bits.
        let missing = scale - read;
        if zeros > 8 || missing > 3 {
            return None;
        }
        let shortest = if point.is_some() { 2 + decimals } else { 1 };
        Some(Self {
            point: point.is_some(),
            read,
            zeros,
            factor: POW10[missing],
            zero_bits: if zeros == 0 {
                0
            } else {
                u64::MAX << (64 - 8 * zeros)
            },
            lengths: Lengths::new(shortest..17 + zeros),
        })
    }
}

impl Words {
    fn of(word: &[u8]) -> Option<Self> {
        let (yes, no) = match word {
            b"true" | b"false" => (b",true", b",false"),
            b"True" | b"False" => (b",True", b",False"),
            b"TRUE" | b"FALSE" => (b",TRUE", b",FALSE"),
            _ => return None,
        };
        let number = |text: &[u8]| {
            text.iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        Some(Self([number(no), number(yes)]))
    }
}

/// The digits that a place shows of a whole number: all bytes of it, 1 to `most`.
fn digits(cell: &[u8], most: usize) -> Option<usize> {
    let whole = (1..=most).contains(&cell.len()) && cell.iter().all(u8::is_ascii_digit);
    whole.then_some(cell.len())
}

impl Shape {
    /// The shape of a row, for numbers of the scales `price` and `quantity`, which hold what the row holds.
    #[cold]
    pub fn of(row: &[u8], price: u8, quantity: u8) -> Option<Self> {
        let cells: Vec<&[u8]> = row.split(|&byte| byte == b',').collect();
        let best_match = match cells.len() {
            7 => false,
            8 => true,
            _ => return None,
        };
        let words = Words::of(cells[6])?;
        if best_match && Words::of(cells[7])? != words {
            return None;
        }
        let (id, first, last) = (
            digits(cells[0], 16)?,
            digits(cells[3], 15)?,
            digits(cells[4], 15)?,
        );
        let (time, unit_us) = match digits(cells[5], 16)? {
            13 => (13, 1000),
            16 => (16, 1),
            _ => return None,
        };
        let scales = (price, quantity);
        let price = Fraction::of(cells[1], price)?;
        let quantity = Fraction::of(cells[2], quantity)?;
        let words_length = if best_match { 10 } else { 5 };
        let shortest = id
            + price.lengths.shortest
            + quantity.lengths.shortest
            + first
            + last
            + time
            + 5
            + words_length;
        if shortest > LONGEST {
            return None;
        }
        let mut id_and_first = Lanes::NONE;
        id_and_first.whole(0, id, false);
        id_and_first.whole(1, first, true);
        let mut last_and_time = Lanes::NONE;
        last_and_time.whole(0, last, true);
        last_and_time.whole(1, time, true);
        let mut price_and_quantity = Lanes::NONE;
        price_and_quantity.decimal(0, &price);
        price_and_quantity.decimal(1, &quantity);
        Some(Self {
            id,
            first,
            last,
            time,
            price,
            quantity,
            lengths: Lengths::new(shortest..shortest + ROW_LENGTHS),
            zeros: price.zeros + quantity.zeros > 0,
            best_match,
            words,
            unit_us,
            scales,
            id_and_first,
            last_and_time,
            price_and_quantity,
        })
    }

    /// The row in units of the scales; `None` where its times or trade ids are odd.
    #[inline]
    pub fn unpacked(&self, row: &PackedRow, buyer_is_maker: bool) -> Option<ShapedRow> {
        let [id, last_trade_id, first_trade_id, _, price, _, quantity, _] = row.0;
        let time_us = self.time_us(row);
        if last_trade_id < first_trade_id || !PLAUSIBLE_US.contains(&time_us) {
            return None;
        }
        Some(ShapedRow {
            id,
            price: price * self.price.factor,
            quantity: quantity * self.quantity.factor,
            raw_trades: last_trade_id - first_trade_id + 1,
            time_us,
            buyer_is_maker,
        })
    }

    /// The row's time, which has at most 16 digits.
    #[inline]
    pub fn time_us(&self, row: &PackedRow) -> i64 {
        (row.0[3] * self.unit_us) as i64
    }

    /// Whether the rows have no eighth column and no zeros that are not read: such rows are read faster.
    #[inline]
    pub fn is_simple(&self) -> bool {
        !self.best_match && !self.zeros
    }

    /// What makes a packed price and quantity numbers of the scales.
    #[inline]
    pub fn factors(&self) -> (u64, u64) {
        (self.price.factor, self.quantity.factor)
    }

    /// Reads the row that begins behind the first [`BEFORE`] bytes and says how long it is, `\n` not counted; `None`
    /// when it has another shape. `maker` becomes all bits where the buyer is the maker, else none.
    ///
    /// `SIMPLE` is what [`Shape::is_simple`] says. The row's end is the first `\n` that is no sooner than the shortest
    /// row's: a sooner one would stand where the shape has something else.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub fn read<const SIMPLE: bool>(
        &self,
        window: &[u8; WINDOW],
        row: &mut PackedRow,
        maker: &mut u64,
    ) -> Option<usize> {
        let end = self.lengths.shortest + find(window, self.lengths.shortest, b'\n');
        if !self.lengths.holds(end) {
            return None;
        }
        // The word or two before the end.
        let mut word_end = end;
        if !SIMPLE && self.best_match {
            let (is_true, known) = self.words.at(window, end);
            if !known {
                return None;
            }
            word_end = end.wrapping_sub(6 - usize::from(is_true));
        }
        let (is_true, known) = self.words.at(window, word_end);
        if !known {
            return None;
        }

        // Every comma: one before the price, one behind it, and those before the word.
        let price_at = self.id + 1;
        let price_length = find(window, price_at, b',');
        let price_end = price_at + price_length;
        let time_end = word_end.wrapping_sub(6 - usize::from(is_true));
        let last_end = time_end.wrapping_sub(self.time + 1);
        let first_end = last_end.wrapping_sub(self.last + 1);
        let quantity_end = first_end.wrapping_sub(self.first + 1);
        let quantity_length = quantity_end.wrapping_sub(price_end + 1);
        if !self.price.lengths.holds(price_length)
            || !self.quantity.lengths.holds(quantity_length)
            || byte(window, price_at - 1) != b','
            || byte(window, last_end) != b','
        {
            return None;
        }
        let (price_zeros, quantity_zeros) = if SIMPLE {
            (0, 0)
        } else {
            (self.price.zeros, self.quantity.zeros)
        };

        // Six numbers, and whether all that should be digits are digits.
        let ids = pair(
            window,
            price_at - 1,
            quantity_end.wrapping_add(self.first + 1),
        );
        let times = pair(window, first_end.wrapping_add(self.last + 1), time_end);
        let values = pair(
            window,
            price_end - price_zeros,
            quantity_end.wrapping_sub(quantity_zeros),
        );
        let widths = widths(price_length - price_zeros, quantity_length - quantity_zeros);
        let (ids, odd_ids) = self
            .id_and_first
            .check(ids, load(&self.id_and_first.checked));
        let (times, odd_times) = self
            .last_and_time
            .check(times, load(&self.last_and_time.checked));
        let (values, odd_values) = self.price_and_quantity.check(values, widths);
        let zeros = if !SIMPLE && self.zeros {
            (eight(window, price_end) ^ ZEROS) & self.price.zero_bits
                | (eight(window, quantity_end) ^ ZEROS) & self.quantity.zero_bits
        } else {
            0
        };
        let odd = _mm256_or_si256(_mm256_or_si256(odd_ids, odd_times), odd_values);
        if _mm256_testz_si256(odd, odd) == 0 || zeros != 0 {
            return None;
        }
        // Commas are 0 by now, as are the places that were not checked.
        let values = _mm256_shuffle_epi8(values, load(&self.price_and_quantity.order));
        row.0 = bytemuck::cast([numbers(ids, times), numbers(values, values)]);
        *maker = u64::from(is_true).wrapping_neg();
        Some(end)
    }
}

impl Words {
    /// Whether the word that ends there is true, and whether it is a word at all.
    ///
    /// By its length and then by a look at the one word of this length: which of two words it is, a branch on it would
    /// guess wrong every other row.
    #[inline]
    fn at(&self, window: &[u8; WINDOW], end: usize) -> (bool, bool) {
        let eight = eight(window, end);
        let is_true = (eight >> 24) as u8 == b',';
        let word = usize::from(is_true);
        (is_true, eight >> (16 + 8 * word) == self.0[word])
    }
}

impl Lanes {
    /// The values of what should be digits, and what is not 0 where something else stands.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn check(&self, bytes: __m256i, checked: __m256i) -> (__m256i, __m256i) {
        let values = _mm256_and_si256(_mm256_xor_si256(bytes, load(&self.expected)), checked);
        (values, _mm256_subs_epu8(values, load(&self.above)))
    }
}

/// The numbers of 16 digits in the lanes of both: `[left 0, right 0, left 1, right 1]`.
#[inline]
#[target_feature(enable = "avx2")]
fn numbers(left: __m256i, right: __m256i) -> __m256i {
    let tens = _mm256_set1_epi16(0x010a);
    let hundreds = _mm256_set1_epi32(0x0001_0064);
    let ten_thousands = _mm256_set1_epi32(0x0001_2710);
    let twos = |digits| _mm256_maddubs_epi16(digits, tens);
    let fours = |digits| _mm256_madd_epi16(twos(digits), hundreds);
    let eights = _mm256_madd_epi16(
        _mm256_packus_epi32(fours(left), fours(right)),
        ten_thousands,
    );
    let high = _mm256_mul_epu32(eights, _mm256_set1_epi64x(100_000_000));
    _mm256_add_epi64(high, _mm256_srli_epi64::<32>(eights))
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// 16 bytes of nothing, then 16 of all bits: from place `w` on, the mask of the last `w` of 16 bytes.
static WIDTHS: [u8; 48] = {
    let mut widths = [0; 48];
    let mut at = 16;
    while at < 48 {
        widths[at] = 0xff;
        at += 1;
    }
    widths
};

#[inline]
#[target_feature(enable = "avx2")]
fn widths(first: usize, second: usize) -> __m256i {
    let mask = |width: usize| {
        let at = width & 31;
        bytemuck::cast::<[u8; 16], __m128i>(WIDTHS[at..at + 16].try_into().expect("16 bytes"))
    };
    _mm256_set_m128i(mask(second), mask(first))
}

/// The 16 bytes before each of two places.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(window: &[u8; WINDOW], first: usize, second: usize) -> __m256i {
    let lane = |end: usize| {
        let at = (end & 255) + BEFORE - 16;
        bytemuck::cast::<[u8; 16], __m128i>(window[at..at + 16].try_into().expect("16 bytes"))
    };
    _mm256_set_m128i(lane(second), lane(first))
}

#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    bytemuck::cast(*bytes)
}

/// How far from a place a byte is; 32 where the 32 bytes there do not hold it.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn find(window: &[u8; WINDOW], at: usize, byte: u8) -> usize {
    let at = (at & 255) + BEFORE;
    let bytes: [u8; 32] = window[at..at + 32].try_into().expect("32 bytes");
    let found = _mm256_cmpeq_epi8(bytemuck::cast(bytes), _mm256_set1_epi8(byte as i8));
    (_mm256_movemask_epi8(found) as u32).trailing_zeros() as usize
}

/// The eight bytes before a place.
#[inline]
fn eight(window: &[u8; WINDOW], end: usize) -> u64 {
    let at = (end & 255) + BEFORE - 8;
    u64::from_le_bytes(window[at..at + 8].try_into().expect("8 bytes"))
}

#[inline]
fn byte(window: &[u8; WINDOW], at: usize) -> u8 {
    window[(at & 255) + BEFORE]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decimal::Decimal;

    const UM: &str = "1931204417,42283.5,0.200,4300000000,4300000002,1701388801043,false";
    const SPOT: &str =
        "3800397495,87648.21000000,0.08185000,5723703861,5723703861,1767225600039409,True,False";
    const WHOLE: &str = "26129,0.08412,1500,27781,27783,1701388801043,true";

    /// What the shape reads where `row` stands between other bytes.
    fn read(shape: &Shape, row: &[u8]) -> Option<ShapedRow> {
        if !is_supported() {
            return None;
        }
        let mut window = [b'7'; WINDOW];
        window[BEFORE - 1] = b'\n';
        window[BEFORE..BEFORE + row.len()].copy_from_slice(row);
        window[BEFORE + row.len()] = b'\n';
        let (mut packed, mut maker) = (PackedRow::NOTHING, 0);
        // SAFETY: the processor has what the function is compiled for, as was just asked.
        #[expect(unsafe_code, reason = "the function under test")]
        let length = unsafe {
            if shape.is_simple() {
                shape.read::<true>(&window, &mut packed, &mut maker)
            } else {
                shape.read::<false>(&window, &mut packed, &mut maker)
            }
        };
        assert!(
            length.is_none_or(|length| length == row.len()),
            "{length:?}"
        );
        let read = length.and_then(|_| shape.unpacked(&packed, maker != 0));
        if let Some(wide) = read_wide(shape, row, &window) {
            assert_eq!(wide, read, "the wide reader of {row:?}");
        }
        read
    }

    /// What the wide reader reads, for the row's own length of price; `None` where it leaves the row to the other one.
    fn read_wide(shape: &Shape, row: &[u8], window: &[u8; WINDOW]) -> Option<Option<ShapedRow>> {
        let price = row.split(|&byte| byte == b',').nth(1)?;
        let wide = WideShape::of(shape, price.len())?;
        let (mut packed, mut maker) = (PackedRow::NOTHING, 0);
        // SAFETY: there is a wide shape only where the processor has what the function is compiled for.
        #[expect(unsafe_code, reason = "the function under test")]
        let length = unsafe {
            if shape.is_simple() {
                wide.read::<true>(window, &mut packed, &mut maker)
            } else {
                wide.read::<false>(window, &mut packed, &mut maker)
            }
        }?;
        assert_eq!(length, row.len());
        Some(shape.unpacked(&packed, maker != 0))
    }

    #[test]
    fn the_wide_reader_reads_what_rows_mostly_are() {
        for (row, price, quantity) in [
            (UM, 1, 3),
            (UM, 2, 4),
            (SPOT, 2, 5),
            (SPOT, 8, 8),
            (WHOLE, 5, 0),
        ] {
            let shape = Shape::of(row.as_bytes(), price, quantity).unwrap();
            let mut window = [b'7'; WINDOW];
            window[BEFORE..BEFORE + row.len()].copy_from_slice(row.as_bytes());
            window[BEFORE + row.len()] = b'\n';
            if WideShape::of(&shape, row.split(',').nth(1).unwrap().len()).is_some() {
                let read = read_wide(&shape, row.as_bytes(), &window);
                let expected = careful(row.as_bytes(), price, quantity);
                assert_eq!(read, Some(expected), "{row}");
            } else {
                assert!(!wide::is_supported(), "{row}");
            }
        }
    }

    /// What the careful reader makes of a row, in the scales.
    fn careful(row: &[u8], price: u8, quantity: u8) -> Option<ShapedRow> {
        let trade = crate::AggTrade::parse(row).ok()?;
        let at = |decimal: Decimal, scale| u64::try_from(decimal.mantissa_at(scale)?).ok();
        Some(ShapedRow {
            id: trade.id,
            price: at(trade.price, price)?,
            quantity: at(trade.quantity, quantity)?,
            raw_trades: trade.last_trade_id - trade.first_trade_id + 1,
            time_us: trade.time_us,
            buyer_is_maker: trade.buyer_is_maker,
        })
    }

    #[test]
    fn a_row_of_each_market_reads_by_its_own_shape() {
        for (row, price, quantity) in [
            (UM, 1, 3),
            (UM, 2, 4),
            (SPOT, 2, 5),
            (SPOT, 8, 8),
            (WHOLE, 5, 0),
        ] {
            let shape = Shape::of(row.as_bytes(), price, quantity).unwrap();
            let expected = careful(row.as_bytes(), price, quantity).unwrap();
            if is_supported() {
                assert_eq!(read(&shape, row.as_bytes()), Some(expected), "{row}");
            }
        }
    }

    #[test]
    fn lengths_of_price_and_quantity_and_the_word_may_change() {
        let shape = Shape::of(UM.as_bytes(), 1, 3).unwrap();
        for row in [
            "1931204418,9.5,0.000,4300000003,4300000003,1701388801044,true",
            "1931204418,1234567890.5,1234.567,4300000003,4300000003,1701388801044,false",
        ] {
            let expected = careful(row.as_bytes(), 1, 3).unwrap();
            if is_supported() {
                assert_eq!(read(&shape, row.as_bytes()), Some(expected), "{row}");
            }
        }
    }

    #[test]
    fn decimals_beyond_the_scales_are_not_read() {
        let shape = Shape::of(SPOT.as_bytes(), 2, 5).unwrap();
        assert_eq!(
            read(&shape, SPOT.replace("21000000", "21100000").as_bytes()),
            None
        );
        assert_eq!(
            read(&shape, SPOT.replace("08185000", "08185001").as_bytes()),
            None
        );
    }

    #[test]
    fn odd_rows_have_no_shape() {
        for row in [
            "",
            "1,2,3",
            "a,1.5,1,1,1,1701388801043,true",
            "1,1.,1,1,1,1701388801043,true",
            "1,1,1,1,1,1701388801043,yes",
        ] {
            assert!(Shape::of(row.as_bytes(), 2, 2).is_none(), "{row}");
        }
    }

    fn rows() -> impl Strategy<Value = (&'static str, u8, u8)> {
        prop::sample::select(vec![(UM, 1u8, 3u8), (SPOT, 2, 5), (WHOLE, 5, 0)])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn whatever_it_reads_the_careful_reader_reads_alike(
            (row, price, quantity) in rows(),
            changes in prop::collection::vec((0usize..100, prop::sample::select(b"0123456789,.-/:;TtFfeE\n\r \"\x00\xb0\xff".to_vec()), 0u8..3), 1..4),
        ) {
            let shape = Shape::of(row.as_bytes(), price, quantity).unwrap();
            let mut changed = row.as_bytes().to_vec();
            for (at, byte, how) in changes {
                let at = at % changed.len();
                match how {
                    0 => changed[at] = byte,
                    1 => changed.insert(at, byte),
                    _ => { changed.remove(at); }
                }
            }
            changed.truncate(changed.iter().position(|&byte| byte == b'\n').unwrap_or(changed.len()));
            if let Some(read) = read(&shape, &changed) {
                prop_assert_eq!(Some(read), careful(&changed, price, quantity));
            }
        }

        #[test]
        fn digits_of_any_value_are_read(
            id in 1_000_000_000u64..9_999_999_999, price in 0u64..99_999_999, quantity in 0u64..999_999_999_999,
            first in 1_000_000_000u64..9_000_000_000, more in 0u64..900, time in 1_500_000_000_000u64..2_000_000_000_000, maker: bool,
        ) {
            let shape = Shape::of(UM.as_bytes(), 1, 3).unwrap();
            let row = format!("{id},{}.{},{}.{:03},{first},{},{time},{maker}",
                price / 10, price % 10, quantity / 1000, quantity % 1000, first + more);
            let expected = careful(row.as_bytes(), 1, 3).unwrap();
            if is_supported() {
                prop_assert_eq!(read(&shape, row.as_bytes()), Some(expected));
            }
        }
    }
}
