//! What can go wrong in the lake, cut by what a caller can do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

/// Shorthand for this crate's results.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;

/// Why the lake refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The disk or the quota is full: no fault of the task. Hand it back and tell the operator.
    #[error("no space left for {}: free some, or choose another place (--output, or --to of an export)", path.display())]
    Full {
        /// The file that did not fit.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The place may not be written (or read): no fault of the task either.
    #[error("no permission for {}: make it accessible, or choose another place (--output, or --to of an export)", path.display())]
    ReadOnly {
        /// The file or folder that refused.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The step that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An `s3://` address, or a setting of the environment for it, that cannot be used.
    #[error("{place}: {problem}")]
    Address {
        /// The address or the setting.
        place: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// There is no such bucket. An outage: tasks wait until there is one.
    #[error(
        "cannot {doing} {place}: there is no bucket {bucket}: create it, or check --output and AWS_ENDPOINT_URL"
    )]
    NoBucket {
        /// The bucket.
        bucket: String,
        /// The step that failed.
        doing: &'static str,
        /// `s3://bucket/key`.
        place: String,
    },
    /// The store does not let us: credentials, rights, or a bucket of another region. An outage as well.
    #[error(
        "cannot {doing} {place}: the store refuses ({problem}): check the AWS_* credentials, AWS_REGION and the bucket's policy"
    )]
    Refused {
        /// The step that failed.
        doing: &'static str,
        /// `s3://bucket/key`.
        place: String,
        /// What the store said.
        problem: String,
    },
    /// The store does not answer, or has no time for us, after all repetitions. An outage: it heals by itself.
    #[error(
        "cannot {doing} {place}: the store does not answer ({problem}): check AWS_ENDPOINT_URL and the network, or wait"
    )]
    Unreachable {
        /// The step that failed.
        doing: &'static str,
        /// `s3://bucket/key`.
        place: String,
        /// What was met.
        problem: String,
    },
    /// Any other answer of a store: about this one object, or not to be understood.
    #[error("cannot {doing} {place}: {problem}")]
    Store {
        /// The step that failed.
        doing: &'static str,
        /// `s3://bucket/key`.
        place: String,
        /// What the store said.
        problem: String,
    },
    /// Another live process is writing this very part.
    #[error("{} is being written by another process: wait for it or stop it", path.display())]
    Busy {
        /// The locked part.
        path: PathBuf,
    },
    /// A name from outside that may not become a part of a path.
    #[error("{what} {name:?} cannot be a file name: {problem}")]
    Name {
        /// Which name it is: dataset, market, symbol, period, key.
        what: &'static str,
        /// The name, cut to a readable length.
        name: String,
        /// The rule it breaks.
        problem: &'static str,
    },
    /// A table that cannot be written as asked: an unsupported type, a batch of another schema.
    #[error("table {table} cannot be written: {problem}")]
    Table {
        /// The table's path in the lake.
        table: String,
        /// What does not fit.
        problem: String,
    },
    /// A row that breaks the promised order.
    #[error("row {row} of {table} is out of order: sort by {columns} before writing")]
    Unsorted {
        /// The table's path in the lake.
        table: String,
        /// The offending row, from 0.
        row: u64,
        /// The promised sort columns.
        columns: String,
    },
    /// The file is no Parquet file at all.
    #[error("{} is not a parquet file", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
    },
    /// The file begins as Parquet and ends too early.
    #[error("{} is cut short: remove it and mill it again", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
    },
    /// Readable Parquet without this program's footer keys.
    #[error("{} was not written by tapemill: footer key {key} is missing", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The first missing key.
        key: &'static str,
    },
    /// Parquet whose inside cannot be read.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader met.
        problem: String,
    },
}

impl LakeError {
    /// Whether the machine's disk is at fault (full, or not writable) and every other task here would fail alike.
    pub fn is_disk(&self) -> bool {
        matches!(self, LakeError::Full { .. } | LakeError::ReadOnly { .. })
    }

    /// Whether the store takes (or gives) nothing now, whatever the task: wait, and try again. It heals without us.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            LakeError::NoBucket { .. } | LakeError::Refused { .. } | LakeError::Unreachable { .. }
        )
    }

    /// Whether the file is at fault: it is there, and not what we would publish. Milling it again replaces it.
    pub fn is_file(&self) -> bool {
        matches!(
            self,
            LakeError::NotParquet { .. }
                | LakeError::CutShort { .. }
                | LakeError::NotOurs { .. }
                | LakeError::Damaged { .. }
        )
    }

    /// Whether the file is not there at all.
    pub fn is_absent(&self) -> bool {
        match self {
            LakeError::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            ),
            _ => false,
        }
    }

    /// Whether a cleanup beside us may be the cause: it holds a lock for a moment, or took an empty folder away.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            LakeError::Busy { .. } => true,
            LakeError::Io { source, .. } => source.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }

    /// What a failed step of the file system means. An error of ours that came through I/O comes out as it was.
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> LakeError {
        let path = path.to_path_buf();
        let source = match source.downcast::<LakeError>() {
            Ok(ours) => return ours,
            Err(source) => source,
        };
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => LakeError::Full { path, source },
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                LakeError::ReadOnly { path, source }
            }
            _ => LakeError::Io {
                doing,
                path,
                source,
            },
        }
    }

    /// A failure while writing Parquet: of the disk, when an I/O error lies below.
    pub(crate) fn writing(path: &Path, error: ParquetError) -> LakeError {
        match into_io(error) {
            Ok(source) => LakeError::io("write", path, source),
            Err(error) => LakeError::Table {
                table: path.display().to_string(),
                problem: one_line(&error),
            },
        }
    }

    pub(crate) fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> LakeError {
        LakeError::Damaged {
            path: path.to_path_buf(),
            problem: one_line(problem),
        }
    }
}

fn into_io(error: ParquetError) -> std::result::Result<io::Error, ParquetError> {
    match error {
        ParquetError::External(inner) => inner
            .downcast::<io::Error>()
            .map(|found| *found)
            .map_err(ParquetError::External),
        other => Err(other),
    }
}

/// A message of a foreign library as one bounded line.
pub(crate) fn one_line(problem: &dyn std::fmt::Display) -> String {
    const LONGEST: usize = 300;
    let text = problem.to_string();
    let mut line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST + 1)
        .collect();
    if line.chars().count() > LONGEST {
        line.pop();
        line.push('…');
    }
    line
}
