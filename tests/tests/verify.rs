//! `verify`: finds what is wrong in an output, names it, and finds nothing in a sound one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tapemill_lake::{Lake, LakePath, read_lineage};
use tapemill_standin::generate::AggTradesSpec;
use tapemill_tests::{Lab, Python, hashes, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Two symbols, two months and a day, trades and minutes.
fn milled() -> Lab {
    let lab = Lab::new(BINARY);
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        for period in ["2024-01", "2024-02", "2024-03-01"] {
            lab.mirror.tape(symbol, period, 2_000);
        }
    }
    lab.everything(&["run"]).run().expect(0);
    lab
}

#[track_caller]
fn verify(lab: &Lab, words: &[&str], code: i32) -> Vec<Value> {
    let words = [&["verify", "--json"], words].concat();
    lab.command(&words).run().expect(code).json_lines()
}

/// The files that are not ok, with verdict and kind.
fn told(found: &[Value]) -> Vec<String> {
    let of = |finding: &Value, name: &str| finding[name].as_str().expect("a text").to_owned();
    let wrong = found.iter().filter(|finding| finding["verdict"] != "ok");
    wrong
        .map(|finding| {
            format!(
                "{} {} {}",
                of(finding, "verdict"),
                of(finding, "file"),
                of(finding, "kind")
            )
        })
        .collect()
}

fn file(lab: &Lab, path: &str) -> PathBuf {
    lab.output().join(path)
}

/// Writes a table anew as a script makes it of the old one, with the old footer or another.
fn rewrite(path: &Path, change: &str) {
    let script = format!(
        "import sys, json\n\
         import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq\n\
         sys.path.insert(0, sys.argv[2])\n\
         from content import content\n\
         path = sys.argv[1]\n\
         table = pq.read_table(path, partitioning=None)\n\
         footer = {{key: value for key, value in pq.read_metadata(path).metadata.items() if key.startswith(b'tapemill')}}\n\
         def row(name, at, value):\n\
         \x20   cells = table.column(name).to_pylist()\n\
         \x20   cells[at] = value\n\
         \x20   return table.set_column(table.column_names.index(name), table.schema.field(name), pa.array(cells, table.schema.field(name).type))\n\
         def write(table, digested=True):\n\
         \x20   pq.write_table(table.replace_schema_metadata(footer), path, compression='zstd')\n\
         \x20   if digested:\n\
         \x20       footer[b'tapemill.content'] = content(path).encode()\n\
         \x20       pq.write_table(table.replace_schema_metadata(footer), path, compression='zstd')\n\
         {change}"
    );
    let reference = tapemill_tests::reference_folder();
    let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
    Python::new().run(&["-c", &script, &text(path), &text(&reference)]);
}

#[test]
fn a_sound_output_has_nothing_but_ok() {
    let lab = milled();

    let found = verify(&lab, &[], 0);

    assert_eq!(found.len(), 24);
    assert_eq!(told(&found), [""; 0]);
    assert_eq!(
        verify(&lab, &["--symbols", "BTCUSDT", "--data", "klines:1m"], 0).len(),
        6
    );
    assert_eq!(
        verify(&lab, &["--start", "2024-02", "--end", "2024-02-10"], 0).len(),
        8
    );
    assert_eq!(verify(&lab, &["--months", "2024-01,2024-02"], 0).len(), 16);
    let priority = ["--priority-only", "--priority", "ETHUSDT"];
    assert_eq!(verify(&lab, &priority, 0).len(), 12);
    let own = lab.folder().join("tapemill.toml");
    fs::write(&own, "[categories]\nmine = \"BTCUSDT\"\n").expect("it can be written");
    assert_eq!(verify(&lab, &["--categories", "mine"], 0).len(), 12);
    assert_eq!(verify(&lab, &["--categories", "major"], 0).len(), 24);
    fs::remove_file(own).expect("it was there");
    let none = lab
        .command(&["verify", "--symbols", "XRPUSDT"])
        .run()
        .expect(1);
    assert!(
        none.only_error_line()
            .contains("no table of this selection")
    );
}

