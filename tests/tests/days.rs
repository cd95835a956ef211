//! A month beside its days: where they disagree the better rows are kept, by evidence; holes are filled from what has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tapemill_lake::{Lake, LakePath, Lineage, read_lineage};
use tapemill_tests::{Lab, Python, Rest, hashes};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// What is done to archives of a month: days cut out of it as archives of their own, rows taken out or changed.
///
/// `days DAYS`, `lose KIND DAY EVERY` (every so many rows of a day go), `bend DAY` (closes of candles change), `keep DAYS`
/// (all other days go), and the same of a day's archive with its period before.
const SCRIPT: &str = r"
import datetime, glob, hashlib, os, sys, zipfile
root, period, job, *words = sys.argv[1:]
def read(path):
    with zipfile.ZipFile(path) as zip:
        name, = zip.namelist()
        rows = zip.read(name).decode().splitlines()
    head = [row for row in rows if not row[0].isdigit()]
    return head, [row.split(',') for row in rows if row[0].isdigit()]
def write(path, head, rows):
    name = os.path.basename(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as zip:
        zip.writestr(name[:-4] + '.csv', '\n'.join(head + [','.join(row) for row in rows]) + '\n')
    digest = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    open(path + '.CHECKSUM', 'w').write(f'{digest}  {name}\n')
def of_day(path, row, day):
    at = int(row[5 if 'aggTrades' in path else 0])
    return datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).date().isoformat() == day
cadence = 'daily' if len(period) == 10 else 'monthly'
for path in glob.glob(f'{root}/data/futures/um/{cadence}/*/*/**/*-{period}.zip', recursive=True):
    is_trades = 'aggTrades' in path
    head, rows = read(path)
    if job == 'days':
        for day in words:
            there = path.replace('/monthly/', '/daily/').replace(f'-{period}.zip', f'-{day}.zip')
            write(there, head, [row for row in rows if of_day(path, row, day)])
        continue
    if job == 'lose' and is_trades == (words[0] == 'trades'):
        day, every = words[1], int(words[2])
        rows = [row for n, row in enumerate(rows) if not of_day(path, row, day) or n % every]
    elif job == 'keep' and is_trades == (words[0] == 'trades'):
        rows = [row for row in rows if any(of_day(path, row, day) for day in words[1:])]
    elif job == 'bend' and not is_trades:
        rows = [row[:7] + [str(float(row[7]) + 1)] + row[8:] if n % 3 == 0 and of_day(path, row, words[0]) else row for n, row in enumerate(rows)]
    else:
        continue
    write(path, head, rows)
";

fn change(lab: &Lab, period: &str, words: &[&str]) {
    let root = lab.mirror.root().to_str().expect("a plain path");
    Python::new().run(&[&["-c", SCRIPT, root, period], words].concat());
}

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.tape("BTCUSDT", "2024-01", 60_000);
    lab
}

/// The month's archives out of sight, as long as there are only days.
fn hide_month(lab: &Lab) -> Vec<(PathBuf, PathBuf)> {
    let mut hidden = Vec::new();
    for (folder, name) in [
        ("aggTrades/BTCUSDT", "BTCUSDT-aggTrades-2024-01.zip"),
        ("klines/BTCUSDT/1m", "BTCUSDT-1m-2024-01.zip"),
    ] {
        let folder = lab
            .mirror
            .root()
            .join("data/futures/um/monthly")
            .join(folder);
        for suffix in ["", ".CHECKSUM"] {
            let path = folder.join(format!("{name}{suffix}"));
            let aside = lab.folder().join(format!("{name}{suffix}"));
            fs::rename(&path, &aside).expect("it is there");
            hidden.push((path, aside));
        }
    }
    hidden
}

fn show(hidden: Vec<(PathBuf, PathBuf)>) {
    for (path, aside) in hidden {
        fs::rename(aside, path).expect("it is aside");
    }
}

