//! The deterministic Parquet writer.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use crate::content::ContentDigest;
use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::lineage::Footer;
use crate::order::OrderCheck;
use crate::parquet_format::{BAR_GROUP_ROWS, EVENT_GROUP_ROWS, PAGE_ROWS, properties};
use crate::paths::LakePath;
use crate::publish::{Part, Published, Staged};

const WRITE_BUFFER: usize = 128 << 10;

/// How a table is cut and ordered. Part of what shapes the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// The columns (times or ids) the rows ascend by; checked row by row.
    pub sort_by: Vec<usize>,
    /// Whether no two rows may agree in all sort columns.
    pub unique: bool,
    /// Every row group has exactly this many rows, the last one fewer. At least 1.
    pub row_group_rows: usize,
}

impl TableOptions {
    /// Bars: one row per time.
    pub fn bars(time_column: usize) -> TableOptions {
        TableOptions {
            sort_by: vec![time_column],
            unique: true,
            row_group_rows: BAR_GROUP_ROWS,
        }
    }

    /// Events: ascending by time, then id; equal rows may stand side by side.
    pub fn events(sort_by: &[usize]) -> TableOptions {
        TableOptions {
            sort_by: sort_by.to_vec(),
            unique: false,
            row_group_rows: EVENT_GROUP_ROWS,
        }
    }
}

/// Writes one table into a hidden [`Part`]. Dropping it removes the part.
///
/// The bytes depend on the rows, the options and the footer, never on how the rows came in batches. Memory: the rows of
/// one row group, and one of its columns encoded. Encoding all columns at once, as [`ArrowWriter`] does, would hold an
/// encoder and a compressor for each: 2 MiB more at the peak of a month of minutes, and 5 ms to get them from the kernel.
pub struct TableWriter {
    place: LakePath,
    part: PathBuf,
    schema: SchemaRef,
    writer: SerializedFileWriter<Destination>,
    encoders: ArrowRowGroupWriterFactory,
    group_rows: usize,
    /// The rows of the current row group, cut where a page ends.
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    order: OrderCheck,
    content: ContentDigest,
}

impl TableWriter {
    /// Begins a table that will be published at `place`.
    ///
    /// Column types: `Int8` to `Int64`, `Float64`, `Boolean`, `Utf8`, `Dictionary(Int32, Utf8)`, and
    /// `Timestamp(Microsecond, "UTC")`. Metadata of the schema and its fields is left out.
    ///
    /// # Errors
    ///
    /// [`LakeError::Table`] for a schema or options the lake does not write; else as [`Part::create`].
    pub fn create(
        lake: &Lake,
        place: &LakePath,
        schema: &Schema,
        options: &TableOptions,
    ) -> Result<TableWriter> {
        TableWriter::begin(place, schema, options, || Part::create(lake, place))
    }

