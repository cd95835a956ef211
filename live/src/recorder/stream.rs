//! One stream: who brings it, how its messages follow each other, and what came last.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use tapemill_market::{Interval, Market, Symbol};
use tapemill_stream::{
    Anchor, Chain, Channel, Counting, DepthUpdate, Event, Ids, Kind, Link, Mark, Ordered,
};

/// How far back a shadow is remembered, and how many messages of it.
const SHADOW: Duration = Duration::from_secs(5);
const MOST_SHADOWED: usize = 20_000;

/// Messages of one time that are told from each other.
const MOST_OF_ONE_TIME: usize = 1_000;

/// When a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// By the local clock, in nanoseconds since the epoch.
    pub ns: i64,
    /// By a clock that never jumps.
    pub at: Instant,
}

/// How messages of a stream follow each other.
#[derive(Debug)]
pub(super) enum Order {
    /// By the chain of a book's updates.
    Book(Chain),
    /// By ids that count.
    Counting(Counting),
    /// By ids, or times, that only rise.
    Ordered(Ordered),
}

/// A message of a connection that does not lead.
#[derive(Debug)]
pub(super) struct Shadowed {
    pub data: String,
    pub received: Received,
}

/// A connection that brings a stream.
#[derive(Debug)]
pub(super) struct Source {
    pub connection: i32,
    /// When the exchange took its subscription.
    pub taken: Instant,
    /// What it brought last.
    pub last: Option<u64>,
    /// Since when another has brought what this one has not.
    pub owes: Option<Instant>,
}

/// A stream of a symbol.
#[derive(Debug)]
pub(super) struct Stream {
    pub name: String,
    pub symbol: usize,
    pub symbol_name: Symbol,
    pub channel: Channel,
    pub order: Order,
    /// Until the book has a snapshot that its updates follow.
    pub anchor: Option<Anchor>,
    /// A snapshot was asked for, and has not come.
    pub is_asked: bool,
    /// The last that was stored.
    pub last: Option<Mark>,
    /// Connections whose subscription the exchange took.
    pub sources: Vec<Source>,
    /// The connection whose messages are stored.
    pub leader: Option<i32>,
    /// Another that brings the same.
    pub shadow: Option<i32>,
    pub ring: VecDeque<Shadowed>,
    /// Why messages may be missing since the last.
    pub interrupted: Option<&'static str>,
    /// Where ids may come twice: what was stored under the last.
    pub stored_last: Vec<u64>,
    /// When a message came last, or was first waited for.
    pub seen: Option<Instant>,
}

impl Stream {
    pub fn new(
        market: Market,
        symbol: usize,
        symbol_name: Symbol,
        channel: Channel,
        tolerance: u32,
    ) -> Self {
        let is_book = channel.kind() == Kind::Depth;
        Self {
            name: channel.of(&symbol_name),
            symbol,
            order: match channel.kind() {
                Kind::Depth => Order::Book(Chain::new(market).tolerating(tolerance)),
                Kind::AggTrade | Kind::Trade => Order::Counting(Counting::new()),
                _ => Order::Ordered(Ordered::new()),
            },
            anchor: is_book.then(|| Anchor::new(market)),
            symbol_name,
            channel,
            is_asked: false,
            last: None,
            sources: Vec::new(),
            leader: None,
            shadow: None,
            ring: VecDeque::new(),
            interrupted: None,
            stored_last: Vec::new(),
            seen: None,
        }
    }

    /// The interval of its bars.
    pub fn interval(&self) -> Option<Interval> {
        match self.channel.kind() {
            Kind::Kline(interval) => Some(interval),
            _ => None,
        }
    }

    /// Goes on behind what an earlier collector stored.
    pub fn resume(&mut self, last: Mark, cause: &'static str) {
        match &mut self.order {
            Order::Book(chain) => chain.resume(last),
            Order::Counting(counting) => counting.resume(last),
            Order::Ordered(ordered) => ordered.resume(last),
        }
        self.last = Some(last);
        self.interrupted = Some(cause);
    }

