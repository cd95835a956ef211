//! A published table held against what its own rows and footer give when they are written once more.
//!
//! The same rows and footer give the same bytes, so that a file either is what they give, to the last bit, or was changed
//! after it was written: also where no row shows it.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::lineage::{Footer, Lineage};
use crate::paths::LakePath;
use crate::publish::Part;
use crate::reader::TableReader;
use crate::store::{Blob, Draft};
use crate::writer::{TableOptions, TableWriter};

/// Read at once of what is compared: in a bucket each read is a request.
const WINDOW: u64 = 4 << 20;

/// What a file was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// What its rows and its footer give, to the last bit.
    Whole,
    /// Its columns are not those of its table.
    Columns(String),
    /// Its rows do not ascend as its table's do, or repeat.
    Order(String),
    /// Its rows are not those that its footer names.
    Rows,
    /// Its rows are those that its footer names, and its bytes are not what they give.
    Bytes,
}

/// Reads a published table, and writes it once more to nowhere, comparing. Gives out the batches on the way, and what the
/// footer says; a file whose columns or order are found wrong is not read further.
///
/// # Errors
///
/// As [`TableReader::open`]; damage met on the way is [`LakeError::Damaged`].
pub fn prove(
    lake: &Lake,
    path: &LakePath,
    schema: &Schema,
    options: &TableOptions,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(Lineage, Proof)> {
    let reader = TableReader::open(lake, path)?;
    let lineage = reader.lineage().clone();
    let twin = Arc::new(Twin::default());
    let file = reader.file();
    let comparison = Comparison::new(file.blob().clone(), file.path().to_path_buf(), twin.clone());
    let mut writer = TableWriter::begin(path, schema, options, || {
        Ok(Part::of(Box::new(comparison), path))
    })?;
    for batch in reader {
        let batch = batch?;
        match writer.write(&batch) {
            Ok(()) => each(&batch),
            Err(LakeError::Unsorted { row, columns, .. }) => {
                let why = format!("row {row} is not above the one before it by {columns}");
                return Ok((lineage, Proof::Order(why)));
            }
            Err(LakeError::Table { problem, .. }) => {
                return Ok((lineage, Proof::Columns(problem)));
            }
            Err(error) => return Err(error),
        }
    }
    let footer = Footer {
        settings: lineage.settings.clone(),
        sources: lineage.sources.clone(),
        quality: lineage.quality.clone(),
    };
    let again = writer.finish(footer)?;
    let proof = if again.content() != lineage.content {
        Proof::Rows
    } else if twin.differs.load(Ordering::Relaxed) {
        Proof::Bytes
    } else {
        Proof::Whole
    };
    Ok((lineage, proof))
}

/// What is known of two files so far.
#[derive(Debug, Default)]
struct Twin {
    differs: AtomicBool,
}

/// Takes bytes and keeps none: they are compared with those of a file.
struct Comparison {
    file: Arc<dyn Blob>,
    shown: PathBuf,
    twin: Arc<Twin>,
    written: u64,
    /// A piece of the file, and where it begins.
    window: Bytes,
    window_at: u64,
}

impl Comparison {
    fn new(file: Arc<dyn Blob>, shown: PathBuf, twin: Arc<Twin>) -> Self {
        Self {
            file,
            shown,
            twin,
            written: 0,
            window: Bytes::new(),
            window_at: 0,
        }
    }

    fn compare(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut at = self.written;
        self.written += bytes.len() as u64;
        while !bytes.is_empty() && !self.twin.differs.load(Ordering::Relaxed) {
            let end = self.window_at + self.window.len() as u64;
            if at == end {
                let left = self.file.size().saturating_sub(at).min(WINDOW);
                self.window = self.file.read(at, left as usize)?;
                self.window_at = at;
            }
            let from = (at - self.window_at) as usize;
            let of_file = &self.window[from..];
            let length = bytes.len().min(of_file.len());
            if length == 0 || bytes[..length] != of_file[..length] {
                self.twin.differs.store(true, Ordering::Relaxed);
            }
            bytes = &bytes[length..];
            at += length as u64;
        }
        Ok(())
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Comparison").field(&self.shown).finish()
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.compare(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for Comparison {
    fn bytes(&self) -> u64 {
        self.written
    }

    fn shown(&self) -> &Path {
        &self.shown
    }

    fn read_back(&mut self, _take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.written = 0;
        Ok(())
    }

    /// The file may be longer than what its rows give.
    fn stage(&mut self) -> Result<()> {
        if self.written != self.file.size() {
            self.twin.differs.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// There is nothing to show: it is not published.
    fn publish(&mut self) -> Result<()> {
        Ok(())
    }
}
