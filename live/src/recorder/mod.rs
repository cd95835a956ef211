//! What becomes of messages: which are stored, which are known already, and what is missing between them. No I/O: messages,
//! answers and times go in; rows, and what has to be asked for, come out.

mod lead;
mod stream;
mod tally;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tapemill_capture::Dataset;
use tapemill_market::{Market, Symbol};
use tapemill_stream::{
    AggTrade, Anchor, DepthUpdate, Event, Fit, Frame, Hole, Ids, Kind, Link, Mark, Read, Snapshot,
};

use crate::config::Config;
use crate::rows::{Batch, Entry, Origin, Rows, dataset_of};
use crate::sink::Followed;
use stream::{Order, Stream, mark_of};

pub use stream::Received;
pub use tally::Tally;

/// Texts that were refused, told of one connection within a minute.
const TOLD_A_MINUTE: u32 = 10;

/// Of a text that was refused, so much is told.
const TOLD_BYTES: usize = 200;

/// The cause of a hole behind a message that could not be read.
const MALFORMED: &str = "malformed";

/// Something that the exchange has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A snapshot of a symbol's book.
    Snapshot(Symbol),
    /// Trades between two, without both.
    Trades {
        /// The stream that lacks them.
        stream: String,
        /// The symbol.
        symbol: Symbol,
        /// What is missing.
        hole: Hole,
    },
}

/// What a text of a connection was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message, stored, remembered, or known already.
    Message,
    /// A subscription was taken.
    Taken(u64),
    /// A subscription was refused.
    Refused(String),
    /// The connection will be ended by the exchange.
    Ending,
    /// Nothing that can be read.
    Malformed,
}

/// What was counted since the collector began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of all connections.
    pub frames: u64,
    /// Rows that were stored.
    pub rows: u64,
    /// Messages that were known already.
    pub duplicates: u64,
    /// Holes.
    pub gaps: u64,
    /// Messages in holes whose ids count.
    pub missing: u64,
    /// Of those, what was asked for and came.
    pub filled: u64,
    /// Books that found a snapshot that their updates follow.
    pub resyncs: u64,
    /// Snapshots that were older than the updates.
    pub old_snapshots: u64,
    /// Texts that could not be read.
    pub malformed: u64,
    /// Messages with fields that no column holds.
    pub unknown_fields: u64,
    /// Of the messages, those of streams that were asked for, by what they become.
    pub frames_of: Tally<Dataset>,
    /// The rows, by dataset.
    pub rows_of: Tally<Dataset>,
    /// Connections that ended and were to be replaced, by the cause that the ledger tells.
    pub reconnects: Tally<&'static str>,
    /// Tries to connect that failed.
    pub failed_tries: u64,
}

impl Counts {
    /// Adds another recorder's.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.gaps += other.gaps;
        self.missing += other.missing;
        self.filled += other.filled;
        self.resyncs += other.resyncs;
        self.old_snapshots += other.old_snapshots;
        self.malformed += other.malformed;
        self.unknown_fields += other.unknown_fields;
        self.frames_of.extend(&other.frames_of);
        self.rows_of.extend(&other.rows_of);
        self.reconnects.extend(&other.reconnects);
        self.failed_tries += other.failed_tries;
    }
}

/// Streams, and what was stored of them.
pub struct Recorder {
    market: Market,
    session: String,
    streams: Vec<Stream>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, usize>,
    rows: Rows,
    wanted: Vec<Wanted>,
    counts: Counts,
    /// When each connection brought something last.
    heard: HashMap<i32, Instant>,
    /// Of each connection, when a minute began and what was told in it.
    told: HashMap<i32, (Instant, u32)>,
    /// How late messages came since they were asked for last, in milliseconds.
    lags: Vec<i64>,
}