    /// Whether a connection that is lost takes nothing with it: it brought something after another's subscription was taken, so all
    /// before that came by it, and all behind comes by the other.
    pub fn is_covered(&self, lost: i32, heard: Option<Instant>) -> bool {
        let mut others = self
            .sources
            .iter()
            .filter(|source| source.connection != lost);
        others.any(|other| heard.is_some_and(|heard| heard > other.taken))
    }

    /// A connection that brings it, once the exchange took its subscription.
    pub fn source(&self, connection: i32) -> Option<&Source> {
        let mut sources = self.sources.iter();
        sources.find(|source| source.connection == connection)
    }

    /// Whether another brought something that is remembered.
    pub fn is_shadowed(&self) -> bool {
        self.shadow.is_some() && !self.ring.is_empty()
    }

    /// A connection brought a message: the others owe it, unless it is what they brought last.
    pub fn brought(&mut self, connection: i32, data: &str, at: Instant) {
        let hash = hash(data);
        for source in &mut self.sources {
            if source.connection == connection {
                (source.last, source.owes) = (Some(hash), None);
            } else if source.last == Some(hash) {
                source.owes = None;
            } else {
                source.owes.get_or_insert(at);
            }
        }
    }

    /// Whether a message leaves a hole behind the last.
    pub fn would_break(&self, mark: Mark, event: &Event) -> bool {
        let link = match (&self.order, event) {
            (Order::Book(chain), Event::Depth(update)) => chain.clone().next(ids_of(update)),
            (Order::Counting(counting), _) => counting.clone().next(mark),
            _ => return false,
        };
        matches!(link, Link::Breaks(_))
    }

    /// How a message follows.
    pub fn link(&mut self, mark: Mark, event: &Event, data: &str) -> Link {
        if let Order::Ordered(ordered) = &self.order {
            let is_of_last = ordered.last().is_some_and(|last| last.id == mark.id);
            let hash = hash(data);
            // Two messages may have one time; those that are the same came twice, or by two connections.
            if is_of_last && self.stored_last.contains(&hash) {
                return Link::Duplicate;
            }
            if !is_of_last && ordered.last().is_none_or(|last| last.id < mark.id) {
                self.stored_last.clear();
            }
            if self.stored_last.len() < MOST_OF_ONE_TIME {
                self.stored_last.push(hash);
            }
        }
        match (&mut self.order, event) {
            (Order::Book(chain), Event::Depth(update)) => chain.next(ids_of(update)),
            (Order::Counting(counting), _) => counting.next(mark),
            (Order::Ordered(ordered), _) => ordered.next(mark),
            // An event is of its channel's kind.
            (Order::Book(_), _) => Link::Duplicate,
        }
    }

    /// Remembers a message of the shadow. One that is older than the others stays, however long ago it came: it tells what the
    /// others follow.
    pub fn shadow(&mut self, data: &str, received: Received) {
        while let Some(second) = self.ring.get(1) {
            let is_old = received.at.duration_since(second.received.at) > SHADOW;
            if !is_old && self.ring.len() < MOST_SHADOWED {
                break;
            }
            self.ring.pop_front();
        }
        self.ring.push_back(Shadowed {
            data: data.to_owned(),
            received,
        });
    }
}

fn ids_of(update: &DepthUpdate) -> Ids {
    Ids {
        first: update.first_id,
        last: update.last_id,
        previous: update.previous_id,
        event_ms: update.event_ms,
    }
}

fn hash(data: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// Where a message stands in its stream.
pub(super) fn mark_of(event: &Event, received: Received) -> Mark {
    let received_ms = received.ns.div_euclid(1_000_000);
    let event_ms = event.event_ms().unwrap_or(received_ms);
    let id = match event {
        Event::Depth(update) => update.last_id,
        Event::AggTrade(trade) => trade.agg_id,
        Event::Trade(trade) => trade.trade_id,
        Event::BookTicker(ticker) => ticker.update_id,
        Event::MarkPrice(_) | Event::Kline(_) | Event::ForceOrder(_) => event_ms,
    };
    Mark { id, event_ms }
}
