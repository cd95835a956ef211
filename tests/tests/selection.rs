//! Which symbols a selection comes to.

use std::fs;

use tapemill_tests::Lab;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for symbol in ["BTCUSDT", "DOGEUSDT", "FETUSDT", "OTHERUSDT"] {
        lab.mirror.trades(symbol, "2024-01", 10);
    }
    lab
}

/// The symbols of a plan, in the order of their tasks.
#[track_caller]
fn planned(lab: &Lab, words: &[&str]) -> String {
    let words = [&["plan", "--dry-run", "--data", "aggTrades"], words].concat();
    let planned = lab.from_source(&words).run().expect(0).stdout;
    let keys = planned.lines().filter_map(|line| line.split('/').nth(5));
    let mut symbols: Vec<_> = keys.collect();
    symbols.sort_unstable();
    symbols.join(" ")
}

#[test]
fn categories_are_groups_of_those_that_the_market_has() {
    let lab = lab();

    assert_eq!(planned(&lab, &["--categories", "meme"]), "DOGEUSDT");
    assert_eq!(
        planned(&lab, &["--categories", "meme, ai"]),
        "DOGEUSDT FETUSDT"
    );
    assert_eq!(
        planned(&lab, &["--categories", "ai", "--symbols", "all"]),
        "FETUSDT"
    );
    let both = ["--categories", "meme,ai", "--symbols", "BTCUSDT,DOGEUSDT"];
    assert_eq!(planned(&lab, &both), "DOGEUSDT");
    assert_eq!(
        planned(&lab, &["--categories", "meme", "--priority-only"]),
        "DOGEUSDT"
    );
    assert_eq!(planned(&lab, &["--priority-only"]), "BTCUSDT DOGEUSDT");
}

#[test]
fn categories_of_ones_own_stand_in_the_settings_file() {
    let lab = lab();
    let settings = "[categories]\nmine = ['OTHERUSDT', 'BTC/USDT']\nmeme = ['BTCUSDT']\n";
    fs::write(lab.folder().join("tapemill.toml"), settings).expect("the settings can be written");

    assert_eq!(
        planned(&lab, &["--categories", "mine"]),
        "BTCUSDT OTHERUSDT"
    );
    assert_eq!(
        planned(&lab, &["--categories", "meme"]),
        "BTCUSDT",
        "one's own goes before what is known"
    );
    assert_eq!(planned(&lab, &["--categories", "ai"]), "FETUSDT");
}

#[test]
fn what_selects_nothing_or_names_what_is_not_there_is_refused() {
    let lab = lab();
    let told = |words: &[&str], code| {
        let words = [&["plan", "--dry-run", "-q"], words].concat();
        let ended = lab.from_source(&words).run().expect(code);
        ended.only_error_line().to_owned()
    };

    let unknown = told(&["--categories", "mem"], 2);
    assert!(
        unknown.contains("none of major") && unknown.contains("[categories]"),
        "{unknown}"
    );
    let none = told(&["--categories", "ai", "--symbols", "BTCUSDT"], 2);
    assert!(none.contains("--categories leaves no symbol"), "{none}");
    let none = told(&["--categories", "storage"], 1);
    assert!(none.contains("no archive"), "{none}");
    // A list of one's own is meant as it is written.
    let absent = told(&["--priority-only", "--priority", "BTCUSDT,NOSUCHUSDT"], 1);
    assert!(absent.contains("NOSUCHUSDT"), "{absent}");
}
