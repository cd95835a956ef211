//! A folder that Qlib reads, as its own dump of the collector's CSVs would have made it.
//!
//! ```text
//! tables, imported CSVs ─ sources ─ month by month ─ dump ─► hidden folder beside ─ exchange ─► the folder
//!                                                     │ calendars, places, lists ▲
//!                                                     └──────────────────────────┘
//! ```
//!
//! An instrument whose tables are those of the last export (`record`) is not made again: its files are linked.

mod clock;
mod dump;
mod features;
mod folder;
mod frequency;
mod import;
mod name;
mod record;
mod sheet;
mod sources;
mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tapemill_lake::LakeError;
use tapemill_market::{Symbol, iso_time};

use super::{Export, ExportError};
use crate::normalise::FIELDS;
use clock::Clock;
use dump::{Form, dump};
use features::{file_name, make_folder, placed, set_index, size};
use folder::Replacement;
use record::{Instrument, Made, RECORD, Record};
use sources::{Sources, tables_of};
use spans::{Spans, places};

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

/// A dump that is being made.
struct Dump<'a> {
    export: &'a Export,
    replacement: &'a Replacement,
    before: Option<&'a Record>,
    form: Form<'a>,
    prefix: &'a Prefix,
}

/// The symbols whose files are those of the last export.
type KeptSymbols = BTreeSet<Symbol>;

