//! The coordinator from outside: what it plans, returns and serves.

use std::net::TcpListener;

use serde_json::Value;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Watched, promtool, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for month in ["2024-01", "2024-02", "2024-03"] {
        lab.mirror.trades("BTCUSDT", month, 1_000);
    }
    lab
}

fn coordinator(lab: &Lab, words: &[&str]) -> Watched {
    Watched::start(lab.everything(&["coordinator"]).args(words))
}

fn total(watched: &Watched, state: &str) -> Value {
    watched.json("/api/v1/status")["totals"][state].clone()
}

fn until_planned(watched: &Watched, pending: u64) {
    until("it planned", || {
        let status = watched.get("/api/v1/status");
        status.status == 200 && total(watched, "pending") == pending
    });
}

#[test]
fn it_plans_serves_and_ends_when_it_is_told() {
    let lab = lab();
    let coordinator = coordinator(&lab, &[]);
    until_planned(&coordinator, 3);

    assert_eq!(coordinator.get("/healthz").status, 200);
    assert_eq!(coordinator.get("/readyz").status, 200);
    assert_eq!(coordinator.get("/nothing").status, 404);
    let page = coordinator.get("/");
    assert!(
        page.status == 200 && page.body.contains("<title>tapemill"),
        "{page:?}"
    );
    let shown = lab.command(&["status", "--json"]).run().expect(0);
    assert_eq!(
        coordinator.json("/api/v1/status"),
        shown.json_lines()[0],
        "the very JSON of `status --json`"
    );
    assert_eq!(
        coordinator.json("/api/v1/workers"),
        serde_json::json!({"workers": []})
    );

    coordinator.process.signal(libc::SIGTERM);
    let ended = coordinator.wait().expect(0);
    assert_eq!(ended.stdout, "", "nothing is data");
}

#[test]
fn its_tasks_are_those_of_tasks_list_page_by_page() {
    let lab = lab();
    lab.mirror.klines("ETHUSDT", "2024-01");
    let coordinator = coordinator(&lab, &[]);
    until_planned(&coordinator, 4);

    let mut tasks = Vec::new();
    let mut path = "/api/v1/tasks?limit=3".to_owned();
    loop {
        let page = coordinator.json(&path);
        tasks.extend(page["tasks"].as_array().expect("a list").clone());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/tasks?limit=3&cursor={next}");
    }
    assert_eq!(tasks, lab.tasks());

    let count = |query: &str| {
        let page = coordinator.json(&format!("/api/v1/tasks?{query}"));
        page["tasks"].as_array().map(Vec::len)
    };
    assert_eq!(count("dataset=klines:1m"), Some(1));
    assert_eq!(count("prefix=um/aggTrades/BTCUSDT/2024-02"), Some(1));
    assert_eq!(count("state=done"), Some(0));
    for bad in ["state=lost", "limit=0", "limit=1001", "colour=red"] {
        let reply = coordinator.get(&format!("/api/v1/tasks?{bad}"));
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.body.starts_with("{\"error\":"), "{reply:?}");
    }
}

#[test]
fn events_tell_the_status_at_once_and_when_it_changes() {
    let lab = lab();
    let coordinator = coordinator(&lab, &[]);
    until_planned(&coordinator, 3);
    let mut events = coordinator.events("/api/v1/events");
    let mut others = coordinator.events("/api/v1/events");
    let first = events.next().expect("an event");
    assert_eq!(first["totals"]["pending"], 3, "{first:#}");

    lab.command(&["queue", "pause"]).run().expect(0);

    for events in [&mut events, &mut others] {
        let paused = events.find(|event| event["paused"] == true);
        assert!(paused.is_some(), "the stream ended");
    }
    coordinator.process.signal(libc::SIGTERM);
    coordinator.wait().expect(0);
    assert_eq!(events.count(), 0, "a stream ends with its server");
}

