//! The main job into a bucket: the same bytes as into a folder, whatever the store does meanwhile.

#[path = "../../shared/lake/tests/support/gate.rs"]
mod gate;
#[path = "../../shared/lake/tests/support/moto.rs"]
mod moto;

use std::collections::BTreeMap;
use std::path::Path;

use gate::{Gate, Rule};
use moto::Moto;
use sha2::{Digest, Sha256};
use tapemill_tests::{Lab, Tapemill, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");
const OUTPUT: &str = "s3://tape/research/tapes";

/// Two symbols, two months, aggTrades and klines.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab
}

/// A command whose output is the bucket at this server.
fn into_bucket(lab: &Lab, words: &[&str], server: &str) -> Tapemill {
    let queue = format!("sqlite:{}", lab.folder().join("queue.db").display());
    let mut command = lab
        .command_at(words, Path::new(OUTPUT))
        .args(["--queue", &queue]);
    for (name, value) in moto::settings(server).environment {
        command = command.env(&name, &value);
    }
    command
}

fn run(lab: &Lab, server: &str) -> Tapemill {
    let source = lab.mirror.url();
    into_bucket(
        lab,
        &["run", "--symbols", "all", "--source", source],
        server,
    )
}

/// The SHA-256 of every table in the bucket, by its path.
fn hashes(moto: &Moto) -> BTreeMap<String, String> {
    let lake = moto::lake(&moto.address, "research/tapes");
    let tables = lake.tables().expect("the bucket can be listed").into_iter();
    tables
        .map(|file| {
            let bytes = lake.read(&file.path).expect("a table can be read");
            let digest = Sha256::digest(&bytes);
            let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            (file.path.to_string(), digest)
        })
        .collect()
}

#[test]
fn a_run_into_a_bucket_gives_the_bytes_of_a_run_into_a_folder() {
    let (lab, moto) = (lab(), Moto::start());

    run(&lab, &moto.address).run().expect(0);
    let again = run(&lab, &moto.address).run().expect(0);

    let local = lab.undisturbed();
    assert_eq!(local.len(), 16);
    assert_eq!(hashes(&moto), local);
    assert!(
        again.stderr.contains("8 finished before"),
        "{}",
        again.stderr
    );
    let catalogue = moto::lake(&moto.address, "research/tapes")
        .catalogue("factors_1h", tapemill_market::Market::Um);
    assert_eq!(catalogue.unwrap(), None, "it goes by the main table");
}

#[test]
fn a_store_that_refuses_for_a_while_costs_no_attempt_and_no_byte() {
    let (lab, moto) = (lab(), Moto::start());
    let gate = Gate::before(&moto.address);
    let mut puts = 0;
    gate.rule(move |request| {
        puts += u32::from(request.line.starts_with("PUT "));
        match puts {
            // Whatever comes after the third file is refused for a while, the listing of the plan is not.
            4..8 => Rule::Answer(403, "AccessDenied"),
            _ => Rule::Pass,
        }
    });

    let ended = run(&lab, &gate.address).run().expect(0);

    let told = ended.stderr.matches("AccessDenied").count();
    assert_eq!(told, 1, "an outage is told once:\n{}", ended.stderr);
    assert_eq!(hashes(&moto), lab.undisturbed());
    let tasks = into_bucket(&lab, &["tasks", "list", "--json"], &moto.address)
        .run()
        .expect(0)
        .json_lines();
    for task in &tasks {
        assert_eq!(task["state"], "done", "{task}");
        assert_eq!(task["history"], serde_json::json!([]), "{task}");
    }
}

