//! What is missing, from elsewhere.

use super::bar::{Bar, FIELDS};
use super::fold::Folded;

/// Bars with what was missing in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completed {
    /// In order of time.
    pub bars: Vec<Bar>,
    /// Bars that were not there before.
    pub added: u64,
    /// Those of them that were made of fewer bars than they have room for.
    pub partial: u64,
}

/// Adds bars that are missing, and values that are, from bars that were made of finer ones. A value that is there wins.
///
/// Both in order of time, each time once. The average price follows from the volume and the amount and is not taken over.
pub fn complete(bars: &[Bar], made: &[Folded]) -> Completed {
    let mut done = Completed {
        bars: Vec::with_capacity(bars.len().max(made.len())),
        ..Completed::default()
    };
    let mut made = made.iter().peekable();
    for bar in bars {
        while let Some(folded) = made.next_if(|folded| folded.bar.open_us < bar.open_us) {
            done.add(folded);
        }
        let same = made.next_if(|folded| folded.bar.open_us == bar.open_us);
        done.bars
            .push(same.map_or(*bar, |folded| filled_in(bar, &folded.bar)));
    }
    for folded in made {
        done.add(folded);
    }
    done
}

impl Completed {
    fn add(&mut self, folded: &Folded) {
        self.bars.push(folded.bar);
        self.added += 1;
        self.partial += u64::from(folded.is_partial);
    }
}

fn filled_in(bar: &Bar, from: &Bar) -> Bar {
    let mut filled = *bar;
    for field in 0..FIELDS.len() {
        if filled.cells[field].is_nan() && field != super::bar::VWAP {
            filled.cells[field] = from.cells[field];
        }
    }
    filled.with_vwap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::bar::{CLOSE, VOLUME, VWAP};

    const HOUR_US: i64 = 3_600_000_000;

    fn bar(hour: i64, value: f64) -> Bar {
        Bar {
            open_us: hour * HOUR_US,
            cells: [value; FIELDS.len()],
        }
    }

    fn made(hour: i64, value: f64, is_partial: bool) -> Folded {
        Folded {
            bar: bar(hour, value),
            is_partial,
        }
    }

    #[test]
    fn a_value_that_is_there_wins_and_what_is_missing_comes_from_the_minutes() {
        let mut holed = bar(3, 3.0);
        holed.cells[CLOSE] = f64::NAN;
        let hours = [bar(2, 2.0), holed];
        let minutes = [
            made(1, 10.0, true),
            made(2, 20.0, false),
            made(3, 30.0, false),
            made(5, 50.0, false),
        ];

        let done = complete(&hours, &minutes);

        let mut mended = bar(3, 3.0);
        mended.cells[CLOSE] = 30.0;
        assert_eq!(done.bars, [bar(1, 10.0), bar(2, 2.0), mended, bar(5, 50.0)]);
        assert_eq!((done.added, done.partial), (2, 1));
    }

    #[test]
    fn an_average_price_is_never_that_of_another_volume() {
        let mut quiet = bar(1, 1.0);
        quiet.cells[VOLUME] = 0.0;
        quiet.cells[VWAP] = f64::NAN;

        let done = complete(&[quiet], &[made(1, 10.0, false)]);

        assert!(done.bars[0].cells[VWAP].is_nan());
        assert_eq!(done.bars[0].cells[VOLUME], 0.0);
    }
}
