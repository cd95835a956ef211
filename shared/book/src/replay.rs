//! From the stored rows of a symbol to its book.
//!
//! A book begins with a snapshot and the first update that follows it, and holds until an update is missing. Snapshots
//! are stored when their answer came, so the updates that follow one may stand before it: the last minute of updates is
//! kept for that. A snapshot of the future of the last update, as the exchange may give one, waits until the updates
//! have come that far: a book never knows what had not happened yet.

use std::collections::VecDeque;

use tapemill_market::Market;
use tapemill_stream::{Chain, Hole, Ids, Link, follows, reaches};

use crate::book::{Book, Levels};

/// How long updates are kept for a snapshot that stands behind them.
const KEPT_MS: i64 = 60_000;

/// How many at most, and how many levels of them.
const MOST_KEPT: usize = 65_536;
const MOST_KEPT_LEVELS: usize = 1 << 22;

/// One stored row of an order book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthRow<'a> {
    /// Its ids and event time. Of a snapshot only the last id counts, and its time may be of the local clock.
    pub ids: Ids,
    /// Whether it is a whole book and not what changed.
    pub is_snapshot: bool,
    /// When the exchange made the change, in milliseconds, where it tells.
    pub transaction_ms: Option<i64>,
    /// When the row came by the local clock, in nanoseconds.
    pub received_ns: i64,
    /// Who buys.
    pub bids: Levels<'a>,
    /// Who sells.
    pub asks: Levels<'a>,
}

impl DepthRow<'_> {
    /// When it happened and came.
    pub fn moment(&self) -> Moment {
        Moment {
            event_ms: self.ids.event_ms,
            transaction_ms: self.transaction_ms,
            received_ns: self.received_ns,
        }
    }
}

/// What a row did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The book is one update further.
    Applied,
    /// There is a book again, or for the first time.
    Anchored,
    /// A snapshot took the place of a book that was whole already.
    Renewed,
    /// Something is missing before this row: there is no book until a snapshot comes.
    Broken,
    /// The row is kept: there is no book yet, or a snapshot waits for its update.
    Waits,
    /// The row is of no use: it has been before, or it is a snapshot older than what is known.
    Ignored,
}

/// When an update happened and came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The exchange's event time in milliseconds, as the update gives it.
    pub event_ms: i64,
    /// When the exchange made the change, in milliseconds, where it tells.
    pub transaction_ms: Option<i64>,
    /// When it came by the local clock, in nanoseconds.
    pub received_ns: i64,
}

/// Who is told what happens to a book. All of it may be left out.
///
/// Event times are the exchange's in milliseconds and never go back: a row that claims to be older than the one before
/// it counts as of the same time.
///
/// ```text
/// anchored ─ before* ─ settled ─┬─ before ─ applied ─┬─ hole ─ anchored ─ …
///                               └─ before? ─ settled ┘   a snapshot took the book's place
/// ```
pub trait Listener {
    /// The book, as it still is, is about to change by an update of this time.
    fn before(&mut self, event_ms: i64, book: &Book) {
        let _ = (event_ms, book);
    }

    /// The book changed by this update and by nothing else.
    fn applied(&mut self, update: &DepthRow<'_>, book: &Book) {
        let _ = (update, book);
    }

    /// There is a book again, of a snapshot and its first update, whose time this is. Updates that came before the
    /// snapshot follow it at once.
    fn anchored(&mut self, event_ms: i64, book: &Book) {
        let _ = (event_ms, book);
    }

    /// A snapshot made the book new, and all that had come is in it: the last update happened and came `at` this moment,
    /// or came when its snapshot did.
    fn settled(&mut self, at: Moment, book: &Book) {
        let _ = (at, book);
    }

    /// Something is missing; the book is the last that was whole. The first update behind it came `at` this moment.
    fn hole(&mut self, hole: &Hole, at: Moment, book: &Book) {
        let _ = (hole, at, book);
    }
}

/// Hears nothing.
impl Listener for () {}

/// Two who listen.
impl<A: Listener, B: Listener> Listener for (A, B) {
    fn before(&mut self, event_ms: i64, book: &Book) {
        self.0.before(event_ms, book);
        self.1.before(event_ms, book);
    }

    fn applied(&mut self, update: &DepthRow<'_>, book: &Book) {
        self.0.applied(update, book);
        self.1.applied(update, book);
    }

    fn anchored(&mut self, event_ms: i64, book: &Book) {
        self.0.anchored(event_ms, book);
        self.1.anchored(event_ms, book);
    }

    fn settled(&mut self, at: Moment, book: &Book) {
        self.0.settled(at, book);
        self.1.settled(at, book);
    }

    fn hole(&mut self, hole: &Hole, at: Moment, book: &Book) {
        self.0.hole(hole, at, book);
        self.1.hole(hole, at, book);
    }
}

impl<L: Listener> Listener for Option<L> {
    fn before(&mut self, event_ms: i64, book: &Book) {
        if let Some(listener) = self {
            listener.before(event_ms, book);
        }
    }

