//! What was recorded comes out again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tapemill_standin::Market;
use tapemill_standin::stream::{Fate, StreamFault, StreamOptions, Streams, Tape};

use crate::client::{Client, get, stream_of};
use crate::real;

/// The paths of a market that deliver everything together, and whether they deliver the public kinds.
fn paths(market: Market) -> &'static [(&'static str, Option<bool>)] {
    match market {
        Market::Um => &[
            ("/public/stream", Some(true)),
            ("/market/stream", Some(false)),
        ],
        _ => &[("/stream", None)],
    }
}

fn is_public(name: &str) -> bool {
    let kinds = ["@depth", "@bookTicker", "@trade"];
    kinds.iter().any(|kind| name.contains(kind))
}

/// Everything of a tape, as two connections get it.
async fn play(tape: Tape) -> (Streams, Vec<Vec<String>>) {
    let options = StreamOptions::new(tape.market).fast();
    let names = tape.streams();
    let market = tape.market;
    let symbols = tape.symbols.clone();
    let streams = Streams::start([tape], options).unwrap();
    let url = streams.url_ws();
    let mut readers = Vec::new();
    for &(path, public) in paths(market) {
        let is_wanted = |name: &&Arc<str>| public.is_none_or(|public| is_public(name) == public);
        let wanted: Vec<Arc<str>> = names.iter().filter(is_wanted).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        let mut client = Client::connect(&url, path).await.unwrap();
        client.subscribe(1, &wanted).await;
        assert_eq!(client.text().await, r#"{"id":1,"result":null}"#);
        readers.push(tokio::spawn(async move { client.rest().await.0 }));
    }
    let rest = streams.url_rest();
    let base = match market {
        Market::Um => "/fapi/v1",
        Market::Cm => "/dapi/v1",
        Market::Spot => "/api/v3",
    };
    // Depth waits for these.
    tokio::task::spawn_blocking(move || {
        for symbol in symbols {
            let path = format!("{base}/depth?symbol={symbol}&limit=1000");
            assert_eq!(get(&rest, &path).0, 200);
        }
    })
    .await
    .unwrap();
    let streams = tokio::task::spawn_blocking(move || {
        assert!(streams.wait(Duration::from_secs(60)));
        streams
    })
    .await
    .unwrap();
    streams.strike(StreamFault::Close {
        code: 1000,
        connection: None,
    });
    let mut texts = Vec::new();
    for reader in readers {
        texts.push(reader.await.unwrap());
    }
    (streams, texts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_of_every_recording_comes_once_and_in_order() {
    for name in real::ALL {
        let Some(tape) = real::tape(name) else {
            continue;
        };

        let (streams, texts) = play(tape.clone()).await;

        let mut came: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for text in texts.iter().flatten() {
            came.entry(stream_of(text)).or_default().push(text);
        }
        for stream in tape.streams() {
            let recorded: Vec<&str> = tape.of(&stream).collect();
            assert_eq!(came[&*stream].len(), recorded.len(), "{name} {stream}");
            assert!(came[&*stream] == recorded, "{name} {stream}");
        }
        let total: usize = came.values().map(Vec::len).sum();
        assert_eq!(total, tape.frames.len(), "{name}");
        let log = streams.log();
        assert_eq!(log.len(), tape.frames.len(), "{name}");
        assert!(log.iter().all(|entry| entry.fate == Fate::Sent), "{name}");
    }
}

#[test]
fn recordings_hold_what_their_lines_say() {
    // Counted with zgrep: frames, snapshots.
    let counted = [
        (48_269, 1),
        (15_088, 0),
        (41_248, 1),
        (13_383, 1),
        (11_413, 1),
        (14_002, 1),
        (1_535, 4),
    ];
    for (name, (frames, snapshots)) in real::ALL.into_iter().zip(counted) {
        let Some(tape) = real::tape(name) else {
            continue;
        };

        assert_eq!(tape.frames.len(), frames, "{name}");
        assert_eq!(tape.snapshots.len(), snapshots, "{name}");
        let times = tape.frames.iter().map(|frame| frame.at_ns);
        assert!(times.is_sorted(), "{name}");
    }
}
