//! Disks that are full, read-only or hold something else: no fault of a task, and nothing is lost.

use std::fs;
use std::path::Path;

use tapemill_tests::{Disk, Lab, Tapemill, hashes, parts};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab
}

/// `words` with the queue outside the output.
fn with_queue(lab: &Lab, words: &[&str]) -> Tapemill {
    let queue = format!("sqlite:{}", lab.folder().join("queue.db").display());
    lab.command(words).args(["--queue", &queue])
}

fn run(lab: &Lab) -> Tapemill {
    with_queue(
        lab,
        &["run", "--symbols", "all", "--source", lab.mirror.url()],
    )
}

#[track_caller]
fn assert_all_are_pending_at_no_cost(lab: &Lab) {
    let listed = with_queue(lab, &["tasks", "list", "--json"])
        .run()
        .expect(0);
    let tasks = listed.json_lines();
    assert_eq!(tasks.len(), 8);
    for task in tasks.iter().filter(|task| task["state"] != "done") {
        assert_eq!(task["state"], "pending", "{task:#}");
        assert_eq!(
            (&task["attempts"], &task["expiries"]),
            (&0.into(), &0.into()),
            "{task:#}"
        );
        assert_eq!(
            task["history"].as_array().map(Vec::len),
            Some(0),
            "{task:#}"
        );
    }
    let open = tasks
        .iter()
        .filter(|task| task["state"] == "pending")
        .count();
    assert!(open > 0, "not everything can have been done");
}

