//! Tables written and read back: bytes, lineage, content, order.

mod support;

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use serde_json::json;
use support::{files, footer, minutes, place, publish, schema};
use tapemill_lake::{
    CODEC, Lake, LakeError, TableOptions, TableWriter, content_of, read_lineage, read_table,
    verify_content,
};

/// Small groups, so that a few thousand rows fill several.
fn options() -> TableOptions {
    TableOptions {
        row_group_rows: 1_440,
        ..TableOptions::bars(1)
    }
}

fn bytes_of(batches: &[RecordBatch], options: &TableOptions) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let place = place("2024-01");
    let mut writer = TableWriter::create(&lake, &place, &schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish(footer()).unwrap().publish().unwrap();
    fs::read(lake.locate(&place).unwrap()).unwrap()
}

#[test]
fn a_table_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path().join("not/there/yet"));
    let place = place("2024-01");
    let written = minutes(0, 3_000);

    let mut writer = TableWriter::create(&lake, &place, &schema(), &options()).unwrap();
    writer.write(&written).unwrap();
    let staged = writer.finish(footer()).unwrap();
    let (rows, bytes) = (staged.rows(), staged.bytes());
    let published = staged.publish().unwrap();

    let read = read_table(&lake, &place).unwrap();
    assert_eq!(read[0].schema(), schema());
    assert_eq!(
        content_of(&schema(), &read).unwrap(),
        content_of(&schema(), &[written]).unwrap()
    );
    assert_eq!((rows, bytes), (3_000, published.bytes));
    assert_eq!(lake.size(&place).unwrap(), Some(published.bytes));
    assert_eq!(lake.tables().unwrap()[0].path, published.path);
    assert!(verify_content(&lake, &place).unwrap());
}

#[test]
fn the_same_rows_give_the_same_bytes_whatever_the_batches() {
    let whole = bytes_of(&[minutes(0, 5_000)], &options());

    let ones: Vec<_> = (0..5_000)
        .map(|minute| minutes(minute, minute + 1))
        .collect();
    let uneven: Vec<_> = [
        (0, 0),
        (0, 1_439),
        (1_439, 1_441),
        (1_441, 4_999),
        (4_999, 5_000),
    ]
    .map(|(from, to)| minutes(from, to))
    .to_vec();

    assert!(bytes_of(&ones, &options()) == whole);
    assert!(bytes_of(&uneven, &options()) == whole);
}

#[test]
fn the_same_rows_give_the_same_bytes_across_pages_of_a_large_group() {
    let events = TableOptions::events(&[1]);
    let whole = bytes_of(&[minutes(0, 40_000)], &events);

    let uneven: Vec<_> = (0..40)
        .map(|part| minutes(part * 1_000, part * 1_000 + 1_000))
        .collect();

    assert!(bytes_of(&uneven, &events) == whole);
}

#[test]
fn dictionaries_of_other_order_and_sliced_batches_give_the_same_bytes() {
    let batch = minutes(0, 2_000);
    let strings = StringArray::from(vec!["unused", "BTCUSDT"]);
    let keys = Int32Array::from(vec![1; 2_000]);
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(DictionaryArray::new(keys, Arc::new(strings)));
    let other = RecordBatch::try_new(schema(), columns).unwrap();

    let mixed = [
        minutes(0, 700),
        other.slice(700, 500),
        batch.slice(1_200, 800),
    ];

    assert!(bytes_of(&mixed, &options()) == bytes_of(&[batch], &options()));
}

