//! One row per bar, of all that was known by its end: pure.
//!
//! A row of the bar that opens at `t` is usable from the bar's end on, its `available_at`. Bars are joined on `t`; of what
//! happens at a moment the row has what was known at `t`, the bar's start.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::take::take;
use tapemill_lake::tables::klines;
use tapemill_market::{Interval, Market};

use crate::align::{latest, same};
use crate::export::own::{Columns, KEYS as KEYS_OF_FACTORS};
use crate::stored::times_of;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

/// A settlement counts for as long as the longest funding period of the exchange.
const FUNDING_COUNTS_US: i64 = 8 * HOUR_US;

/// A reading of open interest and ratios, of which there is one every five minutes, counts for an hour.
const METRICS_COUNT_US: i64 = HOUR_US;

const HOURS_OF_A_YEAR: f64 = 24.0 * 365.0;

/// Prices that are joined, and what their columns begin with.
const PRICES: [&str; 3] = ["mark", "index", "premium"];
const OHLC: [&str; 4] = ["open", "high", "low", "close"];

/// The columns of a settlement and of a reading: name and name in the table.
const FUNDING: [(&str, &str); 3] = [
    ("funding_time", "funding_time"),
    ("funding_interval_hours", "funding_interval_hours"),
    ("funding_rate", "funding_rate"),
];
const METRICS: [(&str, &str); 7] = [
    ("metrics_time", "create_time"),
    ("sum_open_interest", "sum_open_interest"),
    ("sum_open_interest_value", "sum_open_interest_value"),
    (
        "count_toptrader_long_short_ratio",
        "count_toptrader_long_short_ratio",
    ),
    (
        "sum_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
    ),
    ("count_long_short_ratio", "count_long_short_ratio"),
    (
        "sum_taker_long_short_vol_ratio",
        "sum_taker_long_short_vol_ratio",
    ),
];

/// Columns in front of the features: what the row is of, and since when it may be used.
pub(super) const KEYS: [&str; 3] = ["symbol", "open_time", "available_at"];

/// What rows are made of, each in order of time; `None` where there is nothing.
#[derive(Default)]
pub(super) struct Inputs {
    /// The bars that give the rows.
    pub base: Option<RecordBatch>,
    /// Bars of mark price, index price and premium.
    pub prices: [Option<RecordBatch>; 3],
    pub funding: Option<RecordBatch>,
    pub metrics: Option<RecordBatch>,
    pub factors: Option<RecordBatch>,
}

/// The columns of every file of a market, with these factors.
pub(super) fn schema(market: Market, factors: Columns<'_>) -> SchemaRef {
    let bars = klines(market).schema();
    let time = |name: &str, nullable| {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Field::new(name, utc, nullable)
    };
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let mut fields = vec![
        bars.field(0).clone(),
        time("open_time", false),
        time("available_at", false),
    ];
    fields.extend(base_columns(&bars).cloned());
    for price in PRICES {
        fields.extend(OHLC.map(|column| number(&format!("{price}_{column}"))));
    }
    fields.push(number("basis"));
    for (name, _) in FUNDING {
        fields.push(match name {
            "funding_time" => time(name, true),
            "funding_interval_hours" => Field::new(name, DataType::Int64, true),
            _ => number(name),
        });
    }
    fields.push(number("funding_annualized"));
    for (name, _) in METRICS {
        fields.push(match name {
            "metrics_time" => time(name, true),
            _ => number(name),
        });
    }
    fields.push(number("open_interest_delta"));
    fields.push(number("open_interest_value_delta"));
    fields.extend(factor_columns(factors).map(|field| {
        let name = format!("at_{}", field.name());
        Field::new(name, field.data_type().clone(), true)
    }));
    Arc::new(Schema::new(fields))
}

/// What of a bar is a feature.
fn base_columns(bars: &Schema) -> impl Iterator<Item = &Field> {
    let fields = bars.fields().iter().map(|field| &**field);
    fields.filter(|field| !["symbol", "open_time", "close_time"].contains(&field.name().as_str()))
}

fn factor_columns(factors: Columns<'_>) -> impl Iterator<Item = Field> {
    let fields = factors.schema().fields().clone();
    let fields: Vec<_> = fields.iter().map(|field| field.as_ref().clone()).collect();
    fields.into_iter().skip(KEYS_OF_FACTORS)
}

