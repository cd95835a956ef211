//! A lake in a bucket of a real S3 server: the same bytes under the same keys, shown at once and whole.

mod support;

#[path = "support/gate.rs"]
mod gate;
#[path = "support/moto.rs"]
mod moto;

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use gate::{Gate, Rule};
use moto::{BUCKET, Moto, lake, settings};
use support::{files, footer, minutes, place, publish, schema};
use tapemill_lake::{
    Lake, LakeError, LakePath, Layout, Part, S3Settings, StagedTable, TableOptions, TablePath,
    TableWriter, cleanup, read_lineage, read_table, verify_content,
};

const MIB: usize = 1 << 20;

fn stage(lake: &Lake, place: &LakePath) -> StagedTable {
    let mut writer = TableWriter::create(lake, place, &schema(), &TableOptions::bars(1)).unwrap();
    writer.write(&minutes(0, 100)).unwrap();
    writer.finish(footer()).unwrap()
}

fn archive() -> LakePath {
    LakePath::raw("data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip").unwrap()
}

/// Bytes that differ from place to place, so that parts cannot be swapped unseen, and that cannot be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn keep(lake: &Lake, place: &LakePath, bytes: &[u8]) {
    let mut part = Part::create(lake, place).unwrap();
    for piece in bytes.chunks(100_003) {
        part.append(piece).unwrap();
    }
    part.stage().unwrap().publish().unwrap();
}

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
fn a_lost_race_is_run_again_until_it_is_won() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    publish(&bucket, &place("2024-01"));
    let mut lost = 0;
    gate.rule(move |request| match request.has("if-match:") && lost < 2 {
        true => {
            lost += 1;
            Rule::Answer(412, "PreconditionFailed")
        }
        false => Rule::Pass,
    });
    gate.seen();

    publish(&bucket, &place("2024-01"));

    assert_eq!(
        gate.seen().len(),
        9,
        "create, look and replace, three times"
    );
}

#[test]
fn many_writers_of_one_file_leave_one_whole_file() {
    let moto = Moto::start();
    let bucket = lake(&moto.address, "");
    let writers: Vec<_> = (0..8)
        .map(|_| stage(&bucket, &place("2024-01")))
        .map(|staged| std::thread::spawn(move || staged.publish().map(drop)))
        .collect();

    for writer in writers {
        writer.join().unwrap().unwrap();
    }

    assert!(verify_content(&bucket, &place("2024-01")).unwrap());
    assert_eq!(bucket.tables().unwrap().len(), 1);
}

#[test]
fn a_store_without_conditional_puts_gets_plain_ones() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    gate.rule(|request| match request.has("if-none-match:") {
        true => Rule::Answer(501, "NotImplemented"),
        false => Rule::Pass,
    });

    publish(&bucket, &place("2024-01"));
    let first = gate.seen();
    publish(&bucket, &place("2024-02"));
    let second = gate.seen();

    assert_eq!(
        (first.len(), second.len()),
        (2, 1),
        "asked once, then known"
    );
    assert_eq!(bucket.tables().unwrap().len(), 2);
}

#[test]
fn a_put_whose_answer_is_lost_is_done_again() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    let mut lost = false;
    gate.rule(
        move |request| match request.line.starts_with("PUT ") && !lost {
            true => {
                lost = true;
                Rule::LoseAnswer
            }
            false => Rule::Pass,
        },
    );

    publish(&bucket, &place("2024-01"));

    assert!(verify_content(&bucket, &place("2024-01")).unwrap());
}

#[test]
fn an_upload_whose_completion_is_not_answered_is_known_to_be_complete() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    let mut lost = false;
    gate.rule(move |request| {
        let completes = request.line.starts_with("POST ") && request.line.contains("uploadId=");
        match completes && !lost {
            true => {
                lost = true;
                Rule::LoseAnswer
            }
            false => Rule::Pass,
        }
    });

    keep(&bucket, &archive(), &noise(1, 9 * MIB));

    assert_eq!(bucket.size(&archive()).unwrap(), Some(9 * MIB as u64));
}

