//! The page and what it may change: in a real browser, on a real coordinator with work under way.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Running, Watched, browse, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const TOKEN: &str = "only-for-this-test";
const BEARER: (&str, &str) = ("Authorization", "Bearer only-for-this-test");
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A heartbeat a second.
const WORKER: [&str; 7] = [
    "worker",
    "--workers",
    "3",
    "--lease",
    "6s",
    "--name",
    "desk",
];

const CORRUPT: &str = "um/aggTrades/BADUSDT/2024-05";
const GONE: &str = "um/aggTrades/GONEUSDT/2024-04";

/// An archive that is corrupt, one that is listed and not there, two that take a while, and many small ones.
fn busy_lab() -> Lab {
    let lab = Lab::new(BINARY);
    let small = [
        "AAVEUSDT", "ADAUSDT", "DOGEUSDT", "LINKUSDT", "SOLUSDT", "XRPUSDT",
    ];
    for (number, symbol) in small.iter().enumerate() {
        for month in 1 + number..=12 {
            lab.mirror.trades(symbol, &format!("2023-{month:02}"), 100);
        }
    }
    lab.mirror.klines("SOLUSDT", "2023-12");
    lab.mirror.trades("BADUSDT", "2024-05", 300);
    lab.mirror.trades("GONEUSDT", "2024-04", 300);
    for month in ["2024-02", "2024-03"] {
        lab.mirror.trades("BTCUSDT", month, 100_000);
    }
    let not_there = Fault::Status {
        status: 404,
        retry_after: None,
    };
    let slow = Fault::Slow {
        bytes_per_second: 20_000,
    };
    let faults = Faults::one(
        "**/BADUSDT-*.zip",
        Fault::Corrupt { at_percent: 50 },
        When::Always,
    )
    .and("**/GONEUSDT-*.zip", not_there, When::Always)
    .and("**/BTCUSDT-*.zip", slow, When::Always);
    lab.mirror.set_faults(faults);
    lab
}

fn coordinator(lab: &Lab, token: Option<&str>) -> Watched {
    let mut command = lab.everything(&["coordinator"]);
    if let Some(token) = token {
        command = command.env("TAPEMILL_ADMIN_TOKEN", token);
    }
    Watched::start(command)
}

fn worker(lab: &Lab) -> Running {
    // A heartbeat a second.
    let words = [
        "worker",
        "--workers",
        "3",
        "--lease",
        "6s",
        "--name",
        "desk",
    ];
    lab.from_source(&words).spawn()
}

fn total(watched: &Watched, state: &str) -> u64 {
    let status = watched.get("/api/v1/status");
    let status: Value = serde_json::from_str(&status.body).unwrap_or_default();
    status["totals"][state].as_u64().unwrap_or_default()
}

/// The rows of a part of the map, once all of it is known.
fn map(watched: &Watched, query: &str) -> Vec<Value> {
    let mut document = Value::Null;
    until("the map is whole", || {
        document = watched.json(&format!("/api/v1/map{query}"));
        let map = &document["map"];
        map["whole"] == true && map["known"] == map["tasks"]
    });
    document["rows"].as_array().expect("rows").clone()
}

fn state_of(watched: &Watched, id: &str) -> Value {
    watched.json(&format!("/api/v1/tasks?prefix={id}"))["tasks"][0]["state"].clone()
}

