//! What the archive lists and what was asked for → which archives to mill, and which are missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DateRange, Period};
use jiff::civil::Date;

/// One symbol's archives of one kind, as listed: each period and its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Monthly archives.
    pub months: BTreeMap<Period, u64>,
    /// Daily archives; only those of months without a monthly one matter.
    pub days: BTreeMap<Period, u64>,
}

/// Which archives to mill for one symbol and kind, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The archives and their sizes.
    pub archives: Vec<(Period, u64)>,
    /// Whole months (or days of months with some) between the first and the last archive that have none.
    pub holes: Vec<Period>,
}

/// A day inside a month selects that month's archive; the days of a month that has none have their own.
///
/// Holes are looked for between the first archive and the last; with an end asked for, up to that end or `yesterday`,
/// whichever is earlier. What lies before the first archive was not there yet.
pub fn choose(listed: &Listed, range: &DateRange, yesterday: Date) -> Chosen {
    let months = listed
        .months
        .iter()
        .filter(|(month, _)| range.touches(**month));
    let days = listed
        .days
        .iter()
        .filter(|(day, _)| range.touches(**day) && !listed.months.contains_key(&day.month()));
    let mut archives: Vec<(Period, u64)> = months
        .chain(days)
        .map(|(period, bytes)| (*period, *bytes))
        .collect();
    archives.sort_by(|(a, _), (b, _)| b.cmp(a));
    let holes = holes(&archives, range, yesterday);
    Chosen { archives, holes }
}

fn holes(archives: &[(Period, u64)], range: &DateRange, yesterday: Date) -> Vec<Period> {
    let (Some((newest, _)), Some((oldest, _))) = (archives.first(), archives.last()) else {
        return Vec::new();
    };
    let asked_end = range.last.map(|last| last.min(yesterday));
    let end = asked_end
        .unwrap_or(newest.last_day())
        .max(newest.last_day());
    let present: BTreeSet<Period> = archives.iter().map(|(period, _)| *period).collect();
    let with_days: BTreeSet<Period> = present
        .iter()
        .filter(|period| period.is_day())
        .map(|period| period.month())
        .collect();
    let mut holes = Vec::new();
    let mut month = Some(oldest.month());
    while let Some(here) = month.filter(|month| *month <= Period::month_of(end)) {
        if with_days.contains(&here) {
            let days = here
                .first_day()
                .series(jiff::Span::new().days(1))
                .take_while(|day| *day <= here.last_day());
            holes.extend(days.map(Period::Day).filter(|day| {
                *day >= *oldest
                    && day.first_day() <= end
                    && range.touches(*day)
                    && !present.contains(day)
            }));
        } else if !present.contains(&here) && range.touches(here) {
            holes.push(here);
        }
        month = here.step_months(1);
    }
    holes
}

