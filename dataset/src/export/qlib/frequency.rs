//! The lengths of bars that are dumped, and what they are called where.

use tapemill_market::Interval;

/// A length of bars: shorter ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frequency {
    /// `1min`
    Minute,
    /// `60min`: `1h` is no frequency of Qlib's.
    Hour,
    /// `240min`
    FourHours,
    /// `day`
    Day,
}

impl Frequency {
    /// All, shorter ones first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::FourHours, Self::Day];

    /// The name in Qlib's file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "1min",
            Self::Hour => "60min",
            Self::FourHours => "240min",
            Self::Day => "day",
        }
    }

    /// The name in the collector's folders, as `source_1d`.
    pub fn of_collector(self) -> &'static str {
        match self {
            Self::Minute => "1min",
            Self::Hour => "60min",
            Self::FourHours => "4h",
            Self::Day => "1d",
        }
    }

    /// The interval of its bars.
    pub fn interval(self) -> Interval {
        match self {
            Self::Minute => Interval::MINUTE,
            Self::Hour => Interval::HOUR,
            Self::FourHours => "4h".parse().expect("it is an interval of the exchange"),
            Self::Day => Interval::DAY,
        }
    }

    /// The exchange's own bars.
    pub fn table(self) -> &'static str {
        match self {
            Self::Minute => "klines_1m",
            Self::Hour => "klines_1h",
            Self::FourHours => "klines_4h",
            Self::Day => "klines_1d",
        }
    }

    /// From one bar to the next, in microseconds.
    pub fn step_us(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::FourHours => 14_400_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

impl std::fmt::Display for Frequency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Frequency {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.trim() {
            "1min" | "1m" => Ok(Self::Minute),
            "60min" | "1h" => Ok(Self::Hour),
            "240min" | "4h" => Ok(Self::FourHours),
            "day" | "1d" => Ok(Self::Day),
            _ => Err("1min, 60min, 240min or day is expected (or 1m, 1h, 4h, 1d)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_frequency_means_it() {
        for frequency in Frequency::ALL {
            let interval = frequency.interval();
            assert_eq!(interval.length_us(), Some(frequency.step_us()));
            for name in [
                frequency.as_str(),
                frequency.of_collector(),
                interval.as_str(),
            ] {
                assert_eq!(name.parse(), Ok(frequency), "{name}");
            }
        }
        assert!("5min".parse::<Frequency>().is_err());
    }
}
