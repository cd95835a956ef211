//! Columns brought to mean 0 and deviation 1, by what the training part says.

use std::ops::Range;

use crate::table::Table;

/// Mean and deviation of columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    /// Of each column.
    pub mean: Vec<f64>,
    /// Of each column, that of the population; 1 where a column does not vary.
    pub deviation: Vec<f64>,
}

impl Scaler {
    /// Looks at the whole rows of a part, and at no other.
    pub fn of(table: &Table, places: &[usize], part: &Range<usize>) -> Self {
        let inside =
            |stretch: &Range<usize>| stretch.start.max(part.start)..stretch.end.min(part.end);
        let rows = || table.stretches.iter().flat_map(inside);
        let count = rows().count().max(1) as f64;
        let (mut mean, mut deviation) = (Vec::new(), Vec::new());
        for &place in places {
            let values = || rows().map(|row| table.row(row)[place]);
            let middle = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - middle).powi(2)).sum::<f64>() / count;
            mean.push(middle);
            // What is left of a constant column is rounding.
            let constant = variance.sqrt() <= middle.abs() * 1e-12;
            deviation.push(if constant { 1.0 } else { variance.sqrt() });
        }
        Self { mean, deviation }
    }

    /// Brings a column's value to the scale.
    pub fn scaled(&self, column: usize, value: f64) -> f64 {
        (value - self.mean[column]) / self.deviation[column]
    }

    /// And back.
    pub fn unscaled(&self, column: usize, value: f64) -> f64 {
        value * self.deviation[column] + self.mean[column]
    }
}
