//! A bucket whose store races, refuses, loses answers or is not there: told in one line, and nothing is spoilt.

mod support;

#[path = "support/bucket.rs"]
mod bucket;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/moto.rs"]
mod moto;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bucket::{MIB, archive, keep, noise, stage};
use gate::{Gate, Rule};
use moto::{Moto, lake, settings};
use support::{footer, place, publish};
use tapemill_lake::{
    Lake, LakeError, Part, S3Settings, TableOptions, TableWriter, read_lineage, verify_content,
};

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
        (301, "PermanentRedirect", "another region"),
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
fn a_bucket_over_tls_needs_no_other_client_of_the_process() {
    let plain = Moto::start();
    let mut settings = settings(&plain.address);
    settings.patience = Duration::from_millis(100);
    settings.environment[0].1 = format!("https://{}", plain.address);
    let bucket = Lake::s3("s3://tape", &settings).unwrap();

    let error = bucket.tables().unwrap_err();

    assert!(matches!(error, LakeError::Unreachable { .. }), "{error:?}");
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
