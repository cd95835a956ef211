//! An archive that is published anew after it was milled is noticed, named with what was made of it, and taken up.

#[path = "../../shared/lake/tests/support/gate.rs"]
mod gate;
#[path = "../../shared/lake/tests/support/moto.rs"]
mod moto;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gate::{Gate, Rule};
use moto::Moto;
use serde_json::{Value, json};
use tapemill_lake::{Lake, LedgerEntry};
use tapemill_standin::generate::{Archive, KlinesSpec, Method, Packing, ZipOptions};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Finished, Lab, hashes, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");
const DAYS: [&str; 2] = ["2024-01-05", "2024-01-06"];

/// Lays down candles of a day whose last one counts `more` trades more: all such archives have one size.
fn lay(root: &Path, symbol: &str, day: &str, more: u64) -> Archive {
    let period = day.parse().expect("it is a day");
    let spec = KlinesSpec::new(Market::Um, symbol, Interval::MINUTE, period);
    let csv = String::from_utf8(spec.csv().expect("they can be made")).expect("it is text");
    let (before, last) = csv.trim_end().rsplit_once('\n').expect("a day has candles");
    let mut cells: Vec<String> = last.split(',').map(str::to_owned).collect();
    let digit = cells[8].pop().and_then(|digit| digit.to_digit(10));
    let digit = u64::from(digit.expect("a count ends in a digit"));
    cells[8].push_str(&((digit + more) % 10).to_string());
    let csv = format!("{before}\n{}\n", cells.join(","));
    let packing = Packing {
        zip: ZipOptions {
            method: Method::Stored,
            ..ZipOptions::default()
        },
        ..Packing::default()
    };
    let key = format!("data/futures/um/daily/klines/{symbol}/1m/{symbol}-1m-{day}.zip");
    let laid = packing.wrap(root, &key, Market::Um, period, csv.as_bytes());
    laid.expect("the archive can be written")
}

/// Two symbols, two days of candles each: eight tables.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        for day in DAYS {
            lay(lab.mirror.root(), symbol, day, 0);
        }
    }
    lab
}

fn run(lab: &Lab, source: &str, words: &[&str]) -> Finished {
    let all = ["--symbols", "all", "--data", "klines:1m"];
    let command = lab.command(words).args(all);
    command.args(["--source", source]).run().expect(0)
}

fn changes(lab: &Lab, source: &str) -> Vec<Value> {
    let words = ["status", "--changes", "--json", "--source", source];
    lab.command(&words).run().expect(0).json_lines()
}

fn ledger(lab: &Lab) -> Vec<LedgerEntry> {
    let lake = Lake::local(lab.output());
    lake.ledger().expect("the ledger can be read")
}

/// Republishes the same bytes a day later.
fn touch(archive: &Archive) {
    let file = File::options().append(true).open(&archive.path);
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let touched = file.and_then(|file| file.set_modified(tomorrow));
    touched.expect("the archive is there");
}

fn tables_of(symbol: &str, day: &str) -> [String; 2] {
    ["klines_1m", "klines_1h_from_1m"].map(|table| format!("{table}/um/{symbol}/{day}.parquet"))
}

