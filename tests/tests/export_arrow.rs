//! `export arrow`: files of a day that are mapped into memory, with the values of the tables, and an index of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_tests::{Finished, Lab, Python, Story, parts, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Hours and days of a month, and minutes of days around its end; and a second symbol with minutes alone.
fn lay(lab: &Lab, market: Market, symbols: [&str; 2]) {
    let root = lab.mirror.root();
    let [full, minutes] = symbols.map(|symbol| Story::new(market, symbol));
    full.lay(root, "klines:1h", "2024-01");
    full.lay(root, "klines:1d", "2024-01");
    for day in ["2024-01-31", "2024-02-01", "2024-02-03"] {
        full.lay(root, "klines:1m", day);
    }
    minutes.lay(root, "klines:1m", "2024-01-31");
    lab.everything(&["run", "--market", market.as_str(), "--data", DATA])
        .run()
        .expect(0);
}

/// Named twice counts once.
const INTERVALS: [&str; 2] = ["1m,5m,1h,4h,1d,1h", "1m,1h"];

const DATA: &str = "klines:1h,klines:1d,klines:1m";

fn export(lab: &Lab, to: &Path, market: &str, more: &[&str]) -> Finished {
    let words = ["export", "arrow", "--market", market];
    let command = lab.command(&words).args(["--to".as_ref(), to.as_os_str()]);
    command.args(more).run()
}

/// What the reference found in an export that it agrees with: rows and files by symbol and interval.
#[track_caller]
fn read(
    output: &Path,
    exported: &Path,
    market: &str,
    intervals: &str,
) -> BTreeMap<(String, String), (u64, u64)> {
    let script = reference_folder().join("arrow_cache.py");
    let paths = [&script, output, exported].map(|path: &Path| path.to_str().expect("a plain path"));
    let told = Python::new().run(&[paths[0], paths[1], paths[2], market, intervals]);
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("arrow_cache.py prints JSON");
        let text = |key: &str| line[key].as_str().expect("a text").to_owned();
        let number = |key: &str| line[key].as_u64().expect("a number");
        (
            (text("symbol"), text("interval")),
            (number("rows"), number("files")),
        )
    };
    told.lines().map(of).collect()
}

/// The bytes and the time of each file.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.join("BINANCE")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("the folder can be read")
            .flatten()
        {
            let (path, of) = (entry.path(), entry.metadata().expect("it has one"));
            if of.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("it can be read");
                let time = of.modified().expect("it has one");
                found.insert(path.display().to_string(), (bytes, time));
            }
        }
    }
    let strip = |(path, of): (String, _)| {
        let name = path
            .strip_prefix(&folder.display().to_string())
            .expect("it lies below");
        (name.to_owned(), of)
    };
    found.into_iter().map(strip).collect()
}