impl Recorder {
    /// Of the channels and symbols that are to be collected; nothing was stored before.
    pub fn new(session: String, config: &Config) -> Self {
        let (market, symbols) = (config.market, &config.symbols);
        let mut streams = Vec::new();
        for (number, symbol) in symbols.iter().enumerate() {
            for channel in &config.channels {
                streams.push(Stream::new(
                    market,
                    number,
                    symbol.clone(),
                    channel.clone(),
                    config.max_update_gap,
                ));
            }
        }
        let names = streams.iter().enumerate();
        let by_name = names
            .map(|(number, stream)| (stream.name.clone(), number))
            .collect();
        let names = symbols.iter().map(|symbol| symbol.as_str().to_owned());
        Self {
            market,
            session,
            by_symbol: names
                .clone()
                .enumerate()
                .map(|(number, name)| (name, number))
                .collect(),
            rows: Rows::new(names.collect()),
            streams,
            by_name,
            wanted: Vec::new(),
            counts: Counts::default(),
            heard: HashMap::new(),
            told: HashMap::new(),
            lags: Vec::new(),
        }
    }

    /// The names of all streams, with the kind of each.
    pub fn streams(&self) -> impl Iterator<Item = (&str, Kind)> {
        let streams = self.streams.iter();
        streams.map(|stream| (stream.name.as_str(), stream.channel.kind()))
    }

    /// All streams, as a sink is asked for what it has of them.
    pub fn followed(&self) -> Vec<Followed> {
        let streams = self.streams.iter();
        streams
            .map(|stream| Followed {
                stream: stream.name.clone(),
                dataset: dataset_of(stream.channel.kind()),
                symbol: stream.symbol_name.to_string(),
            })
            .collect()
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A connection could not be opened.
    pub fn count_failed_try(&mut self) {
        self.counts.failed_tries += 1;
    }

    /// The symbols whose books wait for a snapshot that their updates follow.
    pub fn waiting(&self) -> impl Iterator<Item = &Symbol> {
        let waiting = self.streams.iter().filter(|stream| stream.anchor.is_some());
        waiting.map(|stream| &stream.symbol_name)
    }

    /// How late messages came since this was asked last, in milliseconds.
    pub fn take_lags(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.lags)
    }

    /// Rows that are held, and about what they take in memory.
    pub fn held(&self) -> (usize, usize) {
        (self.rows.count(), self.rows.bytes())
    }

    /// Takes the rows.
    pub fn take_rows(&mut self) -> Vec<Batch> {
        self.rows.take()
    }

