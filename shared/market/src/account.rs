//! Accounts of one stretch of time by different archives, and which of two is kept: by evidence, not by habit.

use std::collections::BTreeMap;

use crate::{Kline, Minute, Period};

/// Rows of one table of bars, ascending by time.
#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    /// Minutes made of trades.
    Minutes(Vec<Minute>),
    /// The exchange's own candles.
    Klines(Vec<Kline>),
}

/// What speaks for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Ids that lack in the archive that it is of; none where its rows have no ids.
    pub missing_ids: Option<u64>,
    /// Minutes that agree with the other account of the tape: klines with trades, trades with klines; none where there is
    /// no such account.
    pub agreeing: Option<usize>,
}

/// Which of two accounts of a day is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// That of the month's archive.
    Month,
    /// That of the day's own.
    Day,
}

impl Kept {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

impl Account {
    /// The times of its rows.
    pub fn times(&self) -> Vec<i64> {
        match self {
            Self::Minutes(rows) => rows.iter().map(|row| row.minute_us).collect(),
            Self::Klines(rows) => rows.iter().map(|row| row.open_time_us).collect(),
        }
    }

    /// When its first trade was and its last; of candles, when the first opened and the last.
    pub fn first_and_last(&self) -> Option<(i64, i64)> {
        match self {
            Self::Minutes(rows) => {
                let ends = rows.first().zip(rows.last());
                ends.map(|(first, last)| (first.first_ts_us, last.last_ts_us))
            }
            Self::Klines(rows) => {
                let ends = rows.first().zip(rows.last());
                ends.map(|(first, last)| (first.open_time_us, last.open_time_us))
            }
        }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Minutes(rows) => rows.len(),
            Self::Klines(rows) => rows.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its rows of a period.
    pub fn of(&self, period: Period) -> Account {
        let range = period.start_us()..period.end_us();
        match self {
            Self::Minutes(rows) => {
                let of = rows.iter().filter(|row| range.contains(&row.minute_us));
                Self::Minutes(of.copied().collect())
            }
            Self::Klines(rows) => {
                let of = rows.iter().filter(|row| range.contains(&row.open_time_us));
                Self::Klines(of.copied().collect())
            }
        }
    }

    /// Its rows later than a time.
    pub fn after(&self, time_us: i64) -> Account {
        match self {
            Self::Minutes(rows) => {
                let after = rows.iter().filter(|row| row.minute_us > time_us);
                Self::Minutes(after.copied().collect())
            }
            Self::Klines(rows) => {
                let after = rows.iter().filter(|row| row.open_time_us > time_us);
                Self::Klines(after.copied().collect())
            }
        }
    }

    /// Its rows earlier than a time.
    pub fn before(&self, time_us: i64) -> Account {
        match self {
            Self::Minutes(rows) => {
                let before = rows.iter().filter(|row| row.minute_us < time_us);
                Self::Minutes(before.copied().collect())
            }
            Self::Klines(rows) => {
                let before = rows.iter().filter(|row| row.open_time_us < time_us);
                Self::Klines(before.copied().collect())
            }
        }
    }

    /// The same as told by the millisecond: the archive has microseconds of spot, where the exchange's streams and REST
    /// interface have none.
    pub fn by_milliseconds(mut self) -> Account {
        if let Self::Minutes(rows) = &mut self {
            for row in rows {
                for time_us in [&mut row.first_ts_us, &mut row.last_ts_us] {
                    *time_us -= time_us.rem_euclid(1000);
                }
            }
        }
        self
    }

    /// The trades that its minutes of these times have more of than the other's: at least so many are in this one only.
    pub fn trades_beyond(&self, other: &Account, times: &[i64]) -> u64 {
        let beyond = times.iter().map(|time| {
            let more = self.trades_at(*time) - other.trades_at(*time);
            u64::try_from(more).unwrap_or_default()
        });
        beyond.sum()
    }

    /// Puts the rows of a period in the place of its own; rows of another table change nothing.
    pub fn replace(&mut self, period: Period, with: Account) {
        let range = period.start_us()..period.end_us();
        match (self, with) {
            (Self::Minutes(rows), Self::Minutes(with)) => {
                rows.retain(|row| !range.contains(&row.minute_us));
                rows.extend(with);
                rows.sort_by_key(|row| row.minute_us);
            }
            (Self::Klines(rows), Self::Klines(with)) => {
                rows.retain(|row| !range.contains(&row.open_time_us));
                rows.extend(with);
                rows.sort_by_key(|row| row.open_time_us);
            }
            _ => {}
        }
    }

    /// Its rows, and those of the other of times at which it has none.
    pub fn filled(&self, other: &Account) -> Account {
        match (self, other) {
            (Self::Minutes(rows), Self::Minutes(others)) => {
                let by_time = |row: &Minute| (row.minute_us, *row);
                let mut all: BTreeMap<i64, Minute> = others.iter().map(by_time).collect();
                all.extend(rows.iter().map(by_time));
                Self::Minutes(all.into_values().collect())
            }
            (Self::Klines(rows), Self::Klines(others)) => {
                let by_time = |row: &Kline| (row.open_time_us, *row);
                let mut all: BTreeMap<i64, Kline> = others.iter().map(by_time).collect();
                all.extend(rows.iter().map(by_time));
                Self::Klines(all.into_values().collect())
            }
            _ => self.clone(),
        }
    }

    /// The times at which the two have other rows, or only one has a row.
    pub fn differing(&self, other: &Account) -> Vec<i64> {
        match (self, other) {
            (Self::Minutes(ours), Self::Minutes(theirs)) => {
                differing(ours, theirs, |row| row.minute_us)
            }
            (Self::Klines(ours), Self::Klines(theirs)) => {
                differing(ours, theirs, |row| row.open_time_us)
            }
            _ => self.times(),
        }
    }

    /// The trades that its minutes count; of candles none.
    pub fn trades(&self) -> Option<i64> {
        match self {
            Self::Minutes(rows) => Some(rows.iter().map(|row| row.trade_count).sum()),
            Self::Klines(_) => None,
        }
    }

    /// Whether it has a row of a time.
    fn has(&self, time_us: i64) -> bool {
        match self {
            Self::Minutes(rows) => rows
                .binary_search_by_key(&time_us, |row| row.minute_us)
                .is_ok(),
            Self::Klines(rows) => rows
                .binary_search_by_key(&time_us, |row| row.open_time_us)
                .is_ok(),
        }
    }

    /// Whether, where the two differ, this one has a row that the other lacks, or one of more trades.
    fn covers(&self, other: &Account, differing: &[i64]) -> bool {
        differing
            .iter()
            .all(|time| self.trades_at(*time) > other.trades_at(*time))
    }

    /// The trades of one of its rows, 0 where it has none of that time.
    fn trades_at(&self, time_us: i64) -> i64 {
        match self {
            Self::Minutes(rows) => {
                let at = rows.binary_search_by_key(&time_us, |row| row.minute_us);
                at.map_or(0, |at| rows[at].trade_count)
            }
            // Candles of one time are no more than each other.
            Self::Klines(_) => i64::from(self.has(time_us)),
        }
    }

    /// Candles that cannot be.
    fn impossible(&self) -> usize {
        let is_impossible = |row: &&Kline| {
            row.high < row.low
                || row.high < row.open.max(row.close)
                || row.low > row.open.min(row.close)
                || row.volume < 0.0
                || row.trades < 0
        };
        match self {
            Self::Minutes(_) => 0,
            Self::Klines(rows) => rows.iter().filter(is_impossible).count(),
        }
    }
}

fn differing<Row: PartialEq>(ours: &[Row], theirs: &[Row], time: impl Fn(&Row) -> i64) -> Vec<i64> {
    let of: BTreeMap<i64, &Row> = theirs.iter().map(|row| (time(row), row)).collect();
    let mut times: Vec<i64> = ours
        .iter()
        .filter(|row| of.get(&time(row)) != Some(row))
        .map(&time)
        .collect();
    let own: BTreeMap<i64, ()> = ours.iter().map(|row| (time(row), ())).collect();
    times.extend(of.into_keys().filter(|time| !own.contains_key(time)));
    times.sort_unstable();
    times
}

/// Which of two differing accounts of a day is kept, and why: whole ids before broken ones, then what has all that the other
/// has and more, then what agrees with the other account of the tape. The month's is kept where nothing speaks for the day,
/// since it was published later, and where the two are not of one tape at all.
pub fn kept(month: (&Account, Evidence), day: (&Account, Evidence)) -> (Kept, &'static str) {
    let ((of_month, for_month), (of_day, for_day)) = (month, day);
    if of_month.is_empty() {
        return (Kept::Day, "the month has nothing of it");
    }
    let differing = of_day.differing(of_month);
    let common = of_day.len() - differing.iter().filter(|time| of_day.has(**time)).count();
    if common == 0 {
        return (
            Kept::Month,
            "the two have no row in common, and the month was published later",
        );
    }
    if let (Some(trades), Some(others)) = (of_day.trades(), of_month.trades()) {
        match (for_month.missing_ids, for_day.missing_ids) {
            (Some(1..), Some(0)) if trades >= others => {
                return (Kept::Day, "the day's ids go on, and the month's do not");
            }
            (Some(0), Some(1..)) if others >= trades => {
                return (Kept::Month, "the month's ids go on, and the day's do not");
            }
            _ => {}
        }
    }
    match (
        of_day.covers(of_month, &differing),
        of_month.covers(of_day, &differing),
    ) {
        (true, false) => return (Kept::Day, "the day has all that the month has, and more"),
        (false, true) => return (Kept::Month, "the month has all that the day has, and more"),
        _ => {}
    }
    let (odd_day, odd_month) = (of_day.impossible(), of_month.impossible());
    if odd_day != odd_month {
        return match odd_day < odd_month {
            true => (Kept::Day, "fewer of the day's bars are impossible"),
            false => (Kept::Month, "fewer of the month's bars are impossible"),
        };
    }
    if let (Some(agree), Some(others)) = (for_day.agreeing, for_month.agreeing)
        && agree != others
    {
        return match (agree > others, of_day) {
            (true, Account::Minutes(_)) => {
                (Kept::Day, "more of the day's minutes agree with the klines")
            }
            (true, Account::Klines(_)) => {
                (Kept::Day, "more of the day's klines agree with the trades")
            }
            (false, Account::Minutes(_)) => (
                Kept::Month,
                "more of the month's minutes agree with the klines",
            ),
            (false, Account::Klines(_)) => (
                Kept::Month,
                "more of the month's klines agree with the trades",
            ),
        };
    }
    (
        Kept::Month,
        "nothing speaks for the day, and the month was published later",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn minute(at: i64, trades: i64) -> Minute {
        Minute {
            minute_us: at * MINUTE_US,
            trade_count: trades,
            ..Minute::default()
        }
    }

    fn minutes(trades: &[(i64, i64)]) -> Account {
        Account::Minutes(
            trades
                .iter()
                .map(|(at, trades)| minute(*at, *trades))
                .collect(),
        )
    }

    fn bars(closes: &[(i64, f64)]) -> Account {
        let bar = |(at, close): &(i64, f64)| Kline {
            open_time_us: at * MINUTE_US,
            high: 10.0,
            close: *close,
            ..Kline::default()
        };
        Account::Klines(closes.iter().map(bar).collect())
    }

    fn evidence(missing_ids: u64, agreeing: Option<usize>) -> Evidence {
        Evidence {
            missing_ids: Some(missing_ids),
            agreeing,
        }
    }

    #[test]
    fn whole_ids_win_over_broken_ones_unless_they_end_early() {
        let (less, more) = (minutes(&[(0, 5)]), minutes(&[(0, 5), (1, 2)]));
        let keeps = |month, day| kept(month, day).0;
        let (broken, whole) = (evidence(2, None), evidence(0, None));
        assert_eq!(keeps((&less, broken), (&more, whole)), Kept::Day);
        assert_eq!(keeps((&more, whole), (&less, broken)), Kept::Month);
        assert_eq!(
            keeps((&more, broken), (&less, whole)),
            Kept::Month,
            "cut at its end"
        );
        assert_eq!(
            keeps((&less, whole), (&more, whole)),
            Kept::Day,
            "the month is cut"
        );
        let none = minutes(&[]);
        assert_eq!(
            keeps((&none, whole), (&more, whole)),
            Kept::Day,
            "not of the month at all"
        );
    }

    #[test]
    fn the_other_account_of_the_tape_decides_between_equals() {
        let account = |trades| minutes(&[(0, 5), (1, trades), (2, 9 - trades)]);
        let keeps = |month, day| {
            let month = (&account(3), evidence(0, Some(month)));
            kept(month, (&account(4), evidence(0, Some(day)))).0
        };
        assert_eq!(keeps(3, 4), Kept::Day);
        assert_eq!(keeps(4, 3), Kept::Month);
        assert_eq!(keeps(3, 3), Kept::Month);
    }

    #[test]
    fn another_tape_is_no_better_account_of_this_one() {
        let (month, day) = (
            minutes(&[(0, 5), (1, 1)]),
            minutes(&[(0, 6), (1, 2), (2, 9)]),
        );
        let (broken, whole) = (evidence(2, Some(0)), evidence(0, Some(3)));
        assert_eq!(kept((&month, broken), (&day, whole)).0, Kept::Month);
    }

    #[test]
    fn more_bars_win_then_possible_ones() {
        let none = Evidence {
            missing_ids: None,
            agreeing: None,
        };
        let keeps = |month: &Account, day: &Account| kept((month, none), (day, none)).0;
        let (one, two) = (bars(&[(0, 1.0)]), bars(&[(0, 1.0), (1, 1.0)]));
        assert_eq!(keeps(&one, &two), Kept::Day);
        assert_eq!(keeps(&two, &one), Kept::Month);
        let impossible = bars(&[(0, 1.0), (1, 11.0)]);
        assert_eq!(keeps(&impossible, &two), Kept::Day);
        assert_eq!(keeps(&two, &impossible), Kept::Month);
        let other = bars(&[(0, 1.0), (1, 2.0)]);
        assert_eq!(keeps(&other, &two), Kept::Month);
    }

    #[test]
    fn trades_that_only_one_has_are_counted_where_the_two_differ() {
        let (one, other) = (
            minutes(&[(0, 5), (1, 2), (3, 4)]),
            minutes(&[(0, 5), (1, 3), (2, 7)]),
        );
        let differing = one.differing(&other);

        assert_eq!(differing, [MINUTE_US, 2 * MINUTE_US, 3 * MINUTE_US]);
        assert_eq!(one.trades_beyond(&other, &differing), 4);
        assert_eq!(other.trades_beyond(&one, &differing), 8);
        assert_eq!(one.before(3 * MINUTE_US), minutes(&[(0, 5), (1, 2)]));
    }

    #[test]
    fn microseconds_are_left_out_of_times_of_trades_alone() {
        let told = |first_ts_us, last_ts_us| {
            Account::Minutes(vec![Minute {
                minute_us: MINUTE_US,
                first_ts_us,
                last_ts_us,
                ..Minute::default()
            }])
        };
        let by_milliseconds = told(MINUTE_US + 1999, MINUTE_US + 5001).by_milliseconds();
        assert_eq!(by_milliseconds, told(MINUTE_US + 1000, MINUTE_US + 5000));
    }

    #[test]
    fn what_was_found_elsewhere_lacks_no_more() {
        let (was, now) = (minutes(&[(0, 5)]), minutes(&[(0, 5), (1, 3)]));
        let quality = crate::Quality {
            rows: 5,
            id_gaps: Some(1),
            missing_ids: Some(3),
            missing_minutes: Some(9),
            ..Default::default()
        };

        let settled = quality.settled(&was, &now);

        assert_eq!((settled.missing_ids, settled.id_gaps), (Some(0), Some(0)));
        assert_eq!((settled.missing_minutes, settled.rows), (Some(8), 5));
        let less = quality.settled(&now, &was);
        assert_eq!((less.missing_ids, less.id_gaps), (Some(6), Some(1)));
    }

    #[test]
    fn days_are_cut_out_and_put_in() {
        let day: Period = "2024-01-02".parse().unwrap();
        let at = day.start_us() / MINUTE_US;
        let mut month = minutes(&[(at - 1440, 1), (at, 2), (at + 1, 3), (at + 1440, 4)]);
        assert_eq!(month.of(day), minutes(&[(at, 2), (at + 1, 3)]));
        let own = minutes(&[(at, 2), (at + 2, 5)]);
        assert_eq!(
            month.of(day).differing(&own),
            [(at + 1) * MINUTE_US, (at + 2) * MINUTE_US]
        );
        let filled = month.of(day).filled(&minutes(&[(at, 9), (at + 2, 5)]));
        assert_eq!(filled, minutes(&[(at, 2), (at + 1, 3), (at + 2, 5)]));
        month.replace(day, own);
        assert_eq!(
            month,
            minutes(&[(at - 1440, 1), (at, 2), (at + 2, 5), (at + 1440, 4)])
        );
    }
}
