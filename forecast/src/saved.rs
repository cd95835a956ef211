//! The file of a checkpoint: safetensors, with what the numbers mean beside them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adam::Adam;
use crate::checkpoint::{Checkpoint, Epoch};
use crate::error::{ForecastError, Result};
use crate::linear::Linear;
use crate::prepared::{Columns, Scales};
use crate::publish::publish;
use crate::scaler::Scaler;
use crate::score::Losses;
use crate::settings::Settings;
use crate::split::Split;
use crate::weights::Weights;

/// The one version there is.
const FORMAT: u32 = 1;
/// The key of the file's metadata.
const KEY: &str = "tapemill";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 1 << 30;
/// More epochs than anyone trains.
const MOST_EPOCHS: usize = 10_000_000;

/// What stands in the file's metadata. Numbers that were computed stand among the arrays: there they are what they were, to the last bit.
#[derive(Debug, Serialize, Deserialize)]
struct Meaning {
    format: u32,
    settings: Settings,
    columns: Columns,
    time_column: Option<String>,
    no_grid: bool,
    split: Split,
    part_times: Option<[Option<(i64, i64)>; 3]>,
    epochs: usize,
    best_epoch: usize,
    adam_steps: u64,
    linear_rows: usize,
}

/// What the names of arrays begin with: the best weights, the last ones, and the optimiser's.
const KINDS: [&str; 4] = ["network", "last", "adam.mean", "adam.square"];
/// Mean and deviation, of features and of targets.
const STATISTICS: [&str; 2] = ["statistics.features", "statistics.targets"];
/// Training and validation loss of each epoch; NaN for none.
const HISTORY: &str = "history";
/// Those of last value and linear on the validation part; NaN for none.
const BASELINES: &str = "baselines";
const LINEAR: &str = "linear";
/// Of the metadata and of all other arrays.
const DIGEST: &str = "sha256";

/// An array as it lies in the file.
struct Stored {
    name: String,
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn single(name: String, shape: Vec<usize>, values: &[f32]) -> Self {
        Self {
            name,
            kind: Dtype::F32,
            shape,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn double(name: &str, shape: Vec<usize>, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            name: name.to_owned(),
            kind: Dtype::F64,
            shape,
            bytes: values.into_iter().flat_map(f64::to_le_bytes).collect(),
        }
    }
}

impl Checkpoint {
    /// Writes the file, at once and whole.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Write`].
    pub fn save(&self, file: &Path) -> Result<()> {
        let meaning = Meaning {
            format: FORMAT,
            settings: self.settings.clone(),
            columns: self.columns.clone(),
            time_column: self.time_column.clone(),
            no_grid: self.no_grid,
            split: self.split.clone(),
            part_times: self.part_times,
            epochs: self.history.len(),
            best_epoch: self.best_epoch,
            adam_steps: self.adam.steps,
            linear_rows: self.linear.rows,
        };
        let meaning = serde_json::to_string(&meaning).expect("it is plain data");
        let mut arrays = self.arrays();
        arrays.push(Stored {
            name: DIGEST.to_owned(),
            kind: Dtype::U8,
            shape: vec![32],
            bytes: digest(&meaning, &arrays),
        });
        let views = arrays.iter().map(|array| {
            let view = TensorView::new(array.kind, array.shape.clone(), &array.bytes);
            (&array.name, view.expect("the shape is that of the numbers"))
        });
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
        parse(&bytes).map_err(|reason| {
            ForecastError::read(
                file,
                format!("it is no whole checkpoint of tapemill ({reason})"),
            )
        })
    }

