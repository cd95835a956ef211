//! Tells whether the process behind a lease still lives.
//!
//! Each open queue holds an OS lock on a file of its own. The system frees it however the process
//! ends, so whoever can take the lock knows that nobody holds the leases any more.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// This open queue's own lock, held until dropped.
#[derive(Debug)]
pub(super) struct Presence {
    folder: PathBuf,
    holder: String,
    file: Mutex<File>,
}

impl Presence {
    /// Takes a fresh lock beside the queue file, and removes those of processes that are gone.
    pub(super) fn take(queue: &Path) -> io::Result<Self> {
        let mut folder = queue.as_os_str().to_owned();
        folder.push(".locks");
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder)?;
        sweep(&folder)?;
        let holder = Uuid::new_v4().simple().to_string();
        let file = Mutex::new(lock_new(&lock_path(&folder, &holder))?);
        Ok(Self {
            folder,
            holder,
            file,
        })
    }

    /// The name leases record.
    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// Puts the lock file back when someone deleted it, or others would think this process gone.
    pub(super) fn renew(&self) -> io::Result<()> {
        let path = lock_path(&self.folder, &self.holder);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_at(&file, &path) {
            fs::create_dir_all(&self.folder)?;
            *file = lock_new(&path)?;
        }
        Ok(())
    }

    /// Those of `holders` whose process is gone. Their files are removed.
    pub(super) fn gone(&self, holders: HashSet<String>) -> Vec<String> {
        let others = holders.into_iter().filter(|holder| *holder != self.holder);
        others
            .filter(|holder| remove_if_free(&lock_path(&self.folder, holder)))
            .collect()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // Nothing depends on it: a file left behind is swept by the next process.
        let _ = fs::remove_file(lock_path(&self.folder, &self.holder));
    }
}

fn lock_path(folder: &Path, holder: &str) -> PathBuf {
    folder.join(format!("{holder}.lock"))
}

/// Creates and locks a file. Others may remove it between the two steps, so it looks again.
fn lock_new(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)?;
        file.lock()?;
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Whether `path` still names this file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => identity(ours) == identity(theirs),
        _ => false,
    }
}

/// Removes a lock file nobody holds; true when it was free or not there at all.
fn remove_if_free(path: &Path) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    match file.try_lock() {
        Ok(()) => {
            // Still locked here, so no other process can take it for its own meanwhile.
            let _ = fs::remove_file(path);
            true
        }
        // When in doubt it lives: its leases run out in time.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            remove_if_free(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(holder: &str) -> HashSet<String> {
        HashSet::from([holder.to_owned()])
    }

    #[test]
    fn two_open_queues_of_one_process_do_not_think_each_other_gone() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("queue.db");
        let first = Presence::take(&queue).unwrap();

        let second = Presence::take(&queue).unwrap();

        assert!(first.gone(one(second.holder())).is_empty());
        assert!(second.gone(one(first.holder())).is_empty());
    }

    #[test]
    fn a_closed_queue_is_gone_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("queue.db");
        let first = Presence::take(&queue).unwrap();
        let second = Presence::take(&queue).unwrap();
        let second_holder = second.holder().to_owned();

        drop(second);

        assert_eq!(first.gone(one(&second_holder)), [second_holder]);
        assert_eq!(
            fs::read_dir(folder.path().join("queue.db.locks"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn a_deleted_lock_file_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("queue.db");
        let first = Presence::take(&queue).unwrap();
        let second = Presence::take(&queue).unwrap();
        fs::remove_dir_all(folder.path().join("queue.db.locks")).unwrap();

        first.renew().unwrap();

        assert!(second.gone(one(first.holder())).is_empty());
    }

    #[test]
    fn lock_files_of_dead_processes_are_swept_when_a_queue_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let locks = folder.path().join("queue.db.locks");
        fs::create_dir_all(&locks).unwrap();
        fs::write(locks.join("left-behind.lock"), "").unwrap();

        let presence = Presence::take(&folder.path().join("queue.db")).unwrap();

        let left: Vec<_> = fs::read_dir(&locks)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(left, [lock_path(&locks, presence.holder())]);
    }
}
