//! Books and trades as the events that hftbacktest 2 reads: an array of rows of 64 bytes in a `.npy`.
//!
//! Each row is of the exchange's time, of the local time, or of both: rows are ordered by both times, and where the two
//! orders differ an event is there twice, once with each flag.

use std::ops::Range;

use tapemill_stream::Hole;

use crate::book::{Book, Side};
use crate::replay::{DepthRow, Listener, Moment};

const DEPTH: u32 = 1;
const TRADE: u32 = 2;
const CLEAR: u32 = 3;
const SNAPSHOT: u32 = 4;
const BUY: u32 = 1 << 29;
const SELL: u32 = 1 << 28;
const OF_EXCHANGE: u32 = 1 << 31;
const OF_LOCAL: u32 = 1 << 30;

const NS_OF_MS: i64 = 1_000_000;

/// The size of one row in bytes.
pub const HFT_ROW_BYTES: usize = 64;

/// What happened, before it is known in which orders it is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Event {
    kind: u32,
    exchange_ns: i64,
    local_ns: i64,
    price: f64,
    quantity: f64,
}

/// A trade as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HftTrade {
    /// When the exchange made it, in milliseconds.
    pub trade_ms: i64,
    /// When it came by the local clock, in nanoseconds.
    pub received_ns: i64,
    /// Whether the maker bought, so that the taker sold.
    pub is_buyer_maker: bool,
    /// Its price.
    pub price: f64,
    /// Its quantity.
    pub quantity: f64,
}

/// Collects the events of one symbol and range of event times.
///
/// A book that is there when the range begins stands first, whole. Where something is missing both sides are cleared,
/// and the next book stands whole again. All of it is in memory: 40 bytes a level, and up to 24 more while it is ordered.
#[derive(Debug)]
pub struct HftEvents {
    range_ms: Range<i64>,
    has_begun: bool,
    now_ms: i64,
    /// The latest times of the book's events so far: a clock that goes back must not turn their order around.
    exchange_ns: i64,
    local_ns: i64,
    events: Vec<Event>,
}

impl HftEvents {
    /// Events of a range of event times in milliseconds.
    pub fn new(range_ms: Range<i64>) -> Self {
        Self {
            range_ms,
            has_begun: false,
            now_ms: i64::MIN,
            exchange_ns: i64::MIN,
            local_ns: i64::MIN,
            events: Vec::new(),
        }
    }

    /// Adds a trade of the range; the range is that of trade times here.
    pub fn trade(&mut self, trade: &HftTrade) {
        if self.range_ms.contains(&trade.trade_ms) {
            let side = if trade.is_buyer_maker { SELL } else { BUY };
            self.events.push(Event {
                kind: TRADE | side,
                exchange_ns: trade.trade_ms.saturating_mul(NS_OF_MS),
                local_ns: trade.received_ns,
                price: trade.price,
                quantity: trade.quantity,
            });
        }
    }

    /// The rows in their order; `None` for more than 4,294,967,295 events, which no day of a symbol has.
    pub fn finish(mut self) -> Option<HftRows> {
        u32::try_from(self.events.len()).ok()?;
        // Trades were added behind the book's events; of one time the book's stand first.
        self.events.sort_by_key(|event| event.local_ns);
        correct_local(&mut self.events);
        let order = correct_order(&self.events);
        Some(HftRows {
            events: self.events,
            order,
        })
    }

    /// The number of events so far.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event yet.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn is_inside(&self) -> bool {
        self.range_ms.contains(&self.now_ms)
    }

    fn push(&mut self, kind: u32, at: Moment, price: f64, quantity: f64) {
        let exchange_ms = at.transaction_ms.unwrap_or(at.event_ms);
        self.exchange_ns = self.exchange_ns.max(exchange_ms.saturating_mul(NS_OF_MS));
        self.local_ns = self.local_ns.max(at.received_ns);
        self.events.push(Event {
            kind,
            exchange_ns: self.exchange_ns,
            local_ns: self.local_ns,
            price,
            quantity,
        });
    }

    fn clear(&mut self, at: Moment) {
        // Without a price all of the side is cleared.
        self.push(CLEAR | BUY, at, f64::NAN, 0.0);
        self.push(CLEAR | SELL, at, f64::NAN, 0.0);
    }

    fn whole(&mut self, at: Moment, book: &Book) {
        self.has_begun = true;
        self.clear(at);
        let mut side = |kind, side: &Side| {
            for (price, quantity) in side.levels() {
                self.push(SNAPSHOT | kind, at, price, quantity);
            }
        };
        side(BUY, &book.bids);
        side(SELL, &book.asks);
    }
}

impl Listener for HftEvents {
    fn before(&mut self, event_ms: i64, _: &Book) {
        self.now_ms = event_ms;
    }

    fn anchored(&mut self, event_ms: i64, _: &Book) {
        self.now_ms = event_ms;
    }

    fn applied(&mut self, update: &DepthRow<'_>, book: &Book) {
        if !self.is_inside() {
            return;
        }
        let at = update.moment();
        if !self.has_begun {
            self.whole(at, book);
            return;
        }
        for (price, quantity) in update.bids.iter() {
            self.push(DEPTH | BUY, at, price, quantity);
        }
        for (price, quantity) in update.asks.iter() {
            self.push(DEPTH | SELL, at, price, quantity);
        }
    }

    fn settled(&mut self, at: Moment, book: &Book) {
        if self.is_inside() {
            self.whole(at, book);
        }
    }

    fn hole(&mut self, _: &Hole, at: Moment, _: &Book) {
        self.now_ms = self.now_ms.max(at.event_ms);
        if self.is_inside() {
            self.has_begun = true;
            self.clear(at);
        }
    }
}

