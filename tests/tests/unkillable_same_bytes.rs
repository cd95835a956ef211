//! The same archive gives the same bytes: however many workers, from wherever, and after any crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Mirror, Running, hashes, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Half of the default lease: whoever waits for a dead process's lease needs longer.
const WELL_BEFORE_A_LEASE_ENDS: Duration = Duration::from_secs(30);

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab
}

/// Slow enough that a process can be caught at its work.
fn slowly() -> Faults {
    let fault = Fault::Slow {
        bytes_per_second: 1_000_000,
    };
    Faults::one("**.zip", fault, When::Always)
}

/// Bytes of all archives.
fn archive_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let of_entry = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() {
            archive_bytes(&path)
        } else if path.extension().is_some_and(|extension| extension == "zip") {
            entry.metadata().expect("it is there").len()
        } else {
            0
        }
    };
    entries.flatten().map(of_entry).sum()
}

/// A share of the job that only the seed decides.
fn moment(seed: u64, whole: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    whole * (mixed % 1_000) / 1_000
}

/// Tables of the four aggTrades and four klines archives.
fn assert_all_tables(made: &BTreeMap<String, String>) {
    assert_eq!(made.len(), 4 * 2 + 4 * 2, "{made:?}");
}

#[test]
fn one_worker_and_four_make_the_same_bytes() {
    let lab = lab();

    let made = ["1", "4"].map(|workers| {
        let output = lab.folder().join(workers);
        let run = lab.run_into(&output).args(["--workers", workers]).run();
        run.expect(0);
        hashes(&output)
    });

    assert_all_tables(&made[0]);
    assert_eq!(made[0], made[1]);
}

#[test]
fn another_port_and_a_folder_make_the_same_bytes() {
    let (here, there) = (lab(), lab());
    let made_here = here.undisturbed();

    let made_there = there.undisturbed();
    let root = here.mirror.root().to_string_lossy().into_owned();
    let from_folder = ["run", "--symbols", "all", "--source", &root];
    here.command(&from_folder).run().expect(0);

    assert_all_tables(&made_here);
    assert_eq!(made_here, made_there);
    assert_eq!(made_here, hashes(&here.output()));
    assert_eq!(here.mirror.log(), [], "a folder needs no server");
}

#[test]
fn a_run_after_a_kill_at_any_moment_waits_for_no_lease_and_makes_the_same_bytes() {
    let lab = lab();
    let expected = lab.undisturbed();
    let whole = archive_bytes(lab.mirror.root());
    let mut caught_with_a_lease = 0;

    for seed in 1..=3 {
        let output = lab.folder().join(format!("killed-{seed}"));
        lab.mirror.set_faults(slowly());
        lab.mirror.clear_log();
        let mut run = lab.run_into(&output).args(["--workers", "4"]).spawn();
        let goal = moment(seed, whole);
        until("enough bytes", || {
            lab.mirror.zip_bytes_sent() > goal || !run.is_running()
        });
        run.kill();
        lab.mirror.set_faults(Faults::none());
        let leased = ["tasks", "list", "--state", "leased"];
        let leased = lab.command_at(&leased, &output).run().expect(0).stdout;
        caught_with_a_lease += leased.lines().count();

        let begun = Instant::now();
        lab.run_into(&output).run().expect(0);

        let took = begun.elapsed();
        assert!(took < WELL_BEFORE_A_LEASE_ENDS, "seed {seed}: {took:?}");
        assert_eq!(hashes(&output), expected, "seed {seed}");
    }
    assert!(caught_with_a_lease > 0, "no kill met a task in hand");
}

fn workers(lab: &Lab, count: usize) -> Vec<Running> {
    let words = ["worker", "--exit-when-drained", "--workers", "1"];
    let worker = |_| lab.from_source(&words).spawn();
    (0..count).map(worker).collect()
}

#[test]
fn three_workers_on_one_queue_make_the_same_bytes() {
    let lab = lab();
    let expected = lab.undisturbed();
    lab.everything(&["plan"]).run().expect(0);

    for worker in workers(&lab, 3) {
        worker.wait().expect(0);
    }

    assert_eq!(hashes(&lab.output()), expected);
    assert_eq!(lab.totals()["done"], 8);
    let zips = lab.mirror.zips_asked_for();
    assert_eq!(zips.len(), 8, "no archive was milled twice: {zips:?}");
}

#[test]
fn two_workers_finish_what_a_killed_third_had_in_hand() {
    let lab = lab();
    let expected = lab.undisturbed();
    lab.everything(&["plan"]).run().expect(0);
    lab.mirror.set_faults(slowly());
    let first = workers(&lab, 1).remove(0);
    until("the first has a task in hand", || {
        lab.mirror.zip_bytes_sent() > 100_000
    });
    let others = workers(&lab, 2);
    until("all have a task in hand", || {
        lab.mirror.zips_asked_for().len() >= 3
    });

    let begun = Instant::now();
    first.kill();
    lab.mirror.set_faults(Faults::none());
    for worker in others {
        worker.wait().expect(0);
    }

    let took = begun.elapsed();
    assert!(took < WELL_BEFORE_A_LEASE_ENDS, "{took:?}");
    assert_eq!(hashes(&lab.output()), expected);
    let expired = |task: &serde_json::Value| task["expiries"].as_u64().unwrap_or_default();
    let tasks = lab.tasks();
    assert!(
        tasks.iter().all(|task| task["state"] == "done"),
        "{tasks:?}"
    );
    let expiries: u64 = tasks.iter().map(expired).sum();
    assert_eq!(expiries, 1, "one lease was lost, and is told: {tasks:?}");
}

#[test]
fn rows_in_any_order_make_the_same_tables() {
    use tapemill_standin::generate::{Order, Packing};
    let contents = [Order::Sorted, Order::Shuffled].map(|order| {
        let lab = Lab::with(BINARY, Mirror::new());
        let mut spec = tapemill_tests::trades_of("BTCUSDT", "2024-01", 30_000);
        spec.order = order;
        lab.mirror.lay(spec, &Packing::default());
        lab.everything(&["run"]).run().expect(0);
        hashes(&lab.output())
            .into_keys()
            .map(|name| {
                let bytes = std::fs::read(lab.output().join(&name)).expect("it was made");
                (name, content(&bytes))
            })
            .collect::<BTreeMap<_, _>>()
    });

    assert_eq!(contents[0].len(), 2);
    assert_eq!(contents[0], contents[1]);
}

/// The footer's digest of the table; keys and values stand there in plain text.
fn content(file: &[u8]) -> String {
    let key = b"tapemill.content";
    let at = file.windows(key.len()).rposition(|window| window == key);
    let behind = &file[at.expect("the footer has a digest") + key.len()..];
    let digits = behind.iter().skip_while(|byte| !byte.is_ascii_hexdigit());
    let digits: Vec<u8> = digits.take(64).copied().collect();
    String::from_utf8(digits).expect("a digest is text")
}
