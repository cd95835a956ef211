//! aggTrades: minutes and hours are the contract's numbers to the last bit, whatever the archive looks like.

use std::fmt::Write as _;

use tapemill_standin::generate::{
    AggTradesFacts, AggTradesSpec, Booleans, Decimals, LastLine, Order, Outage, Packing, TimeUnit,
};
use tapemill_standin::{Market, Period};
use tapemill_tests::{Dice, Judged, Lab, Python, golden_folder, judge, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Another one makes other archives: `TEST_SEED=7 cargo test …`.
fn seed() -> u64 {
    std::env::var("TEST_SEED").map_or(1, |seed| seed.parse().expect("TEST_SEED is a number"))
}

fn period(text: &str) -> Period {
    text.parse().expect("it is a period")
}

/// A random archive that has every oddity in some number.
fn quirky(dice: &mut Dice, market: Market, symbol: &str, period: Period) -> AggTradesSpec {
    let is_cm = market == Market::Cm;
    let mut spec = AggTradesSpec::new(market, symbol, period, 2_000 + dice.below(6_000));
    spec.seed = dice.below(1 << 40);
    spec.first_id = dice.of(&[0, 1, 4_294_960_000, 3_000_000_000_000]);
    spec.decimals = decimals(dice, is_cm);
    spec.decimals_later = dice.once_in(2).then(|| decimals(dice, is_cm));
    spec.style.header = dice.once_in(2);
    spec.style.time_unit = dice.of(&[
        TimeUnit::Ms,
        TimeUnit::Us,
        TimeUnit::MsThenUs,
        TimeUnit::Iso,
    ]);
    spec.style.booleans = dice.of(&[Booleans::Lower, Booleans::Title, Booleans::Upper]);
    spec.style.crlf = dice.once_in(3);
    spec.style.last_line = dice.of(&[LastLine::Ended, LastLine::Unended, LastLine::ThenBlank]);
    spec.order = dice.of(&[Order::Sorted, Order::InterleavedTwoStreams, Order::Shuffled]);
    spec.duplicates = dice.below(60);
    spec.contradictions = dice.below(30);
    spec.zero_quantities = dice.below(40);
    spec.out_of_period = dice.below(20);
    spec.id_gaps = dice.below(12);
    spec.sessions = dice.once_in(2);
    spec.outages = vec![Outage {
        from_minute: dice.below(1_000) as u32,
        minutes: dice.below(300) as u32,
    }];
    spec
}

fn decimals(dice: &mut Dice, is_cm: bool) -> Decimals {
    Decimals {
        price: dice.below(if is_cm { 6 } else { 13 }) as u8,
        quantity: dice.below(if is_cm { 3 } else { 13 }) as u8,
    }
}

/// Runs over random archives of a market, compares all tables with the reference, and the reference with what the
/// generator knows. Returns what was unusual in all of them together.
#[track_caller]
fn run_random(market: Market, archives: &[(&str, &str)]) -> AggTradesFacts {
    let lab = Lab::new(BINARY);
    let mut dice = Dice::new(seed() << 8 | market as u64);
    let mut laid = Vec::new();
    for &(symbol, when) in archives {
        let spec = quirky(&mut dice, market, symbol, period(when));
        let written = spec.write(lab.mirror.root(), &Packing::default());
        let (archive, facts) = written.unwrap_or_else(|error| panic!("{error}: {spec:?}"));
        eprintln!("seed {}: {spec:?}", seed());
        laid.push((archive.key, facts));
    }

    let words = ["run", "--market", market.as_str(), "--data", "aggTrades"];
    lab.everything(&words).run().expect(0);

    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged.len(), laid.len());
    let mut all = AggTradesFacts::default();
    for (key, facts) in laid {
        let judged = judged.iter().find(|judged| judged.key == key);
        agree(judged.expect("every archive is judged"), &facts);
        all.duplicates += facts.duplicates;
        all.contradictions += facts.contradictions;
        all.zero_quantity += facts.zero_quantity;
        all.out_of_period += facts.out_of_period;
        all.unordered += facts.unordered;
        all.id_gaps += facts.id_gaps;
    }
    all
}

/// A repeated row may differ in its time's precision or come before its original, so repetitions are one count here.
#[track_caller]
fn agree(judged: &Judged, facts: &AggTradesFacts) {
    let repeated = judged.count("duplicates") + judged.count("contradictions");
    assert_eq!(
        repeated,
        facts.duplicates + facts.contradictions,
        "{}",
        judged.key
    );
    let counts = [
        ("rows", facts.rows),
        ("zero_quantity", facts.zero_quantity),
        ("out_of_period", facts.out_of_period),
        ("unordered", facts.unordered),
        ("id_gaps", facts.id_gaps),
        ("missing_ids", facts.missing_ids),
        ("first_id", facts.first_id),
        ("last_id", facts.last_id),
    ];
    for (name, known) in counts {
        assert_eq!(judged.count(name), known, "{name} of {}", judged.key);
    }
}

/// A test of oddities that met none would prove nothing.
#[track_caller]
fn assert_odd(all: &AggTradesFacts) {
    let counts = [
        all.duplicates,
        all.contradictions,
        all.zero_quantity,
        all.out_of_period,
        all.unordered,
        all.id_gaps,
    ];
    assert!(counts.iter().all(|&count| count > 0), "{all:?}");
}

#[test]
fn random_um_archives_give_the_references_numbers_to_the_bit() {
    let archives = [
        ("BTCUSDT", "2024-01"),
        ("ETHUSDT", "2024-02"),
        ("SOLUSDT", "2023-12"),
        ("XYZUSDT", "2024-01"),
        ("BTCUSDT", "2024-02-29"),
        ("ETHUSDT", "2024-03-01"),
        ("BTCUSDT", "2020-01"),
        ("1000PEPEUSDT", "2024-01"),
    ];

    let all = run_random(Market::Um, &archives);

    assert_odd(&all);
}

