//! The index of the files: an SQLite database beside them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

/// Its name in the folder.
pub(super) const NAME: &str = "cache_index.db";

/// Raised when a table changes.
const FORMAT: &str = "1";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS cache_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS cache_entries (
        id INTEGER PRIMARY KEY,
        market TEXT NOT NULL,
        symbol TEXT NOT NULL,
        interval TEXT NOT NULL,
        date TEXT NOT NULL,
        file_size INTEGER NOT NULL,
        num_records INTEGER NOT NULL,
        last_updated TEXT NOT NULL,
        path TEXT NOT NULL,
        UNIQUE (market, symbol, interval, date)
    );";

/// A file that is not touched keeps its time, unless the index did not know of it as it is.
const PUT: &str = "
    INSERT INTO cache_entries (market, symbol, interval, date, file_size, num_records, last_updated, path)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (market, symbol, interval, date) DO UPDATE SET
        file_size = excluded.file_size,
        num_records = excluded.num_records,
        last_updated = excluded.last_updated,
        path = excluded.path
    WHERE ?9 OR file_size <> excluded.file_size OR num_records <> excluded.num_records OR path <> excluded.path";

const DROP: &str =
    "DELETE FROM cache_entries WHERE market = ?1 AND symbol = ?2 AND interval = ?3 AND date = ?4";

/// Why the index cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite refuses.
    #[error("cannot update {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A database of that name with other tables.
    #[error("{} has other tables than these: move it away, or export to another --to", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
}

/// A day's file, or the place of one that is gone.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub market: &'static str,
    pub symbol: String,
    pub interval: &'static str,
    pub date: String,
    pub path: String,
    pub file: Option<File>,
}

/// What there is to say of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub bytes: u64,
    pub rows: u64,
    pub is_new: bool,
}

/// Takes these entries over, all or none.
///
/// # Errors
///
/// [`IndexError`]; then nothing was changed.
pub(super) fn update(folder: &Path, entries: &[Entry], now: &str) -> Result<(), IndexError> {
    let path = folder.join(NAME);
    let failed = |source| IndexError::Sqlite {
        path: path.clone(),
        source,
    };
    let mut database = Connection::open(&path).map_err(failed)?;
    database
        .busy_timeout(Duration::from_secs(60))
        .map_err(failed)?;
    let transaction = database
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    transaction.execute_batch(TABLES).map_err(failed)?;
    if !is_own(&transaction).map_err(failed)? {
        return Err(IndexError::Foreign { path });
    }
    write(&transaction, entries, now).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The cache of another program has a table of that name, which does not tell markets apart.
fn is_own(database: &Transaction<'_>) -> Result<bool, rusqlite::Error> {
    let market = "SELECT count(*) FROM pragma_table_info('cache_entries') WHERE name = 'market'";
    let format = "SELECT count(*) FROM cache_metadata WHERE key = 'format' AND value <> ?1";
    let has_market: i64 = database.query_row(market, [], |row| row.get(0))?;
    let others: i64 = database.query_row(format, [FORMAT], |row| row.get(0))?;
    Ok(has_market == 1 && others == 0)
}

fn write(database: &Transaction<'_>, entries: &[Entry], now: &str) -> Result<(), rusqlite::Error> {
    let mut put = database.prepare(PUT)?;
    let mut drop = database.prepare(DROP)?;
    for entry in entries {
        let Entry {
            market,
            symbol,
            interval,
            date,
            path,
            file,
        } = entry;
        match file {
            Some(File {
                bytes,
                rows,
                is_new,
            }) => put.execute(params![
                market,
                symbol,
                interval,
                date,
                *bytes as i64,
                *rows as i64,
                now,
                path,
                is_new
            ])?,
            None => drop.execute(params![market, symbol, interval, date])?,
        };
    }
    let meta = "INSERT INTO cache_metadata (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    for (key, value) in [("format", FORMAT), ("last_updated", now)] {
        database.execute(meta, [key, value])?;
    }
    Ok(())
}
