//! Generated aggTrades and klines, judged by the independent reference.

use std::path::Path;

use serde_json::{Value, json};
use tapemill_standin::generate::{
    AggTradesSpec, Booleans, Decimals, KlinesSpec, LastLine, Order, Outage, Packing, TimeUnit,
    demo_archive,
};
use tapemill_standin::{Interval, Market, Period};
use tempfile::TempDir;

use crate::reference;

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn january() -> Period {
    "2024-01".parse().unwrap()
}

/// A spec with some of every oddity.
fn odd(market: Market, symbol: &str) -> AggTradesSpec {
    AggTradesSpec {
        seed: 7,
        duplicates: 9,
        contradictions: 5,
        zero_quantities: 11,
        out_of_period: 7,
        id_gaps: 4,
        sessions: true,
        outages: vec![Outage {
            from_minute: 600,
            minutes: 300,
        }],
        ..AggTradesSpec::new(market, symbol, january(), 3_000)
    }
}

/// Writes the spec and has the reference read it; the facts must be its quality.
fn judge(spec: &AggTradesSpec, root: &Path) -> Value {
    let (archive, facts) = spec.write(root, &Packing::default()).unwrap();
    let args = format!(
        "--market {} --symbol {} --period {}",
        spec.market, spec.symbol, spec.period
    );
    let judged = reference::run("aggtrades", &archive.path, &args);
    let facts = serde_json::to_value(&facts).unwrap();
    for (name, value) in facts.as_object().unwrap() {
        assert_eq!(&judged["quality"][name], value, "{name} of {spec:?}");
    }
    assert_eq!(judged["quality"]["verdict"], "ok");
    judged
}

#[test]
fn the_reference_agrees_with_the_rows_worked_out_by_hand() {
    let output = reference::python(&["-m", "unittest", "-v"]);

    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("worked_out_by_hand"), "{told}");
}

#[test]
fn a_plain_archive_of_each_market_reads_as_it_was_meant() {
    let root = root();
    let day: Period = "2025-01-17".parse().unwrap();
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Um, "XYZUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Cm, "ETHUSD_250328"),
        (Market::Spot, "SOLUSDT"),
    ] {
        let spec = AggTradesSpec::new(market, symbol, day, 2_000);

        let judged = judge(&spec, root.path());

        assert_eq!(judged["quality"]["rows"], 2_000, "{symbol}");
        assert_eq!(judged["quality"]["unordered"], 0, "{symbol}");
        assert!(
            judged["hours"]["minute"].as_array().unwrap().len() >= 20,
            "{symbol}"
        );
    }
}

#[test]
fn every_oddity_is_counted_as_it_was_asked_for() {
    let root = root();
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Spot, "ETHUSDT"),
    ] {
        let quality = judge(&odd(market, symbol), root.path())["quality"].clone();

        assert_eq!(quality["rows"], 3_014);
        assert_eq!(quality["duplicates"], 9);
        assert_eq!(quality["contradictions"], 5);
        assert_eq!(quality["zero_quantity"], 11);
        assert_eq!(quality["out_of_period"], 7);
        assert_eq!(quality["id_gaps"], 4);
        assert!(quality["missing_minutes"].as_u64() >= Some(300));
    }
}

#[test]
fn the_order_of_the_rows_does_not_change_what_they_say() {
    let root = root();
    let orders = [Order::Sorted, Order::InterleavedTwoStreams, Order::Shuffled];
    let judged = orders.map(|order| {
        let spec = AggTradesSpec {
            order,
            contradictions: 0,
            ..odd(Market::Um, "BTCUSDT")
        };
        judge(&spec, root.path())
    });

    for other in &judged[1..] {
        assert_eq!(other["minutes"], judged[0]["minutes"]);
        assert_eq!(other["hours"], judged[0]["hours"]);
    }
    let unordered = judged.map(|judged| judged["quality"]["unordered"].as_u64().unwrap());
    assert!(unordered[0] < 50, "{unordered:?}");
    assert!(unordered[1] > 1_000, "{unordered:?}");
    assert!(unordered[2] > 2_000, "{unordered:?}");
}

#[test]
fn the_spelling_of_the_file_does_not_change_what_it_says() {
    let root = root();
    let plain = odd(Market::Um, "BTCUSDT");
    let expected = judge(&plain, root.path());
    let mut spelled = vec![plain; 5];
    spelled[0].style.header = false;
    spelled[1].style.crlf = true;
    spelled[2].style.last_line = LastLine::Unended;
    spelled[3].style.last_line = LastLine::ThenBlank;
    spelled[3].style.booleans = Booleans::Upper;
    spelled[4].style.time_unit = TimeUnit::Iso;
    spelled[4].style.booleans = Booleans::Title;

    for spec in spelled {
        let judged = judge(&spec, root.path());

        assert_eq!(judged, expected, "{:?}", spec.style);
    }
}

