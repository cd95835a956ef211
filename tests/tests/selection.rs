//! Which symbols a selection comes to.

use std::fs;

use tapemill_standin::Market;
use tapemill_standin::exchange::ExchangeOptions;
use tapemill_standin::generate::AggTradesSpec;
use tapemill_tests::{Lab, Rest, Watched, hashes, until};

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

/// An exchange that lists all of them but OTHERUSDT.
fn exchange() -> Rest {
    let symbols = ["BTCUSDT", "DOGEUSDT", "FETUSDT"];
    let traded = [("BTCUSDT", 9_000_000_000), ("DOGEUSDT", 1_000_000)];
    let traded = [&traded[..], &[("FETUSDT", 999_999)]].concat();
    Rest::with(ExchangeOptions::new(&symbols, 0).traded(&traded))
}

#[test]
fn what_trades_too_little_is_left_out_of_whatever_was_chosen() {
    let (lab, rest) = (lab(), exchange());
    let of = |words: &[&str]| {
        let words = [&["--rest", rest.url(), "--min-volume"], words].concat();
        planned(&lab, &words)
    };

    assert_eq!(of(&["1000000", "--symbols", "all"]), "BTCUSDT DOGEUSDT");
    assert_eq!(
        of(&["999999", "--symbols", "BTCUSDT,FETUSDT,OTHERUSDT"]),
        "BTCUSDT FETUSDT"
    );
    assert_eq!(of(&["1000000", "--categories", "meme,ai"]), "DOGEUSDT");
    assert_eq!(of(&["1e9", "--priority-only"]), "BTCUSDT");
    assert_eq!(of(&["0", "--symbols", "all"]), "BTCUSDT DOGEUSDT FETUSDT");

    let asked = rest.asked();
    assert_eq!(asked.len(), 5, "once for each plan");
    for asked in asked {
        assert_eq!(
            (asked.path.as_str(), asked.query.as_str(), asked.weight),
            ("/fapi/v1/ticker/24hr", "", 40)
        );
    }
}

#[test]
fn how_many_were_left_out_and_why_is_a_line() {
    let (lab, rest) = (lab(), exchange());
    let words = ["plan", "--data", "aggTrades", "--min-volume", "1000000"];
    let command = || lab.everything(&words).args(["--rest", rest.url()]);

    let planned = command().run().expect(0);

    let told: Vec<_> = planned
        .stderr
        .lines()
        .filter(|line| line.contains("--min-volume"))
        .collect();
    assert_eq!(told.len(), 1, "{}", planned.stderr);
    assert!(
        told[0].ends_with(
            "--min-volume 1000000 leaves out 2 of 4 symbols: 1 traded less within 24 hours, \
             1 not in the exchange's ticker (OTHERUSDT)"
        ),
        "{}",
        told[0]
    );
    assert!(planned.stdout.contains("2 tasks"), "{}", planned.stdout);
    let quiet = command().args(["--dry-run", "-q"]).run().expect(0);
    assert!(!quiet.stderr.contains("--min-volume"), "{}", quiet.stderr);
}

#[test]
fn every_market_has_its_own_ticker_and_contracts_are_counted_in_dollars() {
    let lab = Lab::new(BINARY);
    for (market, symbol) in [
        (Market::Spot, "BTCUSDT"),
        (Market::Spot, "ETHUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Cm, "ETHUSD_PERP"),
    ] {
        let period = "2024-01".parse().expect("it is a period");
        let spec = AggTradesSpec::new(market, symbol, period, 10);
        lab.mirror.lay(spec, &Default::default());
    }
    let symbols = ["BTCUSDT", "ETHUSDT", "BTCUSD_PERP", "ETHUSD_PERP"];
    let traded = [
        ("ETHUSDT", 5),
        ("BTCUSD_PERP", 10_000),
        ("ETHUSD_PERP", 99_999),
    ];
    let rest = Rest::with(ExchangeOptions::new(&symbols, 0).traded(&traded));
    let of = |market: &str| {
        let words = ["plan", "--dry-run", "--data", "aggTrades"];
        let words = [&words[..], &["--min-volume", "1000000", "--market", market]].concat();
        let planned = lab.everything(&words).args(["--rest", rest.url()]);
        planned.run().expect(0).stdout
    };

    let (spot, cm) = (of("spot"), of("cm"));

    assert!(
        spot.contains("/BTCUSDT/") && !spot.contains("/ETHUSDT/"),
        "{spot}"
    );
    assert!(
        cm.contains("/BTCUSD_PERP/") && !cm.contains("/ETHUSD_PERP/"),
        "{cm}"
    );
    let asked: Vec<_> = rest
        .asked()
        .into_iter()
        .map(|asked| (asked.path, asked.weight))
        .collect();
    let spot = ("/api/v3/ticker/24hr".to_owned(), 80);
    assert_eq!(asked, [spot, ("/dapi/v1/ticker/24hr".to_owned(), 40)]);
}

#[test]
fn run_fetch_update_and_verify_go_by_volume_too() {
    let (lab, rest) = (lab(), exchange());
    let told = |words: &[&str]| {
        let words = [words, &["--rest", rest.url(), "--min-volume", "1000000"]].concat();
        lab.command(&words).args(["--json", "-q"]).run()
    };
    let source = ["--source", lab.mirror.url()];
    let chosen = [&source[..], &["--symbols", "all", "--data", "aggTrades"]].concat();

    let fetched = told(&[&["fetch"], &chosen[..]].concat()).expect(0);
    assert_eq!(fetched.json_lines().len(), 2, "{}", fetched.stdout);

    let january = [&chosen[..], &["--months", "2024-01"]].concat();
    for command in ["run", "update"] {
        let milled = told(&[&[command], &january[..]].concat()).expect(0);
        assert_eq!(milled.json_lines()[0]["done"], 2, "{}", milled.stdout);
    }

    // The others are made without it, and passed over by it.
    let run = ["run", "-q", "--data", "aggTrades"];
    lab.everything(&run).run().expect(0);
    let files = |words: &[&str]| -> Vec<String> {
        let judged = told(&[&["verify"], words].concat()).expect(0).json_lines();
        let files = judged.iter().map(|judged| judged["file"].to_string());
        files.collect()
    };
    let judged = files(&["--market", "um"]);
    assert_eq!(judged.len(), 4, "{judged:?}");
    let of = |symbol: &str| judged.iter().filter(|file| file.contains(symbol)).count();
    assert_eq!((of("BTCUSDT"), of("DOGEUSDT")), (2, 2));
    assert_eq!(files(&[]), judged, "of all markets");
    let asked = rest.asked();
    let paths: Vec<_> = asked
        .iter()
        .rev()
        .take(3)
        .map(|asked| &*asked.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/api/v3/ticker/24hr",
            "/dapi/v1/ticker/24hr",
            "/fapi/v1/ticker/24hr"
        ]
    );
    let words = ["verify", "--market", "um", "--min-volume", "1000000"];
    let verified = lab.command(&words).args(["--rest", rest.url()]).run();
    let stderr = verified.expect(0).stderr;
    assert!(
        stderr.contains("um: --min-volume 1000000 leaves out 2 of 4 symbols"),
        "{stderr}"
    );
}

