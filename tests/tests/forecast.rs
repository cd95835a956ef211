//! The forecaster: PyTorch's losses, nothing seen ahead of its time, the same result in one go or in several, and what is wrong told.
#![cfg(feature = "forecast")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tapemill_tests::{Finished, Python, Tapemill, reference_folder, until};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const FEATURES: [&str; 7] = [
    "best_bid_price",
    "best_ask_price",
    "mid_price",
    "spread",
    "bid_volume_top",
    "ask_volume_top",
    "volume_imbalance",
];

/// The place of `mid_price`.
const TARGET: usize = 2;

/// How far losses may be from PyTorch's, as a part of them. Both add 32-bit numbers, in another order.
const TOLERANCE: f64 = 1e-4;

/// A folder of made-up rows.
struct Rows {
    folder: TempDir,
    count: usize,
}

impl Rows {
    fn new(count: usize) -> Self {
        let rows = Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            count,
        };
        rows.more("rows", "");
        rows
    }

    /// The same rows, changed somehow; see the script.
    fn more(&self, name: &str, what: &str) -> String {
        let script = reference_folder().join("forecast_rows.py");
        let (file, raw) = (
            self.file(&format!("{name}.parquet")),
            self.file(&format!("{name}.f64")),
        );
        let count = self.count.to_string();
        Python::new().run(&[&text(&script), &file, &raw, &count, what]);
        file
    }

    fn file(&self, name: &str) -> String {
        text(&self.path(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Tapemill {
        Tapemill::new(BINARY)
            .folder(self.folder.path())
            .args(["forecast"])
            .args(words)
    }

    /// A training with small windows, on rows.parquet.
    fn small(&self, more: &[&str]) -> Tapemill {
        self.small_on("rows.parquet", more)
    }

    fn small_on(&self, rows: &str, more: &[&str]) -> Tapemill {
        let usual = [
            ["--input-length", "40"],
            ["--forecast-horizon", "5"],
            ["--batch-size", "100"],
        ];
        let usual = usual.iter().filter(|[flag, _]| !more.contains(flag));
        self.command(&["train", "--json", "--parquet-path", rows, "--features"])
            .args(FEATURES)
            .args(["--targets", "mid_price"])
            .args(usual.flatten())
            .args(more)
    }

    fn ask(&self, words: &[&str]) -> Value {
        let script = reference_folder().join("forecast_read.py");
        let told = Python::new().run(&[&[text(&script).as_str()], words].concat());
        serde_json::from_str(&told).expect("it prints JSON")
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("plain").to_owned()
}

/// What a training prints of each epoch.
fn epochs(finished: &Finished) -> Vec<Value> {
    let lines = finished.json_lines().into_iter();
    lines.filter(|line| line.get("epoch").is_some()).collect()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn losses_and_forecasts_are_pytorchs() {
    let rows = Rows::new(1_150);
    let (checkpoint, first) = (
        "models/tcn_forecaster.safetensors",
        rows.file("first.safetensors"),
    );
    let windows = ["--features"].iter().chain(&FEATURES).copied();
    let settings = [
        "--targets",
        "mid_price",
        "--input-length",
        "100",
        "--forecast-horizon",
        "10",
    ];
    let words: Vec<_> = [
        "train",
        "--parquet-path",
        "rows.parquet",
        "--batch-size",
        "128",
        "--dropout",
        "0",
    ]
    .into_iter()
    .chain(["--no-shuffle", "--json"])
    .chain(windows)
    .chain(settings)
    .collect();
    let begun = rows.command(&words).args(["--epochs", "0"]).run().expect(0);
    assert_eq!(begun.json_lines()[0]["parameters"], 122_570);
    fs::copy(rows.path(checkpoint), &first).expect("the first weights are there");

    let trained = rows
        .command(&words)
        .args(["--epochs", "5", "--resume"])
        .run()
        .expect(0);
    let counts = &trained.json_lines()[0]["windows"];

    let mut told = json!({
        "features": 7, "target": TARGET, "input": 100, "horizon": 10, "epochs": 5, "batch": 128,
        "validation": 0.1, "test": 0.1, "embargo": 110, "rate": 1e-3, "decay": 1e-5,
    });
    let script = text(&reference_folder().join("forecast_torch.py"));
    let (raw, count) = (rows.file("rows.f64"), rows.count.to_string());
    let torch = |checkpoint: &str, told: &Value| -> Value {
        let told =
            Python::with_torch().run(&[&script, &raw, &count, checkpoint, &told.to_string()]);
        serde_json::from_str(&told).expect("it prints JSON")
    };
    let theirs = torch(&first, &told);
    assert_eq!(theirs["parameters"], 122_570);
    assert_eq!(
        theirs["windows"],
        json!([counts["train"], counts["validation"]])
    );
    let ours = epochs(&trained);
    assert_eq!(ours.len(), 5);
    let mut furthest = 0_f64;
    for (ours, theirs) in ours
        .iter()
        .zip(theirs["losses"].as_array().expect("a list"))
    {
        for (place, kind) in ["train_loss", "validation_loss"].into_iter().enumerate() {
            let (ours, theirs) = (number(&ours[kind]), number(&theirs[place]));
            let apart = (ours / theirs - 1.0).abs();
            assert!(apart < TOLERANCE, "{kind}: {ours} and not {theirs}");
            furthest = furthest.max(apart);
        }
    }
    eprintln!("losses are at most {furthest:.1e} of themselves from PyTorch's");
    let (first, last) = (
        number(&ours[0]["train_loss"]),
        number(&ours[4]["train_loss"]),
    );
    assert!(
        last < first / 2.0,
        "{first} {last}: nothing was learned, so nothing compared"
    );

    // What was trained is PyTorch's network too: from every row it forecasts the same.
    rows.command(&[
        "predict",
        "--parquet-path",
        "rows.parquet",
        "--to",
        "forecasts.parquet",
    ])
    .run()
    .expect(0);
    let (forecasts, ours) = (rows.file("forecasts.parquet"), rows.file("forecasts.f64"));
    let written = rows.ask(&["raw", &forecasts, "mid_price", &ours]);
    assert_eq!(written["types"][0], "timestamp[ms, tz=UTC]");
    told["forecast"] = json!(ours);
    let compared = torch(&rows.file(checkpoint), &told);
    assert_eq!(compared["rows"], 1_150 - 99);
    assert!(number(&compared["difference"]) < 1e-4, "{compared}");
}

#[test]
fn scores_stand_beside_baselines_that_numpy_has_too() {
    let rows = Rows::new(1_500);
    rows.small(&["--epochs", "4"]).run().expect(0);
    let scored = rows
        .command(&["evaluate", "--parquet-path", "rows.parquet", "--json"])
        .run()
        .expect(0);

    let told = json!({
        "features": 7, "target": TARGET, "input": 40, "horizon": 5, "validation": 0.1, "test": 0.1, "embargo": 45,
    });
    let expected = rows.ask(&["baselines", &rows.file("rows.f64"), &told.to_string()]);
    let scores = scored.json_lines();
    assert_eq!(scores.len(), 5);
    for (ahead, score) in scores.iter().enumerate() {
        assert_eq!(
            (&score["target"], &score["horizon"]),
            (&json!("mid_price"), &json!(ahead + 1))
        );
        assert_eq!(score["windows"], expected["windows"]);
        for (kind, tolerance) in [("last_value", 1e-5), ("linear", 1e-3)] {
            let (ours, theirs) = (number(&score[kind]["mse"]), number(&expected[kind][ahead]));
            assert!(
                (ours / theirs - 1.0).abs() < tolerance,
                "{kind} {ahead}: {ours} {theirs}"
            );
            assert!((number(&score[kind]["rmse"]).powi(2) / ours - 1.0).abs() < 1e-9);
        }
        assert!((number(&score["up"]) - number(&expected["up"][ahead])).abs() < 1e-9);
        let skill = 1.0 - number(&score["network"]["mse"]) / number(&score["last_value"]["mse"]);
        assert!((number(&score["skill"]) - skill).abs() < 1e-12);
    }
    assert!(
        scored.stderr.contains("of the last value's and"),
        "{}",
        scored.stderr
    );

    let curve = rows.ask(&["drawing", &rows.file("models/tcn_forecaster.loss.svg")]);
    assert_eq!(curve["curves"], 4);
    for word in [
        "training",
        "validation",
        "last value (validation)",
        "linear (validation)",
    ] {
        assert!(
            curve["words"]
                .as_array()
                .expect("a list")
                .contains(&json!(word)),
            "{curve}"
        );
    }
    let forecasts = rows.ask(&["drawing", &rows.file("models/tcn_forecaster.forecasts.svg")]);
    assert_eq!(forecasts["curves"], 3);
}

#[test]
fn rows_behind_a_window_change_none_of_its_forecasts() {
    let rows = Rows::new(1_000);
    rows.small(&["--epochs", "1"]).run().expect(0);
    rows.more("other", "after:700");
    for name in ["rows", "other"] {
        let (file, to) = (
            format!("{name}.parquet"),
            format!("{name}-forecasts.parquet"),
        );
        rows.command(&["predict", "--parquet-path", &file, "--to", &to])
            .run()
            .expect(0);
    }
    let files = ["rows", "other"].map(|name| rows.file(&format!("{name}-forecasts.parquet")));
    let told = rows.ask(&["same", &files[0], &files[1], "700"]);
    let expected =
        json!({"before": 700 - 39, "same_before": 700 - 39, "after": 300, "same_after": 0});
    assert_eq!(told, expected);
}

#[test]
fn rows_of_the_test_part_change_nothing_that_is_made() {
    let rows = Rows::new(1_000);
    // 100 rows for validation, 45 of embargo, 100 for the test.
    rows.more("other", "after:855");
    rows.more("validation", "after:854");
    for name in ["rows", "other", "validation"] {
        let checkpoint = format!("{name}.safetensors");
        rows.small_on(
            &format!("{name}.parquet"),
            &["--epochs", "2", "--checkpoint", &checkpoint],
        )
        .run()
        .expect(0);
    }
    let made =
        |name: &str| fs::read(rows.path(&format!("{name}.safetensors"))).expect("it is there");
    assert!(made("rows") == made("other"));
    // One row more, and validation sees it: so the test sees what it is there for.
    assert!(made("rows") != made("validation"));
}

#[test]
fn parts_of_another_file_are_told_by_its_times() {
    let rows = Rows::new(1_000);
    rows.small(&["--epochs", "1"]).run().expect(0);
    rows.more("later", "from:500");
    let evaluate = |file: &str, part: &str| {
        let words = ["evaluate", "--json", "--parquet-path", file, "--part", part];
        rows.command(&words).run()
    };
    for part in ["validation", "test"] {
        let [whole, later] =
            ["rows.parquet", "later.parquet"].map(|file| evaluate(file, part).expect(0));
        assert_eq!(whole.stdout, later.stdout);
        assert_eq!(whole.json_lines()[0]["windows"], 100 - 44, "{part}");
    }
    // Of the training part what is there; of all, every window.
    for (part, windows) in [("train", 710 - 500 - 44), ("all", 500 - 44)] {
        let scored = evaluate("later.parquet", part).expect(0);
        assert_eq!(scored.json_lines()[0]["windows"], windows, "{part}");
    }

    // Without times only the file that was trained on has parts.
    for (name, what) in [("rows", "untimed:0"), ("later", "untimed:500")] {
        rows.more(name, what);
    }
    let trained = rows.small(&["--epochs", "1"]).run().expect(0);
    assert!(
        trained.stderr.contains("no column of times"),
        "{}",
        trained.stderr
    );
    evaluate("rows.parquet", "test").expect(0);
    let refused = evaluate("later.parquet", "test").expect(1);
    assert!(
        refused
            .stderr
            .contains("nothing says which are the test part"),
        "{}",
        refused.stderr
    );
    evaluate("later.parquet", "all").expect(0);
}

#[test]
fn no_window_reaches_across_a_hole() {
    let rows = Rows::new(1_000);
    let train = 1_000 - 200 - 90;
    let windows = |from: usize, to: usize| (to - from).saturating_sub(44);
    for (what, lost) in [("hole:300", 0), ("null:300", 1)] {
        let file = rows.more("holes", what);
        let told = rows.small_on(&file, &["--epochs", "0"]).run().expect(0);
        let counts = &told.json_lines()[0];
        let expected = windows(0, 300) + windows(300 + lost, train);
        assert_eq!(counts["windows"]["train"], expected, "{what}");
        assert_eq!(counts["jumps"], 1 - lost, "{what}");
        assert_eq!(counts["rows_without_a_value"], lost, "{what}");
        assert!(
            told.stderr.contains("no window reaches across"),
            "{}",
            told.stderr
        );

        rows.command(&[
            "predict",
            "--parquet-path",
            &file,
            "--to",
            "forecasts.parquet",
        ])
        .run()
        .expect(0);
        let there = rows.ask(&["rows", &rows.file("forecasts.parquet")]);
        let shift = if lost == 0 { 10 } else { 0 };
        let ends: Vec<usize> = (39..300)
            .chain(300 + lost + 39 + shift..1_000 + shift)
            .collect();
        // Behind the jump rows are a second later, which is ten of them.
        assert_eq!(there["rows"], json!(ends), "{what}");
    }
    let apart = rows.more("holes", "hole:300");
    let told = rows
        .small_on(&apart, &["--epochs", "0", "--no-grid"])
        .run()
        .expect(0);
    assert_eq!(told.json_lines()[0]["windows"]["train"], windows(0, train));
}

#[test]
fn one_go_several_goes_and_any_number_of_threads_make_the_same_file() {
    let rows = Rows::new(900);
    let train = |checkpoint: &str, more: &[&str]| {
        let finished = rows
            .small(&["--checkpoint", checkpoint])
            .args(more)
            .run()
            .expect(0);
        epochs(&finished)
    };
    let whole = train("whole.safetensors", &["--epochs", "3", "--threads", "1"]);
    let mut parts = train("parts.safetensors", &["--epochs", "1", "--threads", "3"]);
    parts.extend(train(
        "parts.safetensors",
        &["--epochs", "3", "--threads", "2", "--resume"],
    ));
    let losses = |epochs: &[Value]| -> Vec<Value> {
        let of = |epoch: &Value| {
            json!([
                epoch["epoch"],
                epoch["train_loss"],
                epoch["validation_loss"],
                epoch["best"]
            ])
        };
        epochs.iter().map(of).collect()
    };
    assert_eq!(losses(&whole), losses(&parts));
    let made = ["whole", "parts"].map(|name| fs::read(rows.path(&format!("{name}.safetensors"))));
    let [whole, parts] = made.map(|made| made.expect("it is there"));
    assert!(whole == parts);
    // Another seed makes another.
    train("other.safetensors", &["--epochs", "3", "--seed", "1"]);
    assert!(fs::read(rows.path("other.safetensors")).expect("it is there") != whole);
}

#[test]
fn a_killed_training_leaves_a_checkpoint_to_go_on_from() {
    let rows = Rows::new(900);
    let checkpoint = rows.path("models/tcn_forecaster.safetensors");
    let running = rows.small(&["--epochs", "10000"]).spawn();
    until("there is a checkpoint", || checkpoint.exists());
    running.signal(libc::SIGKILL);
    running.wait();

    let scored = rows
        .command(&["evaluate", "--parquet-path", "rows.parquet", "--json"])
        .run();
    assert_eq!(scored.expect(0).json_lines().len(), 5);
    let again = rows.small(&["--epochs", "0", "--resume"]).run().expect(0);
    let done = again.json_lines()[0]["epochs_done"]
        .as_u64()
        .expect("a count");
    assert!(done >= 1);
    // However many epochs it had, with one more it is what they are in one go.
    let more = (done + 1).to_string();
    rows.small(&["--epochs", &more, "--resume"]).run().expect(0);
    let whole = ["--epochs", &more, "--checkpoint", "whole.safetensors"];
    rows.small(&whole).run().expect(0);
    let [resumed, whole] = [checkpoint, rows.path("whole.safetensors")].map(fs::read);
    assert!(resumed.expect("it is there") == whole.expect("it is there"));
}

#[test]
fn an_interrupted_training_ends_with_130_and_says_how_to_go_on() {
    let rows = Rows::new(900);
    let checkpoint = rows.path("models/tcn_forecaster.safetensors");
    let running = rows.small(&["--epochs", "10000"]).spawn();
    until("there is a checkpoint", || checkpoint.exists());
    running.signal(libc::SIGINT);
    let finished = running.wait().expect(130);
    assert!(
        finished.stderr.contains("--resume goes on from"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let rows = Rows::new(900);
    rows.small(&["--epochs", "0"]).run().expect(0);
    for what in ["text", "back", "empty"] {
        rows.more(what, what);
    }
    fs::write(rows.path("no.parquet"), "nothing of the kind").expect("a file can be written");
    let whole = fs::read(rows.path("models/tcn_forecaster.safetensors")).expect("it is there");
    fs::write(rows.path("cut.safetensors"), &whole[..whole.len() / 2])
        .expect("a file can be written");
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(rows.path("changed.safetensors"), changed).expect("a file can be written");

    let on = |file, more: &[&str]| rows.small_on(file, more).run();
    let with = |checkpoint| {
        let words = [
            "evaluate",
            "--parquet-path",
            "rows.parquet",
            "--checkpoint",
            checkpoint,
        ];
        rows.command(&words).run()
    };
    let cases = [
        (
            on("rows.parquet", &["--targets", "nothing"]),
            1,
            "has no column nothing; it has timestamp, symbol, best_bid_price",
        ),
        (
            on("text.parquet", &[]),
            1,
            "text.parquet: column best_bid_price is Utf8, and numbers are needed",
        ),
        (
            on("back.parquet", &[]),
            1,
            "rows 11 and 12 go back in time in column timestamp: give one symbol, sorted by time",
        ),
        (on("empty.parquet", &[]), 1, "empty.parquet: has no rows"),
        (on("no.parquet", &[]), 1, "cannot read no.parquet: "),
        (
            on("nowhere.parquet", &[]),
            1,
            "cannot read nowhere.parquet: No such file",
        ),
        (
            on("rows.parquet", &["--input-length", "800"]),
            1,
            "900 rows are too few",
        ),
        (
            on("rows.parquet", &["--embargo", "44"]),
            2,
            "--embargo 44 is less than the 45 rows of a window",
        ),
        (
            on("rows.parquet", &["--dropout", "1"]),
            2,
            "--dropout 1 is not from 0 to 0.99",
        ),
        (
            on("rows.parquet", &["--batch-size", "0"]),
            2,
            "--batch-size 0 is not from 1",
        ),
        (
            on("rows.parquet", &["--targets", "spread,spread"]),
            2,
            "--targets names spread twice",
        ),
        (
            on("rows.parquet", &["--time-column", "symbol"]),
            1,
            "column symbol is Utf8, and times are needed",
        ),
        (
            on("rows.parquet", &["--resume", "--seed", "1"]),
            2,
            "--seed 1 cannot be gone on with: the checkpoint has 2024",
        ),
        (
            on("rows.parquet", &["--resume", "--no-shuffle"]),
            2,
            "--no-shuffle cannot be gone on with",
        ),
        (
            on("rows.parquet", &["--device", "gpu"]),
            2,
            "built without GPUs",
        ),
        (
            with("nowhere.safetensors"),
            1,
            "cannot read nowhere.safetensors: No such file",
        ),
        (
            with("cut.safetensors"),
            1,
            "cannot read cut.safetensors: it is no whole checkpoint",
        ),
        (
            with("changed.safetensors"),
            1,
            "its numbers are not those that were written",
        ),
        (
            with("rows.parquet"),
            1,
            "cannot read rows.parquet: it is no whole checkpoint",
        ),
    ];
    for (finished, code, expected) in cases {
        let finished = finished.expect(code);
        let line = finished.stderr.lines().last().unwrap_or_default();
        assert!(line.contains(expected), "{expected}: {}", finished.stderr);
        let errors = finished
            .stderr
            .lines()
            .filter(|line| line.starts_with("tapemill: "));
        assert_eq!(errors.count(), 1, "{}", finished.stderr);
    }
    rows.more("other", "after:100");
    let refused = rows
        .small_on("other.parquet", &["--resume"])
        .run()
        .expect(1);
    assert!(
        refused
            .stderr
            .contains("is not the file that the training began with"),
        "{}",
        refused.stderr
    );
}
