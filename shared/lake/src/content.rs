//! The digest of a table: what is in it, whatever the row groups, pages, encodings and compression.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};
use sha2::{Digest, Sha256};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::lineage::Lineage;
use crate::paths::LakePath;
use crate::reader::TableReader;

/// The digest of a table in memory, as 64 hexadecimal digits.
///
/// One SHA-256 over the columns' SHA-256s in order. A column's runs over
///
/// * its name, then its kind (`int64`, `float64`, `timestamp_us_utc`, `bool`, `utf8`), each as its length in bytes
///   (u32) and the bytes. Smaller integers are `int64`, a dictionary of strings is `utf8`;
/// * then per row one byte, 1 for a value and 0 for null, and the value: 8 bytes, integers as two's complement, times
///   in microseconds, doubles by their bits, booleans as 0 and 1; a string as its length in bytes (u32) and the bytes.
///   A null's value is zero, or the empty string.
///
/// All numbers are little-endian. In Python:
///
/// ```python
/// import hashlib, struct, sys
/// import numpy as np, pyarrow as pa, pyarrow.parquet as pq
///
/// def content(path):
///     text = lambda value: struct.pack("<I", len(value)) + value
///     table, columns = pq.read_table(path, partitioning=None), b""
///     for field, column in zip(table.schema, table.columns):
///         kind = getattr(field.type, "value_type", field.type)
///         name = {pa.float64(): "float64", pa.bool_(): "bool", pa.string(): "utf8",
///                 pa.timestamp("us", "UTC"): "timestamp_us_utc"}.get(kind, "int64")
///         digest = hashlib.sha256(text(field.name.encode()) + text(name.encode()))
///         if name == "utf8":
///             for value in column.to_pylist():
///                 digest.update(bytes([value is not None]) + text((value or "").encode()))
///         else:
///             number = "<f8" if name == "float64" else "<i8"
///             rows = np.zeros(len(column), [("valid", "u1"), ("value", number)])
///             rows["valid"] = column.is_valid().to_numpy()
///             plain = column if name == "float64" else column.cast(pa.int64())
///             rows["value"] = plain.fill_null(0).to_numpy()
///             digest.update(rows.tobytes())
///         columns += digest.digest()
///     return hashlib.sha256(columns).hexdigest()
///
/// for path in sys.argv[1:]:
///     print(content(path) == pq.read_metadata(path).metadata[b"tapemill.content"].decode(), path)
/// ```
///
/// # Errors
///
/// [`LakeError::Table`] for a column type outside the list, or batches of different schemas.
pub fn content_of(schema: &Schema, batches: &[RecordBatch]) -> Result<String> {
    let mut digest = ContentDigest::new("in memory", schema)?;
    for batch in batches {
        digest.add(batch)?;
    }
    Ok(digest.finish())
}

/// Reads a published table and tells whether its rows are those its footer names.
///
/// # Errors
///
/// As [`TableReader::open`]; damage met on the way is [`LakeError::Damaged`].
pub fn verify_content(lake: &Lake, path: &LakePath) -> Result<bool> {
    read_verified(lake, path, |_| ()).map(|(_, whole)| whole)
}

