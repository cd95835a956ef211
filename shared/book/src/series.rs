//! A book at fixed times.

use std::ops::Range;

use tapemill_stream::Hole;

use crate::book::{Book, Side};
use crate::replay::{Listener, Moment};

/// The names of the columns that do not depend on the number of levels, in order, without time and symbol.
const HEAD: [&str; 9] = [
    "best_bid_price",
    "best_bid_qty",
    "best_ask_price",
    "best_ask_qty",
    "spread",
    "mid_price",
    "bid_volume_top",
    "ask_volume_top",
    "volume_imbalance",
];

/// The best levels of a book at fixed times: one column a number.
///
/// A missing price is NaN, and so are spread and mid price where a side is empty; a missing quantity is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    levels: usize,
    /// Times in milliseconds since the epoch, ascending.
    pub times_ms: Vec<i64>,
    /// The columns that [`Series::columns_of`] names, each as long as the times.
    pub columns: Vec<Vec<f64>>,
}

impl Series {
    /// A series without rows.
    pub fn new(levels: usize) -> Self {
        Self {
            levels,
            times_ms: Vec::new(),
            columns: vec![Vec::new(); HEAD.len() + 4 * levels],
        }
    }

    /// The names of the columns: best prices, spread and mid price, volumes of the levels and their imbalance
    /// (bids − asks) / (bids + asks), then `bid_px_1, bid_qty_1, ask_px_1, ask_qty_1, bid_px_2, …`.
    pub fn columns_of(levels: usize) -> Vec<String> {
        let head = HEAD.iter().map(|name| (*name).to_owned());
        let level =
            |at| ["bid_px", "bid_qty", "ask_px", "ask_qty"].map(move |name| format!("{name}_{at}"));
        head.chain((1..=levels).flat_map(level)).collect()
    }

    /// Forgets all rows, and keeps their room.
    pub fn clear(&mut self) {
        self.times_ms.clear();
        self.columns.iter_mut().for_each(Vec::clear);
    }

    fn push(&mut self, time_ms: i64, book: &Book) {
        self.times_ms.push(time_ms);
        let (head, levels) = self.columns.split_at_mut(HEAD.len());
        let bid_volume = push_side(levels, 0, &book.bids);
        let ask_volume = push_side(levels, 2, &book.asks);
        let none = (f64::NAN, 0.0);
        let (bid, bid_quantity) = book.bids.best().unwrap_or(none);
        let (ask, ask_quantity) = book.asks.best().unwrap_or(none);
        let total = bid_volume + ask_volume;
        let imbalance = if total > 0.0 {
            (bid_volume - ask_volume) / total
        } else {
            0.0
        };
        let values = [
            bid,
            bid_quantity,
            ask,
            ask_quantity,
            ask - bid,
            f64::midpoint(bid, ask),
            bid_volume,
            ask_volume,
            imbalance,
        ];
        for (column, value) in head.iter_mut().zip(values) {
            column.push(value);
        }
    }
}

/// Adds a side's best levels to every fourth column from `first` on; its volume is returned.
fn push_side(columns: &mut [Vec<f64>], first: usize, side: &Side) -> f64 {
    let mut levels = side.levels();
    let mut volume = 0.0;
    for pair in columns.chunks_exact_mut(4) {
        let (price, quantity) = levels.next().unwrap_or((f64::NAN, 0.0));
        volume += quantity;
        pair[first].push(price);
        pair[first + 1].push(quantity);
    }
    volume
}

/// Writes down a book at every multiple of a step.
///
/// The row of a time is the book after all updates up to and including that time, and is made only when a later one is
/// seen: never with anything that had not happened. There is no row between the last update before a hole and the first
/// behind it, and none before the first update of a book, whatever its snapshot says.
#[derive(Debug)]
pub struct Grid {
    step_ms: i64,
    range_ms: Range<i64>,
    /// The next row's time; `None` without a book.
    next_ms: Option<i64>,
    /// The time of the last update.
    last_ms: i64,
    series: Series,
}

impl Grid {
    /// Rows of `levels` levels at the multiples of `step_ms`, at least 1, within a range of times.
    pub fn new(levels: usize, step_ms: i64, range_ms: Range<i64>) -> Self {
        Self {
            step_ms: step_ms.max(1),
            range_ms,
            next_ms: None,
            last_ms: i64::MIN,
            series: Series::new(levels),
        }
    }

    /// The rows so far. Those that were taken elsewhere may be cleared.
    pub fn series(&mut self) -> &mut Series {
        &mut self.series
    }

    /// No update follows. The last row is that of the last update's own time, if it is one of the grid.
    pub fn finish(&mut self, book: &Book) {
        self.rows_until(self.last_ms.saturating_add(1), book);
        self.next_ms = None;
    }

    /// The rows of all times before this one.
    fn rows_until(&mut self, time_ms: i64, book: &Book) {
        let Some(mut next) = self.next_ms else {
            return;
        };
        let end = time_ms.min(self.range_ms.end);
        while next < end {
            self.series.push(next, book);
            next += self.step_ms;
        }
        self.next_ms = Some(next);
    }
}

impl Listener for Grid {
    fn before(&mut self, event_ms: i64, book: &Book) {
        self.rows_until(event_ms, book);
        self.last_ms = event_ms;
    }

    fn anchored(&mut self, event_ms: i64, _: &Book) {
        let from = event_ms.max(self.range_ms.start);
        let past = from.rem_euclid(self.step_ms);
        let wait = if past == 0 { 0 } else { self.step_ms - past };
        self.next_ms = from.checked_add(wait);
        self.last_ms = event_ms;
    }

    fn hole(&mut self, _: &Hole, _: Moment, book: &Book) {
        self.finish(book);
    }
}