#[test]
fn random_spot_archives_give_the_references_numbers_to_the_bit() {
    let archives = [
        ("BTCUSDT", "2024-12"),
        ("BTCUSDT", "2025-01"),
        ("ETHUSDT", "2025-01-01"),
        ("ETHBTC", "2017-08"),
        ("SOLUSDT", "2026-02"),
        ("XYZUSDT", "2025-12-31"),
    ];

    let all = run_random(Market::Spot, &archives);

    assert_odd(&all);
}

#[test]
fn random_cm_archives_give_the_references_numbers_to_the_bit() {
    let archives = [
        ("BTCUSD_PERP", "2024-01"),
        ("ETHUSD_PERP", "2024-01"),
        ("BTCUSD_240329", "2024-03"),
        ("XYZUSD_PERP", "2024-02-01"),
        ("ETHUSD_PERP", "2024-02-29"),
        ("BTCUSD_PERP", "2025-01"),
    ];

    let all = run_random(Market::Cm, &archives);

    assert_odd(&all);
}

/// A decimal of up to 12 digits on either side of the point.
fn decimal(dice: &mut Dice) -> String {
    let (whole, places) = (dice.below(13) as u32, dice.below(13) as u32);
    let mut text = dice.below(10u64.pow(whole)).to_string();
    if places > 0 {
        let part = dice.below(10u64.pow(places));
        let _ = write!(text, ".{part:0width$}", width = places as usize);
    }
    text
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| b"0.".contains(&byte))
}

/// Rows from the smallest to the largest numbers an archive may hold, the two side by side in every minute.
fn extremes(dice: &mut Dice, start_us: i64) -> String {
    let mut csv = String::new();
    for id in 1..4_000u64 {
        let (mut price, quantity) = (decimal(dice), decimal(dice));
        if is_zero(&price) {
            price = "0.000000000001".to_owned();
        }
        let time_us = start_us + id as i64 * 400_000;
        let sold = dice.once_in(2);
        let _ = writeln!(csv, "{id},{price},{quantity},{id},{id},{time_us},{sold}");
    }
    csv
}

#[test]
fn sums_are_exact_past_128_bits_and_round_once() {
    let lab = Lab::new(BINARY);
    let mut dice = Dice::new(seed());
    for (market, symbol) in [
        (Market::Um, "BTCUSDT"),
        (Market::Um, "XYZUSDT"),
        (Market::Cm, "XYZUSD_PERP"),
    ] {
        let day = period("2024-01-17");
        let spec = AggTradesSpec::new(market, symbol, day, 1);
        let csv = extremes(&mut dice, day.start_us());
        let packing = Packing::default();
        let wrapped = packing.wrap(lab.mirror.root(), &spec.key(), market, day, csv.as_bytes());
        wrapped.expect("the archive can be written");
    }

    for market in ["um", "cm"] {
        let words = ["run", "--market", market, "--data", "aggTrades"];
        lab.everything(&words).run().expect(0);
    }

    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged.len(), 3);
}

#[test]
fn the_rows_worked_out_by_hand_come_out() {
    let lab = Lab::new(BINARY);
    let csv = std::fs::read(golden_folder().join("trades.csv")).expect("the golden rows");
    let month = period("2024-01");
    let key = AggTradesSpec::new(Market::Um, "BTCUSDT", month, 1).key();
    let packing = Packing {
        sidecar: tapemill_standin::generate::Sidecar::Absent,
        ..Packing::default()
    };
    let wrapped = packing.wrap(lab.mirror.root(), &key, Market::Um, month, &csv);
    wrapped.expect("the archive can be written");

    lab.everything(&["run"]).run().expect(0);

    let compare = reference_folder().join("compare.py");
    let expected = golden_folder().join("expected.json");
    for dataset in ["aggtrades_1m", "factors_1h"] {
        let table = lab
            .output()
            .join(dataset)
            .join("um/BTCUSDT/2024-01.parquet");
        let arguments = [&compare, &table, &expected].map(|path| path.to_str().expect("plain"));
        Python::new().run(&arguments);
    }
}

#[test]
fn sums_that_lie_between_two_floats_go_to_the_even_one() {
    // 2^53 + 1 has no float; a millionth of a millionth more decides for the upper neighbour.
    let between = "1,1,9007199254740993,1,1,1705449600000,false\n";
    let above = "2,1,9007199254740993,2,2,1705449660000,false\n\
                 3,1,0.000000000001,3,3,1705449660001,false\n";
    let lab = Lab::new(BINARY);
    let day = period("2024-01-17");
    let key = AggTradesSpec::new(Market::Um, "BTCUSDT", day, 1).key();
    let csv = format!("{between}{above}");
    let packing = Packing::default();
    let wrapped = packing.wrap(lab.mirror.root(), &key, Market::Um, day, csv.as_bytes());
    wrapped.expect("the archive can be written");

    lab.everything(&["run"]).run().expect(0);

    let table = lab
        .output()
        .join("aggtrades_1m/um/BTCUSDT/2024-01-17.parquet");
    let script = "import sys, pyarrow.parquet as pq\n\
                  print([int(v) for v in pq.read_table(sys.argv[1]).column('base_volume').to_pylist()])";
    let told = Python::new().run(&["-c", script, table.to_str().expect("plain")]);
    assert_eq!(told.trim(), "[9007199254740992, 9007199254740994]");
    judge(lab.mirror.root(), &lab.output(), &[]);
}
