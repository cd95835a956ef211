//! Tables read back, batch by batch.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::content_reader::OpenFile;
use crate::error::Result;
use crate::guard::guarded;
use crate::lake::Lake;
use crate::lineage::{Lineage, check_frame, lineage_of};
use crate::parquet_format::BAR_GROUP_ROWS;
use crate::paths::LakePath;
use crate::tables::TIME_COLUMN;

/// A published table, read in batches of bounded size and in the file's order.
pub struct TableReader {
    file: OpenFile,
    lineage: Lineage,
    schema: SchemaRef,
    /// `None` once it ended or failed.
    batches: Option<ParquetRecordBatchReader>,
}

impl TableReader {
    /// Opens a table of ours.
    ///
    /// # Errors
    ///
    /// As [`crate::read_lineage`].
    pub fn open(lake: &Lake, path: &LakePath) -> Result<TableReader> {
        Self::open_with(lake, path, None)
    }

    /// Opens a table of ours for some of its columns, and its time; they come in the file's order, and names that it has
    /// none of are passed over.
    ///
    /// # Errors
    ///
    /// As [`TableReader::open`].
    pub fn open_columns(lake: &Lake, path: &LakePath, columns: &[&str]) -> Result<TableReader> {
        Self::open_with(lake, path, Some(columns))
    }

    fn open_with(lake: &Lake, path: &LakePath, columns: Option<&[&str]>) -> Result<TableReader> {
        let file = OpenFile::open(lake, path)?;
        check_frame(&file)?;
        guarded(file.path(), || {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())
                .map_err(|error| file.explain(&error))?;
            let lineage = lineage_of(builder.metadata(), file.path())?;
            let columns = match columns {
                None => ProjectionMask::all(),
                Some(names) => {
                    let fields = builder.schema().fields().iter().enumerate();
                    let wanted = fields.filter(|(at, field)| {
                        *at == TIME_COLUMN || names.contains(&field.name().as_str())
                    });
                    ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at))
                }
            };
            let batches = builder
                .with_projection(columns)
                .with_batch_size(BAR_GROUP_ROWS)
                .build()
                .map_err(|error| file.explain(&error))?;
            let schema = batches.schema();
            Ok(TableReader {
                file: file.clone(),
                lineage,
                schema,
                batches: Some(batches),
            })
        })
    }

    /// What the footer says.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The file itself, as it was opened.
    pub(crate) fn file(&self) -> &OpenFile {
        &self.file
    }

    /// The columns and their types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for TableReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batches = self.batches.as_mut()?;
        let read = guarded(self.file.path(), || {
            let batch = batches.next().transpose();
            batch.map_err(|error| self.file.explain(&error))
        });
        if !matches!(read, Ok(Some(_))) {
            self.batches = None;
        }
        read.transpose()
    }
}

/// Reads a whole table into memory: right for bars, too much for a month of events (see [`TableReader`]).
///
/// # Errors
///
/// As [`TableReader::open`]; damage met on the way is [`LakeError::Damaged`](crate::LakeError::Damaged).
pub fn read_table(lake: &Lake, path: &LakePath) -> Result<Vec<RecordBatch>> {
    TableReader::open(lake, path)?.collect()
}
