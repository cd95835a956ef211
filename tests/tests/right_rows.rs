//! Datasets whose rows are kept as they are: the tables are the CSV's cells, sorted, each row once.

use std::fmt::Write;

use tapemill_standin::generate::Packing;
use tapemill_standin::{Market, Period};
use tapemill_tests::{Dice, Judged, Lab, hashes, judge, read_everything, real_data};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// 2024-03-05T00:00:00Z in milliseconds.
const DAY_MS: u64 = 1_709_596_800_000;
const DAY: &str = "2024-03-05";

/// An archive of rows of any dataset, with what is odd in it.
struct Rows {
    header: Option<&'static str>,
    rows: Vec<String>,
}

impl Rows {
    fn new(header: Option<&'static str>, count: u64, mut row: impl FnMut(u64) -> String) -> Self {
        Self {
            header,
            rows: (0..count).map(&mut row).collect(),
        }
    }

    /// Some rows once more, some further from their place than a few.
    fn disturbed(mut self, dice: &mut Dice) -> Self {
        let count = self.rows.len() as u64;
        for _ in 0..count.div_ceil(20) {
            let row = self.rows[dice.below(count) as usize].clone();
            self.rows.insert(dice.below(count) as usize, row);
            let (one, other) = (dice.below(count), dice.below(count));
            self.rows.swap(one as usize, other as usize);
        }
        self
    }

    fn lay(&self, lab: &Lab, market: Market, key: &str, period: &str) {
        let mut csv = String::new();
        for line in self
            .header
            .into_iter()
            .chain(self.rows.iter().map(String::as_str))
        {
            writeln!(csv, "{line}").expect("text takes text");
        }
        let period: Period = period.parse().expect("it is a period");
        Packing::default()
            .wrap(lab.mirror.root(), key, market, period, csv.as_bytes())
            .expect("the archive can be written");
    }
}

fn key(market: Market, dataset: &str, symbol: &str, period: &str) -> String {
    let prefix = match market {
        Market::Spot => "data/spot".to_owned(),
        futures => format!("data/futures/{}", futures.as_str()),
    };
    let often = if period.len() == 7 {
        "monthly"
    } else {
        "daily"
    };
    format!("{prefix}/{often}/{dataset}/{symbol}/{symbol}-{dataset}-{period}.zip")
}

fn word(flag: bool, market: Market) -> &'static str {
    match (flag, market) {
        (true, Market::Spot) => "True",
        (false, Market::Spot) => "False",
        (true, _) => "true",
        (false, _) => "false",
    }
}

fn trades(market: Market, count: u64, dice: &mut Dice) -> Rows {
    let header = (market == Market::Um).then_some("id,price,qty,quote_qty,time,is_buyer_maker");
    let mut time = DAY_MS;
    Rows::new(header, count, |at| {
        time += dice.below(80);
        let stamp = if market == Market::Spot {
            format!("{time}{:03}", dice.below(1000))
        } else {
            time.to_string()
        };
        let price = 60_000 + dice.below(9_000);
        let quantity = 1 + dice.below(5_000);
        let maker = word(dice.once_in(2), market);
        let last = if market == Market::Spot { ",True" } else { "" };
        format!(
            "{},{price}.{:02},0.{quantity:04},{}.{:06},{stamp},{maker}{last}",
            900 + at + at / 50,
            dice.below(100),
            price / 10,
            dice.below(1_000_000)
        )
    })
}

/// Judges everything that was laid, and has it read by everything that people read with.
#[track_caller]
fn run(lab: &Lab, market: Market, data: &str) -> Vec<Judged> {
    let words = ["run", "--market", market.as_str(), "--data", data];
    lab.everything(&words).run().expect(0);
    let told = read_everything(&lab.output());
    assert!(
        told.iter().all(|told| told["rows"].as_u64() > Some(0)),
        "{told:?}"
    );
    judge(lab.mirror.root(), &lab.output(), &[])
}

#[test]
fn trades_of_every_market_are_the_csvs_cells() {
    for market in [Market::Um, Market::Cm, Market::Spot] {
        let mut dice = Dice::new(7);
        let lab = Lab::new(BINARY);
        let plain = trades(market, 5_000, &mut dice);
        plain.lay(&lab, market, &key(market, "trades", "BTCUSDT", DAY), DAY);
        let disturbed = trades(market, 5_000, &mut dice).disturbed(&mut dice);
        disturbed.lay(&lab, market, &key(market, "trades", "ETHUSDT", DAY), DAY);

        let judged = run(&lab, market, "trades");

        assert_eq!(judged.len(), 2);
        assert_eq!(judged[0].count("duplicates"), 0);
        assert_eq!(judged[0].count("id_gaps"), 99);
        assert!(judged[1].count("duplicates") > 100, "{judged:?}");
        assert!(judged[1].count("unordered") > 100, "{judged:?}");
    }
}

