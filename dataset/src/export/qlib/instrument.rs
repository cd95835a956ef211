//! One instrument's files.

use std::collections::BTreeMap;
use std::path::Path;

use super::features::Features;
use super::record::{Made, csv_path};
use super::sheet::Sheet;
use super::sources::Sources;
use super::{ExportError, Frequency};
use crate::normalise::{Bar, filled};

/// What is written of each instrument.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// Of these lengths.
    pub frequencies: &'a [Frequency],
    /// Holes between the first and the last bar are filled with empty bars.
    pub fill: bool,
    /// The collector's CSVs as well.
    pub csv: bool,
}

/// Writes the files of one instrument into a folder. Their place in the calendar is not known yet.
pub fn write_files(
    sources: &Sources,
    form: Form<'_>,
    into: &Path,
) -> Result<BTreeMap<String, Made>, ExportError> {
    let mut open = sources.open()?;
    let months = open.list();
    let mut files: Vec<_> = form
        .frequencies
        .iter()
        .map(|&frequency| Files::new(sources, frequency, form, into))
        .collect();
    for month in months {
        for files in &mut files {
            let found = open.month(month, files.frequency)?;
            files.made.folded += found.folded;
            files.made.partial += found.partial;
            files.made.off_grid += found.off_grid;
            files.write(&found.bars, form.fill)?;
            // Where the exchange's own bars never were, the source is what was made in their place.
            let source = match sources.has_own(files.frequency) {
                true => &found.own[..],
                false => &found.bars,
            };
            files.write_source(source)?;
        }
    }
    let made = files
        .into_iter()
        .map(|files| (files.frequency.to_string(), files.made));
    Ok(made.filter(|(_, made)| made.bars > 0).collect())
}

/// The files of one frequency.
struct Files {
    frequency: Frequency,
    features: Features,
    /// The source and what became of it.
    sheets: Option<(Sheet, Sheet)>,
    made: Made,
}

impl Files {
    fn new(sources: &Sources, frequency: Frequency, form: Form<'_>, into: &Path) -> Self {
        let name = &sources.name;
        let sheet = |kind| {
            let path = into.join(csv_path(kind, frequency, &name.stem()));
            Sheet::new(path, frequency, name.as_str())
        };
        Self {
            frequency,
            features: Features::new(into.join("features").join(name.folder()), frequency),
            sheets: form.csv.then(|| (sheet("source"), sheet("normalize"))),
            made: Made::default(),
        }
    }

    fn write(&mut self, bars: &[Bar], fill: bool) -> Result<(), ExportError> {
        let interval = self.frequency.interval();
        let after = self.made.spans.ends().map(|(_, last)| last);
        match fill {
            true => filled(bars, after, interval).try_for_each(|bar| self.push(&bar))?,
            false => bars.iter().try_for_each(|bar| self.push(bar))?,
        }
        self.features.flush()?;
        if let Some((_, normalized)) = &mut self.sheets {
            normalized.flush()?;
        }
        Ok(())
    }

    fn push(&mut self, bar: &Bar) -> Result<(), ExportError> {
        self.made.spans.push(bar.open_us, self.frequency.step_us());
        match bar.is_empty() {
            true => self.made.empty += 1,
            false => self.made.bars += 1,
        }
        self.features.push(bar)?;
        if let Some((_, normalized)) = &mut self.sheets {
            normalized.push(bar)?;
        }
        Ok(())
    }

    fn write_source(&mut self, bars: &[Bar]) -> Result<(), ExportError> {
        if let Some((source, _)) = &mut self.sheets {
            bars.iter().try_for_each(|bar| source.push(bar))?;
            source.flush()?;
        }
        Ok(())
    }
}
