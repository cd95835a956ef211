//! What users of the archive have met in it, one synthetic archive for each, and the verdict that it gets.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tapemill_standin::generate::{
    AggTradesSpec, Decimals, KlinesSpec, Order, Outage, Packing, Sidecar, Style,
};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Lab, Python, Rest, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Runs everything of a market, and gives the findings by their file.
#[track_caller]
fn judged(lab: &Lab, words: &[&str], run: i32, verify: i32) -> BTreeMap<String, Value> {
    let words = [&["run", "-q"], words].concat();
    lab.everything(&words).run().expect(run);
    found(lab, &[], verify)
}

#[track_caller]
fn found(lab: &Lab, words: &[&str], code: i32) -> BTreeMap<String, Value> {
    let words = [&["verify", "--json"], words].concat();
    let lines = lab.command(&words).run().expect(code).json_lines();
    let named = lines.into_iter();
    named
        .map(|line| (line["file"].as_str().expect("a text").to_owned(), line))
        .collect()
}

/// Verdict and kind of a file, and its reason.
#[track_caller]
fn of(found: &BTreeMap<String, Value>, file: &str) -> (String, String) {
    let finding = found
        .get(file)
        .unwrap_or_else(|| panic!("nothing is said of {file}: {found:#?}"));
    let text = |name: &str| finding[name].as_str().expect("a text").to_owned();
    (
        format!("{} {}", text("verdict"), text("kind")),
        text("reason"),
    )
}

#[track_caller]
fn expect(found: &BTreeMap<String, Value>, file: &str, verdict: &str, reason: &str) {
    let (told, why) = of(found, file);
    assert_eq!(told, verdict, "{file}: {why}");
    assert!(why.contains(reason), "{file}: {why}");
}

fn minutes(symbol: &str, period: &str) -> String {
    format!("aggtrades_1m/um/{symbol}/{period}.parquet")
}

fn lay(lab: &Lab, spec: KlinesSpec) {
    spec.write(lab.mirror.root(), &Packing::default())
        .expect("the archive can be written");
}

fn bars(symbol: &str, interval: &str, period: &str) -> KlinesSpec {
    let interval: Interval = interval.parse().expect("an interval");
    let period = period.parse().expect("a period");
    KlinesSpec::new(Market::Um, symbol, interval, period)
}

#[test]
fn trades_of_every_kind_get_their_verdict() {
    let lab = Lab::new(BINARY);
    let day = "2024-01-05";
    let spec = |symbol: &str| trades_of(symbol, day, 3_000);
    let lay = |spec: AggTradesSpec| lab.mirror.tape_of(&spec);
    // #246, #278: a header, or none. #339, #293: two streams of ids interleaved.
    lay(AggTradesSpec {
        style: Style {
            header: false,
            ..Style::default()
        },
        ..spec("NOHEADUSDT")
    });
    lay(AggTradesSpec {
        order: Order::InterleavedTwoStreams,
        ..spec("TWOUSDT")
    });
    // #263: quantities of zero. #190, #378: ids that lack. Rows of another day. Rows twice, and twice with other values.
    lay(AggTradesSpec {
        zero_quantities: 300,
        ..spec("ZEROUSDT")
    });
    lay(AggTradesSpec {
        id_gaps: 3,
        ..spec("LOSTUSDT")
    });
    lay(AggTradesSpec {
        out_of_period: 10,
        ..spec("STRAYUSDT")
    });
    lay(AggTradesSpec {
        duplicates: 5,
        ..spec("TWICEUSDT")
    });
    lay(AggTradesSpec {
        contradictions: 5,
        ..spec("OTHERUSDT")
    });
    // #193: the exchange was down; its ids go on.
    let outage = Outage {
        from_minute: 600,
        minutes: 240,
    };
    lay(AggTradesSpec {
        outages: vec![outage],
        ..spec("HALTUSDT")
    });
    // #405: a checksum file of other bytes. No checksum file.
    let (sidecar, none) = (Sidecar::Wrong, Sidecar::Absent);
    for (symbol, sidecar) in [("STALEUSDT", sidecar), ("BAREUSDT", none)] {
        let packing = Packing {
            sidecar,
            ..Packing::default()
        };
        lab.mirror.lay(spec(symbol), &packing);
    }
    // #24, #435: no ZIP, with the checksum of what it is.
    let broken = lab.mirror.lay(spec("BROKENUSDT"), &Packing::default());
    fs::write(&broken.path, b"<html>try later</html>").expect("it can be written");
    let script = "import hashlib, sys\npath = sys.argv[1]\ndigest = hashlib.sha256(open(path, 'rb').read()).hexdigest()\nopen(path + '.CHECKSUM', 'w').write(digest + '  ' + path.split('/')[-1] + '\\n')";
    Python::new().run(&["-c", script, broken.path.to_str().expect("a plain path")]);

    let found = judged(&lab, &[], 3, 4);

    for symbol in ["NOHEADUSDT", "HALTUSDT"] {
        let (told, _) = of(&found, &minutes(symbol, day));
        assert!(told.starts_with("ok "), "{symbol} {told}");
    }
    let (told, why) = of(&found, &minutes("HALTUSDT", day));
    assert_eq!(told, "ok halt");
    assert!(why.contains("the ids go on"), "{why}");
    for (symbol, words) in [
        ("TWOUSDT", "rows below one before them"),
        ("STRAYUSDT", "rows of times outside the period: 10"),
        ("TWICEUSDT", "rows that repeat another one: 5"),
        ("OTHERUSDT", "with other values: 5"),
    ] {
        expect(&found, &minutes(symbol, day), "note quirks", words);
    }
    expect(
        &found,
        &minutes("ZEROUSDT", day),
        "note quirks",
        "rows of quantity zero: 300",
    );
    expect(
        &found,
        &minutes("LOSTUSDT", day),
        "note loss",
        "ids lack in 3 places",
    );
    let no_klines = "note no_klines";
    expect(
        &found,
        &minutes("STALEUSDT", day),
        no_klines,
        "checksum file names other bytes",
    );
    expect(
        &found,
        &minutes("BAREUSDT", day),
        no_klines,
        "has no checksum file",
    );
    expect(
        &found,
        &minutes("BROKENUSDT", day),
        "defect dead",
        "corrupt",
    );
}

