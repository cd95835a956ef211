//! The command line: what is refused, in one line and with which exit code; where settings come from; what is data.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tapemill_tests::{Lab, Tapemill};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 1_000);
    lab
}

fn of_btc(lab: &Lab, more: &[&str]) -> Tapemill {
    lab.from_source(&["run", "--symbols", "BTCUSDT"]).args(more)
}

#[test]
fn bad_usage_is_one_line_that_names_the_flag_and_exit_2() {
    let lab = lab();
    let cases: [(&[&str], &[&str]); 23] = [
        (
            &["--start", "2024-02", "--end", "2024-01"],
            &["--start", "2024-02 .. 2024-01", "--end"],
        ),
        (&["--start", "2024-01-32"], &["2024-01-32", "YYYY-MM-DD"]),
        (&["--start", "-7"], &["-7", "-7d"]),
        (&["--months", "2024-01,2024-13"], &["2024-13"]),
        (&["--months", "2024-01-02"], &["2024-01-02", "YYYY-MM"]),
        (&["--market", "futures"], &["--market", "futures"]),
        (&["--data", "aggTrade"], &["aggTrade"]),
        (&["--data", "klines"], &["klines"]),
        (&["--data", "klines:7m"], &["7m"]),
        (&["--wrokers", "2"], &["--wrokers", "--workers"]),
        (&["--workers", "0"], &["--workers", "0"]),
        (&["--workers", "two"], &["--workers", "two"]),
        (&["--workers"], &["--workers"]),
        (&["--start", ""], &["--start", "empty"]),
        (&["--data", " "], &["--data", "empty"]),
        (&["--lease", "1ms"], &["--lease", "500ms"]),
        (&["--lease", "soon"], &["--lease", "soon"]),
        (&["--whale-quote=-1"], &["--whale-quote", "-1"]),
        (&["--min-volume=-1"], &["--min-volume", "-1"]),
        (&["--layout", "flat"], &["--layout", "flat", "hive"]),
        (
            &["--queue", "postgres://x"],
            &["postgres://x", "sqlite:PATH"],
        ),
        (&["--listing", "nonsense"], &["nonsense"]),
        (&["stray"], &["stray"]),
    ];
    for (arguments, told) in cases {
        let refused = of_btc(&lab, arguments).run().expect(2);

        let line = refused.only_error_line();
        for told in told {
            assert!(
                line.contains(told),
                "{arguments:?}: {told:?} is not in {line:?}"
            );
        }
    }
    assert!(!lab.output().exists(), "nothing was begun");
    assert_eq!(lab.mirror.log(), []);
}

