//! Folders made, and their names made durable.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{LakeError, Result};

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
