//! The role of a source, and the values that pass through it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{ArchiveError, HttpCounters};
use std::sync::Arc;

/// What follows an archive's key to make its checksum file's.
pub const SIDECAR_SUFFIX: &str = ".CHECKSUM";

/// The longest key an S3 bucket can hold, in bytes.
pub(crate) const LONGEST_KEY: usize = 1024;

/// Which files of one folder to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The folder, ending in `/`.
    pub folder: String,
    /// What file names begin with; may be empty.
    pub stem: String,
    /// The first wanted beginning of what follows the stem, inclusive.
    pub first: Option<String>,
    /// The last wanted beginning of what follows the stem, inclusive: `2024-01` includes `2024-01-31.zip`.
    pub last: Option<String>,
}

/// Where a key stands relative to a [`Query`] in key order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Before,
    Inside,
    After,
}

impl Query {
    /// Where `key` stands. A key below a sub-folder is never inside.
    pub(crate) fn place(&self, key: &str) -> Place {
        let start = self.start();
        let Some(tail) = key.strip_prefix(&start) else {
            return if key < start.as_str() {
                Place::Before
            } else {
                Place::After
            };
        };
        if self.first.as_deref().is_some_and(|first| tail < first) {
            return Place::Before;
        }
        let past = |last: &str| tail > last && !tail.starts_with(last);
        if self.last.as_deref().is_some_and(past) {
            return Place::After;
        }
        if tail.contains('/') {
            return Place::Before;
        }
        Place::Inside
    }

    /// What every wanted key begins with.
    pub(crate) fn start(&self) -> String {
        format!("{}{}", self.folder, self.stem)
    }
}

/// One archive of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The archive's path without host.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// The entity tag as the server writes it, quotes included; of a folder: of size, time and inode.
    pub etag: Option<String>,
    /// The time of the last change, as the source writes it (a listing: ISO 8601; a probe: an HTTP date).
    pub last_modified: Option<String>,
    /// Whether the checksum file stands beside it. A probe by HTTP does not look and says `false`.
    pub has_sidecar: bool,
}

/// What tells whether a file is still the same when a transfer goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validator {
    /// A strong entity tag, quotes included.
    pub etag: Option<String>,
    /// The HTTP date of the last change.
    pub last_modified: Option<String>,
}

impl Validator {
    /// Keeps what is usable: weak or unquoted tags are not; nothing left gives `None`.
    pub fn new(etag: Option<String>, last_modified: Option<String>) -> Option<Self> {
        let etag = etag.filter(|tag| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"'));
        let last_modified = last_modified.filter(|date| !date.is_empty());
        (etag.is_some() || last_modified.is_some()).then_some(Self {
            etag,
            last_modified,
        })
    }

    /// What an `If-Range` header carries: the tag, else the date.
    pub fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// Whether the two cannot be the same version of a file.
    pub fn contradicts(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(mine), Some(theirs)) => mine != theirs,
            _ => matches!((&self.last_modified, &other.last_modified),
                (Some(mine), Some(theirs)) if mine != theirs),
        }
    }
}

/// The bytes of an archive, in order.
pub type Body = BoxStream<'static, Result<Bytes, ArchiveError>>;

/// An archive that has begun to flow.
pub struct Opened {
    /// Where the body really begins: at what was asked for, or at 0.
    pub offset: u64,
    /// The size of the whole archive, where known.
    pub total: Option<u64>,
    /// What identifies this version.
    pub validator: Option<Validator>,
    /// Whether the source said that it serves ranges.
    pub ranges: bool,
    /// The bytes from `offset` on.
    pub body: Body,
}

