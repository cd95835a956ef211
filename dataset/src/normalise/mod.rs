//! Bars as researchers want them: each time once, in order, on a calendar without holes. Values in, values out.

mod bar;
mod complete;
mod fill;
mod fold;

pub use bar::{Bar, FIELDS};
pub use complete::{Completed, complete};
pub use fill::filled;
pub use fold::{Folded, fold};

use tapemill_market::Interval;

/// Bars in order of time; of those of one time the first counts.
pub fn distinct(mut bars: Vec<Bar>) -> Vec<Bar> {
    bars.sort_by_key(|bar| bar.open_us);
    bars.dedup_by_key(|bar| bar.open_us);
    bars
}

/// Leaves only bars that open on the interval's grid: no other has a place in a calendar.
pub fn on_grid(mut bars: Vec<Bar>, interval: Interval) -> Vec<Bar> {
    bars.retain(|bar| interval.is_on_grid(bar.open_us));
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_bars_of_one_time_the_first_counts() {
        let bar = |minute: i64, value: f64| Bar {
            open_us: minute * 60_000_000,
            cells: [value; FIELDS.len()],
        };
        let bars = vec![
            bar(3, 1.0),
            bar(1, 2.0),
            bar(3, 3.0),
            bar(1, 4.0),
            bar(2, 5.0),
        ];

        assert_eq!(distinct(bars), [bar(1, 2.0), bar(2, 5.0), bar(3, 1.0)]);
    }

    #[test]
    fn bars_between_two_places_of_the_calendar_have_none() {
        let at = |open_us: i64| Bar {
            open_us,
            ..Bar::empty(0)
        };
        let kept = on_grid(vec![at(0), at(1_000_000), at(60_000_000)], Interval::MINUTE);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1].open_us, 60_000_000);
    }
}
