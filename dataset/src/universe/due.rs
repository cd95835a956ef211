//! Which series can have changed since they were listed.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use tapemill_lake::Series;

/// A series that has ended is looked at again after so many days: names come back.
const ENDED_AGAIN_DAYS: i32 = 7;

/// What a scan before found.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<Key, Series>);

/// Market, dataset, symbol, interval.
type Key = [String; 4];

impl Known {
    /// Of the rows of a report.
    pub fn new(series: Vec<Series>) -> Self {
        Self(
            series
                .into_iter()
                .map(|series| (key(&series), series))
                .collect(),
        )
    }

    /// The series of that name, if nothing of it can have changed until `today`.
    pub(super) fn settled(
        &self,
        market: &str,
        dataset: &str,
        symbol: &str,
        interval: &str,
        today: Date,
    ) -> Option<&Series> {
        let key = [market, dataset, symbol, interval].map(str::to_owned);
        self.0.get(&key).filter(|series| !is_due(series, today))
    }

    /// The intervals known of a symbol's candles, if none of them can have changed.
    pub(super) fn settled_intervals(
        &self,
        market: &str,
        dataset: &str,
        symbol: &str,
        today: Date,
    ) -> Option<Vec<String>> {
        let begins = [market, dataset, symbol];
        let first: Key = [market, dataset, symbol, ""].map(str::to_owned);
        let known: Vec<_> = self
            .0
            .range(first..)
            .take_while(|(key, _)| key[..3] == begins)
            .map(|(_, series)| series)
            .collect();
        let settled = !known.is_empty() && known.iter().all(|series| !is_due(series, today));
        settled.then(|| known.iter().map(|series| series.interval.clone()).collect())
    }
}

fn key(series: &Series) -> Key {
    [
        series.market.clone(),
        series.dataset.clone(),
        series.symbol.clone(),
        series.interval.clone(),
    ]
}

/// A day's archive appears the next day, so one that has yesterday's has all there is. One that has ended is asked for
/// now and then.
fn is_due(series: &Series, today: Date) -> bool {
    let before = |days: i32| today.saturating_sub(days.days());
    if series.last >= before(1) {
        return false;
    }
    series.is_recent(today) || series.asked <= before(ENDED_AGAIN_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn series(last: &str, asked: &str) -> Series {
        Series {
            market: "um".into(),
            dataset: "klines".into(),
            symbol: "BTCUSDT".into(),
            interval: "1d".into(),
            first: date("2020-01-01"),
            last: date(last),
            archives: 9,
            bytes: 9,
            holes: Vec::new(),
            asked: date(asked),
        }
    }

    #[test]
    fn only_what_can_have_changed_is_due() {
        let today = date("2024-06-15");
        for (last, asked, due) in [
            ("2024-06-14", "2024-06-15", false),
            ("2024-06-13", "2024-06-15", true),
            ("2024-06-11", "2024-06-15", true),
            ("2024-06-10", "2024-06-15", false),
            ("2024-06-10", "2024-06-09", false),
            ("2024-06-10", "2024-06-08", true),
            ("2021-01-31", "2024-06-01", true),
        ] {
            assert_eq!(is_due(&series(last, asked), today), due, "{last} {asked}");
        }
    }

    #[test]
    fn a_symbol_is_settled_when_all_of_its_intervals_are() {
        let today = date("2024-06-15");
        let mut other = series("2024-06-12", "2024-06-15");
        other.interval = "1m".into();
        let one = Known::new(vec![series("2024-06-14", "2024-06-15")]);
        let both = Known::new(vec![series("2024-06-14", "2024-06-15"), other]);

        let intervals =
            |known: &Known, symbol| known.settled_intervals("um", "klines", symbol, today);

        assert_eq!(intervals(&one, "BTCUSDT"), Some(vec!["1d".to_owned()]));
        assert_eq!(intervals(&one, "BTCUSD"), None);
        assert_eq!(intervals(&both, "BTCUSDT"), None);
        assert!(
            both.settled("um", "klines", "BTCUSDT", "1d", today)
                .is_some()
        );
        assert!(
            both.settled("um", "klines", "BTCUSDT", "1m", today)
                .is_none()
        );
    }
}
