//! `export wide`: every cell is what pandas makes of our tables, and no row knows what came later.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_tests::{Dice, Finished, Lab, Python, Rest, Story, hashes, parts, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// 2024-01-31T00:00:00Z in milliseconds.
const LAST_OF_JANUARY_MS: i64 = 1_706_659_200_000;

const ALL: &str = "klines:1h,klines:1m,markPriceKlines:1h,indexPriceKlines:1h,premiumIndexKlines:1h,fundingRate,metrics,aggTrades";

/// A perpetual with everything, of two months and a day; one with minutes alone; one without klines.
fn lay_um(lab: &Lab, changed_from_ms: Option<i64>) {
    let root = lab.mirror.root();
    let of = |symbol| Story {
        changed_from_ms,
        ..Story::new(Market::Um, symbol)
    };
    let full = of("BTCUSDT");
    for month in ["2024-01", "2024-02"] {
        for data in [
            "klines:1h",
            "markPriceKlines:1h",
            "indexPriceKlines:1h",
            "premiumIndexKlines:1h",
            "fundingRate",
            "aggTrades",
        ] {
            full.lay(root, data, month);
        }
    }
    for day in [
        "2024-01-15",
        "2024-01-30",
        "2024-01-31",
        "2024-02-01",
        "2024-02-29",
    ] {
        full.lay(root, "metrics", day);
    }
    // Minutes of a day that has hours, and of one that has not.
    for day in ["2024-02-29", "2024-03-01"] {
        full.lay(root, "klines:1m", day);
    }
    let minutes = of("ETHUSDT");
    minutes.lay(root, "klines:1m", "2024-01-31");
    minutes.lay(root, "fundingRate", "2024-01");
    of("SOLUSDT").lay(root, "aggTrades", "2024-01-31");
}

fn run(lab: &Lab, market: &str, data: &str) {
    let words = ["run", "--market", market, "--data", data];
    lab.everything(&words).run().expect(0);
}

fn export(lab: &Lab, to: &Path, market: &str, more: &[&str]) -> Finished {
    let words = ["export", "wide", "--market", market, "--json"];
    let command = lab.command(&words).args(["--to".as_ref(), to.as_os_str()]);
    command.args(more).run()
}

/// What the reference found in an export that it agrees with, by symbol.
#[track_caller]
fn judged(output: &Path, exported: &Path, more: &[&str]) -> Vec<Value> {
    let script = reference_folder().join("wide.py");
    let mut words: Vec<_> = [&script, output, exported]
        .map(|path: &Path| path.to_str().expect("a plain path"))
        .into();
    words.extend(more);
    let told = Python::new().run(&words);
    let line = |line| serde_json::from_str(line).expect("wide.py prints JSON");
    told.lines().map(line).collect()
}

fn has(judged: &Value, feature: &str) -> bool {
    let features = judged["features"].as_array().expect("a list");
    features.iter().any(|name| name == feature)
}