#[test]
fn its_metrics_tell_the_queue_and_pass_the_linter() {
    let lab = lab();
    let coordinator = coordinator(&lab, &[]);
    until_planned(&coordinator, 3);
    let queue = lab.output().join("queue.db");
    let queue = queue.display();

    let tasks = |state: &str| {
        coordinator.metric(&format!(
            "tapemill_queue_tasks{{dataset=\"aggTrades\",queue=\"{queue}\",state=\"{state}\"}}"
        ))
    };
    assert_eq!((tasks("pending"), tasks("dead")), (3.0, 0.0));
    let paused = format!("tapemill_queue_paused{{queue=\"{queue}\"}}");
    assert_eq!(coordinator.metric(&paused), 0.0);
    let idle = format!("tapemill_workers{{queue=\"{queue}\",state=\"idle\"}}");
    assert_eq!(coordinator.metric(&idle), 0.0);
    assert!(coordinator.metric(&format!("tapemill_store_memory_bytes{{queue=\"{queue}\"}}")) > 0.0);
    let text = coordinator.get("/metrics").body;
    for name in [
        "tapemill_queue_bytes",
        "tapemill_queue_oldest_pending_age_seconds",
        "tapemill_queue_oldest_lease_age_seconds",
        "tapemill_brake_seconds_remaining",
        "tapemill_build_info",
        "process_resident_memory_bytes",
        "tapemill_lease_expirations_total 0",
        "tapemill_stale_calls_rejected_total{op=\"complete\"} 0",
        "tapemill_store_call_duration_seconds_count{op=\"enqueue\"} 1",
        "tapemill_tasks_finished_total{dataset=\"aggTrades\",outcome=\"done\"} 0",
        "tapemill_http_responses_total{class=\"2xx\"}",
    ] {
        assert!(text.contains(&format!("\n{name}")), "no {name} in\n{text}");
    }
    assert_eq!(promtool(&text), "");

    lab.command(&["queue", "pause"]).run().expect(0);
    until("the gauge follows", || coordinator.metric(&paused) == 1.0);
}

#[test]
fn a_busy_port_is_one_line_that_names_it() {
    let lab = lab();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();

    for command in ["coordinator", "run"] {
        let refused = lab
            .everything(&[command])
            .args(["--listen", &address])
            .run()
            .expect(1);
        let line = refused.only_error_line();
        assert!(
            line.contains(&address) && line.contains("--listen"),
            "{line}"
        );
    }
    let usage = lab.everything(&["run", "--listen", "9464"]).run().expect(2);
    assert!(usage.only_error_line().contains("HOST:PORT"));
}

#[test]
fn it_plans_again_what_appears_and_at_once_what_the_queue_lost() {
    let lab = lab();
    let hourly = coordinator(&lab, &[]);
    let often = coordinator(&lab, &["--replan", "1s"]);
    until_planned(&hourly, 3);

    lab.mirror.trades("ETHUSDT", "2024-01", 500);
    until_planned(&often, 4);
    often.process.signal(libc::SIGTERM);
    often.wait().expect(0);

    lab.command(&["queue", "delete", "--yes"]).run().expect(0);
    until_planned(&hourly, 4);
    assert_eq!(hourly.said("the queue lost its tasks"), 1);
}

#[test]
fn an_archive_that_is_down_is_told_once_and_planned_when_it_is_back() {
    let lab = lab();
    let down = Fault::Status {
        status: 503,
        retry_after: None,
    };
    lab.mirror
        .set_faults(Faults::one("?prefix=**", down, When::Always));
    let coordinator = coordinator(&lab, &[]);
    until("it said so", || coordinator.said("planning fails") > 0);

    assert_eq!(coordinator.get("/healthz").status, 200);
    assert_eq!(coordinator.get("/readyz").status, 200);
    assert_eq!(total(&coordinator, "pending"), 0);
    lab.mirror.set_faults(Faults::none());

    until_planned(&coordinator, 3);
    assert_eq!(coordinator.said("planning fails"), 1);
    until("it said that too", || {
        coordinator.said("planning succeeds again") == 1
    });
}

#[test]
fn a_selection_that_is_not_there_and_settings_that_differ_end_it() {
    let lab = lab();
    let unknown = lab
        .from_source(&["coordinator", "--symbols", "BTCUSDX"])
        .args(["--listen", "127.0.0.1:0"])
        .run()
        .expect(1);
    assert!(unknown.error_line().contains("BTCUSDT"), "the nearest");

    lab.everything(&["plan"]).run().expect(0);
    let other = lab
        .everything(&["coordinator", "--whale-quote", "60000"])
        .args(["--listen", "127.0.0.1:0"])
        .run()
        .expect(1);
    assert!(other.error_line().contains("whale-quote"));
}

#[test]
fn it_returns_the_tasks_of_a_worker_that_is_gone() {
    let lab = lab();
    let coordinator = coordinator(&lab, &[]);
    until_planned(&coordinator, 3);
    let slow = Fault::Slow {
        bytes_per_second: 500,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
    let worker = lab.from_source(&["worker", "--workers", "1"]).spawn();
    until("it holds a task", || total(&coordinator, "leased") == 1);

    worker.kill();

    until("it is pending again", || {
        total(&coordinator, "pending") == 3
    });
    assert_eq!(coordinator.metric("tapemill_lease_expirations_total"), 1.0);
    assert_eq!(coordinator.said("its process is gone"), 1);
}
