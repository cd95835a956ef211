//! Each fault does what it says, and the log tells.

use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{
    At, Begin, Entry, Fate, Happened, Speed, StreamFault, StreamFaults, StreamOptions, Streams,
    Tape,
};

use crate::client::{Client, Ended, ack, at_once, get, get_json, made_up, of_streams};

const DEPTH: &str = "btcusdt@depth@100ms";
const DEPTH_PATH: &str = "/fapi/v1/depth?symbol=BTCUSDT";

/// The only stream's frame that is struck.
const PLACE: usize = 7;

fn at_place() -> At {
    At::Place {
        stream: DEPTH.to_owned(),
        place: PLACE as u64,
    }
}

fn tape() -> Tape {
    made_up(Market::Um, "BTCUSDT", 2)
}

fn started(faults: StreamFaults) -> Streams {
    let options = StreamOptions {
        faults,
        ..at_once(Market::Um)
    };
    Streams::start([tape()], options).unwrap()
}

/// One depth stream with one fault at one of its frames: what came, how it ended, and the log.
async fn struck(fault: StreamFault) -> (Vec<String>, Ended, Vec<Entry>) {
    let streams = started(StreamFaults::none().and(at_place(), fault));
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[DEPTH]).await;
    client.text().await;
    let reading = tokio::spawn(async move { client.rest().await });
    while !streams.is_over() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    streams.strike(StreamFault::Close {
        code: 1000,
        connection: None,
    });
    let (texts, ended) = reading.await.unwrap();
    (texts, ended, streams.log())
}

fn recorded() -> Vec<String> {
    of_streams(&tape(), &[DEPTH])
}

fn fates(log: &[Entry]) -> Vec<Fate> {
    log.iter().map(|entry| entry.fate).collect()
}

#[tokio::test]
async fn a_close_comes_with_its_code_before_the_frame() {
    for code in [1000, 1001, 1008] {
        let close = StreamFault::Close {
            code,
            connection: None,
        };

        let (texts, ended, log) = struck(close).await;

        assert_eq!(ended, Ended::Close(code));
        assert!(texts == recorded()[..PLACE]);
        assert!(fates(&log)[..PLACE].iter().all(|fate| *fate == Fate::Sent));
        assert!(fates(&log)[PLACE..].iter().all(|fate| *fate == Fate::Lost));
        assert_eq!(log.len(), recorded().len());
    }
}

#[tokio::test]
async fn an_abnormal_end_has_no_close_frame() {
    let end = StreamFault::Close {
        code: 1006,
        connection: None,
    };

    let (texts, ended, _) = struck(end).await;

    assert!(matches!(ended, Ended::Error(_)), "{ended:?}");
    assert!(texts == recorded()[..PLACE]);
}

#[tokio::test]
async fn a_reset_is_one() {
    let (texts, ended, log) = struck(StreamFault::Reset { connection: None }).await;

    let Ended::Error(why) = ended else {
        panic!("{ended:?}");
    };
    assert!(why.to_lowercase().contains("reset"), "{why}");
    assert!(texts.len() <= PLACE);
    assert!(fates(&log)[PLACE..].iter().all(|fate| *fate == Fate::Lost));
}

#[tokio::test]
async fn half_a_frame_is_the_last_that_comes() {
    let (texts, ended, log) = struck(StreamFault::HalfFrame).await;

    assert!(matches!(ended, Ended::Error(_)), "{ended:?}");
    assert!(texts == recorded()[..PLACE]);
    assert_eq!(log[PLACE].fate, Fate::Cut);
    assert_eq!(log[PLACE + 1].fate, Fate::Lost);
}

