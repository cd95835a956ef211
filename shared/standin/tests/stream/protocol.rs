//! Paths, subscriptions, limits.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::SinkExt;
use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{
    At, Begin, Fate, Happened, Routing, Speed, StreamFault, StreamFaults, StreamOptions, Streams,
};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Ended, ack, at_once, made_up, of_streams, stream_of};

const DEPTH: &str = "btcusdt@depth@100ms";
const TRADES: &str = "btcusdt@aggTrade";
const MARK: &str = "btcusdt@markPrice@1s";

const END: StreamFault = StreamFault::Close {
    code: 1000,
    connection: None,
};

/// Ends all connections once everything was played.
fn end(streams: &Streams) {
    assert!(streams.wait(Duration::from_secs(20)));
    streams.strike(END);
}

#[tokio::test]
async fn um_paths_acknowledge_everything_and_deliver_their_kinds() {
    let tape = made_up(Market::Um, "BTCUSDT", 3);
    for (routing, path, delivered) in [
        (Routing::Split, "/stream", &[DEPTH][..]),
        (Routing::Split, "/public/stream", &[DEPTH]),
        (Routing::Split, "/market/stream", &[TRADES, MARK]),
        (Routing::Plain, "/stream", &[DEPTH, TRADES, MARK]),
        (Routing::SplitSilent, "/stream", &[]),
        (Routing::SplitSilent, "/market/stream", &[TRADES, MARK]),
    ] {
        let options = StreamOptions {
            routing,
            begin: Begin::Go,
            ..at_once(Market::Um)
        };
        let streams = Streams::start([tape.clone()], options).unwrap();
        let mut client = Client::connect(&streams.url_ws(), path).await.unwrap();
        client.subscribe(7, &[DEPTH, TRADES, MARK]).await;

        let first = client.text().await;
        streams.go();
        end(&streams);
        let (texts, ended) = client.rest().await;

        assert_eq!(first, ack(7), "{path}");
        assert!(texts == of_streams(&tape, delivered), "{path}");
        assert_eq!(ended, Ended::Close(1000));
        let log = streams.log();
        assert_eq!(log.len(), tape.frames.len());
        for entry in log {
            let fate = match delivered.contains(&&*entry.stream) {
                true => Fate::Sent,
                false => Fate::Lost,
            };
            assert_eq!(entry.fate, fate, "{entry:?}");
        }
    }
}

#[tokio::test]
async fn a_path_without_split_has_no_public_part() {
    let tape = made_up(Market::Spot, "BTCUSDT", 1);
    let streams = Streams::start([tape], at_once(Market::Spot)).unwrap();

    let refused = Client::connect(&streams.url_ws(), "/public/stream").await;

    assert!(refused.err().unwrap().to_string().contains("404"));
    let happened = streams.events().into_iter().map(|event| event.what);
    assert_eq!(
        happened.collect::<Vec<_>>(),
        [Happened::Refused { status: 404 }]
    );
}

