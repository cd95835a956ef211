//! Where `--output` points.

use std::fmt;
use std::path::{Path, PathBuf};

/// A folder of this machine, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPlace {
    /// A folder, which need not be there yet.
    Folder(PathBuf),
    /// `s3://…`, or what else looks like an address and is refused later.
    Address(String),
}

impl OutputPlace {
    /// The folder, unless it is an address.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Address(_) => None,
        }
    }

    /// The queue that lies in the output when none is named.
    #[must_use]
    pub fn own_queue(&self) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join("queue.db"))
    }
}

impl From<PathBuf> for OutputPlace {
    fn from(path: PathBuf) -> Self {
        match path.to_str() {
            Some(text) if text.contains("://") => Self::Address(text.to_owned()),
            _ => Self::Folder(path),
        }
    }
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}
