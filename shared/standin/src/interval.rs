use std::fmt;
use std::str::FromStr;

use crate::StandinError;
use crate::period::{DAY_US, Period};

/// A kline interval as the archive's paths write it (`1s`, `1m`, … `1w`, `1mo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    name: &'static str,
    /// Length in microseconds; `None` for the calendar month.
    length_us: Option<i64>,
}

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

const INTERVALS: [(&str, Option<i64>); 16] = [
    ("1s", Some(SECOND_US)),
    ("1m", Some(MINUTE_US)),
    ("3m", Some(3 * MINUTE_US)),
    ("5m", Some(5 * MINUTE_US)),
    ("15m", Some(15 * MINUTE_US)),
    ("30m", Some(30 * MINUTE_US)),
    ("1h", Some(HOUR_US)),
    ("2h", Some(2 * HOUR_US)),
    ("4h", Some(4 * HOUR_US)),
    ("6h", Some(6 * HOUR_US)),
    ("8h", Some(8 * HOUR_US)),
    ("12h", Some(12 * HOUR_US)),
    ("1d", Some(DAY_US)),
    ("3d", Some(3 * DAY_US)),
    ("1w", Some(7 * DAY_US)),
    ("1mo", None),
];

impl Interval {
    /// One minute.
    pub const MINUTE: Self = Self {
        name: "1m",
        length_us: Some(MINUTE_US),
    };

    /// The name in the archive's paths.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// Open times inside `period`, ascending, µs. Weeks open on Monday.
    pub(crate) fn opens(self, period: Period) -> impl Iterator<Item = i64> + use<> {
        let (start, end) = (period.start_us(), period.end_us());
        // The epoch was a Thursday; its week opened on Monday, three days before.
        let origin = if self.name == "1w" { -3 * DAY_US } else { 0 };
        let (first, step) = match self.length_us {
            Some(step) => (
                origin + (start - origin + step - 1).div_euclid(step) * step,
                step,
            ),
            // A month's bar opens where a month's archive starts; a single day holds one on the 1st.
            None if period.first_day().day() == 1 => (start, end - start),
            None => (end, DAY_US),
        };
        (0..)
            .map(move |n| first + n * step)
            .take_while(move |&open| open < end)
    }

    /// When the bar opened at `open_us` ends (exclusive), µs.
    pub(crate) fn end_of(self, open_us: i64, period: Period) -> i64 {
        match self.length_us {
            Some(step) => open_us + step,
            None => Period::Month(period.first_day()).end_us(),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Interval {
    type Err = StandinError;

    fn from_str(text: &str) -> Result<Self, StandinError> {
        INTERVALS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(name, length_us)| Self { name, length_us })
            .ok_or_else(|| {
                StandinError::invalid(
                    format!("interval {text:?}"),
                    "expected 1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w or 1mo",
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_open_on_monday_and_only_inside_the_period() {
        let interval: Interval = "1w".parse().unwrap();

        let opens: Vec<i64> = interval.opens("2024-01".parse().unwrap()).collect();

        // 2024-01-01 was a Monday.
        assert_eq!(opens.len(), 5);
        assert_eq!(opens[0], 1_704_067_200_000_000);
    }

    #[test]
    fn a_month_has_one_monthly_bar_that_ends_with_it() {
        let interval: Interval = "1mo".parse().unwrap();
        let period: Period = "2024-02".parse().unwrap();

        let opens: Vec<i64> = interval.opens(period).collect();

        assert_eq!(opens, [period.start_us()]);
        assert_eq!(interval.end_of(opens[0], period), period.end_us());
    }

    #[test]
    fn a_month_holds_44640_minutes() {
        assert_eq!(
            Interval::MINUTE.opens("2024-01".parse().unwrap()).count(),
            44_640
        );
    }
}
