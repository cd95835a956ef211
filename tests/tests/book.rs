//! `book`: the books of captures at fixed times, never later than they were, and as events that hftbacktest reads.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tapemill_market::Market;
use tapemill_tests::{
    BookRow, Finished, Python, Recording, Tapemill, parts, real_data, reference_folder,
};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The recordings with a snapshot: file, market, symbol, tick size, lot size.
const RECORDINGS: [(&str, Market, &str, &str, &str); 5] = [
    (
        "hftbacktest-cm/btcusd_perp_20240808.gz",
        Market::Cm,
        "BTCUSD_PERP",
        "0.1",
        "1",
    ),
    (
        "hftbacktest-spot/btcusdt_20240808.gz",
        Market::Spot,
        "BTCUSDT",
        "0.01",
        "0.00001",
    ),
    (
        "hftbacktest-usdm/btcusdt_20230404.dat.gz",
        Market::Um,
        "BTCUSDT",
        "0.1",
        "0.001",
    ),
    (
        "hftbacktest-usdm/btcusdt_20240718.gz",
        Market::Um,
        "BTCUSDT",
        "0.1",
        "0.001",
    ),
    (
        "hftbacktest-usdm/ethusdt_20240718.gz",
        Market::Um,
        "ETHUSDT",
        "0.01",
        "0.001",
    ),
];

fn recording(at: usize) -> Option<Recording> {
    let (file, market, symbol, ..) = RECORDINGS[at];
    let folder = real_data()?.join("recordings");
    Some(Recording::lines(&folder.join(file), market, symbol))
}

fn command(output: &Path, market: Market, more: &[&str]) -> Tapemill {
    let words = ["book", "--market", market.as_str(), "--output"];
    let command = Tapemill::new(BINARY).args(words).args([output]);
    command.args(more)
}

fn book(output: &Path, market: Market, more: &[&str]) -> Finished {
    command(output, market, more).run()
}

/// The files of a table, in order of days.
fn tables(output: &Path, table: &str, market: Market, symbol: &str) -> Vec<PathBuf> {
    let folder = output.join(table).join(market.as_str()).join(symbol);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("there are tables")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .collect();
    files.sort();
    files
}

fn batches(file: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(file).expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("Parquet")
        .build();
    reader
        .expect("Parquet")
        .map(|batch| batch.expect("rows"))
        .collect()
}

/// Time and all numbers of each row, of a table or of the one file.
fn rows(files: &[PathBuf]) -> Vec<(i64, Vec<Option<f64>>)> {
    let mut rows = Vec::new();
    for batch in files.iter().flat_map(|file| batches(file)) {
        let times = batch.column_by_name("timestamp").expect("a time");
        let times: Vec<i64> = match times.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => times.values().iter().map(|us| us / 1000).collect(),
            None => times.as_primitive::<Int64Type>().values().to_vec(),
        };
        let numbers: Vec<_> = batch.columns()[2..]
            .iter()
            .map(|column| column.as_primitive::<Float64Type>())
            .collect();
        for (row, time) in times.into_iter().enumerate() {
            let value = |column: &&arrow_array::Float64Array| {
                column.is_valid(row).then(|| column.value(row))
            };
            rows.push((time, numbers.iter().map(value).collect()));
        }
    }
    rows
}

/// What a row must hold, reckoned from its levels.
fn expected(series: &[BookRow]) -> Vec<(i64, Vec<Option<f64>>)> {
    let row = |(time, bids, asks): &BookRow| {
        let best = |side: &[Option<(f64, f64)>]| side[0];
        let quantity = |level: Option<(f64, f64)>| Some(level.map_or(0.0, |level| level.1));
        let volume =
            |side: &[Option<(f64, f64)>]| side.iter().flatten().map(|level| level.1).sum::<f64>();
        let (bid, ask) = (best(bids), best(asks));
        let both = bid.zip(ask).map(|(bid, ask)| (bid.0, ask.0));
        let (buying, selling) = (volume(bids), volume(asks));
        let mut numbers = vec![
            bid.map(|level| level.0),
            quantity(bid),
            ask.map(|level| level.0),
            quantity(ask),
            both.map(|(bid, ask)| ask - bid),
            both.map(|(bid, ask)| (bid + ask) / 2.0),
            Some(buying),
            Some(selling),
            Some((buying - selling) / (buying + selling)),
        ];
        for (bid, ask) in bids.iter().zip(asks) {
            numbers.extend([
                bid.map(|level| level.0),
                quantity(*bid),
                ask.map(|level| level.0),
                quantity(*ask),
            ]);
        }
        (*time, numbers)
    };
    series.iter().map(row).collect()
}

