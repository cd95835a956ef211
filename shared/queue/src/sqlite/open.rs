//! Opening a queue file: checks first, so that a file that is something else stays untouched.

use std::fs;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::checkpoint::Checkpoints;
use super::fault::{Fault, file_error};
use super::filesystem::network_kind;
use super::thread::{retry_while_busy, wait_politely};
use crate::QueueError;

/// Marks a file as ours: "tpml".
const APPLICATION_ID: i64 = 0x7470_6d6c;
/// Each script brings the schema from its position to the next.
const SCHEMA: [&str; 3] = [
    include_str!("schema/0001_queue.sql"),
    include_str!("schema/0002_requests.sql"),
    include_str!("schema/0003_weight.sql"),
];
/// Older libraries can lose pages when a checkpoint races a write
/// (<https://sqlite.org/wal.html#walresetbug>).
const OLDEST_LIBRARY: i32 = 3_051_003;
/// The log is cut back to this after a checkpoint.
const LOG_BYTES: i64 = 64 << 20;
const OP: &str = "open it";

/// Checks the place, and creates the folder.
pub(super) fn prepare_place(path: &Path, queue: &str) -> Result<(), QueueError> {
    if rusqlite::version_number() < OLDEST_LIBRARY {
        return Err(QueueError::OldStore {
            queue: queue.to_owned(),
            needs: "SQLite 3.51.3 or later",
            found: rusqlite::version().to_owned(),
        });
    }
    let Some(folder) = path.parent() else {
        return Err(QueueError::NotAQueue {
            queue: queue.to_owned(),
            why: "a folder".into(),
        });
    };
    fs::create_dir_all(folder).map_err(|error| file_error(error, queue, OP))?;
    if let Some(kind) = network_kind(folder) {
        return Err(QueueError::NetworkFilesystem {
            path: queue.to_owned(),
            kind,
        });
    }
    if path.is_dir() {
        return Err(QueueError::NotAQueue {
            queue: queue.to_owned(),
            why: "a folder".into(),
        });
    }
    Ok(())
}

/// Opens the connection that writes, and brings the schema up to date.
pub(super) fn open_writer(
    path: &Path,
    queue: &str,
) -> Result<(Connection, Checkpoints), QueueError> {
    let open = || -> Result<(Connection, Checkpoints), Fault> {
        let mut connection = connect(path)?;
        check_alone(&connection, queue)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A power cut may undo the last commits, which "at least once" covers; it cannot corrupt.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        migrate(&mut connection, queue)?;
        let checkpoints = Checkpoints::watch(&mut connection)?;
        Ok((connection, checkpoints))
    };
    retry_while_busy(OP, open).map_err(|fault| fault.into_error(queue, OP))
}

/// Opens a connection that only reads; writers do not keep it waiting.
pub(super) fn open_reader(path: &Path, queue: &str) -> Result<Connection, QueueError> {
    let open = || -> Result<Connection, Fault> {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    retry_while_busy(OP, open).map_err(|fault| fault.into_error(queue, OP))
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    // Without SQLITE_OPEN_URI: a path that looks like a URI is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    wait_politely(&mut connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Plans do not depend on arguments here, and without this each call would plan again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Checks outside of a transaction, on one state of the file: another process may be making it just now.
fn check_alone(connection: &Connection, queue: &str) -> Result<usize, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    check(&snapshot, queue)
}

/// Refuses a file that is something else, or newer. Returns its schema; 0 means an empty file.
fn check(connection: &Connection, queue: &str) -> Result<usize, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    if application_id == APPLICATION_ID {
        return match usize::try_from(version) {
            Ok(version) if version <= SCHEMA.len() => Ok(version),
            _ => Err(QueueError::NewerSchema {
                queue: queue.to_owned(),
                found: version,
                ours: SCHEMA.len() as i64,
            }
            .into()),
        };
    }
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(tables, [], |row| row.get(0))?;
    if application_id == 0 && tables == 0 {
        return Ok(0);
    }
    let why = "an SQLite file of another program".into();
    Err(QueueError::NotAQueue {
        queue: queue.to_owned(),
        why,
    }
    .into())
}

fn migrate(connection: &mut Connection, queue: &str) -> Result<(), Fault> {
    if check_alone(connection, queue)? == SCHEMA.len() {
        return Ok(());
    }
    // Two processes may come here at once: the second finds the work done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = check(&transaction, queue)?;
    for script in &SCHEMA[version..] {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA.len() as i64)?;
    transaction.commit()?;
    Ok(())
}