/// The rows of the index without their numbers; and its times, by path.
fn index(folder: &Path) -> (Vec<String>, BTreeMap<String, String>) {
    let code = "import sys, sqlite3, json\n\
        rows = sqlite3.connect(sys.argv[1]).execute('SELECT market, symbol, interval, date, file_size, num_records, path, last_updated FROM cache_entries ORDER BY path')\n\
        print(json.dumps([list(row) for row in rows]))";
    let database = folder.join("cache_index.db");
    let told = Python::new().run(&["-c", code, database.to_str().expect("a plain path")]);
    let rows: Vec<Vec<Value>> = serde_json::from_str(&told).expect("it is JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let times = rows
        .iter()
        .map(|row| (text(&row[6]), text(&row[7])))
        .collect();
    (
        rows.iter().map(|row| format!("{:?}", &row[..7])).collect(),
        times,
    )
}

#[test]
fn files_of_every_market_are_mapped_and_have_the_values_of_the_tables() {
    let lab = Lab::new(BINARY);
    let to = lab.folder().join("cache");
    // One folder for all: spot and um have a symbol of the same name.
    for (market, symbols) in [
        (Market::Um, ["BTCUSDT", "ETHUSDT"]),
        (Market::Spot, ["BTCUSDT", "ETHBTC"]),
        (Market::Cm, ["BTCUSD_PERP", "ETHUSD_PERP"]),
    ] {
        lay(&lab, market, symbols);
        let intervals = INTERVALS[usize::from(market != Market::Um)];
        export(&lab, &to, market.as_str(), &["--interval", intervals]).expect(0);
    }
    for (market, symbol, intervals) in [
        ("um", "BTCUSDT", INTERVALS[0]),
        ("spot", "BTCUSDT", INTERVALS[1]),
        ("cm", "BTCUSD_PERP", INTERVALS[1]),
    ] {
        let found = read(&lab.output(), &to, market, intervals);
        let of = |interval: &str| found[&(symbol.to_owned(), interval.to_owned())];
        assert_eq!(of("1m").1, 3);
        // Hours of January, and those made of minutes.
        assert_eq!(of("1h").1, 33);
        assert!(of("1h").0 < 33 * 24 && of("1h").0 > 31 * 22);
        if market == "um" {
            assert_eq!(found.len(), 10, "two symbols, five intervals: {found:?}");
            assert_eq!(of("4h").1, 33);
        }
    }
    assert_eq!(parts(&to), [""; 0]);
}

#[test]
fn what_lacks_is_told() {
    let lab = Lab::new(BINARY);
    lay(&lab, Market::Um, ["BTCUSDT", "ETHUSDT"]);
    let to = lab.folder().join("cache");

    let told = export(&lab, &to, "um", &["--interval", "1h,1m", "--json"])
        .expect(0)
        .json_lines();
    let shown = export(&lab, &to, "um", &["--interval", "1h,1m"])
        .expect(0)
        .stdout;

    let hours = &told[0];
    assert_eq!(hours["file"], "BINANCE/KLINES/futures_um/BTCUSDT/1h");
    let rows = hours["rows"].as_u64().expect("a number");
    let gaps = hours["gaps"].as_array().expect("a list");
    let lacking: u64 = gaps.iter().filter_map(|gap| gap["bars"].as_u64()).sum();
    // From the first of January to the third of February there would be as many, but for what the ends lack.
    let first: jiff::Timestamp = hours["first"]
        .as_str()
        .expect("a text")
        .parse()
        .expect("a time");
    let last: jiff::Timestamp = hours["last"]
        .as_str()
        .expect("a text")
        .parse()
        .expect("a time");
    assert_eq!(
        rows + lacking,
        (last.duration_since(first).as_hours() + 1) as u64
    );
    assert!(lacking > 24, "the second of February is not there: {hours}");
    assert_eq!(hours["missing"], serde_json::json!(["2024-02-02"]));
    let line = format!(
        "BINANCE/KLINES/futures_um/BTCUSDT/1h: {rows} rows in 33 files, 0 written, {lacking} bars missing in {} gaps, without 2024-02-02",
        gaps.len()
    );
    assert!(shown.contains(&line), "{shown}");
    assert!(
        shown.contains(&format!("  and {} more", gaps.len() - 10)),
        "{shown}"
    );
}

#[test]
fn an_export_with_a_day_more_is_what_a_fresh_one_is_and_writes_that_day_alone() {
    let lab = Lab::new(BINARY);
    lay(&lab, Market::Um, ["BTCUSDT", "ETHUSDT"]);
    let to = lab.folder().join("cache");
    export(&lab, &to, "um", &["--interval", "1m,1h"]).expect(0);
    let (before, times) = (files(&to), index(&to).1);
    let root = lab.mirror.root();
    Story::new(Market::Um, "BTCUSDT").lay(root, "klines:1m", "2024-02-04");
    lab.everything(&["run", "--data", DATA]).run().expect(0);
    // The clock of the index has seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));

    let told = export(&lab, &to, "um", &["--interval", "1m,1h", "--json"])
        .expect(0)
        .json_lines();

    let written: Vec<_> = told.iter().map(|of| of["written"].as_u64()).collect();
    assert_eq!(written, [Some(1), Some(1), Some(0), Some(0)], "{told:?}");
    let after = files(&to);
    let new: Vec<_> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    assert_eq!(
        new,
        [
            "/BINANCE/KLINES/futures_um/BTCUSDT/1h/2024-02-04.arrow",
            "/BINANCE/KLINES/futures_um/BTCUSDT/1m/2024-02-04.arrow"
        ]
    );
    for (path, of) in &before {
        assert!(after[path] == *of, "{path} was touched");
    }
    let fresh = lab.folder().join("fresh");
    export(&lab, &fresh, "um", &["--interval", "1m,1h"]).expect(0);
    let bytes = |folder: &Path| -> BTreeMap<_, _> {
        files(folder)
            .into_iter()
            .map(|(path, (bytes, _))| (path, bytes))
            .collect()
    };
    assert_eq!(bytes(&fresh), bytes(&to));
    let (rows, later) = index(&to);
    assert_eq!(index(&fresh).0, rows);
    for (path, time) in &later {
        let was = times.get(path);
        assert!(was.is_none_or(|was| was == time), "{path} keeps its time");
    }
    read(&lab.output(), &to, "um", "1m,1h");

    // What is damaged is mended, what has gone from the tables goes, and a range leaves the rest alone.
    let hour = to.join("BINANCE/KLINES/futures_um/BTCUSDT/1h");
    fs::write(hour.join("2024-01-05.arrow"), "no longer Arrow").expect("it can be written");
    fs::remove_file(hour.join("2024-01-06.arrow")).expect("it is there");
    let told = export(
        &lab,
        &to,
        "um",
        &[
            "--interval",
            "1h",
            "--symbols",
            "BTCUSDT",
            "--start",
            "2024-01-06",
            "--json",
        ],
    )
    .expect(0);
    assert_eq!(told.json_lines()[0]["written"], 1);
    let told = export(&lab, &to, "um", &["--interval", "1h", "--json"]).expect(0);
    assert_eq!(told.json_lines()[0]["written"], 1);
    assert_eq!(bytes(&fresh), bytes(&to));
    assert_eq!(index(&to).0, rows);
}

#[test]
fn bars_that_may_not_have_ended_are_left_out() {
    let lab = Lab::new(BINARY);
    let root = lab.mirror.root();
    let story = Story::new(Market::Um, "BTCUSDT");
    for day in ["2024-02-26", "2024-02-27", "2024-02-28", "2024-02-29"] {
        story.lay(root, "klines:1d", day);
    }
    let to = lab.folder().join("cache");
    lab.everything(&["run", "--data", "klines:1d"])
        .run()
        .expect(0);
    let told = |intervals: &str| {
        let told = export(&lab, &to, "um", &["--interval", intervals, "--json"]);
        told.expect(0).json_lines()
    };
    let days = &told("1d")[0]["rows"];
    assert!(days.as_u64() > Some(2), "{days}");
    // Four days of a week.
    assert_eq!(told("1w")[0]["rows"], 0);

    story.lay(root, "klines:1h", "2024-02");
    lab.everything(&["run", "--data", "klines:1h"])
        .run()
        .expect(0);
    let told = told("1w,1mo");
    // Not the week of the 29th of January, of which three days are not there, nor that of the 26th, which ends in March.
    let [weeks, months] = [&told[0], &told[1]];
    assert_eq!(weeks["rows"], 3);
    assert_eq!(weeks["first"], "2024-02-05T00:00:00Z");
    assert_eq!(weeks["last"], "2024-02-19T00:00:00Z");
    assert_eq!(months["rows"], 1);
    assert_eq!(months["first"], "2024-02-01T00:00:00Z");
    assert!(
        to.join("BINANCE/KLINES/futures_um/BTCUSDT/1mo/2024-02-01.arrow")
            .is_file()
    );
}

#[test]
fn what_cannot_be_exported_is_told_in_one_line() {
    let lab = Lab::new(BINARY);
    lay(&lab, Market::Um, ["BTCUSDT", "ETHUSDT"]);
    let to = lab.folder().join("cache");

    let nothing = export(
        &lab,
        &to,
        "um",
        &["--interval", "1h", "--symbols", "XRPUSDT"],
    )
    .expect(1);
    assert!(
        nothing.only_error_line().contains("of XRPUSDT in um"),
        "{}",
        nothing.stderr
    );
    let bad = export(&lab, &to, "um", &["--interval", "7m"]).expect(2);
    assert!(bad.stderr.contains("7m"), "{}", bad.stderr);
    assert!(!to.exists(), "nothing was begun");

    let damaged = lab.output().join("klines_1h/um/BTCUSDT/2024-01.parquet");
    let whole = fs::read(&damaged).expect("it is there");
    fs::write(&damaged, &whole[..whole.len() / 2]).expect("it can be written");
    let failed = export(&lab, &to, "um", &["--interval", "1h"]).expect(1);
    let line = failed.only_error_line();
    assert!(
        line.contains("klines_1h/um/BTCUSDT/2024-01.parquet") && line.contains("cut short"),
        "{line}"
    );
    fs::write(&damaged, &whole).expect("it can be written");

    // The index of the cache of another program.
    fs::create_dir_all(&to).expect("it can be made");
    let code = "import sys, sqlite3\n\
        sqlite3.connect(sys.argv[1]).execute('CREATE TABLE cache_entries (id INTEGER PRIMARY KEY, symbol TEXT, interval TEXT, date TEXT)')";
    let database = to.join("cache_index.db");
    Python::new().run(&["-c", code, database.to_str().expect("a plain path")]);
    let foreign = export(&lab, &to, "um", &["--interval", "1h"]).expect(1);
    assert!(
        foreign
            .only_error_line()
            .contains("cache_index.db has other tables"),
        "{}",
        foreign.stderr
    );
    fs::remove_file(&database).expect("it is there");
    export(&lab, &to, "um", &["--interval", "1h"]).expect(0);
    read(&lab.output(), &to, "um", "1h");
}
