//! Periods of archives, and the range a person selects.

use std::ops::Range;
use std::str::FromStr;

use jiff::civil::Date;

use crate::NameError;

/// The time that one archive covers: a calendar month or a day, UTC.
///
/// Periods sort by their start, a month before its first day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A month, given by its first day.
    Month(Date),
    /// A day.
    Day(Date),
}

impl Period {
    /// The month that holds this date.
    pub fn month_of(date: Date) -> Self {
        Self::Month(date.first_of_month())
    }

    /// First day.
    pub fn first_day(self) -> Date {
        match self {
            Self::Month(date) | Self::Day(date) => date,
        }
    }

    /// Last day.
    pub fn last_day(self) -> Date {
        match self {
            Self::Month(date) => date.last_of_month(),
            Self::Day(date) => date,
        }
    }

    /// The month this period is or lies in.
    pub fn month(self) -> Self {
        Self::month_of(self.first_day())
    }

    /// First microsecond, UTC.
    pub fn start_us(self) -> i64 {
        midnight_us(self.first_day())
    }

    /// The microsecond after the last one, UTC.
    pub fn end_us(self) -> i64 {
        midnight_us(self.last_day()) + DAY_US
    }

    /// Number of minutes: 1,440 for a day, at most 44,640 for a month.
    pub fn minutes(self) -> usize {
        ((self.end_us() - self.start_us()) / 60_000_000) as usize
    }

    /// Whether this is a single day.
    pub fn is_day(self) -> bool {
        matches!(self, Self::Day(_))
    }

    /// `monthly` or `daily`, as the archive's folders are named.
    pub fn archive_folder(self) -> &'static str {
        match self {
            Self::Month(_) => "monthly",
            Self::Day(_) => "daily",
        }
    }

    /// The month after or before (`months` may be negative); `None` past the calendar's end.
    pub fn step_months(self, months: i32) -> Option<Self> {
        let span = jiff::Span::new().try_months(months).ok()?;
        Some(Self::month_of(
            self.month().first_day().checked_add(span).ok()?,
        ))
    }
}

const DAY_US: i64 = 86_400_000_000;

fn midnight_us(date: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = (date - epoch).get_days();
    i64::from(days) * DAY_US
}

impl PartialOrd for Period {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Period {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.first_day(), self.is_day()).cmp(&(other.first_day(), other.is_day()))
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Month(date) => write!(f, "{:04}-{:02}", date.year(), date.month()),
            Self::Day(date) => write!(f, "{date}"),
        }
    }
}

impl FromStr for Period {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::new("period", text, "YYYY-MM or YYYY-MM-DD");
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let shape: Vec<_> = text.split('-').collect();
        let number = |part: &str| part.parse::<i16>().map_err(|_| bad());
        if !shape.iter().all(|part| digits(part)) {
            return Err(bad());
        }
        let (year, month, day) = match shape[..] {
            [y, m] if y.len() == 4 && m.len() == 2 => (y, m, None),
            [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2 => (y, m, Some(d)),
            _ => return Err(bad()),
        };
        let day_number = day.map_or(Ok(1), number)?;
        let date =
            Date::new(number(year)?, number(month)? as i8, day_number as i8).map_err(|_| bad())?;
        if date.year() < 2009 {
            return Err(NameError::new(
                "period",
                text,
                "a date of this century's exchanges",
            ));
        }
        Ok(if day.is_some() {
            Self::Day(date)
        } else {
            Self::Month(date)
        })
    }
}

/// The day that holds a time, UTC; `None` for a time that no calendar has.
pub fn day_of(time_us: i64) -> Option<Date> {
    let time = jiff::Timestamp::from_microsecond(time_us).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// The days a person asked for, both ends inclusive; an open end means all there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DateRange {
    /// First day.
    pub first: Option<Date>,
    /// Last day.
    pub last: Option<Date>,
    /// Where given, only these months (each by its first day).
    pub months: Option<Vec<Period>>,
}

impl DateRange {
    /// Reads `--start`, `--end` (`YYYY-MM`, `YYYY-MM-DD`, or `-7d` counted back from `today`) and `--months`.
    ///
    /// # Errors
    ///
    /// Names the text that is no date, or the two ends when the start lies after the end.
    pub fn parse(
        start: Option<&str>,
        end: Option<&str>,
        months: Option<&str>,
        today: Date,
    ) -> Result<Self, NameError> {
        let first = start.map(|text| Ok(end_of(text, today)?.0)).transpose()?;
        let last = end.map(|text| Ok(end_of(text, today)?.1)).transpose()?;
        if let (Some(first), Some(last)) = (first, last)
            && first > last
        {
            let found = format!("{} .. {}", start.unwrap_or(""), end.unwrap_or(""));
            return Err(NameError::new(
                "range",
                &found,
                "--start must not lie after --end",
            ));
        }
        let months = months.map(parse_months).transpose()?;
        Ok(Self {
            first,
            last,
            months,
        })
    }

