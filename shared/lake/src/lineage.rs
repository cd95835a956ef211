//! What a table's footer tells: how it was made, from what, and how good it is.

use std::path::Path;

use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tapemill_market::ArchiveName;

use crate::content_reader::OpenFile;
use crate::error::{LakeError, Result};
use crate::guard::guarded;
use crate::json::canonical;
use crate::lake::Lake;
use crate::paths::LakePath;

/// The codec of this program: raised whenever the same input gives other bytes.
pub const CODEC: u32 = 1;

const KEY_CODEC: &str = "tapemill.codec";
const KEY_SETTINGS: &str = "tapemill.settings";
const KEY_SOURCES: &str = "tapemill.sources";
const KEY_QUALITY: &str = "tapemill.quality";
const KEY_CONTENT: &str = "tapemill.content";

const MAGIC: &[u8; 4] = b"PAR1";
/// A footer of ours has a few hundred KiB at most; a foreign file may claim anything.
const LARGEST_FOOTER: u64 = 64 << 20;

/// One archive, or part of one, that went into a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The archive's own path without the host; for a REST part its endpoint and range behind `rest/`; for captured trades
    /// the task's id behind `live/`, and the range where they are not the whole day's.
    pub key: String,
    /// The size of the archive.
    pub bytes: u64,
    /// The SHA-256 of the archive as hexadecimal digits.
    pub sha256: String,
    /// The rows read from it.
    pub rows: u64,
}

/// What the keys of captured trades begin with.
const CAPTURED: &str = "live/";

impl Source {
    /// Whether it is none of the archive, so that it gives way when there is one: asked of the exchange, or captured.
    pub fn gives_way(&self) -> bool {
        self.key.starts_with("rest/") || self.is_captured()
    }

    /// Whether its rows were captured by a collector.
    pub fn is_captured(&self) -> bool {
        self.key.starts_with(CAPTURED)
    }

    /// What the key of captured trades begins with; it ends there where they are those of the whole period, else a range
    /// follows behind `?`.
    pub fn captured_key(name: &ArchiveName) -> String {
        format!("{CAPTURED}{}", name.task_id())
    }

    /// Whether a key is that of captured trades of a period.
    pub fn is_captured_key(key: &str, name: &ArchiveName) -> bool {
        let range = key.strip_prefix(&Self::captured_key(name));
        range.is_some_and(|range| range.is_empty() || range.starts_with('?'))
    }
}

/// What the caller puts into the footer. No clock, host, local path or worker name may be in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Footer {
    /// What shapes the bytes.
    pub settings: Map<String, Value>,
    /// Where the rows came from.
    pub sources: Vec<Source>,
    /// What was found in the sources.
    pub quality: Value,
}

impl Footer {
    /// The footer's keys, in their one order and spelling.
    pub(crate) fn key_values(self, content: String) -> Vec<KeyValue> {
        let sources = self.sources.into_iter().map(|source| {
            Value::Object(Map::from_iter([
                ("key".to_owned(), source.key.into()),
                ("bytes".to_owned(), source.bytes.into()),
                ("sha256".to_owned(), source.sha256.into()),
                ("rows".to_owned(), source.rows.into()),
            ]))
        });
        [
            (KEY_CODEC, CODEC.to_string()),
            (KEY_SETTINGS, canonical(&Value::Object(self.settings))),
            (KEY_SOURCES, canonical(&sources.collect())),
            (KEY_QUALITY, canonical(&self.quality)),
            (KEY_CONTENT, content),
        ]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .to_vec()
    }
}

/// What a published table says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// The codec that wrote it; [`CODEC`] when it is this program's.
    pub codec: u32,
    /// What shaped the bytes.
    pub settings: Map<String, Value>,
    /// Where the rows came from.
    pub sources: Vec<Source>,
    /// What was found in the sources.
    pub quality: Value,
    /// The digest of the rows, as [`crate::content_of`] gives it.
    pub content: String,
    /// The number of rows.
    pub rows: u64,
    /// The names of the columns in order.
    pub columns: Vec<String>,
}

/// Reads a table's footer, and nothing else of it: in a bucket one request, where the footer is not of unusual size.
///
/// # Errors
///
/// [`LakeError::NotParquet`], [`LakeError::CutShort`], [`LakeError::NotOurs`] and [`LakeError::Damaged`] for the file;
/// [`LakeError::Io`] and [`LakeError::ReadOnly`] for the disk, a file that is not there included; what the store says
/// for a bucket.
pub fn read_lineage(lake: &Lake, path: &LakePath) -> Result<Lineage> {
    let file = OpenFile::open(lake, path)?;
    check_frame(&file)?;
    guarded(file.path(), || {
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .parse_and_finish(&file)
            .map_err(|error| file.explain(&error))?;
        lineage_of(&metadata, file.path())
    })
}

/// Tells a foreign or cut file apart from a damaged one, and bounds the footer before it is read.
pub(crate) fn check_frame(file: &OpenFile) -> Result<()> {
    let path = || file.path().to_path_buf();
    let size = file.size();
    let footer_end = size.checked_sub(8).filter(|end| *end >= 4);
    let tail = match footer_end {
        Some(footer_end) => Some((footer_end, file.read(footer_end, 8)?)),
        None => None,
    };
    let Some((footer_end, tail)) = tail.filter(|(_, tail)| tail[4..] == *MAGIC) else {
        // Only here, since it may cost a request of its own.
        let head = file.read(0, size.min(4) as usize)?;
        // Not Parquet is also what the rename of an unsynced file leaves behind: nothing, or zeros.
        return Err(if *head == *MAGIC {
            LakeError::CutShort { path: path() }
        } else {
            LakeError::NotParquet { path: path() }
        });
    };
    let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if footer > LARGEST_FOOTER || footer + 4 > footer_end {
        return Err(LakeError::damaged(
            file.path(),
            &format!("a footer of {footer} bytes cannot be"),
        ));
    }
    Ok(())
}

pub(crate) fn lineage_of(metadata: &ParquetMetaData, path: &Path) -> Result<Lineage> {
    let footer = metadata.file_metadata();
    let get = |key: &'static str| -> Result<&str> {
        footer
            .key_value_metadata()
            .into_iter()
            .flatten()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.value.as_deref())
            .ok_or_else(|| LakeError::NotOurs {
                path: path.to_path_buf(),
                key,
            })
    };
    let codec = get(KEY_CODEC)?;
    let codec = codec
        .parse()
        .map_err(|_| LakeError::damaged(path, &format!("{KEY_CODEC} is {codec:?}")))?;
    Ok(Lineage {
        codec,
        settings: json(path, KEY_SETTINGS, get(KEY_SETTINGS)?)?,
        sources: json(path, KEY_SOURCES, get(KEY_SOURCES)?)?,
        quality: json(path, KEY_QUALITY, get(KEY_QUALITY)?)?,
        content: get(KEY_CONTENT)?.to_owned(),
        rows: u64::try_from(footer.num_rows())
            .map_err(|_| LakeError::damaged(path, &"its row count is negative"))?,
        columns: footer
            .schema_descr()
            .root_schema()
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect(),
    })
}

fn json<'a, T: Deserialize<'a>>(path: &Path, key: &str, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| LakeError::damaged(path, &format!("{key}: {error}")))
}
