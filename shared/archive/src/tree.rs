//! The archives found below a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{ArchiveError, SIDECAR_SUFFIX, listing::decoded};

/// The official paths are eight deep; trees nested deeper than this are not looked into.
const DEEPEST: usize = 24;

/// Files and folders one walk may meet.
const MOST_ENTRIES: u64 = 5_000_000;

/// One `.zip` below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The checksum file beside it.
    pub(crate) sidecar: Option<PathBuf>,
    /// Device and inode: two paths may lead to one file.
    id: (u64, u64),
    /// Changes when the file does; a quoted tag.
    pub(crate) etag: String,
    /// Seconds since the epoch.
    pub(crate) modified: i64,
    /// Folders above it that are named as a market or a kind of data is.
    told: Vec<&'static str>,
}

/// Names that tell files of one name apart: klines of spot and of futures, of last and of mark prices.
const MARKETS: [&str; 3] = ["spot", "um", "cm"];
const KINDS: [&str; 11] = [
    "aggTrades",
    "trades",
    "klines",
    "markPriceKlines",
    "indexPriceKlines",
    "premiumIndexKlines",
    "fundingRate",
    "metrics",
    "bookDepth",
    "bookTicker",
    "liquidationSnapshot",
];

/// Kinds whose files are named as those of `klines` are: only a folder's name can tell that a file is one.
const UNTOLD: [&str; 3] = ["markPriceKlines", "indexPriceKlines", "premiumIndexKlines"];

impl Found {
    /// Whether no folder above it tells that it is of another market or kind than `key`, or has to and does not.
    fn could_be(&self, key: &str) -> bool {
        let untold = UNTOLD
            .iter()
            .any(|kind| key.split('/').any(|part| part == *kind) && !self.told.contains(kind));
        !untold
            && [MARKETS.as_slice(), KINDS.as_slice()].iter().all(|names| {
                let told = self.told.iter().rev().find(|told| names.contains(told));
                told.is_none_or(|told| key.split('/').any(|part| part == *told))
            })
    }
}

/// What a folder holds. A file whose path has the official layout answers to that key only,
/// any other to its name alone.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    by_key: BTreeMap<String, Vec<Found>>,
    by_name: BTreeMap<String, Vec<Found>>,
}

impl Tree {
    /// Walks the canonical `root`. Hidden names and `.part` files are skipped; links are followed
    /// only to places below the root.
    pub(crate) fn walk(root: &Path) -> Result<Self, ArchiveError> {
        let mut tree = Self::default();
        let mut met = 0u64;
        // Each folder with the canonical folders above it, which a link must not lead back to.
        let mut folders = vec![(root.to_owned(), vec![root.to_owned()])];
        while let Some((folder, above)) = folders.pop() {
            let unreadable = |error| ArchiveError::io(&folder, error);
            let mut files = BTreeMap::new();
            for entry in fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                met += 1;
                if met > MOST_ENTRIES {
                    return Err(ArchiveError::TooLarge {
                        what: root.display().to_string(),
                        limit: MOST_ENTRIES,
                        unit: "files",
                    });
                }
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| is_wanted(name)) else {
                    continue;
                };
                let path = entry.path();
                if leads_out(root, &entry)? {
                    continue;
                }
                let blocked = |error| ArchiveError::io(&path, error);
                let meta = match fs::metadata(&path) {
                    // Renamed or removed since the folder was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    meta => meta.map_err(blocked)?,
                };
                if meta.is_file() {
                    files.insert(name.to_owned(), (path, meta));
                } else if meta.is_dir() && above.len() < DEEPEST {
                    let real = fs::canonicalize(&path).map_err(blocked)?;
                    if !above.contains(&real) {
                        let mut above = above.clone();
                        above.push(real);
                        folders.push((path, above));
                    }
                }
            }
            tree.add(root, files);
        }
        Ok(tree)
    }

    fn add(&mut self, root: &Path, files: BTreeMap<String, (PathBuf, Metadata)>) {
        for (name, (path, meta)) in &files {
            if !name.ends_with(".zip") {
                continue;
            }
            let found = Found {
                path: path.clone(),
                bytes: meta.len(),
                sidecar: files
                    .get(&format!("{name}{SIDECAR_SUFFIX}"))
                    .map(|(path, _)| path.clone()),
                id: (meta.dev(), meta.ino()),
                etag: etag(meta),
                modified: meta.mtime(),
                told: told_by(root, path),
            };
            let candidates = match official_key(root, path) {
                Some(key) => self.by_key.entry(key).or_default(),
                None => self.by_name.entry(plain(name)).or_default(),
            };
            // Two paths to one file are one candidate; the one with a sidecar is worth more.
            match candidates.iter_mut().find(|other| other.id == found.id) {
                Some(same) if same.sidecar.is_none() && found.sidecar.is_some() => *same = found,
                Some(_) => {}
                None => candidates.push(found),
            }
        }
    }

    /// All files that could be the archive `key`.
    pub(crate) fn candidates(&self, key: &str) -> Vec<Found> {
        if let Some(official) = self.by_key.get(key) {
            return official.clone();
        }
        let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
        let named = self.by_name.get(name).into_iter().flatten();
        named.filter(|found| found.could_be(key)).cloned().collect()
    }

    /// The keys below `folder` whose names begin with `stem`, sorted: those of the official paths,
    /// and those the other files answer to.
    pub(crate) fn keys(&self, folder: &str, stem: &str) -> BTreeSet<String> {
        let start = format!("{folder}{stem}");
        let official = beginning_with(&self.by_key, &start)
            .filter(|key| !key[folder.len()..].contains('/'))
            .cloned();
        let named = beginning_with(&self.by_name, stem).map(|name| format!("{folder}{name}"));
        official.chain(named).collect()
    }

    /// The folders directly below `prefix` in the official paths.
    pub(crate) fn folders(&self, prefix: &str) -> BTreeSet<String> {
        beginning_with(&self.by_key, prefix)
            .filter_map(|key| key[prefix.len()..].split_once('/'))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// The names of files outside the official paths.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// The one file among candidates, which may be copies of each other; with it, any copy's sidecar.
/// Reads copies of equal size; where only `sizes` matter it does not.
pub(crate) fn agreed(
    candidates: &[Found],
    sizes_only: bool,
) -> Result<Option<Found>, ArchiveError> {
    let Some((first, others)) = candidates.split_first() else {
        return Ok(None);
    };
    let mut agreed = first.clone();
    for other in others {
        let same =
            first.bytes == other.bytes && (sizes_only || same_bytes(&first.path, &other.path)?);
        if !same {
            let name = first.path.file_name().unwrap_or_default();
            return Err(ArchiveError::Ambiguous {
                name: name.to_string_lossy().into_owned(),
                first: first.path.clone(),
                second: other.path.clone(),
            });
        }
        agreed.sidecar = agreed.sidecar.or_else(|| other.sidecar.clone());
    }
    Ok(Some(agreed))
}

/// A tag of size, time and inode.
pub(crate) fn etag(meta: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}.{:x}-{:x}\"",
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ino()
    )
}

