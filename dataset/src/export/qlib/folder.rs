//! A folder that is replaced as a whole: who reads it sees the old files or the new ones, never some of each.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags};
use tapemill_lake::LakeError;

use super::ExportError;

/// What Qlib keeps of values that it read: of the old ones.
const CACHES: [&str; 3] = ["features_cache", "dataset_cache", "calendar_cache"];

/// The next content of a folder, beside it. Dropping it leaves the folder as it was.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    next: PathBuf,
    /// Held as long as the replacement is: after it is gone nobody else's may be touched.
    _lock: Lock,
}

impl Replacement {
    /// Begins it, and removes what one that was killed has left.
    ///
    /// # Errors
    ///
    /// [`ExportError::Busy`] while another process exports to the same folder; [`ExportError::Folder`] for a place that cannot be
    /// a folder of files; [`ExportError::Lake`] for what the disk says.
    pub fn begin(to: &Path) -> Result<Self, ExportError> {
        let target = absolute(to)?;
        let refused = |problem: &str| ExportError::Folder {
            path: target.clone(),
            problem: problem.to_owned(),
        };
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(refused("it has no folder around it: name another"));
        };
        let name = name.to_string_lossy();
        let hidden = |kind: &str| parent.join(format!(".{name}.tapemill-{kind}"));
        if target.exists() {
            let may_write = rustix::fs::access(&target, Access::WRITE_OK | Access::EXEC_OK);
            may_write.map_err(|error| LakeError::io("write", &target, error.into()))?;
        }
        let lock = Lock::take(&target, hidden("lock"))?;
        let next = hidden("next");
        remove(&next)?;
        fs::create_dir(&next).map_err(|error| LakeError::io("create", &next, error))?;
        Ok(Self {
            target,
            next,
            _lock: lock,
        })
    }

    /// The folder as it is.
    pub fn current(&self) -> &Path {
        &self.target
    }

    /// The folder as it will be.
    pub fn next(&self) -> &Path {
        &self.next
    }

    /// Takes a file over as it is.
    pub fn keep(&self, file: &Path) -> Result<(), LakeError> {
        let (from, to) = (self.target.join(file), self.next.join(file));
        if let Some(folder) = to.parent() {
            super::features::make_folder(folder)?;
        }
        // Some file systems know no links.
        fs::hard_link(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(|_| ()))
            .map_err(|error| LakeError::io("link", &from, error))
    }

    /// Takes over what others have put into the folder: all files but `ours`, those that are there already, and caches.
    pub fn keep_others(&self, ours: &BTreeSet<PathBuf>) -> Result<(), LakeError> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let shown = self.target.join(&folder);
            let reading = |error| LakeError::io("read", &shown, error);
            let entries = match fs::read_dir(&shown) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(reading)?,
            };
            for entry in entries {
                let entry = entry.map_err(reading)?;
                let file = folder.join(entry.file_name());
                if entry.file_type().map_err(reading)?.is_dir() {
                    let is_cache = CACHES.iter().any(|cache| file == Path::new(cache));
                    folders.extend((!is_cache).then_some(file));
                } else if !ours.contains(&file) && !self.next.join(&file).exists() {
                    self.keep(&file)?;
                }
            }
        }
        Ok(())
    }

    /// Shows the new folder in place of the old one, at once.
    ///
    /// # Errors
    ///
    /// [`ExportError::Lake`] for what the disk says; [`ExportError::Folder`] where its file system cannot exchange folders. The old
    /// folder is then still there.
    pub fn publish(self) -> Result<(), ExportError> {
        sync(&self.next)?;
        let failed = |error| LakeError::io("publish", &self.target, error);
        if self.target.exists() {
            let mode = fs::metadata(&self.target).map_err(failed)?.permissions();
            fs::set_permissions(&self.next, mode).map_err(failed)?;
            rustix::fs::renameat_with(CWD, &self.next, CWD, &self.target, RenameFlags::EXCHANGE)
                .map_err(|error| match error {
                    rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS => ExportError::Folder {
                        path: self.target.clone(),
                        problem:
                            "its file system cannot exchange two folders at once: name a new folder"
                                .to_owned(),
                    },
                    rustix::io::Errno::BUSY => ExportError::Folder {
                        path: self.target.clone(),
                        problem: "something is mounted there: name a folder within".to_owned(),
                    },
                    error => failed(error.into()).into(),
                })?;
        } else {
            fs::rename(&self.next, &self.target).map_err(failed)?;
        }
        if let Some(parent) = self.target.parent() {
            let synced = File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(failed)?;
        }
        // What is removed with `self` is the old folder now.
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = remove(&self.next);
    }
}

