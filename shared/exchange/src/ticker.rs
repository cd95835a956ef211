//! What the symbols of a market traded within the last 24 hours.

use std::collections::BTreeMap;

use serde::Deserialize;
use tapemill_market::{Decimal, Market, Symbol};

use crate::pages::BadAnswer;

/// The quote volume of each symbol that has one; of a pair of cm, which has an index, that of its busiest contract.
pub type Volumes = BTreeMap<Symbol, Decimal>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    symbol: String,
    /// Only cm has one.
    pair: Option<String>,
    volume: String,
    /// cm has none.
    quote_volume: Option<String>,
}

/// Reads the ticker of a market. A volume is in the symbol's quote; of cm, which counts contracts, in USD. A name that no
/// archive can have is passed over.
///
/// # Errors
///
/// [`BadAnswer`] names the symbol whose volume is none, or what is missing.
pub fn volumes(market: Market, answer: &[u8]) -> Result<Volumes, BadAnswer> {
    let rows: Vec<Row> = serde_json::from_slice(answer)
        .map_err(|error| BadAnswer(format!("no ticker of a market: {error}")))?;
    let named = rows.into_iter().filter_map(|row| {
        let symbol = Symbol::exact(&row.symbol).ok()?;
        Some((symbol, row))
    });
    let mut volumes = Volumes::new();
    for (symbol, row) in named {
        let volume = quote_volume(market, &symbol, &row);
        let bad = || BadAnswer(format!("{symbol} has no quote volume that can be read"));
        let volume = volume.ok_or_else(bad)?;
        if let Some(pair) = row.pair.and_then(|pair| Symbol::exact(&pair).ok()) {
            let busiest = volumes.entry(pair).or_insert(volume);
            if volume.is_at_least(*busiest) {
                *busiest = volume;
            }
        }
        volumes.insert(symbol, volume);
    }
    Ok(volumes)
}

fn quote_volume(market: Market, symbol: &Symbol, row: &Row) -> Option<Decimal> {
    match market {
        Market::Cm => Decimal::parse(row.volume.as_bytes())?.times(symbol.contract_size_usd()),
        Market::Um | Market::Spot => Decimal::parse(row.quote_volume.as_deref()?.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(market: Market, rows: &str) -> Result<String, BadAnswer> {
        let volumes = volumes(market, rows.as_bytes())?;
        let volumes = volumes
            .iter()
            .map(|(symbol, volume)| format!("{symbol} {volume}"));
        Ok(volumes.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn volumes_are_in_the_quote_and_of_contracts_in_dollars() {
        let rows = r#"[{"symbol":"BTCUSDT","priceChange":"-94.9","volume":"8913.30000000",
                "quoteVolume":"15138523921.40000000","openTime":1499783499040,"count":76},
            {"symbol":"A B","volume":"1","quoteVolume":"1"},
            {"symbol":"AUSDT","volume":"0.00000000","quoteVolume":"0.00000000"}]"#;
        let um = told(Market::Um, rows).unwrap();
        assert_eq!(um, "AUSDT 0, BTCUSDT 15138523921.4");
        assert_eq!(told(Market::Spot, rows).unwrap(), um);

        let rows = r#"[{"symbol":"BTCUSD_PERP","pair":"BTCUSD","volume":"12345","baseVolume":"20.5"},
            {"symbol":"BTCUSD_240628","pair":"BTCUSD","volume":"7","baseVolume":"0.02"},
            {"symbol":"ETHUSD_240628","pair":"ETHUSD","volume":"7","baseVolume":"0.02"}]"#;
        let cm = told(Market::Cm, rows).unwrap();
        assert_eq!(
            cm,
            "BTCUSD 1234500, BTCUSD_240628 700, BTCUSD_PERP 1234500, ETHUSD 70, ETHUSD_240628 70"
        );
    }

    #[test]
    fn what_is_no_ticker_is_named() {
        for (rows, what) in [
            ("{}", "no ticker of a market"),
            (r#"[{"symbol":"AUSDT"}]"#, "volume"),
            (
                r#"[{"symbol":"AUSDT","volume":"1"}]"#,
                "AUSDT has no quote volume",
            ),
            (
                r#"[{"symbol":"AUSDT","volume":"1","quoteVolume":"-5"}]"#,
                "AUSDT has no quote volume",
            ),
        ] {
            let bad = told(Market::Um, rows).unwrap_err().to_string();
            assert!(bad.contains(what), "{what}: {bad}");
        }
    }
}
