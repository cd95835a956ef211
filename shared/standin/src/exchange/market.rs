//! What the stand-in says of a market as a whole.

use serde_json::{Value, json};

use super::{ExchangeOptions, HOUR_MS};
use crate::Period;

/// The delivery of a contract that goes on.
const NEVER_MS: i64 = 4_133_404_800_000;

/// What a symbol traded within a day, unless told otherwise.
const VOLUME: u64 = 1_000_000;

/// What it says of its symbols, some of which may be traded no longer.
pub(super) fn info(options: &ExchangeOptions, path: &str, now: i64, delisted: &[String]) -> Value {
    let symbols = options.of_market(path);
    let described = symbols.map(|(symbol, listed)| {
        let mut told = described(path, symbol, listed);
        let status = match path {
            path if path.starts_with("/dapi/") => "contractStatus",
            _ => "status",
        };
        if delisted.iter().any(|name| name == symbol) {
            told[status] = match path.starts_with("/api/") {
                true => "BREAK".into(),
                false => "SETTLING".into(),
            };
        }
        told
    });
    json!({
        "timezone": "UTC",
        "serverTime": now,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": options.most_weight(path)},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
        ],
        "exchangeFilters": [],
        "symbols": described.collect::<Vec<_>>()
    })
}

/// A symbol as its market describes it.
fn described(path: &str, symbol: &str, listed: i64) -> Value {
    let (pair, delivery) = symbol.split_once('_').unwrap_or((symbol, "PERP"));
    let quote = match pair.ends_with("USDT") {
        true => "USDT",
        false => &pair[pair.len().saturating_sub(3)..],
    };
    let base = pair.strip_suffix(quote).unwrap_or_default();
    let price = json!({"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"});
    let lot =
        json!({"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"});
    let mut told = json!({"symbol": symbol, "baseAsset": base, "quoteAsset": quote});
    if path.starts_with("/api/") {
        let least = json!({"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true});
        told["status"] = "TRADING".into();
        told["filters"] = json!([price, lot, {"filterType": "ICEBERG_PARTS", "limit": 10}, least]);
        return told;
    }
    let is_cm = path.starts_with("/dapi/");
    let is_perpetual = delivery == "PERP";
    told["pair"] = pair.into();
    told["marginAsset"] = if is_cm { base } else { quote }.into();
    told["onboardDate"] = listed.into();
    (told["contractType"], told["deliveryDate"]) = match is_perpetual {
        true => ("PERPETUAL".into(), NEVER_MS.into()),
        false => ("CURRENT_QUARTER".into(), delivery_ms(delivery).into()),
    };
    if is_cm {
        told["contractStatus"] = "TRADING".into();
        told["contractSize"] = if base == "BTC" { 100 } else { 10 }.into();
        told["filters"] = json!([price, lot]);
    } else {
        told["status"] = "TRADING".into();
        let least = json!({"filterType": "MIN_NOTIONAL", "notional": "5"});
        told["filters"] = json!([price, lot, least]);
    }
    told
}

/// Eight in the morning of a day written `240628`.
fn delivery_ms(text: &str) -> Option<i64> {
    let (year, month, day) = (text.get(..2)?, text.get(2..4)?, text.get(4..)?);
    let day: Period = format!("20{year}-{month}-{day}").parse().ok()?;
    Some(day.start_us() / 1000 + 8 * HOUR_MS)
}

/// What its symbols traded within a day.
pub(super) fn ticker(options: &ExchangeOptions, path: &str, now: i64) -> Value {
    let rows = options.of_market(path).map(|(symbol, _)| {
        let volume = options.volumes.get(symbol).copied().unwrap_or(VOLUME);
        let mut row = json!({
            "symbol": symbol, "priceChange": "-1.5", "weightedAvgPrice": "100.0", "lastPrice": "100.0",
            "openTime": now - 24 * HOUR_MS, "closeTime": now, "count": 76
        });
        if path.starts_with("/dapi/") {
            row["pair"] = symbol.split('_').next().into();
            row["volume"] = volume.to_string().into();
            row["baseVolume"] = format!("{}.5", volume / 100).into();
        } else {
            row["volume"] = format!("{}.00000000", volume / 100).into();
            row["quoteVolume"] = format!("{volume}.00000000").into();
        }
        row
    });
    rows.collect()
}
