//! Klines: the tables are the CSV's cells, and hours follow from minutes.

use tapemill_standin::generate::{KlinesFacts, KlinesSpec, LastLine, Order, Packing, TimeUnit};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Judged, Lab, contents, judge};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn spec(market: Market, symbol: &str, interval: &str, period: &str) -> KlinesSpec {
    let interval: Interval = interval.parse().expect("it is an interval");
    KlinesSpec::new(
        market,
        symbol,
        interval,
        period.parse().expect("it is a period"),
    )
}

/// A spec with every oddity its number of bars has room for.
fn quirky(market: Market, symbol: &str, interval: &str, period: &str, bars: u64) -> KlinesSpec {
    let some = |share: u64| bars.div_ceil(share).min(bars / 4);
    KlinesSpec {
        seed: bars,
        gaps: some(50),
        duplicates: some(40),
        off_grid: some(90),
        zero_trade_bars: some(30),
        backward_closes: some(100),
        ignore_filled: bars.is_multiple_of(2),
        ..spec(market, symbol, interval, period)
    }
}

fn lay(lab: &Lab, spec: &KlinesSpec) -> (String, KlinesFacts) {
    let (archive, facts) = spec
        .write(lab.mirror.root(), &Packing::default())
        .unwrap_or_else(|error| panic!("{error}: {spec:?}"));
    (archive.key, facts)
}

/// Runs, compares with the reference, and the reference with what the generator knows.
#[track_caller]
fn run(lab: &Lab, market: Market, intervals: &str, laid: &[(String, KlinesFacts)]) -> Vec<Judged> {
    let data: Vec<_> = intervals
        .split(',')
        .map(|interval| format!("klines:{interval}"))
        .collect();
    let words = [
        "run",
        "--market",
        market.as_str(),
        "--data",
        &data.join(","),
    ];
    lab.everything(&words).run().expect(0);
    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged.len(), laid.len());
    for (key, facts) in laid {
        let judged = judged.iter().find(|judged| judged.key == *key);
        let judged = judged.expect("every archive is judged");
        let repeated = judged.count("duplicates") + judged.count("contradictions");
        assert_eq!(judged.count("rows"), facts.rows, "{key}");
        assert_eq!(repeated, facts.duplicates, "{key}");
        assert_eq!(judged.count("off_grid"), facts.off_grid, "{key}");
        assert_eq!(judged.count("unordered"), facts.unordered, "{key}");
    }
    judged
}

#[test]
fn minutes_of_each_market_are_the_csvs_cells_and_hours_follow_from_them() {
    let markets = [
        (Market::Um, "BTCUSDT"),
        (Market::Cm, "ETHUSD_PERP"),
        (Market::Spot, "ETHBTC"),
    ];
    for (at, (market, symbol)) in markets.into_iter().enumerate() {
        let lab = Lab::new(BINARY);
        // One month is enough to fill several row groups.
        let (period, bars) = [("2024-02", 41_760), ("2024-02-29", 1_440)][at.min(1)];
        let month = quirky(market, symbol, "1m", period, bars);
        let mut day = quirky(market, symbol, "1m", "2024-03-01", 1_440);
        day.order = [
            Order::InterleavedTwoStreams,
            Order::Shuffled,
            Order::Shuffled,
        ][at];
        day.style.header = market == Market::Spot;
        day.style.time_unit = [TimeUnit::Ms, TimeUnit::Iso, TimeUnit::Us][at];
        day.style.crlf = at == 0;
        day.style.last_line = [LastLine::Unended, LastLine::ThenBlank, LastLine::Ended][at];
        let laid = [lay(&lab, &month), lay(&lab, &day)];

        let judged = run(&lab, market, "1m", &laid);

        for judged in &judged {
            assert_eq!(
                judged.tables.len(),
                2,
                "minutes, and hours from them: {judged:?}"
            );
            for oddity in ["contradictions", "off_grid", "missing_minutes", "unordered"] {
                assert!(judged.count(oddity) > 0, "{oddity} of {}", judged.key);
            }
        }
    }
}

