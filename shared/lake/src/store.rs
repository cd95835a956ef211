//! The roles that the two kinds of stores play: a folder of this machine ([`crate::local`]) and a bucket ([`crate::s3`]).
//!
//! All calls may wait for a disk or a network; none may be made where waiting is not allowed.

use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::paths::LakePath;

/// What keeps the files of a lake.
pub(crate) trait Store: Debug + Send + Sync {
    /// The whole store, for messages.
    fn place(&self) -> String;

    /// Where a path lies, for messages: a file, or `s3://bucket/key`.
    fn shown(&self, path: &LakePath) -> PathBuf;

    /// The folder, when the store is one of this machine.
    fn folder(&self) -> Option<&Path>;

    /// The size of a published file; `None` when there is none.
    fn size(&self, path: &LakePath) -> Result<Option<u64>>;

    /// Removes a published file; `false` when there was none.
    fn remove(&self, path: &LakePath) -> Result<bool>;

    /// Removes files that need not be there, at a cost that hardly grows with their number.
    fn remove_all(&self, paths: &[LakePath]) -> Result<()>;

    /// Every file below a folder (`""` for all), in no order, with its size.
    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<()>;

    /// Opens a published file.
    fn open(&self, path: &LakePath) -> Result<Arc<dyn Blob>>;

    /// Begins a file that is hidden until it is published, and gone when it is dropped before.
    fn begin(&self, place: &LakePath) -> Result<Box<dyn Draft>>;

    /// Takes up the one draft of a place that an earlier process left, where the store keeps such; else begins one.
    fn resume(&self, place: &LakePath) -> Result<Box<dyn Draft>>;
}

/// A published file that is read. It is one version of the file, whatever is published meanwhile.
pub(crate) trait Blob: Debug + Send + Sync {
    /// Its size.
    fn size(&self) -> u64;

    /// Exactly these bytes, which lie within the size.
    fn read(&self, from: u64, length: usize) -> Result<Bytes>;
}

/// An unfinished file.
pub(crate) trait Draft: Debug + Send + Write {
    /// Its bytes so far.
    fn bytes(&self) -> u64;

    /// Where it lies, for messages.
    fn shown(&self) -> &Path;

    /// Reads back what an earlier process left in it.
    fn read_back(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// Throws away what was written, to begin again.
    fn restart(&mut self) -> Result<()>;

    /// Hands over all bytes, so that publishing needs room for none.
    fn stage(&mut self) -> Result<()>;

    /// Shows it, at once and whole.
    fn publish(&mut self) -> Result<()>;
}