/// As [`verify_content`], and gives out the batches on the way and what the footer says.
///
/// # Errors
///
/// As [`verify_content`].
pub fn read_verified(
    lake: &Lake,
    path: &LakePath,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(Lineage, bool)> {
    let mut reader = TableReader::open(lake, path)?;
    let mut digest = ContentDigest::new(path.as_str(), reader.schema())?;
    for batch in &mut reader {
        let batch = batch?;
        digest.add(&batch)?;
        each(&batch);
    }
    let lineage = reader.lineage().clone();
    let whole = digest.finish() == lineage.content;
    Ok((lineage, whole))
}

/// The digest of a table while its batches pass by.
pub(crate) struct ContentDigest {
    table: String,
    columns: Vec<Sha256>,
    types: Vec<DataType>,
    /// One column's rows of one batch, reused.
    scratch: Vec<u8>,
}

impl ContentDigest {
    pub fn new(table: &str, schema: &Schema) -> Result<ContentDigest> {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let kind = kind(field.data_type()).ok_or_else(|| LakeError::Table {
                table: table.to_owned(),
                problem: format!(
                    "column {} has the unsupported type {}",
                    field.name(),
                    field.data_type()
                ),
            })?;
            let mut head = Vec::new();
            push_text(&mut head, field.name());
            push_text(&mut head, kind);
            columns.push(Sha256::new_with_prefix(head));
        }
        Ok(ContentDigest {
            table: table.to_owned(),
            columns,
            types: schema
                .fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect(),
            scratch: Vec::new(),
        })
    }

    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let fits = batch.num_columns() == self.types.len()
            && (batch.columns().iter())
                .zip(&self.types)
                .all(|(column, expected)| column.data_type() == expected);
        if !fits {
            return Err(LakeError::Table {
                table: self.table.clone(),
                problem: "a batch has another schema".to_owned(),
            });
        }
        for (digest, column) in self.columns.iter_mut().zip(batch.columns()) {
            self.scratch.clear();
            push_rows(&mut self.scratch, column);
            digest.update(&self.scratch);
        }
        Ok(())
    }

    pub fn finish(self) -> String {
        let mut whole = Sha256::new();
        for column in self.columns {
            whole.update(column.finalize());
        }
        whole
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The kind of a column in the digest; `None` for a type the lake does not write.
fn kind(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some("int64"),
        DataType::Float64 => Some("float64"),
        DataType::Boolean => Some("bool"),
        DataType::Utf8 => Some("utf8"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            Some("timestamp_us_utc")
        }
        DataType::Dictionary(index, value) if **index == DataType::Int32 => {
            (**value == DataType::Utf8).then_some("utf8")
        }
        _ => None,
    }
}

fn push_rows(rows: &mut Vec<u8>, column: &ArrayRef) {
    match column.data_type() {
        DataType::Int8 => {
            push_numbers::<Int8Type>(rows, column, |value| (value as i64).to_le_bytes())
        }
        DataType::Int16 => {
            push_numbers::<Int16Type>(rows, column, |value| (value as i64).to_le_bytes())
        }
        DataType::Int32 => {
            push_numbers::<Int32Type>(rows, column, |value| (value as i64).to_le_bytes())
        }
        DataType::Int64 => push_numbers::<Int64Type>(rows, column, i64::to_le_bytes),
        DataType::Float64 => push_numbers::<Float64Type>(rows, column, f64::to_le_bytes),
        DataType::Timestamp(..) => {
            push_numbers::<TimestampMicrosecondType>(rows, column, i64::to_le_bytes);
        }
        DataType::Boolean => {
            for value in column.as_boolean() {
                push_number(rows, value.map(|value| i64::from(value).to_le_bytes()));
            }
        }
        DataType::Utf8 => {
            for value in column.as_string::<i32>() {
                push_string(rows, value);
            }
        }
        DataType::Dictionary(..) => push_dictionary(rows, column.as_dictionary::<Int32Type>()),
        other => unreachable!("{other} was refused when the digest was made"),
    }
}

fn push_numbers<T: ArrowPrimitiveType>(
    rows: &mut Vec<u8>,
    column: &ArrayRef,
    bytes: impl Fn(T::Native) -> [u8; 8],
) {
    let column = column.as_primitive::<T>();
    if column.null_count() == 0 {
        let before = rows.len();
        rows.resize(before + 9 * column.len(), 1);
        for (row, value) in rows[before..]
            .as_chunks_mut::<9>()
            .0
            .iter_mut()
            .zip(column.values())
        {
            row[1..].copy_from_slice(&bytes(*value));
        }
    } else {
        for value in column {
            push_number(rows, value.map(&bytes));
        }
    }
}

fn push_number(rows: &mut Vec<u8>, value: Option<[u8; 8]>) {
    let mut row = [0; 9];
    if let Some(value) = value {
        row[0] = 1;
        row[1..].copy_from_slice(&value);
    }
    rows.extend_from_slice(&row);
}

fn push_dictionary(rows: &mut Vec<u8>, column: &DictionaryArray<Int32Type>) {
    let strings = column.values().as_string::<i32>();
    for key in column.keys() {
        let value = key
            .map(|key| key as usize)
            .filter(|key| strings.is_valid(*key))
            .map(|key| strings.value(key));
        push_string(rows, value);
    }
}

fn push_string(rows: &mut Vec<u8>, value: Option<&str>) {
    rows.push(u8::from(value.is_some()));
    push_text(rows, value.unwrap_or_default());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
