//! Tapes made ready to be sent: cut into streams, with the places of names, ids and times in each message, so that the
//! same message can go out under another symbol's name or in a later lap without being built anew.

use std::ops::Range;
use std::sync::Arc;

use super::cast::Cast;
use super::kind::Kind;
use super::scan;
use super::tape::Tape;
use super::wire;
use crate::{Market, StandinError};

/// Digits of a time in milliseconds, from 2001 to 2286.
const TIME_DIGITS: usize = 13;

/// Tapes of one market, cut into streams.
#[derive(Debug)]
pub(super) struct Reel {
    pub market: Market,
    /// Whom the tapes are about. A symbol that is on two tapes is there twice.
    pub sources: Vec<String>,
    pub tracks: Vec<Track>,
}

/// One stream of one tape.
#[derive(Debug)]
pub(super) struct Track {
    /// As it is called on the tape.
    pub stream: Arc<str>,
    /// Whom it is about: a place in [`Reel::sources`].
    pub source: usize,
    pub kind: Kind,
    pub shots: Vec<Shot>,
    /// What a lap adds.
    pub lap: Lap,
    /// A depth stream's recorded snapshot.
    pub snapshot: Option<Still>,
}

/// What each lap of a tape adds to the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lap {
    pub ms: i64,
    pub ids: u64,
}

/// A recorded snapshot on a depth stream.
#[derive(Debug)]
pub(super) struct Still {
    /// How many of the stream's events came before it.
    pub place: usize,
    /// Its `lastUpdateId`.
    pub last_id: u64,
    pub json: Box<str>,
}

/// One message.
#[derive(Debug)]
pub(super) struct Shot {
    pub at_ns: i64,
    /// Its place on the tape: decides between messages of one time.
    pub order: u32,
    pub json: Box<str>,
    /// Where the data lies.
    pub data: Range<usize>,
    pub id: u64,
    pub event_ms: Option<i64>,
    patches: Box<[Patch]>,
}

#[derive(Debug)]
struct Patch {
    at: u32,
    length: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Lower,
    Upper,
    Pair,
    Id,
    Time,
    EventTime,
}

/// How a message goes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print<'a> {
    pub cast: &'a Cast,
    /// Which lap, and what a lap adds.
    pub lap: (u64, Lap),
    /// Written over `E`.
    pub event_ms: Option<i64>,
    /// The data alone, as `/ws/…` sends it.
    pub is_raw: bool,
}

impl Reel {
    pub(super) fn new(tapes: Vec<Tape>) -> Result<Self, StandinError> {
        let first = tapes.first();
        let market = first.ok_or_else(|| StandinError::invalid("tapes", "at least one"))?;
        let mut reel = Self {
            market: market.market,
            sources: Vec::new(),
            tracks: Vec::new(),
        };
        for tape in tapes {
            if tape.market != reel.market {
                let why = format!("{} and {} do not mix", tape.market, reel.market);
                return Err(StandinError::invalid("tapes", why));
            }
            reel.add(tape)?;
        }
        Ok(reel)
    }

    fn add(&mut self, tape: Tape) -> Result<(), StandinError> {
        let (first_source, first_track) = (self.sources.len(), self.tracks.len());
        self.sources.extend(tape.symbols);
        let sources = &self.sources[first_source..];
        let tracks = &mut self.tracks;
        let mut places = Vec::new();
        for (order, frame) in tape.frames.into_iter().enumerate() {
            let known = tracks[first_track..]
                .iter()
                .position(|track| track.stream == frame.stream);
            let at = first_track + known.unwrap_or(tracks.len() - first_track);
            if known.is_none() {
                let symbol = frame.stream.split('@').next().unwrap_or_default();
                let source = sources
                    .iter()
                    .position(|source| source.eq_ignore_ascii_case(symbol))
                    .ok_or_else(|| StandinError::invalid(&*frame.stream, "no such symbol"))?;
                tracks.push(Track {
                    kind: Kind::of(&frame.stream),
                    stream: frame.stream,
                    source: first_source + source,
                    shots: Vec::new(),
                    lap: Lap::default(),
                    snapshot: None,
                });
            }
            places.push(at);
            let shot = Shot::new(frame.at_ns, order as u32, frame.json, tracks[at].kind)?;
            tracks[at].shots.push(shot);
        }
        for snapshot in tape.snapshots {
            let about = |track: &Track| {
                track.kind == Kind::Depth && self.sources[track.source] == snapshot.symbol
            };
            let found = tracks[first_track..].iter().position(about);
            let Some(at) = found.map(|at| first_track + at) else {
                continue;
            };
            let last_id = scan::number(&snapshot.json, 0, "lastUpdateId").unwrap_or_default();
            let before = places[..snapshot.frame].iter();
            let place = before.filter(|track| **track == at).count();
            // Only the first one of a tape: it is where a collector would begin.
            tracks[at].snapshot.get_or_insert(Still {
                place,
                last_id,
                json: snapshot.json,
            });
        }
        let frames = tracks[first_track..].iter().flat_map(|track| &track.shots);
        let last_ns = frames.map(|shot| shot.at_ns).max().unwrap_or_default();
        let lap_ms = last_ns / 1_000_000 + 10;
        for track in &mut tracks[first_track..] {
            track.lap.ms = lap_ms;
        }
        Ok(())
    }

