//! `export qlib`: what Qlib reads is what the tables have, its own dump would have written the same bytes, and the folder is
//! replaced as a whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tapemill_standin::generate::{KlinesSpec, Packing};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Finished, Lab, Python, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Lays an archive of bars with holes in it; hours and days have their own, so that some are made of minutes.
fn lay(lab: &Lab, market: Market, symbol: &str, interval: &str, period: &str, gaps: u64) {
    let interval: Interval = interval.parse().expect("it is an interval");
    let spec = KlinesSpec {
        seed: gaps + symbol.len() as u64,
        gaps,
        zero_trade_bars: 3.min(gaps),
        off_grid: if gaps > 50 { 3 } else { 0 },
        ..KlinesSpec::new(market, symbol, interval, period.parse().expect("a period"))
    };
    spec.write(lab.mirror.root(), &Packing::default())
        .expect("the archive can be written");
}

/// Two instruments of which one begins later; minutes, hours and days.
fn lay_january(lab: &Lab, market: Market, symbols: [&str; 2]) {
    for day in 29..=31 {
        lay(lab, market, symbols[0], "1m", &format!("2024-01-{day}"), 70);
    }
    lay(lab, market, symbols[1], "1m", "2024-01-30", 20);
    lay(lab, market, symbols[1], "1m", "2024-01-31", 5);
    for symbol in symbols {
        lay(lab, market, symbol, "1h", "2024-01", 40);
        lay(lab, market, symbol, "1d", "2024-01", 4);
    }
}

fn run(lab: &Lab, market: Market) {
    let words = [
        "run",
        "--market",
        market.as_str(),
        "--data",
        "klines:1m,klines:1h,klines:1d",
    ];
    lab.everything(&words).run().expect(0);
}

/// A lab with what [`lay_january`] lays, of um.
fn january() -> Lab {
    let lab = Lab::new(BINARY);
    lay_january(&lab, Market::Um, ["BTCUSDT", "ETHUSDT"]);
    run(&lab, Market::Um);
    lab
}

fn export(lab: &Lab, to: &Path, words: &[&str]) -> Finished {
    let command = lab.command(&["export", "qlib"]).args(words);
    command.args([Path::new("--to"), to]).run()
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the folder can be read") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it is below").to_owned();
                found.insert(name, fs::read(&path).expect("a file can be read"));
            }
        }
    }
    found
}

#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for (name, bytes) in &a {
        assert!(b[name] == *bytes, "{} differs", name.display());
    }
}

