//! Files that are not what they should be: told apart, and never a panic.

mod support;

use std::fs;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use support::{place, publish};
use tapemill_lake::{Lake, LakeError, read_lineage, read_table, verify_content};

struct Fixture {
    _folder: tempfile::TempDir,
    lake: Lake,
    bytes: Vec<u8>,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        publish(&lake, &place("2024-01"));
        let bytes = fs::read(lake.locate(&place("2024-01")).unwrap()).unwrap();
        Fixture {
            _folder: folder,
            lake,
            bytes,
        }
    }

    fn put(&self, bytes: &[u8]) {
        fs::write(self.lake.locate(&place("2024-01")).unwrap(), bytes).unwrap();
    }

    fn lineage_error(&self) -> LakeError {
        read_lineage(&self.lake, &place("2024-01")).unwrap_err()
    }
}

#[test]
fn a_file_that_is_no_parquet_is_told() {
    let fixture = Fixture::new();

    for bytes in [&b""[..], b"PA", b"symbol,minute\n", &[0; 4_096]] {
        fixture.put(bytes);

        let error = fixture.lineage_error();

        assert!(matches!(error, LakeError::NotParquet { .. }), "{error:?}");
    }
}

#[test]
fn a_file_cut_anywhere_is_told() {
    let fixture = Fixture::new();

    for length in 4..fixture.bytes.len() {
        fixture.put(&fixture.bytes[..length]);

        let error = fixture.lineage_error();

        assert!(
            matches!(error, LakeError::CutShort { .. }),
            "{length}: {error:?}"
        );
    }
}

#[test]
fn parquet_of_another_program_is_told() {
    let fixture = Fixture::new();
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]));
    let batch =
        RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    fixture.put(&writer.into_inner().unwrap());

    let error = fixture.lineage_error();

    assert!(
        matches!(
            error,
            LakeError::NotOurs {
                key: "tapemill.codec",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(matches!(
        read_table(&fixture.lake, &place("2024-01")),
        Err(LakeError::NotOurs { .. })
    ));
}

#[test]
fn a_footer_that_claims_too_much_is_damaged() {
    let fixture = Fixture::new();
    let end = fixture.bytes.len() - 8;

    for claim in [fixture.bytes.len() as u32, u32::MAX, (end - 3) as u32] {
        let mut bytes = fixture.bytes.clone();
        bytes[end..end + 4].copy_from_slice(&claim.to_le_bytes());
        fixture.put(&bytes);

        let error = fixture.lineage_error();

        assert!(
            matches!(error, LakeError::Damaged { .. }),
            "{claim}: {error:?}"
        );
    }
}

#[test]
fn no_flipped_byte_panics_or_passes_for_the_rows_of_the_footer() {
    let fixture = Fixture::new();
    let whole = read_table(&fixture.lake, &place("2024-01")).unwrap();

    let mut unharmed = 0;

    for at in 0..fixture.bytes.len() {
        let mut bytes = fixture.bytes.clone();
        bytes[at] ^= 0x55;
        fixture.put(&bytes);

        let verified = verify_content(&fixture.lake, &place("2024-01"));

        // A flip in the statistics, the page index or the lineage leaves the rows as they were; one in the kept Arrow
        // schema may bring the symbol back as plain strings.
        if let Ok(true) = verified {
            let read = read_table(&fixture.lake, &place("2024-01")).unwrap();
            assert_eq!(read[0].num_rows(), whole[0].num_rows(), "byte {at}");
            for (one, other) in read[0].columns().iter().zip(whole[0].columns()) {
                assert!(
                    one.data_type() != other.data_type() || one == other,
                    "byte {at}"
                );
            }
            unharmed += 1;
        }
    }
    assert!(
        unharmed < fixture.bytes.len() / 2,
        "{unharmed} of {}",
        fixture.bytes.len()
    );
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own() {
    let fixture = Fixture::new();

    let error = read_lineage(&fixture.lake, &place("2024-02")).unwrap_err();

    assert!(
        matches!(&error, LakeError::Io { .. }) && !error.is_disk(),
        "{error:?}"
    );
    assert_eq!(fixture.lake.size(&place("2024-02")).unwrap(), None);
    assert!(error.to_string().contains("2024-02.parquet"), "{error}");
}