fn an_archive_published_anew_is_named_and_taken_up(lab: &Lab, source: &str) {
    let (symbol, day) = ("BTCUSDT", DAYS[0]);
    let old = lay(lab.mirror.root(), symbol, day, 0);
    run(lab, source, &["run"]);
    let made = hashes(&lab.output());
    assert_eq!(changes(lab, source), [Value::Null; 0]);

    let new = lay(lab.mirror.root(), symbol, day, 1);
    assert_eq!(old.bytes, new.bytes);
    assert_ne!(old.sha256, new.sha256);
    lab.mirror.clear_log();
    run(lab, source, &["run"]);

    assert_eq!(lab.mirror.files_asked_for(), [""; 0], "only listings");
    assert_eq!(hashes(&lab.output()), made);
    let found = changes(lab, source);
    assert_eq!(found.len(), 1, "{found:?}");
    let change = &found[0];
    assert!(
        change["what"].as_str().unwrap().starts_with("etag"),
        "{change}"
    );
    assert_eq!(change["archive"], json!(new.key));
    assert_eq!(change["state"], "republished");
    assert_eq!(change["old_sha256"], json!(old.sha256));
    assert_eq!(change["new_sha256"], json!(new.sha256));
    assert_eq!(change["tables"], json!(tables_of(symbol, day)));
    let told = lab
        .command(&["status", "--changes", "--source", source])
        .run();
    let told = told.expect(0).stdout;
    assert!(
        told.contains("the checksum file names other bytes") && told.contains("update --refresh"),
        "{told}"
    );

    lab.mirror.clear_log();
    run(lab, source, &["update", "--no-rest", "--refresh"]);
    let zips = lab.mirror.zips_asked_for();
    assert!(zips.iter().all(|zip| *zip == new.key), "{zips:?}");
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
    let entries = ledger(lab);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].archive, new.key);
    assert_eq!(entries[0].old.sha256, old.sha256);
    assert_eq!(entries[0].new.sha256, new.sha256);
    assert_eq!(entries[0].tables, tables_of(symbol, day));
    assert_ne!(entries[0].old_content, entries[0].new_content);

    let found = changes(lab, source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["state"], "refreshed");
    assert_eq!(found[0]["new_sha256"], json!(new.sha256));

    // The same again enters nothing, nor does a cleanup take the entry away.
    lab.mirror.clear_log();
    run(lab, source, &["update", "--no-rest", "--refresh"]);
    assert_eq!(lab.mirror.files_asked_for(), [""; 0]);
    run(lab, source, &["run", "--force"]);
    lab.command(&["cleanup"]).run().expect(0);
    assert_eq!(ledger(lab), entries);
    lab.command(&["verify", "-q"]).run().expect(0);
}

#[test]
fn an_archive_of_a_mirror_published_anew_is_named_and_taken_up() {
    let lab = lab();

    an_archive_published_anew_is_named_and_taken_up(&lab, lab.mirror.url());

    assert!(!lab.mirror.log().is_empty());
}

#[test]
fn an_archive_of_a_folder_published_anew_is_named_and_taken_up() {
    let lab = lab();
    let root = lab.mirror.root().display().to_string();

    an_archive_published_anew_is_named_and_taken_up(&lab, &root);
}

#[test]
fn the_same_bytes_published_anew_are_touched_only() {
    let lab = lab();
    let source = lab.mirror.url();
    run(&lab, source, &["run"]);
    let made = hashes(&lab.output());
    let archive = lay(lab.mirror.root(), "ETHUSDT", DAYS[1], 0);
    touch(&archive);

    let found = changes(&lab, source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["state"], "touched");
    assert_eq!(found[0]["new_sha256"], found[0]["old_sha256"]);
    assert!(
        found[0]["what"].as_str().unwrap().contains("last modified"),
        "{found:?}"
    );

    lab.mirror.clear_log();
    run(&lab, source, &["update", "--no-rest", "--refresh"]);
    assert_eq!(lab.mirror.zips_asked_for(), [archive.key]);
    assert_eq!(hashes(&lab.output()), made);
    assert_eq!(ledger(&lab), []);
    assert_eq!(changes(&lab, source), [Value::Null; 0]);
}

#[test]
fn an_archive_that_is_gone_is_withdrawn_and_one_of_another_size_is_told() {
    let lab = lab();
    let source = lab.mirror.url();
    run(&lab, source, &["run"]);
    let gone = lay(lab.mirror.root(), "BTCUSDT", DAYS[0], 0);
    lab.mirror.remove(&gone);
    let larger = lab.mirror.klines("ETHUSDT", DAYS[0]);

    let found = changes(&lab, source);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["state"], "withdrawn");
    assert_eq!(found[0]["archive"], json!(gone.key));
    assert_eq!(found[0]["tables"], json!(tables_of("BTCUSDT", DAYS[0])));
    assert_eq!(found[1]["state"], "republished");
    assert_eq!(found[1]["new_sha256"], json!(larger.sha256));
    assert!(
        found[1]["what"].as_str().unwrap().starts_with("size "),
        "{found:?}"
    );

    // Another size is taken up by any plan, and entered as well.
    lab.mirror.clear_log();
    run(&lab, source, &["run"]);
    assert_eq!(lab.mirror.zips_asked_for(), [larger.key]);
    assert_eq!(ledger(&lab).len(), 1);
}

