//! A network that cuts, refuses and forgets: the job ends all the same, with the same bytes.

use tapemill_standin::server::{Fault, Faults, Request, When};
use tapemill_tests::{Lab, hashes, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const ZIPS: &str = "**.zip";

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab
}

fn status(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Status {
        status,
        retry_after,
    }
}

fn cut(after_percent: u8) -> Fault {
    Fault::Cut { after_percent }
}

/// Ranges that were asked for under the condition that the file is the same.
fn resumed(log: &[Request]) -> usize {
    let is_resumed = |request: &&Request| {
        let asked_from = request.range.as_deref().unwrap_or_default();
        request.status == 206
            && asked_from.starts_with("bytes=")
            && asked_from != "bytes=0-"
            && request.if_range.is_some()
    };
    log.iter().filter(is_resumed).count()
}

/// Half of all bodies are cut, a fifth of all answers are 500, and one in twenty asks to wait.
#[track_caller]
fn assert_trouble_costs_only_time(seed: u64) {
    let lab = lab();
    let expected = lab.undisturbed();
    // Of everything: archives, sidecars and listings.
    let mut faults = Faults::one("**", cut(50), When::Probability(0.5))
        .and("**", status(500, None), When::Probability(0.2))
        .and("**", status(429, Some(0)), When::Probability(0.04))
        .and("**", status(429, Some(1)), When::Probability(0.01));
    faults.seed = seed;
    lab.mirror.set_faults(faults);

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let log = lab.mirror.log();
    assert!(resumed(&log) > 0, "{log:#?}");
    let answers = |status: u16| log.iter().filter(|line| line.status == status).count();
    assert!(answers(500) > 0 && answers(429) > 0, "{log:#?}");
    assert_eq!(lab.totals()["done"], 8);
}

#[test]
fn cut_bodies_500s_and_429s_cost_only_time() {
    assert_trouble_costs_only_time(1);
}

#[test]
fn cut_bodies_500s_and_429s_at_other_moments_cost_only_time() {
    assert_trouble_costs_only_time(2);
}

#[test]
fn a_server_that_asks_to_wait_is_not_asked_again_meanwhile() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 1_000);
    lab.mirror
        .set_faults(Faults::one(ZIPS, status(429, Some(2)), When::First(1)));

    let begun = std::time::Instant::now();
    lab.everything(&["run"]).run().expect(0);

    assert!(begun.elapsed().as_secs() >= 2, "{:?}", begun.elapsed());
    let asked = lab.mirror.zips_asked_for().len();
    assert_eq!(asked, 2, "once refused, once served");
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning_again() {
    let lab = lab();
    let expected = lab.undisturbed();
    let faults = Faults::one(ZIPS, Fault::IgnoreRange, When::Always);
    lab.mirror
        .set_faults(faults.and(ZIPS, cut(60), When::First(2)));

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let log = lab.mirror.log();
    assert!(log.iter().any(|request| request.range.is_some()));
    assert!(log.iter().all(|request| request.status != 206), "{log:#?}");
}

#[test]
fn a_file_that_changes_on_the_way_is_never_pieced_together() {
    let lab = lab();
    let expected = lab.undisturbed();
    let faults = Faults::one(ZIPS, Fault::EtagChanges, When::Always);
    lab.mirror
        .set_faults(faults.and(ZIPS, cut(50), When::First(1)));

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let log = lab.mirror.log();
    let conditional = |request: &&Request| request.if_range.is_some();
    let answers: Vec<u16> = log
        .iter()
        .filter(conditional)
        .map(|request| request.status)
        .collect();
    assert_eq!(
        answers, [200; 8],
        "each range was refused for the whole new file"
    );
}

#[test]
fn an_archive_published_anew_on_the_way_is_the_one_that_is_milled() {
    let lab = Lab::new(BINARY);
    let old = lab.mirror.trades("BTCUSDT", "2024-01", 30_000);
    let next = Lab::new(BINARY);
    let new = next.mirror.trades("BTCUSDT", "2024-01", 31_000);
    let expected = next.undisturbed();
    let stall = Fault::Stall {
        seconds: 1.5,
        after_percent: 30,
    };
    let faults = Faults::one(ZIPS, stall, When::First(1));
    lab.mirror
        .set_faults(faults.and(ZIPS, cut(50), When::First(1)));

    let run = lab.everything(&["run"]).spawn();
    until("a part of the old one is there", || {
        lab.mirror.zip_bytes_sent() > 0
    });
    for suffix in ["", ".CHECKSUM"] {
        let path = |archive: &std::path::Path| format!("{}{suffix}", archive.display());
        std::fs::rename(path(&new.path), path(&old.path)).expect("one file replaces the other");
    }
    run.wait().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let task = lab.task("um/aggTrades/BTCUSDT/2024-01");
    assert_eq!(task["summary"]["sha256"], new.sha256.as_str());
    assert_eq!(task["summary"]["verdict"], "ok");
}
