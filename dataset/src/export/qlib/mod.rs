//! A folder that Qlib reads, as its own dump of the collector's CSVs would have made it.
//!
//! ```text
//! tables, imported CSVs ─ sources ─ month by month ─ instrument ─► hidden folder beside ─ exchange ─► the folder
//!                                                        │ dump: calendars, places, lists ▲
//!                                                        └────────────────────────────────┘
//! ```
//!
//! An instrument whose tables are those of the last export (`record`) is not made again: its files are linked.

mod clock;
mod dump;
mod features;
mod folder;
mod frequency;
mod import;
mod instrument;
mod name;
mod record;
mod sheet;
mod sources;
mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use tapemill_market::{Symbol, iso_time};

use super::{Export, ExportError};
use dump::{Dump, KeptSymbols};
use folder::Replacement;
use instrument::Form;
use record::{RECORD, Record};
use sources::{Sources, tables_of};

pub use frequency::Frequency;
pub use name::Prefix;

/// How a dump is made.
#[derive(Debug, Clone)]
pub struct QlibOptions {
    /// The lengths of bars; `None` for minutes, hours and days, those of which there are any.
    pub frequencies: Option<Vec<Frequency>>,
    /// What stands before symbols.
    pub prefix: Prefix,
    /// Holes between the first and the last bar of an instrument are filled with empty bars.
    pub fill: bool,
    /// The collector's CSVs and its list of downloads as well.
    pub csv: bool,
    /// A folder of source CSVs of the collector, whose bars are taken where the output has none.
    pub import: Option<PathBuf>,
}

/// Bars of one instrument and frequency that were dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QlibExported {
    /// The instrument, as `binance_um.BTCUSDT`.
    pub instrument: String,
    /// The length of its bars.
    pub frequency: Frequency,
    /// Bars with values.
    pub bars: u64,
    /// Bars of its calendar without any.
    pub empty: u64,
    /// Bars that were made of finer ones.
    pub folded: u64,
    /// Those of them that were made of fewer than they have room for.
    pub partial: u64,
    /// Bars that were left out, since they open at no time of the calendar.
    pub off_grid: u64,
    /// When the first and the last bar open, in UTC microseconds.
    pub times: Option<(i64, i64)>,
    /// The files are those that were there already.
    pub is_kept: bool,
}

impl QlibExported {
    /// As data.
    pub fn value(&self) -> Value {
        json!({
            "instrument": self.instrument,
            "frequency": self.frequency.as_str(),
            "bars": self.bars,
            "empty": self.empty,
            "folded": self.folded,
            "partial": self.partial,
            "off_grid": self.off_grid,
            "first": self.times.map(|(first, _)| iso_time(first)),
            "last": self.times.map(|(_, last)| iso_time(last)),
            "kept": self.is_kept,
        })
    }
}

/// Replaces a folder by a dump: features, calendars and the list of instruments.
///
/// # Errors
///
/// [`ExportError`], and the folder is as it was.
pub fn export_qlib(
    export: &Export,
    options: &QlibOptions,
) -> Result<Vec<QlibExported>, ExportError> {
    let frequencies = match &options.frequencies {
        None => vec![Frequency::Minute, Frequency::Hour, Frequency::Day],
        Some(named) => Vec::from_iter(BTreeSet::from_iter(named.iter().copied())),
    };
    let to = export.to.folder().ok_or_else(|| ExportError::Folder {
        path: export.to.place().into(),
        problem: "Qlib reads folders: name one".to_owned(),
    })?;
    let work = sources(export, options, &frequencies)?;
    let replacement = Replacement::begin(to)?;
    let before = Record::read(replacement.current())?;
    let dump = Dump {
        export,
        replacement: &replacement,
        before: before.as_ref(),
        form: Form {
            frequencies: &frequencies,
            fill: options.fill,
            csv: options.csv,
        },
        prefix: &options.prefix,
    };
    let (record, kept, downloads) = dump.instruments(&work)?;
    for frequency in &frequencies {
        let is_named = options.frequencies.is_some() || record.frequencies.is_empty();
        if is_named && !record.frequencies.contains(frequency.as_str()) {
            return Err(ExportError::NoTables {
                tables: tables_of(*frequency).join(" or "),
                market: export.market,
            });
        }
    }
    dump.place(&work, &record, &kept)?;
    dump.lists(&work, &record)?;
    if options.csv {
        let manifest = json!({ "downloads": downloads });
        dump.write("manifest.json", format!("{manifest:#}\n").as_bytes())?;
    }
    dump.write(RECORD, record.text().as_bytes())?;
    let ours = before.as_ref().map(Record::files).unwrap_or_default();
    replacement.keep_others(&ours)?;
    replacement.publish()?;
    Ok(told(&work, &record, &kept, &frequencies))
}

/// What there is of each symbol of the selection, in the order of the instruments' file names.
fn sources(
    export: &Export,
    options: &QlibOptions,
    frequencies: &[Frequency],
) -> Result<Vec<Sources>, ExportError> {
    let tables: BTreeSet<_> = frequencies.iter().flat_map(|&of| tables_of(of)).collect();
    let mut found: BTreeMap<Symbol, Sources> = BTreeMap::new();
    let new = |symbol: &Symbol| Sources {
        name: options.prefix.name(symbol),
        symbol: symbol.clone(),
        market: export.market,
        range: export.range.clone(),
        tables: BTreeMap::new(),
        imports: BTreeMap::new(),
    };
    for &table in &tables {
        for (symbol, stored) in export.stored(table)? {
            if stored.files(&export.range).next().is_some() {
                let of = found.entry(symbol.clone()).or_insert_with(|| new(&symbol));
                of.tables.insert(table, stored);
            }
        }
    }
    if let Some(folder) = &options.import {
        let is_used = |frequency: &Frequency| tables.contains(frequency.table());
        for (symbol, files) in import::find(folder, &options.prefix, frequencies)? {
            let asked = export.symbols.as_ref();
            if asked.is_none_or(|asked| asked.contains(&symbol)) {
                let of = found.entry(symbol.clone()).or_insert_with(|| new(&symbol));
                of.imports = files.into_iter().filter(|(of, _)| is_used(of)).collect();
            }
        }
    }
    let all = || tables.iter().copied().collect::<Vec<_>>().join(" or ");
    for symbol in export.symbols.iter().flatten() {
        if !found.contains_key(symbol) {
            return Err(ExportError::Nothing {
                table: all(),
                symbol: symbol.clone(),
                market: export.market,
            });
        }
    }
    if found.is_empty() {
        return Err(ExportError::NoTables {
            tables: all(),
            market: export.market,
        });
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|sources| format!("{}.csv", sources.name.stem()));
    Ok(found)
}

fn told(
    work: &[Sources],
    record: &Record,
    kept: &KeptSymbols,
    frequencies: &[Frequency],
) -> Vec<QlibExported> {
    let each = work.iter().flat_map(|sources| {
        let of = move |frequency: &Frequency| (sources, *frequency);
        frequencies.iter().map(of)
    });
    each.filter_map(|(sources, frequency)| {
        let made = record.made(sources.symbol.as_str(), frequency)?;
        Some(QlibExported {
            instrument: sources.name.as_str().to_owned(),
            frequency,
            bars: made.bars,
            empty: made.empty,
            folded: made.folded,
            partial: made.partial,
            off_grid: made.off_grid,
            times: made.spans.ends(),
            is_kept: kept.contains(&sources.symbol),
        })
    })
    .collect()
}
