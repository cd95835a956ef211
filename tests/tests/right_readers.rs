//! The tables read with one ordinary call in the libraries people use, skip what is not asked for, and say where they
//! come from without saying where they were made.

use tapemill_standin::generate::{AggTradesSpec, KlinesSpec, Packing};
use tapemill_standin::{Interval, Market};
use tapemill_tests::{Lab, Python, hashes, judge, read_everything, reference_folder, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Two symbols, a month and a day, of every market and of minutes and hours.
fn lay_everything(lab: &Lab) {
    let root = lab.mirror.root();
    let packing = Packing::default();
    let markets = [
        (Market::Um, ["BTCUSDT", "ETHUSDT"]),
        (Market::Cm, ["BTCUSD_PERP", "ETHUSD_PERP"]),
        (Market::Spot, ["BTCUSDT", "ETHBTC"]),
    ];
    for (market, symbols) in markets {
        for (symbol, period) in symbols.into_iter().zip(["2024-01", "2024-02-01"]) {
            let period = period.parse().expect("it is a period");
            // Enough for a trade in most minutes of the one month that is asked for one day.
            let rows = if market == Market::Um { 250_000 } else { 2_000 };
            let trades = AggTradesSpec::new(market, symbol, period, rows);
            trades
                .write(root, &packing)
                .expect("the archive can be written");
            for interval in ["1m", "1h"] {
                let interval: Interval = interval.parse().expect("it is an interval");
                let klines = KlinesSpec::new(market, symbol, interval, period);
                klines
                    .write(root, &packing)
                    .expect("the archive can be written");
            }
        }
    }
}

fn run_everything(lab: &Lab, words: &[&str]) {
    for market in ["um", "cm", "spot"] {
        let data = "aggTrades,klines:1m,klines:1h";
        let words = [&["run", "--market", market, "--data", data], words].concat();
        lab.everything(&words).run().expect(0);
    }
}

#[test]
fn polars_duckdb_pandas_and_pyarrow_read_every_dataset_and_skip_what_a_day_does_not_need() {
    let lab = Lab::new(BINARY);
    lay_everything(&lab);
    run_everything(&lab, &[]);

    let told = read_everything(&lab.output());

    let datasets: Vec<_> = told.iter().map(|told| told["dataset"].as_str()).collect();
    let expected = [
        "aggtrades_1m",
        "factors_1h",
        "klines_1h",
        "klines_1h_from_1m",
        "klines_1m",
    ];
    assert_eq!(datasets, expected.map(Some));
    assert!(told.iter().all(|told| told["files"] == 6), "{told:?}");
    let days = |dataset: usize| told[dataset]["days"].as_array().map_or(0, Vec::len);
    // Months with most of their minutes filled are asked for one day.
    assert_eq!((days(0), days(4)), (1, 3), "{told:?}");
}

#[test]
fn the_hive_layout_reads_in_all_of_them_too() {
    let lab = Lab::new(BINARY);
    for (symbol, period) in [("BTCUSDT", "2024-01"), ("ETHUSDT", "2024-02-01")] {
        lab.mirror.trades(symbol, period, 3_000);
    }
    lab.everything(&["run", "--layout", "hive"]).run().expect(0);

    let told = read_everything(&lab.output());

    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| told["files"] == 2), "{told:?}");
}

#[test]
fn the_digest_of_a_table_is_that_of_its_rows_and_nothing_else() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 3_000);
    lab.mirror.klines("BTCUSDT", "2024-01");
    lab.everything(&["run"]).run().expect(0);
    // The reference works every digest out again.
    let judged = judge(lab.mirror.root(), &lab.output(), &[]);
    let digests: Vec<_> = judged
        .iter()
        .flat_map(|archive| archive.tables.values())
        .collect();
    assert_eq!(digests.len(), 4);

    // Another writer, other row groups and encodings, one value less: only the last changes the digest.
    let script = "import sys, pyarrow.parquet as pq\n\
        sys.path.insert(0, sys.argv[2])\n\
        from content import content\n\
        table = pq.read_table(sys.argv[1])\n\
        before = content(sys.argv[1])\n\
        pq.write_table(table, sys.argv[1], row_group_size=777, compression='snappy', use_dictionary=True)\n\
        same = content(sys.argv[1]) == before\n\
        pq.write_table(table.slice(1), sys.argv[1])\n\
        print(same, content(sys.argv[1]) == before)";
    let table = lab.output().join("aggtrades_1m/um/BTCUSDT/2024-01.parquet");
    let folder = reference_folder();
    let paths = [&table, &folder].map(|path| path.to_str().expect("a plain path"));
    let told = Python::new().run(&["-c", script, paths[0], paths[1]]);

    assert_eq!(told.trim(), "True False");
}

#[test]
fn nothing_of_the_machine_is_in_a_file() {
    let made = ["one", "another"].map(|folder| {
        let lab = Lab::new(BINARY);
        lab.mirror
            .lay(trades_of("BTCUSDT", "2024-01", 3_000), &Packing::default());
        lab.mirror.klines("BTCUSDT", "2024-02");
        let output = lab.folder().join(folder);
        let words = ["--name", "a-worker-of-ours"];
        lab.run_into(&output).args(words).run().expect(0);
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        let telling = [
            lab.mirror.url().trim_start_matches("http://").to_owned(),
            lab.folder().display().to_string(),
            lab.mirror.root().display().to_string(),
            "a-worker-of-ours".to_owned(),
            // Short host names stand in anything.
            format!("{:-<8}", host.trim()),
        ];
        let made = hashes(&output);
        for path in made.keys() {
            let bytes = std::fs::read(output.join(path)).expect("it was made");
            let found = telling
                .iter()
                .find(|text| contains(&bytes, text.as_bytes()));
            assert_eq!(found, None, "{path}");
        }
        made
    });

    assert_eq!(made[0].len(), 4);
    assert_eq!(made[0], made[1]);
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