#[track_caller]
fn run(lab: &Lab, words: &[&str]) {
    let words = [&["run", "-q"], words].concat();
    lab.everything(&words).run().expect(0);
}

/// What each table says of itself.
fn tables(lab: &Lab) -> BTreeMap<String, Lineage> {
    let lake = Lake::local(lab.output());
    let names = hashes(&lab.output()).into_keys();
    let read = |name: String| {
        let path = LakePath::parse(&name).expect("it is a path");
        let lineage = read_lineage(&lake, &path).expect("it can be read");
        (name, lineage)
    };
    names.map(read).collect()
}

fn contents(lab: &Lab) -> BTreeMap<String, String> {
    let tables = tables(lab).into_iter();
    tables
        .map(|(name, lineage)| (name, lineage.content))
        .collect()
}

fn keys(lineage: &Lineage) -> Vec<String> {
    let sources = lineage.sources.iter();
    sources.map(|source| source.key.clone()).collect()
}

fn ledger(lab: &Lab) -> Vec<Value> {
    let disputes = Lake::local(lab.output())
        .disputes()
        .expect("it can be read");
    let value = |dispute| serde_json::to_value(dispute).expect("it is JSON");
    disputes.iter().map(value).collect()
}

#[track_caller]
fn verify(lab: &Lab, words: &[&str], code: i32) -> BTreeMap<String, (String, String)> {
    let words = [&["verify", "--json"], words].concat();
    let lines = lab.command(&words).run().expect(code).json_lines();
    let text = |line: &Value, name: &str| line[name].as_str().expect("a text").to_owned();
    lines
        .iter()
        .map(|line| {
            let told = format!("{} {}", text(line, "verdict"), text(line, "kind"));
            (text(line, "file"), (told, text(line, "reason")))
        })
        .collect()
}

const MINUTES: &str = "aggtrades_1m/um/BTCUSDT/2024-01.parquet";
const KLINES: &str = "klines_1m/um/BTCUSDT/2024-01.parquet";
const DAY_KEY: &str = "data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-05.zip";
const MONTH_KEY: &str = "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip";

#[test]
fn a_month_that_lost_rows_takes_the_day_that_has_them() {
    let lab = lab();
    change(&lab, "2024-01", &["days", "2024-01-05", "2024-01-06"]);
    run(&lab, &["--months", "2024-01"]);
    let sound = contents(&lab);
    fs::remove_dir_all(lab.output()).expect("it was there");
    let hidden = hide_month(&lab);
    run(&lab, &[]);
    assert_eq!(hashes(&lab.output()).len(), 8, "two days");
    show(hidden);
    change(&lab, "2024-01", &["lose", "trades", "2024-01-05", "3"]);

    run(&lab, &[]);

    // The rows are those of a month that lost nothing.
    assert_eq!(contents(&lab), sound);
    let made = tables(&lab);
    for table in [MINUTES, "factors_1h/um/BTCUSDT/2024-01.parquet"] {
        assert_eq!(keys(&made[table]), [MONTH_KEY, DAY_KEY]);
        assert_eq!(made[table].quality["missing_ids"], 0);
    }
    assert_eq!(made[KLINES].sources.len(), 1);
    let disputes = ledger(&lab);
    assert_eq!(disputes.len(), 1, "{disputes:?}");
    assert_eq!(
        (&disputes[0]["day"], &disputes[0]["kept"]),
        (&"2024-01-05".into(), &"day".into())
    );
    assert_eq!(disputes[0]["by"][0]["key"], DAY_KEY);
    let (told, why) = &verify(&lab, &[], 0)[MINUTES];
    assert_eq!(told, "note days");
    assert!(
        why.contains("the day's were kept") && why.contains(DAY_KEY),
        "{why}"
    );

    // Nobody has to have the days at hand to make the same of it again: whatever is done, the bytes are the same.
    let bytes = hashes(&lab.output());
    run(&lab, &["--force"]);
    assert_eq!(hashes(&lab.output()), bytes);
    fs::remove_file(lab.output().join("queue.db")).expect("it was there");
    lab.mirror.clear_log();
    run(&lab, &[]);
    assert_eq!(
        lab.mirror.zips_asked_for(),
        [""; 0],
        "what is there is current"
    );
    assert_eq!(hashes(&lab.output()), bytes);
}