#[test]
fn every_planted_defect_is_named_and_run_repairs_what_it_can() {
    let lab = milled();
    let sound = hashes(&lab.output());
    let trades = |symbol: &str, period: &str| {
        file(&lab, &format!("aggtrades_1m/um/{symbol}/{period}.parquet"))
    };
    let factors = |symbol: &str, period: &str| {
        file(&lab, &format!("factors_1h/um/{symbol}/{period}.parquet"))
    };
    let minutes =
        |symbol: &str, period: &str| file(&lab, &format!("klines_1m/um/{symbol}/{period}.parquet"));

    // A bit, an end, another program's file, an empty one.
    let mut bytes = fs::read(trades("BTCUSDT", "2024-01")).expect("it can be read");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(trades("BTCUSDT", "2024-01"), bytes).expect("it can be written");
    let bytes = fs::read(trades("BTCUSDT", "2024-02")).expect("it can be read");
    fs::write(trades("BTCUSDT", "2024-02"), &bytes[..bytes.len() - 9]).expect("it can be written");
    fs::write(minutes("BTCUSDT", "2024-01"), b"not a table").expect("it can be written");
    fs::write(minutes("BTCUSDT", "2024-02"), b"").expect("it can be written");
    // A value, with the old digest; a value of the hours with a new one; a row of another time, of another symbol.
    rewrite(
        &trades("ETHUSDT", "2024-01"),
        "write(row('price_last', 3, 1.0), digested=False)",
    );
    rewrite(&factors("ETHUSDT", "2024-02"), "write(row('vwap', 3, 1.0))");
    rewrite(
        &minutes("ETHUSDT", "2024-01"),
        "import datetime\nwrite(row('open_time', -1, datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)))",
    );
    rewrite(
        &minutes("ETHUSDT", "2024-02"),
        "write(row('symbol', 5, 'XRPUSDT'))",
    );
    // A file of another month, a codec, hours that are gone, hours without minutes, no table of ours.
    fs::copy(
        trades("ETHUSDT", "2024-03-01"),
        trades("ETHUSDT", "2024-03-02"),
    )
    .expect("a copy");
    fs::copy(
        factors("ETHUSDT", "2024-03-01"),
        factors("ETHUSDT", "2024-03-02"),
    )
    .expect("a copy");
    rewrite(
        &trades("BTCUSDT", "2024-03-01"),
        "footer[b'tapemill.codec'] = b'99'\nwrite(table)",
    );
    fs::remove_file(file(
        &lab,
        "klines_1h_from_1m/um/BTCUSDT/2024-03-01.parquet",
    ))
    .expect("it was there");
    fs::remove_file(minutes("ETHUSDT", "2024-03-01")).expect("it was there");
    fs::create_dir_all(file(&lab, "mine/um/BTCUSDT")).expect("a folder");
    fs::copy(
        factors("BTCUSDT", "2024-01"),
        file(&lab, "mine/um/BTCUSDT/2024-01.parquet"),
    )
    .expect("a copy");

    let found = verify(&lab, &[], 4);

    assert_eq!(
        told(&found),
        [
            "defect aggtrades_1m/um/BTCUSDT/2024-01.parquet content",
            "defect aggtrades_1m/um/BTCUSDT/2024-02.parquet unreadable",
            "defect aggtrades_1m/um/BTCUSDT/2024-03-01.parquet codec",
            "defect aggtrades_1m/um/ETHUSDT/2024-01.parquet content",
            "defect aggtrades_1m/um/ETHUSDT/2024-02.parquet hours",
            "note aggtrades_1m/um/ETHUSDT/2024-03-01.parquet no_klines",
            "defect aggtrades_1m/um/ETHUSDT/2024-03-02.parquet period",
            "defect factors_1h/um/ETHUSDT/2024-02.parquet bytes",
            "defect factors_1h/um/ETHUSDT/2024-03-02.parquet period",
            "defect klines_1h_from_1m/um/ETHUSDT/2024-03-01.parquet incomplete",
            "defect klines_1m/um/BTCUSDT/2024-01.parquet unreadable",
            "defect klines_1m/um/BTCUSDT/2024-02.parquet unreadable",
            "defect klines_1m/um/BTCUSDT/2024-03-01.parquet incomplete",
            "defect klines_1m/um/ETHUSDT/2024-01.parquet period",
            "defect klines_1m/um/ETHUSDT/2024-02.parquet symbol",
            "defect klines_1m/um/ETHUSDT/2024-03-01.parquet gone",
            "defect mine/um/BTCUSDT/2024-01.parquet foreign",
        ]
    );
    let reasons = found.iter().filter(|finding| finding["verdict"] != "ok");
    assert!(
        reasons
            .into_iter()
            .all(|finding| finding["reason"].as_str() != Some(""))
    );

    // In words the same, and only what is wrong.
    let shown = lab.command(&["verify"]).run().expect(4);
    assert_eq!(shown.stdout.lines().count(), 17, "{}", shown.stdout);
    assert!(shown.stderr.contains("16 defects"), "{}", shown.stderr);

    // As a page and as a document.
    let report = lab.folder().join("report");
    let words = [
        "verify",
        "-q",
        "--report",
        report.to_str().expect("a plain path"),
    ];
    lab.command(&words).run().expect(4);
    let json = fs::read_to_string(report.join("verify.json")).expect("it was written");
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["counts"]["defect"], 16);
    let page = fs::read_to_string(report.join("verify.html")).expect("it was written");
    assert_eq!(
        page.matches("<td class=defect>").count(),
        16,
        "each is listed"
    );
    assert!(page.contains("<th scope=row>ETHUSDT"));

    // What an archive is there for comes back; what has none stays a defect.
    let fixed = lab.from_source(&["verify", "--fix", "--json", "--no-rest"]);
    let fixed = fixed.run().expect(4).json_lines();
    let of = |kind: &str| {
        fixed
            .iter()
            .filter(|finding| finding["kind"] == kind)
            .count()
    };
    assert_eq!((of("fixed"), of("period"), of("foreign")), (13, 2, 1));
    let content = fixed
        .iter()
        .find(|finding| finding["file"] == "aggtrades_1m/um/BTCUSDT/2024-01.parquet");
    let reason = content.expect("it was judged")["reason"]
        .as_str()
        .expect("a text");
    assert!(
        reason.starts_with("made again; it was content: "),
        "{reason}"
    );
    for path in [
        "aggtrades_1m/um/ETHUSDT/2024-03-02.parquet",
        "factors_1h/um/ETHUSDT/2024-03-02.parquet",
        "mine",
    ] {
        let path = file(&lab, path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    assert_eq!(hashes(&lab.output()), sound);
    assert_eq!(told(&verify(&lab, &[], 0)), [""; 0]);
}

#[test]
fn minutes_are_held_against_the_klines_of_the_exchange() {
    let lab = Lab::new(BINARY);
    lab.mirror.tape("BTCUSDT", "2024-01-01", 2_000);
    lab.mirror.trades("ETHUSDT", "2024-01-01", 2_000);
    let (_, klines) = lab.mirror.tape("SOLUSDT", "2024-01-01", 2_000);
    // One bar that says something else than its trades, one that is not there.
    let script = "import sys, zipfile\n\
        path = sys.argv[1]\n\
        with zipfile.ZipFile(path) as zip: name, = zip.namelist(); rows = zip.read(name).decode().splitlines()\n\
        at = next(i for i, row in enumerate(rows) if i > 20 and row.split(',')[8] != '0')\n\
        cells = rows[at].split(','); cells[2] = cells[2] + '1'; cells[8] = '77'; rows[at] = ','.join(cells)\n\
        del rows[at + 5]\n\
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as zip: zip.writestr(name, '\\n'.join(rows) + '\\n')\n";
    let path = klines.path.to_str().expect("a plain path");
    Python::new().run(&["-c", script, path]);
    fs::remove_file(format!("{path}.CHECKSUM")).expect("it was there");
    lab.everything(&["run", "-q"]).run().expect(0);

    let found = verify(&lab, &[], 0);

    assert_eq!(
        told(&found),
        [
            "note aggtrades_1m/um/ETHUSDT/2024-01-01.parquet no_klines",
            "note aggtrades_1m/um/SOLUSDT/2024-01-01.parquet klines",
            "note klines_1m/um/SOLUSDT/2024-01-01.parquet quirks",
        ]
    );
    let odd = found.iter().find(|finding| finding["kind"] == "klines");
    let reason = odd.expect("it is there")["reason"]
        .as_str()
        .expect("a text");
    assert!(
        reason.starts_with("1 of ") && reason.contains("Z high, trades"),
        "{reason}"
    );
}

#[test]
fn holes_are_told_with_what_the_queue_knows_of_them() {
    let lab = Lab::new(BINARY);
    for period in ["2024-01", "2024-02", "2024-04", "2024-05"] {
        lab.mirror.trades("BTCUSDT", period, 500);
    }
    lab.everything(&["run", "-q", "--data", "aggTrades"])
        .run()
        .expect(0);
    let table = |dataset: &str| file(&lab, &format!("{dataset}/um/BTCUSDT/2024-02.parquet"));
    let sound = hashes(&lab.output());
    for dataset in ["aggtrades_1m", "factors_1h"] {
        fs::remove_file(table(dataset)).expect("it was there");
    }
    let holes = |code| {
        let mut told = told(&verify(&lab, &[], code));
        told.retain(|line| line.ends_with(" hole") || line.ends_with(" gone"));
        told
    };

    assert_eq!(
        holes(4),
        [
            "defect aggtrades_1m/um/BTCUSDT/2024-02.parquet gone",
            "note aggtrades_1m/um/BTCUSDT/2024-03.parquet hole",
        ]
    );
    let fixed = lab
        .from_source(&["verify", "--fix", "--no-rest"])
        .run()
        .expect(0);
    assert!(
        fixed.stdout.contains("it was published and is gone"),
        "{}",
        fixed.stdout
    );
    assert_eq!(hashes(&lab.output()), sound);
    // The last one too, which leaves no hole.
    let last = ["aggtrades_1m", "factors_1h"]
        .map(|dataset| format!("{dataset}/um/BTCUSDT/2024-05.parquet"));
    for path in &last {
        fs::remove_file(file(&lab, path)).expect("it was there");
    }
    assert_eq!(
        holes(4)[1],
        "defect aggtrades_1m/um/BTCUSDT/2024-05.parquet gone"
    );
    lab.from_source(&["verify", "-q", "--fix", "--no-rest"])
        .run()
        .expect(0);
    assert_eq!(hashes(&lab.output()), sound);
    // Without a queue nothing tells why.
    fs::remove_file(lab.output().join("queue.db")).expect("it was there");
    assert_eq!(
        holes(4),
        ["defect aggtrades_1m/um/BTCUSDT/2024-03.parquet hole"]
    );
}

#[test]
fn a_day_beside_its_month_is_a_note_and_a_moved_month_a_defect() {
    let lab = milled();
    let table = |dataset: &str, symbol: &str, period: &str| {
        file(&lab, &format!("{dataset}/um/{symbol}/{period}.parquet"))
    };
    for dataset in ["aggtrades_1m", "factors_1h"] {
        let month = table(dataset, "BTCUSDT", "2024-03");
        fs::copy(table(dataset, "BTCUSDT", "2024-03-01"), month).expect("a copy");
    }

    let found = verify(&lab, &["--symbols", "BTCUSDT"], 4);

    assert_eq!(
        told(&found),
        [
            "note aggtrades_1m/um/BTCUSDT/2024-03-01.parquet superseded",
            "defect aggtrades_1m/um/BTCUSDT/2024-03.parquet lineage",
            "note factors_1h/um/BTCUSDT/2024-03-01.parquet superseded",
            "defect factors_1h/um/BTCUSDT/2024-03.parquet lineage",
        ]
    );
}

/// Tables of other archives of the same names, put in the place of those that were made here.
fn forge(lab: &Lab, symbol: &str) {
    let other = Lab::new(BINARY);
    let spec = AggTradesSpec {
        seed: 2,
        ..trades_of(symbol, "2024-01-01", 500)
    };
    other.mirror.tape_of(&spec);
    other.everything(&["run", "-q"]).run().expect(0);
    for name in hashes(&other.output()).into_keys() {
        fs::copy(other.output().join(&name), file(lab, &name)).expect("a copy");
    }
}

#[test]
fn milling_once_more_proves_what_digests_cannot() {
    let lab = Lab::new(BINARY);
    let (trades, _) = lab.mirror.tape("BTCUSDT", "2024-01-01", 500);
    lab.mirror.tape("ETHUSDT", "2024-01-01", 500);
    lab.everything(&["run", "-q"]).run().expect(0);
    let contents_of_sound = contents_of(&lab, "ETHUSDT");
    // A forgery: each table is what its footer says, and all agree with each other.
    forge(&lab, "ETHUSDT");
    let of = |kind: &str| {
        [
            "aggtrades_1m",
            "factors_1h",
            "klines_1h_from_1m",
            "klines_1m",
        ]
        .map(|table| format!("defect {table}/um/ETHUSDT/2024-01-01.parquet {kind}"))
    };

    // The queue knows what was published.
    let known = told(&verify(&lab, &[], 4));
    assert_eq!(known, [of("receipt")[0].clone(), of("receipt")[3].clone()]);
    fs::remove_file(lab.output().join("queue.db")).expect("it was there");
    assert_eq!(told(&verify(&lab, &[], 0)), [""; 0]);
    // The archive's checksums tell, and so does milling once more.
    let compared = lab.from_source(&["verify", "--json"]).run().expect(4);
    assert_eq!(told(&compared.json_lines()), of("sidecar"));
    let source = [
        "--source",
        lab.mirror.root().to_str().expect("a plain path"),
    ];
    for entry in ["aggTrades", "klines"] {
        let pattern = format!("{entry}/ETHUSDT");
        remove_sidecars(lab.mirror.root(), &pattern);
    }
    lab.mirror.remove(&trades);
    let words = [&["verify", "--json", "--remill", "--no-rest"][..], &source].concat();
    let remilled = lab.command(&words).run().expect(4);
    let mut expected = vec![
        "note aggtrades_1m/um/BTCUSDT/2024-01-01.parquet sidecar".to_owned(),
        of("remill")[0].clone(),
        "note factors_1h/um/BTCUSDT/2024-01-01.parquet sidecar".to_owned(),
    ];
    expected.extend(of("remill")[1..].to_vec());
    expected.sort_by(|a, b| a.split(' ').nth(1).cmp(&b.split(' ').nth(1)));
    assert_eq!(told(&remilled.json_lines()), expected);
    let reason = |found: &[Value]| found[0]["reason"].as_str().expect("a text").to_owned();
    let first = reason(&remilled.json_lines());
    assert!(
        first.ends_with("its archive could not be milled once more"),
        "{first}"
    );

    // What only milling once more finds is mended like everything else.
    let fixed = [
        &["verify", "-q", "--fix", "--remill", "--no-rest"][..],
        &source,
    ]
    .concat();
    lab.command(&fixed).run().expect(0);
    assert_eq!(
        contents_of(&lab, "ETHUSDT"),
        contents_of_sound,
        "the archive's rows are back"
    );
}

/// The digests of a symbol's rows.
fn contents_of(lab: &Lab, symbol: &str) -> Vec<String> {
    let lake = Lake::local(lab.output());
    let names = hashes(&lab.output()).into_keys();
    let names = names.filter(|name| name.contains(symbol));
    let content = |name: String| {
        let path = LakePath::parse(&name).expect("it is a path");
        read_lineage(&lake, &path).expect("it can be read").content
    };
    names.map(content).collect()
}

/// Removes the checksum files below a folder whose paths contain a text.
fn remove_sidecars(root: &Path, containing: &str) {
    for entry in fs::read_dir(root).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_sidecars(&path, containing);
        } else if path.to_string_lossy().contains(containing)
            && path
                .extension()
                .is_some_and(|extension| extension == "CHECKSUM")
        {
            fs::remove_file(&path).expect("it was there");
        }
    }
}

