//! An archive in a folder: the official paths below it, or files found by name in any tree.

use std::{
    fs,
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    runtime::{Handle, RuntimeFlavor},
    sync::Mutex,
    task::{block_in_place, spawn_blocking},
    time::Instant,
};

use crate::{
    ArchiveError, Body, HttpCounters, Object, Opened, Query, SIDECAR_SUFFIX, Source, SymbolOf,
    Validator,
    chunk_pool::ChunkPool,
    source::{Place, check_key},
    tree::{Found, Tree, agreed, etag},
};

/// The largest chunk of a body.
const CHUNK: usize = 128 << 10;

/// How long a walk's result is used at least; for slow trees twenty times what the walk took.
const FRESH: Duration = Duration::from_secs(60);

/// Archives in a folder. A file below `data/spot/`, `data/futures/um/`, … (anywhere in the tree)
/// answers to that key; every other answers to its name, whatever folder is asked for. A sidecar
/// counts when it stands beside its archive.
#[derive(Debug)]
pub struct DirSource {
    root: PathBuf,
    walked: Mutex<Option<Walked>>,
    counters: Arc<HttpCounters>,
}

#[derive(Debug)]
struct Walked {
    tree: Arc<Tree>,
    until: Instant,
}

impl DirSource {
    /// Takes a folder; it is walked when first asked, and again when that is a minute old.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Address`] when there is no such folder, or it is a file;
    /// [`ArchiveError::Io`] when it cannot be read.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, ArchiveError> {
        let named = root.as_ref();
        let refuse = |why: &str| ArchiveError::Address {
            text: named.display().to_string(),
            why: why.to_owned(),
        };
        let root = fs::canonicalize(named).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refuse("there is no such folder"),
            _ => ArchiveError::io(named, error),
        })?;
        if !root.is_dir() {
            return Err(refuse(
                "it is a file; name the folder that holds the archives",
            ));
        }
        fs::read_dir(&root).map_err(|error| ArchiveError::io(named, error))?;
        Ok(Self {
            root,
            walked: Mutex::new(None),
            counters: Arc::default(),
        })
    }

    async fn tree(&self) -> Result<Arc<Tree>, ArchiveError> {
        let mut walked = self.walked.lock().await;
        if let Some(walked) = walked.as_ref()
            && Instant::now() < walked.until
        {
            return Ok(walked.tree.clone());
        }
        let root = self.root.clone();
        let begun = Instant::now();
        let tree = Arc::new(self.blocking(move || Tree::walk(&root)).await?);
        *walked = Some(Walked {
            tree: tree.clone(),
            until: Instant::now() + FRESH.max(begun.elapsed() * 20),
        });
        Ok(tree)
    }

    async fn found(&self, key: &str) -> Result<Option<Found>, ArchiveError> {
        check_key(key)?;
        let candidates = self.tree().await?.candidates(key);
        self.blocking(move || agreed(&candidates, false)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        spawn_blocking(work)
            .await
            .map_err(|error| ArchiveError::io(&self.root, io::Error::other(error)))?
    }
}

#[async_trait]
impl Source for DirSource {
    async fn list(&self, query: &Query) -> Result<Vec<Object>, ArchiveError> {
        let tree = self.tree().await?;
        let mut objects = Vec::new();
        for key in tree.keys(&query.folder, &query.stem) {
            if query.place(&key) != Place::Inside {
                continue;
            }
            // Copies are only read when the archive is wanted: a listing of many would take hours.
            if let Some(found) = agreed(&tree.candidates(&key), true)? {
                objects.push(object(key, found));
            }
        }
        Ok(objects)
    }

    async fn folders(
        &self,
        prefix: &str,
        symbol_of: SymbolOf<'_>,
    ) -> Result<Vec<String>, ArchiveError> {
        let tree = self.tree().await?;
        let mut folders = tree.folders(prefix);
        folders.extend(tree.names().filter_map(symbol_of));
        Ok(folders.into_iter().collect())
    }

