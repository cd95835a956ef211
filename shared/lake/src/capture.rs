//! Captures: files that collectors wrote, which are no tables. They lie by the day they were flushed on, hold many symbols,
//! and are read in the order of their footers.

use std::io::Read;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::content_reader::OpenFile;
use crate::error::{LakeError, Result};
use crate::guard::guarded;
use crate::lake::Lake;
use crate::lineage::check_frame;
use crate::paths::LakePath;

/// Rows of a batch: levels of some hundred updates fit the caches.
const BATCH_ROWS: usize = 1024;

impl Lake {
    /// Every file below a folder such as `orderbook/date=2025-09-22`, and its size, ordered by path. Hidden ones are not
    /// finished and left out.
    ///
    /// # Errors
    ///
    /// As [`Lake::tables`].
    pub fn captures(&self, folder: &str) -> Result<Vec<(LakePath, u64)>> {
        let mut files = Vec::new();
        self.store().list(folder, &mut |path, bytes| {
            if let Ok(path) = LakePath::parse(path)
                && !path.file_name().starts_with('.')
            {
                files.push((path, bytes));
            }
        })?;
        files.sort();
        Ok(files)
    }

    /// Opens a Parquet file of a capture and reads its footer.
    ///
    /// # Errors
    ///
    /// [`LakeError::NotParquet`], [`LakeError::CutShort`] and [`LakeError::Damaged`] for the file; else as
    /// [`Lake::read`].
    pub fn open_capture(&self, path: &LakePath) -> Result<Capture> {
        let file = OpenFile::open(self, path)?;
        check_frame(&file)?;
        let builder = guarded(file.path(), || {
            ParquetRecordBatchReaderBuilder::try_new(file.clone())
                .map_err(|error| file.explain(&error))
        })?;
        Ok(Capture { file, builder })
    }

    /// An error about a published file: what it holds is not what it should be.
    pub fn damaged(&self, path: &LakePath, problem: &dyn std::fmt::Display) -> LakeError {
        LakeError::damaged(&self.store().shown(path), problem)
    }

    /// The bytes of a published file, from the first on.
    ///
    /// # Errors
    ///
    /// As [`Lake::read`].
    pub fn bytes_of(&self, path: &LakePath) -> Result<impl Read + use<>> {
        use parquet::file::reader::ChunkReader;

        let file = OpenFile::open(self, path)?;
        file.get_read(0).map_err(|error| file.explain(&error))
    }
}

/// Whether a path is that of a capture: `{dataset}/date={day}/{dataset}_…`, in the folder of a market or not.
pub(crate) fn is_capture(path: &str) -> bool {
    let mut segments = path.rsplit('/');
    let (Some(file), Some(day), Some(dataset)) =
        (segments.next(), segments.next(), segments.next())
    else {
        return false;
    };
    let is_in_place = match (segments.next(), segments.next()) {
        (None, _) => true,
        (Some(market), None) => matches!(market, "cm" | "spot"),
        _ => false,
    };
    let is_of_dataset = file
        .strip_prefix(dataset)
        .is_some_and(|rest| rest.starts_with('_'));
    is_in_place && is_of_dataset && day.starts_with("date=")
}

/// An opened Parquet file of a capture.
#[derive(Debug)]
pub struct Capture {
    file: OpenFile,
    builder: ParquetRecordBatchReaderBuilder<OpenFile>,
}

impl Capture {
    /// The value of a key of the footer.
    pub fn key(&self, key: &str) -> Option<&str> {
        let footer = self.builder.metadata().file_metadata();
        let entries = footer.key_value_metadata().into_iter().flatten();
        let entry = entries.into_iter().find(|entry| entry.key == key)?;
        entry.value.as_deref()
    }

    /// The columns and their types.
    pub fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    /// Its rows in batches, in their order, with these columns, in the file's order; names that it has none of are passed
    /// over.
    ///
    /// # Errors
    ///
    /// As [`Lake::open_capture`].
    pub fn batches(self, columns: &[&str]) -> Result<CaptureBatches> {
        let Capture { file, builder } = self;
        let fields = builder.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| columns.contains(&field.name().as_str()));
        let wanted = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at));
        let batches = guarded(file.path(), || {
            let builder = builder.with_projection(wanted).with_batch_size(BATCH_ROWS);
            builder.build().map_err(|error| file.explain(&error))
        })?;
        Ok(CaptureBatches {
            file,
            batches: Some(batches),
        })
    }
}

/// The rows of a capture's file.
pub struct CaptureBatches {
    file: OpenFile,
    /// `None` once it ended or failed.
    batches: Option<ParquetRecordBatchReader>,
}

impl Iterator for CaptureBatches {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_known_by_their_place() {
        for path in [
            "orderbook/date=2025-09-22/orderbook_20250922T101512123456_0123abcd.parquet",
            "cm/klines_1m_live/date=2025-09-22/klines_1m_live_20250922T101512123456_0123abcd.parquet",
            "spot/ledger/date=2025-09-22/ledger_20250922.jsonl",
        ] {
            assert!(is_capture(path), "{path}");
        }
        for path in [
            "orderbook/orderbook_20250922.parquet",
            "orderbook/date=2025-09-22/other_20250922.parquet",
            "raw/orderbook/date=2025-09-22/orderbook_20250922.parquet",
            "klines_1m/um/BTCUSDT/2024-01.parquet",
        ] {
            assert!(!is_capture(path), "{path}");
        }
    }

    #[test]
    fn captures_are_listed_and_are_no_strays() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let day = folder.path().join("orderbook/date=2025-09-22");
        std::fs::create_dir_all(&day).unwrap();
        let name = "orderbook_20250922T101512123456_0123abcd.parquet";
        std::fs::write(day.join(name), "rows").unwrap();
        std::fs::write(day.join(format!(".{name}.0123.part")), "ro").unwrap();
        std::fs::write(day.join("notes.parquet"), "else").unwrap();

        let files = lake.captures("orderbook/date=2025-09-22").unwrap();

        let names: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (path.file_name(), *bytes))
            .collect();
        assert_eq!(names, [("notes.parquet", 4), (name, 4)]);
        assert_eq!(
            lake.strays().unwrap(),
            ["orderbook/date=2025-09-22/notes.parquet"]
        );
        assert_eq!(lake.captures("orderbook/date=2025-09-23").unwrap(), []);
        let refused = lake.open_capture(&files[1].0).unwrap_err().to_string();
        assert!(
            refused.contains(name) && refused.contains("not a parquet file"),
            "{refused}"
        );
    }
}