/// The folder itself, where the path is a link to it; its parents are made.
fn absolute(to: &Path) -> Result<PathBuf, ExportError> {
    let failed = |error| LakeError::io("create", to, error);
    if let Ok(target) = to.canonicalize() {
        return Ok(target);
    }
    let Some(name) = to.file_name() else {
        return Err(ExportError::Folder {
            path: to.to_path_buf(),
            problem: "it has no name: name a folder".to_owned(),
        });
    };
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed)?;
    Ok(parent.canonicalize().map_err(failed)?.join(name))
}

fn remove(folder: &Path) -> Result<(), LakeError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LakeError::io("remove", folder, error))
        }
        _ => Ok(()),
    }
}

/// Makes everything below durable: all of the file system in one call, which for thousands of files is faster than one each.
fn sync(folder: &Path) -> Result<(), LakeError> {
    #[cfg(target_os = "linux")]
    let synced = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    #[cfg(not(target_os = "linux"))]
    let synced: io::Result<()> = {
        rustix::fs::sync();
        Ok(())
    };
    synced.map_err(|error| LakeError::io("sync", folder, error))
}

/// A file that one process at a time holds; it is gone when nobody does.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(target: &Path, path: PathBuf) -> Result<Self, ExportError> {
        let failed = |error| LakeError::io("lock", &path, error);
        loop {
            let mut options = File::options();
            let file = options.create(true).write(true).truncate(false);
            let file = file.open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(ExportError::Busy {
                        path: target.to_path_buf(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error).into()),
            }
            // The one before us may have removed the file that we opened.
            if is_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked, so nobody else takes it for its own meanwhile.
        let _ = fs::remove_file(&self.path);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_replaced_as_a_whole_and_keeps_what_others_put_there() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("dump");
        for (round, content) in ["first", "second"].into_iter().enumerate() {
            let replacement = Replacement::begin(&folder).unwrap();
            fs::write(replacement.next().join("ours"), content).unwrap();
            let ours = BTreeSet::from([PathBuf::from("ours"), PathBuf::from("gone")]);
            replacement.keep_others(&ours).unwrap();
            replacement.publish().unwrap();
            if round == 0 {
                fs::write(folder.join("theirs"), "theirs").unwrap();
                fs::write(folder.join("gone"), "ours").unwrap();
                fs::create_dir(folder.join("features_cache")).unwrap();
                fs::write(folder.join("features_cache/old"), "old").unwrap();
            }
        }

        assert_eq!(fs::read_to_string(folder.join("ours")).unwrap(), "second");
        assert_eq!(fs::read_to_string(folder.join("theirs")).unwrap(), "theirs");
        assert!(!folder.join("gone").exists() && !folder.join("features_cache").exists());
        let left: Vec<_> = fs::read_dir(around.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
    }

    #[test]
    fn one_that_is_given_up_leaves_the_folder_as_it_was() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("dump");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("old"), "old").unwrap();

        let replacement = Replacement::begin(&folder).unwrap();
        fs::write(replacement.next().join("new"), "new").unwrap();
        let second = Replacement::begin(&folder).unwrap_err();
        drop(replacement);

        assert!(matches!(second, ExportError::Busy { .. }), "{second}");
        assert!(folder.join("old").exists() && !folder.join("new").exists());
        Replacement::begin(&folder).unwrap();
    }
}
