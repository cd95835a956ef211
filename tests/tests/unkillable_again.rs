//! What is done is not done again, and what is half done goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use tapemill_standin::generate::Packing;
use tapemill_standin::server::{Fault, Faults, Request, When};
use tapemill_tests::{Lab, hashes, parts, trades_of, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Two symbols, two months, aggTrades and klines, all milled.
fn finished() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab.everything(&["run"]).run().expect(0);
    lab.mirror.clear_log();
    lab
}

fn is_listing(request: &Request) -> bool {
    request.path.is_empty()
}

fn forget_the_queue(output: &Path) {
    for entry in fs::read_dir(output).expect("the output is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("queue.db") && entry.path().is_file() {
            fs::remove_file(entry.path()).expect("it can be removed");
        }
    }
    assert!(!output.join("queue.db").exists());
}

#[test]
fn a_second_run_asks_for_listings_only() {
    let lab = finished();
    let made = hashes(&lab.output());

    let begun = std::time::Instant::now();
    let run = lab.everything(&["run"]).run().expect(0);

    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
    let log = lab.mirror.log();
    assert!(!log.is_empty() && log.iter().all(is_listing), "{log:#?}");
    assert_eq!(hashes(&lab.output()), made);
    assert!(run.stderr.contains("8 finished before"), "{}", run.stderr);
}

#[test]
fn after_one_file_is_deleted_only_its_task_runs() {
    for (file, zip) in [
        (
            "factors_1h/um/ETHUSDT/2024-02.parquet",
            "ETHUSDT-aggTrades-2024-02.zip",
        ),
        (
            "klines_1m/um/BTCUSDT/2024-01.parquet",
            "BTCUSDT-1m-2024-01.zip",
        ),
    ] {
        let lab = finished();
        let made = hashes(&lab.output());
        fs::remove_file(lab.output().join(file)).expect("it was made");

        lab.everything(&["run"]).run().expect(0);

        let zips = lab.mirror.zips_asked_for();
        assert!(zips.len() == 1 && zips[0].ends_with(zip), "{zips:?}");
        assert_eq!(hashes(&lab.output()), made);
    }
}

#[test]
fn a_file_that_was_cut_short_is_made_again() {
    let lab = finished();
    let made = hashes(&lab.output());
    let path = lab.output().join("aggtrades_1m/um/BTCUSDT/2024-01.parquet");
    let bytes = fs::read(&path).expect("it was made");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("it can be written");

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), made);
    assert_eq!(lab.mirror.zips_asked_for().len(), 1);
}

#[test]
fn without_its_queue_an_output_is_recognised_by_its_footers_and_checksums() {
    let lab = finished();
    let made = hashes(&lab.output());
    forget_the_queue(&lab.output());

    lab.everything(&["run"]).run().expect(0);

    let files = lab.mirror.files_asked_for();
    assert_eq!(files.len(), 8, "{files:?}");
    assert!(
        files.iter().all(|file| file.ends_with(".CHECKSUM")),
        "{files:?}"
    );
    assert_eq!(hashes(&lab.output()), made);
    assert_eq!(lab.totals()["done"], 8);
}