#[test]
fn sources_and_outputs_that_cannot_be_are_refused() {
    let lab = lab();
    for (words, told) in [
        (["--source", "no-such-folder"], "no such folder"),
        (["--source", "ftp://example.org"], "ftp://example.org"),
        (["--source", "http://"], "cannot be a source"),
        (["--output", "s3://bucket/x"], "name the queue with --queue"),
        (
            ["--output", "gs://bucket/x"],
            "not a folder of this machine",
        ),
        (["--config", "no-such.toml"], "no-such.toml"),
    ] {
        let run = Tapemill::new(BINARY).folder(lab.folder());
        let refused = run
            .args(["run", "--symbols", "BTCUSDT"])
            .args(words)
            .run()
            .expect(2);
        assert!(
            refused.only_error_line().contains(told),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn a_selection_without_symbols_is_refused() {
    let lab = lab();
    for command in ["run", "plan", "fetch"] {
        let refused = lab.from_source(&[command]).run().expect(2);
        let line = refused.only_error_line();
        assert!(
            line.contains("--symbols is missing") && line.contains("@FILE"),
            "{line}"
        );
    }
}

#[test]
fn a_bad_symbol_or_symbols_file_is_refused_and_names_the_culprit() {
    let lab = lab();
    let write = |name: &str, text: &str| {
        fs::write(lab.folder().join(name), text).expect("it can be written")
    };
    write("path.txt", "BTCUSDT\n../etc/passwd\n");
    write("empty.txt", "# nothing yet\n\n");
    write("column.csv", "market,symbol\num,BTCUSDT\num,\n");
    for (symbols, told) in [
        ("BTCUSDT,", "symbol"),
        ("../BTCUSDT", "../BTCUSDT"),
        ("BTC USDT", "BTC USDT"),
        ("@absent.txt", "absent.txt"),
        ("@path.txt", "../etc/passwd"),
        ("@path.txt", "path.txt"),
        ("@empty.txt", "empty.txt"),
        ("@column.csv", "column.csv"),
    ] {
        let refused = lab
            .from_source(&["run", "--symbols", symbols])
            .run()
            .expect(2);
        assert!(
            refused.only_error_line().contains(told),
            "{symbols}: {}",
            refused.stderr
        );
    }
    assert!(!lab.output().exists());
}

#[test]
fn symbols_come_in_many_spellings_and_from_files() {
    let lab = lab();
    lab.mirror.trades("ETHUSDT", "2024-01", 100);
    fs::write(
        lab.folder().join("mine.txt"),
        "# mine\nbtcusdt # first\nETH/USDT:USDT\n",
    )
    .expect("it can be written");
    fs::write(
        lab.folder().join("mine.csv"),
        "rank,symbol\n1,BTC-USDT\n2,ETHUSDT\n",
    )
    .expect("it can be written");
    for symbols in [
        "BTCUSDT,ETHUSDT",
        "btcusdt,eth-usdt",
        "BTC/USDT,ETH/USDT:USDT",
        "@mine.txt",
        "@mine.csv",
        "all",
    ] {
        let words = [
            "plan",
            "--dry-run",
            "--data",
            "aggTrades",
            "--symbols",
            symbols,
        ];
        let plan = lab.from_source(&words).run().expect(0);
        assert_eq!(plan.stdout.lines().count(), 2, "{symbols}: {}", plan.stdout);
    }
}

#[test]
fn unknown_variables_and_settings_are_refused_with_the_nearest_name() {
    let lab = lab();
    let variable = of_btc(&lab, &[])
        .env("TAPEMILL_WORKER", "2")
        .run()
        .expect(2);
    let line = variable.only_error_line();
    assert!(
        line.contains("TAPEMILL_WORKER ") && line.contains("TAPEMILL_WORKERS"),
        "{line}"
    );

    let empty = of_btc(&lab, &[]).env("TAPEMILL_LEASE", "").run().expect(2);
    assert!(
        empty.only_error_line().contains("TAPEMILL_LEASE is empty"),
        "{}",
        empty.stderr
    );

    let bad = of_btc(&lab, &[])
        .env("TAPEMILL_LEASE", "soon")
        .run()
        .expect(2);
    assert!(bad.only_error_line().contains("soon"), "{}", bad.stderr);

    let toml = lab.folder().join("tapemill.toml");
    for (text, told) in [
        (
            "lease = \"60s\"\nworkrs = 2\n",
            ["tapemill.toml:2", "workrs", "workers"],
        ),
        ("lease = \"\"\n", ["tapemill.toml:1", "lease", "empty"]),
        (
            "[queue]\nlease = \"60s\"\n",
            ["tapemill.toml:1", "queue", ""],
        ),
        ("lease = \n", ["tapemill.toml:1", "", ""]),
        ("lease = \"soon\"\n", ["soon", "lease", ""]),
    ] {
        fs::write(&toml, text).expect("it can be written");
        let refused = of_btc(&lab, &[]).run().expect(2);
        let line = refused.only_error_line();
        assert!(
            told.iter().all(|told| line.contains(told)),
            "{text:?}: {line}"
        );
    }
    assert!(!lab.output().exists());
}

fn settings(command: Tapemill) -> BTreeMap<String, (String, String)> {
    let shown = command.run().expect(0).json_lines();
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    let setting = |line: &Value| {
        (
            text(&line["name"]),
            (text(&line["value"]), text(&line["origin"])),
        )
    };
    shown.iter().map(setting).collect()
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let lab = lab();
    let toml = "lease = \"20s\"\ngrace = \"5s\"\nattempts = 9\nkeep_zip = true\ndata = [\"aggTrades\", \"klines:1h\"]\n";
    fs::write(lab.folder().join("tapemill.toml"), toml).expect("it can be written");

    let show = Tapemill::new(BINARY).folder(lab.folder());
    let show = show.args(["config", "show", "--json", "--lease", "40s"]);
    let shown = settings(
        show.env("TAPEMILL_LEASE", "30s")
            .env("TAPEMILL_GRACE", "6s"),
    );

    let of = |name: &str| {
        let (value, origin) = &shown[name];
        (value.as_str(), origin.as_str())
    };
    assert_eq!(of("lease"), ("40s", "flag"));
    assert_eq!(of("grace"), ("6s", "environment TAPEMILL_GRACE"));
    assert_eq!(of("attempts"), ("9", "tapemill.toml:3"));
    assert_eq!(of("keep-zip"), ("true", "tapemill.toml:4"));
    assert_eq!(of("data"), ("aggTrades,klines:1h", "tapemill.toml:5"));
    assert_eq!(of("expiries"), ("5", "default"));
    assert_eq!(of("market"), ("um", "default"));
    for name in [
        "symbols",
        "start",
        "end",
        "months",
        "source",
        "listing",
        "output",
        "queue",
        "workers",
        "name",
        "force",
        "min-volume",
    ] {
        assert!(
            shown.contains_key(name),
            "{name} is a setting: {:?}",
            shown.keys()
        );
    }
}

#[test]
fn settings_of_the_file_and_the_environment_are_obeyed() {
    let lab = lab();
    lab.mirror.klines("BTCUSDT", "2024-01");
    fs::write(
        lab.folder().join("mine.toml"),
        "symbols = \"BTCUSDT\"\ndata = \"klines:1m\"\n",
    )
    .expect("it can be written");

    let run = lab.from_source(&["run", "--config", "mine.toml"]);
    run.env("TAPEMILL_LAYOUT", "hive").run().expect(0);

    let made: Vec<_> = tapemill_tests::hashes(&lab.output()).into_keys().collect();
    let file = |dataset: &str| format!("{dataset}/market=um/symbol=BTCUSDT/period=2024-01.parquet");
    assert_eq!(made, [file("klines_1h_from_1m"), file("klines_1m")]);
}

#[test]
fn data_goes_to_stdout_and_everything_else_to_stderr() {
    let lab = lab();

    let run = of_btc(&lab, &[]).run().expect(0);
    let json = of_btc(&lab, &["--json", "--force", "-v"]).run().expect(0);
    let quiet = of_btc(&lab, &["-q"]).run().expect(0);
    let help = Tapemill::new(BINARY)
        .args(["run", "--help"])
        .run()
        .expect(0);

    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("1 done"), "{}", run.stderr);
    let report = json.json_lines();
    assert_eq!(report.len(), 1, "the report is the only data");
    assert_eq!(
        (&report[0]["done"], &report[0]["milled"]),
        (&1.into(), &1.into())
    );
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    assert!(
        help.stderr.is_empty() && help.stdout.contains("TAPEMILL_SYMBOLS"),
        "{}",
        help.stdout
    );
}

#[test]
fn json_logs_carry_task_generation_and_worker_on_every_line_of_a_task() {
    let lab = Lab::new(BINARY);
    let mut spec = tapemill_tests::trades_of("BTCUSDT", "2024-01", 100);
    spec.style.broken_row = Some((50, "rubbish".to_owned()));
    lab.mirror.lay(spec, &Default::default());

    let run = of_btc(&lab, &["--log-format", "json", "-q", "--name", "me"])
        .run()
        .expect(3);

    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(!lines.is_empty(), "a dead task is an error, however quiet");
    for line in lines {
        let text = line.to_string();
        for told in [
            "um/aggTrades/BTCUSDT/2024-01",
            "\"task.id\"",
            "\"generation\"",
            "\"worker.id\"",
            "me-",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn status_and_tasks_have_the_shapes_that_programs_rely_on() {
    let lab = lab();
    lab.mirror.klines("BTCUSDT", "2024-01");
    lab.everything(&["plan"]).run().expect(0);
    let planned = lab
        .command(&["status", "--json"])
        .run()
        .expect(0)
        .json_lines();
    lab.everything(&["run"]).run().expect(0);
    let done = lab
        .command(&["status", "--json"])
        .run()
        .expect(0)
        .json_lines();

    let states = ["dead", "done", "leased", "missing", "pending"];
    for status in [&planned, &done] {
        assert_eq!(status.len(), 1);
        let top = [
            "brake_seconds",
            "bytes",
            "bytes_per_second",
            "datasets",
            "eta_seconds",
            "paused",
            "queue",
            "rows_per_second",
            "totals",
            "workers",
        ];
        assert_eq!(keys(&status[0]), top);
        assert_eq!(keys(&status[0]["totals"]), states);
        assert_eq!(keys(&status[0]["datasets"]), ["aggTrades", "klines:1m"]);
        assert_eq!(keys(&status[0]["datasets"]["klines:1m"]), states);
        assert_eq!(keys(&status[0]["bytes"]), ["done", "left"]);
        assert_eq!(status[0]["paused"], false);
    }
    assert_eq!(
        planned[0]["eta_seconds"],
        Value::Null,
        "without a rate nobody knows"
    );
    assert!(planned[0]["bytes"]["left"].as_u64() > Some(0) && planned[0]["bytes"]["done"] == 0);
    assert!(done[0]["bytes"]["done"].as_u64() > Some(0) && done[0]["bytes"]["left"] == 0);
    assert_eq!(done[0]["totals"]["done"], 2);

    for task in lab.tasks() {
        assert_eq!(
            keys(&task),
            ["attempts", "expiries", "history", "id", "reason", "state"]
        );
    }
}

#[test]
fn a_summary_counts_symbols_and_what_the_output_takes() {
    let lab = lab();
    let good = lab.mirror.klines("BTCUSDT", "2024-01");
    let mut broken = tapemill_tests::trades_of("ETHUSDT", "2024-01", 100);
    broken.style.broken_row = Some((50, "rubbish".to_owned()));
    lab.mirror.lay(broken, &Default::default());
    lab.mirror.klines("ADAUSDT", "2024-01");
    let status = |words: &[&str]| {
        let words = [&["status", "--json"], words].concat();
        lab.command(&words).run().expect(0).json_lines().remove(0)
    };

    let run = ["run", "-q", "--symbols", "BTCUSDT,ETHUSDT"];
    lab.from_source(&run).run().expect(3);
    lab.everything(&["plan"]).run().expect(0);
    let told = status(&["--summary"]);

    let summary = &told["summary"];
    assert_eq!(
        keys(summary),
        [
            "archive_bytes",
            "bytes_on_disk",
            "files",
            "symbols",
            "symbols_done",
            "symbols_with_dead"
        ]
    );
    assert_eq!(
        (&summary["symbols"], &summary["symbols_done"]),
        (&3.into(), &1.into())
    );
    assert_eq!(summary["symbols_with_dead"], 1);
    assert_eq!(summary["archive_bytes"], told["bytes"]["done"]);
    assert!(
        summary["archive_bytes"].as_u64() > fs::metadata(good.path).ok().map(|file| file.len())
    );
    let tables = tapemill_tests::hashes(&lab.output()).len() as u64;
    assert!(
        summary["files"].as_u64() > Some(tables),
        "the queue is a file too"
    );
    assert!(summary["bytes_on_disk"].as_u64() > Some(10_000));
    assert_eq!(status(&[])["summary"], Value::Null, "it costs a walk");

    let text = lab.command(&["status", "--summary"]).run().expect(0).stdout;
    let line = text.lines().find(|line| line.contains("symbols done"));
    assert!(
        line.is_some_and(
            |line| line.starts_with("1 of 3 symbols done, 1 with dead tasks; archives of ")
        ),
        "{text}"
    );

    // A queue without an output.
    let queue = format!("sqlite:{}", lab.output().join("queue.db").display());
    let absent = lab.folder().join("absent");
    let words = ["status", "--json", "--summary", "--queue", &queue];
    let told = lab.command_at(&words, &absent).run().expect(0);
    let summary = &told.json_lines()[0]["summary"];
    assert_eq!(
        (&summary["files"], &summary["bytes_on_disk"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!absent.exists(), "looking makes nothing");
}

#[test]
#[cfg(not(feature = "forecast"))]
fn a_build_without_the_forecaster_says_how_to_have_it() {
    let lab = lab();
    for words in [
        &[
            "forecast",
            "train",
            "--parquet-path",
            "rows.parquet",
            "--features",
            "a",
            "b",
        ][..],
        &["forecast", "evaluate", "--parquet-path", "rows.parquet"],
        &[
            "forecast",
            "predict",
            "--parquet-path",
            "rows.parquet",
            "--to",
            "forecasts.parquet",
        ],
    ] {
        let command = Tapemill::new(BINARY).folder(lab.folder()).args(words);
        let refused = command.run().expect(2);
        let line = refused.only_error_line();
        assert!(
            line.contains(
                "built without the forecaster; cargo install --path cli --features forecast"
            ),
            "{line}"
        );
    }
}