#[test]
fn every_cell_is_what_pandas_makes_of_the_tables() {
    let lab = Lab::new(BINARY);
    lay_um(&lab, None);
    run(&lab, "um", ALL);
    let to = lab.folder().join("wide");

    let told = export(&lab, &to, "um", &[]).expect(0).json_lines();

    let judged = judged(&lab.output(), &to, &["um", "1h"]);
    let symbols: Vec<_> = judged.iter().map(|of| of["symbol"].as_str()).collect();
    assert_eq!(symbols, [Some("BTCUSDT"), Some("ETHUSDT")]);
    for feature in [
        "close",
        "mark_high",
        "basis",
        "premium_low",
        "funding_annualized",
        "open_interest_delta",
        "sum_taker_long_short_vol_ratio",
        "at_vwap",
    ] {
        assert!(has(&judged[0], feature), "{feature}");
    }
    assert!(has(&judged[1], "funding_rate") && !has(&judged[1], "at_vwap"));
    let rows: Vec<_> = told
        .iter()
        .map(|file| (file["file"].as_str(), file["rows"].as_u64()))
        .collect();
    let of = |at: usize| judged[at]["rows"].as_u64();
    assert_eq!(
        rows,
        [
            (Some("wide_1h/um/BTCUSDT.parquet"), of(0)),
            (Some("wide_1h/um/ETHUSDT.parquet"), of(1)),
            (
                Some("wide_1h/um.parquet"),
                of(0).zip(of(1)).map(|(a, b)| a + b)
            ),
        ]
    );
    assert_eq!(parts(&to), [""; 0]);

    // The same bytes again, whatever the range of the export before, and rows that do not depend on the range.
    let before = hashes(&to);
    let part = lab.folder().join("part");
    export(
        &lab,
        &part,
        "um",
        &["--start", "2024-01-31", "--end", "2024-02-01"],
    )
    .expect(0);
    same_rows(&to, &part, "BTCUSDT", 48);
    // Months that do not follow each other: March has a day of minutes, which January does not depend on.
    export(&lab, &part, "um", &["--months", "2024-03,2024-01"]).expect(0);
    let months = judged_rows(&part);
    assert!(months > 31 * 22 && months <= 32 * 24, "{months}");
    export(&lab, &to, "um", &["--end", "2024-01-31"]).expect(0);
    assert_ne!(hashes(&to), before);
    export(&lab, &to, "um", &[]).expect(0);
    assert_eq!(hashes(&to), before);
}

/// The rows of BTCUSDT, of which none is of February.
#[track_caller]
fn judged_rows(exported: &Path) -> usize {
    let code = "import sys, polars as pl\n\
        rows = pl.read_parquet(sys.argv[1] + '/wide_1h/um/BTCUSDT.parquet')\n\
        assert set(rows['open_time'].dt.month()) == {1, 3}, rows\n\
        print(len(rows))";
    let told = Python::new().run(&["-c", code, exported.to_str().expect("a plain path")]);
    told.trim().parse().expect("a number")
}

/// The rows of a part of the range are those of the whole.
#[track_caller]
fn same_rows(whole: &Path, part: &Path, symbol: &str, most: usize) {
    let [whole, part]: [PathBuf; 2] =
        [whole, part].map(|folder| folder.join("wide_1h/um").join(format!("{symbol}.parquet")));
    let code = "import sys, polars as pl\n\
        whole, part = (pl.read_parquet(path) for path in sys.argv[1:3])\n\
        between = whole.filter(pl.col('open_time').is_between(part['open_time'][0], part['open_time'][-1]))\n\
        assert part.equals(between), part\n\
        print(len(part))";
    let paths = [&whole, &part].map(|path| path.to_str().expect("a plain path"));
    let rows: usize = Python::new()
        .run(&["-c", code, paths[0], paths[1]])
        .trim()
        .parse()
        .expect("a number");
    assert!(rows <= most && rows > most * 3 / 4, "{rows} rows");
}

#[test]
fn coins_take_the_index_of_their_pair_and_spot_has_neither_index_nor_funding() {
    let lab = Lab::new(BINARY);
    let root = lab.mirror.root();
    for symbol in ["BTCUSD_PERP", "BTCUSD_240329"] {
        let story = Story::new(Market::Cm, symbol);
        for data in ["klines:1h", "markPriceKlines:1h", "aggTrades"] {
            story.lay(root, data, "2024-01-31");
        }
    }
    Story::new(Market::Cm, "BTCUSD_PERP").lay(root, "fundingRate", "2024-01");
    Story::new(Market::Cm, "BTCUSD").lay(root, "indexPriceKlines:1h", "2024-01-31");
    for data in ["klines:1h", "aggTrades"] {
        Story::new(Market::Spot, "BTCUSDT").lay(root, data, "2024-01-31");
    }
    run(
        &lab,
        "cm",
        "klines:1h,markPriceKlines:1h,indexPriceKlines:1h,fundingRate,aggTrades",
    );
    run(&lab, "spot", "klines:1h,aggTrades");
    let to = lab.folder().join("wide");

    // The pair need not be named.
    export(&lab, &to, "cm", &["--symbols", "BTCUSD_PERP,BTCUSD_240329"]).expect(0);
    export(&lab, &to, "spot", &[]).expect(0);

    let coins = judged(&lab.output(), &to, &["cm", "1h"]);
    assert_eq!(coins.len(), 2);
    for coin in &coins {
        assert!(has(coin, "basis") && has(coin, "base_volume"), "{coin}");
    }
    let spot = judged(&lab.output(), &to, &["spot", "1h"]);
    assert!(has(&spot[0], "at_cvd_quote") && !has(&spot[0], "basis"));
}

