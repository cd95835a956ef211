//! Minutes with the bar that each lies in: the table that expressions are of.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use tapemill_lake::tables::{MINUTES, TIME_COLUMN};
use tapemill_market::Interval;

/// The start of the bar.
pub(crate) const BAR: &str = "bar";

const MINUTE_US: i64 = 60_000_000;

/// The columns of `aggtrades_1m`, and behind them `bar`, `minute_of_bar` (from 1) and `minutes_of_bar`.
pub(crate) fn schema() -> SchemaRef {
    let mut fields: Vec<_> = MINUTES.schema().fields().iter().cloned().collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.push(Field::new(BAR, utc, false).into());
    fields.push(Field::new("minute_of_bar", DataType::Int64, false).into());
    fields.push(Field::new("minutes_of_bar", DataType::Int64, false).into());
    Arc::new(Schema::new(fields))
}

/// A batch of `aggtrades_1m` as a batch of [`schema`].
///
/// # Errors
///
/// Where it is no such batch.
pub(crate) fn with_bars(
    minutes: &RecordBatch,
    interval: Interval,
) -> Result<RecordBatch, ArrowError> {
    let times = minutes.column(TIME_COLUMN);
    let times = times
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| ArrowError::SchemaError("the second column is no time".to_owned()))?;
    let opens: Vec<i64> = times
        .values()
        .iter()
        .map(|&time| interval.open_of(time))
        .collect();
    let of = times.values().iter().zip(&opens);
    let at = of.map(|(time, open)| (time - open) / MINUTE_US + 1);
    let room = opens
        .iter()
        .map(|&open| (interval.next(open) - open) / MINUTE_US);
    let [at, room]: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter_values(at)),
        Arc::new(Int64Array::from_iter_values(room)),
    ];
    let bars = TimestampMicrosecondArray::from(opens).with_timezone("UTC");
    let mut columns = minutes.columns().to_vec();
    columns.extend([Arc::new(bars) as ArrayRef, at, room]);
    RecordBatch::try_new(schema(), columns)
}
