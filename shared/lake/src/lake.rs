//! The root of the output and what is done to whole files in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::capture::is_capture;
use crate::error::{LakeError, Result};
use crate::local::LocalStore;
use crate::paths::{LakePath, Layout, RAW, TablePath};
use crate::s3::{S3Settings, S3Store};
use crate::store::{Blob, Store};

/// The output: a folder on this machine, or a bucket (or part of one) of an S3-compatible store.
///
/// The keys in a bucket are exactly the paths in a folder. Calls wait for the disk or the network, and may be made from
/// any thread; in asynchronous code make them where blocking is allowed.
#[derive(Debug, Clone)]
pub struct Lake {
    store: Arc<dyn Store>,
}

impl Lake {
    /// The lake in a folder, which need not exist yet.
    pub fn local(root: impl Into<PathBuf>) -> Lake {
        Lake {
            store: Arc::new(LocalStore::new(root.into())),
        }
    }

    /// The lake at `s3://bucket` or `s3://bucket/prefix`; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`LakeError::Address`] for an address or settings that cannot be used.
    pub fn s3(url: &str, settings: &S3Settings) -> Result<Lake> {
        Ok(Lake {
            store: Arc::new(S3Store::new(url, settings)?),
        })
    }

    /// The lake at `s3://…`, with the settings of the environment; anything else is a folder.
    ///
    /// # Errors
    ///
    /// As [`Lake::s3`].
    pub fn open(place: &str) -> Result<Lake> {
        if place.starts_with(crate::s3::SCHEME) {
            Lake::s3(place, &S3Settings::from_env())
        } else {
            Ok(Lake::local(place))
        }
    }

    /// The lake as text: the folder, or its `s3://` address.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// The folder; `None` for a bucket.
    pub fn folder(&self) -> Option<&Path> {
        self.store.folder()
    }

    /// Where a path of the lake lies on this machine; `None` for a bucket.
    pub fn locate(&self, path: &LakePath) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join(path.as_str()))
    }

    /// The size in bytes of a published file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`] or [`LakeError::Io`] when the system cannot tell; what the store says for a bucket.
    pub fn size(&self, path: &LakePath) -> Result<Option<u64>> {
        self.store.size(path)
    }

    /// A published file as a whole: for small ones.
    ///
    /// # Errors
    ///
    /// As [`Lake::size`]; [`LakeError::Io`] for a file that is not there.
    pub fn read(&self, path: &LakePath) -> Result<Bytes> {
        let file = self.store.open(path)?;
        let size = usize::try_from(file.size())
            .map_err(|_| LakeError::damaged(&self.store.shown(path), &"it is too large"))?;
        file.read(0, size)
    }

    /// Removes a published file for good; `false` when there was none.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`] or [`LakeError::Io`] when it cannot be removed; what the store says for a bucket.
    pub fn remove(&self, path: &LakePath) -> Result<bool> {
        self.store.remove(path)
    }

    /// Removes published files that need not be there: in a bucket one request for up to 1000.
    ///
    /// # Errors
    ///
    /// As [`Lake::remove`], at the first that cannot be removed.
    pub fn remove_all(&self, paths: &[LakePath]) -> Result<()> {
        self.store.remove_all(paths)
    }

    /// Every published table, in both layouts, ordered by dataset, market, symbol and period.
    ///
    /// # Errors
    ///
    /// [`LakeError::ReadOnly`] or [`LakeError::Io`] for a folder that cannot be read; what the store says for a bucket.
    pub fn tables(&self) -> Result<Vec<TableFile>> {
        let mut tables = Vec::new();
        self.each_table("", |table| tables.push(table))?;
        tables.sort();
        Ok(tables)
    }

    /// Every published table below a folder (`""` for all), in no order; a bucket is listed in pages.
    ///
    /// # Errors
    ///
    /// As [`Lake::tables`].
    pub fn each_table(&self, folder: &str, mut found: impl FnMut(TableFile)) -> Result<()> {
        self.store.list(folder, &mut |path, bytes| {
            if let Some((table, layout)) = TablePath::parse(path)
                && let Ok(path) = LakePath::parse(path)
            {
                found(TableFile {
                    table,
                    layout,
                    path,
                    bytes,
                });
            }
        })
    }

    /// What all files take, tables and others; `None` for a folder that is not there.
    ///
    /// # Errors
    ///
    /// As [`Lake::tables`].
    pub fn usage(&self) -> Result<Option<Usage>> {
        if self.folder().is_some_and(|folder| !folder.exists()) {
            return Ok(None);
        }
        let mut usage = Usage::default();
        self.store.list("", &mut |_, bytes| {
            usage.files += 1;
            usage.bytes += bytes;
        })?;
        Ok(Some(usage))
    }

    /// Every other Parquet file in a folder of a table: its name is not that of one, nor of a capture.
    ///
    /// # Errors
    ///
    /// As [`Lake::tables`].
    pub fn strays(&self) -> Result<Vec<String>> {
        let mut strays = Vec::new();
        self.store.list("", &mut |path, _| {
            let is_own = path.starts_with(['_', '.']) || path.starts_with(RAW);
            let is_hidden = path
                .rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with('.'));
            if path.ends_with(".parquet")
                && !is_own
                && !is_hidden
                && TablePath::parse(path).is_none()
                && !is_capture(path)
            {
                strays.push(path.to_owned());
            }
        })?;
        strays.sort();
        Ok(strays)
    }

    /// A published file, opened, and where it lies for messages.
    pub(crate) fn open_file(&self, path: &LakePath) -> Result<(Arc<dyn Blob>, PathBuf)> {
        Ok((self.store.open(path)?, self.store.shown(path)))
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }
}

/// How many files, and how large in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A published table in the lake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableFile {
    /// What it holds.
    pub table: TablePath,
    /// The layout it lies in.
    pub layout: Layout,
    /// Where it lies.
    pub path: LakePath,
    /// Its size.
    pub bytes: u64,
}