#[track_caller]
fn compare(found: &[(i64, Vec<Option<f64>>)], series: &[BookRow]) {
    let expected = expected(series);
    let times = |rows: &[(i64, Vec<Option<f64>>)]| rows.iter().map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(times(found), times(&expected));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn every_recorded_book_comes_back_from_its_capture() {
    for (at, (file, market, symbol, ..)) in RECORDINGS.into_iter().enumerate() {
        let Some(recording) = recording(at) else {
            return;
        };
        let output = tempfile::tempdir().unwrap();
        recording.write_books(output.path(), "0123", 5000);

        let done = book(output.path(), market, &["--symbols", symbol, "--json"]).expect(0);

        let found = rows(&tables(output.path(), "book_top25_100ms", market, symbol));
        assert!(found.len() > 900, "{file}");
        compare(&found, &recording.series(symbol, 25, 100));
        let told = done.json_lines();
        // Some of them go over midnight.
        let sum = |key: &str| {
            told.iter()
                .map(|day| day[key].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(sum("rows"), found.len() as u64, "{file}");
        assert_eq!((sum("holes"), sum("resyncs")), (0, 1), "{file}");
    }
}

#[test]
fn json_lines_and_a_capture_cut_otherwise_hold_the_same_book() {
    let Some(recording) = recording(3) else {
        return;
    };
    let [whole, small, lines] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    recording.write_books(whole.path(), "0123", 3_600_000);
    recording.write_books(small.path(), "4567", 700);
    recording.write_json_books(lines.path());
    // What a dead process left of its last line is no row.
    let file = fs::read_dir(lines.path().join("orderbook/date=2024-07-18"))
        .unwrap()
        .next();
    let file = file.unwrap().unwrap().path();
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"event_type\": \"depthUp");
    fs::write(&file, text).unwrap();

    for output in [&whole, &small, &lines] {
        let more = [
            "--symbol",
            "BTCUSDT",
            "--top-levels",
            "20",
            "--frequency-ms",
            "250",
        ];
        book(output.path(), Market::Um, &more).expect(0);

        let files = tables(output.path(), "book_top20_250ms", Market::Um, "BTCUSDT");
        compare(&rows(&files), &recording.series("BTCUSDT", 20, 250));
    }
}

#[test]
fn captures_of_the_older_collector_are_read() {
    let Some(recording) = recording(3) else {
        return;
    };
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    recording.write_books(ours.path(), "0123", 30_000);
    let script = reference_folder().join("older_capture.py");
    let folders = [ours.path(), theirs.path()].map(|output| output.join("orderbook"));
    let paths = [&script, &folders[0], &folders[1]].map(|path| path.to_str().unwrap());
    Python::new().run(&paths);

    for symbols in ["BTCUSDT", "all"] {
        book(theirs.path(), Market::Um, &["--symbols", symbols]).expect(0);

        let files = tables(theirs.path(), "book_top25_100ms", Market::Um, "BTCUSDT");
        compare(&rows(&files), &recording.series("BTCUSDT", 25, 100));
    }
}

#[test]
fn days_are_made_apart_and_fit_together() {
    let Some(mut recording) = recording(0) else {
        return;
    };
    // Midnight in the middle; the local clock is more than a second behind.
    let rows_of_it = &recording.depth;
    let middle = rows_of_it[rows_of_it.len() / 2].event_ms;
    recording.shift(1_735_689_600_000 - middle);
    let output = tempfile::tempdir().unwrap();
    recording.write_books(output.path(), "0123", 5000);

    book(
        output.path(),
        Market::Cm,
        &["--symbols", "all", "--workers", "2"],
    )
    .expect(0);

    let symbol = "BTCUSD_PERP";
    let files = tables(output.path(), "book_top25_100ms", Market::Cm, symbol);
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["2024-12-31.parquet", "2025-01-01.parquet"]);
    let series = recording.series(symbol, 25, 100);
    compare(&rows(&files), &series);
    // A day that is made alone is the same file.
    let verify = Tapemill::new(BINARY).args(["verify", "--output"]);
    let verified = verify.args([output.path()]).run().expect(0);
    assert!(
        verified.stderr.contains("2 tables: 2 ok"),
        "{}",
        verified.stderr
    );
    let before = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    let more = [
        "--symbols",
        symbol,
        "--start",
        "2025-01-01",
        "--end",
        "2025-01-01",
    ];
    book(output.path(), Market::Cm, &more).expect(0);
    assert_eq!(fs::read(&files[1]).unwrap(), before);
}

#[test]
fn a_capture_of_two_symbols_and_two_sessions_is_one() {
    let (Some(mut recording), Some(other)) = (recording(3), recording(4)) else {
        return;
    };
    recording.depth.extend(other.depth);
    recording.depth.sort_by_key(|row| row.received_ns);
    let output = tempfile::tempdir().unwrap();
    // The second session has the smaller name, took over with a clock that is an hour behind, and some rows twice.
    let half = recording.depth.len() / 2;
    let [mut first, mut second] = [recording.clone(), recording.clone()];
    first.depth.truncate(half + 100);
    second.depth.drain(..half);
    for row in &mut second.depth {
        row.received_ns -= 3_600_000_000_000;
    }
    first.write_books(output.path(), "ffff", 5000);
    second.write_books(output.path(), "0000", 5000);
    let file = output.path().join("all.parquet");

    let all = command(output.path(), Market::Um, &["--symbols", "all", "--merged"]);
    let done = all.args([&file]).args(["--json"]).run().expect(0);

    let told = done.json_lines();
    let sum = |key: &str| {
        told.iter()
            .map(|day| day[key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("holes"), sum("ignored")), (0, 100));
    let mut merged = Vec::new();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let files = tables(output.path(), "book_top25_100ms", Market::Um, symbol);
        let series = recording.series(symbol, 25, 100);
        compare(&rows(&files), &series);
        merged.extend(series);
    }
    compare(&rows(&[file]), &merged);
}

#[test]
fn there_is_no_row_in_a_hole() {
    let Some(mut recording) = recording(4) else {
        return;
    };
    let symbol = "ETHUSDT";
    // The book as it was later on, as a snapshot that was asked for after the hole.
    let depth = &recording.depth;
    let (lost, asked) = (1000..1200, 1500);
    let mut snapshot = depth.iter().find(|row| row.is_snapshot).unwrap().clone();
    (snapshot.bids, snapshot.asks) = recording.state(symbol, depth[asked].last);
    (snapshot.first, snapshot.last) = (depth[asked].last, depth[asked].last);
    snapshot.received_ns = depth[asked + 40].received_ns;
    recording.depth.insert(asked + 41, snapshot);
    recording.depth.drain(lost.clone());
    let output = tempfile::tempdir().unwrap();
    recording.write_books(output.path(), "0123", 5000);

    let done = book(output.path(), Market::Um, &["--symbols", symbol, "--json"]).expect(0);

    let series = recording.series(symbol, 25, 100);
    let found = rows(&tables(
        output.path(),
        "book_top25_100ms",
        Market::Um,
        symbol,
    ));
    compare(&found, &series);
    let last = recording.depth[lost.start - 1].event_ms;
    let next = recording.depth[lost.start + asked - lost.end].event_ms;
    assert!(next - last > 5000);
    assert!(!found.iter().any(|(time, _)| *time > last && *time < next));
    assert!(found.iter().any(|(time, _)| *time >= next));
    let told = done.json_lines();
    assert_eq!(
        (&told[0]["holes"], &told[0]["resyncs"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn the_one_file_has_the_columns_of_the_older_collector() {
    let Some(recording) = recording(3) else {
        return;
    };
    let output = tempfile::tempdir().unwrap();
    recording.write_books(output.path(), "0123", 5000);
    let file = output.path().join("orderbook_top20_250ms.parquet");
    let more = [
        "--symbols",
        "BTCUSDT",
        "--levels",
        "20",
        "--step",
        "250ms",
        "--merged",
    ];

    command(output.path(), Market::Um, &more)
        .args([&file])
        .run()
        .expect(0);

    let script = reference_folder().join("book_series.py");
    let arguments = [&script, &file].map(|path: &PathBuf| path.to_str().unwrap());
    let told: Value = serde_json::from_str(&Python::new().run(&arguments)).unwrap();
    let series = recording.series("BTCUSDT", 20, 250);
    assert_eq!(told["rows"], series.len());
    compare(&rows(&[file]), &series);
}

#[test]
fn hftbacktest_sees_the_same_depth() {
    for at in [0, 1, 3] {
        let Some(recording) = recording(at) else {
            return;
        };
        let (_, market, symbol, tick, lot) = RECORDINGS[at];
        let output = tempfile::tempdir().unwrap();
        recording.write_books(output.path(), "0123", 5000);
        recording.write_deals(output.path(), "0123", 5000);
        let to = output.path().join("events");
        let more = [
            "--symbols",
            symbol,
            "--levels",
            "1",
            "--trades",
            "raw_trades",
            "--hftbacktest",
        ];

        let done = command(output.path(), market, &more)
            .args([&to])
            .args(["--json"])
            .run()
            .expect(0);

        let told = done.json_lines();
        let file = to.join(told[0]["hftbacktest"].as_str().unwrap());
        let books = recording.books(symbol, 25).concat();
        let day_ms = 86_400_000;
        // The first file ends at midnight.
        let end_ms = (books[0].0 / day_ms + 1) * day_ms;
        let delay = delay(&recording, books[0].0..end_ms);
        let depth: Vec<_> = recording
            .depth
            .iter()
            .filter(|row| !row.is_snapshot)
            .collect();
        let mut wanted = Vec::new();
        for (index, row) in depth.iter().enumerate().rev().step_by(40) {
            let next = depth
                .get(index + 1)
                .map_or(i64::MAX, |next| next.received_ns);
            // Several of one time are one to it; and those before the snapshot came are nothing.
            let book = books.iter().rev().find(|book| book.0 == row.event_ms);
            if let Some(book) = book.filter(|_| next > row.received_ns)
                && is_last_of_time(&depth, index)
                && index > 100
                && row.event_ms < end_ms
            {
                wanted.push((row.received_ns + delay, book));
            }
        }
        wanted.reverse();
        assert!(wanted.len() > 50, "{symbol} {}", wanted.len());
        let times: String = wanted.iter().map(|(time, _)| format!("{time}\n")).collect();
        let found = depths(&file, tick, lot, &times);
        assert_eq!(found.len(), wanted.len());
        for (found, (time, book)) in found.iter().zip(wanted) {
            for (side, levels) in [(0, &book.1), (1, &book.2)] {
                let found = found[side].as_array().unwrap();
                assert_eq!(
                    found.len(),
                    levels.iter().flatten().count(),
                    "{symbol} at {time}"
                );
                for (found, level) in found.iter().zip(levels.iter().flatten()) {
                    let close = (found[0].as_f64().unwrap() - level.0).abs() < 1e-6;
                    assert!(
                        close && found[1] == level.1,
                        "{symbol} at {time}: {found} {level:?}"
                    );
                }
            }
        }
    }
}

/// Whether no other update has the same event time: the books above are known by it.
fn is_last_of_time(depth: &[&tapemill_tests::Depth], at: usize) -> bool {
    let time = depth[at].event_ms;
    depth.get(at + 1).is_none_or(|next| next.event_ms != time)
}

/// How far local times are moved so that nothing comes before it happened.
fn delay(recording: &Recording, range_ms: Range<i64>) -> i64 {
    let depth = recording
        .depth
        .iter()
        .filter(|row| !row.is_snapshot && range_ms.contains(&row.event_ms));
    let depth =
        depth.map(|row| row.received_ns - row.transaction_ms.unwrap_or(row.event_ms) * 1_000_000);
    let deals = recording
        .deals
        .iter()
        .filter(|row| row.trade_ms < range_ms.end)
        .map(|row| row.received_ns - row.trade_ms * 1_000_000);
    let least = depth.chain(deals).min().unwrap();
    -least.min(0)
}

fn depths(file: &Path, tick: &str, lot: &str, times: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("times");
    fs::write(&asked, times).unwrap();
    let script = reference_folder().join("hftbacktest_depth.py");
    let paths = [&script, file, &asked].map(|path: &Path| path.to_str().unwrap());
    let told = Python::with_hftbacktest().run(&[paths[0], paths[1], tick, lot, "25", paths[2]]);
    told.lines()
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect()
}

#[test]
fn a_broken_capture_is_named() {
    let Some(recording) = recording(3) else {
        return;
    };
    let output = tempfile::tempdir().unwrap();
    recording.write_books(output.path(), "0123", 30_000);
    let folder = output.path().join("orderbook/date=2024-07-18");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let whole = fs::read(&files[2]).unwrap();
    let name = files[2].file_name().unwrap().to_str().unwrap();
    let mut damaged = whole.clone();
    let half = whole.len() / 2;
    damaged[half - 2000..half].fill(0x5a);
    for bytes in [&whole[..half], &b"rows"[..], &[], &damaged] {
        fs::write(&files[2], bytes).unwrap();

        let failed = book(output.path(), Market::Um, &["--symbols", "BTCUSDT"]).expect(1);

        assert!(failed.stderr.contains(name), "{}", failed.stderr);
        assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
        assert!(
            !output
                .path()
                .join("book_top25_100ms/um/BTCUSDT/2024-07-18.parquet")
                .exists()
        );
    }
}

#[test]
fn a_line_that_is_no_row_is_named() {
    let Some(recording) = recording(3) else {
        return;
    };
    let output = tempfile::tempdir().unwrap();
    recording.write_json_books(output.path());
    let file = output
        .path()
        .join("orderbook/date=2024-07-18/orderbook_20240718.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    for line in [
        "",
        "{}",
        "nothing",
        &lines[6][..300],
        &lines[6].replacen("\"price\":", "\"price\":-", 1),
    ] {
        let mut broken = lines.clone();
        broken[6] = line;
        fs::write(&file, broken.join("\n") + "\n").unwrap();

        let failed = book(output.path(), Market::Um, &["--symbols", "BTCUSDT"]).expect(1);

        let said = &failed.stderr;
        assert!(said.contains("orderbook_20240718.jsonl"), "{said}");
        assert!(said.contains("line 7: "), "{said}");
    }
}

#[test]
fn a_kill_leaves_no_part_of_a_file() {
    let Some(recording) = recording(0) else {
        return;
    };
    let symbol = "BTCUSD_PERP";
    let output = tempfile::tempdir().unwrap();
    recording.write_books(output.path(), "0123", 5000);
    let more = ["--symbols", symbol, "--step", "1ms"];
    let table = output.path().join("book_top25_1ms/cm").join(symbol);
    for wait in [30, 100, 200, 400, 800] {
        let running = command(output.path(), Market::Cm, &more).spawn();
        std::thread::sleep(Duration::from_millis(wait));
        drop(running);
        let Ok(entries) = fs::read_dir(&table) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "parquet") {
                // It was done before the kill: whole.
                assert!(!rows(&[path]).is_empty());
            }
        }
    }

    book(output.path(), Market::Cm, &more).expect(0);

    compare(
        &rows(&tables(output.path(), "book_top25_1ms", Market::Cm, symbol)),
        &recording.series(symbol, 25, 1),
    );
    Tapemill::new(BINARY)
        .args(["cleanup", "--output"])
        .args([output.path()])
        .run()
        .expect(0);
    assert!(parts(output.path()).is_empty());
}

#[test]
fn what_cannot_be_made_is_said() {
    let output = tempfile::tempdir().unwrap();

    let nothing = book(output.path(), Market::Um, &["--symbols", "BTCUSDT"]).expect(1);
    assert!(
        nothing.stderr.contains("tapemill live makes them"),
        "{}",
        nothing.stderr
    );

    for (more, said) in [
        (
            &["--symbols", "BTCUSDT", "--step", "0s"][..],
            "between 1ms and 1d",
        ),
        (&["--symbols", "BTCUSDT", "--levels", "0"], "--levels"),
        (
            &["--symbols", "BTCUSDT", "--merged", "/tmp"],
            "it is a folder",
        ),
        (
            &[
                "--symbols",
                "BTCUSDT",
                "--step",
                "1s",
                "--frequency-ms",
                "5",
            ],
            "cannot be used with",
        ),
        (&[], "--symbols"),
    ] {
        let refused = book(output.path(), Market::Um, more).expect(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }

    let Some(folder) = real_data() else { return };
    let file = folder.join("recordings/hftbacktest-spot/btcusdt_20230405.dat.gz");
    let recording = Recording::lines(&file, Market::Spot, "BTCUSDT");
    recording.write_books(output.path(), "0123", 5000);
    let done = book(output.path(), Market::Spot, &["--symbols", "BTCUSDT"]).expect(0);
    assert!(
        done.stdout.contains("for want of a snapshot"),
        "{}",
        done.stdout
    );
    let none = book(output.path(), Market::Spot, &["--symbols", "ETHUSDT"]).expect(1);
    assert!(
        none.stderr.contains("no order book of ETHUSDT"),
        "{}",
        none.stderr
    );
}
