//! Symbols with other names, and tapes that run on.

use std::time::Duration;

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{StreamFault, StreamOptions, Streams};

use crate::client::{Client, at_once, get_json, made_up, of_streams, stream_of};

/// Everything that comes of all streams.
async fn everything(streams: &Streams) -> Vec<String> {
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &streams.streams()).await;
    client.text().await;
    assert!(streams.wait(Duration::from_secs(20)));
    streams.strike(StreamFault::Close {
        code: 1000,
        connection: None,
    });
    client.rest().await.0
}

#[tokio::test]
async fn other_symbols_play_the_same_under_their_own_names() {
    for (market, symbol, first) in [
        (Market::Um, "BTCUSDT", "S00USDT"),
        (Market::Cm, "BTCUSD_PERP", "S00USD_PERP"),
        (Market::Spot, "ETHUSDT", "S00USDT"),
    ] {
        let tape = made_up(market, symbol, 2);
        let options = StreamOptions {
            symbols: Some(40),
            routing: tapemill_standin::stream::Routing::Plain,
            ..at_once(market)
        };
        let streams = Streams::start([tape.clone()], options).unwrap();
        let symbols = streams.symbols();

        let texts = everything(&streams).await;

        assert_eq!(symbols[0], first);
        assert_eq!(symbols.len(), 40);
        assert_eq!(texts.len(), 40 * tape.frames.len());
        let original: Vec<String> = tape
            .frames
            .iter()
            .map(|frame| frame.json.to_string())
            .collect();
        for symbol_of in &symbols {
            let prefix = format!("{}@", symbol_of.to_lowercase());
            let pair = |name: &str| name.split('_').next().unwrap().to_owned();
            let own: Vec<String> = texts
                .iter()
                .filter(|text| stream_of(text).starts_with(&prefix))
                .map(|text| {
                    text.replace(symbol_of, symbol)
                        .replace(&symbol_of.to_lowercase(), &symbol.to_lowercase())
                        .replace(
                            &format!("\"{}\"", pair(symbol_of)),
                            &format!("\"{}\"", pair(symbol)),
                        )
                })
                .collect();
            assert!(own == original, "{symbol_of}");
        }
        let info = match market {
            Market::Um => "/fapi/v1/exchangeInfo",
            Market::Cm => "/dapi/v1/exchangeInfo",
            Market::Spot => "/api/v3/exchangeInfo",
        };
        let info = get_json(&streams.url_rest(), info);
        assert_eq!(info["symbols"].as_array().unwrap().len(), 40);
    }
}

#[tokio::test]
async fn laps_go_on_counting() {
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Spot, "BTCUSDT"),
    ] {
        let tape = made_up(market, symbol, 3);
        let options = StreamOptions {
            laps: 3,
            routing: tapemill_standin::stream::Routing::Plain,
            ..at_once(market)
        };
        let streams = Streams::start([tape.clone()], options).unwrap();

        let texts = everything(&streams).await;

        let of = |kind: &str| -> Vec<Value> {
            let kind = format!("@{kind}");
            let own = texts.iter().filter(|text| stream_of(text).contains(&kind));
            own.map(|text| serde_json::from_str::<Value>(text).unwrap()["data"].take())
                .collect()
        };
        let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
        let depth = of("depth");
        assert_eq!(depth.len(), 90, "{market}");
        for pair in depth.windows(2) {
            let previous = match market {
                Market::Spot => number(&pair[1], "U") - 1,
                _ => number(&pair[1], "pu"),
            };
            assert_eq!(previous, number(&pair[0], "u"), "{market}");
            assert!(number(&pair[1], "E") > number(&pair[0], "E"), "{market}");
        }
        for (kind, id) in [("aggTrade", "a"), ("trade", "t")] {
            let trades = of(kind);
            assert!(trades.len() > 30, "{market}");
            for pair in trades.windows(2) {
                assert_eq!(
                    number(&pair[1], id),
                    number(&pair[0], id) + 1,
                    "{market} {kind}"
                );
            }
        }
        let tickers = of("bookTicker");
        assert!(
            tickers
                .windows(2)
                .all(|pair| number(&pair[1], "u") > number(&pair[0], "u"))
        );
        let one_lap = of_streams(&tape, &[&format!("{}@depth@100ms", symbol.to_lowercase())]);
        assert!(texts.contains(&one_lap[0]) && texts.contains(&one_lap[29]));
        // The log tells the ids that went out.
        let log = streams.log();
        let logged = log.iter().filter(|entry| entry.stream.contains("@depth"));
        let sent: Vec<u64> = depth.iter().map(|event| number(event, "u")).collect();
        assert_eq!(logged.map(|entry| entry.id).collect::<Vec<_>>(), sent);
    }
}

#[test]
fn a_symbol_of_two_tapes_is_refused_under_its_own_name() {
    let tape = || made_up(Market::Um, "BTCUSDT", 1);
    let cm = made_up(Market::Cm, "BTCUSD_PERP", 1);

    let twice = Streams::start([tape(), tape()], at_once(Market::Um));
    let mixed = Streams::start([tape(), cm], at_once(Market::Um));
    let none = Streams::start([], at_once(Market::Um));

    assert!(twice.unwrap_err().to_string().contains("two tapes"));
    assert!(mixed.unwrap_err().to_string().contains("do not mix"));
    assert!(none.is_err());
}
