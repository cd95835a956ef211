//! The tables: `symbol, timestamp`, then the numbers of the best levels.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use tapemill_book::Series;
use tapemill_lake::TableOptions;
use tapemill_lake::tables::TIME_COLUMN;

/// Rows of a row group: some minutes of a hundred numbers, so that 64 symbols are held at once in little room.
const GROUP_ROWS: usize = 4096;

/// How the tables are ordered and cut.
pub(crate) fn options() -> TableOptions {
    TableOptions {
        row_group_rows: GROUP_ROWS,
        ..TableOptions::bars(TIME_COLUMN)
    }
}

/// The columns. Prices, spread and mid price are null where a side has no such level.
pub(crate) fn schema(levels: usize) -> Schema {
    let symbol = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("symbol", symbol, false),
        Field::new("timestamp", time, false),
    ];
    fields.extend(number_fields(levels));
    Schema::new(fields)
}

/// The fields of the numbers.
pub(super) fn number_fields(levels: usize) -> impl Iterator<Item = Field> {
    Series::columns_of(levels).into_iter().map(|name| {
        let nullable = !name.contains("qty") && !name.contains("volume");
        Field::new(name, DataType::Float64, nullable)
    })
}

/// The rows of a series, which is emptied.
pub(super) fn batch(schema: &Arc<Schema>, symbol: &str, series: &mut Series) -> RecordBatch {
    let rows = series.times_ms.len();
    let symbols: DictionaryArray<Int32Type> = DictionaryArray::new(
        Int32Array::from(vec![0; rows]),
        Arc::new(StringArray::from(vec![symbol])),
    );
    let times = series.times_ms.iter().map(|ms| ms * 1000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![Arc::new(symbols), Arc::new(times)];
    columns.extend(series.columns.iter().map(|values| number(values)));
    series.clear();
    RecordBatch::try_new(schema.clone(), columns).expect("arrays are made to the schema")
}

fn number(values: &[f64]) -> ArrayRef {
    if values.iter().any(|value| value.is_nan()) {
        let values = values
            .iter()
            .map(|value| Some(*value).filter(|value| !value.is_nan()));
        Arc::new(Float64Array::from_iter(values))
    } else {
        Arc::new(Float64Array::from(values.to_vec()))
    }
}
