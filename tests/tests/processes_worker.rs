//! Workers and runs from outside: what they serve, and how they live through trouble.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Watched, hashes, parts, promtool, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const MONTHS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for month in MONTHS {
        lab.mirror.trades("BTCUSDT", month, 20_000);
    }
    lab
}

fn slow(lab: &Lab, bytes_per_second: u64) {
    let slow = Fault::Slow { bytes_per_second };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
}

fn worker(lab: &Lab, words: &[&str]) -> Watched {
    Watched::start(lab.from_source(&["worker"]).args(words))
}

fn finished(watched: &Watched, outcome: &str) -> f64 {
    watched.metric(&format!(
        "tapemill_tasks_finished_total{{dataset=\"aggTrades\",outcome=\"{outcome}\"}}"
    ))
}

/// The lines of a JSON log that say something.
fn lines(log: &str, what: &str) -> Vec<Value> {
    let parsed = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    parsed
        .filter(|line: &Value| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.contains(what))
        })
        .collect()
}

/// Holds the write lock of a queue file until it is dropped.
struct Locked(Child);

impl Locked {
    fn hold(lab: &Lab) -> Self {
        let script = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(lab.output().join("queue.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut said)
            .expect("it can be read");
        assert_eq!(said, "locked\n");
        Self(child)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_counts_what_it_did_and_passes_the_linter() {
    let lab = lab();
    lab.mirror.klines("BTCUSDT", "2024-01");
    lab.everything(&["plan"]).run().expect(0);
    let worker = worker(&lab, &[]);

    until("all is done", || finished(&worker, "done") == 3.0);

    until("the kline too", || lab.totals()["done"] == 4);
    for (series, at_least) in [
        ("tapemill_rows_total{dataset=\"aggTrades\"}", 60_000.0),
        ("tapemill_bytes_total{direction=\"in\"}", 100_000.0),
        ("tapemill_bytes_total{direction=\"out\"}", 10_000.0),
        ("tapemill_http_responses_total{class=\"2xx\"}", 8.0),
        (
            "tapemill_task_duration_seconds_count{dataset=\"aggTrades\"}",
            3.0,
        ),
        ("tapemill_heartbeat_delay_seconds_count", 1.0),
        (
            "tapemill_store_call_duration_seconds_count{op=\"complete_and_claim\"}",
            4.0,
        ),
    ] {
        let value = worker.metric(series);
        assert!(value >= at_least, "{series} is {value}");
    }
    for stage in ["fetch", "hash", "inflate", "parse", "write", "publish"] {
        let series = format!("tapemill_stage_seconds_total{{stage=\"{stage}\"}}");
        assert!(worker.metric(&series) > 0.0, "{series}");
    }
    assert_eq!(worker.metric("tapemill_lease_lost_total"), 0.0);
    let text = worker.get("/metrics").body;
    assert_eq!(promtool(&text), "");
    assert!(!text.contains("BTCUSDT"), "no symbol is a label");
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(worker.get("/readyz").status, 200);
    assert_eq!(worker.get("/api/v1/status").status, 404);
}

#[test]
fn a_run_serves_its_metrics_too_and_counts_failures_by_reason() {
    let lab = lab();
    let refused = Fault::Status {
        status: 403,
        retry_after: None,
    };
    lab.mirror
        .set_faults(Faults::one("**2024-02.zip", refused, When::Always));
    let run = Watched::start(lab.everything(&["run", "--attempts", "100"]));

    until("the others are done", || finished(&run, "done") == 2.0);
    let series = "tapemill_task_failures_total{dataset=\"aggTrades\",reason=\"http_403\"}";
    until("attempts fail", || run.metric(series) >= 1.0);
    assert!(run.metric("tapemill_http_responses_total{class=\"4xx\"}") >= 6.0);
    assert_eq!(promtool(&run.get("/metrics").body), "");

    lab.mirror.set_faults(Faults::none());
    run.wait().expect(0);
}

#[test]
fn a_draining_worker_is_not_ready_and_alive() {
    let lab = lab();
    slow(&lab, 2_000);
    lab.everything(&["plan"]).run().expect(0);
    let worker = worker(&lab, &["--grace", "10s"]);
    until("it works", || lab.mirror.zip_bytes_sent() > 0);
    assert_eq!(worker.get("/readyz").status, 200);

    worker.process.signal(libc::SIGTERM);

    until("it says that it drains", || {
        let ready = worker.get("/readyz");
        ready.status == 503 && ready.body == "draining\n"
    });
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(
        worker.metric("tapemill_store_call_duration_seconds_count{op=\"release\"}"),
        0.0,
        "within the grace nothing is handed back"
    );
    worker.wait().expect(0);
    for task in lab.tasks() {
        assert_eq!(task["state"], "pending", "{task:#}");
        assert_eq!(task["attempts"], 0, "{task:#}");
    }
}

#[test]
fn a_worker_stopped_past_its_lease_loses_it_and_publishes_nothing() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 20_000);
    lab.everything(&["plan"]).run().expect(0);
    slow(&lab, 40_000);
    let words = ["--lease", "2s", "--log-format", "json"];
    let stopped = worker(&lab, &words);
    until("it has bytes of it", || {
        lab.mirror.zip_bytes_sent() > 20_000
    });

    stopped.process.signal(libc::SIGSTOP);
    lab.mirror.set_faults(Faults::none());
    let other = worker(&lab, &words);
    until("the other did it", || finished(&other, "done") == 1.0);
    let made = hashes(&lab.output());
    let modified = || {
        let files = made.keys().map(|file| lab.output().join(file).metadata());
        let times = files.map(|meta| meta.expect("it is there").modified().expect("known"));
        times.collect::<Vec<_>>()
    };
    let before = modified();
    stopped.process.signal(libc::SIGCONT);

    until("it counts the loss", || {
        stopped.metric("tapemill_lease_lost_total") == 1.0
    });
    let told = lines(&stopped.log(), "lease lost");
    assert!(!told.is_empty());
    for line in told {
        assert_eq!(line["task.id"], "um/aggTrades/BTCUSDT/2024-01", "{line}");
        assert_eq!(line["generation"], 1, "{line}");
        assert!(line["worker.id"].is_string(), "{line}");
    }
    assert_eq!(other.metric("tapemill_lease_expirations_total"), 1.0);
    let refused: f64 = ["heartbeat", "release", "confirm"]
        .map(|op| {
            stopped.metric(&format!(
                "tapemill_stale_calls_rejected_total{{op=\"{op}\"}}"
            ))
        })
        .iter()
        .sum();
    assert!(refused >= 1.0);
    assert_eq!(finished(&stopped, "done"), 0.0);
    assert_eq!(modified(), before, "nothing was published after that");
    assert!(parts(&lab.output()).is_empty());
    let task = lab.task("um/aggTrades/BTCUSDT/2024-01");
    assert_eq!(
        (&task["generation"], &task["expiries"]),
        (&2.into(), &1.into()),
        "{task:#}"
    );
}

#[test]
fn an_outage_of_the_queue_is_told_once_and_lived_through() {
    let lab = lab();
    lab.everything(&["plan"]).run().expect(0);
    slow(&lab, 30_000);
    let worker = worker(&lab, &["--lease", "5m", "--log-format", "json"]);
    until("it works", || lab.mirror.zip_bytes_sent() > 0);

    let locked = Locked::hold(&lab);
    until("it is not ready", || {
        let ready = worker.get("/readyz");
        ready.status == 503 && ready.body.contains("did not answer")
    });
    assert_eq!(worker.get("/healthz").status, 200);
    until("it said so", || worker.said("the queue fails") == 1);
    drop(locked);

    until("all is done", || finished(&worker, "done") == 3.0);
    until("it is ready again", || worker.get("/readyz").status == 200);
    until("it said so", || worker.said("the queue answers again") >= 1);
    let log = worker.log();
    assert_eq!(lines(&log, "the queue fails").len(), 1, "{log}");
    assert_eq!(lines(&log, "the queue answers again").len(), 1, "{log}");
    for task in lab.tasks() {
        assert_eq!(
            (&task["state"], &task["expiries"]),
            (&"done".into(), &0.into()),
            "{task:#}"
        );
    }
}

#[test]
fn a_worker_waits_for_a_queue_that_does_not_answer_yet() {
    let lab = lab();
    lab.everything(&["plan"]).run().expect(0);
    let locked = Locked::hold(&lab);
    let worker = worker(&lab, &["--exit-when-drained"]);
    until("it said so", || worker.said("the queue fails") == 1);
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(worker.get("/readyz").status, 503);

    drop(locked);

    let ended = worker.wait().expect(0);
    assert_eq!(ended.stderr.matches("the queue answers again").count(), 1);
    assert_eq!(lab.totals()["done"], 3);
}

#[test]
fn a_signal_ends_a_worker_that_waits_for_its_queue() {
    let lab = lab();
    lab.everything(&["plan"]).run().expect(0);
    let _locked = Locked::hold(&lab);
    let worker = worker(&lab, &[]);
    until("it said so", || worker.said("the queue fails") == 1);

    worker.process.signal(libc::SIGTERM);

    worker.wait().expect(0);
}

#[test]
fn an_emptied_queue_is_not_taken_for_a_drained_one() {
    let lab = lab();
    slow(&lab, 5_000);
    lab.everything(&["plan"]).run().expect(0);
    let worker = worker(&lab, &["--exit-when-drained", "--lease", "3s"]);
    until("it works", || lab.mirror.zip_bytes_sent() > 0);

    lab.command(&["queue", "delete", "--yes"]).run().expect(0);
    until("it said so", || worker.said("the queue is empty") == 1);
    lab.mirror.set_faults(Faults::none());
    lab.everything(&["plan"]).run().expect(0);

    let ended = worker.wait().expect(0);
    assert_eq!(ended.stderr.matches("the queue is empty").count(), 1);
    assert_eq!(ended.stderr.matches("was planned again").count(), 1);
    assert_eq!(lab.totals()["done"], 3);
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
}

#[test]
fn a_lost_queue_that_nobody_plans_again_is_a_failure_in_the_end() {
    let lab = lab();
    slow(&lab, 5_000);
    lab.everything(&["plan"]).run().expect(0);
    let worker = worker(&lab, &["--exit-when-drained", "--lease", "1s"]);
    until("it works", || lab.mirror.zip_bytes_sent() > 0);

    let begun = Instant::now();
    lab.command(&["queue", "delete", "--yes"]).run().expect(0);

    let ended = worker.wait().expect(1);
    assert!(begun.elapsed() >= Duration::from_secs(30));
    let line = ended.error_line();
    assert!(line.contains("the queue is empty"), "{line}");
}

#[test]
fn a_run_plans_again_what_its_queue_lost() {
    let lab = lab();
    slow(&lab, 60_000);
    let run = Watched::start(lab.everything(&["run", "--lease", "3s"]));
    until("it works", || lab.mirror.zip_bytes_sent() > 0);

    lab.command(&["queue", "delete", "--yes"]).run().expect(0);

    let ended = run.wait().expect(0);
    assert_eq!(
        ended
            .stderr
            .matches("the queue lost tasks of this run")
            .count(),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(lab.totals()["done"], 3);
    lab.mirror.set_faults(Faults::none());
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
}

#[test]
fn every_line_about_a_task_names_task_generation_and_worker() {
    let lab = lab();
    let refused = Fault::Status {
        status: 500,
        retry_after: None,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", refused, When::First(7)));
    let run = lab.everything(&["run", "-v", "--log-format", "json"]).run();

    let log = run.expect(0).stderr;
    for what in ["task claimed", "attempt failed, another follows"] {
        let told = lines(&log, what);
        assert!(!told.is_empty(), "no {what} in\n{log}");
        for line in told {
            for field in ["task.id", "generation", "worker.id"] {
                assert!(!line[field].is_null(), "no {field} in {line}");
            }
        }
    }
}