#[test]
fn ids_go_on_from_file_to_file_or_it_is_said() {
    let lab = Lab::new(BINARY);
    let lay = |symbol: &str, day: &str, first_id: u64| {
        lab.mirror.tape_of(&AggTradesSpec {
            first_id,
            ..trades_of(symbol, day, 3_000)
        });
    };
    // #403: an archive that ends too early, or one lost with all its rows: the next begins with a later id.
    lay("GOODUSDT", "2024-01-05", 1_000);
    lay("GOODUSDT", "2024-01-06", 4_000);
    lay("LOSTUSDT", "2024-01-05", 1_000);
    lay("LOSTUSDT", "2024-01-06", 4_100);
    lay("TWICEUSDT", "2024-01-05", 1_000);
    lay("TWICEUSDT", "2024-01-06", 3_990);
    // Listed anew: numbered from the beginning.
    lay("ANEWUSDT", "2024-01-05", 1_000);
    lay("ANEWUSDT", "2024-01-06", 1);

    let found = judged(&lab, &[], 0, 0);

    expect(
        &found,
        &minutes("LOSTUSDT", "2024-01-06"),
        "note loss",
        "100 ids lack between 2024-01-05 and it",
    );
    expect(
        &found,
        &minutes("TWICEUSDT", "2024-01-06"),
        "note overlap",
        "ids repeat",
    );
    for symbol in ["GOODUSDT", "ANEWUSDT"] {
        let (told, why) = of(&found, &minutes(symbol, "2024-01-06"));
        assert!(told.starts_with("ok "), "{symbol}: {why}");
    }
}

