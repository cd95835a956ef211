//! What watches collectors: their metrics, and what rules and the dashboard ask of a real Prometheus while everything goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tapemill_standin::Market;
use tapemill_standin::stream::{Script, Speed, StreamFault, StreamOptions, Streams};
use tapemill_tests::{Asked, Dashboard, Prometheus, Tapemill, Watched, promtool, until};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Longer than a collector is stopped, and so not scraped: what it counts then has to be between two samples.
const RATE_INTERVAL: &str = "20s";

const SYMBOLS: [&str; 3] = ["AAAUSDT", "BBBUSDT", "CCCUSDT"];

/// What a collector tells, after `tapemill_live_`, by its labels.
const METRICS: [(&str, &[&str]); 23] = [
    ("frames_total", &["dataset"]),
    ("rows_total", &["dataset"]),
    ("bytes_total", &[]),
    ("stored_rows_total", &[]),
    ("stored_bytes_total", &[]),
    ("buffered_bytes", &[]),
    ("buffer_limit_bytes", &[]),
    ("flush_seconds", &[]),
    ("flush_failures_total", &[]),
    ("dropped_total", &[]),
    ("gaps_total", &[]),
    ("missing_ids_total", &[]),
    ("filled_total", &[]),
    ("gaps_per_million", &[]),
    ("duplicates_total", &[]),
    ("malformed_total", &[]),
    ("resyncs_total", &[]),
    ("connections", &[]),
    ("connect_failures_total", &[]),
    ("reconnects_total", &["cause"]),
    ("symbols", &["state"]),
    ("ban_seconds_remaining", &[]),
    ("lag_seconds", &[]),
];

/// An exchange, and where collectors of it store what comes.
struct Story {
    streams: Streams,
    folder: TempDir,
}

impl Story {
    fn begin() -> Self {
        let tape = Script::new(Market::Um, &SYMBOLS, 600).tape();
        let mut options = StreamOptions::new(Market::Um);
        options.speed = Speed::Times(3.0);
        options.restamp = true;
        options.limits.connects = usize::MAX;
        Self {
            streams: Streams::start([tape.expect("it can be made")], options).expect("it plays"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn collector(&self, more: &[&str]) -> Watched {
        let channels = "depth@100ms,aggTrade,bookTicker,markPrice@1s";
        let command = Tapemill::new(BINARY)
            .folder(self.folder.path())
            .args(["live", "--symbols", &SYMBOLS.join(",")])
            .args(["--streams", channels, "--output", "out"])
            .args(["--rest", &self.streams.url_rest()])
            .args(["--ws", &self.streams.url_ws()])
            .args(["--backoff", "0.03", "--max-backoff", "0.1"])
            .args(more);
        Watched::start(command)
    }

    /// Nothing can be stored in a folder that is a file.
    fn in_the_way(&self, dataset: &str) -> Obstacle {
        let place = self.folder.path().join("out").join(dataset);
        let aside = self.folder.path().join("aside");
        until("there is a folder", || fs::rename(&place, &aside).is_ok());
        fs::write(&place, "in the way").expect("a file can be written");
        Obstacle { place, aside }
    }
}

/// A file where a folder was.
struct Obstacle {
    place: PathBuf,
    aside: PathBuf,
}

impl Obstacle {
    fn clear(self) {
        fs::remove_file(&self.place).expect("it is there");
        fs::rename(&self.aside, &self.place).expect("it can be put back");
    }
}

fn handbook() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/live.md");
    fs::read_to_string(path).expect("it is there")
}

#[test]
fn the_metrics_of_a_collector_are_those_of_the_handbook_and_nothing_else() {
    let story = Story::begin();
    let live = story.collector(&["--flush-interval", "0.2"]);
    until("something comes", || {
        live.metric("tapemill_live_rows_total") > 0.0
    });

    let told = live.families();
    let told: BTreeMap<_, _> = told
        .into_iter()
        .filter_map(|(name, labels)| {
            let short = name.strip_prefix("tapemill_live_")?.to_owned();
            Some((short, labels))
        })
        .collect();
    let known = METRICS.into_iter().map(|(name, labels)| {
        let labels = labels.iter().map(|label| (*label).to_owned());
        (name.to_owned(), labels.collect::<BTreeSet<_>>())
    });
    assert_eq!(told, known.collect());
    let handbook = handbook();
    for (name, labels) in &told {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        assert!(handbook.contains(&format!("`{name}{labels}`")), "{name}");
    }
    assert_eq!(promtool(&live.get("/metrics").body), "");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(live.get(path).status, 200, "{path}");
    }
    for series in ["connections", "buffer_limit_bytes", "bytes_total"] {
        let value = live.metric(&format!("tapemill_live_{series}"));
        assert!(value > 0.0, "{series}: {value}");
    }
    live.process.signal(libc::SIGTERM);
    live.wait().expect(0);
}

#[test]
fn a_collector_without_a_connection_is_alive_and_not_ready() {
    let story = Story::begin();
    story.streams.strike(StreamFault::RefuseHandshake {
        status: 503,
        retry_after: None,
        times: 100_000,
    });

    let live = story.collector(&[]);
    until("it tried", || {
        live.metric("tapemill_live_connect_failures_total") > 2.0
    });

    assert_eq!(live.get("/healthz").status, 200);
    let ready = live.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("no connection"), "{ready:?}");
}