    fn applied(&mut self, update: &DepthRow<'_>, book: &Book) {
        if let Some(listener) = self {
            listener.applied(update, book);
        }
    }

    fn anchored(&mut self, event_ms: i64, book: &Book) {
        if let Some(listener) = self {
            listener.anchored(event_ms, book);
        }
    }

    fn settled(&mut self, at: Moment, book: &Book) {
        if let Some(listener) = self {
            listener.settled(at, book);
        }
    }

    fn hole(&mut self, hole: &Hole, at: Moment, book: &Book) {
        if let Some(listener) = self {
            listener.hole(hole, at, book);
        }
    }
}

/// An update or a snapshot that is kept.
#[derive(Debug, Clone)]
struct Kept {
    ids: Ids,
    /// Its event time, or that of an earlier one that claimed to be later.
    at_ms: i64,
    transaction_ms: Option<i64>,
    received_ns: i64,
    prices: Vec<f64>,
    quantities: Vec<f64>,
    bids: usize,
}

impl Kept {
    fn row(&self, is_snapshot: bool) -> DepthRow<'_> {
        let (bid_prices, ask_prices) = self.prices.split_at(self.bids);
        let (bid_quantities, ask_quantities) = self.quantities.split_at(self.bids);
        DepthRow {
            ids: self.ids,
            is_snapshot,
            transaction_ms: self.transaction_ms,
            received_ns: self.received_ns,
            bids: Levels {
                prices: bid_prices,
                quantities: bid_quantities,
            },
            asks: Levels {
                prices: ask_prices,
                quantities: ask_quantities,
            },
        }
    }
}

/// How often what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Updates applied, each once.
    pub applied: u64,
    /// Levels of those updates.
    pub levels: u64,
    /// Rows of no use.
    pub ignored: u64,
    /// Places where a whole book ended because something is missing.
    pub holes: u64,
    /// Times a book began.
    pub anchored: u64,
    /// Snapshots that took the place of a whole book.
    pub renewed: u64,
    /// Those of them that the book, as the updates had made it, did not equal.
    pub differing: u64,
}

impl Counts {
    /// What happened since an earlier time of the same replay.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            applied: self.applied - earlier.applied,
            levels: self.levels - earlier.levels,
            ignored: self.ignored - earlier.ignored,
            holes: self.holes - earlier.holes,
            anchored: self.anchored - earlier.anchored,
            renewed: self.renewed - earlier.renewed,
            differing: self.differing - earlier.differing,
        }
    }

    fn count(&mut self, update: &DepthRow<'_>) {
        self.applied += 1;
        self.levels += (update.bids.prices.len() + update.asks.prices.len()) as u64;
    }
}

/// Rebuilds the book of one symbol from its stored rows.
#[derive(Debug)]
pub struct Replay {
    market: Market,
    chain: Chain,
    book: Book,
    is_whole: bool,
    /// The worst bid and the worst ask of the snapshot that the book began with: what lies beyond may be unknown.
    reach: (f64, f64),
    /// The latest event time so far.
    now_ms: i64,
    /// A snapshot that no update has reached yet.
    snapshot: Option<Kept>,
    /// The last updates, none missing between them.
    recent: VecDeque<Kept>,
    recent_levels: usize,
    counts: Counts,
}

impl Replay {
    /// A replay before its first row.
    pub fn new(market: Market) -> Self {
        Self {
            market,
            chain: Chain::new(market),
            book: Book::new(),
            is_whole: false,
            reach: (f64::INFINITY, 0.0),
            now_ms: i64::MIN,
            snapshot: None,
            recent: VecDeque::new(),
            recent_levels: 0,
            counts: Counts::default(),
        }
    }

    /// The book; `None` where something is missing.
    pub fn book(&self) -> Option<&Book> {
        self.is_whole.then_some(&self.book)
    }

    /// How often what happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes the next row as stored.
    pub fn row(&mut self, row: &DepthRow<'_>, listener: &mut impl Listener) -> Step {
        let step = if row.is_snapshot {
            self.snapshot(row, listener)
        } else {
            self.update(row, listener)
        };
        match step {
            Step::Anchored => self.counts.anchored += 1,
            Step::Renewed => self.counts.renewed += 1,
            Step::Ignored => self.counts.ignored += 1,
            Step::Applied | Step::Broken | Step::Waits => {}
        }
        step
    }

    fn update(&mut self, row: &DepthRow<'_>, listener: &mut impl Listener) -> Step {
        let link = self.chain.next(row.ids);
        if link == Link::Duplicate {
            return Step::Ignored;
        }
        self.now_ms = self.now_ms.max(row.ids.event_ms);
        let was_whole = self.is_whole;
        if let Link::Breaks(hole) = link {
            if was_whole {
                self.counts.holes += 1;
                listener.hole(&hole, row.moment(), &self.book);
            }
            self.is_whole = false;
            self.forget();
        }
        self.keep(row);
        let arrived = self.snapshot.take_if(|kept| {
            let last = kept.ids.last;
            reaches(self.market, last, row.ids)
        });
        if let Some(snapshot) = arrived {
            if follows(snapshot.ids.last, row.ids) {
                return self.begin(&snapshot.row(true), self.recent.len() - 1, row, listener);
            }
            self.counts.ignored += 1;
        }
        if self.is_whole {
            self.apply(row, listener);
            Step::Applied
        } else if was_whole {
            Step::Broken
        } else {
            Step::Waits
        }
    }