/// The daily archives that a range can need, given the months that have their own archive: periods to list between,
/// both ends inclusive; an open end is open.
pub fn days_to_list(
    months: &BTreeSet<Period>,
    range: &DateRange,
) -> Vec<(Option<Period>, Option<Period>)> {
    let first_asked = range.first.map(Period::month_of);
    let last_asked = range.last.map(Period::month_of);
    let (Some(first), Some(last)) = (months.first().copied(), months.last().copied()) else {
        return vec![(first_asked, last_asked)];
    };
    let mut spans = Vec::new();
    if first_asked.is_none_or(|asked| asked < first) {
        spans.push((first_asked, first.step_months(-1)));
    }
    let mut month = first.step_months(1);
    while let Some(here) = month.filter(|month| *month < last) {
        if !months.contains(&here) && range.touches(here) {
            match spans.last_mut() {
                Some((_, end)) if end.and_then(|end: Period| end.step_months(1)) == Some(here) => {
                    *end = Some(here)
                }
                _ => spans.push((Some(here), Some(here))),
            }
        }
        month = here.step_months(1);
    }
    if last_asked.is_none_or(|asked| asked > last) {
        let after = last.step_months(1);
        spans.push((first_asked.max(after), last_asked));
    }
    spans.retain(|(start, end)| {
        let in_order = start.zip(*end).is_none_or(|(start, end)| start <= end);
        let wanted = match (&range.months, start, end) {
            (Some(asked), start, end) => asked.iter().any(|month| {
                start.is_none_or(|start| *month >= start) && end.is_none_or(|end| *month <= end)
            }),
            (None, ..) => true,
        };
        in_order && wanted
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn range(start: Option<&str>, end: Option<&str>) -> DateRange {
        DateRange::parse(start, end, None, "2024-06-15".parse().unwrap()).unwrap()
    }

    fn today() -> Date {
        "2024-06-15".parse().unwrap()
    }

    fn listed(months: &[&str], days: &[&str]) -> Listed {
        let sized = |texts: &[&str]| texts.iter().map(|text| (period(text), 1)).collect();
        Listed {
            months: sized(months),
            days: sized(days),
        }
    }

    fn texts(periods: impl IntoIterator<Item = Period>) -> Vec<String> {
        periods
            .into_iter()
            .map(|period| period.to_string())
            .collect()
    }

    fn chosen(listed: &Listed, range: &DateRange) -> Vec<String> {
        texts(
            choose(listed, range, today())
                .archives
                .into_iter()
                .map(|(period, _)| period),
        )
    }

    #[test]
    fn days_stand_in_only_for_months_without_an_archive() {
        let listed = listed(
            &["2024-01", "2024-03"],
            &["2023-12-31", "2024-01-05", "2024-02-01", "2024-04-01"],
        );
        assert_eq!(
            chosen(&listed, &range(None, None)),
            [
                "2024-04-01",
                "2024-03",
                "2024-02-01",
                "2024-01",
                "2023-12-31"
            ]
        );
    }

    #[test]
    fn a_day_inside_a_month_selects_its_archive() {
        let listed = listed(&["2024-01"], &["2024-02-01", "2024-02-02", "2024-02-03"]);
        assert_eq!(
            chosen(&listed, &range(Some("2024-01-31"), Some("2024-02-02"))),
            ["2024-02-02", "2024-02-01", "2024-01"]
        );
    }

    #[test]
    fn holes_are_months_and_days_that_are_not_there() {
        let listed = listed(
            &["2024-01", "2024-04"],
            &["2024-02-01", "2024-02-03", "2024-05-01", "2024-05-03"],
        );
        let chosen = choose(&listed, &range(None, None), today());
        let holes = texts(chosen.holes);
        assert!(holes.contains(&"2024-02-02".to_owned()));
        assert!(holes.contains(&"2024-03".to_owned()));
        assert!(holes.contains(&"2024-05-02".to_owned()));
        assert!(
            !holes.contains(&"2024-05-04".to_owned()),
            "nothing is expected behind the last archive"
        );
    }

    #[test]
    fn what_was_asked_for_behind_the_last_archive_is_a_hole() {
        let listed = listed(&["2024-01"], &["2024-03-01", "2024-03-02"]);
        let holes =
            |start, end| texts(choose(&listed, &range(Some(start), Some(end)), today()).holes);
        assert_eq!(
            holes("2024-03-02", "2024-03-04"),
            ["2024-03-03", "2024-03-04"]
        );
        assert_eq!(holes("2024-01", "2024-02"), ["2024-02"]);
        assert_eq!(holes("2023-12", "2024-01"), [""; 0], "it was not there yet");
        assert_eq!(
            holes("2024-01", "2030-01").last().unwrap(),
            "2024-06",
            "nothing can be there of the future"
        );
    }

    #[test]
    fn only_days_that_can_matter_are_listed() {
        let months: BTreeSet<_> = ["2024-01", "2024-03"].map(period).into();
        let spans = |start, end| {
            let spans = days_to_list(&months, &range(start, end));
            spans
                .into_iter()
                .map(|(a, b)| {
                    format!(
                        "{}..{}",
                        a.map_or(String::new(), |p| p.to_string()),
                        b.map_or(String::new(), |p| p.to_string())
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            spans(None, None),
            ["..2023-12", "2024-02..2024-02", "2024-04.."]
        );
        assert_eq!(spans(Some("2024-01"), Some("2024-01")), [""; 0]);
        assert_eq!(
            spans(Some("2024-01-10"), Some("2024-03-05")),
            ["2024-02..2024-02"]
        );
        assert_eq!(
            spans(Some("2024-05"), Some("2024-06")),
            ["2024-05..2024-06"]
        );
        assert_eq!(
            days_to_list(&BTreeSet::new(), &range(Some("2024-05"), None)),
            [(Some(period("2024-05")), None)]
        );
    }
}
