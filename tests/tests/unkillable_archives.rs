//! Archives that are wrong: the state, the reason and the exit code tell how, and nothing of them is published.

use serde_json::Value;
use tapemill_standin::generate::{Damage, EntryName, Packing, Sidecar, ZipOptions};
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, hashes, parts, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const TASK: &str = "um/aggTrades/BTCUSDT/2024-01";
const FILE: &str = "BTCUSDT-aggTrades-2024-01.zip";
const ROWS: u64 = 5_000;

/// An archive with one file.
fn lab(packing: &Packing) -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror
        .lay(trades_of("BTCUSDT", "2024-01", ROWS), packing);
    lab
}

/// An archive with one file whose row 2,500 is another text.
fn lab_with_row(text: &str) -> Lab {
    let lab = Lab::new(BINARY);
    let mut spec = trades_of("BTCUSDT", "2024-01", ROWS);
    spec.style.broken_row = Some((2_500, text.to_owned()));
    lab.mirror.lay(spec, &Packing::default());
    lab
}

fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
    }
}

#[track_caller]
fn assert_published_with(lab: &Lab, verdict: &str) {
    let made = hashes(&lab.output());
    assert_eq!(made.len(), 2, "{made:?}");
    assert_eq!(lab.task(TASK)["summary"]["verdict"], verdict);
    for file in made.keys() {
        let bytes = std::fs::read(lab.output().join(file)).expect("it was made");
        let told = format!("\"verdict\":\"{verdict}\"");
        let is_told = bytes
            .windows(told.len())
            .any(|window| window == told.as_bytes());
        assert!(is_told, "the footer of {file} does not tell {told}");
    }
}

/// The task is dead for this reason, and nothing lies about.
#[track_caller]
fn assert_dead(lab: &Lab, reason: &str) -> Value {
    let task = lab.task(TASK);
    assert_eq!(
        (&task["state"], &task["reason"]),
        (&"dead".into(), &reason.into()),
        "{task:#}"
    );
    assert!(hashes(&lab.output()).is_empty());
    assert!(parts(&lab.output()).is_empty());
    task
}

#[test]
fn a_wrong_checksum_of_bytes_that_came_twice_is_published_and_told() {
    let lab = lab(&Packing {
        sidecar: Sidecar::Wrong,
        ..Packing::default()
    });

    let run = lab.everything(&["run"]).run().expect(0);

    assert_published_with(&lab, "stale_sidecar");
    assert!(run.stderr.contains(FILE), "{}", run.stderr);
    assert_eq!(lab.mirror.zips_asked_for().len(), 2);
}

#[test]
fn a_checksum_that_was_wrong_once_is_asked_for_again() {
    let lab = lab(&Packing::default());
    lab.mirror.set_faults(Faults::one(
        "**.CHECKSUM",
        Fault::WrongChecksum,
        When::First(1),
    ));

    lab.everything(&["run"]).run().expect(0);

    assert_published_with(&lab, "ok");
    assert_eq!(lab.mirror.zips_asked_for().len(), 1);
}

#[test]
fn an_archive_without_checksum_is_published_and_told() {
    let lab = lab(&Packing {
        sidecar: Sidecar::Absent,
        ..Packing::default()
    });

    lab.everything(&["run"]).run().expect(0);

    assert_published_with(&lab, "no_sidecar");
}

#[test]
fn a_checksum_that_answers_500_is_not_taken_for_none() {
    let lab = lab(&Packing::default());
    lab.mirror
        .set_faults(Faults::one("**.CHECKSUM", status(500), When::Always));

    lab.everything(&["run", "--attempts", "1"]).run().expect(3);

    assert_dead(&lab, "http_5xx");
}

#[test]
fn a_flipped_byte_makes_the_archive_dead() {
    for sidecar in [Sidecar::Natural, Sidecar::OfIntact] {
        let lab = lab(&Packing {
            sidecar,
            damage: Some(Damage::FlippedByte(50)),
            ..Packing::default()
        });

        let run = lab.everything(&["run"]).run().expect(3);

        let task = assert_dead(&lab, "corrupt");
        assert!(
            run.stderr.contains(&format!("dead: {TASK}: corrupt")),
            "{}",
            run.stderr
        );
        assert_eq!(
            task["attempts"], 1,
            "the same bytes twice need no third time"
        );
        assert_eq!(lab.mirror.zips_asked_for().len(), 2);
    }
}

