//! A table's rows on the scale of the network, and batches of windows of them.

use serde::{Deserialize, Serialize};

use crate::error::{ForecastError, Result};
use crate::network::Batch;
use crate::scaler::Scaler;
use crate::shape::{Shape, receptive_rows};
use crate::table::Table;

/// Which columns go in and come out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// In this order.
    pub features: Vec<String>,
    /// In this order; they may be features as well.
    pub targets: Vec<String>,
}

impl Columns {
    /// Both, each once.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.features.clone();
        for target in &self.targets {
            if !all.contains(target) {
                all.push(target.clone());
            }
        }
        all
    }

    /// Sees that there are some, and none twice.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Setting`].
    pub fn check(&self) -> Result<()> {
        for (flag, names) in [("--features", &self.features), ("--targets", &self.targets)] {
            if names.is_empty() {
                return Err(ForecastError::Setting(format!("{flag} names no column")));
            }
            let again = names
                .iter()
                .enumerate()
                .find(|(at, name)| names[..*at].contains(name));
            if let Some((_, name)) = again {
                return Err(ForecastError::Setting(format!("{flag} names {name} twice")));
            }
        }
        Ok(())
    }
}

/// What columns are brought to scale by.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// Of the features.
    pub features: Scaler,
    /// Of the targets.
    pub targets: Scaler,
}

/// Rows to take windows from.
#[derive(Debug, Clone)]
pub struct Prepared {
    shape: Shape,
    /// Rows × features, scaled.
    features: Vec<f32>,
    /// Rows × targets, scaled.
    targets: Vec<f32>,
    /// Rows × targets, as they are.
    raw: Vec<f64>,
}

impl Prepared {
    /// Scales a table that has been read with these columns.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Data`] for a table without them.
    pub fn of(table: &Table, columns: &Columns, scales: &Scales, shape: Shape) -> Result<Self> {
        let [features, targets] =
            [&columns.features, &columns.targets].map(|names| places(table, names));
        let (features, targets) = (features?, targets?);
        let mut prepared = Self {
            shape,
            features: Vec::with_capacity(table.rows * features.len()),
            targets: Vec::with_capacity(table.rows * targets.len()),
            raw: Vec::with_capacity(table.rows * targets.len()),
        };
        for row in 0..table.rows {
            let values = table.row(row);
            let scale = |(column, place): (usize, &usize), scaler: &Scaler| {
                scaler.scaled(column, values[*place]) as f32
            };
            let scaled = features
                .iter()
                .enumerate()
                .map(|at| scale(at, &scales.features));
            prepared.features.extend(scaled);
            let scaled = targets
                .iter()
                .enumerate()
                .map(|at| scale(at, &scales.targets));
            prepared.targets.extend(scaled);
            prepared
                .raw
                .extend(targets.iter().map(|place| values[*place]));
        }
        Ok(prepared)
    }

    /// The network's shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All features of the last `rows` rows of a window's input, oldest row first.
    pub fn input(&self, start: usize, rows: usize) -> &[f32] {
        let width = self.shape.features;
        let end = start + self.shape.input;
        &self.features[(end - rows) * width..end * width]
    }

    /// What followed a window's input, scaled: horizon × targets.
    pub fn target(&self, start: usize) -> &[f32] {
        let width = self.shape.targets;
        let end = start + self.shape.input;
        &self.targets[end * width..(end + self.shape.horizon) * width]
    }

    /// The targets at the last row of a window's input, scaled.
    pub fn last(&self, start: usize) -> &[f32] {
        let width = self.shape.targets;
        &self.targets[(start + self.shape.input - 1) * width..][..width]
    }

    /// A target's value at a row, as it is.
    pub fn raw(&self, row: usize, target: usize) -> f64 {
        self.raw[row * self.shape.targets + target]
    }

    /// Windows side by side; without `targets` for windows that nothing follows yet.
    pub fn batch(&self, starts: &[usize], targets: bool) -> Batch {
        let width = self.shape.features;
        let rows = receptive_rows();
        let seen = rows.min(self.shape.input);
        let mut inputs = vec![0.0; rows * starts.len() * width];
        for (window, &start) in starts.iter().enumerate() {
            for (row, values) in self.input(start, seen).chunks_exact(width).enumerate() {
                let place = (rows - seen + row) * starts.len() + window;
                inputs[place * width..][..width].copy_from_slice(values);
            }
        }
        let targets = match targets {
            true => starts
                .iter()
                .flat_map(|start| self.target(*start))
                .copied()
                .collect(),
            false => Vec::new(),
        };
        Batch {
            windows: starts.len(),
            inputs,
            targets,
        }
    }
}

/// Where columns are in a table.
///
/// # Errors
///
/// [`ForecastError::Data`] for one that is not there.
pub fn places(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| {
        let missing = || ForecastError::data(&table.file, format!("has no column {name}"));
        table.place(name).ok_or_else(missing)
    };
    names.iter().map(place).collect()
}
