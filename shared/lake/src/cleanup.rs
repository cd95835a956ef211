//! What may be removed from a lake, and its removal.
//!
//! Never a published table without its successor, and never the part of a writer that lives: a part's lock is free as
//! soon as its process is gone, so leftovers are known at once and without guessing by age.
//!
//! In a bucket there are no parts to be seen: uploads that were never completed take room and are not listed among its
//! objects. [`UPLOADS_HINT`] says who removes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::lineage::read_lineage;
use crate::local::{
    Entry, has_no_locks, is_absent, is_resumable_part, name_behind_part, part_of_version,
    sync_folder_of, walk,
};
use crate::paths::{LakePath, RAW, TablePath};

/// Where the file system knows no locks, a part is a leftover when nobody wrote to it for so long.
const UNLOCKABLE_AGE: Duration = Duration::from_secs(24 * 3600);

/// Why something may go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Why {
    /// An unfinished file whose writer is gone.
    StalePart,
    /// An unfinished archive below `raw/` that nobody downloads now. Removing it costs its bytes again.
    RawPart,
    /// A day whose month is published.
    SupersededDay {
        /// The month's file.
        month: LakePath,
    },
    /// A folder with nothing in it, or nothing but what is removed as well.
    EmptyFolder,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::StalePart => f.write_str("unfinished file of a writer that is gone"),
            Why::RawPart => f.write_str("unfinished archive"),
            Why::SupersededDay { month } => write!(f, "day superseded by {month}"),
            Why::EmptyFolder => f.write_str("empty folder"),
        }
    }
}

/// Something that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The file or folder, relative to the root and `/`-joined.
    pub path: String,
    /// Why it may go.
    pub why: Why,
    /// What is gained.
    pub bytes: u64,
}

/// What a cleanup did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone now.
    pub removed: Vec<Removal>,
    /// What stayed, because it was gone, held or needed by the time of its removal.
    pub kept: Vec<Removal>,
}

/// What a person should know about leftovers in a bucket.
pub const UPLOADS_HINT: &str = "uploads that were never completed are not listed here: give the bucket a lifecycle rule \
     AbortIncompleteMultipartUpload (1 day)";

/// Lists what may be removed, files before the folders they leave empty. Removes nothing.
///
/// # Errors
///
/// [`LakeError::ReadOnly`] or [`LakeError::Io`] for a folder or part that cannot be looked at; what the store says for
/// a bucket.
pub fn plan(lake: &Lake) -> Result<Vec<Removal>> {
    let Some(root) = lake.folder() else {
        return plan_bucket(lake);
    };
    let entries = walk(root, "")?;
    let mut months = Months::new(lake);
    let mut removals = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        let why = if let Some(why) = part_kind(&entry.path) {
            is_stale(&root.join(&entry.path))?.then_some(why)
        } else {
            months.superseding(&entry.path)?
        };
        removals.extend(why.map(|why| Removal {
            path: entry.path.clone(),
            why,
            bytes: entry.bytes,
        }));
    }
    removals.extend(empty_folders(&entries, &removals));
    Ok(removals)
}

fn plan_bucket(lake: &Lake) -> Result<Vec<Removal>> {
    let mut days = Vec::new();
    lake.each_table("", |file| {
        if file.table.month().is_some() {
            days.push(file);
        }
    })?;
    days.sort();
    let mut months = Months::new(lake);
    let mut removals = Vec::new();
    for day in days {
        let why = months.superseding(day.path.as_str())?;
        removals.extend(why.map(|why| Removal {
            path: day.path.to_string(),
            why,
            bytes: day.bytes,
        }));
    }
    Ok(removals)
}

/// Removes what was planned, looking at each once more before.
///
/// # Errors
///
/// [`LakeError::ReadOnly`] or [`LakeError::Io`] at the first file that cannot be removed; those before it are gone.
/// What the store says for a bucket.
pub fn apply(lake: &Lake, removals: &[Removal]) -> Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    for removal in removals {
        let local = lake.folder().map(|root| root.join(&removal.path));
        let is_gone = match (&removal.why, local) {
            (Why::SupersededDay { .. }, _) => remove_superseded(lake, &removal.path)?,
            (why @ (Why::StalePart | Why::RawPart), Some(path)) => {
                part_kind(&removal.path).as_ref() == Some(why) && remove_stale(&path)?
            }
            (Why::EmptyFolder, Some(path)) => {
                LakePath::parse(&removal.path).is_ok() && remove_folder(&path)?
            }
            (_, None) => false,
        };
        let list = if is_gone {
            &mut cleaned.removed
        } else {
            &mut cleaned.kept
        };
        list.push(removal.clone());
    }
    Ok(cleaned)
}