#[test]
fn a_day_that_lost_rows_gives_way_to_its_month() {
    let lab = lab();
    change(&lab, "2024-01", &["days", "2024-01-05"]);
    run(&lab, &["--months", "2024-01"]);
    let sound = hashes(&lab.output());
    fs::remove_dir_all(lab.output()).expect("it was there");
    change(&lab, "2024-01-05", &["lose", "trades", "2024-01-05", "3"]);
    let hidden = hide_month(&lab);
    run(&lab, &[]);
    show(hidden);

    run(&lab, &[]);

    assert_eq!(hashes(&lab.output()), sound);
    let disputes = ledger(&lab);
    assert_eq!((disputes.len(), &disputes[0]["kept"]), (1, &"month".into()));
    assert_eq!(
        disputes[0]["why"],
        "the month's ids go on, and the day's do not"
    );
    let (told, why) = &verify(&lab, &[], 0)[MINUTES];
    assert_eq!(told, "note days");
    assert!(why.contains("the month's were kept"), "{why}");
}

#[test]
fn klines_that_the_trades_agree_with_are_kept() {
    for (bent, kept) in [("2024-01", "day"), ("2024-01-05", "month")] {
        let lab = lab();
        change(&lab, "2024-01", &["days", "2024-01-05"]);
        run(&lab, &["--months", "2024-01"]);
        let sound = contents(&lab);
        fs::remove_dir_all(lab.output()).expect("it was there");
        change(&lab, bent, &["bend", "2024-01-05"]);
        let hidden = hide_month(&lab);
        run(&lab, &[]);
        show(hidden);
        // The trades of the month first: they are what the klines are held against.
        run(&lab, &["--data", "aggTrades"]);

        run(&lab, &["--data", "klines:1m"]);

        assert_eq!(contents(&lab), sound, "{bent}");
        let disputes = ledger(&lab);
        assert_eq!((disputes.len(), &disputes[0]["kept"]), (1, &kept.into()));
        let why = disputes[0]["why"].as_str().expect("a text");
        assert!(why.contains("agree with the trades"), "{why}");
    }
}

