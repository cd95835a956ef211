//! A training as it stands after an epoch: all that it needs to go on, and that a forecast needs.

use std::ops::Range;

use crate::adam::Adam;
use crate::error::{ForecastError, Result};
use crate::linear::Linear;
use crate::prepared::{Columns, Prepared, Scales, places};
use crate::scaler::Scaler;
use crate::score::{self, Losses};
use crate::settings::Settings;
use crate::split::Split;
use crate::stretches::windows;
use crate::table::{Asked, Table};
use crate::weights::Weights;

/// A training after some epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What the training was told.
    pub settings: Settings,
    /// What goes in and comes out.
    pub columns: Columns,
    /// See [`Asked::time`].
    pub time_column: Option<String>,
    /// See [`Asked::no_grid`].
    pub no_grid: bool,
    /// From the training part.
    pub scales: Scales,
    /// The parts of the table that it was trained on.
    pub split: Split,
    /// The times of the first and the last row of training, validation and test, where rows have times and the part has rows.
    pub part_times: Option<[Option<(i64, i64)>; 3]>,
    /// The baselines' losses on the validation part; `None` without one.
    pub baselines: Option<Losses>,
    /// What came of each epoch.
    pub history: Vec<Epoch>,
    /// The epoch that `best` is of, from 1; 0 before the first.
    pub best_epoch: usize,
    /// The weights with the least loss on the validation part; without one, the last.
    pub best: Weights,
    /// The weights to go on from.
    pub last: Weights,
    /// The optimiser to go on with.
    pub adam: Adam,
    /// The linear baseline.
    pub linear: Linear,
}

/// The losses of one epoch: mean squared errors on the scale of the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Over the training part, while the weights moved, with dropout.
    pub train: f64,
    /// Over the validation part, after the epoch; `None` without one.
    pub validation: Option<f64>,
}

/// A part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What was learned from.
    Train,
    /// What the best epoch was chosen by.
    Validation,
    /// What nothing was made from; in a later file, all that came since.
    Test,
    /// Every row, of a file that has nothing to do with the training.
    All,
}

impl Checkpoint {
    /// A training before its first epoch.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Setting`] for settings out of bounds; [`ForecastError::Data`] for a table that no window of the training part fits
    /// in, or none of a validation part that is asked for.
    pub fn begin(
        table: &Table,
        asked: &Asked,
        columns: Columns,
        settings: Settings,
    ) -> Result<Self> {
        settings.check()?;
        columns.check()?;
        let window = settings.shape.rows();
        let split = Split::of(table.rows, window, &settings.division)
            .map_err(|reason| ForecastError::data(&table.file, reason))?;
        let scale = |names: &[String]| -> Result<Scaler> {
            Ok(Scaler::of(table, &places(table, names)?, &split.train))
        };
        let scales = Scales {
            features: scale(&columns.features)?,
            targets: scale(&columns.targets)?,
        };
        let part_times = table.times.as_ref().map(|times| {
            let ends = |part: &Range<usize>| {
                (!part.is_empty()).then(|| (times.values[part.start], times.values[part.end - 1]))
            };
            [&split.train, &split.validation, &split.test].map(ends)
        });
        let prepared = Prepared::of(table, &columns, &scales, settings.shape)?;
        let train = windows(
            &table.stretches,
            split.train.clone(),
            window,
            settings.stride,
        );
        let weights = Weights::random(&settings.shape, settings.seed);
        let mut checkpoint = Self {
            time_column: asked.time.clone(),
            no_grid: asked.no_grid,
            part_times,
            baselines: None,
            history: Vec::new(),
            best_epoch: 0,
            best: weights.clone(),
            last: weights,
            adam: Adam::new(&settings.shape),
            linear: Linear::fit(&prepared, &train),
            settings,
            columns,
            scales,
            split,
        };
        checkpoint.starts(table, Part::Train)?;
        if !checkpoint.split.validation.is_empty() {
            let starts = checkpoint.starts(table, Part::Validation)?;
            checkpoint.baselines = Some(score::losses(&checkpoint, &prepared, &starts));
        }
        Ok(checkpoint)
    }

    /// What to read of a file for this checkpoint.
    pub fn asked(&self) -> Asked {
        Asked {
            columns: self.columns.all(),
            time: self.time_column.clone(),
            no_grid: self.no_grid,
        }
    }

    /// The first rows of the windows of a part of a table, which need not be the one that was trained on: then times say what the part is.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Data`] for a table of which that cannot be said, and for a part without a window.
    pub fn starts(&self, table: &Table, part: Part) -> Result<Vec<usize>> {
        let rows = self.part(table, part)?;
        let window = self.settings.shape.rows();
        let starts = windows(&table.stretches, rows.clone(), window, self.settings.stride);
        if starts.is_empty() {
            let longest = table.stretches.iter().map(ExactSizeIterator::len).max();
            return Err(ForecastError::data(
                &table.file,
                format!(
                    "no window of {window} rows fits into the {} part, {} rows: the longest stretch without a hole has {} ({} jumps in time, {} rows without a value)",
                    part.name(),
                    rows.len(),
                    longest.unwrap_or(0),
                    table.holes.jumps,
                    table.holes.lacking
                ),
            ));
        }
        Ok(starts)
    }

    fn part(&self, table: &Table, part: Part) -> Result<Range<usize>> {
        let (rows, times) = match part {
            Part::All => return Ok(0..table.rows),
            Part::Train => (&self.split.train, 0),
            Part::Validation => (&self.split.validation, 1),
            Part::Test => (&self.split.test, 2),
        };
        let (Some(of_parts), Some(times_here)) = (&self.part_times, &table.times) else {
            let same = table.rows == self.split.test.end;
            return same.then(|| rows.clone()).ok_or_else(|| {
                ForecastError::data(
                    &table.file,
                    format!(
                        "without times, and with other rows than were trained on, nothing says which are the {} part; --part all takes all",
                        part.name()
                    ),
                )
            });
        };
        let Some((first, last)) = of_parts[times] else {
            return Ok(0..0);
        };
        let from = times_here.values.partition_point(|time| *time < first);
        let to = match part {
            Part::Test => table.rows,
            _ => times_here.values.partition_point(|time| *time <= last),
        };
        Ok(from..to)
    }

    /// Sees that a table is the one that the training began with, as far as its training part goes.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Data`] when it is another.
    pub fn goes_on_with(&self, table: &Table) -> Result<()> {
        let of = |names: &[String]| -> Result<Scaler> {
            Ok(Scaler::of(table, &places(table, names)?, &self.split.train))
        };
        let same = table.rows == self.split.test.end
            && of(&self.columns.features)? == self.scales.features
            && of(&self.columns.targets)? == self.scales.targets;
        let other = || {
            ForecastError::data(
                &table.file,
                "is not the file that the training began with: its rows differ",
            )
        };
        same.then_some(()).ok_or_else(other)
    }
}

impl Part {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

impl std::str::FromStr for Part {
    type Err = &'static str;

    fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
        let parts = [Self::Train, Self::Validation, Self::Test, Self::All];
        let named = parts.into_iter().find(|part| part.name() == name);
        named.ok_or("train, validation, test or all is expected")
    }
}