/// The rows of a file, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct HftRows {
    events: Vec<Event>,
    /// Index of the event, and whose time it is seen at.
    order: Vec<(u32, u32)>,
}

impl HftRows {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The rows as they stand in the file.
    pub fn rows(&self) -> impl Iterator<Item = [u8; HFT_ROW_BYTES]> + '_ {
        let row = |&(index, flags): &(u32, u32)| {
            let event = self.events[index as usize];
            let mut row = [0; HFT_ROW_BYTES];
            let values = [
                u64::from(event.kind | flags).to_le_bytes(),
                event.exchange_ns.to_le_bytes(),
                event.local_ns.to_le_bytes(),
                event.price.to_le_bytes(),
                event.quantity.to_le_bytes(),
            ];
            for (place, value) in row.chunks_exact_mut(8).zip(values) {
                place.copy_from_slice(&value);
            }
            row
        };
        self.order.iter().map(row)
    }

    /// What stands before the rows in a `.npy` of version 1.0.
    pub fn header(&self) -> Vec<u8> {
        npy_header(self.len())
    }
}

/// The local clock may be behind the exchange's: if so it is set so far ahead that nothing came before it happened.
fn correct_local(events: &mut [Event]) {
    let delays = events
        .iter()
        .map(|event| event.local_ns - event.exchange_ns);
    let least = delays.min().unwrap_or(0);
    if least < 0 {
        for event in events {
            event.local_ns -= least;
        }
    }
}

/// Merges the events by exchange time with the events by local time.
///
/// What stands first in both is one row; else the event with the earlier exchange time goes first, and of equal ones that
/// with the earlier local time.
fn correct_order(events: &[Event]) -> Vec<(u32, u32)> {
    let indices = || (0..events.len()).filter_map(|index| u32::try_from(index).ok());
    let at = |index: &u32| &events[*index as usize];
    let mut by_exchange: Vec<u32> = indices().collect();
    by_exchange.sort_by_key(|index| at(index).exchange_ns);
    let mut by_local: Vec<u32> = indices().collect();
    by_local.sort_by_key(|index| at(index).local_ns);

    let mut order = Vec::with_capacity(events.len());
    let (mut exchange, mut local) = (by_exchange.iter().peekable(), by_local.iter().peekable());
    loop {
        let times = |index: &&u32| (at(index).exchange_ns, at(index).local_ns);
        match (exchange.peek().map(times), local.peek().map(times)) {
            (Some(of_exchange), Some(of_local)) if of_exchange == of_local => {
                local.next();
                order.extend(exchange.next().map(|at| (*at, OF_EXCHANGE | OF_LOCAL)));
            }
            (Some(of_exchange), of_local)
                if of_local.is_none_or(|of_local| of_exchange < of_local) =>
            {
                order.extend(exchange.next().map(|at| (*at, OF_EXCHANGE)));
            }
            (_, Some(_)) => order.extend(local.next().map(|at| (*at, OF_LOCAL))),
            (_, None) => return order,
        }
    }
}

/// What stands before `rows` rows in a `.npy` of version 1.0; its length is a multiple of 64.
pub fn npy_header(rows: usize) -> Vec<u8> {
    let fields = [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ];
    let fields = fields.map(|(name, kind)| format!("('{name}', '{kind}')"));
    let mut text = format!(
        "{{'descr': [{}], 'fortran_order': False, 'shape': ({rows},), }}",
        fields.join(", ")
    );
    const BEFORE: usize = 10;
    // Spaces, then the end of the line.
    while !(BEFORE + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // A few hundred bytes.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    header.extend(length.to_le_bytes());
    header.extend(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(exchange_ns: i64, local_ns: i64) -> Event {
        Event {
            kind: DEPTH | BUY,
            exchange_ns,
            local_ns,
            price: 1.0,
            quantity: 1.0,
        }
    }

    #[test]
    fn the_header_fills_whole_rows() {
        for rows in [0, 1, 999_999_999] {
            let header = npy_header(rows);
            assert_eq!(header.len() % 64, 0);
            assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
            assert_eq!(header.last(), Some(&b'\n'));
        }
    }

    #[test]
    fn an_event_that_was_overtaken_is_seen_twice() {
        // The second happened later and came first.
        let order = correct_order(&[event(10, 40), event(20, 30)]);

        assert_eq!(
            order,
            [(0, OF_EXCHANGE), (1, OF_EXCHANGE | OF_LOCAL), (0, OF_LOCAL)]
        );
    }

    #[test]
    fn nothing_comes_before_it_happened() {
        let mut events = [event(100, 40), event(110, 80)];

        correct_local(&mut events);

        assert_eq!(events.map(|event| event.local_ns), [100, 140]);
    }

    proptest! {
        #[test]
        fn both_orders_ascend_and_hold_every_event_once(
            times in prop::collection::vec((0_i64..50, 0_i64..20), 0..80),
        ) {
            let events: Vec<_> = times.iter().map(|(at, delay)| event(*at, at + delay)).collect();
            let order = correct_order(&events);
            for (flag, time) in [
                (OF_EXCHANGE, (|event: &Event| event.exchange_ns) as fn(&Event) -> i64),
                (OF_LOCAL, |event: &Event| event.local_ns),
            ] {
                let seen: Vec<_> = order.iter().filter(|(_, flags)| flags & flag != 0).collect();
                prop_assert!(seen.is_sorted_by_key(|(index, _)| time(&events[*index as usize])));
                prop_assert_eq!(seen.len(), events.len());
                // Rows of one time pair may stand for each other: they come in the order they are listed.
                let mut indices: Vec<_> = seen.iter().map(|(index, _)| *index).collect();
                indices.sort_unstable();
                indices.dedup();
                prop_assert_eq!(indices.len(), events.len());
            }
        }
    }
}