    fn snapshot(&mut self, row: &DepthRow<'_>, listener: &mut impl Listener) -> Step {
        let (market, last) = (self.market, row.ids.last);
        let reaching = |kept: &Kept| reaches(market, last, kept.ids);
        match self.recent.iter().position(reaching) {
            Some(first) if follows(last, self.recent[first].ids) => {
                self.snapshot = None;
                self.begin(row, first, row, listener)
            }
            Some(_) => Step::Ignored,
            None => {
                let replaced = self.snapshot.replace(kept(row, self.now_ms, None));
                self.counts.ignored += u64::from(replaced.is_some());
                Step::Waits
            }
        }
    }

    /// Begins a book with a snapshot and the kept updates from `first` on, of which the newest may be new.
    fn begin(
        &mut self,
        snapshot: &DepthRow<'_>,
        first: usize,
        row: &DepthRow<'_>,
        listener: &mut impl Listener,
    ) -> Step {
        let was_whole = self.is_whole;
        let comes_new = !row.is_snapshot;
        if was_whole && comes_new {
            listener.before(self.now_ms, &self.book);
        }
        let before = was_whole.then(|| self.book.clone());
        self.is_whole = true;
        self.book.clear();
        self.book.apply(snapshot.bids, snapshot.asks);
        let last = self.recent.len() - 1;
        for (index, kept) in self.recent.iter().enumerate().skip(first) {
            let update = kept.row(false);
            if !was_whole && index > first {
                listener.before(kept.at_ms, &self.book);
            }
            self.book.apply(update.bids, update.asks);
            // A book that was whole has had all but the one that has just come.
            if !was_whole || (comes_new && index == last) {
                self.counts.count(&update);
            }
            if !was_whole && index == first {
                listener.anchored(kept.at_ms, &self.book);
            }
        }
        let reach = reach(snapshot);
        if let Some(mut before) = before {
            if comes_new {
                let update = self.recent[last].row(false);
                before.apply(update.bids, update.asks);
            }
            let (bid, ask) = (reach.0.max(self.reach.0), reach.1.min(self.reach.1));
            let bids = before.bids.differences(&self.book.bids, bid);
            let asks = before.asks.differences(&self.book.asks, ask);
            self.counts.differing += u64::from(bids + asks > 0);
        }
        self.reach = reach;
        let mut at = self.recent[last].row(false).moment();
        at.received_ns = row.received_ns;
        listener.settled(at, &self.book);
        if was_whole {
            Step::Renewed
        } else {
            Step::Anchored
        }
    }

    fn apply(&mut self, row: &DepthRow<'_>, listener: &mut impl Listener) {
        listener.before(self.now_ms, &self.book);
        self.book.apply(row.bids, row.asks);
        self.counts.count(row);
        listener.applied(row, &self.book);
    }

    fn keep(&mut self, row: &DepthRow<'_>) {
        let mut spare = None;
        while let Some(oldest) = self.recent.front()
            && (oldest.at_ms < self.now_ms - KEPT_MS
                || self.recent.len() >= MOST_KEPT
                || self.recent_levels > MOST_KEPT_LEVELS)
        {
            self.recent_levels -= oldest.prices.len();
            spare = self.recent.pop_front();
        }
        let kept = kept(row, self.now_ms, spare);
        self.recent_levels += kept.prices.len();
        self.recent.push_back(kept);
    }

    fn forget(&mut self) {
        self.recent.clear();
        self.recent_levels = 0;
    }
}

/// The worst price of each side; of an empty side nothing is known.
fn reach(snapshot: &DepthRow<'_>) -> (f64, f64) {
    let bids = snapshot.bids.prices.iter().copied();
    let asks = snapshot.asks.prices.iter().copied();
    (
        bids.reduce(f64::min).unwrap_or(f64::INFINITY),
        asks.reduce(f64::max).unwrap_or(0.0),
    )
}

/// A copy of a row, in the room of one that is no longer needed.
fn kept(row: &DepthRow<'_>, at_ms: i64, spare: Option<Kept>) -> Kept {
    let (mut prices, mut quantities) = match spare {
        Some(spare) => (spare.prices, spare.quantities),
        None => (Vec::new(), Vec::new()),
    };
    prices.clear();
    prices.extend_from_slice(row.bids.prices);
    prices.extend_from_slice(row.asks.prices);
    quantities.clear();
    quantities.extend_from_slice(row.bids.quantities);
    quantities.extend_from_slice(row.asks.quantities);
    Kept {
        ids: row.ids,
        at_ms,
        transaction_ms: row.transaction_ms,
        received_ns: row.received_ns,
        prices,
        quantities,
        bids: row.bids.prices.len(),
    }
}
