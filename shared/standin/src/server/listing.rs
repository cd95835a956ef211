//! The bucket's listing: keys in byte order, folders rolled up, a page at a time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::object::{Version, is_plain_segment};
use super::query;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
pub(crate) const BUCKET: &str = "data.binance.vision";
/// Folders below folders that are followed.
const DEEPEST: usize = 16;

/// A question to the listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    /// `marker`, `start-after`, or what a continuation token stands for; keys after it are listed.
    after: String,
    token: Option<String>,
    is_v2: bool,
    encode: bool,
    most_keys: usize,
}

/// A line of a listing.
enum Entry {
    Object { key: String, version: Version },
    Folder(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } => key,
            Self::Folder(prefix) => prefix,
        }
    }
}

/// One page and its place.
pub(crate) struct Page {
    /// Counted from 1 at the start of the prefix.
    pub(crate) number: u64,
    entries: Vec<Entry>,
    is_truncated: bool,
}

impl Query {
    /// Reads the query of a request; `Err` says what the bucket would not understand.
    pub(crate) fn new(
        pairs: &HashMap<String, String>,
        page_size: usize,
    ) -> Result<Self, &'static str> {
        let get = |name: &str| pairs.get(name).filter(|value| !value.is_empty()).cloned();
        let is_v2 = pairs.get("list-type").is_some_and(|version| version == "2");
        let token = get("continuation-token").filter(|_| is_v2);
        let after = match &token {
            Some(token) => from_token(token).ok_or("the continuation token is not one of ours")?,
            None => get(if is_v2 { "start-after" } else { "marker" }).unwrap_or_default(),
        };
        let asked = match get("max-keys") {
            Some(text) => text.parse().map_err(|_| "max-keys is not a number")?,
            None => page_size,
        };
        let delimiter = get("delimiter");
        if delimiter
            .as_deref()
            .is_some_and(|delimiter| delimiter != "/")
        {
            return Err("only / is known as a delimiter");
        }
        Ok(Self {
            prefix: get("prefix").unwrap_or_default(),
            delimiter,
            after,
            token,
            is_v2,
            encode: get("encoding-type").is_some_and(|kind| kind == "url"),
            most_keys: page_size.min(asked),
        })
    }

    /// Lists one page of the files below `root`.
    pub(crate) fn page(&self, root: &Path) -> io::Result<Page> {
        let mut entries = Vec::new();
        let folder = self.prefix.rfind('/').map_or("", |at| &self.prefix[..=at]);
        if folder.split_terminator('/').all(is_plain_segment) {
            self.collect(root, folder, 0, &mut entries)?;
        }
        entries.sort_by(|one, other| one.name().cmp(other.name()));
        let begin = entries.partition_point(|entry| entry.name() <= self.after.as_str());
        let mut page = entries.split_off(begin);
        let is_truncated = page.len() > self.most_keys;
        page.truncate(self.most_keys);
        Ok(Page {
            number: (begin / self.most_keys.max(1)) as u64 + 1,
            entries: page,
            is_truncated: is_truncated && self.most_keys > 0,
        })
    }

    fn collect(
        &self,
        root: &Path,
        folder: &str,
        depth: usize,
        entries: &mut Vec<Entry>,
    ) -> io::Result<()> {
        let listed = match fs::read_dir(root.join(folder)) {
            Err(error) if is_nothing(&error) => return Ok(()),
            listed => listed?,
        };
        for item in listed {
            let item = item?;
            let Ok(name) = item.file_name().into_string() else {
                continue;
            };
            let key = format!("{folder}{name}");
            if name.starts_with('.') || !key.starts_with(&self.prefix) || depth > DEEPEST {
                continue;
            }
            // A file may vanish while the folder is read.
            let Ok(meta) = fs::metadata(item.path()) else {
                continue;
            };
            if meta.is_file() {
                let version = Version::new(&key, &meta);
                entries.push(Entry::Object { key, version });
            } else if meta.is_dir() && self.delimiter.is_none() {
                self.collect(root, &format!("{key}/"), depth + 1, entries)?;
            } else if meta.is_dir() && holds_file(&item.path(), depth) {
                // A bucket has no folders: only one that holds a file shows.
                entries.push(Entry::Folder(format!("{key}/")));
            }
        }
        Ok(())
    }

    /// The reply as the bucket writes it.
    pub(crate) fn xml(&self, page: &Page) -> String {
        let name = |text: &str| {
            escaped(&if self.encode {
                query::encoded(text)
            } else {
                text.to_owned()
            })
        };
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"{NAMESPACE}\">\
             <Name>{BUCKET}</Name>"
        );
        let mut tag = |tag: &str, text: &str| {
            let _ = match text {
                "" => write!(out, "<{tag}></{tag}>"),
                text => write!(out, "<{tag}>{text}</{tag}>"),
            };
        };
        tag("Prefix", &name(&self.prefix));
        let last = page.entries.last().filter(|_| page.is_truncated);
        if self.is_v2 {
            if let Some(token) = &self.token {
                tag("ContinuationToken", &escaped(token));
            } else if !self.after.is_empty() {
                tag("StartAfter", &name(&self.after));
            }
            if let Some(last) = last {
                tag("NextContinuationToken", &to_token(last.name()));
            }
            tag("KeyCount", &page.entries.len().to_string());
        } else {
            tag("Marker", &name(&self.after));
            // As the real bucket: without a delimiter the last key has to do.
            if let Some(last) = last
                && self.delimiter.is_some()
            {
                tag("NextMarker", &name(last.name()));
            }
        }
        tag("MaxKeys", &self.most_keys.to_string());
        if let Some(delimiter) = &self.delimiter {
            tag("Delimiter", &name(delimiter));
        }
        if self.encode {
            tag("EncodingType", "url");
        }
        tag(
            "IsTruncated",
            if page.is_truncated { "true" } else { "false" },
        );
        for entry in &page.entries {
            if let Entry::Object { key, version } = entry {
                let _ = write!(
                    out,
                    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                     <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    name(key),
                    version.iso(),
                    escaped(&version.etag),
                    version.bytes,
                );
            }
        }
        for entry in &page.entries {
            if let Entry::Folder(prefix) = entry {
                let prefix = name(prefix);
                let _ = write!(
                    out,
                    "<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"
                );
            }
        }
        out.push_str("</ListBucketResult>");
        out
    }
}