#[tokio::test]
async fn dropped_frames_are_withheld_and_the_rest_comes() {
    let drop = StreamFault::Drop {
        stream: DEPTH.to_owned(),
        frames: 3,
    };

    let (texts, ended, log) = struck(drop).await;

    let recorded = recorded();
    assert!(texts == [&recorded[..PLACE], &recorded[PLACE + 3..]].concat());
    assert_eq!(ended, Ended::Close(1000));
    let withheld = log.iter().filter(|entry| entry.fate == Fate::Withheld);
    assert_eq!(
        withheld.map(|entry| entry.place).collect::<Vec<_>>(),
        [7, 8, 9]
    );
}

#[tokio::test]
async fn a_silent_stream_leaves_the_connection_alone() {
    let silence = StreamFault::Silence {
        stream: Some(DEPTH.to_owned()),
        ms: 450,
    };

    let (texts, ended, log) = struck(silence).await;

    let recorded = recorded();
    assert!(texts == [&recorded[..PLACE], &recorded[PLACE + 5..]].concat());
    assert_eq!(ended, Ended::Close(1000));
    let withheld = log.iter().filter(|entry| entry.fate == Fate::Withheld);
    assert_eq!(withheld.count(), 5);
}

#[tokio::test]
async fn a_duplicate_comes_twice() {
    let (texts, _, log) = struck(StreamFault::Duplicate).await;

    let mut expected = recorded();
    expected.insert(PLACE, expected[PLACE].clone());
    assert!(texts == expected);
    assert!(fates(&log).iter().all(|fate| *fate == Fate::Sent));
}

#[tokio::test]
async fn a_malformed_frame_is_no_json_and_damaged() {
    let (texts, _, log) = struck(StreamFault::Malformed).await;

    let recorded = recorded();
    assert_eq!(texts.len(), recorded.len());
    assert!(serde_json::from_str::<Value>(&texts[PLACE]).is_err());
    assert_eq!(texts[PLACE + 1], recorded[PLACE + 1]);
    assert_eq!(log[PLACE].fate, Fate::Damaged);
}

#[tokio::test]
async fn bad_utf8_is_no_text() {
    let (texts, ended, log) = struck(StreamFault::BadUtf8).await;

    // The library gives up at it.
    assert!(matches!(ended, Ended::Error(why) if why.contains("UTF-8")));
    assert!(texts == recorded()[..PLACE]);
    assert_eq!(log[PLACE].fate, Fate::Damaged);
}

#[tokio::test]
async fn an_unknown_field_is_in_the_data() {
    let (texts, _, log) = struck(StreamFault::UnknownField).await;

    let came: Value = serde_json::from_str(&texts[PLACE]).unwrap();
    let mut expected: Value = serde_json::from_str(&recorded()[PLACE]).unwrap();
    expected["data"]["zz"] = serde_json::json!({"new": [1, "2"]});
    assert_eq!(came, expected);
    assert_eq!(log[PLACE].fate, Fate::Sent);
}

#[tokio::test]
async fn unknown_events_and_big_messages_come_between_frames() {
    let event = StreamFault::UnknownEvent { connection: None };
    let big = StreamFault::Oversize {
        bytes: 9 << 20,
        connection: None,
    };
    let mut client_texts = Vec::new();
    for fault in [event, big] {
        let (mut texts, ended, log) = struck(fault).await;
        client_texts.push(texts.remove(PLACE));
        assert!(texts == recorded());
        assert_eq!(ended, Ended::Close(1000));
        assert_eq!(log.len(), recorded().len());
    }

    assert!(client_texts[0].contains("somethingNew"));
    assert_eq!(client_texts[1].len(), 9 << 20);
    assert!(serde_json::from_str::<Value>(&client_texts[1]).is_ok());
}

#[tokio::test]
async fn a_shutdown_is_announced_before_the_end() {
    let streams = started(StreamFaults::none());
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &["nousdt@trade"]).await;
    client.text().await;

    streams.strike(StreamFault::ServerShutdown {
        close_after_ms: 50,
        connection: Some(0),
    });
    let (texts, ended) = client.rest().await;

    let event: Value = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(event["e"], "serverShutdown");
    assert_eq!((texts.len(), ended), (1, Ended::Close(1001)));
}

