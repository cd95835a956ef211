//! Mark prices, with what goes into funding.

use super::fields::{fields, present, take};
use super::{Event, Read};
use crate::error::Malformed;
use crate::json::Json;

/// What a future is valued at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct MarkPrice {
    pub event_ms: i64,
    pub mark_price: f64,
    pub index_price: Option<f64>,
    pub settle_price: Option<f64>,
    pub funding_rate: Option<f64>,
    pub next_funding_ms: Option<i64>,
}

pub(super) fn mark_price(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut mark, mut next) = (None, None, None);
    let (mut index, mut settle, mut rate) = (None, None, None);
    let common = fields(data, |key, json| {
        match key {
            // Contracts with an end have no rate: an empty text, or a zero.
            "r" => rate = maybe(json)?,
            "i" => index = maybe(json)?,
            "P" => settle = maybe(json)?,
            _ => take!(json, key; "E" => time: integer, "p" => mark: decimal, "T" => next: integer),
        }
        Ok(true)
    })?;
    let mark = MarkPrice {
        event_ms: present(time, "no E")?,
        mark_price: present(mark, "no p")?,
        index_price: index,
        settle_price: settle,
        funding_rate: rate,
        next_funding_ms: next,
    };
    common.read("markPriceUpdate", Event::MarkPrice(mark))
}

/// A number, or an empty text.
fn maybe(json: &mut Json<'_>) -> Result<Option<f64>, Malformed> {
    match json.skip()? {
        "\"\"" | "null" => Ok(None),
        text => Json::new(text).decimal().map(Some),
    }
}
