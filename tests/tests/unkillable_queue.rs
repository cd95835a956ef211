//! What a person does to a queue and an output by hand.

use std::fs;

use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, hashes, parts, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn planned() -> Lab {
    let lab = Lab::new(BINARY);
    for month in ["2024-01", "2024-02", "2024-03"] {
        lab.mirror.trades("BTCUSDT", month, 2_000);
    }
    lab.everything(&["plan"]).run().expect(0);
    lab
}

fn say(lab: &Lab, words: &[&str]) -> String {
    lab.command(words).run().expect(0).stdout
}

fn drain(lab: &Lab) {
    lab.from_source(&["worker", "--exit-when-drained"])
        .run()
        .expect(0);
}

#[test]
fn a_paused_queue_gives_no_tasks_until_it_is_resumed() {
    let lab = planned();

    assert_eq!(say(&lab, &["queue", "pause"]), "paused\n");
    let status = lab
        .command(&["status", "--json"])
        .run()
        .expect(0)
        .json_lines();
    assert_eq!(status[0]["paused"], true);
    let worker = lab.from_source(&["worker", "--exit-when-drained"]).spawn();
    until("the worker is there", || {
        let status = lab
            .command(&["status", "--json"])
            .run()
            .expect(0)
            .json_lines();
        status[0]["workers"]
            .as_array()
            .is_some_and(|workers| !workers.is_empty())
    });
    assert_eq!(lab.totals()["pending"], 3);
    assert_eq!(lab.mirror.zips_asked_for(), [""; 0]);

    assert_eq!(say(&lab, &["queue", "resume"]), "resumed\n");
    worker.wait().expect(0);
    assert_eq!(lab.totals()["done"], 3);
}

