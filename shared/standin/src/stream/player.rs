//! Plays the tapes: which frame is due, whom it goes to, and what went wrong on the way.

mod strike;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cast::Cast;
use super::connection::{Connection, Ending};
use super::fault::{Pending, StreamFault};
use super::log::{Entry, Event, Fate, Happened, Line, Log, NOBODY};
use super::options::{Begin, Speed, StreamOptions};
use super::reel::{Print, Reel, Track};
use strike::twist;

/// Frames played at one go, before others get their turn.
const AT_ONCE: usize = 2_000;

/// At full speed the tape waits for a connection that has more than this waiting.
const FULL: u64 = 1 << 20;

/// And goes on when it has less than this.
const ALMOST_EMPTY: u64 = 1 << 18;

/// When to play on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At once.
    Now,
    /// At a time.
    At(Instant),
    /// When something has happened: a subscription, or a connection that took what waited.
    Told,
}

/// One stream as clients know it.
#[derive(Debug)]
pub(super) struct Stream {
    pub name: Arc<str>,
    pub symbol: usize,
    pub track: usize,
    /// The place of the frame that comes next, counted through all laps.
    pub next: usize,
    /// When its tape began, in nanoseconds of the clock of tapes.
    began_ns: Option<i64>,
    /// Waits for somebody to ask for a snapshot.
    is_held: bool,
    pub was_snapshot_asked: bool,
    subscribers: Vec<u32>,
    withheld: u64,
    silent_until_ns: i64,
}

/// The frame of a stream that comes next.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_ns: i64,
    order: u32,
    stream: usize,
}

/// Snapshots and handshakes that will go wrong.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Status, and seconds to wait.
    pub handshakes: VecDeque<(u16, Option<u64>)>,
    pub snapshots: VecDeque<SnapshotFault>,
    pub acks: u64,
}

/// How a snapshot goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum SnapshotFault {
    Status(u16, Option<u64>),
    Never,
    Old(u64),
}

/// Everything that changes while tapes are played.
#[derive(Debug)]
pub(super) struct Player {
    reel: Arc<Reel>,
    casts: Arc<Vec<Cast>>,
    pub options: StreamOptions,
    pub streams: Vec<Stream>,
    by_name: HashMap<Arc<str>, usize>,
    due: BinaryHeap<Reverse<Due>>,
    pub connections: BTreeMap<u32, Connection>,
    pub opened: u32,
    pub log: Log,
    pub events: Vec<Event>,
    pending: Pending,
    pub refusals: Refusals,
    pub delisted: Vec<bool>,
    pub skew_ms: i64,
    started: Instant,
    /// Where the clock of tapes stands at full speed.
    clock_ns: i64,
    /// Of what is played or strikes just now, by the clock of tapes.
    moment_ns: i64,
    /// When the first stream began, by the clock of tapes.
    first_ns: Option<i64>,
    asked_for: usize,
    is_waiting_for_room: bool,
    /// Handshakes of late.
    connects: VecDeque<Instant>,
}

impl Player {
    pub(super) fn new(reel: Arc<Reel>, casts: Arc<Vec<Cast>>, mut options: StreamOptions) -> Self {
        let (pending, at_start) = Pending::new(std::mem::take(&mut options.faults));
        let mut streams = Vec::new();
        for (symbol, cast) in casts.iter().enumerate() {
            for (track, of) in reel.tracks.iter().enumerate() {
                if of.source == cast.source {
                    let kind = of.stream.split_once('@').map_or("", |(_, kind)| kind);
                    streams.push(Stream {
                        name: format!("{}@{kind}", cast.lower).into(),
                        symbol,
                        track,
                        next: 0,
                        began_ns: None,
                        is_held: false,
                        was_snapshot_asked: false,
                        subscribers: Vec::new(),
                        withheld: 0,
                        silent_until_ns: i64::MIN,
                    });
                }
            }
        }
        let names = streams.iter().enumerate();
        let mut player = Self {
            by_name: names
                .map(|(at, stream)| (Arc::clone(&stream.name), at))
                .collect(),
            delisted: vec![false; casts.len()],
            reel,
            casts,
            options,
            streams,
            due: BinaryHeap::new(),
            connections: BTreeMap::new(),
            opened: 0,
            log: Log::default(),
            events: Vec::new(),
            pending,
            refusals: Refusals::default(),
            skew_ms: 0,
            started: Instant::now(),
            clock_ns: 0,
            moment_ns: 0,
            first_ns: None,
            asked_for: 0,
            is_waiting_for_room: false,
            connects: VecDeque::new(),
        };
        for fault in at_start {
            player.strike(fault, &[]);
        }
        player
    }

