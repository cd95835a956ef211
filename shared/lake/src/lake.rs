//! The root of the output and what is done to whole files in it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{LakeError, Result};
use crate::paths::LakePath;

/// The output: a folder on this machine.
///
/// Nothing is created before the first part is.
#[derive(Debug, Clone)]
pub struct Lake {
    root: PathBuf,
}

impl Lake {
    /// The lake in a folder, which need not exist yet.
    pub fn local(root: impl Into<PathBuf>) -> Lake {
        Lake { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the lake lies on this machine.
    pub fn locate(&self, path: &LakePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// The size in bytes of a published file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`] or [`LakeError::Io`] when the system cannot tell.
    pub fn size(&self, path: &LakePath) -> Result<Option<u64>> {
        let file = self.locate(path);
        match fs::metadata(&file) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(LakeError::io("look at", &file, error)),
        }
    }

    /// Removes a published file for good; `false` when there was none.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`] or [`LakeError::Io`] when it cannot be removed.
    pub fn remove(&self, path: &LakePath) -> Result<bool> {
        let file = self.locate(path);
        match fs::remove_file(&file) {
            Ok(()) => {
                sync_folder_of(&file)?;
                Ok(true)
            }
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(LakeError::io("remove", &file, error)),
        }
    }
}

/// No such file, or no folder where its folder should be.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Creates a folder and its missing parents, and adds those it made to `created`. Their names are not yet durable.
pub(crate) fn create_folder(folder: &Path, created: &mut Vec<PathBuf>) -> Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent, created)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => {
            created.push(folder.to_path_buf());
            Ok(())
        }
        // Another writer was faster; a file in the way fails at the next step with its own name.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(LakeError::io("create folder", folder, error)),
    }
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_folder_of(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder).and_then(|opened| opened.sync_all()) {
        // A cleanup took the emptied folder away: there is no name left to keep.
        Err(error) if is_absent(&error) => Ok(()),
        synced => synced.map_err(|error| LakeError::io("sync folder", folder, error)),
    }
}