#[test]
fn the_page_lives_shows_what_is_wrong_and_retries_with_the_token_alone() {
    let lab = busy_lab();
    // As people name it, for the pictures.
    let lake = Path::new("lake");
    let command = |words: &[&str]| {
        let command = lab.command_at(words, lake);
        command.args(["--source", lab.mirror.url()])
    };
    let coordinator = command(&["coordinator", "--symbols", "all"]);
    let coordinator = Watched::start(coordinator.env("TAPEMILL_ADMIN_TOKEN", TOKEN));
    until("it planned", || total(&coordinator, "pending") > 0);
    let worker = command(&WORKER).spawn();
    until("one is dead, one is missing", || {
        total(&coordinator, "dead") == 1 && total(&coordinator, "missing") == 1
    });

    let pictures = tempfile::tempdir().expect("a folder can be made");
    let url = format!("http://{}/", coordinator.address());
    let folder = pictures.path().to_str().expect("a plain path");
    browse("page.mjs", &[&url, TOKEN, CORRUPT, GONE, folder]);

    worker.kill();
    assert_eq!(coordinator.said(TOKEN), 0, "no log has the token");
    for name in ["status-light.png", "status-dark.png"] {
        let picture = pictures.path().join(name);
        let size = fs::metadata(&picture).expect("it was taken").len();
        assert!((10_000..150_000).contains(&size), "{name}: {size} bytes");
        // `TEST_PICTURES=docs/images` renews those of the documentation.
        if let Some(kept) = std::env::var_os("TEST_PICTURES") {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            fs::copy(&picture, workspace.join(kept).join(name)).expect("it can be kept");
        }
    }
}

#[test]
fn run_serves_the_same_page_and_api() {
    let lab = busy_lab();
    let run = Watched::start(lab.everything(&["run", "--workers", "3", "--lease", "6s"]));
    until("one is dead", || total(&run, "dead") == 1);

    let page = run.get("/");
    assert!(page.body.contains("<title>tapemill"), "{}", page.head);
    assert!(page.head.contains("script-src 'sha256-"), "{}", page.head);
    assert!(!page.head.contains("unsafe"), "{}", page.head);
    let rows = map(&run, "");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["um/aggTrades", "um/klines:1m"]);
    let event = run.events("/api/v1/events?view=page").next();
    let event = event.expect("an event");
    assert_eq!(event["status"]["totals"]["dead"], 1, "{event:#}");
    assert_eq!(event["failures"][0]["id"], CORRUPT, "{event:#}");
    let refused = run.post(
        "/api/v1/tasks/retry",
        &[BEARER, JSON],
        "{\"state\":\"dead\"}",
    );
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("TAPEMILL_ADMIN_TOKEN"), "{refused:?}");
}

#[test]
fn the_map_follows_a_task_from_symbol_to_symbol_and_state_to_state() {
    let lab = busy_lab();
    let coordinator = coordinator(&lab, None);
    until("it planned", || total(&coordinator, "pending") > 0);
    let rows = map(&coordinator, "");
    let pending = total(&coordinator, "pending");
    let sum: u64 = rows
        .iter()
        .filter_map(|row| row["counts"][0].as_u64())
        .sum();
    assert_eq!(sum, pending, "all are on the map before anything is done");

    let worker = worker(&lab);
    until("one is dead", || total(&coordinator, "dead") == 1);

    until("it shows with its reason", || {
        let dead = map(&coordinator, "?series=um/aggTrades&state=dead");
        let told = dead
            .first()
            .map(|row| (&row["kind"], &row["name"], &row["reasons"]));
        let reasons = json!({"2024-05": "corrupt"});
        told == Some((&json!("symbol"), &json!("BADUSDT"), &reasons))
    });
    for (prefix, counts) in [("GONE", [0, 0, 0, 1, 0]), ("BTC", [0, 2, 0, 0, 0])] {
        until("what is missing shows, and what is leased", || {
            let rows = map(
                &coordinator,
                &format!("?series=um/aggTrades&prefix={prefix}"),
            );
            rows[0]["counts"] == json!(counts)
        });
    }
    worker.kill();
    lab.command(&["queue", "delete", "--yes"]).run().expect(0);
    until("it is planned anew, and on the map", || {
        let planned = total(&coordinator, "pending") + total(&coordinator, "done");
        let dead = coordinator.json("/api/v1/map?series=um/aggTrades&state=dead");
        planned == pending && dead["rows"] == json!([])
    });
    for bad in [
        "state=dead",
        "prefix=B",
        "series=um/aggTrades&state=lost",
        "colour=red",
    ] {
        let reply = coordinator.get(&format!("/api/v1/map?{bad}"));
        assert_eq!(reply.status, 400, "{reply:?}");
    }
}

