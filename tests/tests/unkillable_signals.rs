//! Told to stop: what is in hand is finished or handed back, and nothing lies about.

use std::time::{Duration, Instant};

use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Running, hashes, parts, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Archives that take a minute and more each.
fn slow_lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    set_slow(&lab, 5_000);
    lab
}

fn set_slow(lab: &Lab, bytes_per_second: u64) {
    let slow = Fault::Slow { bytes_per_second };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
}

/// Starts and waits until it has bytes of an archive.
fn at_work(lab: &Lab, words: &[&str]) -> Running {
    let process = match words[0] {
        "worker" => lab.from_source(words).spawn(),
        _ => lab.everything(words).spawn(),
    };
    until("it has a task in hand", || lab.mirror.zip_bytes_sent() > 0);
    process
}

#[track_caller]
fn assert_handed_back_and_finished_by_the_next(lab: &Lab) {
    assert!(
        parts(&lab.output()).is_empty(),
        "{:?}",
        parts(&lab.output())
    );
    let done = |task: &serde_json::Value| task["state"] == "done";
    for task in lab.tasks().into_iter().filter(|task| !done(task)) {
        assert_eq!(task["state"], "pending", "{task:#}");
        assert_eq!(
            (&task["attempts"], &task["expiries"]),
            (&0.into(), &0.into()),
            "{task:#}"
        );
    }
    lab.mirror.set_faults(Faults::none());
    lab.everything(&["run"]).run().expect(0);
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
}

#[test]
fn an_interrupt_hands_tasks_back_when_the_grace_is_over() {
    let lab = slow_lab();
    let run = at_work(&lab, &["run", "--grace", "500ms"]);

    let begun = Instant::now();
    run.signal(libc::SIGINT);
    run.wait().expect(130);

    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert_handed_back_and_finished_by_the_next(&lab);
}

#[test]
fn an_interrupt_lets_tasks_in_hand_finish_within_the_grace() {
    let lab = slow_lab();
    set_slow(&lab, 400_000);
    let run = at_work(&lab, &["run", "--workers", "2"]);

    run.signal(libc::SIGINT);
    run.wait().expect(130);

    let totals = lab.totals();
    assert_eq!(
        (&totals["done"], &totals["pending"]),
        (&2.into(), &6.into()),
        "{totals}"
    );
    assert_eq!(lab.mirror.zips_asked_for().len(), 2, "no more was claimed");
    assert_handed_back_and_finished_by_the_next(&lab);
}

#[test]
fn a_second_interrupt_leaves_at_once_and_the_next_run_waits_for_nothing() {
    let lab = slow_lab();
    let mut run = at_work(&lab, &["run"]);

    // The first alone would drain for minutes. More than two, since those that come together count as one.
    let begun = Instant::now();
    until("it leaves", || {
        let runs = run.is_running();
        if runs {
            run.signal(libc::SIGINT);
        }
        !runs
    });
    run.wait().expect(130);

    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    lab.mirror.set_faults(Faults::none());
    let begun = Instant::now();
    lab.everything(&["run"]).run().expect(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
}

#[test]
fn an_interrupt_while_planning_ends_at_once() {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    let stall = Fault::Stall {
        seconds: 60.0,
        after_percent: 50,
    };
    lab.mirror
        .set_faults(Faults::one("?prefix=**", stall, When::Always));
    let run = lab.everything(&["run"]).spawn();
    until("it asked for a listing", || !lab.mirror.log().is_empty());

    let begun = Instant::now();
    run.signal(libc::SIGINT);
    run.wait().expect(130);

    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_terminated_worker_drains_and_is_no_failure() {
    let lab = slow_lab();
    lab.everything(&["plan"]).run().expect(0);
    let worker = at_work(&lab, &["worker", "--grace", "500ms"]);

    worker.signal(libc::SIGTERM);
    worker.wait().expect(0);

    let status = lab
        .command(&["status", "--json"])
        .run()
        .expect(0)
        .json_lines()
        .remove(0);
    assert_eq!(status["workers"], serde_json::json!([]), "it said goodbye");
    assert_handed_back_and_finished_by_the_next(&lab);
}

#[test]
fn an_idle_worker_waits_for_tasks_and_leaves_when_told() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 1_000);
    let worker = lab.from_source(&["worker"]).spawn();
    until("it opened the queue", || {
        lab.output().join("queue.db").exists()
    });

    lab.everything(&["plan"]).run().expect(0);
    until("it milled", || lab.totals()["done"] == 1);

    worker.signal(libc::SIGTERM);
    worker.wait().expect(0);
}

#[test]
fn an_interrupted_fetch_keeps_its_parts_and_goes_on() {
    let lab = slow_lab();
    let fetch = at_work(&lab, &["fetch"]);

    fetch.signal(libc::SIGINT);
    fetch.wait().expect(130);

    assert!(!parts(&lab.output()).is_empty());
    lab.mirror.set_faults(Faults::none());
    lab.mirror.clear_log();
    lab.everything(&["fetch"]).run().expect(0);
    let resumed = |request: &&tapemill_standin::server::Request| request.status == 206;
    let log = lab.mirror.log();
    assert!(log.iter().filter(resumed).count() > 0, "{log:#?}");
    assert!(
        parts(&lab.output()).is_empty(),
        "{:?}",
        parts(&lab.output())
    );
}

#[test]
fn a_task_cancelled_in_hand_is_stopped_by_the_next_heartbeat() {
    let lab = slow_lab();
    let run = at_work(
        &lab,
        &["run", "--workers", "1", "--lease", "3s", "--grace", "0s"],
    );

    let cancelled = lab
        .command(&["tasks", "cancel", "--state", "leased"])
        .run()
        .expect(0);
    assert_eq!(cancelled.stdout, "1 task cancelled\n");
    let before = lab.mirror.zips_asked_for().len();
    until("it goes on with another", || {
        lab.mirror.zips_asked_for().len() > before
    });

    run.signal(libc::SIGINT);
    run.wait().expect(130);
}
