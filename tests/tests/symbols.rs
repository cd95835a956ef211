//! `symbols`: what a listing has, the reports, and how little a second scan asks.

use std::fs;
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;
use tapemill_standin::exchange::ExchangeOptions;
use tapemill_tests::{Lab, Mirror, Python, Rest};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn today() -> Date {
    let now = jiff::Timestamp::now();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// An archive of which a scan sees no more than name and size.
fn touch(root: &Path, key: &str) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    fs::write(&path, "0123456789").expect("the file can be written");
    fs::write(format!("{}.CHECKSUM", path.display()), "0  x").expect("the file can be written");
}

fn klines(root: &Path, market: &str, symbol: &str, interval: &str, periods: &[String]) {
    let prefix = match market {
        "spot" => "data/spot".to_owned(),
        futures => format!("data/futures/{futures}"),
    };
    for period in periods {
        let often = if period.len() == 7 {
            "monthly"
        } else {
            "daily"
        };
        let folder = format!("{prefix}/{often}/klines/{symbol}/{interval}");
        touch(root, &format!("{folder}/{symbol}-{interval}-{period}.zip"));
    }
}

/// The days from so many days ago to so many.
fn days(from: i32, to: i32) -> Vec<String> {
    (to..=from)
        .rev()
        .map(|ago| today().saturating_sub(ago.days()).to_string())
        .collect()
}

fn scan(lab: &Lab, words: &[&str]) -> Vec<Value> {
    let words = [&["symbols", "--json"], words].concat();
    lab.from_source(&words).run().expect(0).json_lines()
}

fn of<'a>(series: &'a [Value], symbol: &str) -> &'a Value {
    let found = series.iter().find(|series| series["symbol"] == symbol);
    found.unwrap_or_else(|| panic!("no {symbol}"))
}

#[test]
fn three_thousand_symbols_are_scanned_and_the_second_scan_asks_for_little() {
    let lab = Lab::with(BINARY, Mirror::with_pages_of(1000));
    let root = lab.mirror.root();
    for number in 0..3_000 {
        let (symbol, periods) = match number % 3 {
            // Alive and complete; alive and a day late; ended.
            0 => (format!("A{number}USDT"), days(3, 1)),
            1 => (format!("B{number}USDT"), days(3, 2)),
            _ => (
                format!("C{number}USDT"),
                vec!["2021-03".to_owned(), "2021-05".to_owned()],
            ),
        };
        klines(root, "spot", &symbol, "1d", &periods);
    }

    let series = scan(&lab, &["--markets", "spot"]);

    assert_eq!(series.len(), 3_000);
    let ended = of(&series, "C2USDT");
    assert_eq!(
        (&ended["first"], &ended["last"]),
        (&"2021-03-01".into(), &"2021-05-31".into())
    );
    assert_eq!(ended["holes"], serde_json::json!(["2021-04"]));
    assert_eq!(
        (&ended["recent"], &ended["bytes"]),
        (&false.into(), &20.into())
    );
    assert_eq!(of(&series, "A0USDT")["recent"], true);
    let report = |name: &str| {
        fs::read_to_string(lab.output().join("_symbols").join(name)).expect("the report is there")
    };
    let spot = report("spot_earliest_dates.csv");
    assert_eq!(
        spot.lines().count(),
        1 + 2_000,
        "those that ended are left out"
    );
    assert!(spot.contains(&format!("spot,A0USDT,{},\"1d\"\n", days(3, 3)[0])));

    lab.mirror.clear_log();
    assert_eq!(scan(&lab, &["--markets", "spot"]), series);

    // Two listings of kinds, the symbols of a kind in two places, and what a thousand late symbols may have by now:
    // their intervals and their days.
    let asked = lab.mirror.log().len();
    assert!((2_000..2_040).contains(&asked), "{asked} requests");

    // A late one that has caught up is found out, an ended one is not asked for, until everything is.
    klines(root, "spot", "B1USDT", "1d", &days(1, 1));
    klines(root, "spot", "C2USDT", "1d", &["2021-04".to_owned()]);
    let later = scan(&lab, &["--markets", "spot"]);
    assert_eq!(of(&later, "B1USDT")["last"], days(1, 1)[0]);
    assert_eq!(
        of(&later, "C2USDT")["holes"],
        serde_json::json!(["2021-04"])
    );
    let all = scan(&lab, &["--markets", "spot", "--refresh"]);
    assert_eq!(of(&all, "C2USDT")["holes"], serde_json::json!([]));
}

