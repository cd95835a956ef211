//! What the archive has: months and days, listings and probes.

use std::fs;

use serde_json::Value;
use tapemill_standin::generate::Archive;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Mirror, hashes};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const DAYS: [&str; 3] = ["2024-02-01", "2024-02-02", "2024-02-04"];

/// January as a month, and three days of February.
fn lab_with_days() -> (Lab, Vec<Archive>) {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 2_000);
    let days = DAYS.map(|day| lab.mirror.trades("BTCUSDT", day, 500));
    // A day whose month is there is no one's task.
    lab.mirror.trades("BTCUSDT", "2024-01-17", 500);
    (lab, days.to_vec())
}

fn table(dataset: &str, period: &str) -> String {
    format!("{dataset}/um/BTCUSDT/{period}.parquet")
}

fn states(lab: &Lab) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut states: Vec<_> = lab
        .tasks()
        .iter()
        .map(|task| {
            let id = text(&task["id"]);
            (
                id.rsplit('/').next().unwrap_or_default().to_owned(),
                text(&task["state"]),
            )
        })
        .collect();
    states.sort();
    states
}

#[test]
fn a_month_without_an_archive_is_made_of_its_days_until_it_appears() {
    let (lab, _) = lab_with_days();
    lab.everything(&["run"]).run().expect(0);

    let periods = ["2024-01", "2024-02-01", "2024-02-02", "2024-02-04"];
    let made = hashes(&lab.output());
    let expected: Vec<_> = ["aggtrades_1m", "factors_1h"]
        .into_iter()
        .flat_map(|dataset| periods.map(|period| table(dataset, period)))
        .collect();
    assert_eq!(made.keys().cloned().collect::<Vec<_>>(), expected);

    lab.mirror.trades("BTCUSDT", "2024-02", 3_000);
    let as_months = lab.undisturbed();
    lab.everything(&["run"]).run().expect(0);

    assert_eq!(hashes(&lab.output()), as_months, "the days are gone");
    assert_eq!(as_months.len(), 4);
    let zips = lab.mirror.zips_asked_for();
    assert!(
        zips.len() == 1 && zips[0].ends_with("BTCUSDT-aggTrades-2024-02.zip"),
        "{zips:?}"
    );
}