fn remove_superseded(lake: &Lake, path: &str) -> Result<bool> {
    match Months::new(lake).superseding(path)? {
        Some(_) => lake.remove(&LakePath::parse(path)?),
        None => Ok(false),
    }
}

/// Which kind of unfinished file of ours a path names, if any.
fn part_kind(path: &str) -> Option<Why> {
    let (folder, name) = path.rsplit_once('/')?;
    LakePath::parse(folder).ok()?;
    if let Some(target) = name_behind_part(name) {
        LakePath::parse(&format!("{folder}/{target}")).ok()?;
        return Some(Why::StalePart);
    }
    let is_raw = folder == RAW || folder.starts_with("raw/");
    (is_raw && is_resumable_part(name)).then_some(Why::RawPart)
}

/// The months that were looked at: each is read once, for all its days.
struct Months<'a> {
    lake: &'a Lake,
    readable: BTreeMap<LakePath, bool>,
}

impl Months<'_> {
    fn new(lake: &Lake) -> Months<'_> {
        Months {
            lake,
            readable: BTreeMap::new(),
        }
    }

    /// The month's file that replaces this day's, as a reason: only one that is there and readable counts.
    fn superseding(&mut self, path: &str) -> Result<Option<Why>> {
        let Some((table, layout)) = TablePath::parse(path) else {
            return Ok(None);
        };
        let Some(month) = table.month() else {
            return Ok(None);
        };
        let month = month.path(layout)?;
        let is_readable = match self.readable.get(&month) {
            Some(known) => *known,
            None => {
                let is_readable = is_readable(self.lake, &month)?;
                self.readable.insert(month.clone(), is_readable);
                is_readable
            }
        };
        Ok(is_readable.then_some(Why::SupersededDay { month }))
    }
}

fn is_readable(lake: &Lake, file: &LakePath) -> Result<bool> {
    match read_lineage(lake, file) {
        Ok(_) => Ok(true),
        Err(error) if error.is_file() || error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a folder lies where the lake puts things: datasets are in snake case, and so is `raw`. Others, such as the
/// locks of a queue, are someone else's.
fn is_ours(folder: &str) -> bool {
    let first = folder.split('/').next().unwrap_or_default();
    let is_snake = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    first.bytes().all(is_snake)
}

/// Folders that are empty once the removals are done, the deepest first.
fn empty_folders(entries: &[Entry], removals: &[Removal]) -> Vec<Removal> {
    let gone: BTreeSet<&str> = removals.iter().map(|removal| &*removal.path).collect();
    let mut filled: BTreeSet<&str> = BTreeSet::new();
    let mut empty = Vec::new();
    // A folder stands before its content, so backwards the content is known first.
    for entry in entries.iter().rev() {
        let is_removed = if entry.is_folder {
            !entry.is_link && is_ours(&entry.path) && !filled.contains(&*entry.path)
        } else {
            gone.contains(&*entry.path)
        };
        if !is_removed {
            filled.extend(entry.path.rsplit_once('/').map(|(folder, _)| folder));
        } else if entry.is_folder {
            empty.push(Removal {
                path: entry.path.clone(),
                why: Why::EmptyFolder,
                bytes: 0,
            });
        }
    }
    empty
}

/// Whether nobody holds a part. Takes and gives back its lock.
fn is_stale(path: &Path) -> Result<bool> {
    Ok(lock_stale(path)?.is_some())
}

/// Removes a part while holding its lock, so that no writer can take it up in between.
fn remove_stale(path: &Path) -> Result<bool> {
    match lock_stale(path)? {
        Some(_lock) => remove_file(path),
        None => Ok(false),
    }
}

fn lock_stale(path: &Path) -> Result<Option<File>> {
    let part = part_of_version(path).filter(|part| part.exists());
    let path = part.as_deref().unwrap_or(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(LakeError::io("open", path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            let modified = file.metadata().and_then(|metadata| metadata.modified());
            let age = modified
                .ok()
                .and_then(|modified| SystemTime::now().duration_since(modified).ok());
            Ok(age.is_some_and(|age| age >= UNLOCKABLE_AGE).then_some(file))
        }
        Err(TryLockError::Error(error)) => Err(LakeError::io("lock", path, error)),
    }
}

fn remove_file(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            sync_folder_of(path)?;
            Ok(true)
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(LakeError::io("remove", path, error)),
    }
}

fn remove_folder(path: &Path) -> Result<bool> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) || error.kind() == ErrorKind::DirectoryNotEmpty => {
            Ok(false)
        }
        Err(error) => Err(LakeError::io("remove folder", path, error)),
    }
}
