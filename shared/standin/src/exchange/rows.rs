//! Rows that follow from their symbol and time alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ExchangeOptions, FUNDING_MS, HOUR_MS, MINUTE_MS, Reply, TRADES_REACH_MS};

/// What a query asks for: candles, fundings or trades.
pub(super) fn answer(
    options: &ExchangeOptions,
    path: &str,
    pairs: &BTreeMap<&str, &str>,
    now: i64,
) -> Reply {
    let refuse =
        |code: i64, msg: &str| Reply(400, json!({"code": code, "msg": msg}).to_string(), None);
    let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<i64>().ok());
    let symbol = pairs.get("symbol").or_else(|| pairs.get("pair")).copied();
    let Some((symbol, &listed)) = symbol.and_then(|symbol| options.symbols.get_key_value(symbol))
    else {
        return refuse(-1121, "Invalid symbol.");
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let most = if path.starts_with("/api/") || !name.ends_with("lines") {
        1000
    } else {
        1500
    };
    let limit = number("limit").unwrap_or(500).clamp(1, most);
    let start = number("startTime").unwrap_or(0).max(listed);
    let end = number("endTime").unwrap_or(now).min(now);
    let every = |first: i64, step: i64| {
        let first =
            first.div_euclid(step) * step + if first.rem_euclid(step) == 0 { 0 } else { step };
        (0..limit)
            .map(move |at| first + at * step)
            .take_while(move |at| *at <= end)
    };
    let found: Vec<Value> = match name {
        "fundingRate" => every(start, FUNDING_MS)
            .map(|at| {
                let rate = (mixed(symbol, at) % 2000) as f64 / 1e7 - 1e-4;
                // Some milliseconds late, as it is.
                let late = at + (mixed(symbol, at) % 13) as i64;
                json!({"symbol": symbol, "fundingTime": late, "fundingRate": format!("{rate:.8}"), "markPrice": "1.0"})
            })
            .collect(),
        "aggTrades" => {
            let step = options.trade_every_ms;
            let last = (now - listed) / step;
            let first = match number("fromId") {
                Some(id) => id,
                None if end - start >= HOUR_MS => {
                    return refuse(-1127, "More than 1 hours between startTime and endTime.");
                }
                None if !path.starts_with("/api/") && start < now - TRADES_REACH_MS => {
                    return refuse(-4166, "Search window is restricted to recent 2 days only.");
                }
                None => (start - listed + step - 1) / step,
            };
            let last = match number("fromId") {
                Some(_) => last,
                None => last.min((end - listed).div_euclid(step)),
            };
            (first..=last)
                .take(limit as usize)
                .map(|id| trade(symbol, id, listed + id * step, path.starts_with("/api/")))
                .collect()
        }
        _ if name.ends_with("lines") => {
            let length = pairs.get("interval").and_then(|interval| length_ms(interval));
            let Some(length) = length else {
                return refuse(-1120, "Invalid interval.");
            };
            every(start, length)
                .map(|open| bar(name, symbol, open, length))
                .collect()
        }
        _ => return Reply(404, "{}".to_owned(), None),
    };
    Reply(200, Value::Array(found).to_string(), None)
}

fn length_ms(interval: &str) -> Option<i64> {
    let (count, unit) = interval.split_at(interval.len().checked_sub(1)?);
    let unit = match unit {
        "s" => 1000,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => 24 * HOUR_MS,
        "w" => 7 * 24 * HOUR_MS,
        _ => return None,
    };
    Some(count.parse::<i64>().ok()? * unit)
}

/// The candle that opens at a time.
pub(super) fn bar(kind: &str, symbol: &str, open_ms: i64, length_ms: i64) -> Value {
    let seed = mixed(&format!("{kind} {symbol}"), open_ms);
    let cents = |from: u64| format!("{}.{:02}", 100 + from / 100, from % 100);
    let (open, close) = (seed % 5000, (seed >> 16) % 5000);
    let (high, low) = (
        open.max(close) + seed % 7,
        open.min(close) - open.min(close).min(seed % 5),
    );
    let volume = 1 + (seed >> 32) % 100_000;
    json!([
        open_ms,
        cents(open),
        cents(high),
        cents(low),
        cents(close),
        format!("{}.{:03}", volume / 1000, volume % 1000),
        open_ms + length_ms - 1,
        format!("{volume}.5"),
        1 + seed % 900,
        format!("{}.{:03}", volume / 3000, volume % 1000),
        format!("{}.25", volume / 3),
        "0"
    ])
}

/// A trade by its id and time.
pub(super) fn trade(symbol: &str, id: i64, at_ms: i64, spot: bool) -> Value {
    let seed = mixed(symbol, id);
    let mut trade = json!({
        "a": id,
        "p": format!("{}.{}", 100 + seed % 10, seed % 9 + 1),
        "q": format!("0.{:03}", 1 + (seed >> 20) % 999),
        "f": id * 2,
        "l": id * 2 + i64::from(seed.is_multiple_of(3)),
        "T": at_ms,
        "m": seed.is_multiple_of(2)
    });
    if spot {
        trade["M"] = true.into();
    }
    trade
}

/// A number that only the name and the place decide.
fn mixed(name: &str, place: i64) -> u64 {
    let mut mixed = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(place.to_le_bytes()) {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mixed ^ mixed >> 29
}
