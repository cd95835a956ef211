//! Reading rows of a shape and of one length of price, 64 bytes at once (AVX-512 with VBMI).
//!
//! Prices next to each other mostly have the same length. Then everything before the quantity stands at a fixed place
//! from where the row begins, and everything from the quantity on at a fixed place from the row's last word: one
//! permutation of 32 bytes from the front and 64 from the back takes out the whole numbers, and another one the
//! decimals and every byte that only has to be what it is. Rows of other lengths are read by [`Shape::read`].

use std::arch::x86_64::*;

use super::{BEFORE, Fraction, PackedRow, Shape, WINDOW};

/// A shape and a length of price.
#[derive(Debug, Clone)]
pub(crate) struct WideShape {
    /// The bytes of the shortest row; the end of longer ones is looked for in the 32 behind it.
    shortest: usize,
    best_match: bool,
    words: [Word; 2],
    /// How many bytes before the end of the time are none of the quantity's digits.
    around_quantity: usize,
    /// How many digits of a quantity are read at least, and from then on how many lengths it has.
    digits: usize,
    lengths: usize,
    /// Id, first trade id, last trade id, time.
    whole: Lanes,
    /// Price, quantity, and bytes that have to be what they are.
    decimal: Lanes,
}

/// `,false` or `,true` in the upper bytes of eight.
#[derive(Debug, Clone, Copy)]
struct Word {
    mask: u64,
    bytes: u64,
}

/// Four times 16 bytes, the last one that of a number's last digit.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes {
    /// Which byte: as 0 to 31 the first of the row, as 64 to 127 those before the comma that ends its time.
    order: [u8; 64],
    /// `0` for a digit, else the byte that has to stand there.
    expected: [u8; 64],
    /// How far a byte may be above it: 9 for a digit, 255 where anything may stand.
    above: [u8; 64],
    /// What a digit counts in a number of two; 0 where none is.
    tens: [u8; 64],
}

impl Lanes {
    const ANYTHING: Self = Self {
        order: [0; 64],
        expected: [0; 64],
        above: [255; 64],
        tens: [0; 64],
    };

    /// A digit that stands so many places before the last of its lane, from one of the 128 bytes.
    fn digit(&mut self, lane: usize, before: usize, from: usize) {
        let place = lane * 16 + 15 - before;
        self.order[place] = from as u8;
        self.expected[place] = b'0';
        self.above[place] = 9;
        self.tens[place] = if before.is_multiple_of(2) { 1 } else { 10 };
    }

    /// A byte that has to be what it is.
    fn byte(&mut self, place: usize, from: usize, byte: u8) {
        self.order[place] = from as u8;
        self.expected[place] = byte;
        self.above[place] = 0;
    }
}

impl WideShape {
    /// `None` where the processor does not have what [`WideShape::read`] is compiled for, or 32 and 64 bytes do not hold
    /// the rows.
    #[cold]
    pub fn of(shape: &Shape, price_length: usize) -> Option<Self> {
        if !is_supported() || !shape.price.lengths.holds(price_length) {
            return None;
        }
        let Shape {
            id,
            first,
            last,
            time,
            price,
            quantity,
            ..
        } = shape;
        // The places of the last digits, and those of the commas before what is counted from the back.
        let back = |before: usize| 127 - before;
        let first_end = time + 1 + last + 1;
        let quantity_end = first_end + first + 1;
        let price_at = id + 1;
        let price_end = price_at + price_length;
        // The longest quantity: its first byte is still among the 64, and its digits leave one of their 16 places free.
        let rest = quantity.zeros + usize::from(quantity.point);
        let lengths = quantity.lengths;
        let most = 64usize.checked_sub(quantity_end)?.min(15 + rest);
        if price_end >= 32 || most < lengths.shortest {
            return None;
        }

        let mut whole = Lanes::ANYTHING;
        for before in 0..*id {
            whole.digit(0, before, id - 1 - before);
        }
        for (lane, digits, end) in [(1, first, first_end), (2, last, time + 1), (3, time, 0)] {
            for before in 0..*digits {
                whole.digit(lane, before, back(end + before));
            }
        }

        let mut decimal = Lanes::ANYTHING;
        let mut fixed = vec![
            (*id, b','),
            (price_end, b','),
            (back(*time), b','),
            (back(time + 1 + last), b','),
            (back(first_end + first), b','),
        ];
        let price_last = price_end - 1;
        let quantity_last = back(quantity_end);
        let read = |fraction: &Fraction, lane, last: usize, length: usize, decimal: &mut Lanes| {
            let last_read = last - fraction.zeros;
            let digits = length - fraction.zeros - usize::from(fraction.point);
            for before in 0..digits.min(16) {
                let point = usize::from(fraction.point && before >= fraction.read);
                decimal.digit(lane, before, last_read - before - point);
            }
        };
        read(price, 0, price_last, price_length, &mut decimal);
        read(quantity, 1, quantity_last, most, &mut decimal);
        for (fraction, last) in [(price, price_last), (quantity, quantity_last)] {
            for zero in 0..fraction.zeros {
                fixed.push((last - zero, b'0'));
            }
            if fraction.point {
                fixed.push((last - fraction.zeros - fraction.read, b'.'));
            }
        }
        for (at, (from, byte)) in fixed.into_iter().enumerate() {
            decimal.byte(32 + at, from, byte);
        }
        let words = shape.words.0.map(|word| {
            let unused = word.leading_zeros() / 8 * 8;
            Word {
                mask: u64::MAX << unused,
                bytes: word << unused,
            }
        });
        Some(Self {
            shortest: shape.lengths.shortest - price.lengths.shortest + price_length,
            best_match: shape.best_match,
            words,
            around_quantity: price_end + 1 + quantity_end + rest,
            digits: lengths.shortest - rest,
            lengths: most + 1 - lengths.shortest,
            whole,
            decimal,
        })
    }