/// What lies in the folder around one, hidden files included.
fn around(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it can be read");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

/// Holds dumps against what the rules of the collector and of Qlib's dump make of the tables.
fn reference(lab: &Lab, market: Market, dumps: &[PathBuf]) -> serde_json::Value {
    let script = reference_folder().join("qlib_dump.py");
    let (output, prefix) = (lab.output(), format!("binance_{market}."));
    let paths = [
        &[script, output, market.as_str().into(), prefix.into()],
        dumps,
    ]
    .concat();
    let words: Vec<_> = paths
        .iter()
        .map(|path| path.to_str().expect("text"))
        .collect();
    let said = Python::new().run(&words);
    serde_json::from_str(&said).expect("the script tells in JSON")
}

#[test]
fn qlib_reads_the_values_of_the_tables() {
    let lab = january();
    let to = lab.folder().join("dump");
    export(&lab, &to, &[]).expect(0);

    let script = reference_folder().join("qlib_read.py");
    let said = Python::with_qlib().run(&[
        script.to_str().expect("a path of text"),
        to.to_str().expect("a path of text"),
        lab.output().to_str().expect("a path of text"),
        "um",
        "binance_um.",
    ]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("the script tells in JSON");

    assert_eq!(told.as_object().expect("by symbol").len(), 6, "{told}");
    assert!(told["BTCUSDT 1min"]["empty"].as_u64() > Some(0), "{told}");
    assert!(told["BTCUSDT 60min"]["made"].as_u64() > Some(0), "{told}");
    assert!(told["BTCUSDT 60min"]["empty"].as_u64() > Some(0), "{told}");
}

#[test]
fn its_own_dump_of_the_same_csvs_has_the_same_bytes() {
    assert_dumps_alike(Market::Um, ["BTCUSDT", "1000SHIBUSDT"]);
}

#[test]
fn coins_and_dollars_of_cm_are_dumped_alike() {
    assert_dumps_alike(Market::Cm, ["BTCUSD_PERP", "ETHUSD_240329"]);
}

#[track_caller]
fn assert_dumps_alike(market: Market, symbols: [&str; 2]) {
    let lab = Lab::new(BINARY);
    lay_january(&lab, market, symbols);
    run(&lab, market);
    let mut dumps = Vec::new();
    for frequency in ["1min", "1h", "4h", "day"] {
        for fill in ["filled", "bare"] {
            let to = lab.folder().join(format!("{fill}-{frequency}"));
            let words = [
                "--market",
                market.as_str(),
                "--csv",
                "--interval",
                frequency,
            ];
            let bare = (fill == "bare").then_some("--no-fill");
            let words: Vec<_> = words.into_iter().chain(bare).collect();
            export(&lab, &to, &words).expect(0);
            dumps.push(to);
        }
    }

    let told = reference(&lab, market, &dumps);

    for dump in dumps {
        let name = dump.file_name().expect("a name").to_string_lossy();
        let told = &told[&*name];
        assert_eq!(
            told["files"], 22,
            "ten of each, a calendar and a list: {told}"
        );
        let empty = told["empty"].as_object().expect("by instrument").values();
        let empty: u64 = empty.filter_map(|count| count.as_u64()).sum();
        // Every day and every four hours have an hour or a minute to be made of.
        let has_holes = ["filled-1min", "filled-1h"].contains(&&*name);
        assert_eq!(empty > 0, has_holes, "{name}: {told}");
    }
}

#[test]
fn a_second_export_is_a_fresh_one_and_what_did_not_change_is_not_made_again() {
    let lab = january();
    let (to, fresh) = (lab.folder().join("dump"), lab.folder().join("fresh"));
    for words in [&["--csv"][..], &["--no-fill", "--interval", "1min,4h"]] {
        let _ = fs::remove_dir_all(&to);
        let _ = fs::remove_dir_all(&fresh);
        export(&lab, &to, words).expect(0);
        fs::write(
            to.join("instruments/top.txt"),
            "BINANCE_UM.BTCUSDT\t2024-01-01\t2024-02-01\n",
        )
        .expect("a list of one's own can be written");
        let price = to.join("features/binance_um.btcusdt/close.1min.bin");
        let before = fs::metadata(&price).expect("it is there").ino();
        // One goes on; a new one begins before all others, so that each place in the calendar moves.
        let (symbol, month) = match words.len() {
            1 => ("ETHUSDT", "2024-02-01"),
            _ => ("SOLUSDT", "2024-01-02"),
        };
        lay(&lab, Market::Um, symbol, "1m", month, 9);
        run(&lab, Market::Um);

        let told = export(&lab, &to, &[words, &["--json"]].concat());
        let told = told.expect(0).json_lines();
        export(&lab, &fresh, words).expect(0);

        let kept: Vec<_> = told.iter().filter(|told| told["kept"] == true).collect();
        let changed =
            |told: &&serde_json::Value| told["instrument"] == format!("binance_um.{symbol}");
        assert!(kept.iter().all(|told| !changed(told)), "{kept:?}");
        assert!(kept.len() + told.iter().filter(changed).count() == told.len() && !kept.is_empty());
        let after = fs::metadata(&price).expect("it is there").ino();
        assert_eq!(
            after == before,
            words.len() == 1,
            "linked where its place is the same"
        );
        let own = to.join("instruments/top.txt");
        assert!(own.exists(), "a list that somebody put there stays");
        fs::remove_file(own).expect("it can be removed");
        assert_same(&to, &fresh);
    }
}

#[test]
fn one_list_of_instruments_hides_nothing_of_any_frequency() {
    let lab = january();
    let to = lab.folder().join("dump");
    export(&lab, &to, &["--symbols", "ETHUSDT"]).expect(0);

    let listed = fs::read_to_string(to.join("instruments/all.txt")).expect("it is there");
    assert_eq!(
        listed,
        "BINANCE_UM.ETHUSDT\t2024-01-01 00:00:00\t2024-01-31 23:59:00\n"
    );

    export(&lab, &to, &["--symbols", "ETHUSDT", "--interval", "day"]).expect(0);
    let listed = fs::read_to_string(to.join("instruments/all.txt")).expect("it is there");
    assert_eq!(listed, "BINANCE_UM.ETHUSDT\t2024-01-01\t2024-01-31\n");
    let calendars = around(&to.join("calendars"));
    assert_eq!(calendars, ["day.txt"], "what is not asked for is not there");
}

/// Exports to a folder again and again, killed ever later, until one is through before it is killed.
#[test]
fn a_killed_export_leaves_the_old_dump_and_the_next_one_is_right() {
    let lab = january();
    let (to, fresh) = (lab.folder().join("dump"), lab.folder().join("fresh"));
    export(&lab, &to, &["--symbols", "BTCUSDT"]).expect(0);
    let old = files(&to);
    export(&lab, &fresh, &[]).expect(0);
    let new = files(&fresh);
    let begun = lab.folder().join(".dump.tapemill-next");
    let (mut while_building, mut wait) = (0, Duration::from_millis(0));
    loop {
        let command = lab.command(&["export", "qlib"]);
        let mut running = command.args([Path::new("--to"), &to]).spawn();
        let started = Instant::now();
        while running.is_running() && !begun.exists() {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "it never began"
            );
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(wait);
        let was_running = running.is_running();
        running.kill();
        let now = files(&to);
        assert!(now == old || now == new, "neither the old nor the new dump");
        if now == old {
            while_building += 1;
        }
        if !was_running || now == new {
            break;
        }
        wait += Duration::from_millis(15);
    }
    assert!(
        while_building > 1,
        "it was killed in the middle at least twice"
    );

    export(&lab, &to, &[]).expect(0);

    assert_same(&to, &fresh);
    let left: Vec<_> = around(lab.folder());
    assert!(
        left.iter().all(|name| !name.contains("tapemill-")),
        "{left:?}"
    );
}

#[test]
fn two_exports_at_once_into_one_folder_are_refused() {
    let lab = january();
    let to = lab.folder().join("dump");
    let lock = fs::File::create(lab.folder().join(".dump.tapemill-lock")).expect("it can be made");
    lock.lock().expect("it is free");

    let refused = export(&lab, &to, &[]).expect(1);
    drop(lock);
    export(&lab, &to, &[]).expect(0);

    let line = refused.only_error_line();
    assert!(
        line.contains("another export writes") && line.contains("dump"),
        "{line}"
    );
}

#[test]
fn source_csvs_of_the_collector_are_taken_over_and_ours_win() {
    let lab = january();
    let old = lab.folder().join("old");
    fs::create_dir_all(old.join("source_60min")).expect("it can be made");
    let header = "date,open,high,low,close,volume,amount,vwap,trades,taker_buy_volume,taker_buy_amount,symbol";
    let rows = [
        // Before all of ours, twice; within ours; and a symbol that the output does not have.
        (
            "BTCUSDT",
            "2023-12-31 22:00:00,1,2,0.5,1.5,10,15,,3.0,4,6,x\n2023-12-31 22:00:00,9,9,9,9,9,9,9,9,9,9,x\n2024-01-31 23:00:00,7,7,7,7,7,7,7,7,7,7,x",
        ),
        ("OLDUSDT", "2021-01-01 00:00:00,1,1,1,1,1,1,1,1,1,1,x"),
    ];
    for (symbol, rows) in rows {
        let file = old.join(format!("source_60min/binance_um.{symbol}.csv"));
        fs::write(file, format!("{header}\n{rows}\n")).expect("it can be written");
    }
    let to = lab.folder().join("dump");
    let words = [
        "--interval",
        "60min",
        "--csv",
        "--import",
        old.to_str().expect("text"),
    ];

    export(&lab, &to, &words).expect(0);

    let csv = |symbol: &str| {
        let file = to.join(format!("source_60min/binance_um.{symbol}.csv"));
        fs::read_to_string(file).expect("it is there")
    };
    let lines: Vec<_> = csv("BTCUSDT").lines().map(str::to_owned).collect();
    assert_eq!(lines[0], header);
    assert_eq!(
        lines[1],
        "2023-12-31 22:00:00,1.0,2.0,0.5,1.5,10.0,15.0,1.5,3,4.0,6.0,binance_um.BTCUSDT"
    );
    assert!(!csv("BTCUSDT").contains(",7.0,7.0,7.0,"), "ours win");
    assert_eq!(csv("OLDUSDT").lines().count(), 2);
    // What was exported can be taken over: nothing is new then.
    let again = lab.folder().join("again");
    export(
        &lab,
        &again,
        &[
            "--interval",
            "60min",
            "--csv",
            "--import",
            to.to_str().expect("text"),
        ],
    )
    .expect(0);
    let [to, again] = [to, again].map(|folder| {
        let mut files = files(&folder);
        files.remove(Path::new(".tapemill-qlib.json"));
        files
    });
    assert!(to == again);
}

#[test]
fn what_cannot_be_exported_is_refused_in_a_line() {
    let lab = january();
    let to = lab.folder().join("dump");
    let broken = lab.folder().join("source_1min");
    fs::create_dir(&broken).expect("it can be made");
    let csv = broken.join("binance_um.BTCUSDT.csv");
    fs::write(
        &csv,
        "date,open\n2024-01-01 00:00:00,1\n2024-01-01 00:01:00,one\n",
    )
    .expect("written");
    let full = lab.folder().join("mine");
    fs::create_dir(&full).expect("it can be made");
    fs::write(full.join("notes.txt"), "mine").expect("written");
    let file = lab.folder().join("file");
    fs::write(&file, "").expect("written");
    let import = broken.to_str().expect("text");

    let cases: [(&Path, &[&str], u8, &[&str]); 8] = [
        (
            &to,
            &["--interval", "5min"],
            2,
            &["5min", "1min, 60min, 240min or day"],
        ),
        (&to, &["--prefix", "a/b"], 2, &["a/b", "letters, digits"]),
        (
            &to,
            &["--symbols", "XRPUSDT"],
            1,
            &["XRPUSDT", "tapemill run makes it"],
        ),
        (
            &to,
            &["--start", "2025-01"],
            1,
            &["the output has no klines_1d"],
        ),
        (
            &to,
            &["--import", import],
            1,
            &["binance_um.BTCUSDT.csv line 3", "open \"one\" is no number"],
        ),
        (&to, &["--import", "nowhere"], 1, &["cannot read nowhere"]),
        (&full, &[], 1, &["mine", "name another folder, or empty it"]),
        (&file, &[], 2, &["is a file"]),
    ];
    for (to, words, code, said) in cases {
        let refused = export(&lab, to, words).expect(code.into());
        for text in said {
            assert!(
                refused.stderr.contains(text),
                "{text:?} is not in {}",
                refused.stderr
            );
        }
        assert_eq!(refused.stdout, "");
    }
    assert!(!to.exists(), "nothing was made");
    assert_eq!(around(&full), ["notes.txt"]);
    let left = around(lab.folder());
    assert!(
        left.iter().all(|name| !name.contains("tapemill-")),
        "{left:?}"
    );
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let lab = january();
    // Not even root may make a folder there.
    let refused = export(&lab, Path::new("/proc/dump"), &[]).expect(1);
    let line = refused.only_error_line();
    assert!(line.contains("/proc/.dump.tapemill-"), "{line}");
}

#[test]
fn the_list_of_downloads_tells_what_the_output_was_made_of() {
    let lab = january();
    lay(&lab, Market::Um, "ETHUSDT", "1d", "2024-03", 0);
    run(&lab, Market::Um);
    let to = lab.folder().join("dump");
    export(&lab, &to, &["--csv", "--start", "2024-01-28"]).expect(0);

    let manifest = fs::read(to.join("manifest.json")).expect("it is there");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("it is JSON");

    let downloads = &manifest["downloads"];
    let path = "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-29.zip";
    let archive = lab.mirror.root().join(path);
    assert_eq!(
        downloads["BTCUSDT/1m/2024-01-29"],
        serde_json::json!({
            "status": "ok",
            "url": format!("https://data.binance.vision/{path}"),
            "path": "klines_1m/um/BTCUSDT/2024-01-29.parquet",
            "bytes": fs::metadata(archive).expect("it was laid").len(),
        })
    );
    assert_eq!(downloads["ETHUSDT/1d/2024-02"]["status"], "missing");
    assert_eq!(downloads["BTCUSDT/1m/2024-01-28"]["status"], "missing");
    assert!(
        downloads.get("BTCUSDT/1d/2024-02").is_none(),
        "nobody asked for it"
    );
}

#[test]
fn without_a_list_those_bars_are_dumped_that_there_are() {
    let lab = Lab::new(BINARY);
    lay(&lab, Market::Spot, "BTCUSDT", "1d", "2024-01", 0);
    let words = ["run", "--market", "spot", "--data", "klines:1d"];
    lab.everything(&words).run().expect(0);
    let to = lab.folder().join("dump");

    let told = export(&lab, &to, &["--market", "spot", "--json"]);
    let told = told.expect(0).json_lines();
    let refused = export(&lab, &to, &["--market", "spot", "--interval", "day,60min"]);

    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["instrument"], "binance_spot.BTCUSDT");
    assert_eq!(
        (&told[0]["frequency"], &told[0]["bars"]),
        (&"day".into(), &31.into())
    );
    assert_eq!(around(&to.join("calendars")), ["day.txt"]);
    let refused = refused.expect(1);
    let line = refused.error_line();
    assert!(line.contains("klines_1h or klines_1m"), "{line}");
}
