//! All instruments' files: those of the last export where nothing changed, and new ones; and each in its place of the calendar.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde_json::{Map, Value};
use tapemill_lake::LakeError;
use tapemill_market::Symbol;

use super::clock::Clock;
use super::features::{file_name, make_folder, placed, set_index, size};
use super::folder::Replacement;
use super::instrument::{Form, write_files};
use super::name::Prefix;
use super::record::{Instrument, Made, Record};
use super::sources::Sources;
use super::spans::{Spans, places};
use super::{Export, ExportError, Frequency};
use crate::normalise::FIELDS;

/// A dump that is being made.
pub struct Dump<'a> {
    pub export: &'a Export,
    pub replacement: &'a Replacement,
    pub before: Option<&'a Record>,
    pub form: Form<'a>,
    pub prefix: &'a Prefix,
}

/// The symbols whose files are those of the last export.
pub type KeptSymbols = BTreeSet<Symbol>;

impl Dump<'_> {
    /// Makes the files of each instrument that changed, and tells what all have.
    pub fn instruments(
        &self,
        work: &[Sources],
    ) -> Result<(Record, KeptSymbols, Map<String, Value>), ExportError> {
        let form = self.form_text();
        let made = self.export.each(work, |sources| {
            let (inputs, downloads) = sources.identity(&form, self.form.frequencies)?;
            if let Some(known) = self.known(sources, &inputs) {
                return Ok((known.clone(), true, downloads));
            }
            let made = write_files(sources, self.form, self.replacement.next())?;
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
    pub fn place(
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
                write_files(sources, self.form, self.replacement.next())?;
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
    pub fn lists(&self, work: &[Sources], record: &Record) -> Result<(), ExportError> {
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

    pub fn write(&self, file: &str, text: &[u8]) -> Result<(), ExportError> {
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