#[test]
fn metadata_of_the_schema_does_not_reach_the_bytes() {
    let schema = schema();
    let fields = schema.fields().iter().map(|field| {
        let metadata = [("host", "laptop"), ("a", "b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        field.as_ref().clone().with_metadata(metadata.into())
    });
    let noisy = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(noisy, minutes(0, 10).columns().to_vec()).unwrap();

    assert!(bytes_of(&[batch], &options()) == bytes_of(&[minutes(0, 10)], &options()));
}

#[test]
fn row_groups_are_cut_at_their_size_and_carry_what_readers_skip_by() {
    let bytes = bytes_of(&[minutes(0, 3_000)], &options());

    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let metadata = reader.metadata();
    let rows: Vec<_> = metadata
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    let group = metadata.row_group(1);
    let minute = group.column(1);
    let low = minute.statistics().unwrap().min_bytes_opt().unwrap();

    assert_eq!(rows, [1_440, 1_440, 120]);
    assert_eq!(group.sorting_columns().unwrap()[0].column_idx, 1);
    assert_eq!(
        i64::from_le_bytes(low.try_into().unwrap()),
        support::START_US + 1_440 * support::MINUTE_US
    );
    assert!(minute.column_index_offset().is_some() && minute.offset_index_offset().is_some());
    assert!(
        minute
            .encodings()
            .any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED)
    );
    assert!(
        group
            .column(3)
            .encodings()
            .any(|encoding| encoding == Encoding::PLAIN)
    );
    assert!(group.column(3).dictionary_page_offset().is_none());
}

#[test]
fn the_footer_tells_the_lineage_in_one_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let place = place("2024-01");
    publish(&lake, &place);

    let lineage = read_lineage(&lake, &place).unwrap();

    assert_eq!(lineage.codec, CODEC);
    assert_eq!(lineage.settings, footer().settings);
    assert_eq!(lineage.sources, footer().sources);
    assert_eq!(lineage.quality, footer().quality);
    assert_eq!(
        lineage.content,
        content_of(&schema(), &[minutes(0, 100)]).unwrap()
    );
    assert_eq!(lineage.rows, 100);
    assert_eq!(lineage.columns[..2], ["symbol", "minute"]);
    let bytes = fs::read(lake.locate(&place).unwrap()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"{"retail_quote":"1000","whale_quote":"50000"}"#));
    assert!(text.contains(r#"[{"bytes":120231551,"key":"data/futures/"#));
    assert!(!text.contains(folder.path().to_str().unwrap()));
}

#[test]
fn the_content_digest_is_the_documented_one() {
    // Worked by hand in Python: column x, int64, rows 1 and null; column s, utf8, rows "é" and "".
    let schema = Schema::new(vec![
        Field::new("x", DataType::Int32, true),
        Field::new("s", DataType::Utf8, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None])),
        Arc::new(StringArray::from(vec!["é", ""])),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();

    let digest = content_of(&schema, &[batch]).unwrap();

    assert_eq!(
        digest,
        "64653d92d8b98e231424d441bb038a5edf000512100f8ece8087f801062fc647"
    );
}

#[test]
fn the_content_digest_tells_every_change_and_no_batching() {
    let whole = content_of(&schema(), &[minutes(0, 50)]).unwrap();
    let changed = |column: usize, array: ArrayRef| {
        let mut columns = minutes(0, 50).columns().to_vec();
        columns[column] = array;
        content_of(
            &schema(),
            &[RecordBatch::try_new(schema(), columns).unwrap()],
        )
        .unwrap()
    };
    let vwaps = |at: usize, value: Option<f64>| {
        let batch = minutes(0, 50);
        let old = batch
            .column(3)
            .as_any()
            .downcast_ref::<Float64Array>()
            .unwrap();
        let new: Float64Array = (0..50)
            .map(|row| {
                if row == at {
                    value
                } else {
                    old.iter().nth(row).flatten()
                }
            })
            .collect();
        changed(3, Arc::new(new) as ArrayRef)
    };

    assert_eq!(
        content_of(&schema(), &[minutes(0, 20), minutes(20, 50)]).unwrap(),
        whole
    );
    assert_eq!(vwaps(5, Some(-0.0)), whole);
    assert_ne!(vwaps(5, Some(0.0)), whole);
    assert_ne!(vwaps(3, Some(0.0)), whole);
    assert_ne!(vwaps(8, Some(42_000.0)), whole);
    assert_ne!(content_of(&schema(), &[minutes(0, 49)]).unwrap(), whole);
}

#[test]
fn a_table_whose_rows_are_not_those_of_its_footer_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let place = place("2024-01");
    publish(&lake, &place);
    let digest = read_lineage(&lake, &place).unwrap().content;
    let bytes = fs::read(lake.locate(&place).unwrap()).unwrap();
    let at = bytes
        .windows(64)
        .position(|window| window == digest.as_bytes())
        .unwrap();
    let mut forged = bytes.clone();
    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
    fs::write(lake.locate(&place).unwrap(), forged).unwrap();

    assert!(!verify_content(&lake, &place).unwrap());
}

#[test]
fn a_row_out_of_order_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let write = |options: &TableOptions, batches: [RecordBatch; 2]| {
        let mut writer = TableWriter::create(&lake, &place("2024-01"), &schema(), options)?;
        batches.iter().try_for_each(|batch| writer.write(batch))
    };

    let backwards = write(&options(), [minutes(0, 10), minutes(8, 12)]);
    let repeated = write(&options(), [minutes(0, 10), minutes(9, 12)]);
    let repeated_event = write(
        &TableOptions::events(&[1, 2]),
        [minutes(0, 10), minutes(9, 12)],
    );

    assert!(
        matches!(backwards, Err(LakeError::Unsorted { row: 10, .. })),
        "{backwards:?}"
    );
    assert!(
        matches!(repeated, Err(LakeError::Unsorted { row: 10, .. })),
        "{repeated:?}"
    );
    assert!(repeated_event.is_ok(), "{repeated_event:?}");
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn a_table_of_no_rows_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let place = place("2024-01");

    let writer = TableWriter::create(&lake, &place, &schema(), &options()).unwrap();
    writer.finish(footer()).unwrap().publish().unwrap();

    assert_eq!(read_lineage(&lake, &place).unwrap().rows, 0);
    assert!(read_table(&lake, &place).unwrap().is_empty());
    assert!(verify_content(&lake, &place).unwrap());
}

#[test]
fn what_the_lake_cannot_write_is_refused_before_a_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let create = |schema: &Schema, options: &TableOptions| {
        TableWriter::create(&lake, &place("2024-01"), schema, options).map(drop)
    };
    let local_time = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None);

    for (schema, options) in [
        (Schema::empty(), TableOptions::events(&[])),
        (
            Schema::new(vec![Field::new("t", local_time, false)]),
            TableOptions::bars(0),
        ),
        (
            Schema::new(vec![Field::new("x", DataType::Float32, false)]),
            TableOptions::events(&[]),
        ),
        (schema().as_ref().clone(), TableOptions::bars(3)),
        (schema().as_ref().clone(), TableOptions::bars(17)),
        (
            schema().as_ref().clone(),
            TableOptions {
                row_group_rows: 0,
                ..options()
            },
        ),
    ] {
        let refused = create(&schema, &options);

        assert!(
            matches!(refused, Err(LakeError::Table { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let mut writer = TableWriter::create(&lake, &place("2024-01"), &schema(), &options()).unwrap();

    let refused = writer.write(&minutes(0, 10).project(&[0, 1, 2]).unwrap());

    assert!(
        matches!(refused, Err(LakeError::Table { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_empty_quality_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let mut empty = footer();
    empty.quality = json!({});
    empty.sources.clear();

    let writer = TableWriter::create(&lake, &place("2024-01"), &schema(), &options()).unwrap();
    writer.finish(empty).unwrap().publish().unwrap();

    let lineage = read_lineage(&lake, &place("2024-01")).unwrap();
    assert_eq!((lineage.quality, lineage.sources.len()), (json!({}), 0));
}