#[test]
fn trades_far_from_their_place_are_sorted_on_the_disk() {
    let mut dice = Dice::new(11);
    let lab = Lab::new(BINARY);
    let mut rows = trades(Market::Um, 300_000, &mut dice);
    // More than the rows that are held at once, and than those of a run.
    rows.rows.rotate_left(140_000);
    let rows = rows.disturbed(&mut dice);
    rows.lay(
        &lab,
        Market::Um,
        &key(Market::Um, "trades", "BTCUSDT", DAY),
        DAY,
    );

    lab.everything(&["run", "--data", "trades"]).run().expect(0);

    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged[0].count("rows"), 315_000);
    assert_eq!(judged[0].count("duplicates"), 15_000);
    let left: Vec<_> = std::fs::read_dir(lab.output())
        .expect("the output")
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with(".tmp")),
        "{left:?}"
    );
}

#[test]
fn raw_trades_lie_beside_the_minutes_made_of_them() {
    let mut plain_files = None;
    for data in ["aggTrades", "aggTrades:raw"] {
        let lab = Lab::new(BINARY);
        lab.mirror.trades("BTCUSDT", "2024-01", 40_000);
        let mut dice = Dice::new(3);
        let mut time = DAY_MS;
        let doubled = Rows::new(None, 3_000, |at| {
            time += dice.below(20_000);
            let first = 7_000 + 3 * at;
            format!(
                "{},0.{:05},{}.0,{first},{},{time},{}",
                50 + at,
                8_000 + dice.below(900),
                dice.below(90),
                first + dice.below(3),
                dice.once_in(2)
            )
        })
        .disturbed(&mut dice);
        doubled.lay(
            &lab,
            Market::Um,
            &key(Market::Um, "aggTrades", "DOGEUSDT", DAY),
            DAY,
        );

        let judged = run(&lab, Market::Um, data);

        assert!(judged.iter().any(|judged| judged.count("duplicates") > 10 && judged.count("zero_quantity") > 10), "{judged:?}");
        let mut files = hashes(&lab.output());
        let raw = files
            .extract_if(.., |path, _| path.starts_with("aggtrades/"))
            .count();
        assert_eq!(raw, if data == "aggTrades" { 0 } else { 2 });
        // What is made of them does not depend on whether they are kept.
        assert_eq!(plain_files.get_or_insert_with(|| files.clone()), &files);
    }
}