#[test]
fn a_worker_waits_for_a_bucket_that_is_not_there_yet() {
    let (lab, moto) = (lab(), Moto::start());
    let source = lab.mirror.url();
    let gate = Gate::before(&moto.address);
    let plan = ["plan", "--symbols", "all", "--source", source];
    into_bucket(&lab, &plan, &moto.address).run().expect(0);
    gate.rule(|_| Rule::Answer(404, "NoSuchBucket"));

    let words = ["worker", "--exit-when-drained", "--source", source];
    let worker = into_bucket(&lab, &words, &gate.address).spawn();
    let mut refused = 0;
    until("the store refuses two writes", || {
        let seen = gate.seen();
        refused += seen.iter().filter(|line| line.starts_with("PUT ")).count();
        refused >= 2
    });
    gate.rule(|_| Rule::Pass);
    let ended = worker.wait().expect(0);

    let told = "there is no bucket tape";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert_eq!(hashes(&moto), lab.undisturbed());
}

#[test]
fn a_killed_worker_leaves_nothing_half_done_in_the_bucket() {
    let (lab, moto) = (lab(), Moto::start());
    let gate = Gate::before(&moto.address);
    let killed = run(&lab, &gate.address).spawn();
    let mut puts = 0;
    until("some files are there", || {
        let seen = gate.seen();
        puts += seen.iter().filter(|line| line.starts_with("PUT ")).count();
        puts >= 3
    });
    killed.kill();
    let lake = moto::lake(&moto.address, "research/tapes");
    for file in lake.tables().unwrap() {
        assert!(tapemill_lake::verify_content(&lake, &file.path).unwrap());
    }

    run(&lab, &moto.address).run().expect(0);

    assert_eq!(hashes(&moto), lab.undisturbed());
}

#[test]
fn a_month_replaces_its_days_in_a_bucket() {
    let (lab, moto) = (Lab::new(BINARY), Moto::start());
    let days = ["2024-01-05", "2024-01-06"].map(|day| lab.mirror.trades("BTCUSDT", day, 500));
    run(&lab, &moto.address).run().expect(0);
    let with_days = hashes(&moto).len();
    days.iter().for_each(|day| lab.mirror.remove(day));
    lab.mirror.trades("BTCUSDT", "2024-01", 5_000);

    let gate = Gate::before(&moto.address);
    run(&lab, &gate.address).run().expect(0);
    let removals = |seen: Vec<String>| {
        let removals = seen.into_iter().filter(|line| line.contains("?delete"));
        removals.count()
    };
    let for_the_month = removals(gate.seen());
    run(&lab, &gate.address).args(["--force"]).run().expect(0);

    assert_eq!((with_days, for_the_month), (4, 1));
    assert_eq!(removals(gate.seen()), 0, "nothing is left to be removed");
    assert_eq!(hashes(&moto), lab.undisturbed());
}

#[test]
fn archives_are_fetched_into_a_bucket_once() {
    let (lab, moto) = (lab(), Moto::start());
    let lake = moto::lake(&moto.address, "research/tapes");
    let source = lab.mirror.url();
    // `fetch` has no queue.
    let fetch = || {
        let words = ["fetch", "--symbols", "all", "--source", source];
        let mut command = lab.command_at(&words, Path::new(OUTPUT));
        for (name, value) in moto::settings(&moto.address).environment {
            command = command.env(&name, &value);
        }
        command.run().expect(0)
    };

    fetch();
    lab.mirror.clear_log();
    let again = fetch();

    let key = "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip";
    let kept = lake.read(&tapemill_lake::LakePath::raw(key).unwrap());
    let archive = std::fs::read(lab.mirror.root().join(key)).unwrap();
    assert!(kept.unwrap() == archive);
    assert!(again.stderr.contains("8 were there"), "{}", again.stderr);
    assert_eq!(lab.mirror.zips_asked_for(), [""; 0]);
}

#[test]
fn a_cleanup_of_a_bucket_says_who_removes_unfinished_uploads() {
    let (lab, moto) = (lab(), Moto::start());
    let mut command = lab.command_at(&["cleanup"], Path::new(OUTPUT));
    for (name, value) in moto::settings(&moto.address).environment {
        command = command.env(&name, &value);
    }

    let cleaned = command.run().expect(0);

    let told = "AbortIncompleteMultipartUpload";
    assert!(cleaned.stderr.contains(told), "{}", cleaned.stderr);
}
