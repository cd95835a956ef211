//! One file as an object: its version, and the part of it that is asked for.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Which bytes are behind a key just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) bytes: u64,
    /// Quoted. Like the bucket's it looks like an MD5, and changes when the file is written anew.
    pub(crate) etag: String,
    modified: Timestamp,
}

impl Version {
    pub(crate) fn new(key: &str, meta: &Metadata) -> Self {
        let modified = meta.modified().unwrap_or(UNIX_EPOCH);
        Self::of(key, meta.len(), modified, 0)
    }

    /// As [`Self::new`], made to look published `edition` times since.
    pub(crate) fn republished(key: &str, meta: &Metadata, edition: u64) -> Self {
        let modified = meta.modified().unwrap_or(UNIX_EPOCH);
        let later = modified + Duration::from_secs(edition.min(1 << 30));
        Self::of(key, meta.len(), later, edition)
    }

    fn of(key: &str, bytes: u64, modified: SystemTime, edition: u64) -> Self {
        let modified = Timestamp::try_from(modified).unwrap_or_default();
        let what = format!("{key}\n{bytes}\n{}\n{edition}", modified.as_nanosecond());
        let digest = Sha256::digest(what.as_bytes());
        let mut number = [0; 16];
        number.copy_from_slice(&digest[..16]);
        Self {
            bytes,
            etag: format!("\"{:032x}\"", u128::from_be_bytes(number)),
            modified,
        }
    }

    /// As in a listing: `2024-02-01T09:18:34.000Z`.
    pub(crate) fn iso(&self) -> String {
        self.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
    }

    /// As in `Last-Modified`.
    pub(crate) fn http_date(&self) -> String {
        self.modified
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    }
}

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: 200.
    Whole,
    /// From and to, inclusive: 206.
    Range(u64, u64),
    /// What the file does not have: 416.
    Outside,
}

impl Part {
    /// Reads `Range`; what is not one plain byte range is ignored, as the bucket does.
    pub(crate) fn of(range: Option<&str>, bytes: u64) -> Self {
        let parsed = range
            .and_then(|range| range.strip_prefix("bytes="))
            .and_then(|range| range.trim().split_once('-'));
        let number = |text: &str| text.parse::<u64>().ok();
        let (from, to) = match parsed {
            Some(("", last)) => match number(last) {
                Some(0) => return Self::Outside,
                Some(last) => (bytes.saturating_sub(last), bytes.saturating_sub(1)),
                None => return Self::Whole,
            },
            Some((from, to)) => {
                let to = if to.is_empty() {
                    Some(u64::MAX)
                } else {
                    number(to)
                };
                match (number(from), to) {
                    (Some(from), Some(to)) if from <= to => (from, to.min(bytes.saturating_sub(1))),
                    _ => return Self::Whole,
                }
            }
            None => return Self::Whole,
        };
        if from >= bytes {
            Self::Outside
        } else {
            Self::Range(from, to)
        }
    }
}

/// Where the file of a key would lie; `None` for a key that could lead out of the root or to a hidden file.
pub(crate) fn file_of(root: &Path, key: &str) -> Option<PathBuf> {
    let is_plain = key.len() <= 1_024 && key.split('/').all(is_plain_segment);
    is_plain.then(|| root.join(key))
}

pub(crate) fn is_plain_segment(segment: &str) -> bool {
    !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        let part = |range| Part::of(Some(range), 10);

        assert_eq!(part("bytes=0-"), Part::Range(0, 9));
        assert_eq!(part("bytes=3-4"), Part::Range(3, 4));
        assert_eq!(part("bytes=9-100"), Part::Range(9, 9));
        assert_eq!(part("bytes=-4"), Part::Range(6, 9));
        assert_eq!(part("bytes=10-"), Part::Outside);
        assert_eq!(part("bytes=-0"), Part::Outside);
        for other in [
            "bytes=4-3",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=x-",
            "bytes=-",
            "",
        ] {
            assert_eq!(part(other), Part::Whole, "{other}");
        }
    }

    #[test]
    fn no_key_leads_out_of_the_root() {
        let root = Path::new("root");

        assert!(file_of(root, "data/spot/a.zip").is_some());
        for key in [
            "",
            "..",
            "../a",
            "data/../../a",
            "/etc/passwd",
            "data//a",
            ".hidden",
            "a/.b",
        ] {
            assert_eq!(file_of(root, key), None, "{key}");
        }
    }
}