fn beginning_with<'a, V>(
    map: &'a BTreeMap<String, V>,
    start: &'a str,
) -> impl Iterator<Item = &'a String> {
    map.range(start.to_owned()..)
        .map(|(key, _)| key)
        .take_while(move |key| key.starts_with(start))
}

fn is_wanted(name: &str) -> bool {
    !name.starts_with('.') && !name.ends_with(".part") && !name.contains(char::is_control)
}

/// Whether an entry is a link that leads out of the root or nowhere.
fn leads_out(root: &Path, entry: &fs::DirEntry) -> Result<bool, ArchiveError> {
    let path = entry.path();
    let unreadable = |error| ArchiveError::io(&path, error);
    if !entry.file_type().map_err(unreadable)?.is_symlink() {
        return Ok(false);
    }
    match fs::canonicalize(&path) {
        Ok(real) if real.starts_with(root) => Ok(false),
        Ok(_) => {
            tracing::warn!(path = %path.display(), "a link leads out of the source folder; skipped");
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(unreadable(error)),
        // It leads nowhere, or to itself.
        Err(_) => Ok(true),
    }
}

/// The part of a path from `data/spot/`, `data/futures/um/`, … on.
fn official_key(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?;
    let names: Vec<String> = below
        .iter()
        .map(|part| part.to_str().map(plain))
        .collect::<Option<_>>()?;
    let parts: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = (0..parts.len()).find(|&at| {
        matches!(
            &parts[at..],
            ["data", "spot" | "option", _, ..] | ["data", "futures", "um" | "cm", _, ..]
        )
    })?;
    Some(parts[start..].join("/"))
}

/// A name as the archive has it: folders of ours percent-encode what is not plain ASCII.
fn plain(name: &str) -> String {
    let encoded = name.contains('%') && !name.contains('+');
    let decoded = encoded.then(|| decoded(name)).flatten();
    decoded.unwrap_or_else(|| name.to_owned())
}

fn told_by(root: &Path, path: &Path) -> Vec<&'static str> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let folders = below.iter().filter_map(|part| part.to_str());
    let names = MARKETS.iter().chain(&KINDS);
    folders
        .filter_map(|folder| names.clone().find(|name| **name == folder).copied())
        .collect()
}

fn same_bytes(first: &Path, second: &Path) -> Result<bool, ArchiveError> {
    let open = |path: &Path| File::open(path).map_err(|error| ArchiveError::io(path, error));
    let (mut one, mut two) = (open(first)?, open(second)?);
    let mut buffers = [vec![0u8; 256 << 10], vec![0u8; 256 << 10]];
    loop {
        let [left, right] = &mut buffers;
        let read = fill(&mut one, left).map_err(|error| ArchiveError::io(first, error))?;
        let other = fill(&mut two, right).map_err(|error| ArchiveError::io(second, error))?;
        if left[..read] != right[..other] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
