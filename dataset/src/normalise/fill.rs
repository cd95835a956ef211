//! A calendar without holes.

use std::iter;

use tapemill_market::Interval;

use super::Bar;

/// Ascending bars of the grid, with an empty one wherever the calendar, which knows no night and no weekend, has a bar
/// between two of them. `after` is the open of the last bar before these.
pub fn filled(
    bars: &[Bar],
    after: Option<i64>,
    interval: Interval,
) -> impl Iterator<Item = Bar> + '_ {
    bars.iter()
        .scan(after, move |last, bar| {
            let from_us = last.map_or(bar.open_us, |last| interval.next(last));
            *last = Some(bar.open_us);
            Some((from_us, *bar))
        })
        .flat_map(move |(from_us, bar)| {
            iter::successors(Some(from_us), move |&open_us| Some(interval.next(open_us)))
                .take_while(move |&open_us| open_us < bar.open_us)
                .map(Bar::empty)
                .chain(iter::once(bar))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_within_and_up_to_the_first() {
        let minute = |at: i64| Bar {
            open_us: at * 60_000_000,
            cells: [1.0; 10],
        };
        let bars = [minute(5), minute(7), minute(8)];
        let opens = |after: Option<i64>| {
            let filled = filled(&bars, after.map(|at| at * 60_000_000), Interval::MINUTE);
            let opens = filled.map(|bar| (bar.open_us / 60_000_000, bar.is_empty()));
            opens.collect::<Vec<_>>()
        };

        assert_eq!(opens(None), [(5, false), (6, true), (7, false), (8, false)]);
        assert_eq!(opens(Some(3))[..2], [(4, true), (5, false)]);
        assert_eq!(opens(Some(4)), opens(None));
    }

    #[test]
    fn months_follow_each_other_by_the_calendar() {
        let month: Interval = "1mo".parse().unwrap();
        let at = |text: &str| Bar {
            open_us: text.parse::<jiff::Timestamp>().unwrap().as_microsecond(),
            cells: [1.0; 10],
        };
        let bars = [at("2024-01-01T00:00:00Z"), at("2024-04-01T00:00:00Z")];
        let opens: Vec<_> = filled(&bars, None, month).map(|bar| bar.open_us).collect();
        assert_eq!(
            opens[1..3],
            [
                at("2024-02-01T00:00:00Z").open_us,
                at("2024-03-01T00:00:00Z").open_us
            ]
        );
    }
}