#[test]
fn folders_named_the_other_way_are_no_defect_and_a_queue_that_cannot_be_read_is_told() {
    let lab = Lab::new(BINARY);
    lab.mirror.tape("BTCUSDT", "2024-01-01", 500);
    let words = ["run", "-q", "--layout", "hive"];
    lab.everything(&words).run().expect(0);

    assert_eq!(told(&verify(&lab, &[], 0)), [""; 0]);

    // They are milled again, and mended, as they are named.
    let again = ["verify", "--json", "--remill", "--no-rest"];
    let again = lab.from_source(&again).run().expect(0);
    assert_eq!(told(&again.json_lines()), [""; 0]);
    let sound = hashes(&lab.output());
    fs::write(lab.output().join(sound.keys().next().expect("a table")), "")
        .expect("it can be written");
    lab.from_source(&["verify", "-q", "--fix", "--no-rest"])
        .run()
        .expect(0);
    assert_eq!(hashes(&lab.output()), sound);

    let elsewhere = lab.folder().join("other.db");
    fs::write(&elsewhere, "no queue, but words enough to be taken for one")
        .expect("it can be written");
    let queue = format!("sqlite:{}", elsewhere.display());
    let refused = lab.command(&["verify", "--queue", &queue]).run().expect(1);
    assert!(
        refused.only_error_line().contains("other.db"),
        "{}",
        refused.stderr
    );
}
