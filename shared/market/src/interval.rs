//! Kline intervals.

use crate::NameError;

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

/// The first Monday of the epoch, 1970-01-05: weeks are counted from it.
const MONDAY_US: i64 = 4 * 86_400_000_000;

impl Interval {
    /// One minute.
    pub const MINUTE: Self = Self {
        name: "1m",
        seconds: 60,
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
    /// Three-day bars have no grid that holds over all symbols; any midnight is accepted.
    pub fn is_on_grid(self, open_us: i64) -> bool {
        match self.name {
            "1w" => (open_us - MONDAY_US).rem_euclid(604_800_000_000) == 0,
            "3d" => open_us.rem_euclid(86_400_000_000) == 0,
            "1mo" => {
                let Ok(time) = jiff::Timestamp::from_microsecond(open_us) else {
                    return false;
                };
                let date = time.to_zoned(jiff::tz::TimeZone::UTC);
                open_us.rem_euclid(86_400_000_000) == 0 && date.day() == 1
            }
            _ => open_us.rem_euclid(i64::from(self.seconds) * 1_000_000) == 0,
        }
    }
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
}