#[test]
fn bars_of_every_kind_get_their_verdict() {
    let lab = Lab::new(BINARY);
    let day = "2024-01-05";
    let hourly = |symbol: &str| bars(symbol, "1h", day);
    lay(&lab, hourly("GOODUSDT"));
    // #77: beside the grid. #484: bars that lack. Closes before it opens. Bars twice.
    lay(
        &lab,
        KlinesSpec {
            off_grid: 2,
            ..hourly("GRIDUSDT")
        },
    );
    lay(
        &lab,
        KlinesSpec {
            gaps: 3,
            ..hourly("GAPUSDT")
        },
    );
    lay(
        &lab,
        KlinesSpec {
            backward_closes: 2,
            ..hourly("BACKUSDT")
        },
    );
    lay(
        &lab,
        KlinesSpec {
            duplicates: 2,
            ..hourly("TWICEUSDT")
        },
    );
    // What no candle can be, or few are: by hand.
    let root = lab.mirror.root().to_str().expect("a plain path").to_owned();
    Python::new().run(&["-c", BY_HAND, &root, day]);

    let data = "klines:1h,premiumIndexKlines:1h,markPriceKlines:1h,fundingRate,trades";
    let found = judged(&lab, &["--data", data], 0, 0);

    let file = |symbol: &str| format!("klines_1h/um/{symbol}/{day}.parquet");
    assert_eq!(of(&found, &file("GOODUSDT")).0, "ok ok");
    expect(
        &found,
        &file("GRIDUSDT"),
        "note quirks",
        "beside the grid of their interval: 2",
    );
    expect(&found, &file("GAPUSDT"), "note gap", "3 bars lack");
    expect(
        &found,
        &file("BACKUSDT"),
        "note odd",
        "closes before it opens: 2",
    );
    expect(
        &found,
        &file("TWICEUSDT"),
        "note quirks",
        "with other values: 2",
    );
    expect(&found, &file("HIGHUSDT"), "note odd", "high below low: 1");
    expect(
        &found,
        &file("NEGATIVEUSDT"),
        "note odd",
        "negative volume or count: 1",
    );
    expect(
        &found,
        &file("NOUGHTUSDT"),
        "note odd",
        "price not above zero: 1",
    );
    expect(
        &found,
        &file("JUMPUSDT"),
        "note odd",
        "price out of the ordinary: 2",
    );
    let premium = format!("premium_index_klines_1h/um/BELOWUSDT/{day}.parquet");
    assert_eq!(of(&found, &premium).0, "ok ok");
    let marks = |symbol: &str| format!("mark_price_klines_1h/um/{symbol}/{day}.parquet");
    assert_eq!(
        of(&found, &marks("MARKUSDT")).0,
        "ok ok",
        "its sixty prices are no trades"
    );
    expect(&found, &marks("HOLEUSDT"), "note gap", "5 bars lack");
    expect(
        &found,
        &format!("funding_rate/um/RATEUSDT/{}.parquet", &day[..7]),
        "note odd",
        "funding rate out of the ordinary: 1",
    );
    expect(
        &found,
        &format!("trades/um/IDSUSDT/{day}.parquet"),
        "note loss",
        "2 ids lack in 1 places",
    );
    // All thresholds are settings.
    let calm = [
        "--max-price-change",
        "5",
        "--max-funding-rate",
        "0.5",
        "--gap-minutes",
        "600",
    ];
    let found = self::found(&lab, &calm, 0);
    for file in [file("JUMPUSDT"), file("GAPUSDT"), marks("HOLEUSDT")] {
        assert_eq!(of(&found, &file).0, "ok ok", "{file}");
    }
}

const BY_HAND: &str = r"
import datetime, hashlib, os, sys, zipfile
root, day = sys.argv[1:]
start = int(datetime.datetime.fromisoformat(day + 'T00:00:00+00:00').timestamp() * 1000)
def lay(folder, name, rows, cadence='daily'):
    folder = f'{root}/data/futures/um/{cadence}/{folder}'
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path + '.zip', 'w', zipfile.ZIP_DEFLATED) as zip:
        zip.writestr(name + '.csv', '\n'.join(rows) + '\n')
    digest = hashlib.sha256(open(path + '.zip', 'rb').read()).hexdigest()
    open(path + '.zip.CHECKSUM', 'w').write(f'{digest}  {name}.zip\n')
def hours(change, prices=(10.1, 10.4, 9.9, 10.2), volume=4):
    rows = []
    for h in range(24):
        at = start + h * 3600000
        row = [at, *prices, volume, at + 3599999, volume * 10, 60, volume / 2, volume * 5, 0]
        row = change(h, row)
        if row:
            rows.append(','.join(str(cell) for cell in row))
    return rows
def klines(symbol, change, folder='klines', **more):
    lay(f'{folder}/{symbol}/1h', f'{symbol}-1h-{day}', hours(change, **more))
def at(hour, **cells):
    def change(h, row):
        for cell, value in cells.items():
            if h == hour:
                row[int(cell[1:])] = value
        return row
    return change
