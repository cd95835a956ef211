//! The ledger: which archives were published anew after they were milled, and which tables were replaced for that.
//!
//! One small object for each replacement, under `_ledger`, which is no dataset. It is written before the first of the
//! tables is replaced, and holds no clock, host or worker name: whoever does the same again finds it there.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tapemill_market::ArchiveName;

use crate::error::Result;
use crate::json::canonical;
use crate::lake::Lake;
use crate::lineage::{Lineage, Source, read_lineage};
use crate::output::Output;
use crate::paths::LakePath;
use crate::publish::Part;
use crate::receipt::Receipt;
use crate::segment::{encode, refused};
use crate::task_spec::TaskSpec;
use crate::writer::StagedTable;

pub(crate) const FOLDER: &str = "_ledger";

/// An entry has a few hundred bytes; whatever is larger is none of ours.
const LARGEST_ENTRY: u64 = 64 << 10;

/// An archive that was published anew, and what that replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The archive's own path.
    pub archive: String,
    /// What the tables were made of before.
    pub old: Edition,
    /// What they are made of since.
    pub new: Edition,
    /// The tables, by their paths in the output.
    pub tables: Vec<String>,
    /// The digests of their rows before, by dataset.
    #[serde(default)]
    pub old_content: BTreeMap<String, String>,
    /// The digests of their rows since.
    #[serde(default)]
    pub new_content: BTreeMap<String, String>,
}

/// An archive as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 as hexadecimal digits.
    pub sha256: String,
    /// Its rows.
    pub rows: u64,
}

impl From<&Source> for Edition {
    fn from(source: &Source) -> Self {
        Self {
            bytes: source.bytes,
            sha256: source.sha256.clone(),
            rows: source.rows,
        }
    }
}

impl Output {
    /// Enters into the ledger what publishing these tables of an archive replaces: tables that were made of other bytes of
    /// the same archive. Tables that cannot be read are passed over. In a bucket only a task that is done again costs a
    /// request for each table.
    ///
    /// # Errors
    ///
    /// What the store says for a bucket that takes or gives nothing now; as [`crate::Staged::publish`] for the entry.
    pub fn enter_replaced(
        &self,
        name: &ArchiveName,
        new: &Source,
        tables: &[StagedTable],
        spec: TaskSpec,
    ) -> Result<()> {
        if self.lake.folder().is_none() && !spec.again {
            return Ok(());
        }
        let mut entries: BTreeMap<String, LedgerEntry> = BTreeMap::new();
        for (dataset, table) in name.data.tables().into_iter().zip(tables) {
            let Some(before) = readable(&self.lake, table.place())? else {
                continue;
            };
            let is_other = |old: &&Source| old.key == new.key && old.sha256 != new.sha256;
            let Some(old) = before.sources.iter().find(is_other) else {
                continue;
            };
            let entry = entries
                .entry(old.sha256.clone())
                .or_insert_with(|| LedgerEntry {
                    archive: new.key.clone(),
                    old: old.into(),
                    new: new.into(),
                    tables: Vec::new(),
                    old_content: BTreeMap::new(),
                    new_content: BTreeMap::new(),
                });
            entry.tables.push(table.place().to_string());
            entry.old_content.insert(dataset.clone(), before.content);
            entry
                .new_content
                .insert(dataset, table.content().to_owned());
        }
        for entry in entries.values() {
            self.lake.enter(name, entry)?;
        }
        Ok(())
    }
}

impl Lake {
    /// Every entry of the ledger, ordered by dataset, market, symbol and period. Files that are no entries are passed over.
    ///
    /// # Errors
    ///
    /// As [`Lake::tables`] and [`Lake::read`].
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        self.entries()
    }

    /// Every entry that can be read as one of a kind, ordered by its place.
    pub(crate) fn entries<Entry: DeserializeOwned>(&self) -> Result<Vec<Entry>> {
        let mut places = Vec::new();
        self.store().list(FOLDER, &mut |path, bytes| {
            if path.ends_with(".json")
                && bytes <= LARGEST_ENTRY
                && let Ok(place) = LakePath::parse(path)
            {
                places.push(place);
            }
        })?;
        places.sort();
        let mut entries = Vec::new();
        for place in places {
            let text = match self.read(&place) {
                Ok(text) => text,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            entries.extend(serde_json::from_slice::<Entry>(&text).ok());
        }
        Ok(entries)
    }

    /// Writes an entry, unless it is there: an attempt that was killed after it wrote some of the tables saw more.
    fn enter(&self, name: &ArchiveName, entry: &LedgerEntry) -> Result<()> {
        let place = place(name, &entry.old.sha256, &entry.new.sha256)?;
        if self.size(&place)?.is_some() {
            return Ok(());
        }
        self.enter_at(&place, entry)
    }

    /// Writes an entry of any kind.
    pub(crate) fn enter_at(&self, place: &LakePath, entry: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(entry).expect("an entry is JSON");
        let mut part = Part::create(self, place)?;
        part.append(canonical(&value).as_bytes())?;
        part.append(b"\n")?;
        part.stage()?.publish()?;
        Ok(())
    }
}

