//! `update`: archives, then days, then what only the exchange has, without a gap and without a row twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;
use tapemill_lake::{Lake, LakePath, Lineage, read_lineage};
use tapemill_standin::exchange::{Exchange, ExchangeOptions};
use tapemill_standin::generate::{KlinesSpec, Packing};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Finished, Lab, Rest, hashes};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn today() -> Date {
    let now = jiff::Timestamp::now();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn start_ms(date: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    i64::from((date - epoch).get_days()) * DAY_MS
}

fn month(date: Date) -> String {
    date.strftime("%Y-%m").to_string()
}

/// The first day of the month before.
fn month_before(date: Date) -> Date {
    date.first_of_month()
        .yesterday()
        .expect("not at the beginning of time")
        .first_of_month()
}

/// `update` of one kind of data, everything else as it is.
#[track_caller]
fn update(lab: &Lab, rest: &Rest, data: &str, words: &[&str]) -> Finished {
    let words = [
        &["update", "-q", "--data", data, "--symbols", "BTCUSDT"],
        words,
    ]
    .concat();
    lab.from_source(&words).args(["--rest", rest.url()]).run()
}

/// What the tables of a kind say of themselves, by their period.
fn tables(lab: &Lab, table: &str) -> BTreeMap<String, Lineage> {
    let lake = Lake::local(lab.output());
    let names = hashes(&lab.output()).into_keys();
    let wanted = format!("{table}/um/BTCUSDT/");
    let periods = names.filter_map(|name| {
        let period = name.strip_prefix(&wanted)?.strip_suffix(".parquet")?;
        Some(period.to_owned())
    });
    let read = |period: String| {
        let path = LakePath::parse(&format!("{wanted}{period}.parquet")).expect("it is a path");
        let lineage = read_lineage(&lake, &path).expect("a published table can be read");
        (period, lineage)
    };
    periods.map(read).collect()
}

fn quality(lineage: &Lineage, key: &str) -> i64 {
    lineage.quality[key]
        .as_i64()
        .unwrap_or_else(|| panic!("no {key} in {}", lineage.quality))
}

/// The exchange, if the hour did not end meanwhile: what is finished by then would be another bar.
fn in_one_hour(mut test: impl FnMut()) {
    loop {
        let hour = now_ms() / HOUR_MS;
        if now_ms() % HOUR_MS > HOUR_MS - 90_000 {
            std::thread::sleep(Duration::from_secs(95));
            continue;
        }
        test();
        assert_eq!(now_ms() / HOUR_MS, hour, "the test took more than a minute");
        return;
    }
}

fn hourly(market: Market, period: &str) -> KlinesSpec {
    let (interval, period) = ("1h".parse::<Interval>().unwrap(), period.parse().unwrap());
    KlinesSpec::new(market, "BTCUSDT", interval, period)
}

fn lay(lab: &Lab, spec: &KlinesSpec) {
    let laid = spec.write(lab.mirror.root(), &Packing::default());
    laid.expect("the archive can be written");
}

#[test]
fn there_is_no_gap_from_the_first_month_to_the_last_finished_bar() {
    in_one_hour(|| {
        let lab = Lab::new(BINARY);
        let last_month = month_before(today());
        let first_month = month_before(last_month);
        lay(&lab, &hourly(Market::Um, &month(first_month)));
        // Of the last month's days only some: the others are asked for.
        for day in [0, 1, 2, 5].map(|offset| last_month + offset.days()) {
            lay(&lab, &hourly(Market::Um, &day.to_string()));
        }
        let rest = Rest::new(&["BTCUSDT"], start_ms(first_month));

        update(&lab, &rest, "klines:1h", &[]).expect(0);

        let finished = (now_ms() - 2_000) / HOUR_MS;
        let bars = |tables: &BTreeMap<String, Lineage>| -> u64 {
            tables.values().map(|table| table.rows).sum()
        };
        let first = tables(&lab, "klines_1h");
        assert_eq!(
            bars(&first) as i64,
            finished - start_ms(first_month) / HOUR_MS
        );
        let by_rest =
            |lineage: &Lineage| lineage.sources[0].key.starts_with("rest/fapi/v1/klines?");
        assert!(!by_rest(&first[&month(first_month)]));
        assert!(!by_rest(&first[&(last_month + 5.days()).to_string()]));
        assert!(by_rest(&first[&(last_month + 3.days()).to_string()]));
        let (today, latest) = first.last_key_value().unwrap();
        assert_eq!(
            quality(latest, "last_ts") / 1000,
            (finished - 1) * HOUR_MS,
            "{today}"
        );
        let before = hashes(&lab.output());

        // Again at once: nothing is asked for but listings, and nothing changes.
        let asked = rest.asked().len();
        lab.mirror.clear_log();
        update(&lab, &rest, "klines:1h", &[]).expect(0);
        assert_eq!(rest.asked().len(), asked);
        assert_eq!(lab.mirror.files_asked_for(), Vec::<String>::new());
        assert_eq!(hashes(&lab.output()), before);

        // The month's archive appears: it replaces its days.
        lay(&lab, &hourly(Market::Um, &month(last_month)));
        update(&lab, &rest, "klines:1h", &[]).expect(0);
        let third = tables(&lab, "klines_1h");
        assert_eq!(bars(&third), bars(&first), "no row twice and none lost");
        let days = third
            .keys()
            .filter(|period| period.starts_with(&month(last_month)));
        assert_eq!(days.collect::<Vec<_>>(), [&month(last_month)]);
        assert_eq!(rest.asked().len(), asked);
        lab.command(&["verify", "-q"]).run().expect(0);
    });
}

#[test]
fn an_archive_replaces_what_was_asked_for_and_has_the_same_rows() {
    let lab = Lab::new(BINARY);
    let yesterday = today().yesterday().unwrap();
    let before = yesterday.yesterday().unwrap();
    lab.mirror.klines("BTCUSDT", &before.to_string());
    let rest = Rest::new(&["BTCUSDT"], start_ms(before));
    let until = yesterday.to_string();
    update(&lab, &rest, "klines:1m", &["--end", &until]).expect(0);
    let asked = tables(&lab, "klines_1m")
        .remove(&until)
        .expect("yesterday was asked for");
    assert_eq!(asked.rows, 1440);
    assert_eq!(asked.quality["verdict"], "rest");

    // The same rows as an archive.
    let bars = (0..1440).map(|minute| {
        let bar = Exchange::bar(
            "klines",
            "BTCUSDT",
            start_ms(yesterday) + minute * 60_000,
            60_000,
        );
        let cells = bar.as_array().unwrap().iter().map(|cell| match cell {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        cells.collect::<Vec<_>>().join(",") + "\n"
    });
    let csv: String = bars.collect();
    let key = format!("data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-{until}.zip");
    let period = until.parse().unwrap();
    Packing::default()
        .wrap(lab.mirror.root(), &key, Market::Um, period, csv.as_bytes())
        .unwrap();
    update(&lab, &rest, "klines:1m", &["--end", &until]).expect(0);

    let archived = tables(&lab, "klines_1m")
        .remove(&until)
        .expect("it is still there");
    assert_eq!(archived.sources[0].key, key);
    assert_eq!(archived.content, asked.content);
    assert_eq!(archived.quality["verdict"], "ok");
}

#[test]
fn trades_and_fundings_come_up_to_now() {
    let lab = Lab::new(BINARY);
    let yesterday = today().yesterday().unwrap();
    lab.mirror.trades("BTCUSDT", &yesterday.to_string(), 1_000);
    let listed = start_ms(month_before(today()));
    let rest = Rest::with(ExchangeOptions {
        trade_every_ms: 10_000,
        ..ExchangeOptions::new(&["BTCUSDT"], listed)
    });
    wait_for_minutes_of_today();
    let minute = now_ms() / 60_000;
    update(&lab, &rest, "aggTrades", &[]).expect(0);

    let minutes = tables(&lab, "aggtrades_1m")
        .remove(&today().to_string())
        .expect("today is there");
    assert_eq!(quality(&minutes, "rows"), 6 * minutes.rows as i64);
    assert_eq!(quality(&minutes, "id_gaps"), 0);
    let last = quality(&minutes, "last_ts") / 60_000_000;
    assert!(
        (minute - 2..=now_ms() / 60_000).contains(&(last + 1)),
        "the last minute is {last}, now {minute}"
    );
    assert_eq!(tables(&lab, "factors_1h").len(), 2);

    // Fundings of this month and the last, without an archive that tells since when.
    let start = month(month_before(today()));
    let words = ["--start", start.as_str()];
    update(
        &lab,
        &rest,
        "fundingRate",
        &[&words[..], &["--rest-only"]].concat(),
    )
    .expect(0);
    let fundings = tables(&lab, "funding_rate");
    let rows: u64 = fundings.values().map(|table| table.rows).sum();
    let due = (now_ms() - 120_000) / (8 * HOUR_MS) - listed / (8 * HOUR_MS) + 1;
    assert!((due - 1..=due).contains(&(rows as i64)), "{rows} of {due}");
    assert_eq!(fundings.len(), 2);
}

/// Just after midnight nothing of the day has ended yet.
fn wait_for_minutes_of_today() {
    while now_ms() / 60_000 % 1440 < 5 {
        std::thread::sleep(Duration::from_secs(5));
    }
}

#[test]
fn trades_go_on_where_the_last_update_ended() {
    let lab = Lab::new(BINARY);
    wait_for_minutes_of_today();
    let yesterday = today().yesterday().unwrap();
    lab.mirror.trades("BTCUSDT", &yesterday.to_string(), 1_000);
    let rest = Rest::with(ExchangeOptions {
        trade_every_ms: 10_000,
        ..ExchangeOptions::new(&["BTCUSDT"], start_ms(yesterday))
    });
    let whole = |lab: &Lab| {
        let mut tables = tables(lab, "aggtrades_1m");
        tables.remove(&today().to_string()).expect("today is there")
    };
    update(&lab, &rest, "aggTrades", &[]).expect(0);
    let first = whole(&lab);
    assert_eq!(first.sources.len(), 1);
    let (mut asked, mut later) = (rest.asked().len(), first.clone());
    // A minute later at most there is more.
    while later.rows == first.rows {
        std::thread::sleep(Duration::from_secs(2));
        asked = rest.asked().len();
        update(&lab, &rest, "aggTrades", &[]).expect(0);
        later = whole(&lab);
    }

    let asked = &rest.asked()[asked..];
    assert!(asked.len() <= 2, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.query.contains("fromId=")));
    assert_eq!(later.sources[0], first.sources[0]);
    assert_eq!(later.sources.len(), 2);
    assert_eq!(quality(&later, "rows"), 6 * later.rows as i64);
    assert_eq!(quality(&later, "missing_ids"), 0);
    // As if all had been asked for at once.
    let again = Lab::new(BINARY);
    again
        .mirror
        .trades("BTCUSDT", &yesterday.to_string(), 1_000);
    let other = Lab::with(BINARY, again.mirror);
    loop {
        update(&other, &rest, "aggTrades", &["--force"]).expect(0);
        update(&lab, &rest, "aggTrades", &[]).expect(0);
        let (at_once, bit_by_bit) = (whole(&other), whole(&lab));
        if at_once.rows == bit_by_bit.rows {
            assert_eq!(at_once.content, bit_by_bit.content);
            for name in [
                "rows",
                "first_id",
                "last_id",
                "first_ts",
                "last_ts",
                "missing_minutes",
            ] {
                assert_eq!(
                    quality(&at_once, name),
                    quality(&bit_by_bit, name),
                    "{name}"
                );
            }
            break;
        }
    }
    let judged = lab.command(&["verify", "--json"]).run().expect(0);
    assert!(
        judged.stdout.contains("it was asked of the exchange"),
        "{}",
        judged.stdout
    );
}

#[test]
fn a_refusal_silences_all_workers_until_its_time_is_over() {
    let lab = Lab::new(BINARY);
    let first = today() - 20.days();
    lab.mirror.klines("BTCUSDT", &first.to_string());
    let rest = Rest::new(&["BTCUSDT"], start_ms(first));
    rest.refuse_next(429, Some(3));

    let words = [
        "--end",
        &today().yesterday().unwrap().to_string(),
        "--workers",
        "8",
    ];
    update(&lab, &rest, "klines:1m", &words).expect(0);

    let asked = rest.asked();
    let refused: Vec<_> = asked.iter().filter(|asked| asked.status == 429).collect();
    assert_eq!(refused.len(), 1);
    // Those that were under way come with it.
    let silence = (refused[0].at_ms + 500)..(refused[0].at_ms + 2_900);
    let inside = asked.iter().filter(|asked| silence.contains(&asked.at_ms));
    assert_eq!(inside.count(), 0);
    assert_eq!(tables(&lab, "klines_1m").len(), 20);
}

#[test]
fn a_region_that_is_not_served_is_told_and_the_archive_works_without() {
    let lab = Lab::new(BINARY);
    let first = today() - 4.days();
    lab.mirror.klines("BTCUSDT", &first.to_string());
    let rest = Rest::new(&["BTCUSDT"], start_ms(first));
    for _ in 0..3 {
        rest.refuse_next(451, None);
    }
    let until = today().yesterday().unwrap().to_string();
    let refused = lab.from_source(&[
        "update",
        "--data",
        "klines:1m",
        "--symbols",
        "BTCUSDT",
        "--end",
        &until,
    ]);
    let refused = refused.args(["--rest", rest.url()]).run().expect(3);
    assert!(
        refused.stderr.contains("does not serve this region")
            && refused.stderr.contains("--no-rest"),
        "{}",
        refused.stderr
    );

    let asked = rest.asked().len();
    assert_eq!(asked, 3, "a refusal for good is not repeated");
    let without = [
        "update",
        "-q",
        "--data",
        "klines:1m",
        "--symbols",
        "BTCUSDT",
        "--end",
        &until,
        "--no-rest",
    ];
    lab.from_source(&without)
        .args(["--rest", rest.url()])
        .run()
        .expect(0);
    assert_eq!(rest.asked().len(), asked);
}

#[test]
fn what_the_exchange_has_not_is_missing_and_not_asked_for_again() {
    let lab = Lab::new(BINARY);
    let first = today() - 4.days();
    lab.mirror.klines("BTCUSDT", &first.to_string());
    // Listed, as far as the exchange knows, two days ago; another symbol not at all.
    let rest = Rest::new(&["BTCUSDT"], start_ms(today() - 2.days()));
    let until = today().yesterday().unwrap().to_string();
    let words = ["--end", until.as_str()];
    update(&lab, &rest, "klines:1m", &words).expect(0);
    assert_eq!(tables(&lab, "klines_1m").len(), 3);
    assert_eq!(lab.totals()["missing"], 1);

    let asked = rest.asked().len();
    update(&lab, &rest, "klines:1m", &words).expect(0);
    assert_eq!(rest.asked().len(), asked);
}

/// Fifty processes' worth of tasks want more than an address is served a minute: nobody is ever refused.
#[test]
fn fifty_workers_never_exceed_what_an_address_is_served() {
    let lab = Lab::new(BINARY);
    let first = today() - 40.days();
    let symbols: Vec<String> = (0..10).map(|at| format!("A{at}USDT")).collect();
    for symbol in &symbols {
        lab.mirror.klines(symbol, &first.to_string());
    }
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    // 39 days of 10 symbols in three requests of 2: as much again as two minutes may hold.
    let most = 1_200;
    let rest = Rest::with(ExchangeOptions {
        most_weight: Some(most * 100 / 90),
        ..ExchangeOptions::new(&names, start_ms(first))
    });
    let started = Instant::now();
    let (until, weight) = (today().yesterday().unwrap().to_string(), most.to_string());
    let words = ["update", "-q", "--data", "klines:1m", "--workers", "50"];
    let command = lab.everything(&words).args(["--end", &until]);
    let asked = ["--rest", rest.url(), "--rest-weight", &weight];
    command.args(asked).run().expect(0);

    let asked = rest.asked();
    assert!(asked.iter().all(|asked| asked.status == 200));
    let weight: u32 = asked.iter().map(|asked| asked.weight).sum();
    assert_eq!(weight, 10 * 39 * 6);
    for start in asked.iter().map(|asked| asked.at_ms) {
        let minute = asked
            .iter()
            .filter(|asked| (start..start + 60_000).contains(&asked.at_ms));
        let weight: u32 = minute.map(|asked| asked.weight).sum();
        assert!(weight <= most, "{weight} within a minute");
    }
    let spent = started.elapsed();
    assert!(
        spent > Duration::from_secs(60),
        "it took {spent:?}: nothing was held back"
    );
    assert_eq!(
        tapemill_tests::parts(Path::new(&lab.output())),
        Vec::<String>::new()
    );
}