#[test]
fn microseconds_and_more_decimals_can_begin_in_the_middle() {
    let root = root();
    let mut spec = odd(Market::Um, "ETHUSDT");
    spec.style.time_unit = TimeUnit::MsThenUs;
    spec.decimals_later = Some(Decimals {
        price: 9,
        quantity: 12,
    });

    let text = String::from_utf8(spec.csv().unwrap()).unwrap();
    judge(&spec, root.path());

    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect())
        .collect();
    let shape = |row: &[&str]| {
        let decimals = |cell: &str| cell.split_once('.').map_or(0, |(_, digits)| digits.len());
        (decimals(row[1]), decimals(row[2]), row[5].len())
    };
    assert_eq!(shape(&rows[10]), (2, 3, 13));
    assert_eq!(shape(&rows[rows.len() - 10]), (9, 12, 16));
}

#[test]
fn some_quotes_lie_exactly_on_the_thresholds() {
    for (market, symbol, size) in [(Market::Um, "BTCUSDT", 0), (Market::Cm, "BTCUSD_PERP", 100)] {
        let spec = AggTradesSpec::new(market, symbol, january(), 2_000);

        let text = String::from_utf8(spec.csv().unwrap()).unwrap();

        let quotes: Vec<u64> = text
            .lines()
            .skip(1)
            .map(|row| {
                let cells: Vec<&str> = row.split(',').collect();
                let whole = |cell: &str| cell.replace('.', "").parse::<u64>().unwrap();
                // um: tenths × thousandths; cm: tenths of contracts. Both to tenths of thousandths.
                match size {
                    0 => whole(cells[1]) * whole(cells[2]),
                    size => whole(cells[2]) * size * 1_000,
                }
            })
            .collect();
        let count = |quote: u64| {
            quotes
                .iter()
                .filter(|other| **other == quote * 10_000)
                .count()
        };
        assert!(count(50_000) >= 2, "{symbol}: {}", count(50_000));
        assert!(count(1_000) >= 2, "{symbol}: {}", count(1_000));
        let large = quotes
            .iter()
            .filter(|quote| **quote > 50_000 * 10_000)
            .count();
        assert!((1..200).contains(&large), "{symbol}: {large}");
    }
}

#[test]
fn a_broken_row_makes_the_archive_corrupt() {
    let root = root();
    let mut spec = AggTradesSpec::new(Market::Um, "BTCUSDT", january(), 100);
    spec.style.broken_row = Some((40, "1000040,40000.0,what,1,1,1704067200000,true".into()));

    let (archive, _) = spec.write(root.path(), &Packing::default()).unwrap();
    let args = "--symbol BTCUSDT --period 2024-01";
    let judged = reference::run("aggtrades", &archive.path, args);

    assert_eq!(judged, json!({"quality": {"verdict": "corrupt"}}));
}

#[test]
fn a_spec_that_cannot_be_met_is_refused() {
    let plain = AggTradesSpec::new(Market::Um, "BTCUSDT", january(), 10);
    let wrong = [
        AggTradesSpec {
            duplicates: 6,
            ..plain.clone()
        },
        AggTradesSpec {
            symbol: "../BTC".into(),
            ..plain.clone()
        },
        AggTradesSpec {
            start_price: f64::NAN,
            ..plain.clone()
        },
        AggTradesSpec {
            decimals: Decimals {
                price: 13,
                quantity: 1,
            },
            ..plain.clone()
        },
    ];

    for spec in wrong {
        assert!(spec.csv().is_err(), "{spec:?}");
    }
    assert!(plain.csv().is_ok());
}