#[test]
fn the_other_datasets_of_futures_are_the_csvs_cells() {
    let mut dice = Dice::new(5);
    let lab = Lab::new(BINARY);
    let funding = Rows::new(
        Some("calc_time,funding_interval_hours,last_funding_rate"),
        93,
        |at| {
            format!(
                "{},8,{}0.{:08}",
                DAY_MS - 4 * 86_400_000 + at * 28_800_000 + dice.below(14),
                dice.of(&["", "-"]),
                dice.below(40_000)
            )
        },
    );
    funding.lay(
        &lab,
        Market::Um,
        &key(Market::Um, "fundingRate", "BTCUSDT", "2024-03"),
        "2024-03",
    );
    let header = "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,\
        sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio";
    let metrics = Rows::new(Some(header), 290, |at| {
        let (hour, minute, second) = (at / 12, at % 12 * 5, dice.below(6));
        let (day, hour) = if hour < 24 { (5, hour) } else { (6, hour - 24) };
        let ratio = dice.of(&["", "0E-8", "0E-16", "1.21341234", "2.5e-3", "0.123456789012345678"]);
        format!("2024-03-{day:02} {hour:02}:{minute:02}:{second:02},BTCUSDT,{}.123,{}.1234567800000000,1.5,{ratio},0.9,{ratio}", 80_000 + dice.below(999), 5_000_000_000 + dice.below(99_999))
    })
    .disturbed(&mut dice);
    metrics.lay(
        &lab,
        Market::Um,
        &key(Market::Um, "metrics", "BTCUSDT", DAY),
        DAY,
    );
    let bands = ["-5", "-0.20", "-1.00", "0.20", "5"];
    let depth = Rows::new(Some("timestamp,percentage,depth,notional"), 2_000, |at| {
        let (second, band) = (at / 5 * 30, bands[(at % 5) as usize]);
        format!(
            "2024-03-05 {:02}:{:02}:{:02},{band},{}.50000000,{}.25000000",
            second / 3600,
            second / 60 % 60,
            second % 60,
            dice.below(9_000),
            dice.below(900_000)
        )
    })
    .disturbed(&mut dice);
    depth.lay(
        &lab,
        Market::Um,
        &key(Market::Um, "bookDepth", "BTCUSDT", DAY),
        DAY,
    );
    let header = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time";
    let mut id = 4_000_000_000_000;
    let ticker = Rows::new(Some(header), 4_000, |at| {
        id += 1 + dice.below(900);
        let time = DAY_MS + at * 7;
        format!(
            "{id},{}.10,1.{},{}.20,0.{},{time},{}",
            60_000 + dice.below(9),
            dice.below(99),
            60_010 + dice.below(9),
            dice.below(99),
            time + dice.below(9)
        )
    })
    .disturbed(&mut dice);
    ticker.lay(
        &lab,
        Market::Um,
        &key(Market::Um, "bookTicker", "BTCUSDT", DAY),
        DAY,
    );

    let judged = run(&lab, Market::Um, "fundingRate,metrics,bookDepth,bookTicker");

    assert_eq!(judged.len(), 4);
    let of = |kind: &str| {
        judged
            .iter()
            .find(|judged| judged.key.contains(kind))
            .expect(kind)
    };
    assert!(
        of("metrics").count("out_of_period") > 0,
        "rows of the next day"
    );
    assert!(of("bookDepth").count("duplicates") > 10 && of("bookTicker").count("duplicates") > 10);
}

#[test]
fn liquidations_come_twice_in_the_archive_and_once_in_the_table() {
    let mut dice = Dice::new(13);
    let lab = Lab::new(BINARY);
    let header = "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,\
        last_fill_quantity,accumulated_fill_quantity";
    let mut liquidations = Rows::new(Some(header), 300, |at| {
        let side = dice.of(&["BUY", "SELL"]);
        format!(
            "{},{side},LIMIT,IOC,{},63661.4,63425.1,{},1,7",
            DAY_MS + at / 2 * 60_000,
            dice.below(90),
            dice.of(&["FILLED", "EXPIRED"])
        )
    });
    liquidations.rows = liquidations
        .rows
        .into_iter()
        .flat_map(|row| [row.clone(), row])
        .collect();
    let name = key(Market::Cm, "liquidationSnapshot", "BTCUSD_PERP", DAY);
    liquidations.lay(&lab, Market::Cm, &name, DAY);

    let judged = run(&lab, Market::Cm, "liquidationSnapshot");

    assert!(judged[0].count("duplicates") >= 300, "{judged:?}");
    assert_eq!(judged[0].count("contradictions"), 0);
}

#[test]
fn candles_of_mark_index_and_premium_have_tables_of_their_own() {
    let lab = Lab::new(BINARY);
    let kinds = [
        "klines",
        "markPriceKlines",
        "indexPriceKlines",
        "premiumIndexKlines",
    ];
    for (at, kind) in kinds.into_iter().enumerate() {
        let mut dice = Dice::new(at as u64);
        let sign = if kind == "premiumIndexKlines" {
            "-"
        } else {
            ""
        };
        let bars = Rows::new(None, 24, |hour| {
            let open = DAY_MS + hour * 3_600_000;
            let price = |dice: &mut Dice| format!("{sign}0.{:08}", dice.below(99_999_999));
            let (a, b, c, d) = (
                price(&mut dice),
                price(&mut dice),
                price(&mut dice),
                price(&mut dice),
            );
            format!("{open},{a},{b},{c},{d},0,{},0,3600,0,0,0", open + 3_599_999)
        });
        let name = format!("data/futures/um/daily/{kind}/BTCUSDT/1h/BTCUSDT-1h-{DAY}.zip");
        bars.lay(&lab, Market::Um, &name, DAY);
    }

    let judged = run(
        &lab,
        Market::Um,
        "klines:1h,markPriceKlines:1h,indexPriceKlines:1h,premiumIndexKlines:1h",
    );

    let tables: Vec<_> = judged
        .iter()
        .flat_map(|judged| judged.tables.keys())
        .collect();
    assert_eq!(tables.len(), 4, "{tables:?}");
    // In a folder of any other form the folder's name is all there is to tell them apart.
    let loose = Lab::new(BINARY);
    let other = loose.folder().join("mine/markPriceKlines");
    std::fs::create_dir_all(&other).expect("a folder");
    let file = format!("BTCUSDT-1h-{DAY}.zip");
    let official = lab
        .mirror
        .root()
        .join("data/futures/um/daily/markPriceKlines/BTCUSDT/1h")
        .join(&file);
    std::fs::copy(official, other.join(&file)).expect("a copy");
    let mine = loose.folder().join("mine");
    let source = [
        "--symbols",
        "BTCUSDT",
        "--source",
        mine.to_str().expect("plain"),
    ];
    let asked = |data: &str| loose.command(&["run", "--data", data]).args(source).run();
    asked("markPriceKlines:1h").expect(0);
    asked("klines:1h").expect(1);
}

