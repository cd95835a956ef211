//! What goes wrong with the streams, and when.

use std::collections::VecDeque;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::StandinError;

const MOST_RULES: usize = 10_000;

/// Everything that goes wrong. As JSON: `{"rules": [{"at": {"frame": 120}, "kind": "close", "code": 1001}]}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamFaults {
    /// The rules. Those of one moment apply in this order.
    pub rules: Vec<StreamRule>,
}

/// One thing that goes wrong, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRule {
    /// When.
    #[serde(default)]
    pub at: At,
    /// What.
    #[serde(flatten)]
    pub fault: StreamFault,
}

/// When a fault strikes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// From the start.
    #[default]
    Start,
    /// Before so many frames of all streams together were played, the next one is struck.
    Frame(u64),
    /// The frame at this place of a stream, counted from 0.
    Place {
        /// As clients know it.
        stream: String,
        /// The frame's place.
        place: u64,
    },
    /// So many milliseconds of the tape after its first stream began.
    Ms(u64),
}

/// What goes wrong. Where a connection can be named and none is, it strikes those that the frame of its moment goes to;
/// at a time, all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamFault {
    /// A close frame, then the end. The frame of this moment does not come any more.
    Close {
        /// 1000, 1001, 1008, …; 1006 is an end without a close frame.
        code: u16,
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// The connection is reset.
    Reset {
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// No byte comes for a while, then all that waited.
    Stall {
        /// How long, in milliseconds of the clock.
        ms: u64,
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// Frames of a stream, or of all, are kept back while the connection lives.
    Silence {
        /// As clients know it; all without one.
        #[serde(default)]
        stream: Option<String>,
        /// How long, in milliseconds of the tape.
        ms: u64,
    },
    /// A connection delivers no frame for a while, though it answers pings and requests. Others deliver theirs.
    Mute {
        /// How long, in milliseconds of the clock.
        ms: u64,
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// So many frames of a stream are kept back, from this moment on.
    Drop {
        /// As clients know it.
        stream: String,
        /// How many.
        frames: u64,
    },
    /// The frame of this moment comes twice.
    Duplicate,
    /// The frame of this moment comes as text that is no JSON.
    Malformed,
    /// The frame of this moment comes with a byte in it that is no UTF-8.
    BadUtf8,
    /// Half of the frame of this moment comes, and the connection ends.
    HalfFrame,
    /// A message of so many bytes comes before the frame.
    Oversize {
        /// Its length.
        bytes: usize,
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// The frame of this moment has a field more.
    UnknownField,
    /// A message of a kind that nobody knows comes before the frame.
    UnknownEvent {
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// `{"e":"serverShutdown"}`, and the end after a while.
    ServerShutdown {
        /// Milliseconds of the clock until it closes.
        close_after_ms: u64,
        /// Which connection.
        #[serde(default)]
        connection: Option<u32>,
    },
    /// The next handshakes are refused.
    RefuseHandshake {
        /// 429, 418, 403, …
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
        /// How many.
        times: u64,
    },
    /// The next snapshots are as old as the book was so many depth events ago, or older than the first.
    OldSnapshot {
        /// Events of the depth stream.
        behind: u64,
        /// How many.
        times: u64,
    },
    /// The next snapshots are refused.
    SnapshotError {
        /// 418, 429, 503, …
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
        /// How many.
        times: u64,
    },
    /// The next snapshots never come.
    SnapshotTimeout {
        /// How many.
        times: u64,
    },
    /// The symbol's streams end, its status is no longer trading, its snapshots are refused as of no symbol.
    Delist {
        /// Upper case.
        symbol: String,
    },
    /// The next subscriptions are answered with an error, and not made.
    AckError {
        /// How many.
        times: u64,
    },
    /// From now on the exchange's clock is off by so much: where `E` is restamped, and in `serverTime`.
    ClockSkew {
        /// Positive is ahead.
        ms: i64,
    },
}

impl StreamFaults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// These and one more.
    #[must_use]
    pub fn and(mut self, at: At, fault: StreamFault) -> Self {
        self.rules.push(StreamRule { at, fault });
        self
    }

    /// So many faults out of these, at frames that only the seed decides, below a number of frames.
    pub fn random(seed: u64, count: usize, frames: u64, of: &[StreamFault]) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let rules = (0..count).filter_map(|_| {
            let at = At::Frame(random.random_range(0..frames.max(1)));
            let fault = of.get(random.random_range(0..of.len().max(1)))?.clone();
            Some(StreamRule { at, fault })
        });
        Self {
            rules: rules.collect(),
        }
    }

    /// Reads them from JSON.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] says what is wrong.
    pub fn from_json(text: &str) -> Result<Self, StandinError> {
        let faults: Self = serde_json::from_str(text)
            .map_err(|error| StandinError::invalid("stream faults", error.to_string()))?;
        if faults.rules.len() > MOST_RULES {
            let why = format!("at most {MOST_RULES} rules");
            return Err(StandinError::invalid("stream faults", why));
        }
        Ok(faults)
    }
}

impl StreamFault {
    /// Its name in JSON.
    pub(super) fn name(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// The connection it names.
    pub(super) fn connection(&self) -> Option<u32> {
        match self {
            Self::Close { connection, .. }
            | Self::Reset { connection }
            | Self::Stall { connection, .. }
            | Self::Mute { connection, .. }
            | Self::Oversize { connection, .. }
            | Self::UnknownEvent { connection }
            | Self::ServerShutdown { connection, .. } => *connection,
            _ => None,
        }
    }
}

/// The faults that have not struck yet, by their moment.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_frame: VecDeque<(u64, StreamFault)>,
    by_ms: VecDeque<(u64, StreamFault)>,
    /// Frames of one stream: its name, the place.
    by_place: Vec<(String, u64, StreamFault)>,
}

impl Pending {
    /// Sorts the faults; those of the start come back at once.
    pub(super) fn new(faults: StreamFaults) -> (Self, Vec<StreamFault>) {
        let mut pending = Self::default();
        let mut at_start = Vec::new();
        for StreamRule { at, fault } in faults.rules {
            match at {
                At::Start => at_start.push(fault),
                At::Frame(frame) => pending.by_frame.push_back((frame, fault)),
                At::Ms(ms) => pending.by_ms.push_back((ms, fault)),
                At::Place { stream, place } => pending.by_place.push((stream, place, fault)),
            }
        }
        let by_frame = pending.by_frame.make_contiguous();
        by_frame.sort_by_key(|(frame, _)| *frame);
        pending.by_ms.make_contiguous().sort_by_key(|(ms, _)| *ms);
        (pending, at_start)
    }

    /// Adds one that strikes a frame before all others.
    pub(super) fn put_next(&mut self, frame: u64, fault: StreamFault) {
        self.by_frame.push_front((frame, fault));
    }

    /// The next one that strikes this frame.
    pub(super) fn of_frame(&mut self, frame: u64, stream: &str, place: u64) -> Option<StreamFault> {
        if self.by_frame.front().is_some_and(|(at, _)| *at <= frame) {
            return self.by_frame.pop_front().map(|(_, fault)| fault);
        }
        let mut places = self.by_place.iter();
        let struck = places.position(|(name, at, _)| *at == place && name == stream)?;
        Some(self.by_place.remove(struck).2)
    }

    /// The next one whose time has come.
    pub(super) fn of_time(&mut self, ms: u64) -> Option<StreamFault> {
        self.next_ms().filter(|at| *at <= ms)?;
        self.by_ms.pop_front().map(|(_, fault)| fault)
    }

    /// When the next one strikes.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.by_ms.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_json_and_wrong_ones_refused() {
        let text = r#"{"rules": [
            {"at": {"frame": 120}, "kind": "close", "code": 1001},
            {"at": {"place": {"stream": "btcusdt@depth@100ms", "place": 7}}, "kind": "duplicate"},
            {"kind": "refuse_handshake", "status": 429, "retry_after": 2, "times": 1}]}"#;

        let faults = StreamFaults::from_json(text).unwrap();

        assert_eq!(faults.rules[0].at, At::Frame(120));
        assert_eq!(faults.rules[1].fault, StreamFault::Duplicate);
        assert_eq!(faults.rules[2].at, At::Start);
        let again = serde_json::to_string(&faults).unwrap();
        assert_eq!(StreamFaults::from_json(&again).unwrap(), faults);
        for wrong in [r#"{"rules": [{"kind": "closed"}]}"#, r#"{"rule": []}"#, ""] {
            assert!(StreamFaults::from_json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_decides_where_faults_strike() {
        let of = [StreamFault::Duplicate, StreamFault::HalfFrame];

        let once = StreamFaults::random(7, 50, 1000, &of);

        assert_eq!(once, StreamFaults::random(7, 50, 1000, &of));
        assert_ne!(once, StreamFaults::random(8, 50, 1000, &of));
        assert_eq!(once.rules.len(), 50);
    }
}
