//! The file that a training leaves and goes on from: safetensors, with what the numbers mean beside them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adam::Adam;
use crate::error::{ForecastError, Result};
use crate::linear::Linear;
use crate::prepared::{Columns, Prepared, Scales, places};
use crate::publish::publish;
use crate::scaler::Scaler;
use crate::score::{self, Losses};
use crate::settings::Settings;
use crate::split::Split;
use crate::stretches::windows;
use crate::table::{Asked, Table};
use crate::weights::Weights;

/// The one version there is of what stands beside the numbers.
const FORMAT: u32 = 1;
/// The key of the file's metadata.
const KEY: &str = "tapemill";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 1 << 30;

/// A training after some epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What the training was told.
    pub settings: Settings,
    /// What goes in and comes out.
    pub columns: Columns,
    /// The column of times, and whether its steps are left alone; see [`Asked`].
    pub time: (Option<String>, bool),
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Over the training part, while the weights moved, with dropout.
    pub train: f64,
    /// Over the validation part, after the epoch; `None` without one.
    pub validation: Option<f64>,
}

/// What stands in the file's metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Meaning {
    format: u32,
    settings: Settings,
    columns: Columns,
    time_column: Option<String>,
    no_grid: bool,
    statistics: Scales,
    split: Split,
    part_times: Option<[Option<(i64, i64)>; 3]>,
    baselines: Option<Losses>,
    history: Vec<Epoch>,
    best_epoch: usize,
    adam_steps: u64,
    linear_rows: usize,
    /// Of all numbers, as they lie in the file.
    sha256: String,
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
            time: (asked.time.clone(), asked.no_grid),
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
            time: self.time.0.clone(),
            no_grid: self.time.1,
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

    /// Writes the file, at once and whole.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Write`].
    pub fn save(&self, file: &Path) -> Result<()> {
        let arrays = self.arrays();
        let views = arrays.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("the shape is that of the numbers");
            (name.clone(), view)
        });
        let meaning = Meaning {
            format: FORMAT,
            settings: self.settings.clone(),
            columns: self.columns.clone(),
            time_column: self.time.0.clone(),
            no_grid: self.time.1,
            statistics: self.scales.clone(),
            split: self.split.clone(),
            part_times: self.part_times,
            baselines: self.baselines,
            history: self.history.clone(),
            best_epoch: self.best_epoch,
            adam_steps: self.adam.steps,
            linear_rows: self.linear.rows,
            sha256: digest(&arrays),
        };
        let meaning = serde_json::to_string(&meaning).expect("it is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), meaning)]);
        let bytes =
            safetensors::serialize(views, Some(metadata)).expect("names and sizes are in order");
        publish(file, |file| file.write_all(&bytes))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Read`] for one that is not there, is cut or changed, or is none of ours.
    pub fn load(file: &Path) -> Result<Self> {
        let opened = File::open(file).map_err(|error| ForecastError::read(file, error))?;
        let size = fs::metadata(file).map_or(0, |metadata| metadata.len());
        if size > MOST_BYTES {
            return Err(ForecastError::read(
                file,
                "it is too large for a checkpoint",
            ));
        }
        let mut bytes = Vec::new();
        let read = opened.take(MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| ForecastError::read(file, error))?;
        Self::parse(&bytes).map_err(|reason| {
            ForecastError::read(
                file,
                format!("it is no whole checkpoint of tapemill ({reason})"),
            )
        })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let meaning = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
        let meaning: Meaning = serde_json::from_str(meaning.ok_or("its metadata says nothing")?)
            .map_err(|error| error.to_string())?;
        if meaning.format != FORMAT {
            return Err(format!("format {} and not {FORMAT}", meaning.format));
        }
        meaning
            .settings
            .check()
            .map_err(|error| error.to_string())?;
        meaning.columns.check().map_err(|error| error.to_string())?;
        let shape = meaning.settings.shape;
        let counts = [
            (meaning.columns.features.len(), shape.features),
            (meaning.columns.targets.len(), shape.targets),
            (meaning.statistics.features.mean.len(), shape.features),
            (meaning.statistics.features.deviation.len(), shape.features),
            (meaning.statistics.targets.mean.len(), shape.targets),
            (meaning.statistics.targets.deviation.len(), shape.targets),
            (
                meaning.linear_rows,
                Linear::rows_of(shape.features, shape.input),
            ),
        ];
        if counts.iter().any(|(count, expected)| count != expected) {
            return Err("its columns and its numbers do not fit together".to_owned());
        }
        let values = (meaning.linear_rows * shape.features + 1) * shape.outputs();
        let mut checkpoint = Self {
            columns: meaning.columns,
            time: (meaning.time_column, meaning.no_grid),
            scales: meaning.statistics,
            split: meaning.split,
            part_times: meaning.part_times,
            baselines: meaning.baselines,
            history: meaning.history,
            best_epoch: meaning.best_epoch,
            best: Weights::zeros(&shape),
            last: Weights::zeros(&shape),
            adam: Adam {
                steps: meaning.adam_steps,
                ..Adam::new(&shape)
            },
            linear: Linear {
                rows: meaning.linear_rows,
                coefficients: vec![0.0; values],
            },
            settings: meaning.settings,
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let take = |name: &str, shape: &[usize]| -> std::result::Result<Vec<f32>, String> {
            let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                return Err(format!(
                    "{name} is {:?} {:?}",
                    tensor.dtype(),
                    tensor.shape()
                ));
            }
            let numbers = tensor.data().chunks_exact(4);
            Ok(numbers
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect())
        };
        let Self {
            best,
            last,
            adam,
            linear,
            ..
        } = &mut checkpoint;
        for (kind, weights) in [
            (NETWORK, best),
            (LAST, last),
            (ADAM_MEAN, &mut adam.mean),
            (ADAM_SQUARE, &mut adam.square),
        ] {
            for array in &mut weights.0 {
                let values = take(&format!("{kind}.{}", array.name), &array.file_shape())?;
                array.set_file_values(values);
            }
        }
        let outputs = shape.outputs();
        linear.coefficients = take(LINEAR, &[values / outputs, outputs])?;
        if digest(&checkpoint.arrays()) != meaning.sha256 {
            return Err("its numbers are not those that were written".to_owned());
        }
        Ok(checkpoint)
    }

    /// All numbers: name, shape, bytes.
    fn arrays(&self) -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let bytes = |values: &[f32]| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let mut arrays = Vec::new();
        for (kind, weights) in [
            (NETWORK, &self.best),
            (LAST, &self.last),
            (ADAM_MEAN, &self.adam.mean),
            (ADAM_SQUARE, &self.adam.square),
        ] {
            for array in &weights.0 {
                let name = format!("{kind}.{}", array.name);
                arrays.push((name, array.file_shape(), bytes(&array.file_values())));
            }
        }
        let outputs = self.settings.shape.outputs();
        let coefficients = &self.linear.coefficients;
        let shape = vec![coefficients.len() / outputs, outputs];
        arrays.push((LINEAR.to_owned(), shape, bytes(coefficients)));
        arrays
    }
}

/// What the names of arrays begin with.
const NETWORK: &str = "network";
const LAST: &str = "last";
const ADAM_MEAN: &str = "adam.mean";
const ADAM_SQUARE: &str = "adam.square";
const LINEAR: &str = "linear";

fn digest(arrays: &[(String, Vec<usize>, Vec<u8>)]) -> String {
    let mut digest = Sha256::new();
    for (name, _, bytes) in arrays {
        digest.update(name);
        digest.update(bytes);
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