#[test]
fn a_kind_that_a_market_has_not_is_refused() {
    let lab = Lab::new(BINARY);
    let words = ["run", "--market", "spot", "--data", "fundingRate"];

    let ended = lab.everything(&words).run().expect(2);

    assert!(
        ended.only_error_line().contains("fundingRate of spot"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_row_of_another_form_makes_the_archive_corrupt() {
    for (row, told) in [
        ("1,2.0,3.0,6.0,1709596800000", "a row of 6 columns"),
        ("1,2.0,3.0,6.0,1709596800000,maybe", "is_buyer_maker"),
        ("1,2.0,1e999,6.0,1709596800000,true", "qty"),
        ("1,2.0,nan,6.0,1709596800000,true", "qty"),
        ("-1,2.0,3.0,6.0,1709596800000,true", "id"),
        ("1,2.0,3.0,6.0,1709596800,true", "time"),
    ] {
        let lab = Lab::new(BINARY);
        let rows = Rows {
            header: None,
            rows: vec![format!("0,2.0,3.0,6.0,{DAY_MS},true"), row.to_owned()],
        };
        rows.lay(
            &lab,
            Market::Um,
            &key(Market::Um, "trades", "BTCUSDT", DAY),
            DAY,
        );

        let ended = lab.everything(&["run", "--data", "trades"]).run().expect(3);

        assert!(
            ended.stderr.contains("line 2") && ended.stderr.contains(told),
            "{row}: {}",
            ended.stderr
        );
        assert!(hashes(&lab.output()).is_empty());
    }
}

#[test]
fn real_rows_are_their_cells() {
    let Some(real) = real_data() else { return };
    for (market, folder, file, name, period) in [
        (
            Market::Spot,
            "spot/trades",
            "BTCUSDT-trades-2017-08-17.head-48.csv",
            "trades",
            "2017-08-17",
        ),
        (
            Market::Cm,
            "cm/liquidationSnapshot",
            "BTCUSD_PERP-liquidationSnapshot-2024-10-01.head.csv",
            "liquidationSnapshot",
            "2024-10-01",
        ),
        (
            Market::Cm,
            "cm/aggTrades",
            "BTCUSD_PERP-aggTrades-2026-05-08.head-20000.csv",
            "aggTrades:raw",
            "2026-05-08",
        ),
        (
            Market::Spot,
            "spot/aggTrades",
            "BTCUSDT-aggTrades-2026-01-01.csv",
            "aggTrades:raw",
            "2026-01-01",
        ),
    ] {
        let lab = Lab::new(BINARY);
        let csv =
            std::fs::read(real.join("vision").join(folder).join(file)).expect("the real file");
        let symbol = file.split('-').next().expect("a symbol");
        let dataset = name.split(':').next().expect("a name");
        Packing::default()
            .wrap(
                lab.mirror.root(),
                &key(market, dataset, symbol, period),
                market,
                period.parse().expect("a day"),
                &csv,
            )
            .expect("the archive can be written");

        let judged = run(&lab, market, name);

        assert!(judged[0].count("rows") > 0);
    }
    let lab = Lab::new(BINARY);
    let funding = real.join("vision/um/fundingRate");
    let source = [
        "--symbols",
        "BTCUSDT",
        "--source",
        funding.to_str().expect("plain"),
    ];
    lab.command(&["run", "--data", "fundingRate"])
        .args(source)
        .run()
        .expect(0);
    let judged = judge(&funding, &lab.output(), &[]);
    assert_eq!(judged[0].count("rows"), 90);
    assert_eq!(judged[0].quality["verdict"], "ok");
}
