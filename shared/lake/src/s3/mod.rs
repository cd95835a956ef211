//! A lake in a bucket of an S3-compatible store.
//!
//! Keys are the prefix and exactly the paths of a folder. Nothing is listed but where a list is asked for; a small file
//! is one conditional put, a larger one an upload in parts that shows itself when it is completed.

mod connect;
mod driver;
mod fault;
mod listing;
mod object;
mod puts;
mod upload;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::{LakeError, Result};
use crate::paths::LakePath;
use crate::store::{Blob, Draft, Store};
use connect::Bucket;
use driver::Driver;
use object::Object;
use upload::Upload;

pub use connect::S3Settings;

/// How an address of a bucket begins.
pub(crate) const SCHEME: &str = "s3://";

/// The bucket and the threads that talk to it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct S3Store {
    bucket: Arc<Bucket>,
    driver: Arc<Driver>,
}

impl fmt::Debug for S3Store {
    /// Not the client: what it holds is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.place()).finish()
    }
}

impl S3Store {
    pub fn new(url: &str, settings: &S3Settings) -> Result<S3Store> {
        let bucket = Bucket::connect(url, settings)?;
        let driver = Driver::start().map_err(|error| LakeError::Address {
            place: url.to_owned(),
            problem: format!("cannot start the threads for it: {error}"),
        })?;
        Ok(S3Store {
            bucket: Arc::new(bucket),
            driver: Arc::new(driver),
        })
    }

    /// Asks the bucket for something, and waits for the answer.
    fn ask<T, F, W>(&self, work: W) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        W: FnOnce(Arc<Bucket>) -> F,
    {
        self.driver.begin(work(self.bucket.clone())).wait()
    }
}

impl Store for S3Store {
    fn place(&self) -> String {
        self.bucket.shown("")
    }

    fn shown(&self, path: &LakePath) -> PathBuf {
        PathBuf::from(self.bucket.shown(path.as_str()))
    }

    fn folder(&self) -> Option<&Path> {
        None
    }

    fn size(&self, path: &LakePath) -> Result<Option<u64>> {
        let key = self.bucket.key(path)?;
        self.ask(
            async move |bucket: Arc<Bucket>| match bucket.store.head(&key).await {
                Ok(found) => Ok(Some(found.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(bucket.fault("look at", &key, &error)),
            },
        )
    }

    fn remove(&self, path: &LakePath) -> Result<bool> {
        let was_there = self.size(path)?.is_some();
        if was_there {
            self.remove_all(std::slice::from_ref(path))?;
        }
        Ok(was_there)
    }

    fn remove_all(&self, paths: &[LakePath]) -> Result<()> {
        let keys: Vec<Key> = paths
            .iter()
            .map(|path| self.bucket.key(path))
            .collect::<Result<_>>()?;
        self.ask(async move |bucket: Arc<Bucket>| {
            let first = keys.first().cloned().unwrap_or_default();
            let keys = stream::iter(keys.into_iter().map(Ok)).boxed();
            bucket
                .store
                .delete_stream(keys)
                .try_for_each(|_| std::future::ready(Ok(())))
                .await
                .map_err(|error| bucket.fault("remove", &first, &error))
        })
    }

    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<()> {
        let begin = |from| {
            let page = listing::page(self.bucket.clone(), folder.to_owned(), from);
            self.driver.begin(page)
        };
        let mut under_way = Some(begin(None));
        while let Some(page) = under_way.take() {
            let page = page.wait()?;
            // Already asked for while this page is taken.
            under_way = page.next.map(|next| begin(Some(next)));
            for (path, bytes) in page.files {
                found(&path, bytes);
            }
        }
        Ok(())
    }

    fn open(&self, path: &LakePath) -> Result<Arc<dyn Blob>> {
        Ok(Arc::new(Object::open(self, path)?))
    }

    fn begin(&self, place: &LakePath) -> Result<Box<dyn Draft>> {
        Ok(Box::new(Upload::new(self.clone(), place)?))
    }

    fn resume(&self, place: &LakePath) -> Result<Box<dyn Draft>> {
        self.begin(place)
    }
}
