//! `verify` on a tree of 200 files: nothing in a sound one; every planted defect by its file and reason; and repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use tapemill_standin::generate::{AggTradesSpec, KlinesSpec, Packing};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Lab, Python, hashes, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const SYMBOLS: [&str; 6] = [
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "ADAUSDT",
    "XRPUSDT",
    "1000SHIBUSDT",
];
const PERIODS: [&str; 5] = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05-01"];
const DATA: &str = "aggTrades,klines:1m,klines:4h,markPriceKlines:1h,fundingRate";

/// Trades, minutes, hours, mark prices and fundings of six symbols: 204 tables.
fn tree() -> Lab {
    let lab = Lab::new(BINARY);
    for symbol in SYMBOLS {
        let mut first_id = 1_000;
        for period in PERIODS {
            let spec = AggTradesSpec {
                first_id,
                ..trades_of(symbol, period, 900)
            };
            first_id += 900;
            lab.mirror.tape_of(&spec);
            let hours: Interval = "4h".parse().expect("an interval");
            let spec =
                KlinesSpec::new(Market::Um, symbol, hours, period.parse().expect("a period"));
            spec.write(lab.mirror.root(), &Packing::default())
                .expect("the archive can be written");
        }
    }
    let root = lab.mirror.root().to_str().expect("a plain path").to_owned();
    let words = [SYMBOLS.join(","), PERIODS.join(",")];
    Python::new().run(&["-c", MARKS_AND_FUNDINGS, &root, &words[0], &words[1]]);
    run(&lab, &[]);
    assert_eq!(hashes(&lab.output()).len(), 204);
    lab
}

const MARKS_AND_FUNDINGS: &str = r"
import calendar, datetime, hashlib, os, sys, zipfile
root, symbols, periods = sys.argv[1], sys.argv[2].split(','), sys.argv[3].split(',')
def lay(folder, name, rows):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path + '.zip', 'w', zipfile.ZIP_DEFLATED) as zip:
        zip.writestr(name + '.csv', ''.join(rows))
    digest = hashlib.sha256(open(path + '.zip', 'rb').read()).hexdigest()
    open(path + '.zip.CHECKSUM', 'w').write(f'{digest}  {name}.zip\n')
for symbol in symbols:
    for period in periods:
        day = len(period) == 10
        start = datetime.datetime.fromisoformat(period if day else period + '-01').replace(tzinfo=datetime.timezone.utc)
        days = 1 if day else calendar.monthrange(start.year, start.month)[1]
        at = int(start.timestamp() * 1000)
        cadence = 'daily' if day else 'monthly'
        hours = [f'{at + h * 3600000},10.1,10.4,9.9,10.2,0,{at + (h + 1) * 3600000 - 1},0,60,0,0,0\n' for h in range(24 * days)]
        lay(f'{root}/data/futures/um/{cadence}/markPriceKlines/{symbol}/1h', f'{symbol}-1h-{period}', hours)
        if not day:
            rates = [f'{at + h * 3600000},8,0.0001\n' for h in range(0, 24 * days, 8)]
            lay(f'{root}/data/futures/um/monthly/fundingRate/{symbol}', f'{symbol}-fundingRate-{period}', ['calc_time,funding_interval_hours,last_funding_rate\n'] + rates)
";

fn run(lab: &Lab, words: &[&str]) {
    let words = [&["run", "-q", "--data", DATA], words].concat();
    lab.everything(&words).run().expect(0);
}

#[track_caller]
fn verify(lab: &Lab, code: i32) -> Vec<Value> {
    lab.command(&["verify", "--json"])
        .run()
        .expect(code)
        .json_lines()
}

fn text(finding: &Value, name: &str) -> String {
    finding[name].as_str().expect("a text").to_owned()
}

/// Files and kinds of defects.
fn defects(found: &[Value]) -> BTreeSet<(String, String)> {
    let defects = found
        .iter()
        .filter(|finding| finding["verdict"] == "defect");
    defects
        .map(|finding| (text(finding, "file"), text(finding, "kind")))
        .collect()
}