    /// Notes that something happened.
    pub(super) fn note(&mut self, connection: Option<u32>, what: Happened) {
        let at_ms = self.started.elapsed().as_millis() as u64;
        self.events.push(Event {
            at_ms,
            connection,
            what,
        });
    }

    /// The exchange's clock, in milliseconds since 1970.
    pub(super) fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as i64) + self.skew_ms
    }

    /// Counts a handshake, and says how many there were within a time.
    pub(super) fn connects_within(&mut self, now: Instant, time: Duration) -> usize {
        while self.connects.pop_front_if(|at| *at + time <= now).is_some() {}
        self.connects.push_back(now);
        self.connects.len()
    }

    /// Whether all that began was played, and handed to the sockets.
    pub(super) fn is_over(&self) -> bool {
        let is_waiting = self.streams.iter().any(|stream| stream.is_held);
        self.due.is_empty() && !is_waiting && self.log.counts.queued == 0
    }

    /// Where the clock of tapes stands.
    fn now_ns(&self) -> i64 {
        match self.options.speed {
            Speed::Times(times) => (self.started.elapsed().as_nanos() as f64 * times) as i64,
            Speed::Fast => self.clock_ns,
        }
    }

    fn instant_of(&self, at_ns: i64) -> Instant {
        match self.options.speed {
            Speed::Times(times) => {
                self.started + Duration::from_nanos((at_ns.max(0) as f64 / times) as u64)
            }
            Speed::Fast => self.started,
        }
    }

    /// Ends all streams: what has not been played never is.
    pub(super) fn halt(&mut self) {
        self.due.clear();
    }

    /// Begins all streams that have not begun.
    pub(super) fn go(&mut self) {
        (0..self.streams.len()).for_each(|stream| self.begin(stream));
    }

    fn begin(&mut self, stream: usize) {
        let now_ns = self.now_ns();
        self.first_ns.get_or_insert(now_ns);
        // Symbols that play the same tape are spread over a second, or all of them would speak at once.
        let spread_ms = match self.options.symbols {
            Some(_) => self.streams[stream].symbol as i64 * 379 % 1000,
            None => 0,
        };
        if self.streams[stream].began_ns.is_none() {
            self.streams[stream].began_ns = Some(now_ns + spread_ms * 1_000_000);
            self.schedule(stream);
        }
    }

    /// Puts the next frame of a stream among those that are due, if there is one.
    fn schedule(&mut self, at: usize) {
        let (stream, fast) = (&mut self.streams[at], self.options.speed == Speed::Fast);
        let track = &self.reel.tracks[stream.track];
        let (Some(began_ns), Some((shot, lap))) = (stream.began_ns, track.shot(stream.next)) else {
            return;
        };
        if lap >= self.options.laps || self.delisted[stream.symbol] {
            return;
        }
        let holds = self.options.wait_for_snapshot && track.holds_at() == Some(stream.next);
        if holds && !stream.was_snapshot_asked {
            stream.is_held = true;
            return;
        }
        let at_ns = began_ns + track.at_ns(stream.next).unwrap_or_default();
        self.due.push(Reverse(Due {
            at_ns: if fast {
                at_ns.max(self.clock_ns)
            } else {
                at_ns
            },
            order: shot.order,
            stream: at,
        }));
    }

    /// Somebody asked for the snapshot of a stream that may wait for it.
    pub(super) fn release(&mut self, at: usize) {
        self.streams[at].was_snapshot_asked = true;
        if !std::mem::take(&mut self.streams[at].is_held) {
            return;
        }
        // The time it stood still does not count.
        let now_ns = self.now_ns();
        let stream = &mut self.streams[at];
        let track = &self.reel.tracks[stream.track];
        let due_ns = stream.began_ns.unwrap_or_default() + track.at_ns(stream.next).unwrap_or(0);
        stream.began_ns = stream
            .began_ns
            .map(|began| began + (now_ns - due_ns).max(0));
        self.schedule(at);
    }

    /// Plays what is due.
    pub(super) fn play(&mut self) -> Next {
        self.is_waiting_for_room = false;
        for _ in 0..AT_ONCE {
            let now_ns = self.now_ns();
            let next_ns = self.due.peek().map(|Reverse(due)| due.at_ns);
            // However late it is: what lies before a fault comes before it.
            let until_ns = match (self.options.speed, next_ns) {
                (Speed::Fast, Some(next_ns)) => next_ns,
                (_, next_ns) => next_ns.unwrap_or(now_ns).min(now_ns),
            };
            while let Some(fault) = self.fault_of_time(until_ns) {
                self.strike_all(fault);
            }
            let Some(Reverse(due)) = self.due.peek() else {
                return self.next_fault().map_or(Next::Told, Next::At);
            };
            if self.options.speed == Speed::Fast {
                if self.is_full(due.stream) {
                    self.is_waiting_for_room = true;
                    return Next::Told;
                }
                self.clock_ns = due.at_ns;
            } else if due.at_ns > now_ns {
                let due = self.instant_of(due.at_ns);
                return Next::At(self.next_fault().map_or(due, |fault| fault.min(due)));
            }
            if let Some(Reverse(due)) = self.due.pop() {
                self.moment_ns = due.at_ns;
                self.play_frame(due.stream);
                self.schedule(due.stream);
            }
        }
        Next::Now
    }

    fn fault_of_time(&mut self, until_ns: i64) -> Option<StreamFault> {
        let first_ns = self.first_ns?;
        let since_ms = (until_ns - first_ns).max(0) / 1_000_000;
        let at_ms = self.pending.next_ms()?;
        let fault = self.pending.of_time(since_ms.unsigned_abs())?;
        self.moment_ns = first_ns + at_ms as i64 * 1_000_000;
        Some(fault)
    }

    fn next_fault(&self) -> Option<Instant> {
        let at_ns = self.first_ns? + self.pending.next_ms()? as i64 * 1_000_000;
        (self.options.speed != Speed::Fast).then(|| self.instant_of(at_ns))
    }

    fn is_full(&self, stream: usize) -> bool {
        let subscribers = self.streams[stream].subscribers.iter();
        let mut connections = subscribers.filter_map(|id| self.connections.get(id));
        connections.any(|connection| {
            connection.is_open()
                && connection.stalled_until.is_none()
                && connection.waiting() > FULL
        })
    }

    fn play_frame(&mut self, at: usize) {
        let (number, place) = (self.log.counts.played, self.streams[at].next);
        let subscribers = self.streams[at].subscribers.clone();
        let mut twists = Vec::new();
        let name = Arc::clone(&self.streams[at].name);
        while let Some(fault) = self.pending.of_frame(number, &name, place as u64) {
            twists.extend(self.strike(fault, &subscribers));
        }
        self.log.counts.played += 1;
        let stream = &mut self.streams[at];
        stream.next += 1;
        let line = |connection, fate| Line {
            stream: at as u32,
            place: place as u32,
            connection,
            fate,
        };
        let is_withheld = stream.withheld > 0;
        stream.withheld = stream.withheld.saturating_sub(1);
        if is_withheld || self.delisted[stream.symbol] || self.moment_ns < stream.silent_until_ns {
            self.log.add(line(NOBODY, Fate::Withheld));
            return;
        }
        let mut is_lost = true;
        let event_ms = self.options.restamp.then(|| self.wall_ms());
        let track = &self.reel.tracks[self.streams[at].track];
        let Some((shot, lap)) = track.shot(place) else {
            return;
        };
        for id in subscribers {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            if !connection.is_open() {
                continue;
            }
            is_lost = false;
            if connection.is_muted() {
                self.log.add(line(id, Fate::Withheld));
                continue;
            }
            let print = Print {
                cast: &self.casts[self.streams[at].symbol],
                lap: (lap, track.lap),
                event_ms,
                is_raw: connection.is_raw,
            };
            if twists.is_empty() {
                connection.put(|out| shot.print(out, print));
                let line = self.log.add(line(id, Fate::Queued));
                connection.mark(line, Fate::Sent);
            } else {
                let mut text = Vec::new();
                shot.print_text(&mut text, print);
                let fate = twist(connection, text, &twists);
                let first = match fate {
                    Fate::Cut => Fate::Cut,
                    _ => Fate::Queued,
                };
                let line = self.log.add(line(id, first));
                if first == Fate::Queued {
                    connection.mark(line, fate);
                }
            }
            if connection.waiting() > self.options.most_waiting {
                connection.end(Ending::Reset, "too slow".to_owned());
            }
            connection.wake.notify_one();
        }
        if is_lost {
            self.log.add(line(NOBODY, Fate::Lost));
        }
    }

    /// Lets a connection have a stream, and begins it if it has to.
    pub(super) fn subscribe(&mut self, id: u32, name: &str) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.names.iter().any(|known| known == name) {
            return;
        }
        connection.names.push(name.to_owned());
        let Some(&at) = self.by_name.get(name) else {
            return;
        };
        let kind = self.reel.tracks[self.streams[at].track].kind;
        if !connection.delivers.has(kind) {
            return;
        }
        let stream = &mut self.streams[at];
        self.asked_for += usize::from(stream.subscribers.is_empty());
        stream.subscribers.push(id);
        match self.options.begin {
            Begin::Subscribe => self.begin(at),
            Begin::Streams(count) if self.asked_for >= count => self.go(),
            Begin::Streams(_) | Begin::Go => {}
        }
    }

    /// Takes a stream from a connection.
    pub(super) fn unsubscribe(&mut self, id: u32, name: &str) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.names.retain(|known| known != name);
        }
        if let Some(&at) = self.by_name.get(name) {
            self.streams[at].subscribers.retain(|known| *known != id);
        }
    }

    /// Bytes of a connection went to its socket. Whether the tape waited for that.
    pub(super) fn wrote(&mut self, id: u32, bytes: usize) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        connection.wrote(bytes, &mut self.log);
        self.is_waiting_for_room && connection.waiting() < ALMOST_EMPTY
    }

    /// A connection is no more.
    pub(super) fn closed(&mut self, id: u32, why: String) {
        if let Some(mut connection) = self.connections.remove(&id) {
            connection.gone(&mut self.log);
            for stream in &mut self.streams {
                stream.subscribers.retain(|known| *known != id);
            }
            let why = connection.ending.map_or(why, |(_, why)| why);
            self.note(Some(id), Happened::Closed { why });
        }
    }

    /// The depth stream of a symbol.
    pub(super) fn stream_of(&self, symbol: &str, is_it: impl Fn(&Track) -> bool) -> Option<usize> {
        let mut streams = self.streams.iter();
        streams.position(|stream| {
            self.casts[stream.symbol].upper == symbol && is_it(&self.reel.tracks[stream.track])
        })
    }

    /// The log as it is told, from a line on, so many lines.
    pub(super) fn entries(&self, from: usize, limit: usize) -> Vec<Entry> {
        let lines = self.log.lines.iter().skip(from).take(limit);
        lines.map(|line| self.entry(line)).collect()
    }

    fn entry(&self, line: &Line) -> Entry {
        let stream = &self.streams[line.stream as usize];
        let track = &self.reel.tracks[stream.track];
        Entry {
            stream: Arc::clone(&stream.name),
            place: u64::from(line.place),
            id: track.id(line.place as usize).unwrap_or_default(),
            event_ms: track.event_ms(line.place as usize),
            connection: (line.connection != NOBODY).then_some(line.connection),
            fate: line.fate,
        }
    }
}
