//! An object that is read, by ranges.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::{S3Store, fault};
use crate::error::{LakeError, Result};
use crate::paths::LakePath;
use crate::store::Blob;

/// What is fetched when an object is opened: any footer of ours is within.
const TAIL_BYTES: u64 = 64 << 10;

/// What is fetched at a time of the rest: all columns of a row group lie within, and most tables as a whole.
const WINDOW_BYTES: u64 = 16 << 20;

/// Windows kept beside the tail.
const WINDOWS: usize = 2;

const RANGE_NOT_SATISFIABLE: u16 = 416;

/// One version of an object.
#[derive(Debug)]
pub(super) struct Object {
    store: S3Store,
    key: Key,
    size: u64,
    e_tag: Option<String>,
    tail: Window,
    /// The last used is the last.
    windows: Mutex<Vec<Window>>,
}

#[derive(Debug, Clone)]
struct Window {
    from: u64,
    bytes: Bytes,
}

impl Window {
    fn cut(&self, range: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.from)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.from)?).ok()?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl Object {
    pub fn open(store: &S3Store, path: &LakePath) -> Result<Object> {
        let key = store.bucket.key(path)?;
        let options = GetOptions {
            range: Some(GetRange::Suffix(TAIL_BYTES)),
            ..Default::default()
        };
        let (size, e_tag, tail) = match get(store, &key, options)? {
            Got::Bytes { size, e_tag, bytes } => {
                let from = size.saturating_sub(bytes.len() as u64);
                (size, e_tag, Window { from, bytes })
            }
            Got::Nothing => {
                let (from, bytes) = (0, Bytes::new());
                (0, None, Window { from, bytes })
            }
            Got::Absent => {
                let place = store.bucket.shown(path.as_str());
                let absent = std::io::ErrorKind::NotFound.into();
                return Err(LakeError::io("open", place.as_ref(), absent));
            }
        };
        Ok(Object {
            store: store.clone(),
            key,
            size,
            e_tag,
            tail,
            windows: Mutex::default(),
        })
    }

    /// The bytes, if they were fetched before.
    fn known(&self, range: &Range<u64>) -> Option<Bytes> {
        if let Some(bytes) = self.tail.cut(range) {
            return Some(bytes);
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let at = windows
            .iter()
            .position(|window| window.cut(range).is_some())?;
        let window = windows.remove(at);
        let bytes = window.cut(range);
        windows.push(window);
        bytes
    }

    fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            // What replaces an object has the same rows most of the time, but not by right.
            if_match: self.e_tag.clone(),
            ..Default::default()
        };
        match get(&self.store, &self.key, options)? {
            Got::Bytes { bytes, .. } => Ok(bytes),
            Got::Nothing | Got::Absent => Err(LakeError::Store {
                doing: "read",
                place: self.store.bucket.address(&self.key),
                problem: "it was removed or replaced while it was read: read it again".to_owned(),
            }),
        }
    }
}

impl Blob for Object {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, from: u64, length: usize) -> Result<Bytes> {
        let range = from..from + length as u64;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if let Some(bytes) = self.known(&range) {
            return Ok(bytes);
        }
        let to = range.end.max((from + WINDOW_BYTES).min(self.size));
        let window = Window {
            from,
            bytes: self.fetch(from..to)?,
        };
        let bytes = window.cut(&range).ok_or_else(|| LakeError::Store {
            doing: "read",
            place: self.store.bucket.address(&self.key),
            problem: "fewer bytes came than were asked for".to_owned(),
        })?;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() == WINDOWS {
            windows.remove(0);
        }
        windows.push(window);
        Ok(bytes)
    }
}

enum Got {
    Bytes {
        size: u64,
        e_tag: Option<String>,
        bytes: Bytes,
    },
    /// It has no bytes in the range.
    Nothing,
    /// It is not there, or no longer in this version.
    Absent,
}

fn get(store: &S3Store, key: &Key, options: GetOptions) -> Result<Got> {
    let key = key.clone();
    store.ask(async move |bucket| {
        let got = async {
            let result = bucket.store.get_opts(&key, options).await?;
            let (size, e_tag) = (result.meta.size, result.meta.e_tag.clone());
            let bytes = result.bytes().await?;
            Ok(Got::Bytes { size, e_tag, bytes })
        };
        match got.await {
            Ok(got) => Ok(got),
            Err(error) => match &error {
                Error::NotFound { .. } | Error::Precondition { .. } => {
                    match bucket.fault("read", &key, &error) {
                        missing @ LakeError::NoBucket { .. } => Err(missing),
                        _ => Ok(Got::Absent),
                    }
                }
                _ if fault::status(&error) == Some(RANGE_NOT_SATISFIABLE) => Ok(Got::Nothing),
                // Some stores send an empty object as a whole, whatever the range.
                _ if fault::status(&error).is_none()
                    && bucket
                        .store
                        .head(&key)
                        .await
                        .is_ok_and(|there| there.size == 0) =>
                {
                    Ok(Got::Nothing)
                }
                _ => Err(bucket.fault("read", &key, &error)),
            },
        }
    })
}
