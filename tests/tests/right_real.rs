//! Real archives of the exchange, where the machine has them: as they lie there, and their CSVs in ZIPs of their own.

use std::path::{Path, PathBuf};

use tapemill_exchange::ExchangeInfo;
use tapemill_standin::generate::{AggTradesSpec, KlinesSpec, Packing};
use tapemill_standin::{Market, Period};
use tapemill_tests::{Judged, Lab, hashes, judge, real_data};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The archives of the folder that are of spot and klines, and sound.
const SPOT_KLINES: [&str; 6] = [
    "--market",
    "spot",
    "--skip",
    "ADABTC-1m-2021-11-27.zip",
    "--skip",
    "BTCUSDT-fundingRate-2026-04.zip",
];

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Lays a real CSV down as the archive it is named for; the name may say that it is the head of one.
fn repack(lab: &Lab, csv: &Path, market: Market) {
    let name = csv.file_name().expect("a file").to_string_lossy();
    let stem = name.split('.').next().expect("a name");
    let (symbol, rest) = stem.split_once('-').expect("SYMBOL-KIND-PERIOD");
    let (kind, period) = rest.split_once('-').expect("SYMBOL-KIND-PERIOD");
    let period: Period = period.parse().expect("it is a period");
    let key = match kind {
        "aggTrades" => AggTradesSpec::new(market, symbol, period, 1).key(),
        interval => {
            let interval = interval.parse().expect("it is an interval");
            KlinesSpec::new(market, symbol, interval, period).key()
        }
    };
    let rows = std::fs::read(csv).expect("the real file can be read");
    Packing::default()
        .wrap(lab.mirror.root(), &key, market, period, &rows)
        .expect("the archive can be written");
}

fn csvs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of real files");
    let paths = entries.flatten().map(|entry| entry.path());
    let mut csvs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    csvs.sort();
    csvs
}

/// Repacks the CSVs of a folder, mills all of them and has the reference judge the result.
#[track_caller]
fn run_repacked(real: &Path, folder: &str, market: Market, data: &str) -> Vec<Judged> {
    let lab = Lab::new(BINARY);
    let csvs = csvs(&real.join("vision").join(folder));
    for csv in &csvs {
        repack(&lab, csv, market);
    }
    let words = ["run", "--market", market.as_str(), "--data", data];
    lab.everything(&words).run().expect(0);
    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    assert_eq!(judged.len(), csvs.len());
    judged
}

#[track_caller]
fn of<'a>(judged: &'a [Judged], name: &str) -> &'a Judged {
    let found = judged.iter().find(|judged| judged.key.contains(name));
    found.unwrap_or_else(|| panic!("no archive {name}"))
}

#[test]
fn real_archives_in_a_folder_are_milled_as_they_are() {
    let Some(real) = real_data() else { return };
    let vision = real.join("vision");
    let lab = Lab::new(BINARY);
    let words = ["run", "--market", "spot", "--data", "klines:1m,klines:1h"];
    let source = ["--symbols", "BTCUSDT", "--source", text(&vision)];

    lab.command(&words).args(source).run().expect(0);

    let judged = judge(&vision, &lab.output(), &SPOT_KLINES);
    assert_eq!(judged.len(), 3);
    assert!(
        judged
            .iter()
            .all(|judged| judged.quality["verdict"] == "ok")
    );
    assert_eq!(of(&judged, "2020-01-02").count("rows"), 1_440);
    let hours = of(&judged, "1h-2026-05-08");
    assert_eq!(
        hours.count("first_ts"),
        1_778_198_400_000_000,
        "microseconds"
    );
}

#[test]
fn a_really_damaged_archive_ends_dead_and_leaves_the_others_alone() {
    let Some(real) = real_data() else { return };
    let vision = real.join("vision");
    let lab = Lab::new(BINARY);
    let words = ["run", "--market", "spot", "--data", "klines:1m"];
    let source = ["--symbols", "all", "--source", text(&vision)];

    let ended = lab.command(&words).args(source).run().expect(3);

    assert!(
        ended.stderr.contains("ADABTC-1m-2021-11-27.zip"),
        "{}",
        ended.stderr
    );
    let task = lab.task("spot/klines:1m/ADABTC/2021-11-27");
    assert_eq!(
        (&task["state"], &task["reason"]),
        (&"dead".into(), &"corrupt".into())
    );
    let published: Vec<_> = hashes(&lab.output()).into_keys().collect();
    assert_eq!(published.len(), 4, "{published:?}");
    assert!(
        published.iter().all(|path| path.contains("/BTCUSDT/")),
        "{published:?}"
    );
    // Hours of the exchange's own were not asked for.
    let options = [&SPOT_KLINES[..], &["--skip", "BTCUSDT-1h-2026-05-08.zip"]].concat();
    judge(&vision, &lab.output(), &options);
}