    /// Reads a row as [`Shape::read`] does.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
    pub fn read<const SIMPLE: bool>(
        &self,
        window: &[u8; WINDOW],
        row: &mut PackedRow,
        maker: &mut u64,
    ) -> Option<usize> {
        let end = self.shortest + find_end(window, self.shortest)?;
        let mut word_end = end;
        if !SIMPLE && self.best_match {
            word_end = word_end.wrapping_sub(6 - self.word(window, word_end)?);
        }
        let word = self.word(window, word_end)?;
        let time_end = word_end.wrapping_sub(6 - word);
        let digits = time_end.wrapping_sub(self.around_quantity);
        if digits.wrapping_sub(self.digits) >= self.lengths {
            return None;
        }

        let front: [u8; 32] = window[BEFORE..BEFORE + 32].try_into().expect("32 bytes");
        let at = (time_end & 255) + BEFORE - 64;
        let back: [u8; 64] = window[at..at + 64].try_into().expect("64 bytes");
        let front = _mm512_castsi256_si512(bytemuck::cast(front));
        let back = bytemuck::cast(back);
        let take = |lanes: &Lanes| {
            let bytes = _mm512_permutex2var_epi8(front, load(&lanes.order), back);
            _mm512_xor_si512(bytes, load(&lanes.expected))
        };
        let whole = take(&self.whole);
        let decimal = _mm512_and_si512(take(&self.decimal), load(&WIDTHS[digits & 15].0));
        let odd = (
            _mm512_cmpgt_epu8_mask(whole, load(&self.whole.above)),
            _mm512_cmpgt_epu8_mask(decimal, load(&self.decimal.above)),
        );
        if odd.0 | odd.1 != 0 {
            return None;
        }
        let fours = |bytes, lanes: &Lanes| {
            let twos = _mm512_maddubs_epi16(bytes, load(&lanes.tens));
            _mm512_madd_epi16(twos, _mm512_set1_epi32(0x0001_0064))
        };
        let eights = _mm512_madd_epi16(
            _mm512_packus_epi32(fours(whole, &self.whole), fours(decimal, &self.decimal)),
            _mm512_set1_epi32(0x0001_2710),
        );
        let high = _mm512_mul_epu32(eights, _mm512_set1_epi64(100_000_000));
        // Id, price, first trade id, quantity, last trade id, nothing, time, nothing.
        let numbers = _mm512_add_epi64(high, _mm512_srli_epi64::<32>(eights));
        let order = _mm512_setr_epi64(0, 4, 2, 6, 1, 1, 3, 3);
        row.0 = bytemuck::cast(_mm512_permutexvar_epi64(order, numbers));
        *maker = (word as u64).wrapping_neg();
        Some(end)
    }

    /// Which word ends there, 1 for true; `None` if none does.
    #[inline]
    fn word(&self, window: &[u8; WINDOW], end: usize) -> Option<usize> {
        let at = (end & 255) + BEFORE - 8;
        let eight: [u8; 8] = window[at..at + 8].try_into().expect("8 bytes");
        let word = usize::from(eight[3] == b',');
        let Word { mask, bytes } = self.words[word];
        (u64::from_le_bytes(eight) & mask == bytes).then_some(word)
    }
}

/// Whether the processor has what [`WideShape::read`] is compiled for.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

#[repr(align(64))]
struct Mask([u8; 64]);

/// By how many digits a quantity has: all bits, but for what stands before them in its lane.
static WIDTHS: [Mask; 16] = {
    let mut widths = [const { Mask([0xff; 64]) }; 16];
    let mut width = 0;
    while width < 16 {
        let mut at = 16;
        while at < 32 - width {
            widths[width].0[at] = 0;
            at += 1;
        }
        width += 1;
    }
    widths
};

#[inline]
fn load(bytes: &[u8; 64]) -> __m512i {
    bytemuck::cast(*bytes)
}

/// How far behind the shortest row the row's end is; `None` where 32 bytes do not hold it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1")]
fn find_end(window: &[u8; WINDOW], shortest: usize) -> Option<usize> {
    let at = (shortest & 255) + BEFORE;
    let bytes: [u8; 32] = window[at..at + 32].try_into().expect("32 bytes");
    let found = _mm256_cmpeq_epi8(bytemuck::cast(bytes), _mm256_set1_epi8(b'\n' as i8));
    let found = _mm256_movemask_epi8(found) as u32;
    (found != 0).then(|| found.trailing_zeros() as usize)
}