#[test]
fn what_the_live_dashboard_asks_has_an_answer_in_a_real_run() {
    let story = Story::begin();
    let begun = SystemTime::now();
    let shared = [
        ["--queue", "sqlite:queue.db"],
        ["--lease", "2s"],
        ["--flush-interval", "0.4"],
        ["--silent-after", "2s"],
        ["--rotate-after", "7s"],
        ["--overlap", "3s"],
    ]
    .concat();
    let first = story.collector(&shared);
    let of = |live: &Watched, name: &str| live.metric(&format!("tapemill_live_{name}"));
    until("the first collects", || of(&first, "rows_total") > 0.0);
    let second = story.collector(&shared);
    let prometheus = Prometheus::scraping_collectors(&[&first, &second]);
    let seen = |expr: &str| prometheus.showed(expr, begun);
    until("Prometheus knows both", || {
        seen("count(tapemill_live_connections) == 2") && seen("tapemill_live_frames_total > 0")
    });
    assert_eq!(of(&second, "rows_total"), 0.0, "both collect the same");

    let connection = None;
    let strike = |fault| story.streams.strike(fault);
    // The frame of a moment may be of a stream that nobody asked for.
    until("a message came twice, and one could not be read", || {
        strike(StreamFault::Duplicate);
        strike(StreamFault::Malformed);
        of(&first, "duplicates_total") > 0.0 && of(&first, "malformed_total") > 0.0
    });
    strike(StreamFault::Drop {
        stream: "aaausdt@aggTrade".to_owned(),
        frames: 5,
    });
    until("trades are missing and come", || {
        of(&first, "missing_ids_total") > 0.0 && of(&first, "filled_total") > 0.0
    });
    strike(StreamFault::Silence {
        stream: Some("bbbusdt@markPrice@1s".to_owned()),
        ms: 15_000,
    });
    until("the silence was noticed", || {
        of(&first, "reconnects_total{cause=\"silent\"}") > 0.0
    });
    let obstacle = story.in_the_way("book_ticker");
    until("rows cannot be stored", || {
        of(&first, "flush_failures_total") > 0.0
    });
    until("that was seen", || {
        seen("tapemill_live_flush_failures_total > 0")
    });
    obstacle.clear();
    strike(StreamFault::Delist {
        symbol: "CCCUSDT".to_owned(),
    });
    until("the symbol is gone", || {
        of(&first, "symbols{state=\"delisted\"}") == 1.0
    });
    until("that was seen", || {
        seen("tapemill_live_symbols{state=\"delisted\"} == 1")
    });
    until("a connection was replaced in time", || {
        of(&first, "reconnects_total{cause=\"rotation\"}") > 0.0
    });
    // A book that lost its connection needs a snapshot, and does not get one for long.
    strike(StreamFault::SnapshotError {
        status: 418,
        retry_after: Some(600),
        times: 1,
    });
    strike(StreamFault::RefuseHandshake {
        status: 503,
        retry_after: None,
        times: 2,
    });
    strike(StreamFault::Reset { connection });
    until("the ban was seen", || {
        seen("tapemill_live_ban_seconds_remaining > 0")
    });
    until("that a book waits was seen", || {
        seen("tapemill_live_symbols{state=\"waiting\"} > 0")
    });
    first.process.signal(libc::SIGSTOP);
    until("the second took over", || of(&second, "rows_total") > 0.0);
    first.process.signal(libc::SIGCONT);
    until("the first noticed", || of(&first, "dropped_total") > 0.0);

    let board = Dashboard::all()
        .into_iter()
        .find(|board| board.name == "live");
    let board = board.expect("it is there");
    let mut unanswered = board.everything_asked(&prometheus, RATE_INTERVAL);
    assert!(unanswered.len() > 60, "{}", unanswered.len());
    let (recorded, _) = prometheus.rules();
    let recorded = recorded
        .into_iter()
        .filter(|asked| asked.expr.contains("tapemill_live_"));
    unanswered.extend(recorded);
    // Each cause and state, where a panel is content with one.
    let each = ["disconnect", "silent", "rotation"]
        .map(|cause| format!("reconnects_total{{cause=\"{cause}\"}}"));
    let states =
        ["collecting", "waiting", "delisted"].map(|state| format!("symbols{{state=\"{state}\"}}"));
    unanswered.extend(each.into_iter().chain(states).map(|series| Asked {
        by: "its label".to_owned(),
        expr: format!("tapemill_live_{series}"),
    }));
    unanswered.push(Asked {
        by: "an alert".to_owned(),
        expr: "ALERTS{alertname=\"TapemillLiveDropped\", alertstate=\"firing\"}".to_owned(),
    });
    prometheus.answers_all(unanswered, begun);
    for live in [first, second] {
        live.process.signal(libc::SIGTERM);
        live.wait().expect(0);
    }
}
