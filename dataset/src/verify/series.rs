//! One file after the other: ids and bars go on from one period to the next, or it is said what lies between.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tapemill_lake::Series;
use tapemill_market::{Data, Market, Symbol, iso_time};

use super::judge::{HOLES, Judged, Seen};
use super::limits::Limits;

const MINUTE_US: i64 = 60_000_000;

/// Adds to sound files what lies between each and the one before it, of series whose periods follow each other.
pub(super) fn relate(found: &mut [Judged], limits: &Limits) {
    let mut series: BTreeMap<(Market, Data, Symbol), Vec<usize>> = BTreeMap::new();
    for (at, judged) in found.iter().enumerate() {
        if let Some(seen) = &judged.seen {
            let key = (seen.market, seen.data, seen.symbol.clone());
            series.entry(key).or_default().push(at);
        }
    }
    for files in series.values_mut() {
        let seen = |at: &usize| found[*at].seen.clone();
        files.sort_by_key(|at| seen(at).map(|seen| seen.period.start_us()));
        let notes: Vec<_> = files
            .windows(2)
            .filter_map(|two| {
                let note = between(&seen(&two[0])?, &seen(&two[1])?, limits)?;
                Some((two[0], two[1], note))
            })
            .collect();
        for (before, at, note) in notes {
            // Either may be the one that is cut.
            if HOLES.contains(&note.0) {
                (found[before].has_holes, found[at].has_holes) = (true, true);
            }
            if let Ok(notes) = &mut found[at].found {
                notes.push(note);
            }
        }
    }
}

/// Adds to the last sound file of each series why there is none after it, by what a scan found in the archive.
pub(super) fn tell_ends(found: &mut [Judged], scanned: &[Series]) {
    let mut last: BTreeMap<(Market, Data, Symbol), (Date, usize)> = BTreeMap::new();
    for (at, judged) in found.iter().enumerate() {
        let Some(seen) = &judged.seen else { continue };
        let key = (seen.market, seen.data, seen.symbol.clone());
        let end = seen.period.last_day();
        let known = last.entry(key).or_insert((end, at));
        *known = (*known).max((end, at));
    }
    for ((market, data, symbol), (end, at)) in last {
        let interval = match data {
            Data::Klines(_, interval) => interval.as_str(),
            _ => "",
        };
        let is_of_feed = |series: &&Series| {
            series.market == market.as_str()
                && series.dataset == data.archive_folder()
                && series.interval == interval
        };
        let mut feed = scanned.iter().filter(is_of_feed);
        let Some(own) = feed.clone().find(|series| series.symbol == symbol.as_str()) else {
            continue;
        };
        let note = if own.last > end {
            let words = format!(
                "the archive reaches to {}: update brings the rest",
                own.last
            );
            ("late", words)
        } else if own.is_recent(own.asked) {
            continue;
        } else if feed.any(|series| series.is_recent(series.asked)) {
            let words = format!(
                "the archive has no more of it since {}: it is no longer traded",
                own.last
            );
            ("delisted", words)
        } else {
            let words = format!("the archive has no more of {data} of any symbol: it was ended");
            ("ended", words)
        };
        if let Ok(notes) = &mut found[at].found {
            notes.push(note);
        }
    }
}

