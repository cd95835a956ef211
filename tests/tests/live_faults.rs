//! `live` against faults at random places: each hole is in the ledger with exact bounds, and nothing else is missing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{
    At, Event, Happened, Script, Speed, StreamFault, StreamFaults, StreamOptions, Streams, Tape,
};
use tapemill_tests::{Disk, Python, Tapemill, Watched, real_data, reference_folder, until};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// A tape plays within this.
const LONGEST: Duration = Duration::from_secs(60);

/// A collector and the exchange that it is connected to.
struct Story {
    streams: Streams,
    market: String,
    words: Vec<String>,
    live: Watched,
    folder: TempDir,
}

impl Story {
    fn begin(tape: Tape, channels: &str, options: StreamOptions, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::begin_in(folder, tape, channels, options, more)
    }

    fn begin_in(
        folder: TempDir,
        tape: Tape,
        channels: &str,
        options: StreamOptions,
        more: &[&str],
    ) -> Self {
        let market = tape.market.as_str().to_owned();
        let symbols = tape.symbols.join(",");
        let streams = Streams::start([tape], options).expect("it plays");
        let (rest, ws) = (streams.url_rest(), streams.url_ws());
        let words = ["live", "--market", &market, "--symbols", &symbols]
            .into_iter()
            .chain(["--streams", channels, "--rest", &rest, "--ws", &ws])
            .chain(["--flush-interval", "0.2", "--backoff", "0.03"])
            .chain(["--max-backoff", "0.1", "--output", "out"])
            .chain(more.iter().copied());
        let words: Vec<_> = words.map(str::to_owned).collect();
        Self {
            live: started(&folder, &words),
            streams,
            market,
            words,
            folder,
        }
    }

    /// Kills the collector, and starts another in its place.
    fn kill(&mut self) {
        self.live.process.signal(libc::SIGKILL);
        until("it is dead", || !self.live.process.is_running());
        self.live = started(&self.folder, &self.words);
    }

    /// Waits until the tape is over and what came of it is stored; what was told of it.
    fn end(self) -> Value {
        assert!(self.streams.wait(LONGEST), "{:?}", self.streams.counts());
        let mut frames = -1.0;
        until("nothing more comes", || {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.live.metric("tapemill_live_frames_total");
            std::mem::replace(&mut frames, now) == now
        });
        self.live.process.signal(libc::SIGTERM);
        let told = self.live.wait().expect(0);
        let log = serde_json::to_string(&self.streams.log()).expect("it is JSON");
        let truth = self.folder.path().join("log.json");
        fs::write(&truth, log).expect("a file can be written");
        let script = reference_folder().join("live_holes.py");
        let words = [
            script.as_path(),
            &self.folder.path().join("out"),
            Path::new(&self.market),
            &truth,
        ];
        let words: Vec<_> = words
            .iter()
            .map(|word| word.to_str().expect("plain"))
            .collect();
        let found = Python::new().run(&words);
        let found: Value = serde_json::from_str(&found).expect("it is JSON");
        eprintln!("{found}\n{}", told.stderr);
        found
    }
}

fn started(folder: &TempDir, words: &[String]) -> Watched {
    Watched::start(Tapemill::new(BINARY).folder(folder.path()).args(words))
}

fn tape(file: &str) -> Option<Tape> {
    let path = real_data()?.join("recordings").join(file);
    Some(Tape::read(path).expect("it is a recording"))
}

fn options(tape: &Tape, speed: f64, faults: StreamFaults) -> StreamOptions {
    let mut options = StreamOptions::new(tape.market);
    options.speed = Speed::Times(speed);
    options.limits.connects = usize::MAX;
    options.faults = faults;
    options
}

/// What a connection can suffer.
fn breaks() -> Vec<StreamFault> {
    let connection = None;
    vec![
        StreamFault::Close {
            code: 1000,
            connection,
        },
        StreamFault::Close {
            code: 1006,
            connection,
        },
        StreamFault::Reset { connection },
        StreamFault::HalfFrame,
        StreamFault::BadUtf8,
        StreamFault::Malformed,
        StreamFault::Duplicate,
        StreamFault::UnknownField,
        StreamFault::UnknownEvent { connection },
        StreamFault::Oversize {
            bytes: 9 << 20,
            connection,
        },
        StreamFault::ServerShutdown {
            close_after_ms: 100,
            connection,
        },
        StreamFault::RefuseHandshake {
            status: 503,
            retry_after: None,
            times: 1,
        },
        StreamFault::AckError { times: 1 },
        StreamFault::OldSnapshot {
            behind: 50,
            times: 1,
        },
        StreamFault::SnapshotError {
            status: 503,
            retry_after: None,
            times: 1,
        },
    ]
}

