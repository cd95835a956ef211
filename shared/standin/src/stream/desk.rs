//! What is answered over REST out of the tapes: snapshots of books, trades, and what the stand-in knows of itself.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, json};

use super::cast::Cast;
use super::kind::Kind;
use super::own_book::{self, OwnBook};
use super::player::SnapshotFault;
use super::reel::{Print, Shot, Track};
use super::scan;
use super::stage::Stage;
use crate::Market;

/// Lines of the log of one answer.
const MOST_LINES: usize = 100_000;

/// Trades of one answer.
const MOST_TRADES: usize = 1000;

/// Books that were asked for, by their stream.
#[derive(Debug, Default)]
pub(super) struct Desk {
    books: BTreeMap<usize, OwnBook>,
}

/// An answer of the tapes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The status, the body, and the seconds to wait.
    Reply(u16, String, Option<u64>),
    /// Nothing ever comes.
    Never,
}

impl Told {
    fn no_symbol() -> Self {
        Self::Reply(
            400,
            r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned(),
            None,
        )
    }
}

impl Stage {
    /// Answers what the tapes know; `None` is for others to answer.
    pub(crate) fn answer(&self, path: &str, pairs: &BTreeMap<&str, &str>) -> Option<Told> {
        if let Some(about) = path.strip_prefix("/standin/") {
            return Some(self.answer_about_itself(about, pairs));
        }
        let version = match self.reel.market {
            Market::Um => "/fapi/v1/",
            Market::Cm => "/dapi/v1/",
            Market::Spot => "/api/v3/",
        };
        match path.strip_prefix(version)? {
            "depth" => Some(self.depth(pairs)),
            "aggTrades" => Some(self.trades(pairs)),
            "time" => {
                let now = self.player().wall_ms();
                Some(Told::Reply(200, format!("{{\"serverTime\":{now}}}"), None))
            }
            _ => None,
        }
    }

