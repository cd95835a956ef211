//! The tables of datasets whose rows are kept as they are.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tapemill_market::dataset::{Column, Kind, Layout};
use tapemill_market::{NULL, Words};

use super::{symbol_array, symbol_field, time_type};
use crate::TableOptions;

/// The table of a dataset in one market: the columns of its [`Layout`] behind `symbol`.
#[derive(Debug, Clone)]
pub struct RowsTable {
    columns: Vec<&'static Column>,
    schema: SchemaRef,
    has_id: bool,
}

impl RowsTable {
    /// The table of these columns.
    pub fn new(layout: &'static Layout) -> RowsTable {
        let columns: Vec<_> = layout.table_order().map(|at| &layout.columns[at]).collect();
        let mut fields = vec![symbol_field()];
        fields.extend(columns.iter().map(|column| {
            let nullable = column.kind == Kind::MaybeNumber;
            Field::new(column.name, data_type(column.kind), nullable)
        }));
        RowsTable {
            columns,
            schema: Arc::new(Schema::new(fields)),
            has_id: layout.id().is_some(),
        }
    }

    /// The Arrow schema. The time column is the second, at index [`TIME_COLUMN`](super::TIME_COLUMN), the id the third.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Rows of one time stand side by side; ids order them where there are any.
    pub fn options(&self) -> TableOptions {
        match self.has_id {
            true => TableOptions::events(&[super::TIME_COLUMN, super::TIME_COLUMN + 1]),
            false => TableOptions::events(&[super::TIME_COLUMN]),
        }
    }

    /// Rows of a [`RowsMill`](tapemill_market::RowsMill) as a batch of the schema.
    pub fn batch(&self, symbol: &str, words: &Words, cells: &[u64]) -> RecordBatch {
        let width = self.columns.len();
        let rows = cells.len() / width;
        let mut arrays: Vec<ArrayRef> = vec![symbol_array(symbol, rows)];
        for (at, column) in self.columns.iter().enumerate() {
            let cells = cells.iter().skip(at).step_by(width).copied();
            arrays.push(array(column.kind, words, cells));
        }
        RecordBatch::try_new(self.schema.clone(), arrays).expect("arrays are made to the schema")
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Time => time_type(),
        Kind::Id | Kind::Count => DataType::Int64,
        Kind::Number | Kind::MaybeNumber => DataType::Float64,
        Kind::Flag => DataType::Boolean,
        Kind::Word | Kind::Symbol => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
    }
}

fn array(kind: Kind, words: &Words, cells: impl ExactSizeIterator<Item = u64>) -> ArrayRef {
    match kind {
        Kind::Time => {
            let times = TimestampMicrosecondArray::from_iter_values(cells.map(|cell| cell as i64));
            Arc::new(times.with_timezone("UTC"))
        }
        Kind::Id | Kind::Count => {
            Arc::new(Int64Array::from_iter_values(cells.map(|cell| cell as i64)))
        }
        Kind::Number => Arc::new(Float64Array::from_iter_values(cells.map(f64::from_bits))),
        Kind::MaybeNumber => Arc::new(Float64Array::from_iter(
            cells.map(|cell| (cell != NULL).then(|| f64::from_bits(cell))),
        )),
        Kind::Flag => Arc::new(BooleanArray::from_iter(cells.map(|cell| Some(cell == 1)))),
        Kind::Word | Kind::Symbol => {
            let keys = Int32Array::from_iter_values(cells.map(|cell| cell as i32));
            let list = Arc::new(StringArray::from_iter_values(words.list()));
            let words = DictionaryArray::<Int32Type>::try_new(keys, list);
            Arc::new(words.expect("a cell of words is a place among them"))
        }
    }
}