/// How many stories are told, each with its own faults: `TEST_SEEDS`, or three.
fn seeds() -> u64 {
    std::env::var("TEST_SEEDS").map_or(3, |count| count.parse().expect("TEST_SEEDS is a number"))
}

/// Streams that go silent: at large, or on one connection.
fn silences() -> Vec<StreamFault> {
    let connection = None;
    vec![
        StreamFault::Silence {
            stream: None,
            ms: 3_000,
        },
        StreamFault::Mute {
            ms: 300,
            connection,
        },
        StreamFault::Stall {
            ms: 300,
            connection,
        },
    ]
}

const TAPES: [(&str, &str, f64); 6] = [
    (
        "hftbacktest-usdm/btcusdt_20240718.gz",
        "depth@0ms,bookTicker,trade",
        40.0,
    ),
    (
        "hftbacktest-spot/btcusdt_20240808.gz",
        "depth@100ms,bookTicker,trade",
        80.0,
    ),
    (
        "hftbacktest-cm/btcusd_perp_20240808.gz",
        "depth@0ms,bookTicker,trade",
        60.0,
    ),
    (
        "hftbacktest-usdm/ethusdt_20240718.gz",
        "depth@0ms,bookTicker,trade",
        40.0,
    ),
    (
        "hftbacktest-usdm/btcusdt_20230404.dat.gz",
        "depth@0ms,bookTicker,trade,markPrice@1s",
        20.0,
    ),
    (
        "hftbacktest-spot/btcusdt_20230405.dat.gz",
        "depth@100ms,bookTicker,trade",
        80.0,
    ),
];

#[test]
fn every_hole_of_a_broken_connection_is_told_and_nothing_else_is_missing() {
    for seed in 0..seeds() {
        let (file, channels, speed) = TAPES[seed as usize % TAPES.len()];
        let Some(tape) = tape(file) else {
            return;
        };
        // A moment's silence shows only where ids make a chain.
        let (of, channels) = match channels.split_once(",bookTicker") {
            Some((depth, _)) if seed % 4 == 3 => (silences(), format!("{depth},trade")),
            _ => (breaks(), channels.to_owned()),
        };
        let is_asked = |stream: &str| channels.split(',').any(|channel| stream.ends_with(channel));
        let asked = tape.frames.iter().filter(|frame| is_asked(&frame.stream));
        let frames = asked.count() as u64;
        let faults = StreamFaults::random(seed, 16, frames * 9 / 10, &of);
        let options = options(&tape, speed, faults);
        let sink = ["parquet", "jsonl"][seed as usize / 2 % 2];
        let mut more = vec!["--sink", sink];
        more.extend((seed % 5 == 4).then_some("--redundant"));
        eprintln!("seed {seed}: {file} {more:?}");
        let story = Story::begin(tape, &channels, options, &more);

        let found = story.end();

        assert!(found["frames"].as_u64() > Some(frames * 8 / 10), "{found}");
        // A second connection may have had all that the first lost.
        let is_hurt = found["gaps"].as_u64() > Some(0) || more.contains(&"--redundant");
        assert!(is_hurt, "{found}");
    }
}

#[test]
fn frames_that_are_kept_back_are_holes_where_ids_make_a_chain() {
    let Some(tape) = tape("hftbacktest-spot/btcusdt_20240808.gz") else {
        return;
    };
    let drops = ["btcusdt@depth@100ms", "btcusdt@trade"].map(|stream| StreamFault::Drop {
        stream: stream.to_owned(),
        frames: 3,
    });
    let frames = tape.frames.len() as u64;
    let faults = StreamFaults::random(7, 12, frames * 9 / 10, &drops);
    let options = options(&tape, 80.0, faults);
    let story = Story::begin(tape, "depth@100ms,bookTicker,trade", options, &[]);

    let found = story.end();

    assert!(found["gaps"].as_u64() >= Some(10), "{found}");
    assert!(found["lost"].as_u64() >= Some(30), "{found}");
}

#[test]
fn a_connection_is_replaced_before_its_time_without_a_loss() {
    let Some(tape) = tape("hftbacktest-usdm/btcusdt_20240718.gz") else {
        return;
    };
    let options = options(&tape, 20.0, StreamFaults::none());
    let channels = "depth@0ms,bookTicker,trade";
    let rotate = [
        "--rotate-after",
        "400ms",
        "--overlap",
        "5s",
        "--snapshot-every",
        "1s",
    ];
    let story = Story::begin(tape, channels, options, &rotate);

    let found = story.end();

    assert_eq!(found["lost"], 0, "{found}");
    assert_eq!(found["gaps"], 0, "{found}");
    assert!(
        found["events"]["connection_opened"].as_u64() > Some(10),
        "{found}"
    );
    assert!(found["snapshots"].as_u64() > Some(3), "{found}");
}

