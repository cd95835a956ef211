//! Snapshots and trades over REST against books and lists kept here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{Speed, StreamOptions, Streams, Tape};

use crate::client::{Client, get, get_json, made_up};
use crate::real;

fn base(market: Market) -> &'static str {
    match market {
        Market::Um => "/fapi/v1",
        Market::Cm => "/dapi/v1",
        Market::Spot => "/api/v3",
    }
}

/// A side, by the bits of its prices: those of positive numbers sort as they do.
type Side = BTreeMap<u64, (String, String)>;

fn apply(side: &mut Side, levels: &Value) {
    for level in levels.as_array().unwrap() {
        let [price, quantity] = [0, 1].map(|at| level[at].as_str().unwrap().to_owned());
        let key = price.parse::<f64>().unwrap().to_bits();
        match quantity.parse::<f64>().unwrap() > 0.0 {
            true => side.insert(key, (price, quantity)),
            false => side.remove(&key),
        };
    }
}

/// A symbol's book after each of its events, by the last id: the best levels of both sides.
fn books(tape: &Tape, symbol: &str, wanted: &[u64]) -> BTreeMap<u64, [Vec<(String, String)>; 2]> {
    let snapshot = tape
        .snapshots
        .iter()
        .find(|snapshot| snapshot.symbol == symbol);
    let snapshot = snapshot.map(|snapshot| serde_json::from_str::<Value>(&snapshot.json).unwrap());
    let (mut bids, mut asks) = (Side::new(), Side::new());
    let mut anchor = 0;
    if let Some(snapshot) = &snapshot {
        anchor = snapshot["lastUpdateId"].as_u64().unwrap();
        apply(&mut bids, &snapshot["bids"]);
        apply(&mut asks, &snapshot["asks"]);
    }
    let name = format!("{}@depth", symbol.to_lowercase());
    let mut books = BTreeMap::new();
    for frame in tape
        .frames
        .iter()
        .filter(|frame| frame.stream.starts_with(&name))
    {
        let event: Value = serde_json::from_str(&frame.json).unwrap();
        let event = &event["data"];
        let last = event["u"].as_u64().unwrap();
        if last <= anchor {
            continue;
        }
        apply(&mut bids, &event["b"]);
        apply(&mut asks, &event["a"]);
        if wanted.contains(&last) {
            let best_bids = bids.values().rev().take(1000).cloned().collect();
            let best_asks = asks.values().take(1000).cloned().collect();
            books.insert(last, [best_bids, best_asks]);
        }
    }
    books
}

fn levels(side: &Value) -> Vec<(String, String)> {
    let levels = side.as_array().unwrap().iter();
    levels
        .map(|level| {
            let [price, quantity] = [0, 1].map(|at| level[at].as_str().unwrap().to_owned());
            (price, quantity)
        })
        .collect()
}