#[test]
fn real_contracts_give_the_references_numbers() {
    let Some(real) = real_data() else { return };

    let judged = run_repacked(&real, "cm/aggTrades", Market::Cm, "aggTrades");

    assert_eq!(judged[0].count("rows"), 20_000);
    assert_eq!(judged[0].count("duplicates"), 0);
}

#[test]
fn real_spot_trades_give_the_references_numbers() {
    let Some(real) = real_data() else { return };

    let judged = run_repacked(&real, "spot/aggTrades", Market::Spot, "aggTrades");

    assert_eq!(judged[0].count("rows"), 5_000);
}

#[test]
fn real_spot_klines_with_outages_are_their_cells() {
    let Some(real) = real_data() else { return };

    let judged = run_repacked(&real, "spot/klines", Market::Spot, "klines:1m,klines:1h");

    assert_eq!(of(&judged, "BTCUSDT-1h-2018-02").count("off_grid"), 43);
    assert_eq!(of(&judged, "BTCUSDT-1h-2017-09").count("missing_bars"), 7);
    assert_eq!(
        of(&judged, "ADABTC-1m-2021-11-27").count("missing_minutes"),
        0
    );
}

#[test]
fn real_um_klines_with_and_without_header_are_their_cells() {
    let Some(real) = real_data() else { return };

    let judged = run_repacked(&real, "um/klines", Market::Um, "klines:1m,klines:5m");

    assert_eq!(of(&judged, "ALGOUSDT-1m-2024-09").count("rows"), 43_200);
    assert_eq!(of(&judged, "BTCUSDT-5m-2022-04").count("rows"), 8_640);
    assert_eq!(of(&judged, "BTCUSDT-1m-2022-05-05").count("rows"), 1_440);
}

#[test]
fn what_the_exchange_really_said_of_its_symbols_is_read() {
    let Some(real) = real_data() else { return };
    let recorded = real.join("recordings/cryptofeed/BINANCE_FUTURES.0");
    let recorded = std::fs::read_to_string(recorded).expect("the recording can be read");
    // URL -> time: body
    let line = recorded.lines().next().expect("a line");
    let (_, body) = line.split_once(": ").expect("a body");

    let info = ExchangeInfo::parse(body.as_bytes()).expect("it is understood");

    assert_eq!(info.weight_a_minute, Some(2400));
    assert_eq!(info.symbols.len(), 122);
    let of = |name: &str| {
        let mut symbols = info.symbols.iter();
        let found = symbols.find(|info| info.symbol.as_str() == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let bitcoin = of("BTCUSDT");
    assert_eq!(bitcoin.contract_type.as_deref(), Some("PERPETUAL"));
    assert_eq!(bitcoin.onboard_ms, Some(1_569_398_400_000));
    assert_eq!(bitcoin.delivery_ms, None);
    let rules = &bitcoin.rules;
    assert_eq!(
        [&rules.tick_size, &rules.step_size, &rules.min_notional].map(|text| text.as_deref()),
        [Some("0.01"), Some("0.001"), Some("5")]
    );
    assert_eq!(
        [&rules.min_quantity, &rules.max_quantity].map(|text| text.as_deref()),
        [Some("0.001"), Some("1000")]
    );
    let quarter = of("ETHUSDT_210924");
    assert_eq!(quarter.contract_type.as_deref(), Some("CURRENT_QUARTER"));
    assert_eq!(quarter.delivery_ms, Some(1_632_470_400_000));
    let pending = of("BTCSTUSDT");
    assert_eq!(
        (pending.status.as_str(), &pending.contract_type),
        ("PENDING_TRADING", &None)
    );
}