/// Gives the symbol in a file name, `None` for names that are no archive's.
pub type SymbolOf<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// A place that holds archives. All calls may be dropped at any await.
///
/// `list`, `folders`, `head` and `small` repeat failed requests themselves and wait for the
/// [`crate::Brake`]; `open` is one request, repeated by [`crate::Transfer`].
#[async_trait]
pub trait Source: Send + Sync {
    /// The archives (`.zip`) of a folder in key order, all pages, or an error: never a part of them.
    /// Whatever has the stem and lies within the bounds is passed on, strange names included.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Listing`] where there is no S3 listing; else what the last request met.
    async fn list(&self, query: &Query) -> Result<Vec<Object>, ArchiveError>;

    /// The names of the folders directly below `prefix` (ending in `/`), sorted. A folder source
    /// adds the symbols of files outside the official paths, which `symbol_of` reads from names.
    ///
    /// # Errors
    ///
    /// As [`Source::list`].
    async fn folders(
        &self,
        prefix: &str,
        symbol_of: SymbolOf<'_>,
    ) -> Result<Vec<String>, ArchiveError>;

    /// Whether the archive exists, and its size; `None` only when the source says 404.
    ///
    /// # Errors
    ///
    /// Every other answer, after all requests.
    async fn head(&self, key: &str) -> Result<Option<Object>, ArchiveError>;

    /// A small file as a whole, such as a checksum; `None` only when the source says 404.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::TooLarge`] past `limit` bytes; every other answer, after all requests.
    async fn small(&self, key: &str, limit: u64) -> Result<Option<Bytes>, ArchiveError>;

    /// Opens an archive at byte `from`, provided it is still the version `validator` names.
    /// It may begin at 0 instead: see [`Opened::offset`].
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Missing`] on 404; a [`ArchiveError::Status`] of 416 where the range cannot
    /// be served; [`ArchiveError::Reply`] where the answer is not the range asked for.
    async fn open(
        &self,
        key: &str,
        from: u64,
        validator: Option<&Validator>,
    ) -> Result<Opened, ArchiveError>;

    /// What was asked and answered so far.
    fn counters(&self) -> &Arc<HttpCounters>;

    /// Whether the bytes come from a disk: they are best read by the thread that needs them.
    fn is_local(&self) -> bool {
        false
    }

    /// The place, for messages: without user name, password and query.
    fn place(&self) -> String;
}

/// Refuses keys that are no plain relative path.
pub(crate) fn check_key(key: &str) -> Result<(), ArchiveError> {
    let why = if key.is_empty() || key.len() > LONGEST_KEY {
        "it is empty or longer than 1024 bytes"
    } else if key.contains(char::is_control) || key.contains('\\') {
        "it holds a control character or a backslash"
    } else if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "it is not relative, or has an empty or dotted segment"
    } else {
        return Ok(());
    };
    Err(ArchiveError::Key {
        key: key.chars().take(200).collect(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_beginnings() {
        let query = Query {
            folder: "d/".into(),
            stem: "BTC-".into(),
            first: Some("2024-01".into()),
            last: Some("2024-02".into()),
        };

        let places = [
            "d/BTC-2023-12.zip",
            "d/BTC-2024-01.zip",
            "d/BTC-2024-02-29.zip",
            "d/BTC-2024-02.zip.CHECKSUM",
            "d/BTC-2024-03.zip",
            "d/part-0000.zip",
        ]
        .map(|key| query.place(key));

        use Place::{After, Before, Inside};
        assert_eq!(places, [Before, Inside, Inside, Inside, After, After]);
    }

    #[test]
    fn weak_tags_are_no_validators() {
        assert_eq!(Validator::new(Some("W/\"a\"".into()), None), None);
        assert_eq!(Validator::new(Some("a".into()), None), None);

        let dated = Validator::new(Some("W/\"a\"".into()), Some("Tue".into())).unwrap();

        assert_eq!(dated.if_range(), Some("Tue"));
    }

    #[test]
    fn keys_cannot_leave_their_root() {
        for key in ["", "/a", "a//b", "../a", "a/./b", "a\\b", "a\nb", "a/"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        check_key("data/spot/币安人生USDT-1m-2024-01.zip").unwrap();
    }
}
