//! Carries the write-ahead log back into the file, between calls.
//!
//! SQLite's own checkpoints do not wait for anyone, so under steady load from several processes the
//! log never starts over: it grows, and every commit synchronises the disk for another try.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::thread::wait_politely;

/// Pages in the log that call for a checkpoint: 16 MiB.
const DUE_PAGES: i32 = 4_096;
/// How long a checkpoint waits for others to leave the log. Who reads for longer is no reason to
/// stop; the next checkpoint tries again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Watches the log of a connection that writes.
pub(super) struct Checkpoints {
    /// Pages in the log after the last commit.
    logged: Arc<AtomicI32>,
    due: i32,
}

impl Checkpoints {
    /// Takes the place of SQLite's own checkpoints on this connection.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Self> {
        let logged = Arc::new(AtomicI32::new(0));
        let seen = logged.clone();
        connection.wal_hook(Some(move |_: &mut _, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            logged,
            due: DUE_PAGES,
        })
    }

    /// Makes a checkpoint when the log is long. Nothing is lost when it fails.
    pub(super) fn run_if_due(&mut self, connection: &mut Connection) {
        let logged = self.logged.load(Ordering::Relaxed);
        if logged < self.due {
            self.due = self
                .due
                .min(logged.saturating_add(DUE_PAGES))
                .max(DUE_PAGES);
            return;
        }
        self.due = match start_over(connection) {
            Ok(true) => {
                self.logged.store(0, Ordering::Relaxed);
                DUE_PAGES
            }
            Ok(false) => logged.saturating_add(DUE_PAGES),
            Err(error) => {
                tracing::warn!(%error, "queue log was not carried back, trying again later");
                logged.saturating_add(DUE_PAGES)
            }
        };
    }
}

/// Carries the whole log back, so that the next writer begins it anew; false when others are in
/// the way.
fn start_over(connection: &mut Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(PATIENCE)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| {
        row.get::<_, bool>(0)
    });
    wait_politely(connection)?;
    busy.map(|busy| !busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pages(connection: &Connection, pages: usize) {
        let write = "INSERT INTO filler (bytes) VALUES (zeroblob(4096))";
        connection.execute_batch("BEGIN").unwrap();
        for _ in 0..pages {
            connection.execute(write, []).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }

    #[test]
    fn the_log_starts_over_once_readers_have_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer
            .execute_batch("CREATE TABLE filler (bytes BLOB)")
            .unwrap();
        let mut checkpoints = Checkpoints::watch(&mut writer).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM filler")
            .unwrap();

        write_pages(&writer, DUE_PAGES as usize);
        checkpoints.run_if_due(&mut writer);
        let held_up = checkpoints.due;
        reader.execute_batch("COMMIT").unwrap();
        write_pages(&writer, DUE_PAGES as usize);
        checkpoints.run_if_due(&mut writer);
        write_pages(&writer, 1);

        assert!(held_up > DUE_PAGES, "a reader is in the way");
        assert_eq!(checkpoints.due, DUE_PAGES);
        assert!(
            checkpoints.logged.load(Ordering::Relaxed) < 100,
            "the log did not start over"
        );
    }
}