#[test]
fn bars_of_other_intervals_are_made_of_what_there_is() {
    let lab = Lab::new(BINARY);
    lay_um(&lab, None);
    run(&lab, "um", ALL);
    let root = lab.mirror.root();
    Story::new(Market::Um, "BTCUSDT").lay(root, "klines:4h", "2024-01");
    run(&lab, "um", "klines:4h");
    let factors = lab.folder().join("factors");
    let to = lab.folder().join("wide");
    for interval in ["15m", "4h", "1d"] {
        let words = ["export", "factors", "--interval", interval];
        let command = lab.command(&words).args(["--to"]);
        command.args([&factors]).run().expect(0);

        export(&lab, &to, "um", &["--interval", interval]).expect(0);

        let judged = judged(
            &lab.output(),
            &to,
            &["um", interval, factors.to_str().expect("a plain path")],
        );
        let is_made_of_hours = interval != "15m";
        let full = judged
            .iter()
            .find(|of| of["symbol"] == "BTCUSDT")
            .expect("it is there");
        assert_eq!(has(full, "basis"), is_made_of_hours, "{interval}");
        for feature in ["at_tw_cvd_quote_norm", "funding_rate"] {
            assert!(has(full, feature), "{feature} of {interval}");
        }
    }
}

#[test]
fn no_row_knows_what_came_later() {
    let lab = Lab::new(BINARY);
    lay_um(&lab, None);
    run(&lab, "um", ALL);
    let one = lab.folder().join("one");
    export(&lab, &one, "um", &[]).expect(0);
    let mut dice = Dice::new(2024);
    // At a settlement, some minutes after one, and wherever chance has it.
    let minutes = [480, 485, 1 + dice.below(1439) as i64];
    for (at, minute) in minutes.into_iter().enumerate() {
        let moment_ms = LAST_OF_JANUARY_MS + minute * 60_000;
        let changed = Lab::new(BINARY);
        lay_um(&changed, Some(moment_ms));
        run(&changed, "um", ALL);
        let other = lab.folder().join(format!("other-{at}"));
        export(&changed, &other, "um", &[]).expect(0);

        let script = reference_folder().join("wide_ahead.py");
        let paths = [&script, &one, &other].map(|path| path.to_str().expect("a plain path"));
        let moment = moment_ms.to_string();
        let told = Python::new().run(&[paths[0], paths[1], paths[2], "um", &moment]);

        let told: Value = serde_json::from_str(&told).expect("wide_ahead.py prints JSON");
        assert!(told["compared"].as_u64() > Some(700), "{told}");
        // What was changed is seen later, whatever it is.
        for column in [
            "close",
            "mark_close",
            "index_close",
            "premium_close",
            "funding_rate",
            "sum_open_interest",
            "at_vwap",
        ] {
            assert!(told["later"][column].as_u64() > Some(0), "{column}: {told}");
        }
    }
}