/// A small archive of all markets and several kinds.
fn lay_markets(root: &Path) {
    let months = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    for (market, symbol, start) in [
        ("spot", "BTCUSDT", "2017-08-17"),
        ("spot", "ETHUSDT", "2017-08-17"),
        ("um", "BTCUSDT", "2019-12-31"),
        ("um", "1000SHIBUSDT", "2021-05-10"),
        ("cm", "BTCUSD_PERP", "2020-08-10"),
        ("cm", "BTCUSD_240628", "2024-01-01"),
    ] {
        let periods = [vec![start.to_owned()], months(&["2022-01"]), days(4, 1)].concat();
        klines(root, market, symbol, "1m", &periods);
        klines(root, market, symbol, "1h", &days(4, 1));
    }
    klines(
        root,
        "um",
        "LUNAUSDT",
        "1m",
        &months(&["2022-04", "2022-05"]),
    );
    klines(root, "um", "BTCUSDT_SETTLED1", "1m", &months(&["2020-05"]));
    for day in days(9, 1) {
        touch(
            root,
            &format!("data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-{day}.zip"),
        );
    }
    touch(
        root,
        "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-03.zip",
    );
    // Strays.
    touch(
        root,
        "data/futures/um/monthly/aggTrades/BTCUSDT/part-00000-0fae7358-c000.zip",
    );
    touch(
        root,
        "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip.bak.zip",
    );
    touch(
        root,
        "data/futures/um/monthly/unheardOf/BTCUSDT/BTCUSDT-unheardOf-2024-03.zip",
    );
}

#[test]
fn every_dataset_and_interval_of_all_markets_is_found_and_read_as_a_table() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());

    let series = scan(&lab, &[]);

    let place = |series: &Value| {
        let text = |name: &str| series[name].as_str().unwrap_or("-").to_owned();
        format!(
            "{}/{}/{}/{}",
            text("market"),
            text("dataset"),
            text("symbol"),
            text("interval")
        )
    };
    let places: Vec<_> = series.iter().map(place).collect();
    assert!(places.is_sorted());
    assert_eq!(places.len(), 6 * 2 + 2 + 2, "{places:?}");
    for wanted in [
        "um/metrics/BTCUSDT/-",
        "um/fundingRate/BTCUSDT/-",
        "cm/klines/BTCUSD_240628/1h",
        "um/klines/BTCUSDT_SETTLED1/1m",
    ] {
        assert!(places.iter().any(|place| place == wanted), "{wanted}");
    }
    let bitcoin = series
        .iter()
        .find(|series| place(series) == "um/klines/BTCUSDT/1m");
    assert_eq!(
        bitcoin.expect("it is there")["first"],
        "2019-12-31",
        "the day before the first month"
    );
    let report = |name: &str| {
        fs::read_to_string(lab.output().join("_symbols").join(name)).expect("the report is there")
    };
    assert_eq!(
        report("spot_synchronal.csv"),
        "market,symbol,earliest_date,available_intervals,base_symbol\nspot,BTCUSDT,2017-08-17,\"1h,1m\",BTC\n"
    );
    assert_eq!(
        report("all_markets_earliest_dates.csv").lines().count(),
        1 + 6
    );

    // The edited report is a selection.
    let file = lab.output().join("_symbols/um_earliest_dates.csv");
    let named = format!("@{}", file.display());
    let plan = [
        "plan",
        "--dry-run",
        "--data",
        "klines:1m",
        "--symbols",
        &named,
    ];
    let planned = lab.from_source(&plan).run().expect(0).stdout;
    assert!(
        planned.contains("/1000SHIBUSDT/") && !planned.contains("/LUNAUSDT/"),
        "{planned}"
    );

    // The universe of a date: from the command, and as a query.
    let on = |day: &str| {
        let words = [
            "symbols",
            "--on",
            day,
            "--markets",
            "um",
            "--data",
            "klines",
        ];
        lab.command(&words).run().expect(0).stdout
    };
    lab.mirror.clear_log();
    assert_eq!(
        on("2022-05-10"),
        "market,symbol\num,LUNAUSDT\n",
        "the others have a hole there"
    );
    assert_eq!(
        on("2022-01-10"),
        "market,symbol\num,1000SHIBUSDT\num,BTCUSDT\n"
    );
    assert!(lab.mirror.log().is_empty(), "it asks nothing");
    let script = "import sys, duckdb\n\
        table = sys.argv[1]\n\
        print(duckdb.sql(f\"select distinct symbol from '{table}' where market = 'um' and first <= '2022-05-10' \
        and last >= '2022-05-10' order by 1\").fetchall())";
    let table = lab.output().join("_symbols/availability.parquet");
    let told = Python::new().run(&["-c", script, table.to_str().expect("a plain path")]);
    assert_eq!(
        told.trim(),
        "[('1000SHIBUSDT',), ('BTCUSDT',), ('LUNAUSDT',)]"
    );
}

