//! A hidden part on a disk: unique name, lock, fsync, rename, fsync of the folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{LakeError, Result};
use crate::local::folders::{create_folder, sync_folder_of};
use crate::store::Draft;

const SUFFIX: &str = ".part";

/// What is put behind an archive's name for the file that tells which version of it a resumable part holds. The part's
/// lock covers both.
pub const PART_VERSION_SUFFIX: &str = ".version.part";
const READ_BACK: usize = 128 << 10;
const UNIQUE_DIGITS: usize = 16;
/// How often a part is begun again when a cleanup takes its folder or its unlocked file away.
const BEGINNINGS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);

/// An unfinished file. Held with a file lock while it lives, so that a cleanup can tell it from a leftover.
///
/// Dropping it removes the file, unless it was opened with [`LocalPart::resume`].
#[derive(Debug)]
pub(super) struct LocalPart {
    file: File,
    path: PathBuf,
    target: PathBuf,
    bytes: u64,
    on_drop: OnDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Remove,
    /// Kept for a later process, if there is anything in it.
    KeepUnlessEmpty,
    /// It is no longer there under this name.
    Nothing,
}

impl LocalPart {
    /// Begins a file that will be published as `target`: a hidden `.{name}.{unique}.part` in the same folder.
    pub fn create(target: PathBuf) -> Result<LocalPart> {
        let (path, file) = begin(&target, || {
            let unique = RandomState::new().build_hasher().finish();
            let path = target.with_file_name(part_name(&file_name(&target), unique));
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            (path, file)
        })?;
        Ok(LocalPart {
            file,
            path,
            target,
            bytes: 0,
            on_drop: OnDrop::Remove,
        })
    }

    /// Opens the one resumable part of a file, `{name}.part`, at its end. Dropping it keeps what was written.
    pub fn resume(target: PathBuf) -> Result<LocalPart> {
        let path = target.with_file_name(format!("{}{SUFFIX}", file_name(&target)));
        let (path, mut file) = begin(&target, || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            (path.clone(), file)
        })?;
        let bytes = file
            .seek(SeekFrom::End(0))
            .map_err(|error| LakeError::io("read", &path, error))?;
        Ok(LocalPart {
            file,
            path,
            target,
            bytes,
            on_drop: OnDrop::KeepUnlessEmpty,
        })
    }
}

impl Draft for LocalPart {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn shown(&self) -> &Path {
        &self.path
    }

    fn read_back(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut chunk = vec![0; READ_BACK];
        let failed = |path: &Path, error| LakeError::io("read", path, error);
        self.file
            .rewind()
            .map_err(|error| failed(&self.path, error))?;
        loop {
            let read = self
                .file
                .read(&mut chunk)
                .map_err(|error| failed(&self.path, error))?;
            if read == 0 {
                return Ok(());
            }
            take(&chunk[..read])?;
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| LakeError::io("empty", &self.path, error))?;
        self.bytes = 0;
        Ok(())
    }

    fn stage(&mut self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|error| LakeError::io("sync", &self.path, error))
    }

    fn publish(&mut self) -> Result<()> {
        fs::rename(&self.path, &self.target)
            .map_err(|error| LakeError::io("publish", &self.target, error))?;
        self.on_drop = OnDrop::Nothing;
        sync_folder_of(&self.target)
    }
}

impl Write for LocalPart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for LocalPart {
    fn drop(&mut self) {
        let leaves = match self.on_drop {
            OnDrop::Remove => true,
            OnDrop::KeepUnlessEmpty => self.bytes == 0,
            OnDrop::Nothing => false,
        };
        if leaves {
            // A part that stays is found by the next cleanup: its lock is free then.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Names in a lake are ASCII.
fn file_name(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Opens a file with `open` and locks it. A cleanup may hold the lock for a moment, or remove the folder or the file
/// before it is locked: then it is begun again.
fn begin(
    target: &Path,
    mut open: impl FnMut() -> (PathBuf, io::Result<File>),
) -> Result<(PathBuf, File)> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut created = Vec::new();
    let mut beginning = 1;
    loop {
        let failure = match create_folder(folder, &mut created).map(|()| open()) {
            Ok((path, Ok(file))) => match lock(&path, &file)? {
                Lock::Held if is_linked(&path, &file)? => {
                    // Only now: a folder with a held part in it stays, and until here haste keeps retries rare.
                    created
                        .iter()
                        .try_for_each(|folder| sync_folder_of(folder))?;
                    return Ok((path, file));
                }
                Lock::Held => LakeError::io("create", &path, ErrorKind::NotFound.into()),
                Lock::Elsewhere => LakeError::Busy { path },
            },
            Ok((path, Err(error))) => LakeError::io("create", &path, error),
            Err(error) => error,
        };
        if !failure.is_passing() || beginning == BEGINNINGS {
            return Err(failure);
        }
        beginning += 1;
        thread::sleep(PAUSE);
    }
}

enum Lock {
    Held,
    Elsewhere,
}

fn lock(path: &Path, file: &File) -> Result<Lock> {
    match file.try_lock() {
        Ok(()) => Ok(Lock::Held),
        Err(TryLockError::WouldBlock) => Ok(Lock::Elsewhere),
        // A file system without locks: a cleanup cannot lock there either, and goes by age.
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Lock::Held),
        Err(TryLockError::Error(error)) => Err(LakeError::io("lock", path, error)),
    }
}

/// Whether the file system knows no file locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    /// "No locks available", what a network file system without a lock daemon answers; Linux and macOS differ.
    const NO_LOCKS: i32 = if cfg!(target_os = "macos") { 77 } else { 37 };
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(NO_LOCKS)
}

/// Whether `path` still names the opened file.
fn is_linked(path: &Path, file: &File) -> Result<bool> {
    let opened = file
        .metadata()
        .map_err(|error| LakeError::io("look at", path, error))?;
    Ok(fs::symlink_metadata(path)
        .is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())))
}

fn part_name(name: &str, unique: u64) -> String {
    format!(".{name}.{unique:0UNIQUE_DIGITS$x}{SUFFIX}")
}

/// The name of the file a part will become; `None` for a file that is no part of ours.
pub(crate) fn name_behind_part(file_name: &str) -> Option<&str> {
    let (name, unique) = file_name
        .strip_prefix('.')?
        .strip_suffix(SUFFIX)?
        .rsplit_once('.')?;
    let is_unique = unique.len() == UNIQUE_DIGITS
        && unique
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    (is_unique && !name.is_empty()).then_some(name)
}

/// The part whose lock covers this file, when it is the version file of one.
pub(crate) fn part_of_version(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let archive = name.strip_suffix(PART_VERSION_SUFFIX)?;
    (!archive.is_empty()).then(|| path.with_file_name(format!("{archive}{SUFFIX}")))
}

/// Whether a file below `raw/` is an unfinished archive.
pub(crate) fn is_resumable_part(file_name: &str) -> bool {
    file_name
        .strip_suffix(SUFFIX)
        .is_some_and(|name| !name.is_empty())
}