    /// Makes the tracks fit for laps: ids go on where the last lap ended, and messages that would go back are left out.
    pub(super) fn make_loop(&mut self) {
        for source in 0..self.sources.len() {
            let mut tracks: Vec<&mut Track> = self.tracks.iter_mut().collect();
            tracks.retain(|track| track.source == source);
            let books: Vec<Range<u64>> = tracks.iter().filter_map(|track| track.chain()).collect();
            for track in tracks {
                let own = track.chain().or_else(|| {
                    let first = track.shots.first()?.id;
                    Some(first.checked_sub(1)?..track.shots.last()?.id)
                });
                let Some(own) = own else { continue };
                let span = match (track.kind, books.first()) {
                    // Of one count with the book's: what lies outside of it would go back in the next lap.
                    (Kind::BookTicker, Some(book)) => {
                        track
                            .shots
                            .retain(|shot| book.start < shot.id && shot.id <= book.end);
                        book.clone()
                    }
                    _ => own,
                };
                track.lap.ids = span.end - span.start;
            }
        }
    }
}

impl Track {
    /// The shot at a place, counted through all laps, and its lap.
    pub(super) fn shot(&self, place: usize) -> Option<(&Shot, u64)> {
        let laps = place.checked_div(self.shots.len())?;
        Some((&self.shots[place % self.shots.len()], laps as u64))
    }

    /// When the shot at a place is due, in nanoseconds of the tape.
    pub(super) fn at_ns(&self, place: usize) -> Option<i64> {
        let (shot, lap) = self.shot(place)?;
        Some(shot.at_ns + lap as i64 * self.lap.ms * 1_000_000)
    }

    /// The id of the shot at a place.
    pub(super) fn id(&self, place: usize) -> Option<u64> {
        let (shot, lap) = self.shot(place)?;
        let step = match self.kind.id_field() {
            "E" => self.lap.ms.unsigned_abs(),
            _ => self.lap.ids,
        };
        Some(shot.id + lap * step)
    }

    /// The time of the shot at a place, where it has one.
    pub(super) fn event_ms(&self, place: usize) -> Option<i64> {
        let (shot, lap) = self.shot(place)?;
        Some(shot.event_ms? + lap as i64 * self.lap.ms)
    }

    /// Where a depth stream waits for somebody to ask for its snapshot.
    pub(super) fn holds_at(&self) -> Option<usize> {
        let place = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.place);
        (self.kind == Kind::Depth).then(|| place.max(1))
    }

    /// Whether the event at a place came behind the recorded snapshot, and yet the snapshot knows of it.
    pub(super) fn is_in_snapshot(&self, place: usize) -> bool {
        let (Some(still), Some((shot, 0))) = (&self.snapshot, self.shot(place)) else {
            return false;
        };
        self.holds_at().is_some_and(|holds_at| place >= holds_at) && shot.id <= still.last_id
    }

    /// Whether the recorded snapshot is the book after so many events.
    pub(super) fn is_recorded(&self, place: usize) -> bool {
        let holds_at = self.holds_at().unwrap_or_default();
        let last = place.checked_sub(1);
        place <= holds_at || last.is_some_and(|last| self.is_in_snapshot(last))
    }

    /// A depth stream's ids: behind which the first event comes, and the last.
    fn chain(&self) -> Option<Range<u64>> {
        if self.kind != Kind::Depth {
            return None;
        }
        let (first, last) = (self.shots.first()?, self.shots.last()?);
        Some(first.previous_id()?..last.id)
    }
}

impl Shot {
    fn new(at_ns: i64, order: u32, json: Box<str>, kind: Kind) -> Result<Self, StandinError> {
        let data = scan::field(&json, 0, "data");
        let data = data.ok_or_else(|| StandinError::invalid("frame", "it has no data"))?;
        let mut patches = Vec::new();
        let mut patch = |value: Range<usize>, quotes: usize, what| {
            patches.push(Patch {
                at: (value.start + quotes) as u32,
                length: (value.len() - 2 * quotes) as u32,
                what,
            });
        };
        if let Some(stream) = scan::field(&json, 0, "stream") {
            let symbol = json[stream.clone()].find('@').unwrap_or(1);
            patch(stream.start..stream.start + symbol + 1, 1, What::Lower);
        }
        let (mut id, mut event_ms) = (0, None);
        let mut inside = vec![data.start];
        while let Some(start) = inside.pop() {
            for (name, value) in scan::fields(&json, start) {
                let is_top = start == data.start;
                let text = &json[value.clone()];
                if is_top && name == kind.id_field() {
                    id = text.parse().unwrap_or_default();
                }
                match name {
                    "E" if is_top => {
                        event_ms = text.parse().ok();
                        if text.len() == TIME_DIGITS {
                            patch(value, 0, What::EventTime);
                        }
                    }
                    "T" if text.len() == TIME_DIGITS && kind != Kind::MarkPrice => {
                        patch(value, 0, What::Time);
                    }
                    "s" if text.starts_with('"') => patch(value, 1, What::Upper),
                    "ps" if text.starts_with('"') => patch(value, 1, What::Pair),
                    // The order of a liquidation and the bar of a candle.
                    "o" | "k" if text.starts_with('{') => inside.push(value.start),
                    _ if is_top && kind.counted().contains(&name) => patch(value, 0, What::Id),
                    _ => {}
                }
            }
        }
        Ok(Self {
            at_ns,
            order,
            json,
            data,
            id,
            event_ms,
            patches: patches.into(),
        })
    }