    /// Begins a table in a part of the caller's, which is made once the schema and the options are found fit.
    pub(crate) fn begin(
        place: &LakePath,
        schema: &Schema,
        options: &TableOptions,
        part: impl FnOnce() -> Result<Part>,
    ) -> Result<TableWriter> {
        let refused = |problem: &str| LakeError::Table {
            table: place.to_string(),
            problem: problem.to_owned(),
        };
        if schema.fields().is_empty() {
            return Err(refused("it has no columns"));
        }
        if options.row_group_rows == 0 {
            return Err(refused("row groups of no rows cannot be"));
        }
        let content = ContentDigest::new(place.as_str(), schema)?;
        let order = OrderCheck::new(place.as_str(), schema, &options.sort_by, options.unique)?;
        let schema = plain_schema(schema);
        let part = part()?;
        let part_path = part.shown().to_path_buf();
        let writing = |error| LakeError::writing(&part_path, error);
        let properties =
            properties(&schema, &options.sort_by, options.row_group_rows).map_err(writing)?;
        let destination = Destination(Some(BufWriter::with_capacity(WRITE_BUFFER, part)));
        let (writer, encoders) =
            ArrowWriter::try_new(destination, schema.clone(), Some(properties))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(writing)?;
        Ok(TableWriter {
            place: place.clone(),
            part: part_path,
            schema,
            writer,
            encoders,
            group_rows: options.row_group_rows,
            gathered: Vec::new(),
            gathered_rows: 0,
            order,
            content,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    ///
    /// [`LakeError::Unsorted`] for a row before its predecessor, [`LakeError::Table`] for a batch of another schema,
    /// [`LakeError::Full`], [`LakeError::ReadOnly`] and [`LakeError::Io`] for the disk, what the store says for a
    /// bucket. After an error only dropping makes sense.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| self.refused(&error))?;
        self.order.check(&batch)?;
        self.content.add(&batch)?;
        let mut from = 0;
        while from < batch.num_rows() {
            let page_left = PAGE_ROWS - self.gathered_rows % PAGE_ROWS;
            let group_left = self.group_rows - self.gathered_rows;
            let rows = page_left.min(group_left).min(batch.num_rows() - from);
            self.gathered.push(batch.slice(from, rows));
            self.gathered_rows += rows;
            from += rows;
            if rows == group_left {
                self.write_group()?;
            }
        }
        Ok(())
    }

    /// The rows written so far.
    pub fn rows(&self) -> u64 {
        self.order.rows()
    }

    /// Ends the table and makes its bytes durable; it is still hidden.
    ///
    /// # Errors
    ///
    /// As [`TableWriter::write`] for the disk.
    pub fn finish(mut self, footer: Footer) -> Result<StagedTable> {
        if self.gathered_rows > 0 {
            self.write_group()?;
        }
        let rows = self.rows();
        let content = self.content.finish();
        for entry in footer.key_values(content.clone()) {
            self.writer.append_key_value_metadata(entry);
        }
        // Not `into_inner`: it makes a text of what the disk said, and a full disk would pass for a fault of the table.
        self.writer
            .finish()
            .map_err(|error| LakeError::writing(&self.part, error))?;
        let part = self.writer.inner_mut().0.take();
        let part = part
            .expect("the part is taken here only")
            .into_inner()
            .map_err(|error| LakeError::io("write", &self.part, error.into_error()))?;
        Ok(StagedTable {
            staged: part.stage()?,
            rows,
            content,
        })
    }

    fn write_group(&mut self) -> Result<()> {
        self.write_columns()
            .map_err(|error| LakeError::writing(&self.part, error))?;
        self.gathered.clear();
        self.gathered_rows = 0;
        Ok(())
    }

    /// The gathered rows as a row group, one column after the other.
    fn write_columns(&mut self) -> std::result::Result<(), ParquetError> {
        let index = self.writer.flushed_row_groups().len();
        let encoders = self.encoders.create_column_writers(index)?;
        let mut group = self.writer.next_row_group()?;
        for (at, (mut encoder, field)) in encoders.into_iter().zip(self.schema.fields()).enumerate()
        {
            for batch in &self.gathered {
                for leaf in compute_leaves(field, batch.column(at))? {
                    encoder.write(&leaf)?;
                }
            }
            encoder.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }

    fn refused(&self, problem: &dyn std::fmt::Display) -> LakeError {
        LakeError::Table {
            table: self.place.to_string(),
            problem: problem.to_string(),
        }
    }
}

/// Where the Parquet writer's bytes go, until the part is taken back from it.
struct Destination(Option<BufWriter<Part>>);

impl Destination {
    fn part(&mut self) -> io::Result<&mut BufWriter<Part>> {
        self.0
            .as_mut()
            .ok_or_else(|| io::Error::other("the table is finished"))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.part()?.flush()
    }
}

/// A finished, durable, still hidden table. Dropping it removes it.
#[derive(Debug)]
pub struct StagedTable {
    staged: Staged,
    rows: u64,
    content: String,
}

impl StagedTable {
    /// Where it will be published.
    pub fn place(&self) -> &LakePath {
        self.staged.place()
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.staged.bytes()
    }

    /// How long the store took to make its bytes durable.
    pub fn waited(&self) -> Duration {
        self.staged.waited()
    }

    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest of its rows.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Shows the table to readers, at once and whole.
    ///
    /// # Errors
    ///
    /// As [`Staged::publish`].
    pub fn publish(self) -> Result<Published> {
        self.staged.publish()
    }
}

/// The fields without metadata: maps have no order, and what is in them is not ours.
fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), field.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
