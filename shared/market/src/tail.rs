//! What of a selection the archive does not have, and the exchange's REST interface may: what is younger than the last
//! archive, older than the first, and short holes between.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::coverage::{Chosen, Listed};
use crate::{Bars, Data, DateRange, Interval, Market, Period};

/// A symbol whose last archive is older has ended: asking for all the days since would bring nothing.
const LONGEST_TAIL_DAYS: i32 = 62;

/// A longer hole needs the archive.
pub const MAX_GAP_DAYS: usize = 30;

/// Trades can be asked for so many days back.
const TRADES_REACH_DAYS: i32 = 2;

/// A bar is final a moment after it has closed.
const SETTLING_US: i64 = 2_000_000;

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
const MINUTE_US: i64 = 60_000_000;

/// A period to ask for, and the time that has passed by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unarchived {
    /// The day, or the month of kinds that have monthly archives only.
    pub period: Period,
    /// Only what has ended before this time, in microseconds: later bars are not finished.
    pub closed_by_us: i64,
}

/// Whose periods are looked for, and when.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The market.
    pub market: Market,
    /// The kind of data.
    pub data: Data,
    /// The time, in microseconds.
    pub now_us: i64,
    /// Days whose trades a collector may have, however long ago they were.
    pub captured: &'a BTreeSet<Date>,
}

/// The periods without an archive, newest first; none for kinds that only the archive has.
///
/// `alone` leaves the archive out: everything in the range, which needs a first day.
pub fn unarchived(
    listed: &Listed,
    chosen: &Chosen,
    range: &DateRange,
    now: Now<'_>,
    alone: bool,
) -> Vec<Unarchived> {
    let Some(kind) = Kind::of(now) else {
        return Vec::new();
    };
    let today = date_of(now.now_us);
    let mut days: BTreeSet<Date> = BTreeSet::new();
    let archived: BTreeSet<Period> = listed
        .months
        .keys()
        .chain(listed.days.keys())
        .copied()
        .collect();
    let last_asked = range.last.map_or(today, |last| last.min(today));
    let earliest = match kind.reach_days {
        Some(reach) => before(today, reach),
        None => Date::MIN,
    };
    let is_captured = |day: &Date| now.data == Data::AggTrades && now.captured.contains(day);
    let is_to_be_had = |day: &Date| *day >= earliest || is_captured(day);
    if alone {
        let first = range.first.unwrap_or(today).max(earliest);
        days.extend(span(first, last_asked));
    } else {
        let newest = archived.iter().map(|period| period.last_day()).max();
        let first = match (newest, range.first) {
            (Some(newest), _) => after(newest),
            (None, first) => first,
        };
        let is_alive = |first: &Date| *first > before(today, LONGEST_TAIL_DAYS);
        if let Some(first) = first.filter(is_alive) {
            days.extend(span(first, last_asked).filter(is_to_be_had));
        }
        if let (Some(head), Some(oldest)) = (&kind.head, archived.first())
            && oldest.first_day() <= head.archives_by
        {
            let end = before(oldest.first_day(), 1).min(last_asked);
            days.extend(span(head.from.max(earliest), end));
        }
        days.extend(holes(&chosen.holes).into_iter().filter(is_to_be_had));
    }
    let periods: BTreeSet<Period> = days
        .into_iter()
        .map(Period::Day)
        .filter(|day| range.touches(*day))
        .map(|day| if kind.by_months { day.month() } else { day })
        .filter(|period| alone || !archived.contains(period))
        .collect();
    let settled = kind.settled(now.now_us - SETTLING_US);
    let wanted = periods.into_iter().rev().map(|period| Unarchived {
        period,
        closed_by_us: settled.min(kind.end_us(period)),
    });
    wanted
        .filter(|wanted| wanted.closed_by_us > wanted.period.start_us())
        .collect()
}

/// What can be asked for of a kind of data.
struct Kind {
    /// Archives are of months only.
    by_months: bool,
    /// How many days back there is something.
    reach_days: Option<i32>,
    head: Option<Head>,
    step: Step,
}

/// A market that is older than its archive.
struct Head {
    from: Date,
    /// Only symbols that the archive has from its own beginning on can be older.
    archives_by: Date,
}

/// When something has ended.
enum Step {
    /// Bars of a length that divides a day.
    Bars(i64),
    /// Longer bars: they end at midnight.
    LongBars,
    /// Trades: by the minute, which is what is made of them.
    Trades,
    /// Fundings: on the hour, and some milliseconds.
    Fundings,
}

