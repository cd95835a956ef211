//! Books: their levels, differences, best prices, and the book whole.

use super::fields::{fields, present, take};
use super::{Event, Read};
use crate::error::Malformed;
use crate::json::Json;

/// A level of a book: price and quantity, absolute; a quantity of zero removes the level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// In the quote.
    pub price: f64,
    /// In the base, or in contracts.
    pub quantity: f64,
}

/// Differences of an order book.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DepthUpdate {
    /// When the exchange sent it.
    pub event_ms: i64,
    /// When the matching engine did it; spot does not tell.
    pub transaction_ms: Option<i64>,
    /// The first update that is in it.
    pub first_id: i64,
    /// The last.
    pub last_id: i64,
    /// The last of the message before; futures tell it.
    pub previous_id: Option<i64>,
    /// Levels of the bid side.
    pub bids: Vec<Level>,
    /// Levels of the ask side.
    pub asks: Vec<Level>,
}

/// The best bid and ask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct BookTicker {
    /// Futures tell it.
    pub event_ms: Option<i64>,
    pub transaction_ms: Option<i64>,
    pub update_id: i64,
    pub bid_price: f64,
    pub bid_quantity: f64,
    pub ask_price: f64,
    pub ask_quantity: f64,
}

/// The answer to a question for a book.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The last update that is in it.
    pub last_id: i64,
    /// When the exchange answered; spot does not tell.
    pub event_ms: Option<i64>,
    /// Of the bid side, from the best.
    pub bids: Vec<Level>,
    /// Of the ask side, from the best.
    pub asks: Vec<Level>,
}

impl Snapshot {
    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where it is no book.
    pub fn read(text: &str) -> Result<Self, Malformed> {
        let (mut snapshot, mut last_id) = (Self::default(), None);
        let mut json = Json::new(text);
        json.object(|key, json| {
            match key {
                "lastUpdateId" => last_id = Some(json.integer()?),
                "E" => snapshot.event_ms = Some(json.integer()?),
                "bids" => levels(json, &mut snapshot.bids)?,
                "asks" => levels(json, &mut snapshot.asks)?,
                _ => _ = json.skip()?,
            }
            Ok(())
        })?;
        json.end()?;
        snapshot.last_id = present(last_id, "no lastUpdateId")?;
        Ok(snapshot)
    }
}

/// Levels of one side in one message: more are no book.
const MOST_LEVELS: usize = 100_000;

fn levels(json: &mut Json<'_>, into: &mut Vec<Level>) -> Result<(), Malformed> {
    json.array(|json| {
        let (mut values, mut at) = ([0.0; 2], 0);
        json.array(|json| {
            match values.get_mut(at) {
                Some(value) => *value = json.decimal()?,
                // Old answers have an empty array behind them.
                None => _ = json.skip()?,
            }
            at += 1;
            Ok(())
        })?;
        let [price, quantity] = values;
        if at < 2 || price <= 0.0 || quantity < 0.0 {
            return Err(json.wrong("no level"));
        }
        if into.len() >= MOST_LEVELS {
            return Err(json.wrong("more levels than a book has"));
        }
        into.push(Level { price, quantity });
        Ok(())
    })
}

pub(super) fn depth(data: &str) -> Result<Read<'_>, Malformed> {
    let mut update = DepthUpdate::default();
    let (mut time, mut first, mut last) = (None, None, None);
    let (mut transaction, mut previous) = (None, None);
    let mut sides = 0;
    let common = fields(data, |key, json| {
        match key {
            "b" => levels(json, &mut update.bids)?,
            "a" => levels(json, &mut update.asks)?,
            _ => {
                take!(json, key; "E" => time: integer, "T" => transaction: integer, "U" => first: integer,
                    "u" => last: integer, "pu" => previous: integer);
                return Ok(true);
            }
        }
        sides += 1;
        Ok(true)
    })?;
    update.event_ms = present(time, "no E")?;
    update.first_id = present(first, "no U")?;
    update.last_id = present(last, "no u")?;
    (update.transaction_ms, update.previous_id) = (transaction, previous);
    if sides != 2 || update.first_id > update.last_id {
        return Err(Malformed {
            what: "no update of a book",
            at: 0,
        });
    }
    common.read("depthUpdate", Event::Depth(update))
}

pub(super) fn book_ticker(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut transaction, mut id) = (None, None, None);
    let (mut bid, mut bid_quantity, mut ask, mut ask_quantity) = (None, None, None, None);
    let common = fields(data, |key, json| {
        take!(json, key; "E" => time: integer, "T" => transaction: integer, "u" => id: integer, "b" => bid: decimal,
            "B" => bid_quantity: decimal, "a" => ask: decimal, "A" => ask_quantity: decimal);
        Ok(true)
    })?;
    let ticker = BookTicker {
        event_ms: time,
        transaction_ms: transaction,
        update_id: present(id, "no u")?,
        bid_price: present(bid, "no b")?,
        bid_quantity: present(bid_quantity, "no B")?,
        ask_price: present(ask, "no a")?,
        ask_quantity: present(ask_quantity, "no A")?,
    };
    common.read("bookTicker", Event::BookTicker(ticker))
}