    /// What a depth event follows on: its `pu`, or one less than its `U`.
    pub(super) fn previous_id(&self) -> Option<u64> {
        let number = |name| scan::number(&self.json, self.data.start, name);
        number("pu").or_else(|| number("U")?.checked_sub(1))
    }

    /// Writes it as a message of a WebSocket.
    pub(super) fn print(&self, out: &mut Vec<u8>, print: Print<'_>) {
        wire::head(out, wire::TEXT, self.part(print.is_raw).len());
        self.print_text(out, print);
    }

    /// Writes its text.
    pub(super) fn print_text(&self, out: &mut Vec<u8>, print: Print<'_>) {
        let part = self.part(print.is_raw);
        let start = out.len();
        out.extend(&self.json.as_bytes()[part.clone()]);
        let (lap, step) = print.lap;
        if !print.cast.is_renamed && lap == 0 && print.event_ms.is_none() {
            return;
        }
        for patch in &self.patches {
            let Some(at) = (patch.at as usize).checked_sub(part.start) else {
                continue;
            };
            let place = &mut out[start + at..start + at + patch.length as usize];
            match patch.what {
                What::Lower => place.copy_from_slice(print.cast.lower.as_bytes()),
                What::Upper => place.copy_from_slice(print.cast.upper.as_bytes()),
                What::Pair => place.copy_from_slice(print.cast.pair.as_bytes()),
                What::Id => raise(place, lap * step.ids),
                What::EventTime if let Some(event_ms) = print.event_ms => {
                    place.fill(b'0');
                    raise(place, event_ms.unsigned_abs());
                }
                What::Time | What::EventTime => raise(place, lap * step.ms.unsigned_abs()),
            }
        }
    }

    fn part(&self, is_raw: bool) -> Range<usize> {
        match is_raw {
            true => self.data.clone(),
            false => 0..self.json.len(),
        }
    }
}

/// Adds to a number that is written in a place of fixed width. What does not fit is cut off on the left.
fn raise(place: &mut [u8], mut by: u64) {
    for digit in place.iter_mut().rev() {
        if by == 0 {
            return;
        }
        let sum = u64::from(*digit - b'0') + by;
        *digit = b'0' + (sum % 10) as u8;
        by = sum / 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: &str = r#"{"stream":"btcusd_perp@depth@0ms","data":{"e":"depthUpdate","E":1723161257440,"T":1723161257432,"s":"BTCUSD_PERP","ps":"BTCUSD","U":95,"u":98,"pu":90,"b":[],"a":[["1","2"]]}}"#;

    fn reel() -> Reel {
        let mut tape = Tape::new(Market::Cm);
        tape.push(0, DEPTH).unwrap();
        Reel::new(vec![tape]).unwrap()
    }

    fn printed(print: Print<'_>) -> String {
        let mut out = Vec::new();
        reel().tracks[0].shots[0].print_text(&mut out, print);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn under_its_own_name_a_message_is_what_it_was() {
        let casts = Cast::own(&reel()).unwrap();
        let print = Print {
            cast: &casts[0],
            lap: (0, Lap::default()),
            event_ms: None,
            is_raw: false,
        };

        assert_eq!(printed(print), DEPTH);
        assert!(
            printed(Print {
                is_raw: true,
                ..print
            })
            .starts_with(r#"{"e":"depthUpdate""#)
        );
    }

    #[test]
    fn names_ids_and_times_are_rewritten_in_place() {
        let casts = Cast::others(&reel(), 36).unwrap();
        let lap = Lap { ms: 1000, ids: 0 };

        let other = printed(Print {
            cast: &casts[35],
            lap: (2, lap),
            event_ms: Some(1_800_000_000_000),
            is_raw: false,
        });

        let expected = DEPTH
            .replace("BTCUSD", "S0ZUSD")
            .replace("btcusd", "s0zusd")
            .replace("1723161257440", "1800000000000")
            .replace("1723161257432", "1723161259432");
        assert_eq!(other, expected);
    }

    #[test]
    fn numbers_are_raised_where_they_stand() {
        let mut place = *b"0998";
        raise(&mut place, 4);
        assert_eq!(&place, b"1002");
    }
}
