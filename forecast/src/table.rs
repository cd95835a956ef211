//! The columns of a Parquet file that are asked for, and where in them a window may lie.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{ForecastError, Result};
use crate::stretches::{self, Holes};

/// Names that columns of times go by, in the order in which they are looked for.
const TIME_NAMES: [&str; 10] = [
    "timestamp",
    "open_time",
    "minute",
    "time",
    "datetime",
    "date",
    "ts",
    "event_time",
    "transact_time",
    "bar",
];

/// More numbers than this are not taken into memory: 4 GiB of them.
const MOST_VALUES: u64 = 1 << 29;

/// How many columns may be asked for.
pub const MOST_COLUMNS: usize = 4096;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Columns of numbers, none twice.
    pub columns: Vec<String>,
    /// The column of times; `None` takes the first that goes by a usual name, if there is one.
    pub time: Option<String>,
    /// Takes rows as following each other whatever their times say.
    pub no_grid: bool,
}

/// Times of the rows, strictly ascending.
#[derive(Debug, Clone)]
pub struct Times {
    /// The column.
    pub field: Field,
    /// One a row, in the column's unit.
    pub values: Vec<i64>,
}

/// Rows of numbers.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file.
    pub file: PathBuf,
    /// What the columns are called.
    pub columns: Vec<String>,
    /// How many rows there are.
    pub rows: usize,
    /// Rows × columns. What is null is NaN.
    pub values: Vec<f64>,
    /// When each row was; `None` in a file that has no times.
    pub times: Option<Times>,
    /// Rows that follow each other without a hole, each with all its values.
    pub stretches: Vec<Range<usize>>,
    /// What lies between them.
    pub holes: Holes,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Read`] for a file that is no Parquet; [`ForecastError::Data`] for a column that is not there, is no number, or
    /// has no value at all, for times that do not ascend, for a file without rows or with too many.
    pub fn read(file: &Path, asked: &Asked) -> Result<Self> {
        let opened = File::open(file).map_err(|error| ForecastError::read(file, error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(opened);
        let reader = reader.map_err(|error| ForecastError::read(file, one_line(&error)))?;
        let schema = reader.schema().clone();
        let wrong = |reason: String| ForecastError::data(file, reason);
        let places = places(&schema, &asked.columns).map_err(wrong)?;
        let time = time_column(&schema, asked.time.as_deref()).map_err(wrong)?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        if rows == 0 {
            return Err(wrong("has no rows".to_owned()));
        }
        if rows.saturating_mul(places.len() as u64) > MOST_VALUES {
            return Err(wrong(format!(
                "{rows} rows of {} columns are more than the {MOST_VALUES} numbers that are taken into memory; give fewer",
                places.len()
            )));
        }
        let mask =
            ProjectionMask::roots(reader.parquet_schema(), places.iter().copied().chain(time));
        let batches = reader.with_projection(mask).build();
        let batches = batches.map_err(|error| ForecastError::read(file, one_line(&error)))?;
        let mut filling = Filling {
            asked,
            time: time.map(|time| schema.field(time).clone()),
            values: Vec::with_capacity((rows as usize) * asked.columns.len()),
            times: Vec::new(),
        };
        for batch in batches {
            let batch = batch.map_err(|error| ForecastError::read(file, one_line(&error)))?;
            filling.take(&batch).map_err(wrong)?;
        }
        filling.table(file)
    }

    /// The values of a row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns.len()..][..self.columns.len()]
    }

    /// The place of a column that was asked for.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// A table that is being read.
struct Filling<'a> {
    asked: &'a Asked,
    time: Option<Field>,
    values: Vec<f64>,
    times: Vec<i64>,
}

impl Filling<'_> {
    fn take(&mut self, batch: &RecordBatch) -> std::result::Result<(), String> {
        let mut columns = Vec::new();
        for name in &self.asked.columns {
            let column = batch.column_by_name(name).ok_or("a column was lost")?;
            columns.push(numbers(column).map_err(|error| format!("column {name}: {error}"))?);
        }
        for row in 0..batch.num_rows() {
            for column in &columns {
                let column = column.as_primitive::<Float64Type>();
                self.values.push(match column.is_valid(row) {
                    true => column.value(row),
                    false => f64::NAN,
                });
            }
        }
        if let Some(time) = &self.time {
            let name = time.name();
            let column = batch.column_by_name(name).ok_or("a column was lost")?;
            if column.null_count() > 0 {
                return Err(format!("column {name}: a row has no time"));
            }
            let times = cast(column, &DataType::Int64)
                .map_err(|error| format!("column {name}: {error}"))?;
            self.times
                .extend(times.as_primitive::<Int64Type>().values());
        }
        Ok(())
    }

    fn table(self, file: &Path) -> Result<Table> {
        let wrong = |reason: String| ForecastError::data(file, reason);
        let columns = self.asked.columns.clone();
        let width = columns.len();
        let rows = self.values.len() / width.max(1);
        for (place, name) in columns.iter().enumerate() {
            let mut values = self.values.iter().skip(place).step_by(width);
            if !values.any(|value| value.is_finite()) {
                return Err(wrong(format!(
                    "column {name} has no value in any of {rows} rows"
                )));
            }
        }
        if let Some(time) = &self.time {
            let back = self.times.windows(2).position(|pair| pair[1] <= pair[0]);
            if let Some(row) = back {
                let how = match self.times[row] == self.times[row + 1] {
                    true => "have the same time",
                    false => "go back in time",
                };
                return Err(wrong(format!(
                    "rows {} and {} {how} in column {}: give one symbol, sorted by time, each time once",
                    row + 1,
                    row + 2,
                    time.name()
                )));
            }
        }
        let whole = |row: usize| {
            let row = &self.values[row * width..][..width];
            row.iter().all(|value| value.is_finite())
        };
        let grid = (!self.asked.no_grid && self.time.is_some()).then_some(self.times.as_slice());
        let (stretches, holes) = stretches::find(rows, grid, whole);
        Ok(Table {
            file: file.to_owned(),
            columns,
            rows,
            times: self.time.map(|field| Times {
                field,
                values: self.times,
            }),
            values: self.values,
            stretches,
            holes,
        })
    }
}

/// Where the columns are in the file.
fn places(schema: &Schema, columns: &[String]) -> std::result::Result<Vec<usize>, String> {
    if columns.len() > MOST_COLUMNS {
        return Err(format!(
            "{} columns are asked for; {MOST_COLUMNS} may be",
            columns.len()
        ));
    }
    let mut places = Vec::new();
    for name in columns {
        let Ok(place) = schema.index_of(name) else {
            return Err(format!("has no column {name}; it has {}", names(schema)));
        };
        let kind = schema.field(place).data_type();
        if !(kind.is_numeric() || *kind == DataType::Boolean) {
            return Err(format!("column {name} is {kind}, and numbers are needed"));
        }
        places.push(place);
    }
    Ok(places)
}

fn time_column(schema: &Schema, named: Option<&str>) -> std::result::Result<Option<usize>, String> {
    let is_time = |kind: &DataType| {
        matches!(
            kind,
            DataType::Timestamp(..)
                | DataType::Date32
                | DataType::Date64
                | DataType::Int64
                | DataType::UInt64
        )
    };
    match named {
        Some(name) => {
            let Ok(place) = schema.index_of(name) else {
                return Err(format!("has no column {name}; it has {}", names(schema)));
            };
            let kind = schema.field(place).data_type();
            if !is_time(kind) {
                return Err(format!("column {name} is {kind}, and times are needed"));
            }
            Ok(Some(place))
        }
        None => {
            let mut found = TIME_NAMES
                .iter()
                .filter_map(|name| schema.index_of(name).ok());
            Ok(found.find(|place| is_time(schema.field(*place).data_type())))
        }
    }
}

/// The file's columns, as many as one reads.
fn names(schema: &Schema) -> String {
    let fields = schema.fields();
    let mut names: Vec<_> = fields
        .iter()
        .take(20)
        .map(|field| field.name().as_str())
        .collect();
    let more = format!("{} more", fields.len().saturating_sub(names.len()));
    if fields.len() > names.len() {
        names.push(&more);
    }
    names.join(", ")
}

fn numbers(column: &ArrayRef) -> std::result::Result<ArrayRef, String> {
    cast(column, &DataType::Float64).map_err(|error| error.to_string())
}

fn one_line(error: &impl ToString) -> String {
    error.to_string().replace('\n', " ")
}
