//! Own factors: a file of SQL expressions gives columns beside the built-in ones, and nothing where it is wrong.
#![cfg(feature = "sql")]

use std::fs;
use std::path::{Path, PathBuf};

use tapemill_standin::Market;
use tapemill_standin::generate::{AggTradesSpec, KlinesSpec, Order, Packing};
use tapemill_tests::{Finished, Lab, Python, project, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// What the reference computes by itself: tests/reference/own_factors.py.
const OWN: &str = "\
-- A share, a spread, and the hour of the day.
sum(whale_buy_quote + whale_sell_quote) / nullif(sum(quote_volume), 0) AS whale_share,
max(price_high) - min(price_low) AS price_range,
count(*) AS minutes,
stddev(price_last) AS price_std,
max(CASE WHEN taker_buy_quote > taker_sell_quote THEN minute END) AS last_buy_minute,
date_part('hour', bar) AS hour_of_day,
bool_and(trade_count > 1) AS always_traded
";

/// Two months and a day of two symbols, of every kind that a wide table has something of.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for (seed, symbol) in [(1, "BTCUSDT"), (2, "ETHUSDT")] {
        for period in ["2024-01", "2024-02", "2024-03-01"] {
            let period = period.parse().expect("it is a period");
            let mut trades = AggTradesSpec::new(Market::Um, symbol, period, 20_000);
            (trades.seed, trades.sessions, trades.order) = (seed, true, Order::Shuffled);
            trades
                .write(lab.mirror.root(), &Packing::default())
                .expect("it can be written");
            let hour = "1h".parse().expect("it is an interval");
            let mut bars = KlinesSpec::new(Market::Um, symbol, hour, period);
            bars.seed = seed;
            bars.write(lab.mirror.root(), &Packing::default())
                .expect("it can be written");
        }
    }
    let kinds = ["run", "--data", "aggTrades,klines:1h"];
    lab.everything(&kinds).run().expect(0);
    lab
}

fn file(lab: &Lab, name: &str, text: &str) -> PathBuf {
    let path = lab.folder().join(name);
    fs::write(&path, text).expect("a file can be written");
    path
}

#[track_caller]
fn export(lab: &Lab, words: &[&str], to: &str) -> Finished {
    let words = [&["export"], words, &["--to", to]].concat();
    lab.command(&words).run()
}

#[track_caller]
fn reference(words: &[&Path]) -> u64 {
    let script = reference_folder().join("own_factors.py");
    let words: Vec<_> = [script.as_path()]
        .iter()
        .chain(words)
        .map(|word| word.to_str().expect("plain"))
        .collect();
    let told = Python::new().run(&words);
    told.trim().parse().expect("it prints a number")
}

#[test]
fn own_columns_stand_behind_the_built_in_ones_and_are_what_their_expressions_say() {
    let lab = lab();
    let own = file(&lab, "my.sql", OWN);
    let own = own.to_str().expect("plain");

    for interval in ["1h", "4h", "1d", "1mo"] {
        let words = ["factors", "--interval", interval];
        export(&lab, &words, "built-in").expect(0);
        export(&lab, &[&words[..], &["--factors", own]].concat(), "own").expect(0);
        let cells = reference(&[
            Path::new("factors"),
            &lab.output(),
            &lab.folder().join("built-in"),
            &lab.folder().join("own"),
            Path::new(interval),
            Path::new(own),
        ]);
        assert!(cells > 0, "{interval}");
    }
    // The same files again, whatever was there.
    let made = lab.folder().join("own/factors_1h/um/BTCUSDT.parquet");
    let before = fs::read(&made).expect("it is there");
    let words = ["factors", "--interval", "1h", "--factors", own];
    export(&lab, &words, "own").expect(0);
    assert!(fs::read(&made).expect("it is there") == before);
}

#[test]
fn the_file_of_the_built_in_factors_gives_the_stored_hours() {
    let lab = lab();
    let built_in = project().join("sql/factors.sql");
    let built_in = built_in.to_str().expect("plain");

    let words = ["factors", "--interval", "1h", "--own-only", "--factors"];
    export(&lab, &[&words[..], &[built_in]].concat(), "sql").expect(0);

    let cells = reference(&[
        Path::new("stored"),
        &lab.output(),
        &lab.folder().join("sql"),
    ]);
    assert!(cells > 50_000, "{cells}");
}

#[test]
fn wide_tables_have_them_too() {
    let lab = lab();
    let own = file(&lab, "my.sql", OWN);
    let own = own.to_str().expect("plain");

    export(&lab, &["wide"], "plain").expect(0);
    export(&lab, &["wide", "--factors", own], "wide").expect(0);
    export(
        &lab,
        &["factors", "--interval", "1h", "--factors", own],
        "own",
    )
    .expect(0);

    let cells = reference(&[
        Path::new("wide"),
        &lab.folder().join("plain"),
        &lab.folder().join("wide"),
        &lab.folder().join("own"),
    ]);
    assert!(cells > 10_000, "{cells}");
}

#[test]
fn a_file_that_is_wrong_is_told_before_anything_is_written() {
    let lab = lab();
    for (text, expected) in [
        (
            "sum(quote_volume) AS a,\nsum(nothing) AS b",
            "my.sql:2: b: No field named nothing",
        ),
        ("sum(quote_volume", "my.sql:1: Expected: ), found: EOF"),
        (
            "sum(quote_volume) AS vwap",
            "my.sql:1: vwap: is a built-in factor",
        ),
    ] {
        let own = file(&lab, "my.sql", text);
        let words = ["factors", "--interval", "1h", "--factors"];
        let refused = export(
            &lab,
            &[&words[..], &[own.to_str().expect("plain")]].concat(),
            "refused",
        )
        .expect(2);
        assert!(
            refused.only_error_line().contains(expected),
            "{}",
            refused.only_error_line()
        );
    }
    for words in [
        &["factors", "--interval", "1h", "--factors", "nowhere.sql"][..],
        &["wide", "--factors", "nowhere.sql"],
    ] {
        let refused = export(&lab, words, "refused").expect(2);
        let line = refused.only_error_line();
        assert!(line.contains("cannot read nowhere.sql"), "{line}");
    }
    assert!(!lab.folder().join("refused").exists());
}

#[test]
fn a_value_that_cannot_be_had_leaves_what_was_there() {
    let lab = lab();
    let words = ["factors", "--interval", "1h", "--factors"];
    let good = file(&lab, "good.sql", "count(*) AS minutes");
    export(
        &lab,
        &[&words[..], &[good.to_str().expect("plain")]].concat(),
        "out",
    )
    .expect(0);
    let made = lab.folder().join("out/factors_1h/um/BTCUSDT.parquet");
    let before = fs::read(&made).expect("it is there");

    let bad = file(&lab, "bad.sql", "count(*) / (count(*) - count(*)) AS a");
    let failed = export(
        &lab,
        &[&words[..], &[bad.to_str().expect("plain")]].concat(),
        "out",
    )
    .expect(1);

    let line = failed.only_error_line();
    assert!(
        line.contains("aggtrades_1m/um/BTCUSDT") && line.contains("bad.sql: Divide by zero"),
        "{line}"
    );
    assert!(fs::read(&made).expect("it is there") == before);
}