#[test]
fn a_coordinator_asks_again_at_each_plan() {
    let (lab, rest) = (lab(), exchange());
    let words = ["coordinator", "--replan", "1s", "--min-volume", "1000000"];
    let command = lab.everything(&words).args(["--rest", rest.url()]);
    let coordinator = Watched::start(command);

    until("it asked three times", || rest.asked().len() >= 3);

    let status = coordinator.json("/api/v1/status");
    assert_eq!(status["totals"]["pending"], 2, "{status}");
}

#[test]
fn a_least_volume_is_a_setting_like_any_other() {
    let (lab, rest) = (lab(), exchange());
    let settings = format!("min_volume = 1000000\nrest = '{}'\n", rest.url());
    fs::write(lab.folder().join("tapemill.toml"), settings).expect("the settings can be written");

    let words = ["--symbols", "all"];
    assert_eq!(planned(&lab, &words), "BTCUSDT DOGEUSDT");
    let plan = ["plan", "--dry-run", "--data", "aggTrades"];
    let command = lab.everything(&plan).env("TAPEMILL_MIN_VOLUME", "1000001");
    assert_eq!(command.run().expect(0).stdout.lines().count(), 1);
}

#[test]
fn a_volume_that_cannot_be_known_is_refused_in_a_line() {
    let (lab, rest) = (lab(), exchange());
    let told = |words: &[&str], code| {
        let words = [&["plan", "-q", "--min-volume"], words].concat();
        let ended = lab.everything(&words).run().expect(code);
        ended.only_error_line().to_owned()
    };

    let forbidden = told(&["1000", "--no-rest"], 2);
    assert!(
        forbidden.contains("--min-volume") && forbidden.contains("--no-rest"),
        "{forbidden}"
    );
    let verify = lab.command(&["verify", "-q", "--min-volume", "1", "--no-rest"]);
    let line = verify.run().expect(2);
    assert!(line.only_error_line().contains("--no-rest"));
    let number = told(&["many"], 2);
    assert!(number.contains("--min-volume") && number.contains("many"));
    assert!(!lab.output().exists(), "nothing was begun");

    let reach = told(&["1000", "--rest", "http://127.0.0.1:1"], 1);
    assert!(
        reach.contains("--min-volume cannot be judged") && reach.contains("127.0.0.1:1"),
        "{reach}"
    );
    rest.refuse_next(451, None);
    let region = told(&["1000", "--rest", rest.url()], 1);
    assert!(
        region.contains("does not serve this region") && region.contains("leave out --min-volume"),
        "{region}"
    );
    let nothing = told(&["1e10", "--rest", rest.url()], 1);
    assert!(
        nothing.contains("--min-volume 10000000000 leaves out 4 of 4 symbols"),
        "{nothing}"
    );
    assert_eq!(hashes(&lab.output()).len(), 0);
}

#[test]
fn a_wait_that_the_exchange_asks_for_is_kept() {
    let (lab, rest) = (lab(), exchange());
    rest.refuse_next(429, Some(2));
    let words = ["--symbols", "all", "--min-volume", "1000000", "--rest"];

    let chosen = planned(&lab, &[&words[..], &[rest.url()]].concat());

    assert_eq!(chosen, "BTCUSDT DOGEUSDT");
    let at: Vec<_> = rest.asked().iter().map(|asked| asked.at_ms).collect();
    assert!(at.len() == 2 && at[1] - at[0] >= 2_000, "{at:?}");
}