    /// All numbers that were computed.
    fn arrays(&self) -> Vec<Stored> {
        let mut arrays = Vec::new();
        let weights = [&self.best, &self.last, &self.adam.mean, &self.adam.square];
        for (kind, weights) in KINDS.into_iter().zip(weights) {
            for array in &weights.0 {
                let name = format!("{kind}.{}", array.name);
                arrays.push(Stored::single(
                    name,
                    array.file_shape(),
                    &array.file_values(),
                ));
            }
        }
        let outputs = self.settings.shape.outputs();
        let coefficients = &self.linear.coefficients;
        let shape = vec![coefficients.len() / outputs, outputs];
        arrays.push(Stored::single(LINEAR.to_owned(), shape, coefficients));
        let scalers = [&self.scales.features, &self.scales.targets];
        for (name, scaler) in STATISTICS.into_iter().zip(scalers) {
            let values = scaler.mean.iter().chain(&scaler.deviation).copied();
            arrays.push(Stored::double(name, vec![2, scaler.mean.len()], values));
        }
        let history = self.history.iter();
        let history =
            history.flat_map(|losses| [losses.train, losses.validation.unwrap_or(f64::NAN)]);
        arrays.push(Stored::double(
            HISTORY,
            vec![self.history.len(), 2],
            history,
        ));
        let baselines = self
            .baselines
            .map(|losses| [losses.last_value, losses.linear]);
        let baselines = baselines.unwrap_or([f64::NAN; 2]);
        arrays.push(Stored::double(BASELINES, vec![2], baselines));
        arrays
    }
}

fn parse(bytes: &[u8]) -> std::result::Result<Checkpoint, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let text = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
    let text = text.ok_or("its metadata says nothing")?;
    let meaning: Meaning = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if meaning.format != FORMAT {
        return Err(format!("format {} and not {FORMAT}", meaning.format));
    }
    let (settings, columns) = (meaning.settings, meaning.columns);
    let sound = settings.check().and_then(|()| columns.check());
    sound.map_err(|error| error.to_string())?;
    let shape = settings.shape;
    let counts = [
        (columns.features.len(), shape.features),
        (columns.targets.len(), shape.targets),
        (
            meaning.linear_rows,
            Linear::rows_of(shape.features, shape.input),
        ),
        (meaning.epochs.min(MOST_EPOCHS), meaning.epochs),
    ];
    if counts.iter().any(|(count, expected)| count != expected) {
        return Err("its columns and its numbers do not fit together".to_owned());
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensors = Tensors(&tensors);
    let mut weights = Vec::new();
    for kind in KINDS {
        let mut of_kind = Weights::zeros(&shape);
        for array in &mut of_kind.0 {
            let values = tensors.single(&format!("{kind}.{}", array.name), &array.file_shape())?;
            array.set_file_values(values);
        }
        weights.push(of_kind);
    }
    let [best, last, mean, square] =
        <[Weights; 4]>::try_from(weights).map_err(|_| "a kind lacks")?;
    let [features, targets] = [(0, shape.features), (1, shape.targets)].map(|(at, columns)| {
        let values = tensors.double(STATISTICS[at], &[2, columns])?;
        let (mean, deviation) = values.split_at(columns);
        Ok::<_, String>(Scaler {
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
        })
    });
    let history = tensors.double(HISTORY, &[meaning.epochs, 2])?;
    let history = history.chunks_exact(2).map(|losses| Epoch {
        train: losses[0],
        validation: Some(losses[1]).filter(|loss| !loss.is_nan()),
    });
    let baselines = tensors.double(BASELINES, &[2])?;
    let rows = meaning.linear_rows * shape.features + 1;
    let checkpoint = Checkpoint {
        time_column: meaning.time_column,
        no_grid: meaning.no_grid,
        scales: Scales {
            features: features?,
            targets: targets?,
        },
        split: meaning.split,
        part_times: meaning.part_times,
        baselines: baselines.iter().all(|loss| !loss.is_nan()).then(|| Losses {
            last_value: baselines[0],
            linear: baselines[1],
        }),
        history: history.collect(),
        best_epoch: meaning.best_epoch,
        best,
        last,
        adam: Adam {
            steps: meaning.adam_steps,
            mean,
            square,
        },
        linear: Linear {
            rows: meaning.linear_rows,
            coefficients: tensors.single(LINEAR, &[rows, shape.outputs()])?,
        },
        settings,
        columns,
    };
    if digest(text, &checkpoint.arrays()) != tensors.bytes(DIGEST, Dtype::U8, &[32])? {
        return Err("its numbers are not those that were written".to_owned());
    }
    Ok(checkpoint)
}

/// Arrays of a file, each of which has to be what is expected.
struct Tensors<'a>(&'a SafeTensors<'a>);

impl Tensors<'_> {
    fn bytes(
        &self,
        name: &str,
        kind: Dtype,
        shape: &[usize],
    ) -> std::result::Result<&[u8], String> {
        let tensor = self.0.tensor(name).map_err(|error| error.to_string())?;
        if tensor.dtype() != kind || tensor.shape() != shape {
            return Err(format!(
                "{name} is {:?} {:?}",
                tensor.dtype(),
                tensor.shape()
            ));
        }
        Ok(tensor.data())
    }