#[test]
fn a_scan_of_a_part_leaves_the_rest_of_the_table() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());
    let all = scan(&lab, &[]);

    for words in [
        &["--test"][..],
        &["--markets", "cm"],
        &["--markets", "um", "--data", "metrics", "--refresh"],
    ] {
        assert_eq!(scan(&lab, words), all, "{words:?}");
    }

    // What the listing has no more is gone.
    fs::remove_dir_all(lab.mirror.root().join("data/futures/um/daily/metrics"))
        .expect("it was there");
    let later = scan(&lab, &["--markets", "um"]);
    assert_eq!(later.len(), all.len() - 1);
}

/// 2020-08-11.
const LISTED_MS: i64 = 1_597_104_000_000;

/// What the exchange lists of [`lay_markets`], and more.
const ON_EXCHANGE: [&str; 5] = [
    "BTCUSDT",
    "1000SHIBUSDT",
    "NEWUSDT",
    "BTCUSD_PERP",
    "BTCUSD_240628",
];

fn info_file(lab: &Lab, name: &str) -> Option<Value> {
    let path = lab.output().join("_symbols").join(name);
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("the report is JSON"))
}

#[test]
fn what_the_exchange_says_stands_beside_the_scan() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());
    let rest = Rest::new(&ON_EXCHANGE, LISTED_MS);

    let words = ["symbols", "--info", "--rest", rest.url()];
    let told = lab.from_source(&words).run().expect(0);

    assert!(
        told.stderr
            .contains("_symbols/spot_symbols_info.json, _symbols/symbols_info.json"),
        "{}",
        told.stderr
    );
    let um = info_file(&lab, "symbols_info.json").expect("um is told");
    assert_eq!(
        um["all_symbols"],
        serde_json::json!(["1000SHIBUSDT", "BTCUSDT", "NEWUSDT"])
    );
    assert_eq!(
        um["delisted_symbols"],
        serde_json::json!(["BTCUSDT_SETTLED1", "LUNAUSDT"])
    );
    let updated: jiff::Timestamp = um["last_updated"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a time");
    assert!(jiff::Timestamp::now().as_second() - updated.as_second() < 60);
    assert_eq!(
        um["symbols"]["BTCUSDT"],
        serde_json::json!({
            "market": "um", "status": "TRADING", "contract_type": "PERPETUAL", "pair": "BTCUSDT",
            "base_asset": "BTC", "quote_asset": "USDT", "margin_asset": "USDT",
            "listing_date": "2020-08-11", "source_of_listing_date": "exchange", "onboard_timestamp": LISTED_MS,
            "delivery_date": null, "contract_size": null, "tick_size": "0.10", "step_size": "0.001",
            "min_quantity": "0.001", "max_quantity": "1000", "min_notional": "5",
        })
    );
    let cm = info_file(&lab, "cm_symbols_info.json").expect("cm is told");
    let quarter = &cm["symbols"]["BTCUSD_240628"];
    assert_eq!(
        (&quarter["delivery_date"], &quarter["contract_size"]),
        (&"2024-06-28".into(), &100.into())
    );
    assert_eq!(cm["delisted_symbols"], serde_json::json!([]));
    let spot = info_file(&lab, "spot_symbols_info.json").expect("spot is told");
    let of = |symbol: &str| {
        let told = &spot["symbols"][symbol];
        (&told["listing_date"], &told["source_of_listing_date"])
    };
    assert_eq!(of("BTCUSDT"), (&"2017-08-17".into(), &"archive".into()));
    assert_eq!(of("NEWUSDT"), (&Value::Null, &Value::Null));
    assert_eq!(spot["delisted_symbols"], serde_json::json!(["ETHUSDT"]));

    let mut asked: Vec<_> = rest
        .asked()
        .into_iter()
        .map(|asked| (asked.path, asked.weight))
        .collect();
    asked.sort();
    let of = |path: &str, weight| (path.to_owned(), weight);
    assert_eq!(
        asked,
        [
            of("/api/v3/exchangeInfo", 20),
            of("/dapi/v1/exchangeInfo", 1),
            of("/fapi/v1/exchangeInfo", 1)
        ]
    );
}