#[test]
fn an_hour_that_is_under_way_has_no_row() {
    let lab = Lab::new(BINARY);
    let now = jiff::Timestamp::now().as_millisecond();
    let day_ms = now - now % 86_400_000 - 86_400_000;
    let yesterday = jiff::Timestamp::from_millisecond(day_ms).expect("it is a time");
    let yesterday = yesterday.strftime("%Y-%m-%d").to_string();
    let root = lab.mirror.root();
    for data in ["klines:1m", "aggTrades"] {
        Story::new(Market::Um, "BTCUSDT").lay(root, data, &yesterday);
    }
    let rest = Rest::new(&["BTCUSDT"], day_ms);
    let words = [
        "update",
        "-q",
        "--data",
        "klines:1m,aggTrades",
        "--symbols",
        "BTCUSDT",
    ];
    let update = lab.from_source(&words).args(["--rest", rest.url()]);
    update.run().expect(0);
    let to = lab.folder().join("wide");

    export(&lab, &to, "um", &[]).expect(0);

    let code = "import sys, polars as pl\n\
        wide = pl.read_parquet(sys.argv[1] + '/wide_1h/um/BTCUSDT.parquet')\n\
        end = lambda name, column, length: pl.read_parquet(sys.argv[2] + f'/{name}/um/BTCUSDT/*.parquet')[column].max() + length\n\
        minute, hour = pl.duration(minutes=1), pl.duration(hours=1)\n\
        minute, hour = (pl.select(of).item() for of in (minute, hour))\n\
        known = end('klines_1m', 'open_time', minute)\n\
        assert known - hour < wide['available_at'].max() <= known, (known, wide)\n\
        trades = end('aggtrades_1m', 'minute', minute)\n\
        late = wide.filter(pl.col('available_at') > trades)\n\
        assert late['at_vwap'].null_count() == len(late), late\n\
        print(end('klines_1h_from_1m', 'open_time', hour) > known)";
    let paths = [&to, &lab.output()].map(|path| path.to_str().expect("a plain path").to_owned());
    let told = Python::new().run(&["-c", code, &paths[0], &paths[1]]);
    // The table of hours has one that goes on, unless the clock struck.
    let struck = jiff::Timestamp::now().as_millisecond() / 3_600_000 != now / 3_600_000
        || now % 3_600_000 < 120_000;
    assert!(told.trim() == "True" || struck, "{told}");
}

#[test]
fn what_cannot_be_exported_is_told_in_one_line() {
    let lab = Lab::new(BINARY);
    lay_um(&lab, None);
    run(&lab, "um", ALL);
    let to = lab.folder().join("wide");

    let nothing = export(&lab, &to, "um", &["--symbols", "SOLUSDT"]).expect(1);
    let line = nothing.only_error_line();
    assert!(
        line.contains("no klines_1h or klines_1h_from_1m of SOLUSDT in um"),
        "{line}"
    );
    let none = export(&lab, &to, "spot", &[]).expect(1);
    assert!(
        none.only_error_line().contains("no klines_1h"),
        "{}",
        none.stderr
    );
    let seconds = export(&lab, &to, "um", &["--interval", "1s"]).expect(2);
    assert!(
        seconds.only_error_line().contains("1s"),
        "{}",
        seconds.stderr
    );
    assert!(!to.exists(), "nothing was begun");

    let blocked = lab.folder().join("blocked");
    std::fs::write(&blocked, "").expect("it can be written");
    let file = export(&lab, &blocked, "um", &[]).expect(2);
    assert!(
        file.only_error_line().contains("name a folder"),
        "{}",
        file.stderr
    );

    for table in [
        "klines_1h",
        "index_price_klines_1h",
        "funding_rate",
        "factors_1h",
    ] {
        let damaged = lab
            .output()
            .join(format!("{table}/um/BTCUSDT/2024-02.parquet"));
        let whole = std::fs::read(&damaged).expect("it is there");
        std::fs::write(&damaged, &whole[..whole.len() / 2]).expect("it can be written");
        let failed = export(&lab, &to, "um", &[]).expect(1);
        let line = failed.only_error_line();
        assert!(
            line.contains(&format!("{table}/um/BTCUSDT/2024-02.parquet"))
                && line.contains("cut short"),
            "{line}"
        );
        std::fs::write(&damaged, &whole).expect("it can be written");
        assert_eq!(parts(&to), [""; 0]);
    }
    export(&lab, &to, "um", &[]).expect(0);
}