#[test]
fn an_output_that_was_recognised_by_its_footers_is_refreshed_by_checksum_files() {
    let lab = lab();
    let source = lab.mirror.url();
    run(&lab, source, &["run"]);
    for entry in fs::read_dir(lab.output()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("queue.db") && entry.path().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    run(&lab, source, &["run"]);
    let new = lay(lab.mirror.root(), "BTCUSDT", DAYS[1], 1);
    lab.mirror.clear_log();

    run(&lab, source, &["update", "--no-rest", "--refresh"]);

    assert_eq!(lab.mirror.zips_asked_for(), [new.key]);
    let files = lab.mirror.files_asked_for();
    assert_eq!(files.len(), 4 + 2, "four checksums and one task: {files:?}");
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
    assert_eq!(ledger(&lab).len(), 1);
}

#[test]
fn a_kept_copy_of_an_older_edition_is_not_milled_again() {
    let lab = lab();
    let source = lab.mirror.url();
    run(&lab, source, &["run", "--keep-zip"]);
    let new = lay(lab.mirror.root(), "BTCUSDT", DAYS[1], 1);

    let refresh = ["update", "--no-rest", "--refresh", "--keep-zip"];
    run(&lab, source, &refresh);

    assert_eq!(hashes(&lab.output()), lab.undisturbed());
    let kept = fs::read(lab.output().join("raw").join(&new.key)).expect("it is kept");
    assert_eq!(kept, fs::read(&new.path).expect("it is served"));
}

#[test]
fn what_it_replaces_may_be_damaged_or_someone_elses() {
    let lab = lab();
    let source = lab.mirror.url();
    run(&lab, source, &["run"]);
    let [minutes, _] = tables_of("BTCUSDT", DAYS[0]);
    fs::write(lab.output().join(minutes), b"PAR1 not one of ours PAR1").unwrap();
    lay(lab.mirror.root(), "BTCUSDT", DAYS[0], 1);

    run(&lab, source, &["run"]);

    assert_eq!(hashes(&lab.output()), lab.undisturbed());
    let entries = ledger(&lab);
    let [_, hours] = tables_of("BTCUSDT", DAYS[0]);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].tables, [hours]);
}

#[test]
fn a_process_that_is_killed_behind_its_entry_leaves_it_to_the_next() {
    const OUTPUT: &str = "s3://tape/lake";
    let (lab, moto) = (lab(), Moto::start());
    let into_bucket = |words: &[&str], server: &str| {
        let queue = format!("sqlite:{}", lab.folder().join("queue.db").display());
        let mut command = lab.command_at(words, Path::new(OUTPUT));
        for (name, value) in moto::settings(server).environment {
            command = command.env(&name, &value);
        }
        let all = ["--symbols", "all", "--data", "klines:1m", "--queue", &queue];
        command.args(all).args(["--source", lab.mirror.url()])
    };
    into_bucket(&["run"], &moto.address).run().expect(0);
    let lake = moto::lake(&moto.address, "lake");
    let old = lay(lab.mirror.root(), "BTCUSDT", DAYS[0], 0);
    let new = lay(lab.mirror.root(), "BTCUSDT", DAYS[0], 1);
    let refresh = ["update", "--no-rest", "--refresh"];

    let gate = Gate::before(&moto.address);
    gate.rule(|request| {
        let is_table = request.line.starts_with("PUT ") && request.line.contains(".parquet");
        match is_table {
            true => Rule::Answer(403, "AccessDenied"),
            false => Rule::Pass,
        }
    });
    let killed = into_bucket(&refresh, &gate.address).spawn();
    until("the entry is there", || !lake.ledger().unwrap().is_empty());
    killed.kill();
    let entries = lake.ledger().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].old.sha256, old.sha256);
    assert_eq!(entries[0].new.sha256, new.sha256);

    into_bucket(&refresh, &moto.address).run().expect(0);

    assert_eq!(lake.ledger().unwrap(), entries);
    let tables = lake.tables().unwrap();
    assert_eq!(tables.len(), 8);
    for file in tables {
        let lineage = tapemill_lake::read_lineage(&lake, &file.path).unwrap();
        let is_new = lineage.sources[0].key == new.key;
        assert!(!is_new || lineage.sources[0].sha256 == new.sha256);
    }
}