#[tokio::test]
async fn a_stalled_connection_gets_everything_later() {
    let stall = StreamFault::Stall {
        ms: 300,
        connection: None,
    };
    let streams = started(StreamFaults::none().and(at_place(), stall));
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    let asked = Instant::now();

    client.subscribe(1, &[DEPTH]).await;
    client.text().await;
    let mut texts = Vec::new();
    for _ in recorded() {
        texts.push(client.text().await);
    }

    assert!(texts == recorded());
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_muted_connection_lives_and_the_other_gets_everything() {
    let mute = StreamFault::Mute {
        ms: 60_000,
        connection: Some(0),
    };
    let options = StreamOptions {
        begin: Begin::Go,
        faults: StreamFaults::none().and(at_place(), mute),
        ..at_once(Market::Um)
    };
    let streams = Streams::start([tape()], options).unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
        client.subscribe(1, &[DEPTH]).await;
        client.text().await;
        clients.push(client);
    }
    streams.go();
    assert!(streams.wait(Duration::from_secs(20)));

    clients[0].subscribe(2, &["nousdt@trade"]).await;
    for expected in &recorded()[..PLACE] {
        assert_eq!(clients[0].text().await, *expected);
    }
    assert_eq!(clients[0].text().await, ack(2));
    for expected in recorded() {
        assert_eq!(clients[1].text().await, expected);
    }
    let log = streams.log();
    let withheld: Vec<&Entry> = log
        .iter()
        .filter(|entry| entry.fate == Fate::Withheld)
        .collect();
    assert!(withheld.iter().all(|entry| entry.connection == Some(0)));
    assert_eq!(withheld.len(), recorded().len() - PLACE);
}

#[tokio::test]
async fn only_the_connection_that_is_named_is_closed() {
    let close = StreamFault::Close {
        code: 1001,
        connection: Some(1),
    };
    let streams = started(StreamFaults::none());
    let mut first = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    let mut second = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    streams.strike(close);

    assert_eq!(second.rest().await.1, Ended::Close(1001));
    first.subscribe(1, &[DEPTH]).await;
    first.text().await;
    assert_eq!(first.text().await, recorded()[0]);
}

#[tokio::test]
async fn handshakes_are_refused_so_often_with_the_time_to_wait() {
    let refuse = StreamFault::RefuseHandshake {
        status: 418,
        retry_after: Some(9),
        times: 2,
    };
    let streams = started(StreamFaults::none().and(At::Start, refuse));
    let url = streams.url_ws();

    for _ in 0..2 {
        let error = Client::connect(&url, "/stream").await.err().unwrap();
        let tokio_tungstenite::tungstenite::Error::Http(response) = error else {
            panic!("{error}");
        };
        assert_eq!(response.status(), 418);
        assert_eq!(response.headers()["retry-after"], "9");
    }
    assert!(Client::connect(&url, "/stream").await.is_ok());
}