#[test]
fn holes_of_a_month_are_filled_from_its_days() {
    let lab = lab();
    let days: Vec<String> = (1..=31).map(|day| format!("2024-01-{day:02}")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    run(&lab, &[]);
    let sound = contents(&lab);
    fs::remove_dir_all(lab.output()).expect("it was there");
    change(&lab, "2024-01", &[&["days"][..], &days[3..6]].concat());
    // Ids that lack, and bars.
    change(&lab, "2024-01", &["lose", "trades", "2024-01-05", "4"]);
    change(&lab, "2024-01", &["lose", "klines", "2024-01-05", "5"]);
    run(&lab, &["--months", "2024-01"]);
    assert_ne!(contents(&lab), sound);
    let found = verify(&lab, &["--gap-minutes", "1"], 0);
    assert_eq!(found[MINUTES].0, "note klines");
    assert!(
        found[MINUTES].1.contains("the archive lost rows"),
        "{}",
        found[MINUTES].1
    );
    assert_eq!(found[KLINES].0, "note loss");

    let fix = [
        "verify",
        "--json",
        "--fix",
        "--no-rest",
        "--gap-minutes",
        "1",
    ];
    // Nothing is filled that is not to be.
    lab.from_source(&fix)
        .args(["--max-gap-days", "0"])
        .run()
        .expect(0);
    assert_ne!(contents(&lab), sound);
    let fixed = lab.from_source(&fix).run().expect(0).json_lines();

    assert_eq!(contents(&lab), sound);
    let made = tables(&lab);
    for table in [MINUTES, KLINES] {
        assert_eq!(made[table].sources.len(), 2, "{table}");
        assert!(keys(&made[table])[1].ends_with("-2024-01-05.zip"));
        let told = fixed
            .iter()
            .find(|line| line["file"] == table)
            .expect("it is told");
        let why = told["reason"].as_str().expect("a text");
        assert!(why.starts_with("filled; it was "), "{why}");
        assert!(why.contains("parts of it are of"), "{why}");
    }
    // All is well from here on.
    let after = verify(&lab, &["--gap-minutes", "1"], 0);
    assert_eq!(after[MINUTES].0, "note days");
    let asked = hashes(&lab.output());
    lab.from_source(&fix).run().expect(0);
    assert_eq!(hashes(&lab.output()), asked);
}

#[test]
fn holes_of_a_day_are_filled_from_the_exchange() {
    let lab = Lab::new(BINARY);
    let rest = Rest::new(&["BTCUSDT"], 1_600_000_000_000);
    let day = "2024-01-05";
    // The exchange's own rows, as an archive that lacks some.
    let words = [
        "update",
        "-q",
        "--data",
        "klines:1h",
        "--symbols",
        "BTCUSDT",
        "--rest-only",
    ];
    let range = ["--start", day, "--end", day, "--rest", rest.url()];
    lab.mirror.klines("BTCUSDT", "2023-12-01");
    lab.from_source(&[&words[..], &range].concat())
        .run()
        .expect(0);
    let table = format!("klines_1h/um/BTCUSDT/{day}.parquet");
    let whole = contents(&lab)[&table].clone();
    let path = lab.output().join(&table);
    let script = "import sys, pyarrow.parquet as pq, os, zipfile, pyarrow as pa\n\
        table = pq.read_table(sys.argv[1], partitioning=None)\n\
        rows = table.drop_columns(['symbol']).to_pylist()\n\
        ms = lambda time: str(int(time.timestamp() * 1000 + 0.5))\n\
        text = lambda row: ','.join(ms(cell) if name.endswith('time') else str(cell) for name, cell in row.items()) + ',0'\n\
        folder = os.path.join(sys.argv[2], 'data/futures/um/daily/klines/BTCUSDT/1h')\n\
        os.makedirs(folder)\n\
        with zipfile.ZipFile(folder + f'/BTCUSDT-1h-{sys.argv[3]}.zip', 'w') as zip:\n\
        \x20   zip.writestr(f'BTCUSDT-1h-{sys.argv[3]}.csv', '\\n'.join(text(row) for n, row in enumerate(rows) if n not in (3, 4, 9)) + '\\n')\n";
    let text = |path: &std::path::Path| path.to_str().expect("a plain path").to_owned();
    Python::new().run(&["-c", script, &text(&path), &text(lab.mirror.root()), day]);
    fs::remove_dir_all(lab.output()).expect("it was there");
    run(&lab, &["--data", "klines:1h"]);
    assert_ne!(contents(&lab)[&table], whole);

    let fix = ["verify", "--json", "--fix", "--rest", rest.url()];
    lab.from_source(&fix).run().expect(0);

    assert_eq!(contents(&lab)[&table], whole);
    let made = &tables(&lab)[&table];
    let keys = keys(made);
    assert_eq!(keys.len(), 2);
    assert!(
        keys[0].ends_with(".zip") && keys[1].starts_with("rest/fapi/v1/klines?"),
        "{keys:?}"
    );
    assert_eq!(made.quality["missing_bars"], 0);
    let (told, why) = &verify(&lab, &[], 0)[&table];
    assert_eq!(told, "note parts");
    assert!(why.contains("rest/fapi/v1/klines?"), "{why}");
}