/// What was planted, and what has to be found: the file and the kind of the reason.
#[derive(Default)]
struct Planted(BTreeMap<String, &'static str>);

impl Planted {
    fn expect(&mut self, file: &str, kind: &'static str) {
        let before = self.0.insert(file.to_owned(), kind);
        assert_eq!(before, None, "{file} is planted twice");
    }
}

/// Tables written anew by another program: with the old footer, and the digest of the rows as they are now where told.
const REWRITTEN: [(&str, &str, bool, &str); 11] = [
    (
        "aggtrades_1m/um/ETHUSDT/2024-01",
        "content",
        false,
        "table = row('price_last', 3, 1.0)",
    ),
    (
        "factors_1h/um/ETHUSDT/2024-02",
        "bytes",
        true,
        "table = row('vwap', 3, 1.0)",
    ),
    ("klines_4h/um/BTCUSDT/2024-01", "bytes", true, "pass"),
    (
        "klines_4h/um/BTCUSDT/2024-02",
        "unreadable",
        false,
        "footer = {}",
    ),
    (
        "klines_4h/um/BTCUSDT/2024-03",
        "bytes",
        true,
        "table = table.slice(0, len(table) - 5)",
    ),
    (
        "klines_4h/um/BTCUSDT/2024-04",
        "order",
        true,
        "table = pa.concat_tables([table, table.slice(len(table) - 1)])",
    ),
    (
        "klines_4h/um/ETHUSDT/2024-01",
        "order",
        true,
        "table = table.take(list(reversed(range(len(table)))))",
    ),
    (
        "klines_4h/um/ETHUSDT/2024-02",
        "columns",
        true,
        "table = table.drop_columns(['trades'])",
    ),
    (
        "klines_4h/um/ETHUSDT/2024-03",
        "columns",
        true,
        "table = table.set_column(2, 'open', table.column('open').cast(pa.int64(), safe=False))",
    ),
    (
        "funding_rate/um/ETHUSDT/2024-01",
        "codec",
        true,
        "footer[b'tapemill.codec'] = b'99'",
    ),
    (
        "funding_rate/um/ETHUSDT/2024-02",
        "lineage",
        true,
        "footer[b'tapemill.sources'] = b'[]'",
    ),
];

const REWRITE: &str = r"
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
sys.path.insert(0, sys.argv[1])
from content import content
for path, digested, change in json.loads(sys.argv[2]):
    table = pq.read_table(path, partitioning=None)
    footer = {key: value for key, value in pq.read_metadata(path).metadata.items() if key.startswith(b'tapemill')}
    def row(name, at, value):
        cells = table.column(name).to_pylist()
        cells[at] = value
        field = table.schema.field(name)
        return table.set_column(table.column_names.index(name), field, pa.array(cells, field.type))
    scope = dict(globals())
    exec(change, scope)
    table, footer = scope['table'], scope['footer']
    pq.write_table(table.replace_schema_metadata(footer), path, compression='zstd')
    if digested:
        footer[b'tapemill.content'] = content(path).encode()
        pq.write_table(table.replace_schema_metadata(footer), path, compression='zstd')
";

/// Defects of every kind, each in a file of its own.
fn plant(lab: &Lab) -> Planted {
    let mut planted = Planted::default();
    let path = |file: &str| lab.output().join(file);
    let read = |file: &str| fs::read(path(file)).expect("it can be read");
    let write = |file: &str, bytes: &[u8]| fs::write(path(file), bytes).expect("it can be written");

    let jobs: Vec<_> = REWRITTEN
        .iter()
        .map(|(file, _, digested, change)| (path(&format!("{file}.parquet")), digested, change))
        .collect();
    let jobs = serde_json::to_string(&jobs).expect("it is JSON");
    let reference = tapemill_tests::reference_folder();
    let reference = reference.to_str().expect("a plain path");
    Python::new().run(&["-c", REWRITE, reference, &jobs]);
    for (file, kind, ..) in REWRITTEN {
        planted.expect(&format!("{file}.parquet"), kind);
    }
    // The minutes say it of their hours too.
    planted.expect("aggtrades_1m/um/ETHUSDT/2024-02.parquet", "hours");

    // A bit in a page; a bit in the indexes behind the pages; an end; nothing; something else.
    let file = "aggtrades_1m/um/BTCUSDT/2024-01.parquet";
    let mut bytes = read(file);
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    write(file, &bytes);
    planted.expect(file, "content");
    let file = "klines_1m/um/SOLUSDT/2024-01.parquet";
    let mut bytes = read(file);
    let (from, to) = (b"\"duplicates\":0", b"\"duplicates\":7");
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.expect("the footer counts duplicates");
    bytes[at..at + to.len()].copy_from_slice(to);
    write(file, &bytes);
    planted.expect(file, "quality");
    // Its hours have the footer that it had.
    planted.expect("klines_1h_from_1m/um/SOLUSDT/2024-01.parquet", "lineage");
    let file = "aggtrades_1m/um/BTCUSDT/2024-02.parquet";
    let bytes = read(file);
    write(file, &bytes[..bytes.len() - 9]);
    planted.expect(file, "unreadable");
    let file = "klines_1m/um/BTCUSDT/2024-02.parquet";
    write(file, b"");
    planted.expect(file, "unreadable");
    let file = "mark_price_klines_1h/um/BTCUSDT/2024-02.parquet";
    write(file, b"<html>503</html>");
    planted.expect(file, "unreadable");
    let file = "mark_price_klines_1h/um/BTCUSDT/2024-03.parquet";
    let mut bytes = read(file);
    bytes.extend_from_slice(b"\0\0\0\0");
    write(file, &bytes);
    planted.expect(file, "unreadable");

    // Another symbol's file, another month's, one that is gone, one without its hours, a name that is none.
    let (here, there) = (
        "mark_price_klines_1h/um/SOLUSDT/2024-01.parquet",
        "mark_price_klines_1h/um/ADAUSDT/2024-01.parquet",
    );
    fs::copy(path(there), path(here)).expect("a copy");
    planted.expect(here, "symbol");
    let (here, there) = (
        "mark_price_klines_1h/um/SOLUSDT/2024-02.parquet",
        "mark_price_klines_1h/um/SOLUSDT/2024-03.parquet",
    );
    fs::copy(path(there), path(here)).expect("a copy");
    planted.expect(here, "period");
    let file = "klines_4h/um/XRPUSDT/2024-05-01.parquet";
    fs::remove_file(path(file)).expect("it was there");
    planted.expect(file, "gone");
    fs::remove_file(path("factors_1h/um/XRPUSDT/2024-03.parquet")).expect("it was there");
    planted.expect("aggtrades_1m/um/XRPUSDT/2024-03.parquet", "incomplete");
    let (here, there) = (
        "klines_4h/um/XRPUSDT/2024-1.parquet",
        "klines_4h/um/XRPUSDT/2024-01.parquet",
    );
    fs::copy(path(there), path(here)).expect("a copy");
    planted.expect(here, "foreign");

    // A table twice.
    let (here, there) = (
        "mark_price_klines_1h/market=um/symbol=XRPUSDT/period=2024-01.parquet",
        "mark_price_klines_1h/um/XRPUSDT/2024-01.parquet",
    );
    fs::create_dir_all(path(here).parent().expect("a folder")).expect("it can be made");
    fs::copy(path(there), path(here)).expect("a copy");
    planted.expect(here, "twice");

    // Sound tables of another archive of the same name, and of other settings.
    let other = Lab::new(BINARY);
    let spec = AggTradesSpec {
        seed: 9,
        first_id: 1_900,
        ..trades_of("ADAUSDT", "2024-02", 900)
    };
    other.mirror.lay(spec, &Packing::default());
    let spec = AggTradesSpec {
        first_id: 2_800,
        ..trades_of("ADAUSDT", "2024-03", 900)
    };
    other.mirror.lay(spec, &Packing::default());
    let trades = ["run", "-q", "--data", "aggTrades"];
    let february = [&trades[..], &["--months", "2024-02"]].concat();
    other.everything(&february).run().expect(0);
    let elsewhere = other.folder().join("settings");
    let march = [
        &trades[..],
        &[
            "--months",
            "2024-03",
            "--whale-quote",
            "700",
            "--symbols",
            "all",
        ],
    ]
    .concat();
    let march = other
        .command_at(&march, &elsewhere)
        .args(["--source", other.mirror.url()]);
    march.run().expect(0);
    for (from, month, kind) in [
        (other.output(), "2024-02", "receipt"),
        (elsewhere, "2024-03", "settings"),
    ] {
        for table in ["aggtrades_1m", "factors_1h"] {
            let file = format!("{table}/um/ADAUSDT/{month}.parquet");
            fs::copy(from.join(&file), path(&file)).expect("a copy");
        }
        planted.expect(&format!("aggtrades_1m/um/ADAUSDT/{month}.parquet"), kind);
    }
    planted
}

#[test]
fn nothing_is_found_in_a_sound_tree_and_every_planted_defect_in_another() {
    let lab = tree();
    let sound = hashes(&lab.output());
    let found = verify(&lab, 0);
    assert_eq!(found.len(), 204);
    let not_ok: Vec<_> = found
        .iter()
        .filter(|finding| finding["verdict"] != "ok")
        .collect();
    assert!(not_ok.is_empty(), "{not_ok:#?}");

    let planted = plant(&lab);

    assert!(planted.0.len() >= 20, "{}", planted.0.len());
    let found = verify(&lab, 4);
    let expected: BTreeSet<_> = planted
        .0
        .iter()
        .map(|(file, kind)| (file.clone(), (*kind).to_owned()))
        .collect();
    assert_eq!(defects(&found), expected);
    for finding in &found {
        let is_told = finding["verdict"] == "ok" || !text(finding, "reason").is_empty();
        assert!(is_told, "{finding}");
    }

    let fixed = lab
        .from_source(&["verify", "--json", "--fix", "--no-rest"])
        .run();
    let too_many: BTreeSet<_> = expected
        .into_iter()
        .filter(|(_, kind)| kind == "foreign" || kind == "twice")
        .collect();
    assert_eq!(too_many.len(), 2);
    assert_eq!(defects(&fixed.expect(4).json_lines()), too_many);
    for (file, _) in too_many {
        fs::remove_file(lab.output().join(file)).expect("it is still there");
    }
    assert_eq!(hashes(&lab.output()), sound);
    verify(&lab, 0);
}
