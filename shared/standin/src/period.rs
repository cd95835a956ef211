use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::StandinError;

pub(crate) const DAY_US: i64 = 86_400_000_000;

/// What one archive covers: a calendar month or a day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A month, held as its first day.
    Month(Date),
    /// A day.
    Day(Date),
}

impl Period {
    /// `monthly` or `daily`, as in the archive's paths.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Month(_) => "monthly",
            Self::Day(_) => "daily",
        }
    }

    /// First microsecond of the period.
    pub fn start_us(self) -> i64 {
        epoch_us(self.first_day())
    }

    /// First microsecond after the period.
    pub fn end_us(self) -> i64 {
        epoch_us(self.next_day())
    }

    pub(crate) fn first_day(self) -> Date {
        match self {
            Self::Month(date) => date.first_of_month(),
            Self::Day(date) => date,
        }
    }

    /// The day after the period: when the exchange publishes the archive.
    pub(crate) fn next_day(self) -> Date {
        let last = match self {
            Self::Month(date) => date.last_of_month(),
            Self::Day(date) => date,
        };
        last.tomorrow().unwrap_or(Date::MAX)
    }
}

fn epoch_us(date: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = (date - epoch).get_days();
    i64::from(days) * DAY_US
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Month(date) => write!(f, "{:04}-{:02}", date.year(), date.month()),
            Self::Day(date) => write!(f, "{date}"),
        }
    }
}

impl FromStr for Period {
    type Err = StandinError;

    fn from_str(text: &str) -> Result<Self, StandinError> {
        let wrong = || {
            StandinError::invalid(
                format!("period {text:?}"),
                "expected a month such as 2024-01 or a day such as 2024-01-17, from 1970 to 9000",
            )
        };
        let day = match text.len() {
            7 => format!("{text}-01"),
            10 => text.to_owned(),
            _ => return Err(wrong()),
        };
        let date: Date = day.parse().map_err(|_| wrong())?;
        if !(1970..=9000).contains(&date.year()) {
            return Err(wrong());
        }
        Ok(match text.len() {
            7 => Self::Month(date),
            _ => Self::Day(date),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_month_spans_29_days() {
        let period: Period = "2024-02".parse().unwrap();

        let days = (period.end_us() - period.start_us()) / DAY_US;

        assert_eq!(days, 29);
        assert_eq!(period.start_us(), 1_706_745_600_000_000);
        assert_eq!(period.to_string(), "2024-02");
    }

    #[test]
    fn a_day_of_another_shape_is_refused() {
        for text in ["2024", "2024-13", "2024-02-30", "24-01-01", "2024/01", ""] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