#[tokio::test]
async fn streams_in_the_path_need_no_message() {
    let tape = made_up(Market::Spot, "BTCUSDT", 2);
    for path in [
        "/stream?streams=btcusdt@depth@100ms/btcusdt@aggTrade",
        "/ws/btcusdt@depth@100ms/btcusdt@aggTrade",
    ] {
        let streams = Streams::start([tape.clone()], at_once(Market::Spot)).unwrap();
        let mut client = Client::connect(&streams.url_ws(), path).await.unwrap();

        end(&streams);
        let (texts, _) = client.rest().await;

        let mut expected = of_streams(&tape, &[DEPTH, TRADES]);
        if path.starts_with("/ws") {
            for text in &mut expected {
                let (_, data) = text.split_once(r#","data":"#).unwrap();
                *text = data[..data.len() - 1].to_owned();
            }
        }
        assert!(texts == expected, "{path}");
    }
}

#[tokio::test]
async fn unknown_symbols_and_upper_case_are_acknowledged_and_silent() {
    let tape = made_up(Market::Spot, "BTCUSDT", 1);
    let streams = Streams::start([tape.clone()], at_once(Market::Spot)).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client
        .subscribe(1, &["nousdt@depth@100ms", "BTCUSDT@aggTrade"])
        .await;
    client.subscribe(2, &[DEPTH]).await;
    end(&streams);
    let (texts, _) = client.rest().await;

    assert_eq!(texts[..2], [ack(1), ack(2)]);
    assert!(texts[2..] == of_streams(&tape, &[DEPTH]));
}

#[tokio::test]
async fn subscriptions_are_listed_and_given_up() {
    let tape = made_up(Market::Spot, "BTCUSDT", 1);
    let options = StreamOptions {
        begin: Begin::Go,
        ..at_once(Market::Spot)
    };
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client.subscribe(1, &[DEPTH, TRADES]).await;
    let unsubscribe = format!(r#"{{"method":"UNSUBSCRIBE","params":["{DEPTH}"],"id":"x"}}"#);
    client.send(&unsubscribe).await;
    client
        .send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#)
        .await;
    let answers = [
        client.text().await,
        client.text().await,
        client.text().await,
    ];
    streams.go();
    end(&streams);
    let (texts, _) = client.rest().await;

    assert_eq!(answers[1], r#"{"id":"x","result":null}"#);
    assert_eq!(answers[2], format!(r#"{{"id":3,"result":["{TRADES}"]}}"#));
    assert!(texts == of_streams(&tape, &[TRADES]));
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_an_error() {
    for (market, asked, code, id) in [
        (Market::Um, "{nonsense", 3, Value::Null),
        (Market::Spot, "{nonsense", 3, Value::Null),
        (
            Market::Spot,
            r#"{"method":"SUBSCRIBE","params":["a@b"]}"#,
            2,
            Value::Null,
        ),
        (
            Market::Spot,
            r#"{"method":"SUBSCRIBE","params":[],"id":5}"#,
            2,
            5.into(),
        ),
        (Market::Um, r#"{"method":"WHAT","id":6}"#, 2, 6.into()),
    ] {
        let streams = Streams::start([made_up(market, "BTCUSDT", 1)], at_once(market)).unwrap();
        let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

        client.send(asked).await;
        let answer: Value = serde_json::from_str(&client.text().await).unwrap();

        let error = answer.get("error").unwrap_or(&answer);
        assert_eq!(error["code"], code, "{asked}");
        assert_eq!(answer.get("id").cloned().unwrap_or_default(), id, "{asked}");
    }
}

#[tokio::test]
async fn too_many_messages_close_the_connection() {
    for (market, allowed) in [(Market::Um, 10), (Market::Spot, 5)] {
        let streams = Streams::start([made_up(market, "BTCUSDT", 1)], at_once(market)).unwrap();
        let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

        for id in 0..=allowed {
            let list = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
            client.send(&list).await;
        }
        let (texts, ended) = client.rest().await;

        assert_eq!(texts.len(), allowed);
        assert_eq!(ended, Ended::Close(1008));
    }
}

#[tokio::test]
async fn too_many_streams_close_the_connection() {
    let mut options = at_once(Market::Um);
    options.limits.streams = 3;
    let streams = Streams::start([made_up(Market::Um, "BTCUSDT", 1)], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client
        .subscribe(1, &["a@trade", "b@trade", "c@trade"])
        .await;
    client.subscribe(2, &["c@trade", "d@trade"]).await;
    let (texts, ended) = client.rest().await;

    assert_eq!(texts, [ack(1), ack(2)]);
    assert_eq!(ended, Ended::Close(1008));
}

#[tokio::test]
async fn too_many_handshakes_are_refused() {
    let mut options = at_once(Market::Um);
    options.limits.connects = 2;
    let streams = Streams::start([made_up(Market::Um, "BTCUSDT", 1)], options).unwrap();
    let url = streams.url_ws();

    let first = Client::connect(&url, "/stream").await;
    let second = Client::connect(&url, "/stream").await;
    let third = Client::connect(&url, "/stream").await;

    assert!(first.is_ok() && second.is_ok());
    assert!(third.err().unwrap().to_string().contains("429"));
}

#[tokio::test]
async fn a_ping_is_answered_with_what_it_says() {
    let streams = Streams::start([made_up(Market::Um, "BTCUSDT", 1)], at_once(Market::Um)).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client
        .socket
        .send(Message::Ping("hello".into()))
        .await
        .unwrap();

    let answer = client.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong("hello".into()));
}

#[tokio::test]
async fn who_answers_no_ping_is_closed() {
    let mut options = at_once(Market::Um);
    options.limits.ping_every = Duration::from_millis(20);
    options.limits.pong_due = Duration::from_secs(1);
    let streams = Streams::start([made_up(Market::Um, "BTCUSDT", 1)], options).unwrap();
    let url = streams.url_ws();

    // The library answers pings while it reads, and only then.
    let mut deaf = Client::connect(&url, "/stream").await.unwrap();
    let mut heard = Client::connect(&url, "/stream").await.unwrap();
    let reading = tokio::spawn(async move {
        let mut pings = 0;
        while pings < 60 {
            if let Some(Ok(Message::Ping(_))) = heard.next().await {
                pings += 1;
            }
        }
        heard
    });
    let _open = reading.await.unwrap();

    while streams.counts().connections > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut last = None;
    while let Some(Ok(message)) = deaf.next().await {
        if let Message::Close(close) = message {
            last = close.map(|close| u16::from(close.code));
            break;
        }
    }
    assert_eq!(last, Some(1008));
    let closed: Vec<Option<u32>> = streams
        .events()
        .into_iter()
        .filter(|event| matches!(event.what, Happened::Closed { .. }))
        .map(|event| event.connection)
        .collect();
    assert_eq!(closed, [Some(0)]);
}

#[tokio::test]
async fn a_connection_lives_its_planned_life() {
    let mut options = at_once(Market::Um);
    options.limits.life = Duration::from_millis(100);
    let streams = Streams::start([made_up(Market::Um, "BTCUSDT", 1)], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    let opened = Instant::now();

    let (_, ended) = client.rest().await;

    assert_eq!(ended, Ended::Close(1001));
    assert!(opened.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn two_connections_get_the_same() {
    let tape = made_up(Market::Um, "BTCUSDT", 3);
    let options = StreamOptions {
        begin: Begin::Go,
        ..at_once(Market::Um)
    };
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&streams.url_ws(), "/public/stream")
            .await
            .unwrap();
        client.subscribe(1, &[DEPTH]).await;
        client.text().await;
        clients.push(client);
    }

    streams.go();
    end(&streams);

    for mut client in clients {
        assert!(client.rest().await.0 == of_streams(&tape, &[DEPTH]));
    }
    let to = |id| {
        streams
            .log()
            .iter()
            .filter(|entry| entry.connection == Some(id))
            .count()
    };
    assert_eq!((to(0), to(1)), (30, 30));
    assert_eq!(streams.counts().played, tape.frames.len() as u64);
}

#[tokio::test]
async fn all_streams_begin_when_enough_are_asked_for() {
    let tape = made_up(Market::Spot, "BTCUSDT", 1);
    let options = StreamOptions {
        begin: Begin::Streams(2),
        ..at_once(Market::Spot)
    };
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client.subscribe(1, &[DEPTH]).await;
    client.text().await;
    let before = streams.counts().played;
    client.subscribe(2, &[TRADES]).await;
    end(&streams);

    assert_eq!(before, 0);
    assert_eq!(
        client.rest().await.0[1..],
        of_streams(&tape, &[DEPTH, TRADES])
    );
    assert_eq!(streams.log().len(), tape.frames.len());
}

#[tokio::test]
async fn a_tape_runs_as_fast_as_it_is_told_with_the_time_of_sending() {
    let tape = made_up(Market::Spot, "BTCUSDT", 4);
    let options = StreamOptions {
        speed: Speed::Times(10.0),
        restamp: true,
        ..StreamOptions::new(Market::Spot)
    };
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[DEPTH, TRADES]).await;
    client.text().await;
    let began = Instant::now();

    let expected = of_streams(&tape, &[DEPTH, TRADES]);
    for expected in &expected {
        let text = client.text().await;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64;
        let [came, recorded]: [Value; 2] =
            [&text, expected].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(stream_of(&text), stream_of(expected));
        assert_eq!(came["data"]["U"], recorded["data"]["U"]);
        let sent = came["data"]["E"].as_u64().unwrap();
        assert!(sent <= now && now - sent < 2_000, "{sent} {now}");
    }
    let took = began.elapsed();

    // The last frame is due a little before four seconds.
    assert!(took > Duration::from_millis(370), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn who_reads_too_slowly_is_reset() {
    let mut options = at_once(Market::Um);
    options.begin = Begin::Go;
    // At full speed the tape would wait.
    options.speed = Speed::Times(10.0);
    options.most_waiting = 1 << 20;
    // More than any socket takes unread.
    options.faults = StreamFaults::none().and(
        At::Frame(0),
        StreamFault::Oversize {
            bytes: 200 << 20,
            connection: Some(0),
        },
    );
    let tape = made_up(Market::Um, "BTCUSDT", 2);
    let streams = Streams::start([tape.clone()], options).unwrap();
    let mut slow = Client::connect(&streams.url_ws(), "/public/stream")
        .await
        .unwrap();
    slow.subscribe(1, &[DEPTH]).await;
    slow.text().await;

    streams.go();
    while streams.counts().connections > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let last = streams.events().pop().unwrap();
    assert_eq!(
        last.what,
        Happened::Closed {
            why: "too slow".to_owned()
        }
    );
    assert!(streams.wait(Duration::from_secs(20)));
    let counts = streams.counts();
    assert_eq!((counts.cut, counts.sent), (1, 0));
    assert_eq!(counts.lost, tape.frames.len() as u64 - 1);
}