#[test]
fn a_full_disk_releases_the_tasks_removes_the_parts_and_says_so() {
    let lab = lab();
    let expected = lab.undisturbed();
    let Some(disk) = Disk::mount(lab.output(), "size=600k") else {
        return;
    };

    let full = run(&lab).run().expect(1);

    let line = full.error_line();
    assert!(
        line.contains("no space left for") && line.contains("another place (--output"),
        "{line}"
    );
    assert_all_are_pending_at_no_cost(&lab);
    assert!(
        parts(&lab.output()).is_empty(),
        "{:?}",
        parts(&lab.output())
    );
    for (file, hash) in hashes(&lab.output()) {
        assert_eq!(
            expected.get(&file),
            Some(&hash),
            "what is there is whole: {file}"
        );
    }

    disk.enlarge("200m");
    run(&lab).run().expect(0);
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn a_disk_that_is_full_for_a_kept_archive_is_no_fault_of_the_task() {
    let lab = lab();
    let Some(_disk) = Disk::mount(lab.output(), "size=100k") else {
        return;
    };

    let full = run(&lab).args(["--keep-zip"]).run().expect(1);
    let fetch = lab.everything(&["fetch"]).run().expect(1);

    assert!(
        full.error_line().contains("no space left for"),
        "{}",
        full.stderr
    );
    assert!(
        fetch.error_line().contains("no space left for"),
        "{}",
        fetch.stderr
    );
    assert_all_are_pending_at_no_cost(&lab);
}

#[test]
fn a_disk_that_is_full_for_the_queue_is_one_line() {
    let lab = lab();
    let Some(_disk) = Disk::mount(lab.output(), "size=24k") else {
        return;
    };

    let run = lab.everything(&["run"]).run().expect(1);

    let line = run.error_line();
    assert!(
        line.contains("queue.db") && line.contains("free space"),
        "{line}"
    );
}

#[test]
fn a_read_only_output_is_one_line_and_costs_no_attempt() {
    let lab = lab();
    let Some(disk) = Disk::mount(lab.output(), "size=10m") else {
        return;
    };
    disk.make_read_only();

    let refused = run(&lab).run().expect(1);
    let with_its_queue = lab.everything(&["run"]).run().expect(1);

    let line = refused.error_line();
    assert!(
        line.contains("no permission for") && line.contains("another place (--output"),
        "{line}"
    );
    assert_all_are_pending_at_no_cost(&lab);
    let line = with_its_queue.only_error_line();
    assert!(
        line.contains("queue.db") && line.contains("writable"),
        "{line}"
    );
}

#[test]
fn an_output_that_is_a_file_is_refused() {
    let lab = lab();
    fs::write(lab.output(), "notes").expect("it can be written");

    for command in ["run", "fetch"] {
        let refused = lab.everything(&[command]).run().expect(2);
        assert!(
            refused.only_error_line().contains("is a file"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(
        fs::read_to_string(lab.output()).expect("it is there"),
        "notes"
    );
}

/// Every command that opens a queue.
fn commands_on_a_queue(lab: &Lab) -> Vec<Tapemill> {
    vec![
        lab.everything(&["run"]),
        lab.everything(&["plan"]),
        lab.from_source(&["worker", "--exit-when-drained"]),
        lab.command(&["status"]),
        lab.command(&["tasks", "list"]),
        lab.command(&["queue", "list"]),
        lab.command(&["queue", "delete", "--yes"]),
    ]
}

#[track_caller]
fn assert_refused_and_untouched(lab: &Lab, file: &Path, why: &str) {
    let before = fs::read(file).expect("it is there");
    for command in commands_on_a_queue(lab) {
        let refused = command.run().expect(1);
        let line = refused.only_error_line();
        assert!(line.contains("queue.db") && line.contains(why), "{line}");
        assert_eq!(
            fs::read(file).expect("it is there"),
            before,
            "it was left untouched"
        );
    }
}

#[test]
fn a_queue_file_that_is_none_is_refused_and_untouched() {
    let lab = lab();
    let file = lab.output().join("queue.db");
    fs::create_dir(lab.output()).expect("a folder can be made");

    let text = "meeting notes, not a database\n".repeat(100);
    fs::write(&file, text).expect("it can be written");
    assert_refused_and_untouched(&lab, &file, "is not a tapemill queue");

    let python = tapemill_tests::Python::new();
    fs::remove_file(&file).expect("it is there");
    let other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table t (x)'); c.commit()";
    python.run(&["-c", other, &file.to_string_lossy()]);
    assert_refused_and_untouched(&lab, &file, "is not a tapemill queue");
}

#[test]
fn a_queue_of_a_newer_version_is_refused_and_untouched() {
    let lab = lab();
    let file = lab.output().join("queue.db");
    lab.everything(&["plan"]).run().expect(0);
    let raise = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('pragma user_version = 99'); \
                 c.execute('pragma wal_checkpoint(truncate)')";
    tapemill_tests::Python::new().run(&["-c", raise, &file.to_string_lossy()]);

    assert_refused_and_untouched(&lab, &file, "use a newer tapemill");
}

#[test]
fn looking_at_a_queue_never_makes_one() {
    let lab = lab();
    for words in [
        ["status", "--json"],
        ["tasks", "list"],
        ["queue", "list"],
        ["queue", "pause"],
    ] {
        let refused = lab.command(&words).run().expect(1);
        assert!(
            refused.only_error_line().contains("there is no queue at"),
            "{}",
            refused.stderr
        );
    }
    assert!(!lab.output().exists());
}

#[test]
fn an_export_to_a_full_or_a_read_only_disk_says_so_and_leaves_no_part() {
    let lab = lab();
    run(&lab).run().expect(0);
    let to = lab.folder().join("small");
    let Some(disk) = Disk::mount(to.clone(), "size=200k") else {
        return;
    };
    let wide = ["export", "wide"].as_slice();
    let arrow = ["export", "arrow", "--interval", "1m"].as_slice();
    let export = |words: &[&str]| {
        let command = lab.command(words).args(["--to"]);
        command.args([&to]).run().expect(1)
    };
    for words in [wide, arrow] {
        let full = export(words);
        let line = full.only_error_line();
        assert!(line.contains("no space left for"), "{line}");
        assert_eq!(parts(&to), [""; 0]);
    }
    disk.enlarge("200m");
    disk.make_read_only();
    for words in [wide, arrow] {
        let refused = export(words);
        let line = refused.only_error_line();
        assert!(line.contains("no permission for"), "{line}");
    }
}
