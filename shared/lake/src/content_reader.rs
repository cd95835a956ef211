//! A published file as the Parquet reader wants it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::paths::LakePath;
use crate::store::Blob;

/// Bytes asked for at a time where the reader does not say how many it wants.
const AHEAD: usize = 64 << 10;

/// A published file, its place for messages, and what its store last failed with.
///
/// The Parquet reader keeps only the text of an error. Whether the store or the file is at fault is kept here.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    blob: Arc<dyn Blob>,
    path: PathBuf,
    failure: Arc<Mutex<Option<LakeError>>>,
}

impl OpenFile {
    pub fn open(lake: &Lake, path: &LakePath) -> Result<OpenFile> {
        let (blob, path) = lake.open_file(path)?;
        Ok(OpenFile {
            blob,
            path,
            failure: Arc::default(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn blob(&self) -> &Arc<dyn Blob> {
        &self.blob
    }

    pub fn size(&self) -> u64 {
        self.blob.size()
    }

    pub fn read(&self, from: u64, length: usize) -> Result<Bytes> {
        self.blob.read(from, length)
    }

    /// What an error of the Parquet reader means: the store's failure if there was one, else damage.
    pub fn explain(&self, error: &dyn std::fmt::Display) -> LakeError {
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.unwrap_or_else(|| LakeError::damaged(&self.path, error))
    }

    fn keep(&self, error: LakeError) -> io::Error {
        let text = io::Error::other(error.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        text
    }
}

impl Length for OpenFile {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for OpenFile {
    type T = FileRead;

    fn get_read(&self, start: u64) -> Result<FileRead, ParquetError> {
        Ok(FileRead {
            file: self.clone(),
            at: start,
            ahead: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let is_within = start
            .checked_add(length as u64)
            .is_some_and(|end| end <= self.size());
        if !is_within {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} on are more than there are"
            )));
        }
        self.read(start, length)
            .map_err(|error| ParquetError::from(self.keep(error)))
    }
}

/// The file from one place on.
#[derive(Debug)]
pub(crate) struct FileRead {
    file: OpenFile,
    at: u64,
    ahead: Bytes,
}

impl Read for FileRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let left = self.file.size().saturating_sub(self.at);
            let length = usize::try_from(left).unwrap_or(AHEAD).min(AHEAD);
            let read = self.file.read(self.at, length);
            self.ahead = read.map_err(|error| self.file.keep(error))?;
            self.at += length as u64;
        }
        let length = buffer.len().min(self.ahead.len());
        buffer[..length].copy_from_slice(&self.ahead.split_to(length));
        Ok(length)
    }
}