impl Kind {
    fn of(now: Now<'_>) -> Option<Self> {
        let (step, by_months, reach_days) = match now.data {
            Data::Klines(Bars::MarkPrice | Bars::IndexPrice | Bars::PremiumIndex, _)
                if now.market == Market::Spot =>
            {
                return None;
            }
            Data::Klines(_, interval) => bars(interval),
            Data::AggTrades | Data::RawAggTrades => (Step::Trades, false, Some(TRADES_REACH_DAYS)),
            Data::Rows(dataset) if dataset.name == "fundingRate" => (Step::Fundings, true, None),
            Data::Rows(_) => return None,
        };
        let head = (now.market == Market::Um && reach_days.is_none()).then(|| Head {
            from: jiff::civil::date(2019, 9, 8),
            archives_by: jiff::civil::date(2020, 1, 31),
        });
        Some(Self {
            by_months,
            reach_days,
            head,
            step,
        })
    }

    /// The latest time by which everything before has ended.
    fn settled(&self, now_us: i64) -> i64 {
        let floor = |length: i64| now_us.div_euclid(length) * length;
        match self.step {
            Step::Bars(length) => floor(length),
            Step::LongBars => floor(DAY_US),
            Step::Trades => floor(MINUTE_US),
            Step::Fundings => (now_us - MINUTE_US).div_euclid(HOUR_US) * HOUR_US + MINUTE_US,
        }
    }

    /// The time by which all of a period has ended: a long bar that begins in a month may end in the next.
    fn end_us(&self, period: Period) -> i64 {
        match self.step {
            Step::LongBars => period.end_us() + 31 * DAY_US,
            _ => period.end_us(),
        }
    }
}

fn bars(interval: Interval) -> (Step, bool, Option<i32>) {
    match interval.length_us() {
        Some(length) if !interval.is_longer_than_a_day() => (Step::Bars(length), false, None),
        _ => (Step::LongBars, true, None),
    }
}

/// The days of holes that are short enough to be asked for.
fn holes(holes: &[Period]) -> Vec<Date> {
    let days: BTreeSet<Date> = holes
        .iter()
        .flat_map(|hole| span(hole.first_day(), hole.last_day()))
        .collect();
    let mut runs: Vec<Vec<Date>> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| after(*last) == Some(day)) => run.push(day),
            _ => runs.push(vec![day]),
        }
    }
    runs.retain(|run| run.len() <= MAX_GAP_DAYS);
    runs.into_iter().flatten().collect()
}

fn span(first: Date, last: Date) -> impl Iterator<Item = Date> {
    first
        .series(jiff::Span::new().days(1))
        .take_while(move |day| *day <= last)
}

fn after(date: Date) -> Option<Date> {
    date.tomorrow().ok()
}

fn before(date: Date, days: i32) -> Date {
    let span = jiff::Span::new().days(days);
    date.checked_sub(span).unwrap_or(Date::MIN)
}