    /// The stretches of time that were asked for, in order and apart: UTC microseconds, the end of each not part of it.
    pub fn spans(&self) -> Vec<Range<i64>> {
        let first = self
            .first
            .map_or(i64::MIN, |day| Period::Day(day).start_us());
        let end = self.last.map_or(i64::MAX, |day| Period::Day(day).end_us());
        let mut months = match &self.months {
            None => return std::iter::once(first..end).collect(),
            Some(months) => months.clone(),
        };
        months.sort_unstable();
        let mut spans: Vec<Range<i64>> = Vec::new();
        for month in months {
            let span = month.start_us().max(first)..month.end_us().min(end);
            match spans.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ if span.is_empty() => {}
                _ => spans.push(span),
            }
        }
        spans
    }

    /// Whether any day of the period was asked for.
    pub fn touches(&self, period: Period) -> bool {
        self.first.is_none_or(|first| period.last_day() >= first)
            && self.last.is_none_or(|last| period.first_day() <= last)
            && self
                .months
                .as_ref()
                .is_none_or(|months| months.contains(&period.month()))
    }
}

fn parse_months(text: &str) -> Result<Vec<Period>, NameError> {
    text.split(',')
        .map(|item| match item.trim().parse()? {
            month @ Period::Month(_) => Ok(month),
            Period::Day(_) => Err(NameError::new("month", item, "YYYY-MM")),
        })
        .collect()
}

/// First and last day that one end of a range means.
fn end_of(text: &str, today: Date) -> Result<(Date, Date), NameError> {
    if let Some(days) = text
        .strip_prefix('-')
        .and_then(|rest| rest.strip_suffix('d'))
    {
        let bad = || NameError::new("date", text, "-Nd with N from 0 to 9999");
        let days: i32 = days.parse().map_err(|_| bad())?;
        if !(0..=9999).contains(&days) {
            return Err(bad());
        }
        let date = today
            .checked_sub(jiff::Span::new().days(days))
            .map_err(|_| bad())?;
        return Ok((date, date));
    }
    let period: Period = text
        .parse()
        .map_err(|_| NameError::new("date", text, "YYYY-MM, YYYY-MM-DD or -7d"))?;
    Ok((period.first_day(), period.last_day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn months_that_follow_each_other_are_one_stretch() {
        let range = DateRange::parse(
            None,
            None,
            Some("2024-03,2024-01,2024-02,2023-11,2024-01"),
            day("2024-06-01"),
        );
        let span = |first: &str, last: &str| {
            let [first, last] = [first, last].map(|text| text.parse::<Period>().unwrap());
            first.start_us()..last.end_us()
        };
        assert_eq!(
            range.unwrap().spans(),
            [span("2023-11", "2023-11"), span("2024-01", "2024-03")]
        );
        let days = DateRange::parse(Some("2024-01-31"), None, None, day("2024-06-01")).unwrap();
        let first_us = Period::Day(day("2024-01-31")).start_us();
        assert_eq!(days.spans().first(), Some(&(first_us..i64::MAX)));
    }

    #[test]
    fn a_month_knows_its_bounds() {
        let month: Period = "2024-02".parse().unwrap();
        assert_eq!(month.minutes(), 29 * 1440);
        assert_eq!(month.start_us(), 1_706_745_600_000_000);
        assert_eq!(month.end_us(), 1_709_251_200_000_000);
        assert_eq!(month.to_string(), "2024-02");
        assert_eq!(
            "2024-02-29".parse::<Period>().unwrap().to_string(),
            "2024-02-29"
        );
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in [
            "",
            "2024",
            "2024-13",
            "2024-2",
            "2024-02-30",
            "24-02",
            "2024-02-03-04",
            "+024-01",
            "1999-01",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_inside_a_month_selects_that_month() {
        let range =
            DateRange::parse(Some("2024-01-17"), Some("2024-02"), None, day("2024-06-01")).unwrap();
        assert!(range.touches("2024-01".parse().unwrap()));
        assert!(!range.touches("2024-01-16".parse().unwrap()));
        assert!(range.touches("2024-02-29".parse().unwrap()));
        assert!(!range.touches("2024-03".parse().unwrap()));
    }

    #[test]
    fn days_count_back_from_today() {
        let range = DateRange::parse(Some("-7d"), None, None, day("2024-03-03")).unwrap();
        assert_eq!(range.first, Some(day("2024-02-25")));
    }

    #[test]
    fn a_start_after_the_end_is_refused() {
        let error = DateRange::parse(Some("2024-03"), Some("2024-01"), None, day("2024-06-01"))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("--start must not lie after --end"),
            "{error}"
        );
    }

    #[test]
    fn months_sort_before_their_days() {
        let mut periods: Vec<Period> = ["2024-01-02", "2024-02", "2024-01", "2024-01-01"]
            .map(|p| p.parse().unwrap())
            .into();
        periods.sort();
        let texts: Vec<_> = periods.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["2024-01", "2024-01-01", "2024-01-02", "2024-02"]);
    }
}
