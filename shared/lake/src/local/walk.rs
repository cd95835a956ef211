//! Walking through a folder.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{LakeError, Result};
use crate::local::is_absent;
use crate::paths::LakePath;

/// A file or folder below the root.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Relative, `/`-joined.
    pub path: String,
    pub is_folder: bool,
    /// Whether it is reached by a symbolic link of that name.
    pub is_link: bool,
    pub bytes: u64,
}

/// Every file and folder below a folder of the root (`""` for all) that could be ours, each folder before what is in
/// it. Links are followed, each folder once. Entries that vanish meanwhile and folders that cannot be ours (hidden, too
/// deep, `lost+found`) are left out.
pub(crate) fn walk(root: &Path, below: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    each_entry(root, below, &mut |entry| entries.push(entry))?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// As [`walk`], one by one and in no order.
pub(crate) fn each_entry(root: &Path, below: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
    let mut seen = HashSet::new();
    let mut folders: Vec<(PathBuf, String)> = vec![match below {
        "" => (root.to_path_buf(), String::new()),
        below => (root.join(below), below.to_owned()),
    }];
    while let Some((folder, prefix)) = folders.pop() {
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(LakeError::io("list", &folder, error)),
        };
        for found in listing {
            let found = found.map_err(|error| LakeError::io("list", &folder, error))?;
            let Ok(name) = found.file_name().into_string() else {
                continue;
            };
            let file = found.path();
            let Ok(metadata) = fs::metadata(&file) else {
                continue;
            };
            let path = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            let entry = Entry {
                is_folder: metadata.is_dir(),
                is_link: found.file_type().is_ok_and(|kind| kind.is_symlink()),
                bytes: metadata.len(),
                path,
            };
            if entry.is_folder {
                let is_ours = LakePath::parse(&entry.path).is_ok();
                let is_new = seen.insert((metadata.dev(), metadata.ino()));
                if !is_ours || !is_new {
                    continue;
                }
                folders.push((file, entry.path.clone()));
            }
            each(entry);
        }
    }
    Ok(())
}
