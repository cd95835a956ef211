//! A lake in a bucket of a real S3 server: the same bytes under the same keys, shown at once and whole.

mod support;

#[path = "support/bucket.rs"]
mod bucket;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/moto.rs"]
mod moto;

use std::fs;
use std::io::Write;

use arrow_array::RecordBatch;
use bucket::{MIB, archive, keep, noise, stage};
use gate::Gate;
use moto::{BUCKET, Moto, lake};
use support::{files, footer, minutes, place, publish, schema};
use tapemill_lake::{
    Lake, LakeError, Layout, Part, TableOptions, TablePath, TableWriter, cleanup, read_lineage,
    read_table, verify_content,
};

#[test]
fn a_bucket_holds_the_same_bytes_under_the_same_keys_as_a_folder() {
    let (moto, folder) = (Moto::start(), tempfile::tempdir().unwrap());
    let (local, bucket) = (Lake::local(folder.path()), lake(&moto.address, "deep/er"));
    let coin = TablePath::new("klines_1m", "um", "币USDT", "2024-01-17").unwrap();
    let places = [
        place("2024-01"),
        coin.path(Layout::Plain).unwrap(),
        coin.path(Layout::Hive).unwrap(),
    ];

    for lake in [&local, &bucket] {
        for place in &places {
            publish(lake, place);
        }
        keep(lake, &archive(), &noise(1, 17 * MIB));
    }

    let names = files(folder.path());
    assert_eq!(names.len(), 4);
    for name in &names {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        assert!(moto.object(&format!("deep/er/{name}")) == bytes, "{name}");
    }
    assert_eq!(bucket.tables().unwrap(), local.tables().unwrap());
    assert_eq!(
        moto.ask("GET", &format!("/{BUCKET}?list-type=2"))
            .matches("<Key>")
            .count(),
        names.len()
    );
}

#[test]
fn a_table_comes_back_from_a_bucket() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    let mut writer = TableWriter::create(
        &bucket,
        &place("2024-01"),
        &schema(),
        &TableOptions::bars(1),
    )
    .unwrap();
    writer.write(&minutes(0, 44_640)).unwrap();
    let published = writer.finish(footer()).unwrap().publish().unwrap();
    gate.seen();

    let lineage = read_lineage(&bucket, &place("2024-01")).unwrap();
    let for_the_footer = gate.seen();
    let batches = read_table(&bucket, &place("2024-01")).unwrap();
    let for_the_rows = gate.seen();

    assert!(published.bytes > 64 << 10, "{}", published.bytes);
    assert_eq!(lineage.rows, 44_640);
    assert_eq!(for_the_footer.len(), 1, "{for_the_footer:?}");
    assert_eq!(for_the_rows.len(), 2, "{for_the_rows:?}");
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 44_640);
    assert_eq!(batches[0], minutes(0, batches[0].num_rows() as i64));
    assert!(verify_content(&bucket, &place("2024-01")).unwrap());
    assert_eq!(
        bucket.size(&place("2024-01")).unwrap(),
        Some(published.bytes)
    );
    assert_eq!(bucket.size(&place("2024-02")).unwrap(), None);
    assert!(bucket.remove(&place("2024-01")).unwrap());
    assert!(!bucket.remove(&place("2024-01")).unwrap());
}

#[test]
fn files_that_are_no_tables_are_told_apart_in_a_bucket_too() {
    let moto = Moto::start();
    let bucket = lake(&moto.address, "");
    let read = |bytes: &[u8]| {
        keep(&bucket, &place("2024-01"), bytes);
        read_lineage(&bucket, &place("2024-01")).unwrap_err()
    };

    for bytes in [&b""[..], b"PA", b"symbol,minute\n", &[0; 100_000]] {
        let error = read(bytes);
        assert!(matches!(error, LakeError::NotParquet { .. }), "{error:?}");
    }
    let cut = read(&[&b"PAR1"[..], &noise(1, 100_000)].concat());
    let absent = read_lineage(&bucket, &place("2024-02")).unwrap_err();

    assert!(matches!(cut, LakeError::CutShort { .. }), "{cut:?}");
    assert!(absent.is_absent() && !absent.is_outage(), "{absent:?}");
    assert!(absent.to_string().contains("s3://tape/"), "{absent}");
}