klines('HIGHUSDT', at(5, _2=9, _3=11))
klines('NEGATIVEUSDT', at(5, _7=-1))
klines('NOUGHTUSDT', at(5, _3=0))
klines('JUMPUSDT', at(5, _2=40, _4=30))
klines('BELOWUSDT', lambda h, row: row, 'premiumIndexKlines', prices=(-0.001, 0.002, -0.003, -0.002), volume=0)
klines('MARKUSDT', lambda h, row: row, 'markPriceKlines', volume=0)
klines('HOLEUSDT', lambda h, row: None if 4 <= h < 9 else row, 'markPriceKlines', volume=0)
month = day[:7]
first = int(datetime.datetime.fromisoformat(month + '-01T00:00:00+00:00').timestamp() * 1000)
rates = [f'{first + h * 3600000},8,{0.02 if h == 16 else 0.0001}' for h in range(0, 31 * 24, 8)]
lay('fundingRate/RATEUSDT', f'RATEUSDT-fundingRate-{month}', ['calc_time,funding_interval_hours,last_funding_rate'] + rates, 'monthly')
trades = [f'{100 + n + (2 if n > 30 else 0)},10.5,2,21,{start + n * 60000},true' for n in range(60)]
lay('trades/IDSUSDT', f'IDSUSDT-trades-{day}', trades)
";

#[test]
fn minutes_and_klines_tell_of_each_other() {
    let lab = Lab::new(BINARY);
    let day = "2024-01-05";
    let root = lab.mirror.root().to_str().expect("a plain path").to_owned();
    for symbol in ["LACKUSDT", "FLATUSDT", "HOURUSDT"] {
        lab.mirror.tape(symbol, day, 20_000);
    }
    lab.mirror.tape("FLATUSDT", "2024-01-06", 20_000);
    lab.mirror.tape("FLATUSDT", "2024-01-07", 20_000);
    // #153, #484: minutes without a bar that have trades. #201: flat after the last trade. #475: hours that are not their
    // minutes.
    Python::new().run(&["-c", CHANGED, &root, day]);

    let found = judged(&lab, &["--data", "aggTrades,klines:1m,klines:1h"], 0, 0);

    let klines = |symbol: &str| format!("klines_1m/um/{symbol}/{day}.parquet");
    expect(
        &found,
        &klines("LACKUSDT"),
        "note loss",
        "of their minutes have trades",
    );
    expect(
        &found,
        &minutes("LACKUSDT", day),
        "note no_klines",
        "minutes with trades have no kline",
    );
    expect(
        &found,
        "klines_1m/um/FLATUSDT/2024-01-06.parquet",
        "note flat",
        "without a trade since 2024-01-06T00:00:00Z",
    );
    expect(
        &found,
        "aggtrades_1m/um/FLATUSDT/2024-01-06.parquet",
        "note klines",
        "trades",
    );
    expect(
        &found,
        &format!("klines_1h/um/HOURUSDT/{day}.parquet"),
        "note intervals",
        "1 of 24 hours are not what",
    );
}

const CHANGED: &str = r"
import glob, os, sys, zipfile
root, day = sys.argv[1:]
def change(symbol, day, rows_of):
    path = f'{root}/data/futures/um/daily/klines/{symbol}/1m/{symbol}-1m-{day}.zip'
    with zipfile.ZipFile(path) as zip:
        name, = zip.namelist()
        rows = [row.split(',') for row in zip.read(name).decode().splitlines()]
    head = [row for row in rows if not row[0].isdigit()]
    rows = rows_of([row for row in rows if row[0].isdigit()])
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as zip:
        zip.writestr(name, '\n'.join(','.join(row) for row in head + rows) + '\n')
    os.remove(path + '.CHECKSUM')
    return rows
change('LACKUSDT', day, lambda rows: rows[:300] + rows[400:])
def flat(rows):
    return [row[:1] + [row[1]] * 4 + ['0', row[6], '0', '0', '0', '0', '0'] for row in rows]
change('FLATUSDT', '2024-01-06', lambda rows: flat(rows) )
rows = change('HOURUSDT', day, lambda rows: rows)
hours = []
for h in range(24):
    of = rows[h * 60:(h + 1) * 60]
    total = lambda at: sum(float(row[at]) for row in of)
    trades = int(total(8)) + (1 if h == 7 else 0)
    hours.append([of[0][0], of[0][1], max((row[2] for row in of), key=float), min((row[3] for row in of), key=float), of[-1][4], str(total(5)), of[-1][6], str(total(7)), str(trades), str(total(9)), str(total(10)), '0'])
folder = f'{root}/data/futures/um/daily/klines/HOURUSDT/1h'
os.makedirs(folder)
with zipfile.ZipFile(f'{folder}/HOURUSDT-1h-{day}.zip', 'w', zipfile.ZIP_DEFLATED) as zip:
    zip.writestr(f'HOURUSDT-1h-{day}.csv', '\n'.join(','.join(row) for row in hours) + '\n')
";

