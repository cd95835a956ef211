//! Trades, single and aggregated.

use super::fields::{fields, present, take};
use super::{Event, Read};
use crate::error::Malformed;

/// A trade, those of one taker order at one price together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct AggTrade {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub agg_id: i64,
    pub price: f64,
    pub quantity: f64,
    pub first_trade_id: i64,
    pub last_trade_id: i64,
    pub is_buyer_maker: bool,
}

/// A trade.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Trade {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub trade_id: i64,
    pub price: f64,
    pub quantity: f64,
    pub is_buyer_maker: bool,
    /// `MARKET`, `INSURANCE_FUND` and their like; futures tell it.
    pub order_type: Option<String>,
}

pub(super) fn agg_trade(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut trade_time, mut id, mut price) = (None, None, None, None);
    let (mut quantity, mut first, mut last, mut maker) = (None, None, None, None);
    let common = fields(data, |key, json| {
        // Of spot, and to be ignored, as its documentation says.
        if key == "M" {
            json.skip()?;
            return Ok(true);
        }
        take!(json, key; "E" => time: integer, "T" => trade_time: integer, "a" => id: integer, "p" => price: decimal,
            "q" => quantity: decimal, "f" => first: integer, "l" => last: integer, "m" => maker: boolean);
        Ok(true)
    })?;
    let trade = AggTrade {
        event_ms: present(time, "no E")?,
        trade_ms: present(trade_time, "no T")?,
        agg_id: present(id, "no a")?,
        price: present(price, "no p")?,
        quantity: present(quantity, "no q")?,
        first_trade_id: present(first, "no f")?,
        last_trade_id: present(last, "no l")?,
        is_buyer_maker: present(maker, "no m")?,
    };
    common.read("aggTrade", Event::AggTrade(trade))
}

pub(super) fn trade(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut trade_time, mut id, mut price) = (None, None, None, None);
    let (mut quantity, mut maker, mut order_type) = (None, None, None);
    let common = fields(data, |key, json| {
        if key == "M" {
            json.skip()?;
            return Ok(true);
        }
        take!(json, key; "E" => time: integer, "T" => trade_time: integer, "t" => id: integer, "p" => price: decimal,
            "q" => quantity: decimal, "m" => maker: boolean, "X" => order_type: string);
        Ok(true)
    })?;
    let trade = Trade {
        event_ms: present(time, "no E")?,
        trade_ms: present(trade_time, "no T")?,
        trade_id: present(id, "no t")?,
        price: present(price, "no p")?,
        quantity: present(quantity, "no q")?,
        is_buyer_maker: present(maker, "no m")?,
        order_type: order_type.map(str::to_owned),
    };
    common.read("trade", Event::Trade(trade))
}