#[test]
fn without_info_the_exchange_is_asked_nothing() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());
    let rest = Rest::new(&ON_EXCHANGE, LISTED_MS);

    scan(&lab, &["--rest", rest.url()]);
    scan(&lab, &["--no-rest"]);
    assert_eq!(rest.asked(), []);
    assert_eq!(info_file(&lab, "symbols_info.json"), None);

    // Of a part, only of that.
    scan(&lab, &["--info", "--markets", "um", "--rest", rest.url()]);
    assert_eq!(rest.asked().len(), 1);
    assert!(info_file(&lab, "symbols_info.json").is_some());
    assert_eq!(info_file(&lab, "cm_symbols_info.json"), None);
}

#[test]
fn a_region_that_is_not_served_costs_only_what_the_exchange_would_say() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());
    let rest = Rest::new(&ON_EXCHANGE, LISTED_MS);
    let words = ["symbols", "--info", "--rest", rest.url(), "--markets"];
    let blocked = |markets: &str| {
        let words = [&words[..], &[markets]].concat();
        lab.from_source(&words).run().expect(1)
    };

    rest.refuse_next(451, None);
    let told = blocked("um");

    let line = told.error_line();
    assert!(
        line.starts_with("symbols_info.json was not written: ")
            && line.contains("does not serve this region")
            && line.contains("leave out --info"),
        "{line}"
    );
    assert!(told.stdout.contains("um,klines,"), "{}", told.stdout);
    assert!(lab.output().join("_symbols/availability.parquet").exists());
    assert!(lab.output().join("_symbols/um_earliest_dates.csv").exists());
    assert_eq!(info_file(&lab, "symbols_info.json"), None);
    assert_eq!(rest.asked().len(), 1, "a refusal for good is not repeated");

    // One market of three: the others are told all the same.
    rest.refuse_next(451, None);
    let line = blocked("spot,um,cm").error_line().to_owned();
    let names = [
        "spot_symbols_info.json",
        "symbols_info.json",
        "cm_symbols_info.json",
    ];
    let written = names.iter().filter(|name| info_file(&lab, name).is_some());
    assert_eq!(written.count(), 2, "{line}");

    for _ in 0..2 {
        rest.refuse_next(451, None);
    }
    let line = blocked("um,cm").error_line().to_owned();
    assert!(
        line.starts_with("symbols_info.json, cm_symbols_info.json were not written: "),
        "{line}"
    );
}

#[test]
fn an_exchange_that_serves_less_than_is_used_is_told() {
    let lab = Lab::new(BINARY);
    lay_markets(lab.mirror.root());
    let rest = Rest::with(ExchangeOptions {
        most_weight: Some(1_200),
        ..ExchangeOptions::new(&ON_EXCHANGE, LISTED_MS)
    });
    let words = ["symbols", "--info", "--rest", rest.url(), "--markets", "um"];
    let told = |more: &[&str]| {
        let words = [&words[..], more].concat();
        lab.from_source(&words).run().expect(0).stderr
    };

    let warned = told(&[]);
    assert!(
        warned.contains("serves an address less")
            && warned.contains("served=1200")
            && warned.contains("used=2160"),
        "{warned}"
    );
    let fits = told(&["--rest-weight", "1000"]);
    assert!(!fits.contains("serves an address less"), "{fits}");
}

#[test]
fn what_cannot_be_scanned_is_told_in_a_line() {
    let lab = Lab::new(BINARY);
    let told = |words: &[&str], code| {
        let ended = lab.from_source(words).run().expect(code);
        ended.only_error_line().to_owned()
    };
    assert!(told(&["symbols"], 1).contains("no archives of spot, um, cm"));
    assert!(told(&["symbols", "--markets", "xx"], 2).contains("one of um, cm, spot"));
    assert!(told(&["symbols", "--data", "klines:1m"], 2).contains("datasets as a whole"));
    assert!(told(&["symbols", "--on", "2024-01-01"], 2).contains("run tapemill symbols"));
    let forbidden = told(&["symbols", "--info", "--no-rest"], 2);
    assert!(
        forbidden.contains("--info asks the exchange, and --no-rest forbids it"),
        "{forbidden}"
    );
    let both = told(&["symbols", "--info", "--on", "2024-01-01"], 2);
    assert!(both.contains("--info") && both.contains("--on"), "{both}");
    let address = told(&["symbols", "--info", "--rest", "nonsense"], 2);
    assert!(address.contains("nonsense"), "{address}");
    assert!(!lab.output().join("_symbols").exists());
}