/// The rows of these inputs, as a batch of [`schema`]; `None` where there are no bars.
///
/// # Errors
///
/// For an input that lacks a column, or has one of another type.
pub(super) fn rows(
    inputs: &Inputs,
    market: Market,
    interval: Interval,
    columns_of: Columns<'_>,
) -> Result<Option<RecordBatch>, ArrowError> {
    let Some(base) = &inputs.base else {
        return Ok(None);
    };
    let labels = times_of(base).unwrap_or_default();
    let mut columns: Vec<ArrayRef> = vec![base.column(0).clone()];
    columns.push(times(labels.iter().copied()));
    columns.push(times(labels.iter().map(|&label| interval.next(label))));
    for field in base_columns(&klines(market).schema()) {
        columns.push(named(base, field.name())?.clone());
    }
    for input in &inputs.prices {
        let joined = Joined::of(input, |times| same(labels, times));
        for column in OHLC {
            columns.push(joined.column(column, &DataType::Float64, labels.len())?);
        }
    }
    // Behind the closes of what is joined: index is the second of three.
    let index = columns.len() - 5;
    columns.push(basis(named(base, "close")?, &columns[index]));

    let schema = schema(market, columns_of);
    let type_of = |name: &str| schema.field_with_name(name).map(Field::data_type);
    let funding = Joined::of(&inputs.funding, |times| {
        latest(labels, &minutes(times), FUNDING_COUNTS_US)
    });
    for (name, column) in FUNDING {
        columns.push(funding.column(column, type_of(name)?, labels.len())?);
    }
    let [hours, rate] = [columns.len() - 2, columns.len() - 1];
    columns.push(annualized(&columns[rate], &columns[hours]));
    let metrics = Joined::of(&inputs.metrics, |times| {
        latest(labels, &minutes(times), METRICS_COUNT_US)
    });
    let interest = columns.len() + 1;
    for (name, column) in METRICS {
        columns.push(metrics.column(column, type_of(name)?, labels.len())?);
    }
    // The row one bar before, where there is one.
    let before: Vec<_> = labels
        .iter()
        .map(|&label| match interval.length_us() {
            Some(length) => label - length,
            None => interval.open_of(label - 1),
        })
        .collect();
    let before = same(&before, labels);
    columns.push(delta(&columns[interest], &before)?);
    columns.push(delta(&columns[interest + 1], &before)?);

    let factors = Joined::of(&inputs.factors, |times| same(labels, times));
    for field in factor_columns(columns_of) {
        columns.push(factors.column(field.name(), field.data_type(), labels.len())?);
    }
    RecordBatch::try_new(schema, columns).map(Some)
}

/// A table, and which of its rows belongs to each row of the result.
struct Joined<'a> {
    table: Option<(&'a RecordBatch, UInt32Array)>,
}

impl<'a> Joined<'a> {
    fn of(table: &'a Option<RecordBatch>, join: impl FnOnce(&[i64]) -> UInt32Array) -> Self {
        let table = table.as_ref().map(|table| {
            let rows = join(times_of(table).unwrap_or_default());
            (table, rows)
        });
        Self { table }
    }

    fn column(&self, name: &str, of: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
        match &self.table {
            Some((table, rows)) => take(named(table, name)?, rows, None),
            None => Ok(new_null_array(of, rows)),
        }
    }
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}")))
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// What is stamped some milliseconds or seconds late belongs to the minute that it is stamped in.
fn minutes(times: &[i64]) -> Vec<i64> {
    let floor = |time: &i64| time - time.rem_euclid(MINUTE_US);
    times.iter().map(floor).collect()
}

/// `(close − index) ÷ index`.
fn basis(close: &ArrayRef, index: &ArrayRef) -> ArrayRef {
    let [close, index] = [close, index].map(|column| column.as_primitive::<Float64Type>());
    let of = |(close, index): (Option<f64>, Option<f64>)| {
        let (close, index) = (close?, index.filter(|index| *index != 0.0)?);
        Some((close - index) / index)
    };
    Arc::new(close.iter().zip(index).map(of).collect::<Float64Array>())
}

/// The rate, were it paid all year.
fn annualized(rate: &ArrayRef, hours: &ArrayRef) -> ArrayRef {
    let rates = rate.as_primitive::<Float64Type>().iter();
    let hours = hours.as_primitive::<Int64Type>().iter();
    let of = |(rate, hours): (Option<f64>, Option<i64>)| {
        let (rate, hours) = (rate?, hours.filter(|hours| *hours > 0)?);
        Some(rate * (HOURS_OF_A_YEAR / hours as f64))
    };
    Arc::new(rates.zip(hours).map(of).collect::<Float64Array>())
}

/// The value less that of another row.
fn delta(values: &ArrayRef, before: &UInt32Array) -> Result<ArrayRef, ArrowError> {
    let earlier = take(values, before, None)?;
    let values = values.as_primitive::<Float64Type>().iter();
    let earlier = earlier.as_primitive::<Float64Type>().iter();
    let of = |(now, before): (Option<f64>, Option<f64>)| Some(now? - before?);
    Ok(Arc::new(
        values.zip(earlier).map(of).collect::<Float64Array>(),
    ))
}
