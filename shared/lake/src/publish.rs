//! From hidden bytes to a visible file.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::paths::LakePath;
use crate::store::Draft;

/// An unfinished file: in a folder a hidden part, held with a file lock while it lives, so that a cleanup can tell it
/// from a leftover; in a bucket bytes in memory or an upload that is not completed.
///
/// Dropping it removes it, unless it was opened with [`Part::resume`] in a folder.
pub struct Part {
    draft: Box<dyn Draft>,
    place: LakePath,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draft.fmt(f)
    }
}

impl Part {
    /// Begins a file that will be published at `place`; in a folder as a hidden `.{name}.{unique}.part` beside it.
    ///
    /// # Errors
    ///
    /// [`LakeError::Full`] and [`LakeError::ReadOnly`] for the disk, [`LakeError::Io`] for the rest. A bucket is not
    /// asked before there are bytes for it.
    pub fn create(lake: &Lake, place: &LakePath) -> Result<Part> {
        Ok(Part {
            draft: lake.store().begin(place)?,
            place: place.clone(),
        })
    }

    /// Opens the one resumable part of `place`, `{name}.part`, at its end. Dropping it keeps what was written.
    ///
    /// A bucket keeps no parts across processes: there it is as [`Part::create`].
    ///
    /// # Errors
    ///
    /// [`LakeError::Busy`] while another process (or task) holds it; else as [`Part::create`].
    pub fn resume(lake: &Lake, place: &LakePath) -> Result<Part> {
        Ok(Part {
            draft: lake.store().resume(place)?,
            place: place.clone(),
        })
    }

    /// A part of another kind.
    pub(crate) fn of(draft: Box<dyn Draft>, place: &LakePath) -> Part {
        Part {
            draft,
            place: place.clone(),
        }
    }

    /// The bytes in the part so far.
    pub fn bytes(&self) -> u64 {
        self.draft.bytes()
    }

    /// Where the part lies now, for messages.
    pub fn shown(&self) -> &Path {
        self.draft.shown()
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// [`LakeError::Full`], [`LakeError::ReadOnly`] or [`LakeError::Io`] for a disk; what the store says for a bucket.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
            .map_err(|error| LakeError::io("write", self.draft.shown(), error))
    }

    /// Reads back what an earlier process left in a resumable part, chunk by chunk.
    ///
    /// # Errors
    ///
    /// [`LakeError::Io`], or what `take` returns.
    pub fn read_back(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.draft.read_back(&mut take)
    }

    /// Throws away what was written, to begin again.
    ///
    /// # Errors
    ///
    /// [`LakeError::Io`] when the file cannot be emptied.
    pub fn restart(&mut self) -> Result<()> {
        self.draft.restart()
    }

    /// Makes the bytes durable, as far as the store can before it shows them. The file is still hidden.
    ///
    /// # Errors
    ///
    /// [`LakeError::Full`] when the disk only now finds no room; [`LakeError::Io`] for the rest; what the store says
    /// for a bucket.
    pub fn stage(mut self) -> Result<Staged> {
        let started = Instant::now();
        self.draft.stage()?;
        Ok(Staged {
            part: self,
            waited: started.elapsed(),
        })
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

/// A finished, still hidden file. Dropping it removes it, unless its part is resumable.
#[derive(Debug)]
pub struct Staged {
    part: Part,
    waited: Duration,
}

impl Staged {
    /// Where it will be published.
    pub fn place(&self) -> &LakePath {
        &self.part.place
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.part.bytes()
    }

    /// How long the store took to make its bytes durable.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Shows the file to readers, at once and whole; a file of that name is replaced.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`], [`LakeError::Full`] or [`LakeError::Io`] for a disk; a part that could not be renamed
    /// is removed. When only the folder's fsync fails the file is visible already, and publishing it again is harmless.
    /// For a bucket what the store says; the same holds for an answer that is lost.
    pub fn publish(mut self) -> Result<Published> {
        self.part.draft.publish()?;
        Ok(Published {
            bytes: self.part.bytes(),
            path: self.part.place,
        })
    }
}

/// A file readers can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its place in the lake.
    pub path: LakePath,
    /// Its size.
    pub bytes: u64,
}
