//! Kline intervals.

use crate::{NameError, Period, day_of};

/// An interval of the exchange's klines; `1mo` is a calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    name: &'static str,
    seconds: u32,
}

const ALL: [(&str, u32); 16] = [
    ("1s", 1),
    ("1m", 60),
    ("3m", 180),
    ("5m", 300),
    ("15m", 900),
    ("30m", 1800),
    ("1h", 3600),
    ("2h", 7200),
    ("4h", 14_400),
    ("6h", 21_600),
    ("8h", 28_800),
    ("12h", 43_200),
    ("1d", 86_400),
    ("3d", 259_200),
    ("1w", 604_800),
    ("1mo", 0),
];

const WEEK: u32 = 604_800;

const DAY_US: i64 = 86_400_000_000;

/// The first Monday of the epoch, 1970-01-05: weeks are counted from it.
const MONDAY_US: i64 = 4 * DAY_US;

impl Interval {
    /// One minute.
    pub const MINUTE: Self = Self {
        name: "1m",
        seconds: 60,
    };

    /// One hour.
    pub const HOUR: Self = Self {
        name: "1h",
        seconds: 3600,
    };

    /// One day.
    pub const DAY: Self = Self {
        name: "1d",
        seconds: 86_400,
    };

    /// The name in archive paths: a month is `1mo`, never `1M`.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// Length in microseconds; `None` for a calendar month.
    pub fn length_us(self) -> Option<i64> {
        (self.seconds > 0).then(|| i64::from(self.seconds) * 1_000_000)
    }

    /// Whether a bar may reach over the end of a day.
    pub fn is_longer_than_a_day(self) -> bool {
        self.seconds == 0 || self.seconds > 86_400
    }

    /// Whether a bar can open at this time: on the interval's UTC grid, weeks on Monday, months on the first.
    ///
    /// The exchange's three-day bars have no grid that holds over all symbols; any midnight is accepted.
    pub fn is_on_grid(self, open_us: i64) -> bool {
        match self.name {
            "3d" => open_us.rem_euclid(DAY_US) == 0,
            _ => self.open_of(open_us) == open_us,
        }
    }

    /// When the bar that holds this time opens, on the interval's UTC grid: weeks on Monday, months on the first.
    ///
    /// Bars of three days that are made of others are counted from 1970-01-01.
    pub fn open_of(self, time_us: i64) -> i64 {
        match self.length_us() {
            None => month_of(time_us).map_or(time_us, |month| month.start_us()),
            Some(length) if self.seconds == WEEK => {
                time_us - (time_us - MONDAY_US).rem_euclid(length)
            }
            Some(length) => time_us - time_us.rem_euclid(length),
        }
    }

    /// When the bar behind the one that opens at `open_us` opens.
    pub fn next(self, open_us: i64) -> i64 {
        match self.length_us() {
            None => month_of(open_us).map_or(open_us, |month| month.end_us()),
            Some(length) => open_us + length,
        }
    }

    /// Whether each bar of this interval is made of whole bars of `finer`, or of one.
    pub fn is_made_of(self, finer: Self) -> bool {
        if self == finer {
            return true;
        }
        match (self.length_us(), finer.length_us()) {
            (_, None) => false,
            // Of days, or of what days are made of.
            (None, Some(finer)) => DAY_US % finer == 0,
            // A week begins where no three days do.
            (Some(length), Some(finer)) => length > finer && length % finer == 0,
        }
    }
}

fn month_of(time_us: i64) -> Option<Period> {
    day_of(time_us).map(Period::month_of)
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::str::FromStr for Interval {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wanted = if text == "1M" { "1mo" } else { text };
        ALL.iter()
            .find(|(name, _)| *name == wanted)
            .map(|&(name, seconds)| Self { name, seconds })
            .ok_or_else(|| {
                let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
                NameError::new("interval", text, format!("one of {}", names.join(", ")))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_1mo_and_1m_is_a_minute() {
        assert_eq!("1M".parse::<Interval>().unwrap().as_str(), "1mo");
        assert_eq!("1m".parse::<Interval>().unwrap(), Interval::MINUTE);
        assert!("7m".parse::<Interval>().is_err());
    }

    #[test]
    fn the_grid_knows_weeks_and_months() {
        let week: Interval = "1w".parse().unwrap();
        let month: Interval = "1mo".parse().unwrap();
        let day = 86_400_000_000;
        assert!(
            week.is_on_grid(1_704_067_200_000_000),
            "2024-01-01 was a Monday"
        );
        assert!(!week.is_on_grid(1_704_067_200_000_000 + day));
        assert!(month.is_on_grid(1_706_745_600_000_000), "2024-02-01");
        assert!(!month.is_on_grid(1_706_745_600_000_000 + day));
        assert!(!Interval::MINUTE.is_on_grid(1_000_001));
    }

    #[test]
    fn bars_open_on_their_grid_and_follow_each_other() {
        let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let now = time("2024-02-29T13:47:11Z");
        for (interval, open, next) in [
            ("1m", "2024-02-29T13:47:00Z", "2024-02-29T13:48:00Z"),
            ("4h", "2024-02-29T12:00:00Z", "2024-02-29T16:00:00Z"),
            ("1d", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("1w", "2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"),
            ("1mo", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ] {
            let interval: Interval = interval.parse().unwrap();
            assert_eq!(interval.open_of(now), time(open), "{interval}");
            assert_eq!(interval.next(time(open)), time(next), "{interval}");
            assert!(interval.is_on_grid(time(open)), "{interval}");
            assert_eq!(interval.open_of(time(open)), time(open), "{interval}");
        }
        let before_the_epoch = time("1969-12-31T23:30:00Z");
        assert_eq!(Interval::DAY.open_of(before_the_epoch), -DAY_US);
    }

    #[test]
    fn bars_are_made_of_whole_finer_ones() {
        let is_made_of = |coarse: &str, fine: &str| {
            let [coarse, fine] = [coarse, fine].map(|name| name.parse::<Interval>().unwrap());
            coarse.is_made_of(fine)
        };
        for (coarse, fine) in [
            ("1h", "1m"),
            ("1h", "1h"),
            ("1d", "8h"),
            ("1w", "1d"),
            ("1mo", "12h"),
            ("1m", "1s"),
        ] {
            assert!(is_made_of(coarse, fine), "{coarse} of {fine}");
        }
        for (coarse, fine) in [
            ("8h", "6h"),
            ("1m", "1h"),
            ("1w", "3d"),
            ("1mo", "1w"),
            ("1mo", "3d"),
            ("1w", "1mo"),
        ] {
            assert!(!is_made_of(coarse, fine), "{coarse} of {fine}");
        }
    }
}