impl Dump<'_> {
    /// Makes the files of each instrument that changed, and tells what all have.
    fn instruments(
        &self,
        work: &[Sources],
    ) -> Result<(Record, KeptSymbols, Map<String, Value>), ExportError> {
        let form = self.form_text();
        let made = self.export.each(work, |sources| {
            let (inputs, downloads) = sources.identity(&form, self.form.frequencies)?;
            if let Some(known) = self.known(sources, &inputs) {
                return Ok((known.clone(), true, downloads));
            }
            let made = dump(sources, self.form, self.replacement.next())?;
            Ok((Instrument { inputs, made }, false, downloads))
        })?;
        let mut record = Record::new(self.prefix, self.form.csv);
        let mut kept = KeptSymbols::new();
        let mut all_downloads = Map::new();
        for (sources, (instrument, is_kept, downloads)) in work.iter().zip(made) {
            all_downloads.extend(downloads);
            record.frequencies.extend(instrument.made.keys().cloned());
            if is_kept {
                kept.insert(sources.symbol.clone());
            }
            record
                .instruments
                .insert(sources.symbol.to_string(), instrument);
        }
        Ok((record, kept, all_downloads))
    }

    /// All of the request that shapes an instrument's files.
    fn form_text(&self) -> String {
        let Form {
            frequencies,
            fill,
            csv,
        } = self.form;
        let (market, range, prefix) =
            (self.export.market, &self.export.range, self.prefix.as_str());
        format!("{market} {prefix} {frequencies:?} {fill} {csv} {range:?}")
    }

    /// What the last export knows of an instrument, where it made it of the same and its files are there.
    fn known(&self, sources: &Sources, inputs: &str) -> Option<&Instrument> {
        let before = self.before?;
        let known = before.instruments.get(sources.symbol.as_str())?;
        let is_there = |file: &PathBuf| self.replacement.current().join(file).exists();
        let files = before.files_of(sources.symbol.as_str());
        (known.inputs == inputs && files.iter().all(is_there)).then_some(known)
    }

    /// Sets every file's place in its calendar.
    fn place(
        &self,
        work: &[Sources],
        record: &Record,
        kept: &KeptSymbols,
    ) -> Result<(), ExportError> {
        let calendars = |record: &Record| -> BTreeMap<Frequency, Spans> {
            let all = Frequency::ALL.into_iter();
            all.map(|of| (of, record.calendar(of))).collect()
        };
        let (now, then) = (calendars(record), self.before.map(calendars));
        self.export.each(work, |sources| {
            let symbol = sources.symbol.as_str();
            let made: BTreeMap<_, _> = Frequency::ALL
                .into_iter()
                .filter_map(|of| Some((of, record.made(symbol, of)?)))
                .collect();
            if kept.contains(&sources.symbol) {
                let is_same = then.as_ref().is_some_and(|then| {
                    made.iter()
                        .all(|(of, made)| place_of(made, *of, then) == place_of(made, *of, &now))
                });
                if is_same && self.sizes_fit(sources, &made, &now) {
                    for file in record.files_of(symbol) {
                        self.replacement.keep(&file)?;
                    }
                    return Ok(());
                }
                // Others have bars now where there was no time in the calendar before.
                dump(sources, self.form, self.replacement.next())?;
            }
            for (of, made) in &made {
                self.place_one(sources, *of, place_of(made, *of, &now))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Whether the files that are there have as many values as they should.
    fn sizes_fit(
        &self,
        sources: &Sources,
        made: &BTreeMap<Frequency, &Made>,
        calendars: &BTreeMap<Frequency, Spans>,
    ) -> bool {
        let folder = self.replacement.current().join("features");
        let folder = folder.join(sources.name.folder());
        made.iter().all(|(of, made)| {
            let (_, places) = place_of(made, *of, calendars);
            let values = places.iter().map(|(empty, count)| empty + count).sum();
            FIELDS.iter().all(|field| {
                let file = fs::metadata(folder.join(file_name(field, *of)));
                file.is_ok_and(|file| file.len() == size(values))
            })
        })
    }

    fn place_one(
        &self,
        sources: &Sources,
        frequency: Frequency,
        (index, places): Place,
    ) -> Result<(), ExportError> {
        let folder = self.replacement.next().join("features");
        let folder = folder.join(sources.name.folder());
        for field in FIELDS {
            let path = folder.join(file_name(field, frequency));
            if places.iter().all(|(empty, _)| *empty == 0) {
                set_index(&path, index)?;
                continue;
            }
            let bytes = fs::read(&path).map_err(|error| LakeError::io("read", &path, error))?;
            fs::write(&path, placed(&bytes, index, &places))
                .map_err(|error| LakeError::io("write", &path, error))?;
        }
        Ok(())
    }

    /// Writes the calendars, and the list of instruments.
    ///
    /// There is one list for all frequencies, and what lies outside of it does not exist for Qlib: so it has the widest range of
    /// an instrument, in seconds where any frequency has them.
    fn lists(&self, work: &[Sources], record: &Record) -> Result<(), ExportError> {
        let there = |of: &Frequency| record.frequencies.contains(of.as_str());
        let frequencies: Vec<_> = Frequency::ALL.into_iter().filter(there).collect();
        for &frequency in &frequencies {
            let file = format!("calendars/{frequency}.txt");
            let times = record.calendar(frequency);
            let clock = Clock::of(frequency);
            let mut text = Vec::new();
            self.stream(&file, |file| {
                for time in times.times(frequency.step_us()) {
                    text.clear();
                    clock.write(time, &mut text);
                    text.push(b'\n');
                    file.write_all(&text)?;
                }
                Ok(())
            })?;
        }
        let finest = frequencies.first().copied().unwrap_or(Frequency::Day);
        let clock = Clock::of(finest);
        let mut list = String::new();
        for sources in work {
            let made = frequencies.iter();
            let made = made.filter_map(|of| record.made(sources.symbol.as_str(), *of));
            let ends: Vec<_> = made.filter_map(|made| made.spans.ends()).collect();
            let first = ends.iter().map(|(first, _)| *first).min();
            let last = ends.iter().map(|(_, last)| *last).max();
            if let (Some(first), Some(last)) = (first, last) {
                let (first, last) = (clock.text(first), clock.text(last));
                list += &format!("{}\t{first}\t{last}\n", sources.name.listed());
            }
        }
        self.write("instruments/all.txt", list.as_bytes())
    }

    fn write(&self, file: &str, text: &[u8]) -> Result<(), ExportError> {
        self.stream(file, |file| file.write_all(text))
    }

    fn stream(
        &self,
        file: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), ExportError> {
        let path = self.replacement.next().join(file);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let written = File::create(&path).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.flush()
        });
        Ok(written.map_err(|error| LakeError::io("write", &path, error))?)
    }
}

/// Where in the calendar a file's values stand.
type Place = (u64, Vec<(u64, u64)>);

fn place_of(made: &Made, frequency: Frequency, calendars: &BTreeMap<Frequency, Spans>) -> Place {
    let step = frequency.step_us();
    let nothing = Spans::default();
    let calendar = calendars.get(&frequency).unwrap_or(&nothing);
    let first = made.spans.ends().map_or(0, |(first, _)| first);
    (
        calendar.before(first, step),
        places(&made.spans, calendar, step),
    )
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