#[test]
fn klines_are_got_to_compare_with_and_nothing_is_kept_of_them() {
    let lab = Lab::new(BINARY);
    lab.mirror.tape("BTCUSDT", "2024-01-05", 3_000);
    lab.mirror.trades("ETHUSDT", "2024-01-05", 3_000);
    let rest = Rest::new(&["BTCUSDT"], 1_600_000_000_000);
    let found = judged(&lab, &["--data", "aggTrades"], 0, 0);
    expect(
        &found,
        &minutes("BTCUSDT", "2024-01-05"),
        "note no_klines",
        "",
    );

    let words = ["verify", "--json", "--against-klines", "--rest", rest.url()];
    let lines = lab.from_source(&words).run().expect(0).json_lines();

    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["verdict"] != "ok")
        .map(|line| format!("{} {}", line["file"], line["kind"]))
        .collect();
    assert_eq!(
        told,
        [format!(
            "\"{}\" \"no_klines\"",
            minutes("ETHUSDT", "2024-01-05")
        )]
    );
    assert!(!lab.output().join("klines_1m").exists());
}

#[test]
fn days_that_their_month_replaced_go_when_the_month_is_sound() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01-05", 500);
    lab.everything(&["run", "-q", "--data", "aggTrades"])
        .run()
        .expect(0);
    let days = ["aggtrades_1m", "factors_1h"].map(|table| {
        let file = lab
            .output()
            .join(format!("{table}/um/BTCUSDT/2024-01-05.parquet"));
        let bytes = fs::read(&file).expect("it is there");
        (file, bytes)
    });
    lab.mirror.trades("BTCUSDT", "2024-01", 5_000);
    lab.everything(&["run", "-q", "--data", "aggTrades"])
        .run()
        .expect(0);
    // As a process leaves them that died between publishing the month and removing them.
    for (file, bytes) in &days {
        assert!(!file.exists());
        fs::write(file, bytes).expect("it can be written");
    }

    let told = found(&lab, &[], 0);

    expect(
        &told,
        &minutes("BTCUSDT", "2024-01-05"),
        "note superseded",
        "it was removed",
    );
    for (file, _) in &days {
        assert!(!file.exists());
    }
    // And as one leaves them that died while it wrote.
    let part = ".2024-01.parquet.0123456789abcdef.part";
    let part = format!("aggtrades_1m/um/BTCUSDT/{part}");
    fs::write(lab.output().join(&part), b"PAR1").expect("it can be written");
    let told = found(&lab, &[], 0);
    assert_eq!(told.len(), 3);
    expect(&told, &part, "note leftover", "cleanup removes it");
}

#[test]
fn a_scan_tells_of_the_end_of_a_series() {
    let lab = Lab::new(BINARY);
    let mut day = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    lab.mirror.trades("GONEUSDT", "2024-01-05", 500);
    for _ in 0..3 {
        day = day.yesterday().expect("not at the beginning of time");
        lab.mirror.trades("LIVEUSDT", &day.to_string(), 500);
    }
    let last = day.to_string();
    let words = ["run", "-q", "--data", "aggTrades", "--end", &last];
    lab.everything(&words).run().expect(0);
    lab.from_source(&["symbols", "-q", "--markets", "um", "--data", "aggTrades"])
        .run()
        .expect(0);

    let told = found(&lab, &[], 0);

    expect(
        &told,
        &minutes("LIVEUSDT", &last),
        "note no_klines",
        "the archive reaches to",
    );
    expect(
        &told,
        &minutes("GONEUSDT", "2024-01-05"),
        "note no_klines",
        "no longer traded",
    );
}

#[test]
fn contracts_and_microseconds_agree_with_the_klines_too() {
    for (market, symbol, period) in [
        (Market::Cm, "BTCUSD_PERP", "2024-01"),
        (Market::Cm, "BTCUSD_240329", "2024-01-05"),
        (Market::Spot, "BTCUSDT", "2024-12-31"),
        (Market::Spot, "BTCUSDT", "2025-01-01"),
    ] {
        let lab = Lab::new(BINARY);
        let period = period.parse().expect("a period");
        let mut spec = AggTradesSpec::new(market, symbol, period, 3_000);
        if market == Market::Spot {
            // Sums of quotes are printed with eight places.
            spec.decimals = Decimals {
                price: 2,
                quantity: 5,
            };
        }
        lab.mirror.tape_of(&spec);

        let found = judged(&lab, &["--market", market.as_str()], 0, 0);

        assert_eq!(found.len(), 4, "{symbol} {period}");
        for (file, finding) in &found {
            assert_eq!(finding["verdict"], "ok", "{file}: {finding}");
        }
    }
}