#[test]
fn klines_of_every_market_are_counted_as_they_were_asked_for() {
    let root = root();
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "BTCUSD_PERP"),
        (Market::Spot, "ETHUSDT"),
    ] {
        for (interval, order) in [
            ("1m", Order::Sorted),
            ("5m", Order::Shuffled),
            ("1m", Order::InterleavedTwoStreams),
        ] {
            let interval: Interval = interval.parse().unwrap();
            let spec = KlinesSpec {
                gaps: 12,
                duplicates: 6,
                off_grid: 5,
                zero_trade_bars: 20,
                backward_closes: 1,
                ignore_filled: market == Market::Spot,
                order,
                ..KlinesSpec::new(market, symbol, interval, "2024-01-17".parse().unwrap())
            };

            let (archive, facts) = spec.write(root.path(), &Packing::default()).unwrap();
            let args = format!(
                "--market {market} --symbol {symbol} --period 2024-01-17 --interval {interval}"
            );
            let judged = reference::run("klines", &archive.path, &args);

            let quality = &judged["quality"];
            assert_eq!(quality["rows"], facts.rows);
            assert_eq!(quality["duplicates"], 0);
            assert_eq!(quality["contradictions"], facts.duplicates);
            assert_eq!(quality["off_grid"], facts.off_grid);
            assert_eq!(quality["unordered"], facts.unordered);
            assert_eq!(quality["out_of_period"], 0);
            let bars = judged["klines"]["open_time"].as_array().unwrap().len() as u64;
            assert_eq!(bars, facts.bars);
            let idle = judged["klines"]["trades"].as_array().unwrap();
            let idle = idle.iter().filter(|trades| **trades == 0).count() as u64;
            assert_eq!(idle, facts.zero_trade_bars);
        }
    }
}

#[test]
fn the_klines_beside_trades_are_those_of_the_trades() {
    let root = root();
    let day: Period = "2024-01-17".parse().unwrap();
    let pairs = [
        ("base_volume", "volume"),
        ("quote_volume", "quote_volume"),
        ("taker_buy_qty", "taker_buy_volume"),
        ("taker_buy_quote", "taker_buy_quote_volume"),
        ("raw_trade_count", "trades"),
        ("price_first", "open"),
        ("price_last", "close"),
        ("price_high", "high"),
        ("price_low", "low"),
    ];
    for (market, symbol) in [(Market::Um, "BTCUSDT"), (Market::Spot, "ETHUSDT")] {
        let spec = AggTradesSpec {
            period: day,
            order: Order::InterleavedTwoStreams,
            contradictions: 3,
            ..odd(market, symbol)
        };
        let (trades, klines, _) = spec
            .write_with_klines(root.path(), &Packing::default())
            .unwrap();
        let args = format!("--market {market} --symbol {symbol} --period 2024-01-17");

        let minutes = reference::run("aggtrades", &trades.path, &args)["minutes"].take();
        let klines = reference::run("klines", &klines.path, &args)["klines"].take();

        let opens = klines["open_time"].as_array().unwrap();
        assert_eq!(opens.len(), 1_440);
        let minute_times = minutes["minute"].as_array().unwrap();
        for (row, minute) in minute_times.iter().enumerate() {
            let at = opens.iter().position(|open| open == minute).unwrap();
            for (minute_name, kline_name) in pairs {
                let (ours, theirs) = (&minutes[minute_name][row], &klines[kline_name][at]);
                assert_eq!(ours, theirs, "{minute_name} of minute {minute}");
            }
        }
        let still = klines["trades"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|n| **n == 0);
        assert_eq!(still.count(), 1_440 - minute_times.len());
    }
}

#[test]
fn equal_specs_give_equal_bytes_and_other_seeds_do_not() {
    let (one, two) = (root(), root());
    let mut spec = odd(Market::Um, "BTCUSDT");
    let packing = Packing::default();

    let first = spec.write(one.path(), &packing).unwrap().0;
    let second = spec.write(two.path(), &packing).unwrap().0;
    spec.seed += 1;
    let third = spec.write(two.path(), &packing).unwrap().0;

    assert_eq!(first.sha256, second.sha256);
    assert_ne!(first.sha256, third.sha256);
    assert_eq!(
        first.key,
        "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip"
    );
}

#[test]
fn the_demo_archive_is_complete_and_reads_well() {
    let root = root();

    let archives = demo_archive(root.path()).unwrap();

    assert_eq!(archives.len(), 12);
    let total: u64 = archives.iter().map(|archive| archive.bytes).sum();
    assert!(total < 64 << 20, "{total}");
    let eth = archives
        .iter()
        .find(|archive| archive.key.contains("ETHUSDT-aggTrades-2024-01"));
    let judged = reference::run(
        "aggtrades",
        &eth.unwrap().path,
        "--symbol ETHUSDT --period 2024-01",
    );
    assert_eq!(judged["quality"]["rows"], 140_000);
    assert!(judged["quality"]["unordered"].as_u64() > Some(60_000));
    assert_eq!(judged["hours"]["minute"].as_array().unwrap().len(), 31 * 24);
}