#[test]
fn every_other_interval_is_the_csvs_cells() {
    let lab = Lab::new(BINARY);
    let mut laid = Vec::new();
    for (interval, bars) in [
        ("3m", 14_880),
        ("5m", 8_928),
        ("15m", 2_976),
        ("30m", 1_488),
        ("1h", 744),
        ("2h", 372),
        ("4h", 186),
        ("6h", 124),
        ("8h", 93),
        ("12h", 62),
        ("1d", 31),
        ("3d", 10),
        ("1w", 5),
        ("1mo", 1),
    ] {
        let mut spec = quirky(Market::Um, "BTCUSDT", interval, "2024-01", bars);
        spec.style.header = bars.is_multiple_of(4);
        laid.push(lay(&lab, &spec));
    }

    let intervals = "3m,5m,15m,30m,1h,2h,4h,6h,8h,12h,1d,3d,1w,1M";
    run(&lab, Market::Um, intervals, &laid);
}

#[test]
fn bars_of_days_weeks_and_months_of_cm_and_spot_are_the_csvs_cells() {
    for (market, symbol) in [(Market::Cm, "BTCUSD_PERP"), (Market::Spot, "BTCUSDT")] {
        let lab = Lab::new(BINARY);
        let mut hours = quirky(market, symbol, "1h", "2024-04", 720);
        hours.order = Order::Shuffled;
        let mut laid = vec![lay(&lab, &hours)];
        for interval in ["1d", "1w", "1mo"] {
            laid.push(lay(&lab, &spec(market, symbol, interval, "2024-04")));
        }

        run(&lab, market, "1h,1d,1w,1mo", &laid);
    }
}

#[test]
fn a_day_of_seconds_is_the_csvs_cells() {
    let lab = Lab::new(BINARY);
    let mut seconds = quirky(Market::Spot, "BTCUSDT", "1s", "2025-01-17", 86_400);
    seconds.style.time_unit = TimeUnit::Us;
    // Repeated bars come late and would break the order.
    seconds.duplicates = 0;
    let laid = [lay(&lab, &seconds)];
    assert_eq!(laid[0].1.unordered, 0);

    run(&lab, Market::Spot, "1s", &laid);
}

#[test]
fn a_day_of_seconds_whose_order_breaks_late_is_the_csvs_cells() {
    let lab = Lab::new(BINARY);
    let sorted = KlinesSpec {
        gaps: 400,
        ..spec(Market::Spot, "BTCUSDT", "1s", "2025-01-17")
    };
    // The first second comes once more at the very end, when most bars were given out, and that row counts.
    let csv = String::from_utf8(sorted.csv().expect("it can be met")).expect("it is text");
    let first = csv
        .lines()
        .next()
        .expect("it has rows")
        .replacen('.', "7.", 1);
    let broken = format!("{csv}{first}\n");
    let (root, key, period) = (lab.mirror.root(), sorted.key(), sorted.period);
    Packing::default()
        .wrap(root, &key, Market::Spot, period, broken.as_bytes())
        .expect("the archive can be written");

    lab.everything(&["run", "--market", "spot", "--data", "klines:1s"])
        .run()
        .expect(0);

    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged[0].count("contradictions"), 1);
    assert_eq!(judged[0].count("unordered"), 1);
}

#[test]
fn bars_in_any_order_make_the_same_tables() {
    let orders = [Order::Sorted, Order::InterleavedTwoStreams, Order::Shuffled];
    let made = orders.map(|order| {
        let lab = Lab::new(BINARY);
        let spec = KlinesSpec {
            order,
            // Which bars are repeated depends on their place in the file.
            duplicates: 0,
            ..quirky(Market::Um, "BTCUSDT", "1m", "2024-01-17", 1_440)
        };
        lay(&lab, &spec);
        lab.everything(&["run"]).run().expect(0);
        contents(&judge(lab.mirror.root(), &lab.output(), &[]))
    });

    assert_eq!(made[0].len(), 2);
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2]);
}
