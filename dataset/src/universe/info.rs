//! What the exchange says of its symbols, beside what the archive knows of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tapemill_exchange::{ExchangeInfo, SymbolInfo};
use tapemill_lake::Series;
use tapemill_market::Market;

use super::reports::Report;

/// The file of a market; um has the plain name.
pub fn info_report_name(market: Market) -> String {
    match market {
        Market::Um => "symbols_info.json".to_owned(),
        market => format!("{market}_symbols_info.json"),
    }
}

/// What the exchange says of a market's symbols: when each was listed, by which rules it trades, and which ones of the
/// archive it lists no more.
///
/// A listing that the exchange does not tell is the first day of the archive; one that neither knows is null.
pub fn info_report(
    market: Market,
    info: &ExchangeInfo,
    series: &[Series],
    now: Timestamp,
) -> Report {
    let archived = first_days(market, series);
    let symbols: BTreeMap<&str, Value> = info
        .symbols
        .iter()
        .map(|info| (info.symbol.as_str(), told(market, info, &archived)))
        .collect();
    let delisted = archived
        .keys()
        .filter(|symbol| !symbols.contains_key(*symbol));
    let delisted: Vec<&str> = delisted.copied().collect();
    let all: Vec<&str> = symbols.keys().copied().collect();
    let told = json!({
        "last_updated": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "all_symbols": all,
        "symbols": symbols,
        "delisted_symbols": delisted,
    });
    Report {
        name: info_report_name(market),
        text: format!("{told:#}\n"),
    }
}

/// The first day of each symbol of a market, by everything that is named after symbols.
fn first_days(market: Market, series: &[Series]) -> BTreeMap<&str, Date> {
    let mut days: BTreeMap<&str, Date> = BTreeMap::new();
    // An index is of a pair.
    let named = series
        .iter()
        .filter(|series| series.market == market.as_str() && series.dataset != "indexPriceKlines");
    for series in named {
        let day = days.entry(&series.symbol).or_insert(series.first);
        *day = series.first.min(*day);
    }
    days
}

fn told(market: Market, info: &SymbolInfo, archived: &BTreeMap<&str, Date>) -> Value {
    let listed = info.onboard_ms.and_then(day_of);
    let archived = archived.get(info.symbol.as_str());
    let (listing, source) = match (listed, archived) {
        (Some(day), _) => (Some(day), Some("exchange")),
        (None, Some(day)) => (Some(*day), Some("archive")),
        (None, None) => (None, None),
    };
    let text = |day: Date| day.to_string();
    json!({
        "market": market.as_str(),
        "status": info.status,
        "contract_type": info.contract_type,
        "pair": info.pair,
        "base_asset": info.base_asset,
        "quote_asset": info.quote_asset,
        "margin_asset": info.margin_asset,
        "listing_date": listing.map(text),
        "source_of_listing_date": source,
        "onboard_timestamp": info.onboard_ms,
        "delivery_date": info.delivery_ms.and_then(day_of).map(text),
        "contract_size": info.contract_size,
        "tick_size": info.rules.tick_size,
        "step_size": info.rules.step_size,
        "min_quantity": info.rules.min_quantity,
        "max_quantity": info.rules.max_quantity,
        "min_notional": info.rules.min_notional,
    })
}

fn day_of(time_ms: i64) -> Option<Date> {
    let time = Timestamp::from_millisecond(time_ms).ok()?;
    Some(time.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(place: &str, first: &str) -> Series {
        let [market, dataset, symbol] = place.split('/').collect::<Vec<_>>().try_into().unwrap();
        Series {
            market: market.to_owned(),
            dataset: dataset.to_owned(),
            symbol: symbol.to_owned(),
            interval: String::new(),
            first: first.parse().unwrap(),
            last: "2024-06-14".parse().unwrap(),
            archives: 1,
            bytes: 1,
            holes: Vec::new(),
            asked: "2024-06-15".parse().unwrap(),
        }
    }

    fn report(market: Market, answer: &str, series: &[Series]) -> (String, Value) {
        let info = ExchangeInfo::parse(answer.as_bytes()).unwrap();
        let now = "2024-06-15T12:30:05.25Z".parse().unwrap();
        let report = info_report(market, &info, series, now);
        (report.name, serde_json::from_str(&report.text).unwrap())
    }

    #[test]
    fn futures_tell_their_listing_and_what_they_list_no_more_is_named() {
        let answer = r#"{"symbols":[
            {"symbol":"ETHUSDT_240628","pair":"ETHUSDT","contractType":"CURRENT_QUARTER","deliveryDate":1719561600000,
                "onboardDate":1703836800000,"status":"TRADING","baseAsset":"ETH","quoteAsset":"USDT","marginAsset":"USDT",
                "filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"MIN_NOTIONAL","notional":"5"}]},
            {"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,
                "onboardDate":1569398400000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT"}]}"#;
        let archived = [
            series("um/klines/BTCUSDT", "2019-12-31"),
            series("um/metrics/LUNAUSDT", "2021-01-01"),
            series("um/klines/ANCUSDT", "2021-01-01"),
            series("um/indexPriceKlines/PAIRUSDT", "2021-01-01"),
            series("spot/klines/OTHERUSDT", "2021-01-01"),
        ];

        let (name, told) = report(Market::Um, answer, &archived);

        assert_eq!(name, "symbols_info.json");
        assert_eq!(told["last_updated"], "2024-06-15T12:30:05Z");
        assert_eq!(told["all_symbols"], json!(["BTCUSDT", "ETHUSDT_240628"]));
        assert_eq!(told["delisted_symbols"], json!(["ANCUSDT", "LUNAUSDT"]));
        let bitcoin = &told["symbols"]["BTCUSDT"];
        assert_eq!(bitcoin["listing_date"], "2019-09-25");
        assert_eq!(bitcoin["onboard_timestamp"], 1_569_398_400_000_i64);
        assert_eq!(bitcoin["source_of_listing_date"], "exchange");
        assert_eq!(bitcoin["delivery_date"], Value::Null);
        let quarter = &told["symbols"]["ETHUSDT_240628"];
        assert_eq!(quarter["delivery_date"], "2024-06-28");
        assert_eq!(quarter["contract_type"], "CURRENT_QUARTER");
        assert_eq!(
            (&quarter["tick_size"], &quarter["min_notional"]),
            (&"0.01".into(), &"5".into())
        );
    }

    #[test]
    fn spot_was_listed_when_its_archive_begins_and_nothing_is_invented() {
        let answer = r#"{"symbols":[
            {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[]},
            {"symbol":"NEWUSDT","status":"TRADING","baseAsset":"NEW","quoteAsset":"USDT","filters":[]}]}"#;
        let archived = [
            series("spot/klines/BTCUSDT", "2017-08-18"),
            series("spot/aggTrades/BTCUSDT", "2017-08-17"),
            series("um/klines/NEWUSDT", "2024-06-01"),
        ];

        let (name, told) = report(Market::Spot, answer, &archived);

        assert_eq!(name, "spot_symbols_info.json");
        let bitcoin = &told["symbols"]["BTCUSDT"];
        assert_eq!(bitcoin["listing_date"], "2017-08-17");
        assert_eq!(bitcoin["source_of_listing_date"], "archive");
        assert_eq!(bitcoin["onboard_timestamp"], Value::Null);
        let new = &told["symbols"]["NEWUSDT"];
        assert_eq!(new["listing_date"], Value::Null);
        assert_eq!(new["source_of_listing_date"], Value::Null);
    }
}
