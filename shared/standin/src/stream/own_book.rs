//! A book kept from the tape, to answer for snapshots.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::reel::Track;
use super::scan;

/// Digits behind the point that prices are told apart by.
const DIGITS: usize = 12;

/// The levels of both sides after a number of events of a depth stream.
#[derive(Debug, Default)]
pub(super) struct OwnBook {
    /// Best first: the price as the exchange wrote it, and the quantity.
    bids: BTreeMap<Reverse<i128>, (Box<str>, Box<str>)>,
    asks: BTreeMap<i128, (Box<str>, Box<str>)>,
    /// How many events it knows.
    place: usize,
}

impl OwnBook {
    /// Brings it to where it was after so many events.
    pub(super) fn bring_to(&mut self, track: &Track, place: usize) {
        if place < self.place {
            *self = Self::default();
        }
        while self.place < place {
            let Some((shot, _)) = track.shot(self.place) else {
                return;
            };
            if !track.is_in_snapshot(self.place) {
                self.apply(&shot.json, shot.data.start, "b", "a");
            }
            self.place += 1;
            self.anchor(track);
        }
    }

    /// At the place of the recorded snapshot it takes the book's place; what it does not know yet comes on top.
    fn anchor(&mut self, track: &Track) {
        let still = track.snapshot.as_ref();
        let Some(still) = still.filter(|_| track.holds_at() == Some(self.place)) else {
            return;
        };
        self.bids.clear();
        self.asks.clear();
        self.apply(&still.json, 0, "bids", "asks");
        for shot in &track.shots[..self.place] {
            if shot.id > still.last_id {
                self.apply(&shot.json, shot.data.start, "b", "a");
            }
        }
    }

    fn apply(&mut self, json: &str, start: usize, bids: &str, asks: &str) {
        let bids = scan::field(json, start, bids).unwrap_or_default();
        for (price, quantity) in scan::levels(json, bids) {
            set(&mut self.bids, Reverse(key(price)), price, quantity);
        }
        let asks = scan::field(json, start, asks).unwrap_or_default();
        for (price, quantity) in scan::levels(json, asks) {
            set(&mut self.asks, key(price), price, quantity);
        }
    }

    /// `"bids":[…],"asks":[…]`, at most so many of each.
    pub(super) fn sides(&self, limit: usize) -> String {
        let bids = listed(self.bids.values(), limit);
        let asks = listed(self.asks.values(), limit);
        format!("\"bids\":[{bids}],\"asks\":[{asks}]")
    }
}

/// A whole snapshot cut to a number of levels.
pub(super) fn cut(json: &str, limit: usize) -> String {
    let listed_in = |name| {
        let list = scan::field(json, 0, name).unwrap_or_default();
        scan::levels(json, list)
    };
    let mut cut = json.to_owned();
    for name in ["asks", "bids"] {
        if listed_in(name).count() <= limit {
            continue;
        }
        let fewer: Vec<(Box<str>, Box<str>)> = listed_in(name)
            .take(limit)
            .map(|(price, quantity)| (price.into(), quantity.into()))
            .collect();
        if let Some(list) = scan::field(&cut, 0, name) {
            let fewer = format!("[{}]", listed(fewer.iter(), limit));
            cut.replace_range(list, &fewer);
        }
    }
    cut
}

fn listed<'a>(levels: impl Iterator<Item = &'a (Box<str>, Box<str>)>, limit: usize) -> String {
    let mut text = String::new();
    for (price, quantity) in levels.take(limit) {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}[\"{price}\",\"{quantity}\"]");
    }
    text
}

fn set<K: Ord>(side: &mut BTreeMap<K, (Box<str>, Box<str>)>, key: K, price: &str, quantity: &str) {
    if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
        side.remove(&key);
    } else {
        side.insert(key, (price.into(), quantity.into()));
    }
}

/// A price as a whole number.
fn key(price: &str) -> i128 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(DIGITS);
    whole
        .bytes()
        .chain(digits)
        .filter(u8::is_ascii_digit)
        .fold(0, |key, digit| key * 10 + i128::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Market;
    use crate::stream::reel::Reel;
    use crate::stream::tape::Tape;

    fn event(first: u64, last: u64, bids: &str, asks: &str) -> String {
        format!(
            r#"{{"stream":"abc@depth","data":{{"e":"depthUpdate","E":1,"s":"ABC","U":{first},"u":{last},"b":{bids},"a":{asks}}}}}"#
        )
    }

    #[test]
    fn the_snapshot_takes_the_book_s_place_and_later_events_stay() {
        let mut tape = Tape::new(Market::Spot);
        tape.push(0, &event(1, 2, r#"[["9.9","1"]]"#, "[]"))
            .unwrap();
        tape.push(1, &event(3, 5, r#"[["10.0","2"]]"#, r#"[["10.1","0"]]"#))
            .unwrap();
        let snapshot = r#"{"lastUpdateId":4,"bids":[["9","3"],["8","4"]],"asks":[["10.1","1"],["10.10001","7"]]}"#;
        tape.push_snapshot(2, "ABC", snapshot);
        tape.push(3, &event(6, 6, r#"[["9.00","0.000"]]"#, "[]"))
            .unwrap();
        let reel = Reel::new(vec![tape]).unwrap();
        let mut book = OwnBook::default();
        let mut at = |place| {
            book.bring_to(&reel.tracks[0], place);
            book.sides(2)
        };

        assert_eq!(at(1), r#""bids":[["9.9","1"]],"asks":[]"#);
        assert_eq!(
            at(2),
            r#""bids":[["10.0","2"],["9","3"]],"asks":[["10.10001","7"]]"#
        );
        assert_eq!(
            at(3),
            r#""bids":[["10.0","2"],["8","4"]],"asks":[["10.10001","7"]]"#
        );
        assert_eq!(at(1), r#""bids":[["9.9","1"]],"asks":[]"#);
    }

    #[test]
    fn events_that_come_late_do_not_undo_the_snapshot() {
        let mut tape = Tape::new(Market::Spot);
        tape.push(0, &event(1, 2, r#"[["9","1"]]"#, "[]")).unwrap();
        let snapshot = r#"{"lastUpdateId":4,"bids":[["9","3"]],"asks":[]}"#;
        tape.push_snapshot(1, "ABC", snapshot);
        tape.push(2, &event(3, 4, r#"[["9","2"]]"#, "[]")).unwrap();
        tape.push(3, &event(5, 5, r#"[["8","7"]]"#, "[]")).unwrap();
        let reel = Reel::new(vec![tape]).unwrap();
        let mut book = OwnBook::default();

        book.bring_to(&reel.tracks[0], 3);

        assert_eq!(book.sides(9), r#""bids":[["9","3"],["8","7"]],"asks":[]"#);
    }

    #[test]
    fn a_snapshot_is_cut_to_its_best_levels() {
        let json = r#"{"lastUpdateId":4,"bids":[["9","3"],["8","4"]],"asks":[["10","1"]]}"#;

        assert_eq!(
            cut(json, 1),
            r#"{"lastUpdateId":4,"bids":[["9","3"]],"asks":[["10","1"]]}"#
        );
        assert_eq!(cut(json, 2), json);
    }
}