#[tokio::test]
async fn a_subscription_is_refused_and_not_made() {
    let refuse = StreamFault::AckError { times: 1 };
    let streams = started(StreamFaults::none().and(At::Start, refuse));
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();

    client.subscribe(1, &[DEPTH]).await;
    let refused: Value = serde_json::from_str(&client.text().await).unwrap();
    client
        .send(r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#)
        .await;
    let listed = client.text().await;
    client.subscribe(3, &[DEPTH]).await;
    client.text().await;

    assert_eq!(refused["error"]["code"], 2);
    assert_eq!(refused["id"], 1);
    assert_eq!(listed, r#"{"id":2,"result":[]}"#);
    assert_eq!(client.text().await, recorded()[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_fail_so_often_and_never_come() {
    let error = StreamFault::SnapshotError {
        status: 418,
        retry_after: Some(3),
        times: 1,
    };
    let streams = started(
        StreamFaults::none()
            .and(At::Start, error)
            .and(At::Start, StreamFault::SnapshotTimeout { times: 1 }),
    );
    let url = streams.url_rest();

    let (status, head, _) = get(&url, DEPTH_PATH);
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let mut waiting = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(
        &mut waiting,
        format!("GET {DEPTH_PATH} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    )
    .unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let nothing = std::io::Read::read(&mut waiting, &mut [0; 10]);
    let (later, _, _) = get(&url, DEPTH_PATH);

    assert_eq!(status, 418);
    assert!(head.contains("retry-after: 3"), "{head}");
    assert!(nothing.is_err());
    assert_eq!(later, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_lies_behind_what_was_sent() {
    let old = StreamFault::OldSnapshot {
        behind: 5,
        times: 1,
    };
    let streams = started(StreamFaults::none());
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[DEPTH]).await;
    assert!(streams.wait(Duration::from_secs(20)));

    streams.strike(old);
    let first = get_json(&streams.url_rest(), DEPTH_PATH);
    let second = get_json(&streams.url_rest(), DEPTH_PATH);

    let last_ids: Vec<u64> = streams.log().iter().map(|entry| entry.id).collect();
    assert_eq!(first["lastUpdateId"], last_ids[last_ids.len() - 6]);
    assert_eq!(second["lastUpdateId"], last_ids[last_ids.len() - 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_event_an_old_snapshot_is_older_still() {
    let old = StreamFault::OldSnapshot {
        behind: 5,
        times: 1,
    };
    let streams = started(StreamFaults::none().and(At::Start, old));

    let snapshot = get_json(&streams.url_rest(), DEPTH_PATH);

    let first: Value = serde_json::from_str(&recorded()[0]).unwrap();
    assert!(snapshot["lastUpdateId"].as_u64() < first["data"]["pu"].as_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delisted_symbol_is_gone_everywhere() {
    let delist = StreamFault::Delist {
        symbol: "BTCUSDT".to_owned(),
    };
    let streams = started(StreamFaults::none().and(at_place(), delist));
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[DEPTH]).await;
    client.text().await;
    assert!(streams.wait(Duration::from_secs(20)));

    let (status, _, body) = get(&streams.url_rest(), DEPTH_PATH);
    let info = get_json(&streams.url_rest(), "/fapi/v1/exchangeInfo");
    streams.strike(StreamFault::Close {
        code: 1000,
        connection: None,
    });

    assert!(client.rest().await.0 == recorded()[..PLACE]);
    assert_eq!((status, body.contains("-1121")), (400, true));
    assert_eq!(info["symbols"][0]["status"], "SETTLING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skewed_clock_is_told() {
    let skew = StreamFault::ClockSkew { ms: -3_600_000 };
    let streams = started(StreamFaults::none());
    let now = || {
        let told = get_json(&streams.url_rest(), "/fapi/v1/time");
        told["serverTime"].as_i64().unwrap()
    };

    let before = now();
    streams.strike(skew);
    let after = now();

    assert!((before - after - 3_600_000).abs() < 10_000);
}

#[tokio::test]
async fn faults_strike_by_the_time_of_the_tape() {
    let close = StreamFault::Close {
        code: 1001,
        connection: None,
    };
    let options = StreamOptions {
        speed: Speed::Times(10.0),
        faults: StreamFaults::none().and(At::Ms(1000), close),
        ..StreamOptions::new(Market::Um)
    };
    let streams = Streams::start([tape()], options).unwrap();
    let mut client = Client::connect(&streams.url_ws(), "/stream").await.unwrap();
    client.subscribe(1, &[DEPTH]).await;
    client.text().await;

    let (texts, ended) = client.rest().await;

    assert_eq!(ended, Ended::Close(1001));
    assert_eq!(texts.len(), 10);
    let struck = streams.events().into_iter().any(|event| {
        event.what
            == Happened::Fault {
                kind: "close".to_owned(),
            }
    });
    assert!(struck);
}
