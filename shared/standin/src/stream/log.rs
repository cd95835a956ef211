//! The truth: what became of each frame, and what happened to the connections.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It waits to be handed to the socket of its connection.
    Queued,
    /// It was handed to the socket, whole. Whether the client read it is the client's to know: what is on its way when
    /// a connection is reset, or closed by the client, is sent and may be lost.
    Sent,
    /// Nobody was subscribed.
    Lost,
    /// Its connection ended before all of it was handed to the socket.
    Cut,
    /// A fault kept it back, from all or from its connection.
    Withheld,
    /// A fault made it unreadable. It was handed to the socket.
    Damaged,
}

/// A frame and what became of it. One that went to several connections has an entry for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The stream, under the name that clients know.
    #[serde(serialize_with = "as_text")]
    pub stream: Arc<str>,
    /// Its place in the stream, from 0.
    pub place: u64,
    /// What tells it from others of its stream: `u` of depth and bookTicker, `a` of aggTrade, `t` of trade, else `E`
    /// as on the tape.
    pub id: u64,
    /// The exchange's time, as on the tape. Spot's bookTicker has none.
    pub event_ms: Option<i64>,
    /// The connection, where it went to one.
    pub connection: Option<u32>,
    /// What became of it.
    pub fate: Fate,
}

/// Shared text is written as any other.
fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// What happened to a connection, or at large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// In milliseconds since the start.
    pub at_ms: u64,
    /// The connection, where it is about one. They are counted from 0.
    pub connection: Option<u32>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "happened", rename_all = "snake_case")]
pub enum Happened {
    /// A handshake was completed.
    Opened {
        /// Its path and query.
        path: String,
    },
    /// A handshake was refused.
    Refused {
        /// With this status.
        status: u16,
    },
    /// Streams were asked for, and acknowledged.
    Subscribed {
        /// As they were asked for.
        streams: Vec<String>,
    },
    /// Streams were given up.
    Unsubscribed {
        /// As they were named.
        streams: Vec<String>,
    },
    /// It ended.
    Closed {
        /// Why.
        why: String,
    },
    /// A fault struck.
    Fault {
        /// Which.
        kind: String,
    },
}

/// Sums over all frames so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames whose time has come; one that went to two connections is one.
    pub played: u64,
    /// Frames that wait for their socket.
    pub queued: u64,
    /// See [`Fate::Sent`].
    pub sent: u64,
    /// See [`Fate::Lost`].
    pub lost: u64,
    /// See [`Fate::Cut`].
    pub cut: u64,
    /// See [`Fate::Withheld`].
    pub withheld: u64,
    /// See [`Fate::Damaged`].
    pub damaged: u64,
    /// Bytes handed to sockets.
    pub bytes: u64,
    /// Connections that are open.
    pub connections: u32,
}

/// An entry as it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub stream: u32,
    pub place: u32,
    pub connection: u32,
    pub fate: Fate,
}

/// Of a line that belongs to no connection.
pub(super) const NOBODY: u32 = u32::MAX;

/// All lines, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub lines: Vec<Line>,
    pub counts: Counts,
}

impl Log {
    /// Adds a line, and says which it is.
    pub(super) fn add(&mut self, line: Line) -> usize {
        *self.count(line.fate) += 1;
        self.lines.push(line);
        self.lines.len() - 1
    }

    /// Says what became of a frame that was queued.
    pub(super) fn settle(&mut self, line: usize, fate: Fate) {
        let old = std::mem::replace(&mut self.lines[line].fate, fate);
        *self.count(old) -= 1;
        *self.count(fate) += 1;
    }

    fn count(&mut self, fate: Fate) -> &mut u64 {
        match fate {
            Fate::Queued => &mut self.counts.queued,
            Fate::Sent => &mut self.counts.sent,
            Fate::Lost => &mut self.counts.lost,
            Fate::Cut => &mut self.counts.cut,
            Fate::Withheld => &mut self.counts.withheld,
            Fate::Damaged => &mut self.counts.damaged,
        }
    }
}