/// `_ledger/{data}/{market}/{SYMBOL}/{period}.{old}-{new}.json`, of either digest the first eight digits.
fn place(name: &ArchiveName, old: &str, new: &str) -> Result<LakePath> {
    place_of(name, &name.period.to_string(), old, new)
}

/// The same, for an entry of another title than the archive's period.
pub(crate) fn place_of(name: &ArchiveName, title: &str, old: &str, new: &str) -> Result<LakePath> {
    let digits = |sha256: &str| match Receipt::digest(sha256) {
        Some(digest) => Ok(digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()),
        None => Err(refused("checksum", sha256, "it is no SHA-256")),
    };
    let data = encode("data", &name.data.to_string())?;
    let symbol = encode("symbol", name.symbol.as_str())?;
    LakePath::parse(&format!(
        "{FOLDER}/{data}/{}/{symbol}/{title}.{}-{}.json",
        name.market,
        digits(old)?,
        digits(new)?
    ))
}

/// What a table that is about to be replaced says of itself; `None` when there is none, or it does not say.
fn readable(lake: &Lake, place: &LakePath) -> Result<Option<Lineage>> {
    match read_lineage(lake, place) {
        Ok(lineage) => Ok(Some(lineage).filter(has_digests)),
        Err(error) if error.is_outage() => Err(error),
        Err(_) => Ok(None),
    }
}

/// A footer may say anything; a digest of it becomes part of a name.
fn has_digests(lineage: &Lineage) -> bool {
    let sources = &mut lineage.sources.iter();
    sources.all(|source| Receipt::digest(&source.sha256).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffff0000000011111111";
    const NEW: &str = "2222222233333333444444445555555566666666777777778888888899999999";

    fn name(id: &str) -> ArchiveName {
        ArchiveName::from_task_id(id).unwrap()
    }

    fn entry(archive: &str) -> LedgerEntry {
        let edition = |sha256: &str| Edition {
            bytes: 7,
            sha256: sha256.to_owned(),
            rows: 3,
        };
        LedgerEntry {
            archive: archive.to_owned(),
            old: edition(OLD),
            new: edition(NEW),
            tables: vec!["klines_1m/um/X/2024-01.parquet".to_owned()],
            old_content: BTreeMap::from([("klines_1m".to_owned(), "a".to_owned())]),
            new_content: BTreeMap::new(),
        }
    }

    #[test]
    fn entries_come_back_in_order_and_are_no_tables() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        assert_eq!(lake.ledger().unwrap(), []);
        let (first, second) = (entry("data/a.zip"), entry("data/b.zip"));

        lake.enter(&name("um/klines:1m/币USDT/2024-01"), &second)
            .unwrap();
        lake.enter(&name("um/aggTrades/BTCUSDT/2024-01-02"), &first)
            .unwrap();
        std::fs::write(folder.path().join("_ledger/notes.json"), "mine").unwrap();
        // The same again: what is there stays.
        lake.enter(&name("um/aggTrades/BTCUSDT/2024-01-02"), &second)
            .unwrap();

        assert_eq!(lake.ledger().unwrap(), [first, second]);
        let path = "_ledger/klines%3A1m/um/%E5%B8%81USDT/2024-01.aaaaaaaa-22222222.json";
        assert!(folder.path().join(path).exists());
        assert!(lake.tables().unwrap().is_empty());
        assert!(crate::cleanup::plan(&lake).unwrap().is_empty());
    }

    #[test]
    fn no_checksum_leads_out_of_the_ledger() {
        let name = name("um/aggTrades/BTCUSDT/2024-01");
        for bad in [
            "",
            "../../../../x",
            &"../".repeat(21),
            &OLD[1..],
            &"é".repeat(32),
        ] {
            assert!(place(&name, bad, NEW).is_err(), "{bad}");
            assert!(place(&name, OLD, bad).is_err(), "{bad}");
        }
        let place = place(&name, &OLD.to_uppercase(), NEW).unwrap();
        assert_eq!(
            place.as_str(),
            "_ledger/aggTrades/um/BTCUSDT/2024-01.aaaaaaaa-22222222.json"
        );
    }
}