impl Page {
    /// A page of a prefix that holds nothing.
    pub(crate) fn empty() -> Self {
        Self {
            number: 1,
            entries: Vec::new(),
            is_truncated: false,
        }
    }
}

/// A folder that is not there, or a file where a folder was asked for, lists as nothing.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn holds_file(folder: &Path, depth: usize) -> bool {
    let Ok(items) = fs::read_dir(folder) else {
        return false;
    };
    items.flatten().any(|item| {
        let is_hidden = item.file_name().to_string_lossy().starts_with('.');
        let meta = fs::metadata(item.path());
        !is_hidden
            && depth <= DEEPEST
            && meta.is_ok_and(|meta| {
                meta.is_file() || (meta.is_dir() && holds_file(&item.path(), depth + 1))
            })
    })
}

/// An opaque token, so that no client takes it for a key.
fn to_token(key: &str) -> String {
    key.bytes().fold(String::from("1"), |mut token, byte| {
        let _ = write!(token, "{:02x}", byte ^ 0x2a);
        token
    })
}

fn from_token(token: &str) -> Option<String> {
    let digits = token.strip_prefix('1')?.as_bytes();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        Some(u8::from_str_radix(pair, 16).ok()? ^ 0x2a)
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// Text inside an XML element.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_its_key_and_does_not_show_it() {
        let token = to_token("data/spot/币.zip");

        assert_eq!(from_token(&token).as_deref(), Some("data/spot/币.zip"));
        assert!(!token.contains("spot"));
        assert_eq!(from_token("data/spot"), None);
    }
}
