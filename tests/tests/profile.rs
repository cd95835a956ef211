//! `--profile` tells what bounded a run.

use std::path::Path;

use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Redis};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Where syncing costs nothing, so that a busy disk is no part of these.
fn memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").expect("there is memory")
}

#[test]
fn a_run_from_a_slow_mirror_is_bounded_by_the_network() {
    let lab = Lab::new(BINARY);
    let archive = lab.mirror.trades("BTCUSDT", "2024-01", 20_000);
    // The archive takes 5 s, computing a twentieth of that.
    let bytes = archive.path.metadata().expect("it is there").len();
    let slow = Fault::Slow {
        bytes_per_second: bytes / 5,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
    let memory = memory();
    let run = lab.run_into(&memory.path().join("out"));

    let run = run.args(["--profile", "--json"]).run();

    let told = &run.expect(0).json_lines()[0]["profile"];
    assert_eq!(told["bound"], "network", "{told}");
    assert!(told["seconds"]["fetch"].as_f64() > Some(4.0), "{told}");
    let why = told["why"].as_str().expect("it is text");
    assert!(why.starts_with("the archive was waited for "), "{why}");
}

#[test]
fn a_run_from_a_folder_into_memory_is_bounded_by_the_cpu() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 2_000_000);
    let memory = memory();
    let output = memory.path().join("out");
    let words = [
        "run",
        "-q",
        "--profile",
        "--workers",
        "1",
        "--symbols",
        "all",
    ];
    let command = lab.command_at(&words, &output);
    let source = [Path::new("--source"), lab.mirror.root()];

    let run = command.args(source).run().expect(0);

    // Asked for, so told even when quiet; and nothing else is.
    let lines: Vec<&str> = run.stderr.lines().collect();
    let names = lines
        .iter()
        .filter_map(|line| line.split_whitespace().next());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "stage",
            "plan",
            "fetch",
            "hash",
            "inflate",
            "parse",
            "write",
            "publish",
            "store",
            "catalogue",
            "wall",
            "calls",
            "bounded"
        ],
        "{}",
        run.stderr
    );
    let last = lines.last().expect("there are lines");
    assert!(
        last.starts_with("bounded by: CPU (busy for "),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn without_the_flag_nothing_is_told() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 100);

    let run = lab.everything(&["run", "--json"]).run().expect(0);

    assert!(run.json_lines()[0].get("profile").is_none());
    assert!(!run.stderr.contains("bounded by"), "{}", run.stderr);
}

/// 200 tasks of a few rows each, from a folder into memory, four at once; the profile of that.
fn tiny_tasks(queue: Option<&str>) -> serde_json::Value {
    let lab = Lab::new(BINARY);
    for number in 0..200 {
        let (month, day) = (number / 25 + 1, number % 25 + 1);
        lab.mirror
            .trades("BTCUSDT", &format!("2024-{month:02}-{day:02}"), 20);
    }
    let memory = memory();
    let words = [
        "run",
        "--workers",
        "4",
        "--symbols",
        "all",
        "--profile",
        "--json",
    ];
    let mut command = lab
        .command_at(&words, &memory.path().join("out"))
        .args([Path::new("--source"), lab.mirror.root()]);
    if let Some(queue) = queue {
        command = command.args(["--queue", queue]);
    }

    let run = command.run().expect(0);

    let told = run.json_lines().remove(0);
    assert_eq!(told["done"], 200, "{told}");
    told["profile"].clone()
}

/// A call to confirm its lease, and one that completes it and claims the next. What the four places claim in the
/// beginning and ask for in the end is the rest.
#[track_caller]
fn assert_two_calls_a_task(profile: &serde_json::Value) {
    let calls = profile["queue_calls_per_task"].as_f64().expect("a number");
    assert!((1.9..=2.1).contains(&calls), "{profile}");
}

#[test]
fn a_task_costs_two_calls_to_an_sqlite_queue() {
    assert_two_calls_a_task(&tiny_tasks(None));
}

#[test]
fn a_task_costs_two_calls_to_a_redis_queue() {
    let redis = Redis::start();

    assert_two_calls_a_task(&tiny_tasks(Some(&redis.url())));
}