#[test]
fn a_byte_flipped_on_the_way_is_healed_by_another_reading() {
    let lab = lab(&Packing::default());
    let expected = lab.undisturbed();
    let flipped = Fault::Corrupt { at_percent: 50 };
    lab.mirror
        .set_faults(Faults::one("**.zip", flipped, When::First(1)));

    lab.everything(&["run"]).run().expect(0);

    assert_published_with(&lab, "ok");
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn a_bad_row_is_named_by_file_line_column_and_content() {
    // The header is line 1.
    for (row, column, found) in [
        ("2502500,forty,0.1,1,1,1704067200000,true", "price", "forty"),
        (
            "2502500,40000.0,-0.1,1,1,1704067200000,true",
            "quantity",
            "-0.1",
        ),
        (
            "2502500,40000.0,0.1,1,1,yesterday,true",
            "transact_time",
            "yesterday",
        ),
        (
            "2502500,40000.0,0.1,1,1,1704067200000,maybe",
            "is_buyer_maker",
            "maybe",
        ),
        ("x,40000.0,0.1,1,1,1704067200000,true", "agg_trade_id", "x"),
    ] {
        let lab = lab_with_row(row);

        let run = lab.everything(&["run"]).run().expect(3);

        let task = assert_dead(&lab, "corrupt");
        let told = format!("{FILE}: line 2502, column {column}: {found:?} is not ");
        assert!(run.stderr.contains(&told), "{told}\n{}", run.stderr);
        assert!(
            task["message"].as_str().unwrap_or_default().contains(&told),
            "{task:#}"
        );
    }
}

#[test]
fn a_row_of_too_few_cells_or_rubbish_is_never_skipped() {
    for row in [
        "1,2,3",
        "",
        "\u{0}\u{1}\u{2}",
        "a,price,quantity,first,last,time,maker",
    ] {
        let lab = lab_with_row(row);

        let run = lab.everything(&["run"]).run().expect(3);

        assert_dead(&lab, "corrupt");
        assert!(
            run.stderr.contains(&format!("{FILE}: line 2502, ")),
            "{row:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_listed_archive_that_is_404_is_missing_and_no_failure() {
    let lab = lab(&Packing::default());
    lab.mirror.trades("ETHUSDT", "2024-01", 1_000);
    lab.mirror
        .set_faults(Faults::one("**/BTCUSDT-*.zip", status(404), When::Always));

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(lab.task(TASK)["state"], "missing");
    assert_eq!(
        lab.mirror.zips_asked_for().len(),
        2,
        "a 404 is never retried at once"
    );
    assert_eq!(hashes(&lab.output()).len(), 2, "the other one is there");

    lab.mirror.set_faults(Faults::none());
    lab.everything(&["run"]).run().expect(0);

    assert_eq!(lab.task(TASK)["state"], "done", "it is there now");
}

#[test]
fn a_403_is_dead_and_never_missing() {
    let lab = lab(&Packing::default());
    lab.mirror
        .set_faults(Faults::one("**.zip", status(403), When::Always));

    let run = lab.everything(&["run", "--attempts", "1"]).run().expect(3);

    assert_dead(&lab, "http_403");
    assert!(run.stderr.contains("answered 403"), "{}", run.stderr);
    assert_eq!(
        lab.mirror.zips_asked_for().len(),
        6,
        "requests without progress"
    );
}

#[test]
fn the_history_tells_every_attempt_and_retry_finishes_after_the_repair() {
    let lab = lab_with_row("2502500,40000.0,NaN,1,1,1704067200000,true");
    lab.everything(&["run"]).run().expect(3);

    let task = lab.task(TASK);
    let shown = lab.command(&["tasks", "show", TASK]).run().expect(0).stdout;
    let listed = lab.tasks().remove(0);
    let history = task["history"].as_array().expect("there is a history");
    assert_eq!(history.len(), 1, "{task:#}");
    assert_eq!(history[0]["reason"], "corrupt");
    assert_eq!(history[0]["generation"], 1);
    assert!(
        history[0]["worker"]
            .as_str()
            .is_some_and(|worker| !worker.is_empty())
    );
    assert_eq!(listed["history"], task["history"]);
    for told in ["dead", "corrupt", "line 2502", "quantity", "NaN"] {
        assert!(shown.contains(told), "{told}\n{shown}");
    }

    // Planning again leaves it dead; so does a worker.
    lab.everything(&["plan"]).run().expect(0);
    lab.from_source(&["worker", "--exit-when-drained"])
        .run()
        .expect(0);
    assert_dead(&lab, "corrupt");

    lab.mirror.trades("BTCUSDT", "2024-01", ROWS);
    let expected = lab.undisturbed();
    let retried = lab
        .command(&["tasks", "retry", "--state", "dead"])
        .run()
        .expect(0);
    assert_eq!(retried.stdout, "1 task retried\n");
    assert_eq!(lab.task(TASK)["state"], "pending");
    lab.from_source(&["worker", "--exit-when-drained"])
        .run()
        .expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let task = lab.task(TASK);
    assert_eq!(task["state"], "done");
    assert_eq!(
        task["history"].as_array().map(Vec::len),
        Some(1),
        "what went wrong is kept: {task:#}"
    );
}

#[test]
fn run_revives_the_dead_tasks_of_its_selection_and_no_others() {
    let lab = lab_with_row("rubbish");
    let mut other = trades_of("ETHUSDT", "2024-01", ROWS);
    other.style.broken_row = Some((10, "rubbish".to_owned()));
    lab.mirror.lay(other, &Packing::default());
    lab.everything(&["run"]).run().expect(3);
    lab.mirror.trades("BTCUSDT", "2024-01", ROWS);

    lab.from_source(&["run", "--symbols", "BTCUSDT"])
        .run()
        .expect(0);

    assert_eq!(lab.task(TASK)["state"], "done");
    assert_eq!(lab.task("um/aggTrades/ETHUSDT/2024-01")["state"], "dead");
    assert_eq!(hashes(&lab.output()).len(), 2);
}

fn zip(zip: ZipOptions) -> Packing {
    Packing {
        zip,
        ..Packing::default()
    }
}

fn damaged(damage: Damage) -> Packing {
    Packing {
        damage: Some(damage),
        ..Packing::default()
    }
}

#[test]
fn what_is_no_zip_of_one_csv_is_dead_and_says_why() {
    let plain = ZipOptions::default;
    let named = |entry_name| {
        zip(ZipOptions {
            entry_name,
            ..plain()
        })
    };
    let cases = [
        (
            damaged(Damage::Html),
            "it is no ZIP, it begins with \"<!DOCTYPE html>",
        ),
        (damaged(Damage::Truncated(0)), "the file is empty"),
        (damaged(Damage::Truncated(60)), "it is cut short"),
        (damaged(Damage::Truncated(99)), "cut short"),
        (named(EntryName::WithPath), "has a path in its name"),
        (named(EntryName::Escaping), "has a path in its name"),
        (
            named(EntryName::Other("C:\\x.csv".to_owned())),
            "has a path in its name",
        ),
        (
            named(EntryName::Other("readme.txt".to_owned())),
            "is not a CSV",
        ),
        (
            zip(ZipOptions {
                second_entry: true,
                ..plain()
            }),
            "more than one entry",
        ),
        (
            zip(ZipOptions {
                wrong_crc: true,
                ..plain()
            }),
            "CRC-32",
        ),
        (
            zip(ZipOptions {
                wrong_crc: true,
                descriptor: true,
                ..plain()
            }),
            "CRC-32",
        ),
        (
            zip(ZipOptions {
                trailing_bytes: 7,
                ..plain()
            }),
            "behind the end",
        ),
        (
            zip(ZipOptions {
                prefix_bytes: 7,
                ..plain()
            }),
            "it is no ZIP",
        ),
    ];
    for (packing, why) in cases {
        let lab = lab(&packing);

        let run = lab.everything(&["run"]).run().expect(3);

        let task = assert_dead(&lab, "corrupt");
        let message = task["message"].as_str().unwrap_or_default();
        assert!(
            message.contains(FILE) && message.contains(why),
            "{packing:?}: {message}"
        );
        assert!(run.stderr.contains(why), "{packing:?}: {}", run.stderr);
    }
}

#[test]
fn a_bomb_is_refused_within_bounded_memory() {
    let lab = lab(&damaged(Damage::Bomb));

    let (run, peak_kib) = lab.everything(&["run"]).spawn().wait_with_peak();

    run.expect(3);
    let task = assert_dead(&lab, "corrupt");
    let message = task["message"].as_str().unwrap_or_default();
    assert!(message.contains("bomb"), "{message}");
    assert!((1..96 << 10).contains(&peak_kib), "{peak_kib} KiB");
}
