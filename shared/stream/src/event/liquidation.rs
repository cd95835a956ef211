//! Orders that close positions by force.

use super::fields::{fields, present};
use super::{Event, Read};
use crate::error::Malformed;
use crate::json::Json;

/// An order that closed a position by force.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Liquidation {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub side: String,
    pub order_type: String,
    pub time_in_force: String,
    pub quantity: f64,
    pub price: f64,
    pub average_price: f64,
    pub status: String,
    pub last_quantity: f64,
    pub filled_quantity: f64,
}

pub(super) fn force_order(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut order, mut symbol) = (None, None, None);
    let mut common = fields(data, |key, json| {
        match key {
            "E" => time = Some(json.integer()?),
            "o" => {
                let (of, read) = liquidation(json)?;
                (symbol, order) = (of, Some(read));
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    common.symbol = symbol;
    let order = Liquidation {
        event_ms: present(time, "no E")?,
        ..present(order, "no o")?
    };
    common.read("forceOrder", Event::ForceOrder(order))
}

fn liquidation<'a>(json: &mut Json<'a>) -> Result<(Option<&'a str>, Liquidation), Malformed> {
    let (mut order, mut symbol) = (Liquidation::default(), None);
    let mut seen = 0;
    json.object(|key, json| {
        match key {
            "s" => symbol = Some(json.string()?),
            "S" => order.side = json.string()?.to_owned(),
            "o" => order.order_type = json.string()?.to_owned(),
            "f" => order.time_in_force = json.string()?.to_owned(),
            "q" => order.quantity = json.decimal()?,
            "p" => order.price = json.decimal()?,
            "ap" => order.average_price = json.decimal()?,
            "X" => order.status = json.string()?.to_owned(),
            "l" => order.last_quantity = json.decimal()?,
            "z" => order.filled_quantity = json.decimal()?,
            "T" => order.trade_ms = json.integer()?,
            _ => {
                json.skip()?;
                return Ok(());
            }
        }
        seen += 1;
        Ok(())
    })?;
    match seen {
        11 => Ok((symbol, order)),
        _ => Err(json.wrong("no liquidation")),
    }
}