#[test]
fn a_store_that_refuses_is_gone_or_has_no_time_is_an_outage_in_one_line_and_heals() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let settings = S3Settings {
        patience: Duration::from_millis(200),
        ..settings(&gate.address)
    };
    let bucket = Lake::s3("s3://tape/prefix", &settings).unwrap();
    let cases = [
        (403, "AccessDenied", "AWS_*"),
        (404, "NoSuchBucket", "there is no bucket tape"),
        (400, "ExpiredToken", "AWS_*"),
        (503, "SlowDown", "wait"),
        (429, "TooManyRequests", "wait"),
    ];

    for (status, code, hint) in cases {
        gate.rule(move |_| Rule::Answer(status, code));
        let steps = [
            stage(&bucket, &place("2024-01")).publish().map(drop),
            keep_large(&bucket),
            bucket.tables().map(drop),
            read_lineage(&bucket, &place("2024-01")).map(drop),
            bucket.remove_all(&[place("2024-01")]),
        ];
        for step in steps {
            let error = step.unwrap_err();
            let line = error.to_string();
            assert!(error.is_outage() && !error.is_disk(), "{code}: {error:?}");
            assert!(line.contains("s3://tape/prefix"), "{line}");
            assert!(line.contains(hint) && !line.contains('\n'), "{line}");
            assert!(!line.contains("test-secret"), "{line}");
        }
    }
    gate.rule(|_| Rule::Pass);
    publish(&bucket, &place("2024-01"));
    assert_eq!(bucket.tables().unwrap().len(), 1);
}

fn keep_large(lake: &Lake) -> Result<(), LakeError> {
    let mut part = Part::create(lake, &archive())?;
    part.append(&noise(1, 9 * MIB))?;
    part.stage()?.publish().map(drop)
}

#[test]
fn a_store_that_is_not_there_is_an_outage() {
    // Bound and not listened to by anyone who answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let bucket = lake(&closed.to_string(), "");

    let error = stage(&bucket, &place("2024-01")).publish().unwrap_err();

    assert!(matches!(error, LakeError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn an_answer_about_one_object_is_no_outage() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    gate.rule(|_| Rule::Answer(400, "KeyTooLongError"));

    let error = stage(&bucket, &place("2024-01")).publish().unwrap_err();

    assert!(matches!(error, LakeError::Store { .. }), "{error:?}");
    assert!(!error.is_outage());
    assert!(error.to_string().contains("KeyTooLongError"), "{error}");
}

#[test]
fn a_failing_part_of_a_table_is_the_store_s_failure_and_no_fault_of_the_table() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let bucket = lake(&gate.address, "");
    gate.rule(|request| match request.line.contains("partNumber=") {
        true => Rule::Answer(403, "AccessDenied"),
        false => Rule::Pass,
    });

    let columns = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, false),
    ];
    let schema = Arc::new(Schema::new(columns));
    let options = TableOptions {
        row_group_rows: 4,
        ..TableOptions::events(&[0])
    };
    let mut writer = TableWriter::create(&bucket, &place("2024-01"), &schema, &options).unwrap();
    let written = (0..40)
        .try_for_each(|id| {
            let text: String = noise(id as u64, MIB)
                .iter()
                .map(|byte| (b' ' + byte % 64) as char)
                .collect();
            let text = format!("{id}{text}");
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(vec![id])),
                Arc::new(StringArray::from(vec![text])),
            ];
            writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap())
        })
        .and_then(|()| writer.finish(footer()).map(drop));

    let error = written.unwrap_err();
    assert!(matches!(error, LakeError::Refused { .. }), "{error:?}");
    assert_eq!(moto.uploads(), 0);
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

#[test]
fn addresses_that_cannot_be_used_are_refused_and_secrets_are_not_shown() {
    let settings = settings("127.0.0.1:1");

    for url in ["s3://", "s3://x", "s3://tape//a", "s3://tape/a?b=c"] {
        let error = Lake::s3(url, &settings).unwrap_err();
        assert!(matches!(error, LakeError::Address { .. }), "{error:?}");
    }
    let half = S3Settings {
        environment: vec![("AWS_ACCESS_KEY_ID".into(), "x".into())],
        ..settings.clone()
    };
    let error = Lake::s3("s3://tape", &half).unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("secret"),
        "{error}"
    );
    let shown = format!("{:?} {settings:?}", Lake::s3("s3://tape/a", &settings));
    assert!(
        shown.contains("s3://tape/a") && !shown.contains("test-secret"),
        "{shown}"
    );
}
