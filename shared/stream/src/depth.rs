//! What proves that no update of an order book is missing, and which update follows a snapshot.
//!
//! The two kinds of markets number their updates differently. An update of a futures book names the last id of the one
//! before it (`pu`); its ids are those of the whole exchange and skip. An update of a spot book covers the ids from `U`
//! to `u`, and the next begins at `u + 1`. Quantities are absolute in both, so applying an update twice is harmless.

use std::collections::VecDeque;

use tapemill_market::Market;

use crate::hole::{Hole, Link, Mark};

/// How many updates an [`Anchor`] remembers: at the fastest ten a second almost two hours of one book.
const MOST_WAITING: usize = 65_536;

/// The ids of one update of an order book, and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ids {
    /// The first id it covers (`U`).
    pub first: i64,
    /// The last id it covers (`u`).
    pub last: i64,
    /// The last id of the update before it (`pu`); spot names none.
    pub previous: Option<i64>,
    /// The exchange's event time in milliseconds (`E`).
    pub event_ms: i64,
}

impl Ids {
    /// Where the update stands in its stream.
    pub fn mark(self) -> Mark {
        Mark {
            id: self.last,
            event_ms: self.event_ms,
        }
    }

    /// The last id that must be in the book before this update for nothing to be missing.
    ///
    /// An update of a futures market without `pu` is taken as one of spot.
    fn needs(self) -> i64 {
        self.previous.unwrap_or(self.first.saturating_sub(1))
    }
}

/// The updates of one book: tells duplicates and holes.
#[derive(Debug, Clone)]
pub struct Chain {
    market: Market,
    tolerance: i64,
    last: Option<Mark>,
}

impl Chain {
    /// A chain before its first update.
    pub fn new(market: Market) -> Self {
        Self {
            market,
            tolerance: 0,
            last: None,
        }
    }

    /// Lets jumps of up to this many ids pass, as [`Link::Tolerated`]. The exchange's own rule is 0.
    #[must_use]
    pub fn tolerating(mut self, ids: u32) -> Self {
        self.tolerance = i64::from(ids);
        self
    }

    /// Goes on behind this update, the last that is known to be there.
    pub fn resume(&mut self, last: Mark) {
        self.last = Some(last);
    }

    /// The last update so far.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// How the next update follows. All but a duplicate become the last.
    pub fn next(&mut self, ids: Ids) -> Link {
        let Some(last) = self.last else {
            self.last = Some(ids.mark());
            return Link::Continues;
        };
        let link = self.link(last, ids);
        if link != Link::Duplicate {
            self.last = Some(ids.mark());
        }
        link
    }

    fn link(&self, last: Mark, ids: Ids) -> Link {
        let is_futures = self.market != Market::Spot && ids.previous.is_some();
        let fits = if is_futures {
            ids.previous == Some(last.id) && ids.last >= last.id
        } else {
            ids.last > last.id && ids.needs() <= last.id
        };
        if fits {
            return Link::Continues;
        }
        if ids.last <= last.id {
            return Link::Duplicate;
        }
        let hole = Hole {
            after: Some(last),
            before: Some(ids.mark()),
            missing: None,
        };
        let jump = ids.needs().saturating_sub(last.id);
        if jump > 0 && jump <= self.tolerance {
            Link::Tolerated(hole)
        } else {
            Link::Breaks(hole)
        }
    }
}

/// What a snapshot and the updates around it say of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The snapshot and every update from this one on make the book; updates before it are in the snapshot.
    Anchored {
        /// The first update to apply.
        from: Ids,
    },
    /// Updates between the snapshot and the first that is known are missing: another snapshot is needed.
    TooOld,
    /// Not yet known: there is no snapshot, or no update that reaches it.
    Waits,
}

/// Waits for a snapshot and the update that follows it, in whichever order they come.
///
/// The exchange says of futures that the first update to apply has `U ≤ L ≤ u`, L being the snapshot's last id. Ids skip
/// between updates, so L can also lie between two of them: the first update with `u ≥ L` follows if `pu ≤ L`, which
/// holds whenever theirs does. Of spot it says `U ≤ L + 1 ≤ u`: the first with `u > L` follows if `U ≤ L + 1`.
#[derive(Debug, Clone)]
pub struct Anchor {
    market: Market,
    snapshot: Option<i64>,
    waiting: VecDeque<Ids>,
    chain: Chain,
}

impl Anchor {
    /// An anchor that knows neither a snapshot nor an update.
    pub fn new(market: Market) -> Self {
        Self {
            market,
            snapshot: None,
            waiting: VecDeque::new(),
            chain: Chain::new(market),
        }
    }

    /// A snapshot with this last id came. A later one replaces an earlier.
    pub fn snapshot(&mut self, last: i64) -> Fit {
        self.snapshot = Some(last);
        while let Some(ids) = self.waiting.front() {
            if reaches(self.market, last, *ids) {
                return self.fit(last, *ids);
            }
            self.waiting.pop_front();
        }
        Fit::Waits
    }

    /// An update came. A duplicate changes nothing; behind a hole only what follows it counts.
    pub fn event(&mut self, ids: Ids) -> Fit {
        match self.chain.next(ids) {
            Link::Duplicate => return Fit::Waits,
            Link::Breaks(_) => self.waiting.clear(),
            Link::Continues | Link::Tolerated(_) => {}
        }
        match self.snapshot {
            Some(last) if !reaches(self.market, last, ids) => Fit::Waits,
            Some(last) => {
                self.remember(ids);
                self.fit(last, ids)
            }
            None => {
                self.remember(ids);
                Fit::Waits
            }
        }
    }

    fn remember(&mut self, ids: Ids) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(ids);
    }

    /// Whether nothing is missing between the snapshot and the first update that reaches it.
    fn fit(&mut self, last: i64, ids: Ids) -> Fit {
        if ids.needs() <= last {
            Fit::Anchored { from: ids }
        } else {
            self.snapshot = None;
            Fit::TooOld
        }
    }
}

/// Whether an update is to be applied to a snapshot with this last id, and not already in it as a whole.
///
/// Of futures the one that ends at the snapshot's own id is applied again: that changes nothing, and its `pu` proves
/// that the snapshot is not older than it.
pub fn reaches(market: Market, snapshot: i64, ids: Ids) -> bool {
    if market == Market::Spot || ids.previous.is_none() {
        ids.last > snapshot
    } else {
        ids.last >= snapshot
    }
}

/// Whether the first update that [`reaches`] a snapshot follows it with nothing missing in between.
pub fn follows(snapshot: i64, ids: Ids) -> bool {
    ids.needs() <= snapshot
}

#[cfg(test)]
mod tests;
