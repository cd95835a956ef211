//! The datasets: their columns in order, and rows ↔ Arrow.
//!
//! Tables that are computed list their columns here; those of rows as they are follow from the
//! [`Dataset`](tapemill_market::Dataset)'s description.

mod agg_trades;
mod klines;
mod rows;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

pub use agg_trades::{FACTORS, MINUTES};
pub use klines::{COIN_KLINES, KLINES, klines};
pub use rows::RowsTable;

/// The columns of a dataset behind `symbol`, which is always the first.
#[derive(Debug)]
pub struct Table<Row: 'static> {
    columns: &'static [Column<Row>],
}

/// One column: its name and where its values are in a row.
#[derive(Debug)]
struct Column<Row> {
    name: &'static str,
    values: Values<Row>,
}

/// How a column's values are typed, how a row gives one and takes one.
#[derive(Debug)]
enum Values<Row> {
    /// UTC microseconds: `timestamp[us, UTC]`.
    Time(fn(&Row) -> i64, fn(&mut Row, i64)),
    /// `int64`.
    Count(fn(&Row) -> i64, fn(&mut Row, i64)),
    /// `float64`.
    Number(fn(&Row) -> f64, fn(&mut Row, f64)),
    /// `float64` that may be null.
    MaybeNumber(fn(&Row) -> Option<f64>, fn(&mut Row, Option<f64>)),
}

impl<Row> Table<Row> {
    /// The Arrow schema. The time column is the second, at index [`TIME_COLUMN`].
    pub fn schema(&self) -> Schema {
        let mut fields = vec![symbol_field()];
        fields.extend(self.columns.iter().map(|column| {
            let (data_type, nullable) = match column.values {
                Values::Time(..) => (time_type(), false),
                Values::Count(..) => (DataType::Int64, false),
                Values::Number(..) => (DataType::Float64, false),
                Values::MaybeNumber(..) => (DataType::Float64, true),
            };
            Field::new(column.name, data_type, nullable)
        }));
        Schema::new(fields)
    }

    /// Rows as a batch of [`Table::schema`].
    pub fn batch(&self, symbol: &str, rows: &[Row]) -> RecordBatch {
        let mut arrays = vec![symbol_array(symbol, rows.len())];
        arrays.extend(self.columns.iter().map(|column| column.array(rows)));
        RecordBatch::try_new(Arc::new(self.schema()), arrays)
            .expect("arrays are made to the schema")
    }
}

impl<Row: Default + Clone> Table<Row> {
    /// The rows of a batch; `None` when it has other columns or types.
    pub fn rows(&self, batch: &RecordBatch) -> Option<Vec<Row>> {
        let mut rows = vec![Row::default(); batch.num_rows()];
        for column in self.columns {
            column.read(batch.column_by_name(column.name)?, &mut rows)?;
        }
        Some(rows)
    }
}

/// Where the time column is in every dataset's schema.
pub const TIME_COLUMN: usize = 1;

fn symbol_field() -> Field {
    let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Field::new("symbol", names, false)
}

fn symbol_array(symbol: &str, rows: usize) -> ArrayRef {
    let keys = Int32Array::from_value(0, rows);
    let names = Arc::new(StringArray::from_iter_values([symbol]));
    let symbols = DictionaryArray::<Int32Type>::try_new(keys, names);
    Arc::new(symbols.expect("every key is the one name"))
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl<Row> Column<Row> {
    fn read(&self, array: &ArrayRef, rows: &mut [Row]) -> Option<()> {
        fn each<T: ArrowPrimitiveType, Row>(
            array: &ArrayRef,
            rows: &mut [Row],
            set: fn(&mut Row, T::Native),
        ) -> Option<()> {
            let array = array
                .as_primitive_opt::<T>()
                .filter(|array| array.null_count() == 0)?;
            for (row, &value) in rows.iter_mut().zip(array.values()) {
                set(row, value);
            }
            Some(())
        }
        match self.values {
            Values::Time(_, set) => each::<TimestampMicrosecondType, _>(array, rows, set),
            Values::Count(_, set) => each::<Int64Type, _>(array, rows, set),
            Values::Number(_, set) => each::<Float64Type, _>(array, rows, set),
            Values::MaybeNumber(_, set) => {
                let array = array.as_primitive_opt::<Float64Type>()?;
                for (row, value) in rows.iter_mut().zip(array) {
                    set(row, value);
                }
                Some(())
            }
        }
    }

    fn array(&self, rows: &[Row]) -> ArrayRef {
        match self.values {
            Values::Time(of, _) => {
                let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
                Arc::new(times.with_timezone("UTC"))
            }
            Values::Count(of, _) => Arc::new(Int64Array::from_iter_values(rows.iter().map(of))),
            Values::Number(of, _) => Arc::new(Float64Array::from_iter_values(rows.iter().map(of))),
            Values::MaybeNumber(of, _) => Arc::new(rows.iter().map(of).collect::<Float64Array>()),
        }
    }
}

/// Lists columns as `kind name = |row| value`, or `kind name` where the row's field has that name.
macro_rules! columns {
    ($row:ty: $($kind:ident $name:ident $(= $field:ident)?),+ $(,)?) => {
        &[$($crate::tables::Column {
            name: stringify!($name),
            values: $crate::tables::Values::$kind(
                columns!(@get $row, $name $(, $field)?),
                columns!(@set $row, $name $(, $field)?),
            ),
        }),+]
    };
    (@get $row:ty, $name:ident) => { |row: &$row| row.$name };
    (@get $row:ty, $name:ident, $field:ident) => { |row: &$row| row.$field };
    (@set $row:ty, $name:ident) => { |row: &mut $row, value| row.$name = value };
    (@set $row:ty, $name:ident, $field:ident) => { |row: &mut $row, value| row.$field = value };
}
pub(crate) use columns;
