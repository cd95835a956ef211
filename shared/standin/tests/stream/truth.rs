//! The log is the truth, whatever goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use tapemill_standin::Market;
use tapemill_standin::stream::{
    Begin, Fate, Script, StreamFault, StreamFaults, StreamOptions, Streams,
};

use crate::client::{Client, Ended, at_once};

const ANY: Option<u32> = None;

/// Everything that can strike a connection or a frame.
fn kinds() -> Vec<StreamFault> {
    vec![
        StreamFault::Close {
            code: 1001,
            connection: ANY,
        },
        StreamFault::Close {
            code: 1006,
            connection: ANY,
        },
        StreamFault::Reset { connection: ANY },
        StreamFault::Stall {
            ms: 5,
            connection: ANY,
        },
        StreamFault::Silence {
            stream: None,
            ms: 700,
        },
        StreamFault::Drop {
            stream: "ethusdt@trade".to_owned(),
            frames: 4,
        },
        StreamFault::HalfFrame,
        StreamFault::BadUtf8,
        StreamFault::UnknownEvent { connection: ANY },
    ]
}

/// A client that comes back whenever it is thrown out; what it got on each connection, and how that ended.
async fn stubborn(url: String, streams: Vec<String>) -> Vec<(Vec<String>, Ended)> {
    let mut sessions = Vec::new();
    loop {
        let mut client = Client::connect(&url, "/stream").await.unwrap();
        client.subscribe(1, &streams).await;
        let (mut texts, ended) = client.rest().await;
        texts.retain(|text| text.starts_with("{\"stream\"") && !text.contains("somethingNew"));
        let is_over = ended == Ended::Close(1000);
        sessions.push((texts, ended));
        if is_over {
            return sessions;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_gets_what_the_log_says_was_sent_on_it() {
    let tape = Script::new(Market::Spot, &["BTCUSDT", "ETHUSDT"], 120)
        .tape()
        .unwrap();
    let text_of: BTreeMap<(&str, u64), &str> = {
        let mut places = BTreeMap::new();
        let frames = tape.frames.iter().map(|frame| {
            let place = places.entry(&*frame.stream).or_insert(0_u64);
            *place += 1;
            ((&*frame.stream, *place - 1), &*frame.json)
        });
        frames.collect()
    };
    for seed in 0..12 {
        let frames = tape.frames.len() as u64;
        let mut options = StreamOptions {
            begin: Begin::Streams(1),
            faults: StreamFaults::random(seed, 25, frames, &kinds()),
            ..at_once(Market::Spot)
        };
        // Slower than it could, so that a client comes back before all is over.
        options.speed = tapemill_standin::stream::Speed::Times(400.0);
        let streams = Streams::start([tape.clone()], options).unwrap();
        let names: Vec<String> = tape.streams().iter().map(|name| name.to_string()).collect();
        let client = tokio::spawn(stubborn(streams.url_ws(), names));
        let streams = tokio::task::spawn_blocking(move || {
            while streams.counts().played < frames {
                std::thread::sleep(Duration::from_millis(5));
            }
            while streams.counts().connections == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            streams.strike(StreamFault::Close {
                code: 1000,
                connection: None,
            });
            streams
        })
        .await
        .unwrap();
        let sessions = client.await.unwrap();

        let log = streams.log();
        let mut told = 0;
        for (id, (texts, ended)) in sessions.iter().enumerate() {
            let sent = log
                .iter()
                .filter(|entry| entry.connection == Some(id as u32));
            let sent = sent.filter(|entry| entry.fate == Fate::Sent);
            let sent: Vec<&str> = sent
                .map(|entry| text_of[&(&*entry.stream, entry.place)])
                .collect();
            // What was on its way at a reset, or behind a frame that the client cannot read, is lost.
            let is_cut = matches!(ended, Ended::Error(why) if !why.contains("without closing"));
            match is_cut {
                true => assert!(
                    sent.starts_with(&texts.iter().map(String::as_str).collect::<Vec<_>>()),
                    "{seed} {id} {ended:?}"
                ),
                false => assert!(
                    sent == *texts,
                    "{seed} {id} {ended:?}: {} {}",
                    sent.len(),
                    texts.len()
                ),
            }
            told += texts.len();
        }
        // Each frame has its fate, once: there is one client.
        assert_eq!(log.len(), tape.frames.len(), "{seed}");
        assert!(told > 100, "{seed}");
        let counts = streams.counts();
        assert_eq!(counts.queued, 0, "{seed}");
        assert_eq!(
            counts.sent + counts.lost + counts.cut + counts.withheld + counts.damaged,
            frames,
            "{seed}"
        );
    }
}
