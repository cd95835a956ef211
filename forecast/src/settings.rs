//! What a training is told.

use serde::{Deserialize, Serialize};

use crate::error::{ForecastError, Result};
use crate::shape::Shape;
use crate::split::Division;
use crate::table::MOST_COLUMNS;

/// Rows of a window and its horizon, at most.
const MOST_ROWS: usize = 100_000;
/// Forecasts of a window, at most.
const MOST_OUTPUTS: usize = 10_000;
/// Windows in a batch, at most.
const MOST_BATCH: usize = 1 << 20;

/// All that decides, with the data, what comes out of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What goes in and comes out.
    pub shape: Shape,
    /// Rows from a window to the next.
    pub stride: usize,
    /// Windows that the weights are moved by at once.
    pub batch_size: usize,
    /// Adam's.
    pub learning_rate: f64,
    /// Adam's.
    pub weight_decay: f64,
    /// The probability of a value to be dropped.
    pub dropout: f64,
    /// Whether windows are taken in a random order, another in each epoch.
    pub shuffle: bool,
    /// Decides weights, order and dropout.
    pub seed: u64,
    /// How rows are divided.
    pub division: Division,
}

impl Settings {
    /// Sees that each is within its bounds, and that they go together.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Setting`] for the first that is not.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("--features", self.shape.features, MOST_COLUMNS),
            ("--targets", self.shape.targets, MOST_COLUMNS),
            ("--input-length", self.shape.input, MOST_ROWS),
            ("--forecast-horizon", self.shape.horizon, MOST_ROWS),
            ("--stride", self.stride, usize::MAX),
            ("--batch-size", self.batch_size, MOST_BATCH),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return Err(ForecastError::Setting(format!(
                    "{name} {value} is not from 1 to {most}"
                )));
            }
        }
        if self.shape.outputs() > MOST_OUTPUTS {
            return Err(ForecastError::Setting(format!(
                "{} targets at {} horizons are more than {MOST_OUTPUTS} forecasts of a window",
                self.shape.targets, self.shape.horizon
            )));
        }
        let rates = [
            ("--learning-rate", self.learning_rate, 1.0),
            ("--weight-decay", self.weight_decay, 1.0),
            ("--dropout", self.dropout, 0.99),
        ];
        for (name, value, most) in rates {
            if !(0.0..=most).contains(&value) {
                return Err(ForecastError::Setting(format!(
                    "{name} {value} is not from 0 to {most}"
                )));
            }
        }
        self.division.check(self.shape.rows())
    }
}