    /// For tests that run it as a process of its own.
    ///
    /// | request | answer |
    /// | --- | --- |
    /// | `/standin/go` | begins all streams |
    /// | `/standin/halt` | ends all streams |
    /// | `/standin/counts` | the sums over the log |
    /// | `/standin/log?from=0&limit=100000` | entries of the log, one a line |
    /// | `/standin/events` | what happened to connections, one a line |
    /// | `/standin/strike?kind=close&code=1001` | lets a fault strike now |
    fn answer_about_itself(&self, about: &str, pairs: &BTreeMap<&str, &str>) -> Told {
        let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<usize>().ok());
        let body = match about {
            "go" => {
                self.player().go();
                self.pump.notify_one();
                "{}".to_owned()
            }
            "halt" => {
                self.player().halt();
                "{}".to_owned()
            }
            "counts" => serde_json::to_string(&self.counts()).unwrap_or_default(),
            "log" => {
                let from = number("from").unwrap_or(0);
                let limit = number("limit").unwrap_or(MOST_LINES).min(MOST_LINES);
                json_lines(self.player().entries(from, limit))
            }
            "events" => json_lines(self.player().events.clone()),
            "strike" => {
                let fields = pairs.iter().map(|(name, text)| {
                    let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
                    ((*name).to_owned(), value)
                });
                match serde_json::from_value(fields.collect::<Map<_, _>>().into()) {
                    Ok(fault) => {
                        self.player().strike_now(fault);
                        self.pump.notify_one();
                        "{}".to_owned()
                    }
                    Err(error) => return Told::Reply(400, error.to_string(), None),
                }
            }
            _ => return Told::Reply(404, "{}".to_owned(), None),
        };
        Told::Reply(200, body, None)
    }

    /// How far the exchange's clock is off, and the symbols that are no longer traded.
    pub(crate) fn oddities(&self) -> (i64, Vec<String>) {
        let player = self.player();
        let delisted = self.casts.iter().zip(&player.delisted);
        let delisted = delisted.filter(|(_, is_delisted)| **is_delisted);
        let names = delisted.map(|(cast, _)| cast.upper.clone());
        (player.skew_ms, names.collect())
    }

    fn depth(&self, pairs: &BTreeMap<&str, &str>) -> Told {
        let limit = pairs.get("limit").and_then(|limit| limit.parse().ok());
        let symbol = pairs.get("symbol").copied().unwrap_or_default();
        let (at, mut place, behind, event_ms) = {
            let mut player = self.player();
            let Some(at) = player.stream_of(symbol, |track| track.kind == Kind::Depth) else {
                return Told::no_symbol();
            };
            if player.delisted[player.streams[at].symbol] {
                return Told::no_symbol();
            }
            let mut behind = None;
            match player.refusals.snapshots.pop_front() {
                Some(SnapshotFault::Status(status, wait)) => {
                    let body = r#"{"code":-1003,"msg":"Way too many requests."}"#;
                    return Told::Reply(status, body.to_owned(), wait);
                }
                Some(SnapshotFault::Never) => return Told::Never,
                Some(SnapshotFault::Old(events)) => behind = Some(events as usize),
                None => {}
            }
            let place = player.streams[at].next;
            // An old one helps nobody, so the tape goes on waiting for a good one.
            if behind.is_none() {
                player.release(at);
                self.pump.notify_one();
            }
            let event_ms = player.options.restamp.then(|| player.wall_ms());
            (at, place, behind, event_ms)
        };
        let (track, cast) = self.of(at);
        let limit = limit.unwrap_or(500);
        if let Some(behind) = behind {
            place = place.saturating_sub(behind.max(1));
        }
        let body = match &track.snapshot {
            Some(still) if behind.is_none() && track.is_recorded(place) => {
                cast.renamed(&own_book::cut(&still.json, limit), &self.reel)
            }
            _ => {
                let mut desk = self.desk.lock().unwrap_or_else(|e| e.into_inner());
                let book = desk.books.entry(at).or_default();
                book.bring_to(track, place);
                let is_old = behind.is_some();
                self.state(track, cast, (place, is_old), event_ms, &book.sides(limit))
            }
        };
        Told::Reply(200, body, None)
    }

    /// A snapshot of a book after so many events, as it is or as an old one.
    fn state(
        &self,
        track: &Track,
        cast: &Cast,
        (place, is_old): (usize, bool),
        event_ms: Option<i64>,
        sides: &str,
    ) -> String {
        let last = place.checked_sub(1);
        let last_id = last.and_then(|last| track.id(last)).or_else(|| {
            // Before everything: where the first event goes on, or older than that.
            let first = track.shots.first()?.previous_id()?;
            first.checked_sub(u64::from(is_old))
        });
        let last_id = last_id.unwrap_or_default();
        if self.reel.market == Market::Spot {
            return format!("{{\"lastUpdateId\":{last_id},{sides}}}");
        }
        let shot = last.and_then(|last| track.shot(last));
        let time = |name| {
            let (shot, lap) = shot?;
            let time = scan::number(&shot.json, shot.data.start, name)?;
            Some(time as i64 + lap as i64 * track.lap.ms)
        };
        let event_ms = event_ms.or_else(|| time("E")).unwrap_or_default();
        let trade_ms = time("T").unwrap_or_default();
        let named = match self.reel.market {
            Market::Cm => format!("\"symbol\":\"{}\",\"pair\":\"{}\",", cast.upper, cast.pair),
            _ => String::new(),
        };
        format!("{{\"lastUpdateId\":{last_id},\"E\":{event_ms},\"T\":{trade_ms},{named}{sides}}}")
    }

    fn trades(&self, pairs: &BTreeMap<&str, &str>) -> Told {
        let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<u64>().ok());
        let symbol = pairs.get("symbol").copied().unwrap_or_default();
        let (at, is_delisted) = {
            let player = self.player();
            let at = player.stream_of(symbol, |track| track.kind == Kind::AggTrade);
            let known = self.casts.iter().position(|cast| cast.upper == symbol);
            let is_delisted = known.is_none_or(|known| player.delisted[known]);
            (at.map(|at| (at, player.streams[at].next)), is_delisted)
        };
        if is_delisted {
            return Told::no_symbol();
        }
        let Some((at, place)) = at else {
            return Told::Reply(200, "[]".to_owned(), None);
        };
        let (track, cast) = self.of(at);
        let limit = number("limit").unwrap_or(500).clamp(1, MOST_TRADES as u64) as usize;
        let is_newest = ["fromId", "startTime", "endTime"];
        let is_newest = !is_newest.iter().any(|name| pairs.contains_key(name));
        let (from, start, end) = (number("fromId"), number("startTime"), number("endTime"));
        let first = match (from, is_newest) {
            (_, true) => place.saturating_sub(limit),
            (Some(from), _) => partition(place, |at| track.id(at).is_some_and(|id| id < from)),
            _ => 0,
        };
        let mut rows = Vec::new();
        for at in first..place {
            let Some((shot, lap)) = track.shot(at) else {
                break;
            };
            let row = row(shot, cast, (lap, track), self.reel.market);
            let time = row.as_ref().map_or(0, |(time, _)| *time);
            if start.is_some_and(|start| time < start) || end.is_some_and(|end| time > end) {
                continue;
            }
            rows.extend(row.map(|(_, row)| row));
            if rows.len() == limit {
                break;
            }
        }
        Told::Reply(200, format!("[{}]", rows.join(",")), None)
    }

    fn of(&self, stream: usize) -> (&Track, &Cast) {
        let player = self.player();
        let stream = &player.streams[stream];
        (&self.reel.tracks[stream.track], &self.casts[stream.symbol])
    }
}

fn json_lines(rows: Vec<impl Serialize>) -> String {
    let lines = rows.iter().map(|row| serde_json::to_string(row));
    lines.flatten().map(|line| line + "\n").collect()
}

/// The first place of so many for which it does not hold any more.
fn partition(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A trade as REST tells it, and its time.
fn row(
    shot: &Shot,
    cast: &Cast,
    (lap, track): (u64, &Track),
    market: Market,
) -> Option<(u64, String)> {
    let mut text = Vec::new();
    let print = Print {
        cast,
        lap: (lap, track.lap),
        event_ms: None,
        is_raw: true,
    };
    shot.print_text(&mut text, print);
    let text = String::from_utf8(text).ok()?;
    let names: &[&str] = match market {
        Market::Spot => &["a", "p", "q", "f", "l", "T", "m", "M"],
        _ => &["a", "p", "q", "f", "l", "T", "m"],
    };
    let fields = names.iter().filter_map(|name| {
        let value = scan::field(&text, 0, name)?;
        Some(format!("\"{name}\":{}", &text[value]))
    });
    let fields: Vec<String> = fields.collect();
    let time = scan::number(&text, 0, "T")?;
    Some((time, format!("{{{}}}", fields.join(","))))
}
