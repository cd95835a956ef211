//! A lake in a folder of this machine.

mod folders;
mod part;
mod walk;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{LakeError, Result};
use crate::paths::LakePath;
use crate::store::{Blob, Draft, Store};

pub(crate) use folders::{is_absent, sync_folder_of};
pub(crate) use part::{has_no_locks, is_resumable_part, name_behind_part, part_of_version};
pub(crate) use walk::{Entry, each_entry, walk};

pub use part::PART_VERSION_SUFFIX;

/// Nothing is created before the first part is.
#[derive(Debug)]
pub(crate) struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    pub fn new(root: PathBuf) -> LocalStore {
        LocalStore { root }
    }
}

impl Store for LocalStore {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn shown(&self, path: &LakePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn size(&self, path: &LakePath) -> Result<Option<u64>> {
        let file = self.shown(path);
        match fs::metadata(&file) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(LakeError::io("look at", &file, error)),
        }
    }

    fn remove(&self, path: &LakePath) -> Result<bool> {
        let file = self.shown(path);
        match fs::remove_file(&file) {
            Ok(()) => {
                sync_folder_of(&file)?;
                Ok(true)
            }
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(LakeError::io("remove", &file, error)),
        }
    }

    fn remove_all(&self, paths: &[LakePath]) -> Result<()> {
        paths
            .iter()
            .try_for_each(|path| self.remove(path).map(drop))
    }

    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<()> {
        each_entry(&self.root, folder, &mut |entry| {
            if !entry.is_folder {
                found(&entry.path, entry.bytes);
            }
        })
    }

    fn open(&self, path: &LakePath) -> Result<Arc<dyn Blob>> {
        let path = self.shown(path);
        let file = File::open(&path).map_err(|error| LakeError::io("open", &path, error))?;
        let size = file
            .metadata()
            .map_err(|error| LakeError::io("read", &path, error))?
            .len();
        Ok(Arc::new(LocalBlob { file, size, path }))
    }

    fn begin(&self, place: &LakePath) -> Result<Box<dyn Draft>> {
        Ok(Box::new(part::LocalPart::create(self.shown(place))?))
    }

    fn resume(&self, place: &LakePath) -> Result<Box<dyn Draft>> {
        Ok(Box::new(part::LocalPart::resume(self.shown(place))?))
    }
}

#[derive(Debug)]
struct LocalBlob {
    file: File,
    size: u64,
    path: PathBuf,
}

impl Blob for LocalBlob {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, from: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, from)
            .map_err(|error| LakeError::io("read", &self.path, error))?;
        Ok(bytes.into())
    }
}