    /// Takes what has to be asked for.
    pub fn take_wanted(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted)
    }

    /// Goes on behind what an earlier session stored of a stream.
    pub fn resume(&mut self, stream: &str, last: Mark, cause: &'static str) {
        if let Some(&number) = self.by_name.get(stream) {
            self.streams[number].resume(last, cause);
        }
    }

    /// Tells something in the ledger.
    pub fn tell(&mut self, event_type: &'static str, received_ns: i64, more: Entry) {
        self.counts.tell(event_type, more.cause);
        self.rows.tell(Entry {
            event_type,
            received_ns,
            market: self.market.to_string(),
            session: self.session.clone(),
            ..more
        });
    }

    /// Takes a text of a connection.
    pub fn hear(&mut self, connection: i32, text: &str, received: Received) -> Heard {
        self.heard.insert(connection, received.at);
        match Frame::read(text) {
            Ok(Frame::Message { stream, data }) => {
                self.counts.frames += 1;
                match self.by_name.get(stream).copied() {
                    Some(number) => self.message(number, connection, data, received),
                    None => self.malformed(
                        connection,
                        "a stream that was not asked for",
                        text,
                        received,
                    ),
                }
            }
            Ok(Frame::Taken { id }) => Heard::Taken(id),
            Ok(Frame::Refused { why, .. }) => Heard::Refused(why),
            Ok(Frame::Ending) => Heard::Ending,
            Err(error) => {
                // It may have been of any stream; chains tell by themselves.
                for stream in &mut self.streams {
                    if stream.leader == Some(connection) && stream.last.is_some() {
                        stream.interrupted.get_or_insert(MALFORMED);
                    }
                }
                self.malformed(connection, &error.to_string(), text, received)
            }
        }
    }

    fn message(&mut self, number: usize, connection: i32, data: &str, received: Received) -> Heard {
        let stream = &mut self.streams[number];
        let dataset = dataset_of(stream.channel.kind());
        self.counts.frames_of.add(dataset, 1);
        stream.seen = Some(received.at);
        stream.brought(connection, data, received.at);
        match stream.leader {
            None => stream.leader = Some(connection),
            Some(leader) if leader == connection => {}
            Some(_) => {
                if stream.shadow.is_none() {
                    stream.shadow = Some(connection);
                }
                if stream.shadow == Some(connection) {
                    stream.shadow(data, received);
                }
                return Heard::Message;
            }
        }
        self.store(number, connection, data, received)
    }

    /// Stores a message of the leading connection, unless it is known already.
    fn store(&mut self, number: usize, connection: i32, data: &str, received: Received) -> Heard {
        let stream = &mut self.streams[number];
        let read = match Event::read(stream.channel.kind(), data) {
            Ok(read) if read.symbol == stream.symbol_name.as_str() => read,
            Ok(_) => {
                stream.interrupted = stream.last.map(|_| MALFORMED);
                return self.malformed(connection, "a message of another symbol", data, received);
            }
            Err(error) => {
                stream.interrupted = stream.last.map(|_| MALFORMED);
                return self.malformed(connection, &error.to_string(), data, received);
            }
        };
        let Read { event, extra, .. } = read;
        let mark = mark_of(&event, received);
        if stream.leader == Some(connection)
            && stream.is_shadowed()
            && stream.would_break(mark, &event)
        {
            // The other brought, or will bring, what is missing in between.
            self.swap(number);
            self.streams[number].shadow(data, received);
            return Heard::Message;
        }
        let link = stream.link(mark, &event, data);
        if link == Link::Duplicate {
            // What was stored before comes again by another connection: nothing is missing in between. Of a message that could not
            // be read it says nothing.
            stream.interrupted = stream.interrupted.filter(|cause| *cause == MALFORMED);
            self.counts.duplicates += 1;
            return Heard::Message;
        }
        let interrupted = stream.interrupted.take();
        let hole = match link {
            Link::Breaks(hole) | Link::Tolerated(hole) => Some(hole),
            // Without a chain nothing proves that an interruption cost nothing.
            Link::Continues if matches!(stream.order, Order::Ordered(_)) => {
                interrupted.map(|_| Hole {
                    after: stream.last,
                    before: Some(mark),
                    missing: None,
                })
            }
            _ => None,
        };
        stream.last = Some(mark);
        if let Some(hole) = hole {
            self.gap(
                number,
                connection,
                &hole,
                interrupted.unwrap_or("chain"),
                received,
            );
        }
        if extra.is_some() {
            self.counts.unknown_fields += 1;
        }
        if let Event::Depth(update) = &event {
            self.follow(number, update, matches!(link, Link::Breaks(_)), received);
        }
        if let Some(event_ms) = event.event_ms() {
            self.lags.push(received.ns.div_euclid(1_000_000) - event_ms);
        }
        let stream = &self.streams[number];
        let dataset = dataset_of(stream.channel.kind());
        self.counts.take_rows(dataset, 1);
        let origin = Origin {
            received_ns: received.ns,
            connection: Some(connection),
            extra,
        };
        self.rows.add(
            &stream.name,
            mark,
            stream.symbol,
            stream.interval(),
            event,
            origin,
        );
        Heard::Message
    }

    fn gap(
        &mut self,
        number: usize,
        connection: i32,
        hole: &Hole,
        cause: &'static str,
        received: Received,
    ) {
        let stream = &self.streams[number];
        // Nothing is missing of what was never collected.
        if hole.after.is_none() {
            return;
        }
        self.counts.gaps += 1;
        self.counts.missing += hole.missing.unwrap_or(0);
        let entry = Entry {
            symbol: Some(stream.symbol_name.to_string()),
            stream: Some(stream.name.clone()),
            connection: Some(connection),
            cause: Some(cause),
            ..Entry::default()
        };
        if stream.channel.kind() == Kind::AggTrade {
            self.wanted.push(Wanted::Trades {
                stream: stream.name.clone(),
                symbol: stream.symbol_name.clone(),
                hole: *hole,
            });
        }
        self.tell("gap", received.ns, entry.with(hole));
    }

    /// Holds an update of a book against the snapshot that it needs.
    fn follow(&mut self, number: usize, update: &DepthUpdate, breaks: bool, received: Received) {
        let market = self.market;
        let stream = &mut self.streams[number];
        if breaks && stream.anchor.is_none() {
            stream.anchor = Some(Anchor::new(market));
        }
        let Some(anchor) = &mut stream.anchor else {
            return;
        };
        let fit = anchor.event(Ids {
            first: update.first_id,
            last: update.last_id,
            previous: update.previous_id,
            event_ms: update.event_ms,
        });
        self.fitted(number, fit, received);
    }

    fn fitted(&mut self, number: usize, fit: Fit, received: Received) {
        let stream = &mut self.streams[number];
        match fit {
            Fit::Anchored { from } => {
                stream.anchor = None;
                stream.is_asked = false;
                self.counts.resyncs += 1;
                let entry = Entry {
                    symbol: Some(stream.symbol_name.to_string()),
                    stream: Some(stream.name.clone()),
                    before: Some(from.mark()),
                    ..Entry::default()
                };
                self.tell("resync", received.ns, entry);
            }
            Fit::TooOld => {
                self.counts.old_snapshots += 1;
                stream.is_asked = true;
                let symbol = stream.symbol_name.clone();
                self.wanted.push(Wanted::Snapshot(symbol));
            }
            // Not before there are updates: a snapshot that is older than the first of them is of no use.
            Fit::Waits if !stream.is_asked => {
                stream.is_asked = true;
                let symbol = stream.symbol_name.clone();
                self.wanted.push(Wanted::Snapshot(symbol));
            }
            Fit::Waits => {}
        }
    }

    /// Takes a snapshot of a symbol's book.
    pub fn snapshot(&mut self, symbol: &Symbol, snapshot: &Snapshot, received: Received) {
        let Some(&number) = self.by_symbol.get(symbol.as_str()) else {
            return;
        };
        let origin = Origin {
            received_ns: received.ns,
            ..Origin::default()
        };
        let name = format!("{}@snapshot", symbol.as_str().to_lowercase());
        self.rows.add_snapshot(&name, number, snapshot, origin);
        self.counts.take_rows(Dataset::OrderBook, 1);
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            if stream.symbol != number {
                continue;
            }
            if let Some(anchor) = &mut stream.anchor {
                let fit = anchor.snapshot(snapshot.last_id);
                self.fitted(at, fit, received);
            }
        }
    }

    /// A snapshot that was asked for does not come for now; it is asked for again when an update needs it.
    pub fn no_snapshot(&mut self, symbol: &Symbol) {
        let streams = self.streams.iter_mut();
        for stream in streams.filter(|stream| stream.symbol_name == *symbol) {
            stream.is_asked = false;
        }
    }

    /// Takes the trades of a hole that was asked for: those that came.
    pub fn filled(&mut self, stream: &str, hole: &Hole, trades: &[AggTrade], received: Received) {
        let Some(&number) = self.by_name.get(stream) else {
            return;
        };
        let (symbol, symbol_name) = {
            let stream = &self.streams[number];
            (stream.symbol, stream.symbol_name.to_string())
        };
        for trade in trades {
            let origin = Origin {
                received_ns: received.ns,
                ..Origin::default()
            };
            self.rows.add_asked_trade(stream, symbol, *trade, origin);
        }
        let count = trades.len() as u64;
        self.counts.take_rows(Dataset::Trades, count);
        self.counts.filled += count;
        let entry = Entry {
            symbol: Some(symbol_name),
            stream: Some(stream.to_owned()),
            filled: i64::try_from(count).ok(),
            ..Entry::default()
        };
        self.tell("filled", received.ns, entry.with(hole));
    }

    fn malformed(&mut self, connection: i32, what: &str, text: &str, received: Received) -> Heard {
        self.counts.malformed += 1;
        let (began, count) = self.told.entry(connection).or_insert((received.at, 0));
        if received.at.duration_since(*began) > Duration::from_secs(60) {
            (*began, *count) = (received.at, 0);
        }
        *count += 1;
        if *count <= TOLD_A_MINUTE {
            let end = text.floor_char_boundary(TOLD_BYTES);
            let detail = serde_json::json!({"what": what, "text": &text[..end]});
            let entry = Entry {
                connection: Some(connection),
                detail: Some(detail.to_string()),
                ..Entry::default()
            };
            self.tell("malformed", received.ns, entry);
        }
        Heard::Malformed
    }
}

#[cfg(test)]
mod tests;