#[test]
fn nothing_is_visible_before_it_is_published_and_dropping_leaves_nothing() {
    let moto = Moto::start();
    let bucket = lake(&moto.address, "");
    let large = |lake: &Lake| {
        let mut part = Part::create(lake, &archive()).unwrap();
        part.append(&noise(1, 20 * MIB)).unwrap();
        part
    };

    let (small, part) = (stage(&bucket, &place("2024-01")), large(&bucket));
    assert_eq!(moto.uploads(), 1);
    drop((small, part));
    let staged = large(&bucket).stage().unwrap();
    assert_eq!(moto.uploads(), 1);
    assert_eq!(bucket.size(&archive()).unwrap(), None);
    drop(staged);
    let mut restarted = large(&bucket);
    restarted.restart().unwrap();
    restarted.write_all(b"PK").unwrap();

    assert_eq!(moto.uploads(), 0);
    let listed = moto.ask("GET", &format!("/{BUCKET}?list-type=2"));
    assert!(!listed.contains("<Key>"), "{listed}");
    restarted.stage().unwrap().publish().unwrap();
    assert_eq!(bucket.size(&archive()).unwrap(), Some(2));
}

#[test]
fn a_small_file_is_created_and_replaced_on_condition() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    let (one, other) = (
        stage(&bucket, &place("2024-01")),
        stage(&bucket, &place("2024-01")),
    );

    one.publish().unwrap();
    let created = gate.seen();
    other.publish().unwrap();
    let replaced = gate.seen();

    let methods = |seen: &[String]| -> Vec<String> {
        seen.iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(methods(&created), ["PUT"]);
    assert_eq!(methods(&replaced), ["PUT", "HEAD", "PUT"]);
    assert!(verify_content(&bucket, &place("2024-01")).unwrap());
}

#[test]
fn a_bucket_is_cleaned_of_superseded_days() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "deep");
    for period in ["2024-01", "2024-01-01", "2024-01-31", "2024-02-01"] {
        publish(&bucket, &place(period));
    }
    gate.seen();

    let plan = cleanup::plan(&bucket).unwrap();
    let for_the_plan = gate.seen();
    let cleaned = cleanup::apply(&bucket, &plan).unwrap();

    assert_eq!(
        for_the_plan.len(),
        3,
        "a list and two months: {for_the_plan:?}"
    );
    let gone: Vec<_> = plan.iter().map(|removal| &*removal.path).collect();
    assert_eq!(
        gone,
        [place("2024-01-01").as_str(), place("2024-01-31").as_str()]
    );
    assert_eq!((cleaned.removed, cleaned.kept), (plan, vec![]));
    assert_eq!(bucket.tables().unwrap().len(), 2);
}

#[test]
fn a_large_bucket_is_listed_in_pages() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&moto.address, "");
    let other = lake(&moto.address, "other");
    publish(&other, &place("2024-01"));
    for symbol in 0..1_005 {
        let symbol = format!("S{symbol:04}");
        let table = TablePath::new("klines_1m", "um", &symbol, "2024-01").unwrap();
        keep(&bucket, &table.path(Layout::Plain).unwrap(), b"x");
    }

    let listed = lake(&gate.address, "");
    let tables = listed.tables().unwrap();
    let pages = gate.seen().len();
    let mut below = 0;
    listed
        .each_table("klines_1m/um/S0007", |_| below += 1)
        .unwrap();

    assert_eq!(
        (tables.len(), below),
        (1_005, 1),
        "and not the other prefix"
    );
    assert_eq!(pages, 2);
    assert!(tables.is_sorted());
}

#[test]
fn a_lake_in_a_bucket_can_be_used_and_dropped_on_a_runtime_of_any_kind() {
    let moto = Moto::start();
    for flavour in [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ] {
        let mut flavour = flavour;
        let runtime = flavour.enable_all().build().unwrap();
        let address = moto.address.clone();
        let found = runtime.block_on(async move {
            let bucket = lake(&address, "");
            publish(&bucket, &place("2024-01"));
            bucket.tables().unwrap().len()
        });
        assert_eq!(found, 1);
    }
}