#[test]
fn a_month_that_appears_cancels_the_pending_tasks_of_its_days() {
    let (lab, _) = lab_with_days();
    lab.everything(&["plan"]).run().expect(0);
    assert_eq!(states(&lab).len(), 4);

    lab.mirror.trades("BTCUSDT", "2024-02", 3_000);
    lab.everything(&["plan"]).run().expect(0);

    let pending = |period: &str| (period.to_owned(), "pending".to_owned());
    assert_eq!(states(&lab), [pending("2024-01"), pending("2024-02")]);
    let expected = lab.undisturbed();
    lab.from_source(&["worker", "--exit-when-drained"])
        .run()
        .expect(0);
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn an_interrupted_removal_of_days_is_finished_by_the_next_plan_or_run() {
    for command in ["plan", "run", "cleanup"] {
        let (lab, _) = lab_with_days();
        lab.everything(&["run"]).run().expect(0);
        let day = lab.output().join(table("factors_1h", DAYS[1]));
        let left_behind = fs::read(&day).expect("it was made");
        lab.mirror.trades("BTCUSDT", "2024-02", 3_000);
        lab.everything(&["run"]).run().expect(0);
        assert!(!day.exists());
        let made = hashes(&lab.output());
        fs::write(&day, left_behind).expect("it can be written");

        if command == "cleanup" {
            lab.command(&["cleanup"]).run().expect(0);
        } else {
            lab.everything(&[command]).run().expect(0);
        }

        assert!(!day.exists(), "{command}");
        assert_eq!(hashes(&lab.output()), made, "{command}");
    }
}

#[test]
fn a_day_selects_its_month_or_itself_where_the_month_has_none() {
    let (lab, _) = lab_with_days();
    let keys = |start: &str, end: &str| {
        let words = [
            "plan",
            "--dry-run",
            "--data",
            "aggTrades",
            "--start",
            start,
            "--end",
            end,
        ];
        let planned = lab.everything(&words).run().expect(0).stdout;
        let name = |line: &str| line.rsplit('/').next().unwrap_or_default().to_owned();
        planned
            .lines()
            .map(name)
            .filter(|line| !line.ends_with("hole"))
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(
        keys("2024-01-17", "2024-01-17"),
        ["BTCUSDT-aggTrades-2024-01.zip"]
    );
    assert_eq!(
        keys("2024-02-02", "2024-02-02"),
        ["BTCUSDT-aggTrades-2024-02-02.zip"]
    );
    assert_eq!(
        keys("2024-01-31", "2024-02-03"),
        ["2024-02-02", "2024-02-01", "2024-01"]
            .map(|period| format!("BTCUSDT-aggTrades-{period}.zip")),
        "newest first"
    );
}

#[test]
fn a_dry_run_prints_files_sizes_and_holes_and_leaves_nothing() {
    let (lab, days) = lab_with_days();

    let plan = lab.everything(&["plan", "--dry-run"]).run().expect(0);

    let lines: Vec<&str> = plan.stdout.lines().collect();
    assert!(
        lines.contains(&format!("{}\t{}", days[0].key, days[0].bytes).as_str()),
        "{lines:?}"
    );
    let hole = "data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-02-03.zip\thole";
    assert!(lines.contains(&hole), "{lines:?}");
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(!lab.output().exists(), "no queue, no folder");

    let json = lab
        .everything(&["plan", "--dry-run", "--json"])
        .run()
        .expect(0)
        .json_lines();
    assert_eq!(json.len(), 5);
    assert!(
        json.iter()
            .any(|line| line["key"] == days[0].key.as_str() && line["bytes"] == days[0].bytes)
    );
    assert_eq!(json.iter().filter(|line| line["hole"] == true).count(), 1);
}

#[test]
fn planning_twice_adds_nothing() {
    let (lab, _) = lab_with_days();

    let first = lab
        .everything(&["plan", "--json"])
        .run()
        .expect(0)
        .json_lines();
    let second = lab
        .everything(&["plan", "--json"])
        .run()
        .expect(0)
        .json_lines();

    assert_eq!(
        (&first[0]["tasks"], &first[0]["created"]),
        (&4.into(), &4.into())
    );
    assert_eq!(
        (&second[0]["tasks"], &second[0]["created"]),
        (&4.into(), &0.into())
    );
    assert_eq!(lab.totals()["pending"], 4);
}

/// Thirteen months of one symbol, listed five keys at a time.
fn paged() -> Lab {
    let lab = Lab::with(BINARY, Mirror::with_pages_of(5));
    for month in 1..=12 {
        lab.mirror
            .trades("BTCUSDT", &format!("2023-{month:02}"), 50);
    }
    lab.mirror.trades("BTCUSDT", "2024-01", 50);
    lab
}

#[test]
fn all_pages_of_a_listing_are_read() {
    let lab = paged();

    lab.everything(&["run"]).run().expect(0);

    assert_eq!(lab.totals()["done"], 13);
    assert_eq!(hashes(&lab.output()).len(), 26);
}

#[test]
fn a_listing_that_fails_on_page_2_enqueues_nothing() {
    let lab = paged();
    let page = Fault::ListingPage {
        page: 2,
        status: 500,
    };
    lab.mirror
        .set_faults(Faults::one("?prefix=**", page, When::Always));

    for command in ["plan", "run"] {
        let failed = lab.everything(&[command]).run().expect(1);

        let line = failed.only_error_line();
        assert!(
            line.contains(lab.mirror.url()) && line.contains("answered 500"),
            "{line}"
        );
        assert_eq!(lab.tasks().len(), 0, "{command}");
        assert!(hashes(&lab.output()).is_empty());
    }

    lab.mirror.set_faults(Faults::none());
    lab.everything(&["plan"]).run().expect(0);
    assert_eq!(lab.totals()["pending"], 13);
}

#[test]
fn an_empty_listing_and_a_web_page_are_one_line() {
    let lab = paged();
    let of_btc = ["run", "--symbols", "BTCUSDT"];

    lab.mirror
        .set_faults(Faults::one("?prefix=**", Fault::EmptyListing, When::Always));
    let all = lab.everything(&["run"]).run().expect(1);
    let one = lab.from_source(&of_btc).run().expect(1);
    assert!(
        all.only_error_line()
            .contains("has nothing of this selection"),
        "{}",
        all.stderr
    );
    assert!(
        one.only_error_line().contains("no symbol BTCUSDT"),
        "{}",
        one.stderr
    );

    lab.mirror
        .set_faults(Faults::one("?prefix=**", Fault::Html, When::Always));
    let html = lab.everything(&["run"]).run().expect(1);
    let line = html.only_error_line();
    assert!(
        line.contains("no usable S3 listing") && line.contains("--no-listing"),
        "{line}"
    );
    assert_eq!(lab.tasks().len(), 0);
}

#[test]
fn a_symbol_that_does_not_exist_is_told_with_the_nearest_names() {
    let lab = Lab::new(BINARY);
    for symbol in ["BTCUSDT", "BTCUSDC", "ETHUSDT", "1000SHIBUSDT"] {
        lab.mirror.trades(symbol, "2024-01", 50);
    }
    for (typo, nearest) in [
        ("BTCUST", "BTCUSDT"),
        ("ETHUSD", "ETHUSDT"),
        ("SHIBUSDT", "1000SHIBUSDT"),
    ] {
        let run = lab
            .from_source(&["run", "--symbols", &format!("BTCUSDT,{typo}")])
            .run()
            .expect(1);

        let line = run.only_error_line();
        assert!(line.contains(&format!("no symbol {typo}")), "{line}");
        let offered = line.split("nearest: ").nth(1).unwrap_or_default();
        assert!(offered.contains(nearest), "{line}");
        assert_eq!(
            lab.tasks().len(),
            0,
            "nothing of a wrong selection is begun"
        );
    }
}

#[test]
fn a_month_that_does_not_exist_yet_is_told_with_what_there_is() {
    let lab = paged();

    let words = [
        "run",
        "--symbols",
        "BTCUSDT",
        "--start",
        "2024-02",
        "--end",
        "2024-03",
    ];
    let run = lab.from_source(&words).run().expect(1);

    let line = run.only_error_line();
    assert!(
        line.contains("no archive from 2024-02-01 to 2024-03-31"),
        "{line}"
    );
    assert!(line.contains("from 2023-01 to 2024-01"), "{line}");
}

#[test]
fn probing_finds_the_days_around_the_months() {
    let lab = Lab::new(BINARY);
    // Listed on the last day of a month, delisted in the middle of the one behind the last.
    let periods = [
        "2020-01-31",
        "2020-02",
        "2020-03",
        "2020-04-01",
        "2020-04-02",
    ];
    for period in periods {
        lab.mirror.trades("OLDUSDT", period, 50);
    }
    let words = [
        "plan",
        "--no-listing",
        "--symbols",
        "OLDUSDT",
        "--data",
        "aggTrades",
    ];

    lab.from_source(&words).run().expect(0);

    let planned: Vec<_> = states(&lab).into_iter().map(|(period, _)| period).collect();
    assert_eq!(planned, periods);
}

#[test]
fn probing_finds_a_late_first_month_with_few_requests() {
    let lab = Lab::new(BINARY);
    let months = ["2023-11", "2023-12", "2024-01", "2024-02"];
    for month in months {
        lab.mirror.trades("NEWUSDT", month, 100);
    }
    let words = [
        "--symbols",
        "NEWUSDT",
        "--data",
        "aggTrades",
        "--end",
        "2024-02",
    ];
    let expected = lab.undisturbed();

    let run = |command: &str| {
        lab.from_source(&[command, "--no-listing"])
            .args(words)
            .run()
    };
    run("plan").expect(0);

    let ids: Vec<_> = states(&lab).into_iter().map(|(period, _)| period).collect();
    assert_eq!(ids, months);
    let log = lab.mirror.log();
    assert!(
        log.iter().all(|request| !request.path.is_empty()),
        "no listing was asked for"
    );
    // 51 months since the market began: one probe for the last, six to halve.
    assert!(log.len() <= 8, "{} requests: {log:#?}", log.len());

    run("run").expect(0);
    assert_eq!(hashes(&lab.output()), expected);
}