#[test]
fn with_two_connections_none_of_their_ends_costs_anything() {
    let Some(tape) = tape("hftbacktest-usdm/btcusdt_20240718.gz") else {
        return;
    };
    let options = options(&tape, 20.0, StreamFaults::none());
    let story = Story::begin(
        tape,
        "depth@0ms,bookTicker,trade",
        options,
        &["--redundant"],
    );
    until("both bring", || {
        story.live.metric("tapemill_live_connections") >= 2.0
    });
    for connection in 0..6 {
        std::thread::sleep(Duration::from_millis(700));
        story.streams.strike(StreamFault::Reset {
            connection: Some(connection),
        });
    }

    let found = story.end();

    assert_eq!(found["lost"], 0, "{found}");
    assert_eq!(found["gaps"], 0, "{found}");
}

#[test]
fn with_two_connections_one_that_goes_silent_costs_nothing() {
    let Some(tape) = tape("hftbacktest-usdm/btcusdt_20240718.gz") else {
        return;
    };
    let options = options(&tape, 10.0, StreamFaults::none());
    let extra = ["--redundant", "--silent-after", "3s"];
    let story = Story::begin(tape, "depth@0ms,bookTicker,trade", options, &extra);
    until("both bring", || {
        story.live.metric("tapemill_live_connections") >= 2.0
    });
    for connection in [0, 1] {
        std::thread::sleep(Duration::from_millis(500));
        story.streams.strike(StreamFault::Mute {
            ms: 60_000,
            connection: Some(connection),
        });
        // The other leads, and this one is opened anew.
        let opened = f64::from(connection) + 3.0;
        until("it is replaced", || {
            let events = story.streams.events();
            let is_open = |event: &&Event| matches!(event.what, Happened::Opened { .. });
            events.iter().filter(is_open).count() as f64 >= opened
        });
        until("both bring", || {
            story.live.metric("tapemill_live_connections") >= 2.0
        });
    }

    let found = story.end();

    assert_eq!(found["lost"], 0, "{found}");
    assert_eq!(found["gaps"], 0, "{found}");
}

#[test]
fn a_collector_that_is_killed_goes_on_behind_what_is_durable() {
    for sink in ["parquet", "jsonl"] {
        let Some(tape) = tape("hftbacktest-usdm/ethusdt_20240718.gz") else {
            return;
        };
        let options = options(&tape, 20.0, StreamFaults::none());
        let channels = "depth@0ms,bookTicker,trade";
        let mut story = Story::begin(tape, channels, options, &["--sink", sink]);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1_500));
            story.kill();
        }

        let found = story.end();

        assert_eq!(found["events"]["session_opened"], 4, "{found}");
        assert!(found["gaps"].as_u64() > Some(3), "{found}");
    }
}

/// Every kind of stream of a market, with trades that are numbered, for so many seconds.
fn made_up(seconds: u32) -> Tape {
    let script = Script::new(Market::Um, &["BTCUSDT", "ETHUSDT"], seconds);
    script.tape().expect("it can be made")
}

#[test]
fn trades_of_a_hole_are_asked_for_and_come() {
    let tape = made_up(60);
    let frames = tape.frames.len() as u64;
    let connection = None;
    let ends = [
        StreamFault::Reset { connection },
        StreamFault::Drop {
            stream: "btcusdt@aggTrade".to_owned(),
            frames: 5,
        },
    ];
    let faults = StreamFaults::random(11, 8, frames * 8 / 10, &ends);
    let options = options(&tape, 12.0, faults);
    let channels = "depth@100ms,aggTrade,bookTicker,markPrice@1s,forceOrder";
    let story = Story::begin(tape, channels, options, &[]);

    let found = story.end();

    assert!(found["asked"].as_u64() > Some(0), "{found}");
    assert!(found["events"]["filled"].as_u64() > Some(0), "{found}");
}

#[test]
fn a_stream_that_is_silent_though_its_symbol_trades_is_connected_anew() {
    let tape = made_up(40);
    let options = options(&tape, 4.0, StreamFaults::none());
    let channels = "aggTrade,bookTicker,markPrice@1s";
    let silent = ["--silent-after", "1500ms"];
    let story = Story::begin(tape, channels, options, &silent);
    until("it brings something", || {
        story.live.metric("tapemill_live_rows_total") > 50.0
    });
    story.streams.strike(StreamFault::Silence {
        stream: Some("btcusdt@bookTicker".to_owned()),
        ms: 10_000,
    });

    let found = story.end();

    assert!(found["events"]["silent"].as_u64() > Some(0), "{found}");
    assert!(found["gaps"].as_u64() > Some(0), "{found}");
}

