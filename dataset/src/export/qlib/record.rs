//! What an export knows of the one before it: a hidden file in the folder, the same for the same tables and request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tapemill_market::Symbol;

use super::features::file_name;
use super::name::Prefix;
use super::spans::Spans;
use super::{ExportError, Frequency};
use crate::normalise::FIELDS;

/// Its name.
pub const RECORD: &str = ".tapemill-qlib.json";

/// Raised when what is in it, or what files are made of the same tables, changes.
const FORMAT: u32 = 1;

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// What stands before symbols.
    pub prefix: String,
    /// Whether the collector's CSVs are there as well.
    pub csv: bool,
    /// The frequencies of which there are bars.
    pub frequencies: BTreeSet<String>,
    /// By symbol.
    pub instruments: BTreeMap<String, Instrument>,
}

/// One instrument of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    /// A digest of all that its files were made of.
    pub inputs: String,
    /// By frequency.
    pub made: BTreeMap<String, Made>,
}

/// The bars of one instrument and frequency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The times of bars, filled ones included.
    pub spans: Spans,
    /// Bars with values.
    pub bars: u64,
    /// Bars of the calendar without any.
    pub empty: u64,
    /// Bars that were made of finer ones, since the exchange's own were not there.
    pub folded: u64,
    /// Those of them that were made of fewer than they have room for.
    pub partial: u64,
    /// Bars that were left out, since they open at no time of the calendar.
    pub off_grid: u64,
}

impl Record {
    /// Nothing yet.
    pub fn new(prefix: &Prefix, csv: bool) -> Self {
        Self {
            format: FORMAT,
            prefix: prefix.as_str().to_owned(),
            csv,
            frequencies: BTreeSet::new(),
            instruments: BTreeMap::new(),
        }
    }

    /// What the export in this folder wrote; `None` where the folder is empty or not there.
    ///
    /// # Errors
    ///
    /// For a folder that holds anything else: nobody wants that to be replaced.
    pub fn read(folder: &Path) -> Result<Option<Self>, ExportError> {
        let refused = |problem: &str| ExportError::Folder {
            path: folder.to_path_buf(),
            problem: problem.to_owned(),
        };
        let path = folder.join(RECORD);
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Self>(&text) {
                Ok(record) if record.format == FORMAT => Ok(Some(record)),
                _ => Err(refused(&format!(
                    "its {RECORD} is not one that this version writes: remove the folder, or name another"
                ))),
            },
            Err(_) => match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
                Ok(true) => Err(refused(
                    "it holds files that no export of this kind wrote: name another folder, or empty it",
                )),
                _ => Ok(None),
            },
        }
    }

    /// As the file has it.
    pub fn text(&self) -> String {
        let text = serde_json::to_string(self);
        text.expect("it has only text for keys") + "\n"
    }

    /// What is known of one instrument and frequency.
    pub fn made(&self, symbol: &str, frequency: Frequency) -> Option<&Made> {
        self.instruments.get(symbol)?.made.get(frequency.as_str())
    }

    /// The times of all instruments.
    pub fn calendar(&self, frequency: Frequency) -> Spans {
        let made = |instrument: &'_ Instrument| instrument.made.get(frequency.as_str()).cloned();
        let all: Vec<_> = self.instruments.values().filter_map(made).collect();
        Spans::union(all.iter().map(|made| &made.spans), frequency.step_us())
    }

    /// The files that belong to one instrument, relative to the folder.
    pub fn files_of(&self, symbol: &str) -> Vec<PathBuf> {
        let (Ok(prefix), Ok(known)) = (self.prefix.parse::<Prefix>(), Symbol::exact(symbol)) else {
            return Vec::new();
        };
        let name = prefix.name(&known);
        let folder = Path::new("features").join(name.folder());
        let mut files = Vec::new();
        for frequency in Frequency::ALL {
            if self.made(symbol, frequency).is_none() {
                continue;
            }
            files.extend(FIELDS.map(|field| folder.join(file_name(field, frequency))));
            if self.csv {
                files.extend(
                    ["source", "normalize"].map(|kind| csv_path(kind, frequency, &name.stem())),
                );
            }
        }
        files
    }

    /// All files of the export, relative to the folder.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let of_all = ["instruments/all.txt", "manifest.json", RECORD];
        let calendars = self.frequencies.iter();
        self.instruments
            .keys()
            .flat_map(|symbol| self.files_of(symbol))
            .chain(of_all.map(PathBuf::from))
            .chain(calendars.map(|name| Path::new("calendars").join(format!("{name}.txt"))))
            .collect()
    }
}

/// Where one of the collector's CSVs lies.
pub fn csv_path(kind: &str, frequency: Frequency, stem: &str) -> PathBuf {
    Path::new(&format!("{kind}_{}", frequency.of_collector())).join(format!("{stem}.csv"))
}
