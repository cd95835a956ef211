//! How a tape is played.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::fault::StreamFaults;
use super::kind::Routing;
use crate::Market;

/// How fast a tape runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// As fast as the sockets take it: the tape waits for the slowest of the connections that the next frame goes to.
    Fast,
}

/// When the tape begins to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Each stream at its first subscription, so nothing of it is lost; a stream that nobody asks for never begins.
    Subscribe,
    /// All streams together, once so many of them are subscribed to.
    Streams(usize),
    /// All streams together when told to.
    Go,
}

/// How a stand-in plays its tapes.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Where it listens, for REST and WebSockets alike. Port 0 is a free one.
    pub listen: SocketAddr,
    /// How fast.
    pub speed: Speed,
    /// From when on.
    pub begin: Begin,
    /// A depth stream waits at the place of its recorded snapshot, at least behind its first event, until somebody has
    /// asked for one: then a book can be anchored at any speed.
    pub wait_for_snapshot: bool,
    /// So many symbols with names of their own play those of the tapes in turn.
    pub symbols: Option<usize>,
    /// How often a tape runs. Ids and times go on counting from lap to lap.
    pub laps: u64,
    /// `E` is the time of sending, so that lag can be measured.
    pub restamp: bool,
    /// Which path delivers what.
    pub routing: Routing,
    /// What a client may do.
    pub limits: Limits,
    /// What an address may weigh a minute over REST, where it is not what the exchange allows.
    pub most_weight: Option<u32>,
    /// What a connection may have waiting, in bytes, before it is reset as too slow.
    pub most_waiting: u64,
    /// What goes wrong.
    pub faults: StreamFaults,
}

impl StreamOptions {
    /// Once, as fast as it was recorded, each stream from its first subscription on, with all of the market's limits.
    pub fn new(market: Market) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            speed: Speed::Times(1.0),
            begin: Begin::Subscribe,
            wait_for_snapshot: false,
            symbols: None,
            laps: 1,
            restamp: false,
            routing: Routing::of(market),
            limits: Limits::of(market),
            most_weight: None,
            most_waiting: 64 << 20,
            faults: StreamFaults::none(),
        }
    }

    /// As fast as sockets take it, waiting for snapshots.
    #[must_use]
    pub fn fast(mut self) -> Self {
        (self.speed, self.wait_for_snapshot) = (Speed::Fast, true);
        self
    }
}

/// What a client may do, and what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages of a client within a second; one more closes the connection with 1008.
    pub messages_per_second: usize,
    /// Whether pings and pongs of the client are such messages.
    pub pings_count: bool,
    /// Streams of a connection; one more closes it with 1008.
    pub streams: usize,
    /// Handshakes within five minutes; more are refused with 429.
    pub connects: usize,
    /// Between two pings of the server.
    pub ping_every: Duration,
    /// A connection that leaves pings unanswered for so long is closed with 1008.
    pub pong_due: Duration,
    /// A connection is closed with 1001 after so long.
    pub life: Duration,
}

impl Limits {
    /// As the exchange documents them.
    pub fn of(market: Market) -> Self {
        let is_spot = market == Market::Spot;
        let either = |spot: u64, futures: u64| if is_spot { spot } else { futures };
        Self {
            messages_per_second: either(5, 10) as usize,
            pings_count: is_spot,
            streams: 1024,
            connects: 300,
            ping_every: Duration::from_secs(either(20, 180)),
            pong_due: Duration::from_secs(either(60, 600)),
            life: Duration::from_secs(24 * 3600),
        }
    }
}