/// What lies between two files; `None` where nothing does, or a period is between them.
fn between(before: &Seen, after: &Seen, limits: &Limits) -> Option<(&'static str, String)> {
    if before.period.end_us() != after.period.start_us() {
        return None;
    }
    let (last_us, first_us) = (before.times?.1, after.times?.0);
    let stretch = format!("{} to {}", iso_time(last_us), iso_time(first_us));
    let least_us = i64::from(limits.gap_minutes).max(1) * MINUTE_US;
    if let (Some((start, last)), Some((first, _))) = (before.ids, after.ids) {
        if first <= start {
            // Another numbering: a symbol that was listed anew.
            return None;
        }
        if first <= last {
            let words = format!(
                "it begins with id {first}, and {} ends with {last}: ids repeat from one to the other",
                before.period
            );
            return Some(("overlap", words));
        }
        let lacking = first - last - 1;
        if lacking > 0 {
            let words = format!(
                "{lacking} ids lack between {} and it, from {stretch}",
                before.period
            );
            return Some(("loss", words));
        }
        return (first_us - last_us > least_us + MINUTE_US).then(|| {
            let words = format!("no trades from {stretch}: the ids go on, so that there were none");
            ("halt", words)
        });
    }
    let Data::Klines(_, interval) = after.data else {
        return None;
    };
    let step_us = interval.length_us()?;
    let gap_us = first_us - last_us - step_us;
    (gap_us >= step_us && gap_us >= least_us).then(|| {
        let words = format!(
            "{} bars lack between {} and it, from {stretch}",
            gap_us / step_us,
            before.period
        );
        ("gap", words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 60 * MINUTE_US;

    fn seen(
        data: &str,
        period: &str,
        ids: Option<(u64, u64)>,
        first_us: i64,
        last_us: i64,
    ) -> Seen {
        let period: tapemill_market::Period = period.parse().unwrap();
        let start = period.start_us();
        Seen {
            market: Market::Um,
            data: data.parse().unwrap(),
            symbol: Symbol::exact("BTCUSDT").unwrap(),
            period,
            ids,
            times: Some((start + first_us, start + last_us)),
        }
    }

    #[track_caller]
    fn kind(before: &Seen, after: &Seen) -> Option<&'static str> {
        between(before, after, &Limits::default()).map(|(kind, _)| kind)
    }

    #[test]
    fn ids_tell_what_a_gap_is() {
        let day = 24 * HOUR_US;
        let first = seen("aggTrades", "2024-01-01", Some((1, 9)), 0, day - 1);
        let next = |ids, at| seen("aggTrades", "2024-01-02", Some(ids), at, day - 1);
        assert_eq!(kind(&first, &next((10, 12), 0)), None);
        assert_eq!(kind(&first, &next((11, 12), 0)), Some("loss"));
        assert_eq!(kind(&first, &next((9, 12), 0)), Some("overlap"));
        assert_eq!(kind(&first, &next((10, 12), 3 * HOUR_US)), Some("halt"));
        assert_eq!(kind(&first, &next((1, 12), 0)), None, "numbered anew");
        let later = seen("aggTrades", "2024-01-03", Some((11, 12)), 0, 1);
        assert_eq!(kind(&first, &later), None);
    }

    fn scanned(symbol: &str, last: &str) -> Series {
        Series {
            market: "um".to_owned(),
            dataset: "aggTrades".to_owned(),
            symbol: symbol.to_owned(),
            interval: String::new(),
            first: "2023-01-01".parse().unwrap(),
            last: last.parse().unwrap(),
            archives: 1,
            bytes: 1,
            holes: Vec::new(),
            asked: "2024-06-10".parse().unwrap(),
        }
    }

    #[test]
    fn a_scan_tells_why_there_is_no_more() {
        let end = |scans: &[Series]| {
            let mut found = vec![Judged {
                file: String::new(),
                name: None,
                found: Ok(Vec::new()),
                has_holes: false,
                seen: Some(seen("aggTrades", "2024-05", None, 0, 1)),
            }];
            tell_ends(&mut found, scans);
            let notes = found.remove(0).found.unwrap();
            notes.first().map(|(kind, _)| *kind)
        };
        assert_eq!(end(&[]), None);
        assert_eq!(end(&[scanned("BTCUSDT", "2024-06-09")]), Some("late"));
        assert_eq!(end(&[scanned("BTCUSDT", "2024-05-31")]), Some("ended"));
        let other = scanned("ETHUSDT", "2024-06-08");
        assert_eq!(
            end(&[scanned("BTCUSDT", "2024-05-31"), other]),
            Some("delisted")
        );
    }

    #[test]
    fn bars_lack_where_the_next_is_not_a_step_away() {
        let first = seen("klines:1h", "2024-01-01", None, 0, 23 * HOUR_US);
        let next = |at| seen("klines:1h", "2024-01-02", None, at, 23 * HOUR_US);
        assert_eq!(kind(&first, &next(0)), None);
        assert_eq!(kind(&first, &next(HOUR_US)), Some("gap"));
    }
}
