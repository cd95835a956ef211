//! `export csv` and `export factors`: each cell is what the archives give, and nothing else is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::generate::{AggTradesSpec, KlinesSpec, Order, Packing};
use tapemill_tests::{Finished, Lab, Python, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Two symbols with trades and candles, a month that comes as days, and a month that lacks.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for (seed, symbol, periods) in [
        (
            1,
            "BTCUSDT",
            ["2024-01", "2024-02", "2024-03-01", "2024-03-02"],
        ),
        (
            2,
            "ETHUSDT",
            ["2023-11", "2024-01", "2024-03-01", "2024-03-03"],
        ),
    ] {
        for period in periods {
            let period = period.parse().expect("it is a period");
            let mut trades = AggTradesSpec::new(Market::Um, symbol, period, 3_000);
            (trades.seed, trades.sessions) = (seed, true);
            (trades.order, trades.duplicates, trades.zero_quantities) = (Order::Shuffled, 20, 10);
            trades
                .write(lab.mirror.root(), &Packing::default())
                .expect("it can be written");
            let minute = "1m".parse().expect("it is an interval");
            let mut bars = KlinesSpec::new(Market::Um, symbol, minute, period);
            (bars.seed, bars.gaps, bars.zero_trade_bars) = (seed, 5, 10);
            bars.write(lab.mirror.root(), &Packing::default())
                .expect("it can be written");
        }
    }
    lab.everything(&["run"]).run().expect(0);
    lab
}

#[track_caller]
fn export(lab: &Lab, words: &[&str], to: &str) -> Finished {
    let words = [&["export"], words, &["--to", to]].concat();
    lab.command(&words).run()
}

/// How many cells the reference compared.
#[track_caller]
fn compared(words: &[&Path]) -> u64 {
    let script = reference_folder().join("exports.py");
    let words: Vec<_> = [script.as_path()]
        .iter()
        .chain(words)
        .map(|word| word.to_str().expect("plain"))
        .collect();
    let told = Python::new().run(&words);
    told.trim().parse().expect("it prints a number")
}

#[test]
fn each_cell_of_the_csvs_is_what_the_archives_give() {
    let lab = lab();

    let told = export(&lab, &["csv", "--json"], "csv")
        .expect(0)
        .json_lines();

    let folder = lab.folder().join("csv");
    let cells = compared(&[Path::new("csv"), &folder, lab.mirror.root()]);
    assert!(cells > 1_000_000, "{cells}");
    let factors = told
        .iter()
        .find(|file| file["file"] == "ETHUSDT_aggTrades.csv");
    let factors = factors.expect("the factors are told");
    assert_eq!(
        factors["missing"],
        serde_json::json!(["2023-12", "2024-02", "2024-03-02"])
    );
    let meta: Value = json(&folder.join("ETHUSDT_aggTrades.csv.meta.json"));
    for (key, value) in [
        ("status", "\"ok\""),
        ("data_type", "\"aggTrades\""),
        ("symbol", "\"ETHUSDT\""),
        ("market", "\"um\""),
        ("interval", "null"),
        ("requested_start", "null"),
        ("missing_months", "[\"2023-12\",\"2024-02\",\"2024-03\"]"),
        ("failed_months", "[]"),
    ] {
        assert_eq!(meta[key].to_string(), value, "{key}");
    }
    assert_eq!(meta["rows"], factors["rows"]);
}

#[test]
fn days_cut_the_rows_and_nothing_else() {
    let lab = lab();

    let range = ["csv", "--start", "2024-01-30", "--end", "2024-03-01"];
    export(&lab, &range, "cut").expect(0);

    let folder = lab.folder().join("cut");
    let first = ["csv", "--first", "2024-01-30", "--last", "2024-03-01"].map(Path::new);
    let cells = compared(&[
        first[0],
        &folder,
        lab.mirror.root(),
        first[1],
        first[2],
        first[3],
        first[4],
    ]);
    assert!(cells > 500_000, "{cells}");
}

#[test]
fn what_was_made_of_the_same_tables_is_left_alone() {
    let lab = lab();
    let words = ["csv", "--skip-existing", "--json", "--symbols", "ETHUSDT"];
    export(&lab, &words, "csv").expect(0);
    let folder = lab.folder().join("csv");
    let made = files(&folder);
    let kept = |words: &[&str]| -> Vec<bool> {
        let told = export(&lab, words, "csv").expect(0).json_lines();
        told.iter()
            .map(|file| file["kept"].as_bool().expect("it is told"))
            .collect()
    };

    assert_eq!(kept(&words), [true; 4]);
    assert_eq!(files(&folder), made);
    // Another request, a file that is cut, and a table that changed.
    assert_eq!(
        kept(&[&words[..], &["--start", "2024-01"]].concat()),
        [false; 4]
    );
    assert_eq!(kept(&words), [false; 4]);
    let cut = folder.join("ETHUSDT_klines_1m.csv");
    let text = fs::read(&cut).expect("it is there");
    fs::write(&cut, &text[..text.len() / 2]).expect("it can be written");
    assert_eq!(kept(&words).into_iter().filter(|kept| !kept).count(), 1);
    assert_eq!(fs::read(&cut).expect("it is there"), text);
    let day = lab
        .output()
        .join("factors_1h/um/ETHUSDT/2024-03-03.parquet");
    fs::remove_file(day).expect("it is there");
    assert_eq!(kept(&words).into_iter().filter(|kept| !kept).count(), 1);
}

