//! A file on its way into a bucket: in memory while it is small, in parts when it is not.

use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Error, MultipartId, ObjectStoreExt, PutPayload};

use super::driver::Begun;
use super::{S3Store, puts};
use crate::error::{LakeError, Result};
use crate::paths::LakePath;
use crate::store::Draft;

/// The size of a part. A file below it is put at once; of a larger one two parts are in memory. With the 10,000 parts
/// that S3 allows a file may have 80 GiB.
const PART_BYTES: usize = 8 << 20;

/// How long dropping an unfinished upload waits for its removal.
const LONGEST_ABORT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Upload {
    store: S3Store,
    key: Key,
    shown: PathBuf,
    bytes: u64,
    /// What was not sent yet: less than a part.
    waiting: Vec<u8>,
    parts: Option<Parts>,
}

/// An upload in parts that the store knows of.
#[derive(Debug)]
struct Parts {
    id: MultipartId,
    sent: Vec<PartId>,
    /// The part under way: the next bytes gather meanwhile.
    under_way: Option<Begun<Result<PartId>>>,
}

impl Upload {
    pub fn new(store: S3Store, place: &LakePath) -> Result<Upload> {
        let key = store.bucket.key(place)?;
        Ok(Upload {
            shown: PathBuf::from(store.bucket.shown(place.as_str())),
            store,
            key,
            bytes: 0,
            waiting: Vec::new(),
            parts: None,
        })
    }

    /// Sends what waits as the next part, once the part before it has arrived.
    fn send(&mut self) -> Result<()> {
        if self.parts.is_none() {
            self.parts = Some(Parts {
                id: self.create()?,
                sent: Vec::new(),
                under_way: None,
            });
        }
        self.settle()?;
        let payload = PutPayload::from(Bytes::from(mem::take(&mut self.waiting)));
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        let (bucket, key) = (self.store.bucket.clone(), self.key.clone());
        let (id, number) = (parts.id.clone(), parts.sent.len());
        parts.under_way = Some(self.store.driver.begin(async move {
            bucket
                .store
                .put_part(&key, &id, number, payload)
                .await
                .map_err(|error| bucket.fault("write", &key, &error))
        }));
        Ok(())
    }

    fn create(&self) -> Result<MultipartId> {
        let key = self.key.clone();
        self.store.ask(async move |bucket| {
            bucket
                .store
                .create_multipart(&key)
                .await
                .map_err(|error| bucket.fault("write", &key, &error))
        })
    }

    /// Waits for the part under way.
    fn settle(&mut self) -> Result<()> {
        if let Some(parts) = &mut self.parts
            && let Some(under_way) = parts.under_way.take()
        {
            parts.sent.push(under_way.wait()?);
        }
        Ok(())
    }

    fn put(&mut self) -> Result<()> {
        let bytes = Bytes::from(mem::take(&mut self.waiting));
        let key = self.key.clone();
        self.store
            .ask(async move |bucket| puts::put(&bucket, &key, bytes).await)
    }

    fn complete(&mut self) -> Result<()> {
        self.settle()?;
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        let (key, bytes) = (self.key.clone(), self.bytes);
        let (id, sent) = (parts.id.clone(), mem::take(&mut parts.sent));
        self.store.ask(async move |bucket| {
            match bucket.store.complete_multipart(&key, &id, sent).await {
                Ok(_) => Ok(()),
                Err(error @ Error::NotFound { .. }) => {
                    // A repeated request finds no upload when the answer to the first was lost.
                    match bucket.store.head(&key).await {
                        Ok(there) if there.size == bytes => Ok(()),
                        _ => Err(bucket.fault("publish", &key, &error)),
                    }
                }
                Err(error) => Err(bucket.fault("publish", &key, &error)),
            }
        })?;
        self.parts = None;
        Ok(())
    }

    /// Removes what the store holds of the upload; what cannot be removed is left to the bucket's own rules.
    fn abort(&mut self) {
        let Some(parts) = self.parts.take() else {
            return;
        };
        let (bucket, key) = (self.store.bucket.clone(), self.key.clone());
        let aborted = self.store.driver.begin(async move {
            if let Some(under_way) = parts.under_way {
                // A part that arrives after the removal would stay.
                let _ = tokio::task::spawn_blocking(move || under_way.wait()).await;
            }
            bucket.store.abort_multipart(&key, &parts.id).await
        });
        match aborted.wait_at_most(LONGEST_ABORT) {
            Some(Ok(())) => {}
            Some(Err(_)) | None => {
                tracing::debug!(key = %self.key, "an unfinished upload could not be removed");
            }
        }
    }
}

impl Draft for Upload {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn shown(&self) -> &Path {
        &self.shown
    }

    fn read_back(&mut self, _take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        // Nothing is left by an earlier process.
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.abort();
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    fn stage(&mut self) -> Result<()> {
        if self.parts.is_none() {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            self.send()?;
        }
        self.settle()
    }

    fn publish(&mut self) -> Result<()> {
        match self.parts {
            Some(_) => self.complete(),
            None => self.put(),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART_BYTES - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.waiting.len() == PART_BYTES {
            self.send().map_err(into_io)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.abort();
    }
}

/// It comes out again in [`LakeError::io`].
fn into_io(error: LakeError) -> io::Error {
    io::Error::other(error)
}