#[test]
fn tasks_are_listed_by_filter_and_newest_come_first() {
    let lab = planned();
    lab.mirror.klines("ETHUSDT", "2024-01");
    lab.everything(&["plan"]).run().expect(0);
    let ids = |words: &[&str]| -> Vec<String> {
        let listed = lab
            .command(&["tasks", "list", "--json"])
            .args(words)
            .run()
            .expect(0)
            .json_lines();
        listed
            .iter()
            .map(|task| task["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };

    assert_eq!(ids(&[]).len(), 4);
    assert_eq!(
        ids(&["--dataset", "klines:1m"]),
        ["um/klines:1m/ETHUSDT/2024-01"]
    );
    assert_eq!(ids(&["--prefix", "um/aggTrades/BTCUSDT/2024-02"]).len(), 1);
    assert_eq!(ids(&["--state", "done"]).len(), 0);
    assert_eq!(ids(&["--limit", "2"]).len(), 2);
    assert_eq!(ids(&["um/aggTrades/BTCUSDT/2024-03"]).len(), 1);
    let absent = lab
        .command(&["tasks", "show", "um/aggTrades/XYZ/2024-03"])
        .run()
        .expect(1);
    assert!(
        absent.only_error_line().contains("there is no task"),
        "{}",
        absent.stderr
    );
    let all = lab.command(&["tasks", "cancel"]).run().expect(2);
    assert!(all.only_error_line().contains("filter"), "{}", all.stderr);

    lab.from_source(&["worker", "--exit-when-drained", "--workers", "1"])
        .run()
        .expect(0);
    let zips = lab.mirror.zips_asked_for();
    let newest_first = ["2024-03", "2024-02"].map(|month| format!("BTCUSDT-aggTrades-{month}.zip"));
    for (zip, name) in zips.iter().zip(newest_first) {
        assert!(zip.ends_with(&name), "{zips:?}");
    }
}

#[test]
fn a_cancelled_task_is_dead_and_stays_so_until_it_is_retried() {
    let lab = planned();
    let id = "um/aggTrades/BTCUSDT/2024-02";

    assert_eq!(say(&lab, &["tasks", "cancel", id]), "1 task cancelled\n");
    drain(&lab);

    let task = lab.task(id);
    assert_eq!(
        (&task["state"], &task["reason"]),
        (&"dead".into(), &"cancelled".into()),
        "{task:#}"
    );
    assert_eq!(lab.totals()["done"], 2);
    assert_eq!(hashes(&lab.output()).len(), 4);

    assert_eq!(say(&lab, &["tasks", "retry", id]), "1 task retried\n");
    drain(&lab);
    assert_eq!(lab.totals()["done"], 3);
}

#[test]
fn finished_tasks_can_be_forgotten_and_are_found_again_in_the_output() {
    let lab = planned();
    drain(&lab);
    let made = hashes(&lab.output());

    assert_eq!(
        say(&lab, &["queue", "prune"]),
        "forgot 0 finished tasks\n",
        "they are younger than a week"
    );
    assert_eq!(
        say(&lab, &["queue", "prune", "--older-than", "0s"]),
        "forgot 3 finished tasks\n"
    );
    assert_eq!(lab.tasks().len(), 0);
    lab.mirror.clear_log();
    lab.everything(&["run"]).run().expect(0);

    assert_eq!(lab.mirror.zips_asked_for(), [""; 0]);
    assert_eq!(hashes(&lab.output()), made);
    assert_eq!(lab.totals()["done"], 3);
}

#[test]
fn a_queue_is_deleted_only_when_that_is_said_twice_and_takes_its_settings_along() {
    let lab = planned();

    let refused = lab.command(&["queue", "delete"]).run().expect(2);
    assert!(
        refused.only_error_line().contains("--yes"),
        "{}",
        refused.stderr
    );
    assert_eq!(lab.tasks().len(), 3);

    lab.command(&["queue", "delete", "--yes"]).run().expect(0);
    assert_eq!(lab.tasks().len(), 0);
    lab.everything(&["run", "--whale-quote", "60000"])
        .run()
        .expect(0);
    let listed = say(&lab, &["queue", "list"]);
    assert!(
        listed.contains("3 done") && listed.contains("whale-quote=60000"),
        "{listed}"
    );
}

/// Kills a run while it has a part in its hands, and gives the names of what lies about.
fn killed(lab: &Lab) -> Vec<String> {
    let slow = Fault::Slow {
        bytes_per_second: 10_000,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
    let run = lab.everything(&["run", "--keep-zip"]).spawn();
    until("a part is there", || !parts(&lab.output()).is_empty());
    let held = say(lab, &["cleanup", "--dry-run"]);
    assert_eq!(
        held, "",
        "what a living process holds is no one's to remove"
    );
    run.kill();
    lab.mirror.set_faults(Faults::none());
    parts(&lab.output())
}

#[test]
fn cleanup_removes_the_parts_of_dead_processes_and_no_table() {
    let lab = planned();
    lab.from_source(&["run", "--symbols", "BTCUSDT", "--months", "2024-01"])
        .run()
        .expect(0);
    let made = hashes(&lab.output());
    let left = killed(&lab);
    assert!(!left.is_empty());

    let would = say(&lab, &["cleanup", "--dry-run"]);
    assert_eq!(parts(&lab.output()), left, "a dry run removes nothing");
    let removed = say(&lab, &["cleanup"]);

    assert_eq!(would, removed);
    assert!(
        left.iter().all(|part| removed.contains(part.as_str())),
        "{removed}"
    );
    assert!(parts(&lab.output()).is_empty());
    assert_eq!(hashes(&lab.output()), made);
    assert_eq!(say(&lab, &["cleanup"]), "", "there is nothing left to do");
    lab.everything(&["run"]).run().expect(0);
    assert_eq!(lab.totals()["done"], 3);
}

#[test]
fn cleanup_removes_superseded_days_and_leaves_the_files_of_others() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-02-01", 500);
    lab.everything(&["run"]).run().expect(0);
    let day = lab
        .output()
        .join("factors_1h/um/BTCUSDT/2024-02-01.parquet");
    let bytes = fs::read(&day).expect("it was made");
    assert_eq!(say(&lab, &["cleanup"]), "", "a day without its month stays");
    lab.mirror.trades("BTCUSDT", "2024-02", 2_000);
    lab.everything(&["run"]).run().expect(0);
    let made = hashes(&lab.output());
    fs::write(&day, bytes).expect("it can be written");
    let notes = lab.output().join("notes.txt");
    fs::write(&notes, "mine").expect("it can be written");

    let removed = lab
        .command(&["cleanup", "--json"])
        .run()
        .expect(0)
        .json_lines();

    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(
        removed[0]["path"],
        "factors_1h/um/BTCUSDT/2024-02-01.parquet"
    );
    assert!(!day.exists() && notes.exists());
    assert_eq!(hashes(&lab.output()), made);
}