#[test]
fn factors_of_any_interval_follow_from_the_minutes() {
    let lab = lab();
    for interval in ["1m", "5m", "1h", "4h", "1d", "3d", "1w", "1mo"] {
        export(&lab, &["factors", "--interval", interval], "factors").expect(0);
        let folder = lab.folder().join("factors");
        let cells = compared(&[
            Path::new("factors"),
            &folder,
            &lab.output(),
            Path::new(interval),
        ]);
        assert!(cells > 100, "{interval}: {cells}");
    }
    // Those of an hour are the stored ones.
    let columns = "import sys, pyarrow.parquet as pq; a, b = (pq.read_table(p) for p in sys.argv[1:]); \
                   assert b.num_rows > 500 and a.slice(0, b.num_rows).equals(b), (a.num_rows, b.num_rows)";
    let made = lab.folder().join("factors/factors_1h/um/BTCUSDT.parquet");
    let stored = lab.output().join("factors_1h/um/BTCUSDT/2024-01.parquet");
    let [made, stored] = [&made, &stored].map(|path| path.to_str().expect("plain"));
    Python::new().run(&["-c", columns, made, stored]);
}

#[test]
fn names_can_be_those_of_older_collectors() {
    let lab = lab();
    export(
        &lab,
        &["csv", "--names", "seed", "--symbols", "btc/usdt"],
        "csv",
    )
    .expect(0);
    let header = |file: &str| {
        let text = fs::read_to_string(lab.folder().join("csv").join(file)).expect("it is there");
        text.lines().next().expect("it has a line").to_owned()
    };
    assert_eq!(
        header("BTCUSDT_klines_1m.csv"),
        "timestamp,open,high,low,close,volume,close_time,quote_volume,trades,taker_buy_base,taker_buy_quote,symbol"
    );
    assert!(header("BTCUSDT_aggtrades_1m.csv").starts_with("minute,trade_count,"));
    assert!(!header("BTCUSDT_aggtrades_1m.csv").contains("raw_trade_count"));
    assert!(header("BTCUSDT_aggTrades.csv").starts_with("minute,trade_count,"));
}

#[test]
fn a_dead_task_is_a_failed_month_and_not_a_missing_one() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 500);
    lab.mirror.trades("BTCUSDT", "2024-03", 500);
    let broken = lab.mirror.trades("BTCUSDT", "2024-02", 500);
    fs::write(lab.mirror.root().join(&broken.key), "no ZIP").expect("it can be written");
    lab.everything(&["run", "--data", "aggTrades"])
        .run()
        .expect(3);

    export(&lab, &["csv", "--data", "aggTrades"], "csv").expect(0);

    let meta = json(&lab.folder().join("csv/BTCUSDT_aggTrades.csv.meta.json"));
    assert_eq!(meta["status"], "partial");
    assert_eq!(meta["failed_months"], serde_json::json!(["2024-02"]));
    assert_eq!(meta["missing_months"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_exported_is_said_in_a_line_and_nothing_is_half_written() {
    let lab = lab();
    let refused = |words: &[&str], code: i32, says: &str| {
        let finished = export(&lab, words, "refused");
        let finished = finished.expect(code);
        assert!(finished.error_line().contains(says), "{}", finished.stderr);
    };

    refused(&["csv", "--symbols", "NOPEUSDT"], 1, "NOPEUSDT");
    refused(
        &["csv", "--start", "2019-01", "--end", "2019-02"],
        1,
        "the output has no",
    );
    refused(&["csv", "--market", "cm"], 1, "in cm");
    refused(&["csv", "--tables", "nope"], 2, "--tables \"nope\"");
    refused(
        &["factors", "--interval", "1s"],
        2,
        "1s cannot be made of minutes",
    );
    // Tested with the engine in export_sql.rs.
    #[cfg(not(feature = "sql"))]
    refused(
        &["factors", "--interval", "1h", "--factors", "my.sql"],
        2,
        "without SQL; cargo install --path cli --features sql",
    );
    refused(&["factors", "--interval", "7m"], 2, "7m");
    assert!(!lab.folder().join("refused").exists());

    let table = lab.output().join("klines_1m/um/BTCUSDT/2024-02.parquet");
    let whole = fs::read(&table).expect("it is there");
    fs::write(&table, &whole[..whole.len() - 100]).expect("it can be written");
    refused(&["csv", "--tables", "klines_1m"], 1, "2024-02.parquet");
    // Another symbol's may be there.
    let left = fs::read_dir(lab.folder().join("refused"))
        .into_iter()
        .flatten();
    let left: Vec<_> = left
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains("BTCUSDT")),
        "{left:?}"
    );
    fs::write(&table, whole).expect("it can be written");

    for (kind, interval) in [("arrow", "1m"), ("qlib", "1min")] {
        let finished = export(&lab, &[kind, "--interval", interval], "s3://bucket/prefix");
        let finished = finished.expect(1);
        assert!(
            finished.error_line().contains("name a folder")
                || finished.error_line().contains("name one"),
            "{}",
            finished.stderr
        );
    }
    fs::write(lab.folder().join("file"), "").expect("it can be written");
    let finished = export(&lab, &["csv"], "file").expect(2);
    assert!(
        finished.error_line().contains("is a file"),
        "{}",
        finished.stderr
    );
}

/// Every file of a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect()
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("it is JSON")
}