#[test]
fn only_the_token_changes_the_queue_and_only_within_bounds() {
    let lab = busy_lab();
    let coordinator = coordinator(&lab, Some(TOKEN));
    until("it planned", || total(&coordinator, "pending") > 0);
    let cancelled = ["tasks", "cancel", CORRUPT, GONE];
    lab.command(&cancelled).run().expect(0);
    let retry = |headers: &[(&str, &str)], body: &str| {
        coordinator.post("/api/v1/tasks/retry", headers, body)
    };
    let named = json!({"ids": [CORRUPT]}).to_string();

    let wrong = ("Authorization", "Bearer only-for-this-tesT");
    for headers in [vec![JSON], vec![JSON, wrong], vec![]] {
        let refused = retry(&headers, &named);
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(
            refused.head.contains("www-authenticate: Bearer"),
            "{refused:?}"
        );
        assert!(refused.body.starts_with("{\"error\":"), "{refused:?}");
    }
    for path in ["/api/v1/queue/pause", "/api/v1/queue/resume"] {
        assert_eq!(coordinator.post(path, &[JSON], "{}").status, 401);
    }
    let evil = ("Origin", "http://evil.example");
    assert_eq!(retry(&[JSON, BEARER, evil], &named).status, 403);
    assert_eq!(
        state_of(&coordinator, CORRUPT),
        "dead",
        "nothing was changed"
    );

    for (status, body) in [
        (400, "{}".to_owned()),
        (400, "{".to_owned()),
        (422, "{\"all\":true}".to_owned()),
        (400, json!({"ids": [CORRUPT], "state": "dead"}).to_string()),
        (400, json!({"ids": vec!["x"; 1001]}).to_string()),
        (404, json!({"ids": vec!["x".repeat(500); 1000]}).to_string()),
        (413, json!({"ids": ["x".repeat(700_000)]}).to_string()),
        (
            404,
            json!({"ids": [CORRUPT, "um/aggTrades/NOUSDT/2024-01"]}).to_string(),
        ),
    ] {
        let refused = retry(&[JSON, BEARER], &body);
        assert_eq!(refused.status, status, "{body}: {refused:?}");
    }
    assert_eq!(
        retry(&[BEARER], &named).status,
        415,
        "no form of a browser's"
    );
    assert_eq!(
        state_of(&coordinator, CORRUPT),
        "dead",
        "nothing was changed"
    );

    let retried = retry(&[JSON, BEARER], &named);
    assert_eq!(
        (retried.status, &*retried.body),
        (200, "{\"next\":null,\"retried\":1}")
    );
    assert_eq!(state_of(&coordinator, CORRUPT), "pending");
    assert_eq!(state_of(&coordinator, GONE), "dead");
    let rest = retry(&[JSON, BEARER], "{\"state\":\"dead\",\"prefix\":\"um/\"}");
    assert_eq!(
        (rest.status, &*rest.body),
        (200, "{\"next\":null,\"retried\":1}")
    );
    assert_eq!(state_of(&coordinator, GONE), "pending");

    assert_eq!(
        coordinator
            .post("/api/v1/queue/pause", &[JSON, BEARER], "")
            .status,
        200
    );
    until("it is paused", || {
        coordinator.json("/api/v1/status")["paused"] == true
    });
    assert_eq!(
        coordinator
            .post("/api/v1/queue/resume", &[BEARER], "")
            .status,
        200
    );
    until("it goes on", || {
        coordinator.json("/api/v1/status")["paused"] == false
    });
    assert_eq!(coordinator.said(TOKEN), 0, "no log has the token");
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_at_the_start() {
    let lab = Lab::new(BINARY);
    for command in ["coordinator", "run"] {
        for token in ["", "two words", "naïve"] {
            let refused = lab
                .everything(&[command, "--listen", "127.0.0.1:0"])
                .env("TAPEMILL_ADMIN_TOKEN", token)
                .run()
                .expect(2);
            let line = refused.only_error_line();
            assert!(line.contains("TAPEMILL_ADMIN_TOKEN"), "{line}");
            assert!(token.is_empty() || !line.contains(token), "{line}");
        }
    }
}