#[test]
fn without_its_queue_a_changed_archive_and_a_foreign_file_are_milled() {
    let lab = finished();
    forget_the_queue(&lab.output());
    let foreign = lab.output().join("klines_1m/um/ETHUSDT/2024-02.parquet");
    fs::write(&foreign, b"PAR1 not one of ours PAR1").expect("it can be written");
    let mut changed = trades_of("BTCUSDT", "2024-01", 30_000);
    // The same size is no proof: the checksum decides.
    changed.seed = 7;
    lab.mirror.lay(changed, &Packing::default());
    let expected = lab.undisturbed();

    lab.everything(&["run"]).run().expect(0);

    let mut zips = lab.mirror.zips_asked_for();
    zips.sort();
    assert_eq!(zips.len(), 2, "{zips:?}");
    assert!(
        zips[0].ends_with("BTCUSDT-aggTrades-2024-01.zip"),
        "{zips:?}"
    );
    assert!(zips[1].ends_with("ETHUSDT-1m-2024-02.zip"), "{zips:?}");
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn force_mills_again_what_is_finished() {
    let lab = finished();
    let made = hashes(&lab.output());

    lab.everything(&["run", "--force"]).run().expect(0);

    assert_eq!(lab.mirror.zips_asked_for().len(), 8);
    assert_eq!(hashes(&lab.output()), made);
}

#[test]
fn an_archive_published_anew_with_another_size_is_milled_again() {
    let lab = finished();
    lab.mirror.trades("ETHUSDT", "2024-01", 20_000);
    let expected = lab.undisturbed();
    assert_ne!(hashes(&lab.output()), expected);

    lab.everything(&["run"]).run().expect(0);

    let zips = lab.mirror.zips_asked_for();
    assert!(
        zips.len() == 1 && zips[0].contains("ETHUSDT-aggTrades-2024-01"),
        "{zips:?}"
    );
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn a_process_with_another_threshold_or_layout_is_refused() {
    let lab = finished();
    let made = hashes(&lab.output());
    for (flag, value) in [
        ("--whale-quote", "60000"),
        ("--retail-quote", "999.5"),
        ("--layout", "hive"),
    ] {
        let run = lab.everything(&["run", flag, value]).run().expect(1);
        let worker = lab
            .from_source(&["worker", "--exit-when-drained", flag, value])
            .run();
        let worker = worker.expect(1);

        for refused in [run, worker] {
            let line = refused.error_line();
            let setting = flag.trim_start_matches('-');
            assert!(line.contains(setting) && line.contains(value), "{line}");
            assert!(
                line.contains("set it to the queue's value, or use another queue"),
                "{line}"
            );
        }
    }
    assert_eq!(lab.mirror.zips_asked_for(), [""; 0]);
    assert_eq!(hashes(&lab.output()), made);
}

#[test]
fn fetched_archives_make_the_same_bytes_without_a_server() {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    let expected = lab.undisturbed();

    lab.everything(&["fetch"]).run().expect(0);

    let asked = lab.mirror.zips_asked_for().len();
    assert_eq!(asked, 8);
    let raw = lab.output().join("raw");
    lab.mirror.clear_log();
    let run = lab.command(&["run", "--symbols", "all"]);
    run.args([Path::new("--source"), &raw]).run().expect(0);
    assert_eq!(hashes(&lab.output()), expected);
    assert_eq!(lab.mirror.log(), []);
}

#[test]
fn a_second_fetch_brings_nothing_and_a_damaged_copy_is_brought_again() {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab.everything(&["fetch"]).run().expect(0);
    lab.mirror.clear_log();

    let second = lab.everything(&["fetch"]).run().expect(0);

    assert_eq!(lab.mirror.zips_asked_for(), [""; 0]);
    assert!(
        second.stderr.contains("0 fetched, 8 were there"),
        "{}",
        second.stderr
    );

    let archive = lab.mirror.trades("BTCUSDT", "2024-01", 30_000);
    let copy = lab.output().join("raw").join(&archive.key);
    let intact = fs::read(&copy).expect("it was fetched");
    let mut damaged = intact.clone();
    damaged[intact.len() / 2] ^= 1;
    fs::write(&copy, damaged).expect("it can be written");

    lab.everything(&["fetch"]).run().expect(0);

    assert_eq!(lab.mirror.zips_asked_for(), [archive.key]);
    assert_eq!(fs::read(&copy).expect("it is there"), intact);
}

#[test]
fn fetch_shows_nothing_of_a_corrupt_archive() {
    let lab = Lab::new(BINARY);
    let packing = Packing {
        damage: Some(tapemill_standin::generate::Damage::FlippedByte(50)),
        ..Packing::default()
    };
    let bad = lab
        .mirror
        .lay(trades_of("BTCUSDT", "2024-01", 1_000), &packing);
    let good = lab.mirror.trades("ETHUSDT", "2024-01", 1_000);

    let fetched = lab.everything(&["fetch"]).run().expect(3);

    assert!(
        fetched
            .stderr
            .contains("1 fetched, 0 were there, 0 missing, 1 failed"),
        "{}",
        fetched.stderr
    );
    assert!(!lab.output().join("raw").join(bad.key).exists());
    assert!(lab.output().join("raw").join(good.key).exists());
}

#[test]
fn keep_zip_keeps_archives_with_their_checksums() {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    let expected = lab.undisturbed();

    lab.everything(&["run", "--keep-zip"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let zips = lab.mirror.zips_asked_for();
    assert_eq!(zips.len(), 8, "{zips:?}");
    for key in zips {
        for name in [key.clone(), format!("{key}.CHECKSUM")] {
            let kept = fs::read_to_string(lab.output().join("raw").join(&name))
                .map_err(|error| error.kind());
            // A ZIP is no text, but it is there.
            assert_ne!(kept, Err(std::io::ErrorKind::NotFound), "{name}");
        }
        let original = fs::read(lab.mirror.root().join(&key)).expect("it is served");
        assert_eq!(
            fs::read(lab.output().join("raw").join(&key)).expect("it was kept"),
            original
        );
    }
    assert!(parts(&lab.output()).is_empty());
}

/// The resumable part of an archive below `raw/`.
fn part_of(lab: &Lab, key: &str) -> PathBuf {
    lab.output().join("raw").join(format!("{key}.part"))
}

#[test]
fn a_kept_part_goes_on_where_a_killed_process_left_it() {
    for command in ["run", "fetch"] {
        let lab = Lab::new(BINARY);
        let archive = lab.mirror.trades("BTCUSDT", "2024-01", 60_000);
        let expected = lab.undisturbed();
        let words: &[&str] = if command == "run" {
            &["run", "--keep-zip"]
        } else {
            &["fetch"]
        };
        let slow = Fault::Slow {
            bytes_per_second: 200_000,
        };
        lab.mirror
            .set_faults(Faults::one("**.zip", slow, When::Always));
        let process = lab.everything(words).spawn();
        let part = part_of(&lab, &archive.key);
        let held = || fs::metadata(&part).map_or(0, |part| part.len());
        until("a third is there", || held() > archive.bytes / 3);
        process.kill();
        let left = held();
        assert!(left < archive.bytes, "it was killed in the middle");
        lab.mirror.set_faults(Faults::none());
        lab.mirror.clear_log();

        lab.everything(words).run().expect(0);

        let log = lab.mirror.log();
        let zips: Vec<_> = log
            .iter()
            .filter(|request| request.path.ends_with(".zip"))
            .collect();
        assert_eq!(zips.len(), 1, "{zips:#?}");
        assert_eq!(zips[0].range, Some(format!("bytes={left}-")), "{command}");
        assert!(
            zips[0].if_range.is_some() && zips[0].status == 206,
            "{zips:#?}"
        );
        assert_eq!(zips[0].bytes_sent, archive.bytes - left);
        let kept = fs::read(lab.output().join("raw").join(&archive.key)).expect("it was kept");
        assert_eq!(kept, fs::read(&archive.path).expect("it is served"));
        assert!(!part.exists());
        if command == "run" {
            assert_eq!(hashes(&lab.output()), expected);
        }
    }
}

#[test]
fn a_kept_part_of_an_archive_published_anew_is_not_gone_on_with() {
    let lab = Lab::new(BINARY);
    let old = lab.mirror.trades("BTCUSDT", "2024-01", 60_000);
    let slow = Fault::Slow {
        bytes_per_second: 200_000,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
    let process = lab.everything(&["run", "--keep-zip"]).spawn();
    let part = part_of(&lab, &old.key);
    until("a third is there", || {
        fs::metadata(&part).is_ok_and(|part| part.len() > old.bytes / 3)
    });
    process.kill();
    lab.mirror.set_faults(Faults::none());
    let new = lab.mirror.trades("BTCUSDT", "2024-01", 61_000);
    let expected = lab.undisturbed();

    lab.everything(&["run", "--keep-zip"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), expected);
    let kept = fs::read(lab.output().join("raw").join(&new.key)).expect("it was kept");
    assert_eq!(kept, fs::read(&new.path).expect("it is served"));
}
