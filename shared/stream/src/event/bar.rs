//! Bars while they grow, and when they close.

use super::fields::{fields, present};
use super::{Event, Read};
use crate::error::Malformed;
use crate::json::Json;

/// A bar as it is so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Bar {
    pub event_ms: i64,
    pub open_ms: i64,
    pub close_ms: i64,
    pub first_trade_id: i64,
    pub last_trade_id: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub trades: i64,
    pub is_closed: bool,
    pub quote_volume: f64,
    pub taker_buy_volume: f64,
    pub taker_buy_quote_volume: f64,
}

pub(super) fn kline(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut bar) = (None, None);
    let common = fields(data, |key, json| {
        match key {
            "E" => time = Some(json.integer()?),
            "k" => bar = Some(bar_of(json)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let bar = Bar {
        event_ms: present(time, "no E")?,
        ..present(bar, "no k")?
    };
    common.read("kline", Event::Kline(bar))
}

fn bar_of(json: &mut Json<'_>) -> Result<Bar, Malformed> {
    let mut bar = Bar::default();
    let mut seen = 0;
    json.object(|key, json| {
        match key {
            "t" => bar.open_ms = json.integer()?,
            "T" => bar.close_ms = json.integer()?,
            "f" => bar.first_trade_id = json.integer()?,
            "L" => bar.last_trade_id = json.integer()?,
            "o" => bar.open = json.decimal()?,
            "c" => bar.close = json.decimal()?,
            "h" => bar.high = json.decimal()?,
            "l" => bar.low = json.decimal()?,
            "v" => bar.volume = json.decimal()?,
            "n" => bar.trades = json.integer()?,
            "x" => bar.is_closed = json.boolean()?,
            "q" => bar.quote_volume = json.decimal()?,
            "V" => bar.taker_buy_volume = json.decimal()?,
            "Q" => bar.taker_buy_quote_volume = json.decimal()?,
            // The symbol and the interval are the stream's; B is to be ignored.
            _ => {
                json.skip()?;
                return Ok(());
            }
        }
        seen += 1;
        Ok(())
    })?;
    match seen {
        14 => Ok(bar),
        _ => Err(json.wrong("no bar")),
    }
}