fn date_of(us: i64) -> Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = i32::try_from(us.div_euclid(DAY_US)).unwrap_or(0);
    epoch
        .checked_add(jiff::Span::new().days(days))
        .unwrap_or(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn listed(periods: &[&str]) -> Listed {
        let mut listed = Listed::default();
        for text in periods {
            match period(text) {
                day if day.is_day() => listed.days.insert(day, 1),
                month => listed.months.insert(month, 1),
            };
        }
        listed
    }

    /// At 2024-06-15 10:30:01.
    fn asked(
        data: &str,
        market: Market,
        periods: &[&str],
        start: Option<&str>,
        end: Option<&str>,
        alone: bool,
    ) -> Vec<String> {
        asked_beside(&[], data, market, periods, (start, end), alone)
    }

    /// The same where the trades of some days were captured.
    fn asked_beside(
        captured: &[&str],
        data: &str,
        market: Market,
        periods: &[&str],
        (start, end): (Option<&str>, Option<&str>),
        alone: bool,
    ) -> Vec<String> {
        let now_us = period("2024-06-15").start_us() + 10 * HOUR_US + 30 * MINUTE_US + 1_000_000;
        let today = date_of(now_us);
        let range = DateRange::parse(start, end, None, today).unwrap();
        let listed = listed(periods);
        let chosen = choose(&listed, &range, before(today, 1));
        let captured = captured.iter().map(|day| period(day).first_day()).collect();
        let now = Now {
            market,
            data: data.parse().unwrap(),
            now_us,
            captured: &captured,
        };
        let found = unarchived(&listed, &chosen, &range, now, alone);
        found
            .into_iter()
            .map(|wanted| {
                let by = (wanted.closed_by_us - wanted.period.start_us()) / MINUTE_US;
                format!("{} {by}", wanted.period)
            })
            .collect()
    }

    #[test]
    fn trades_that_were_captured_are_to_be_had_however_long_ago() {
        let captured = ["2024-06-05", "2024-06-10"];
        let all = |data| {
            let (periods, range) = (["2024-05", "2024-06-08"], (Some("2024-05"), None));
            asked_beside(&captured, data, Market::Um, &periods, range, false)
        };
        let of_exchange = ["2024-06-15 629", "2024-06-14 1440", "2024-06-13 1440"];

        let trades = all("aggTrades");

        assert_eq!(trades[..3], of_exchange);
        // Behind the last archive, and in a hole before it.
        assert_eq!(trades[3..], ["2024-06-10 1440", "2024-06-05 1440"]);
        assert_eq!(all("aggTrades:raw"), of_exchange);
    }

    #[test]
    fn the_tail_reaches_to_the_last_finished_bar() {
        let periods = ["2024-05", "2024-06-12"];
        let all = |data| asked(data, Market::Um, &periods, Some("2024-05"), None, false);
        // Half past ten and a second: the minute that has just ended is not settled yet.
        let minutes = all("klines:1m");
        assert_eq!(
            minutes[..3],
            ["2024-06-15 629", "2024-06-14 1440", "2024-06-13 1440"]
        );
        assert_eq!(all("klines:1h")[0], "2024-06-15 600");
        assert_eq!(
            all("aggTrades"),
            ["2024-06-15 629", "2024-06-14 1440", "2024-06-13 1440"]
        );
        // No bar of today has ended.
        assert_eq!(all("klines:1d")[0], "2024-06-14 1440");
        assert_eq!(all("metrics"), Vec::<String>::new());
    }

    #[test]
    fn holes_are_asked_for_while_they_are_short() {
        let all = |periods: &[&str]| {
            asked(
                "klines:1h",
                Market::Spot,
                periods,
                None,
                Some("2024-03"),
                false,
            )
        };
        let days = ["2024-02", "2024-03-01", "2024-03-03"];
        let one = asked(
            "klines:1h",
            Market::Spot,
            &days,
            None,
            Some("2024-03-03"),
            false,
        );
        assert_eq!(one, ["2024-03-02 1440"]);
        assert_eq!(
            all(&["2024-01", "2024-02", "2024-03"]),
            Vec::<String>::new()
        );
        // February's 29 days are short enough, the 60 of January and February are not.
        assert_eq!(all(&["2024-01", "2024-03"]).len(), 29);
        assert_eq!(all(&["2023-12", "2024-03"]).len(), 0);
    }

    #[test]
    fn what_is_older_than_the_archive_is_asked_for_once() {
        let all = |periods: &[&str]| {
            asked(
                "klines:1d",
                Market::Um,
                periods,
                None,
                Some("2020-02"),
                false,
            )
        };
        let head = all(&["2020-01", "2020-02"]);
        assert_eq!(
            (head.len(), head.last().unwrap().as_str()),
            (115, "2019-09-08 1440")
        );
        assert_eq!(all(&["2020-02"]).len(), 0);
    }

    #[test]
    fn kinds_of_months_are_asked_for_by_months() {
        let funding = asked(
            "fundingRate",
            Market::Um,
            &["2024-04"],
            Some("2024-04"),
            None,
            false,
        );
        assert_eq!(funding, ["2024-06 20761", "2024-05 44640"]);
        let weeks = asked(
            "klines:1w",
            Market::Um,
            &["2024-05"],
            Some("2024-05"),
            None,
            false,
        );
        assert_eq!(weeks, ["2024-06 20160"]);
    }

    #[test]
    fn a_symbol_that_ended_has_no_tail() {
        assert_eq!(
            asked(
                "klines:1h",
                Market::Um,
                &["2024-03"],
                Some("2024-01"),
                None,
                false
            )
            .len(),
            0
        );
    }

    #[test]
    fn alone_everything_is_asked_for() {
        let all = asked(
            "klines:1h",
            Market::Um,
            &["2024-05"],
            Some("2024-05-30"),
            Some("2024-06-02"),
            true,
        );
        assert_eq!(
            all,
            [
                "2024-06-02 1440",
                "2024-06-01 1440",
                "2024-05-31 1440",
                "2024-05-30 1440"
            ]
        );
    }
}