#[test]
fn a_full_disk_costs_nothing_once_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(folder.path().join("out"), "size=200k") else {
        return;
    };
    let tape = made_up(30);
    let options = options(&tape, 5.0, StreamFaults::none());
    let channels = "depth@100ms,aggTrade,bookTicker";
    let story = Story::begin_in(folder, tape, channels, options, &[]);
    until("the disk is full", || {
        story.live.metric("tapemill_live_flush_failures_total") > 1.0
    });
    disk.enlarge("100m");

    let found = story.end();

    assert_eq!(
        (&found["lost"], &found["gaps"]),
        (&0.into(), &0.into()),
        "{found}"
    );
    assert!(found["events"]["disk"].as_u64() > Some(0), "{found}");
}

#[test]
fn a_ban_is_told_and_the_streams_go_on() {
    let tape = made_up(40);
    let banned = StreamFault::SnapshotError {
        status: 418,
        retry_after: Some(600),
        times: 1,
    };
    let faults = StreamFaults::none().and(At::Start, banned);
    let options = options(&tape, 5.0, faults);
    let channels = "depth@100ms,aggTrade,bookTicker";
    let story = Story::begin(tape, channels, options, &["--silent-after", "1500ms"]);
    until("the ban is told", || story.live.said("snapshot") > 0);

    let found = story.end();

    assert_eq!(
        (&found["lost"], &found["gaps"]),
        (&0.into(), &0.into()),
        "{found}"
    );
    assert!(found["events"]["banned"].as_u64() > Some(0), "{found}");
}

#[test]
fn a_symbol_that_is_delisted_is_told() {
    let tape = made_up(40);
    let options = options(&tape, 5.0, StreamFaults::none());
    let silent = ["--silent-after", "1s"];
    let story = Story::begin(tape, "aggTrade,bookTicker", options, &silent);
    until("it brings something", || {
        story.live.metric("tapemill_live_rows_total") > 50.0
    });
    story.streams.strike(StreamFault::Delist {
        symbol: "ETHUSDT".to_owned(),
    });
    until("it is told", || story.live.said("ETHUSDT") > 0);

    let found = story.end();

    assert_eq!(found["events"]["delisted"], 1, "{found}");
}

#[test]
fn symbols_of_a_collector_that_died_are_taken_over_within_a_lease() {
    let tape = made_up(60);
    let options = options(&tape, 4.0, StreamFaults::none());
    let channels = "depth@100ms,aggTrade,bookTicker,markPrice@1s";
    let queue = ["--queue", "sqlite:queue.db", "--lease", "2s"];
    let mut story = Story::begin(tape, channels, options, &queue);
    let rows = |live: &Watched| live.metric("tapemill_live_rows_total");
    until("the first collects", || rows(&story.live) > 0.0);
    let second = started(&story.folder, &story.words);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(rows(&second), 0.0, "both collect the same");

    let first = std::mem::replace(&mut story.live, second);
    first.process.signal(libc::SIGKILL);
    let killed = Instant::now();
    until("the second collects", || rows(&story.live) > 0.0);

    // A lease, and what a reaper and a claim may take.
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(2 + 5), "{took:?}");
    let found = story.end();
    assert_eq!(found["events"]["takeover"], 2, "{found}");
    assert!(found["gaps"].as_u64() > Some(0), "{found}");
}

#[test]
fn collectors_that_begin_together_share_the_symbols() {
    let tape = made_up(60);
    let options = options(&tape, 6.0, StreamFaults::none());
    let queue = [
        "--queue",
        "sqlite:queue.db",
        "--lease",
        "6s",
        "--most-symbols",
        "1",
    ];
    let story = Story::begin(tape, "aggTrade,bookTicker", options, &queue);
    let other = started(&story.folder, &story.words);
    let rows = |live: &Watched| live.metric("tapemill_live_rows_total");
    until("both collect", || {
        rows(&story.live) > 0.0 && rows(&other) > 0.0
    });
    assert!(story.streams.wait(LONGEST));
    std::thread::sleep(Duration::from_millis(500));
    other.process.signal(libc::SIGTERM);
    other.wait().expect(0);

    let found = story.end();

    assert_eq!(found["gaps"], 0, "{found}");
    assert_eq!(found["events"]["session_opened"], 2, "{found}");
    assert_eq!(found["events"]["session_closed"], 2, "{found}");
}
