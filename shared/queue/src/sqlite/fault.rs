//! What SQLite says, turned into what a caller can do about it.

use rusqlite::ffi;

use crate::QueueError;

/// Why a call on a connection did not succeed.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite could not.
    Sql(rusqlite::Error),
    /// The queue's rules say no.
    Refused(QueueError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Another process holds the lock; the same call can be made again.
    pub(super) fn is_busy(&self) -> bool {
        let Self::Sql(rusqlite::Error::SqliteFailure(error, _)) = self else {
            return false;
        };
        matches!(
            error.code,
            ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked
        )
    }

    /// The error a caller sees.
    pub(super) fn into_error(self, queue: &str, op: &'static str) -> QueueError {
        let error = match self {
            Self::Refused(error) => return error,
            Self::Sql(error) => error,
        };
        let queue = queue.to_owned();
        let rusqlite::Error::SqliteFailure(failure, _) = &error else {
            // Rows that do not read back: a column holds what this code never writes there.
            return QueueError::Damaged {
                queue,
                why: error.to_string(),
            };
        };
        match failure.code {
            // A file that cannot be opened although its folder is there: the folder or the disk is not writable.
            ffi::ErrorCode::DiskFull | ffi::ErrorCode::ReadOnly | ffi::ErrorCode::CannotOpen => {
                QueueError::Full {
                    queue,
                    op,
                    source: error.into(),
                }
            }
            // A full disk shows as an I/O error where a file grows or shrinks by other means.
            _ if is_failed_write(failure.extended_code) => QueueError::Full {
                queue,
                op,
                source: error.into(),
            },
            ffi::ErrorCode::NotADatabase => QueueError::NotAQueue {
                queue,
                why: "not an SQLite file".into(),
            },
            ffi::ErrorCode::DatabaseCorrupt
            | ffi::ErrorCode::ConstraintViolation
            | ffi::ErrorCode::TypeMismatch => QueueError::Damaged {
                queue,
                why: error.to_string(),
            },
            _ => QueueError::Unavailable {
                queue,
                op,
                source: error.into(),
            },
        }
    }
}

fn is_failed_write(extended_code: i32) -> bool {
    matches!(
        extended_code,
        ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMOPEN
    )
}

/// The error for a file or folder the queue needs and cannot have.
pub(super) fn file_error(error: std::io::Error, queue: &str, op: &'static str) -> QueueError {
    use std::io::ErrorKind as Kind;
    let queue = queue.to_owned();
    match error.kind() {
        Kind::StorageFull
        | Kind::QuotaExceeded
        | Kind::ReadOnlyFilesystem
        | Kind::PermissionDenied => QueueError::Full {
            queue,
            op,
            source: error.into(),
        },
        Kind::AlreadyExists | Kind::NotADirectory => QueueError::NotAQueue {
            queue,
            why: format!("a file is in the place of a folder: {error}"),
        },
        _ => QueueError::Unavailable {
            queue,
            op,
            source: error.into(),
        },
    }
}
