//! Forecasts as a Parquet file.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::checkpoint::Checkpoint;
use crate::compute::Compute;
use crate::error::{ForecastError, Result};
use crate::prepared::Prepared;
use crate::publish::publish;
use crate::stretches::windows;
use crate::table::Table;

/// What was forecast from each row of a table that ends a window without a hole.
#[derive(Debug, Clone)]
pub struct Forecasts {
    /// The last row of each window, ascending.
    pub rows: Vec<usize>,
    /// Windows × horizon × targets, in the targets' units.
    pub values: Vec<f64>,
}

impl Forecasts {
    /// Forecasts with the best weights, from each window of the table; from the last one too, which nothing follows.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Data`] for a table without a window.
    pub fn of(checkpoint: &Checkpoint, table: &Table, compute: &Compute) -> Result<Self> {
        let shape = checkpoint.settings.shape;
        let prepared = Prepared::of(table, &checkpoint.columns, &checkpoint.scales, shape)?;
        let starts = windows(&table.stretches, 0..table.rows, shape.input, 1);
        if starts.is_empty() {
            return Err(ForecastError::data(
                &table.file,
                format!(
                    "has no {} rows in a row without a hole to forecast from",
                    shape.input
                ),
            ));
        }
        let scaled = compute.forecasts(&checkpoint.best, &prepared, &starts);
        let unscale = |(output, value): (usize, &f32)| {
            checkpoint
                .scales
                .targets
                .unscaled(output % shape.targets, f64::from(*value))
        };
        Ok(Self {
            rows: starts.iter().map(|start| start + shape.input - 1).collect(),
            values: scaled.iter().enumerate().map(unscale).collect(),
        })
    }

    /// Writes a row for each window: the time of its last row, or that row's number where there are no times, what each target was there,
    /// and `{target}_{rows ahead}` for each forecast.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Write`].
    pub fn write(&self, checkpoint: &Checkpoint, table: &Table, file: &Path) -> Result<()> {
        let batch = self
            .batch(checkpoint, table)
            .map_err(|error| failed(file, error))?;
        let level = ZstdLevel::try_new(3).map_err(|error| failed(file, error))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level));
        publish(file, |file| {
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build()))?;
            writer.write(&batch)?;
            writer.close()?;
            Ok(())
        })
    }

    fn batch(
        &self,
        checkpoint: &Checkpoint,
        table: &Table,
    ) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        let shape = checkpoint.settings.shape;
        let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
        match &table.times {
            Some(times) => {
                let values =
                    Int64Array::from_iter_values(self.rows.iter().map(|row| times.values[*row]));
                let values = cast(&values, times.field.data_type())?;
                columns.push((times.field.clone().with_nullable(false), values));
            }
            None => {
                let rows = Int64Array::from_iter_values(self.rows.iter().map(|row| *row as i64));
                columns.push((Field::new("row", DataType::Int64, false), Arc::new(rows)));
            }
        }
        let number = |name: String| Field::new(name, DataType::Float64, false);
        for target in &checkpoint.columns.targets {
            let place = table.place(target).unwrap_or_default();
            let last = self.rows.iter().map(|row| table.row(*row)[place]);
            columns.push((
                number(target.clone()),
                Arc::new(Float64Array::from_iter_values(last)),
            ));
        }
        for (target, name) in checkpoint.columns.targets.iter().enumerate() {
            for ahead in 0..shape.horizon {
                let output = ahead * shape.targets + target;
                let values = self.values.iter().skip(output).step_by(shape.outputs());
                let values = Float64Array::from_iter_values(values.copied());
                columns.push((number(format!("{name}_{}", ahead + 1)), Arc::new(values)));
            }
        }
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}

fn failed(file: &Path, error: impl std::error::Error + Send + Sync + 'static) -> ForecastError {
    ForecastError::Write {
        file: file.to_owned(),
        source: std::io::Error::other(error),
    }
}
