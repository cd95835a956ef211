//! Places in a stream, and what may be missing between two of them.

/// A place in a stream: the id and the time of one event.
///
/// The id is what the stream is ordered by: the last update id of a depth update, a trade's id, the update id of a best
/// price, and the event time itself where there is no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// What the exchange counts the stream's events by.
    pub id: i64,
    /// The exchange's event time in milliseconds.
    pub event_ms: i64,
}

/// A hole in a stream: every event with an id strictly between the two may be missing, and none outside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hole {
    /// The last event before it; `None` where nothing came before.
    pub after: Option<Mark>,
    /// The first event behind it; `None` while nothing has come.
    pub before: Option<Mark>,
    /// How many events are missing, where the ids count them.
    pub missing: Option<u64>,
}

/// How an event follows what came before it in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing is missing in between; true of a stream's first event too.
    Continues,
    /// It, or a later one, has been before: it adds nothing.
    Duplicate,
    /// Something is missing in between. The stream goes on from this event.
    Breaks(Hole),
    /// Something may be missing in between, but no more than the setting lets pass.
    Tolerated(Hole),
}