    fn single(&self, name: &str, shape: &[usize]) -> std::result::Result<Vec<f32>, String> {
        let (values, _) = self.bytes(name, Dtype::F32, shape)?.as_chunks();
        Ok(values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    fn double(&self, name: &str, shape: &[usize]) -> std::result::Result<Vec<f64>, String> {
        let (values, _) = self.bytes(name, Dtype::F64, shape)?.as_chunks();
        Ok(values
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect())
    }
}

fn digest(meaning: &str, arrays: &[Stored]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(meaning);
    for array in arrays {
        digest.update(&array.name);
        digest.update(&array.bytes);
    }
    digest.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::Shape;
    use crate::split::Division;
    use crate::stretches::Holes;
    use crate::table::{Asked, Table};

    /// A checkpoint after two epochs that were none, and its file.
    fn saved() -> (Checkpoint, Vec<u8>) {
        let rows = 60;
        let table = Table {
            file: "made up".into(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            rows,
            values: (0..2 * rows).map(|at| (at as f64).sin()).collect(),
            times: None,
            stretches: std::iter::once(0..rows).collect(),
            holes: Holes::default(),
        };
        let columns = Columns {
            features: table.columns.clone(),
            targets: vec!["b".to_owned()],
        };
        let settings = Settings {
            shape: Shape {
                features: 2,
                targets: 1,
                input: 4,
                horizon: 2,
            },
            stride: 1,
            batch_size: 8,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
            dropout: 0.1,
            shuffle: true,
            seed: 1,
            division: Division {
                validation: 0.2,
                test: 0.2,
                embargo: 6,
            },
        };
        let begun = Checkpoint::begin(&table, &Asked::default(), columns, settings);
        let mut checkpoint = begun.expect("there are rows enough");
        // What decimals do not always give back.
        for losses in [(0.1 + 0.2, None), (1.0 / 3.0, Some(2.0_f64.sqrt()))] {
            let (train, validation) = losses;
            checkpoint.history.push(Epoch { train, validation });
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("a.safetensors");
        checkpoint.save(&file).expect("it can be written");
        (checkpoint, fs::read(file).expect("it is there"))
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let (checkpoint, bytes) = saved();
        assert!(parse(&bytes).expect("it is whole") == checkpoint);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let (_, bytes) = saved();
        let mut runner = proptest::test_runner::TestRunner::default();
        let place = (0..bytes.len(), 1_u8..=255, prop::bool::ANY);
        // Half of the damage where the header lies, which is a small part of the file.
        let header = (0..8_000_usize, 1_u8..=255, prop::bool::ANY);
        let damage = prop_oneof![place, header];
        let refused = runner.run(&damage, |(place, change, cut)| {
            // A space behind the header may as well be a tab or the end of a line.
            let is_blank = |byte: u8| b" \t\n\r".contains(&byte);
            prop_assume!(cut || !(is_blank(bytes[place]) && is_blank(bytes[place] ^ change)));
            let mut damaged = bytes.clone();
            if cut {
                damaged.truncate(place);
            } else {
                damaged[place] ^= change;
            }
            prop_assert!(parse(&damaged).is_err(), "byte {place}");
            Ok(())
        });
        refused.expect("all of them are");
    }
}