/// Plays a tape in a second or two and asks for books while it runs; how many were held against books kept here.
async fn compare(tape: Tape, name: &str) -> usize {
    let market = tape.market;
    let length_ns = tape.frames.last().map_or(0, |frame| frame.at_ns);
    let options = StreamOptions {
        speed: Speed::Times(length_ns as f64 / 1.5e9),
        most_weight: Some(u32::MAX),
        ..StreamOptions::new(market)
    };
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    let depth: Vec<_> = tape
        .streams()
        .into_iter()
        .filter(|name| name.contains("@depth"))
        .collect();
    client.subscribe(1, &depth).await;
    client.text().await;
    let reading = tokio::spawn(async move { while client.next().await.is_some() {} });
    let symbols = tape.symbols.clone();
    let answers = tokio::task::spawn_blocking(move || {
        let mut answers = Vec::new();
        let until = Instant::now() + Duration::from_secs(20);
        let mut is_last = false;
        // Once more at the end.
        while !is_last && Instant::now() < until {
            is_last = streams.is_over();
            for symbol in &symbols {
                let path = format!("{}/depth?symbol={symbol}&limit=1000", base(market));
                answers.push((symbol.clone(), get_json(&streams.url_rest(), &path)));
            }
        }
        answers
    })
    .await
    .unwrap();
    reading.abort();

    let mut compared = 0;
    for symbol in &tape.symbols {
        let of_symbol = answers.iter().filter(|(of, _)| of == symbol);
        let id = |answer: &Value| answer["lastUpdateId"].as_u64().unwrap();
        let wanted: Vec<u64> = of_symbol.clone().map(|(_, answer)| id(answer)).collect();
        assert!(wanted.is_sorted(), "{name}");
        let books = books(&tape, symbol, &wanted);
        for (_, answer) in of_symbol {
            let recorded = tape
                .snapshots
                .iter()
                .find(|snapshot| snapshot.symbol == *symbol);
            let recorded =
                recorded.map(|snapshot| serde_json::from_str::<Value>(&snapshot.json).unwrap());
            if recorded.as_ref() == Some(answer) {
                continue;
            }
            let Some([bids, asks]) = books.get(&id(answer)) else {
                // Before the first event of a tape without a snapshot.
                assert!(
                    answer["bids"].as_array().unwrap().is_empty(),
                    "{name} {symbol}"
                );
                continue;
            };
            assert!(
                levels(&answer["bids"]) == *bids,
                "{name} {symbol} {}",
                id(answer)
            );
            assert!(
                levels(&answer["asks"]) == *asks,
                "{name} {symbol} {}",
                id(answer)
            );
            compared += 1;
        }
    }
    compared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_books_are_what_the_recorded_events_make_of_the_recorded_snapshots() {
    for name in real::ALL {
        let Some(tape) = real::tape(name) else {
            continue;
        };

        let compared = compare(tape, name).await;

        assert!(compared > 10, "{name}: {compared}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_books_are_what_made_up_events_make_of_their_snapshots() {
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Spot, "BTCUSDT"),
    ] {
        let compared = compare(made_up(market, symbol, 60), symbol).await;

        assert!(compared > 5, "{market}: {compared}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_depth_stream_waits_for_its_snapshot() {
    let tape = made_up(Market::Um, "BTCUSDT", 2);
    let name = "btcusdt@depth@100ms";
    let options = StreamOptions::new(Market::Um).fast();
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[name]).await;
    client.text().await;
    for expected in tape.of(name).take(5) {
        assert_eq!(client.text().await, expected);
    }
    assert!(!streams.wait(Duration::from_millis(100)));

    let (status, _, snapshot) = get(
        &streams.url_rest(),
        "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
    );

    assert_eq!((status, &*snapshot), (200, &*tape.snapshots[0].json));
    for expected in tape.of(name).skip(5) {
        assert_eq!(client.text().await, expected);
    }
    assert!(streams.wait(Duration::from_secs(10)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn depth_weighs_what_its_limit_says_and_is_cut_to_it() {
    for (market, symbol, weights) in [
        (
            Market::Um,
            "BTCUSDT",
            [(5, 2), (100, 5), (500, 10), (1000, 20)],
        ),
        (
            Market::Cm,
            "BTCUSD_PERP",
            [(50, 2), (100, 5), (500, 10), (1000, 20)],
        ),
        (
            Market::Spot,
            "BTCUSDT",
            [(100, 5), (500, 25), (1000, 50), (5000, 250)],
        ),
    ] {
        let tape = made_up(market, symbol, 2);
        let streams = Streams::start([tape.clone()], StreamOptions::new(market)).unwrap();

        for (limit, weight) in weights {
            let path = format!("{}/depth?symbol={symbol}&limit={limit}", base(market));
            let answer = get_json(&streams.url_rest(), &path);
            let asked = streams.asked().pop().unwrap();

            assert_eq!(asked.weight, weight, "{market} {limit}");
            let recorded: Value = serde_json::from_str(&tape.snapshots[0].json).unwrap();
            for side in ["bids", "asks"] {
                let all = levels(&recorded[side]);
                assert_eq!(
                    levels(&answer[side]),
                    all[..all.len().min(limit)],
                    "{market} {limit}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trades_over_rest_are_those_that_were_played() {
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Spot, "BTCUSDT"),
    ] {
        let tape = made_up(market, symbol, 200);
        let name = format!("{}@aggTrade", symbol.to_lowercase());
        let trades: Vec<Value> = tape
            .of(&name)
            .map(|json| {
                let mut data = serde_json::from_str::<Value>(json).unwrap()["data"].take();
                let fields = data.as_object_mut().unwrap();
                ["e", "E", "s"].iter().for_each(|name| {
                    fields.remove(*name);
                });
                data
            })
            .collect();
        let mut options = StreamOptions::new(market).fast();
        options.routing = tapemill_standin::stream::Routing::Plain;
        let streams = Streams::start([tape], options).unwrap();
        let ask = |query: &str| -> Vec<Value> {
            let path = format!("{}/aggTrades?symbol={symbol}{query}", base(market));
            serde_json::from_value(get_json(&streams.url_rest(), &path)).unwrap()
        };
        assert!(ask("").is_empty());
        let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
        client.subscribe(1, &[name]).await;
        assert!(streams.wait(Duration::from_secs(20)));

        let from = trades[700]["a"].as_u64().unwrap();
        assert!(trades.len() > 1700);
        assert_eq!(
            ask(&format!("&fromId={from}&limit=1000")),
            trades[700..1700]
        );
        assert_eq!(ask(&format!("&fromId={from}")), trades[700..1200]);
        assert_eq!(ask("&limit=1"), trades[trades.len() - 1..]);
        assert_eq!(
            ask(&format!("&fromId={}", from + 1_000_000)),
            Vec::<Value>::new()
        );
        let (start, end) = (&trades[10]["T"], &trades[20]["T"]);
        let between = ask(&format!("&startTime={start}&endTime={end}"));
        assert_eq!(between, trades[10..=20]);
        let unknown = format!("{}/aggTrades?symbol=NO", base(market));
        assert_eq!(get(&streams.url_rest(), &unknown).0, 400);
    }
}