    async fn head(&self, key: &str) -> Result<Option<Object>, ArchiveError> {
        let found = self.found(key).await?;
        Ok(found.map(|found| object(key.to_owned(), found)))
    }

    async fn small(&self, key: &str, limit: u64) -> Result<Option<Bytes>, ArchiveError> {
        let path = match key.strip_suffix(SIDECAR_SUFFIX) {
            Some(archive) => self.found(archive).await?.and_then(|found| found.sidecar),
            None => self.found(key).await?.map(|found| found.path),
        };
        let Some(path) = path else {
            return Ok(None);
        };
        self.counters.request();
        let unreadable = |error| ArchiveError::io(&path, error);
        let file = File::open(&path).await.map_err(unreadable)?;
        let mut whole = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut whole)
            .await
            .map_err(unreadable)?;
        if whole.len() as u64 > limit {
            return Err(ArchiveError::TooLarge {
                what: path.display().to_string(),
                limit,
                unit: "bytes",
            });
        }
        self.counters.received(whole.len());
        Ok(Some(whole.into()))
    }

    async fn open(
        &self,
        key: &str,
        from: u64,
        validator: Option<&Validator>,
    ) -> Result<Opened, ArchiveError> {
        let Some(found) = self.found(key).await? else {
            return Err(ArchiveError::Missing {
                key: key.to_owned(),
            });
        };
        self.counters.request();
        let path = found.path;
        let unreadable = |error| ArchiveError::io(&path, error);
        let mut file = File::open(&path).await.map_err(unreadable)?;
        let meta = file.metadata().await.map_err(unreadable)?;
        let current = Validator {
            etag: Some(etag(&meta)),
            last_modified: None,
        };
        let same = validator.is_none_or(|kept| *kept == current);
        let offset = if same && from <= meta.len() { from } else { 0 };
        file.seek(SeekFrom::Start(offset))
            .await
            .map_err(unreadable)?;
        Ok(Opened {
            offset,
            total: Some(meta.len()),
            validator: Some(current),
            ranges: true,
            body: body(file.into_std().await, path, self.counters.clone()),
        })
    }

    fn counters(&self) -> &Arc<HttpCounters> {
        &self.counters
    }

    fn is_local(&self) -> bool {
        true
    }

    fn place(&self) -> String {
        self.root.display().to_string()
    }
}

/// The file from where it is, chunk by chunk.
///
/// They are read straight into the chunks; tokio's own file reads into a buffer of its own first. And on the thread that
/// asks, where the runtime allows it: a call to another thread costs two switches, and the bytes arrive in another
/// core's cache.
fn body(file: fs::File, path: PathBuf, counters: Arc<HttpCounters>) -> Body {
    let pool = Arc::new(ChunkPool::new(CHUNK));
    stream::try_unfold((file, path), move |(file, path)| {
        let (counters, pool) = (counters.clone(), pool.clone());
        async move {
            let read = move || (ChunkPool::fill(&pool, &mut &file), file);
            let read = match Handle::current().runtime_flavor() {
                RuntimeFlavor::MultiThread => Ok(block_in_place(read)),
                _ => spawn_blocking(read).await.map_err(io::Error::other),
            };
            match read {
                Ok((Ok(chunk), _)) if chunk.is_empty() => Ok(None),
                Ok((Ok(chunk), file)) => {
                    counters.received(chunk.len());
                    Ok(Some((chunk, (file, path))))
                }
                Ok((Err(error), _)) | Err(error) => Err(ArchiveError::io(path, error)),
            }
        }
    })
    .boxed()
}

fn object(key: String, found: Found) -> Object {
    Object {
        key,
        bytes: found.bytes,
        etag: Some(found.etag),
        last_modified: Timestamp::from_second(found.modified)
            .ok()
            .map(|time| time.to_string()),
        has_sidecar: found.sidecar.is_some(),
    }
}
