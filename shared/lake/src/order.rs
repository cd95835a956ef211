//! The promise of a sorted table, checked row by row while it is written.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};

use crate::error::{LakeError, Result};

/// Watches that rows ascend by their sort columns.
pub(crate) struct OrderCheck {
    table: String,
    columns: Vec<usize>,
    names: String,
    unique: bool,
    last: Option<Vec<i64>>,
    rows: u64,
}

impl OrderCheck {
    /// Sort columns must be `int64` or microsecond times.
    pub fn new(
        table: &str,
        schema: &Schema,
        sort_by: &[usize],
        unique: bool,
    ) -> Result<OrderCheck> {
        let mut names = Vec::new();
        for &column in sort_by {
            let field = schema
                .fields()
                .get(column)
                .ok_or_else(|| LakeError::Table {
                    table: table.to_owned(),
                    problem: format!("there is no column {column} to sort by"),
                })?;
            if !matches!(
                field.data_type(),
                DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _)
            ) {
                return Err(LakeError::Table {
                    table: table.to_owned(),
                    problem: format!("column {} is no time or id to sort by", field.name()),
                });
            }
            names.push(field.name().as_str());
        }
        Ok(OrderCheck {
            table: table.to_owned(),
            columns: sort_by.to_vec(),
            names: names.join(", "),
            unique,
            last: None,
            rows: 0,
        })
    }

    pub fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.columns.is_empty() {
            self.rows += batch.num_rows() as u64;
            return Ok(());
        }
        let mut keys = Vec::with_capacity(self.columns.len());
        for &column in &self.columns {
            keys.push(integers(batch.column(column)));
        }
        if let [times] = &keys[..]
            && times.null_count() == 0
        {
            return self.check_one(times.values());
        }
        let mut key = vec![0; keys.len()];
        for row in 0..batch.num_rows() {
            for (part, column) in key.iter_mut().zip(&keys) {
                if column.is_null(row) {
                    return Err(self.unsorted());
                }
                *part = column.value(row);
            }
            if let Some(last) = &mut self.last {
                if *last > key || (self.unique && *last == key) {
                    return Err(self.unsorted());
                }
                last.copy_from_slice(&key);
            } else {
                self.last = Some(key.clone());
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Rows of one sort column, as nearly all are.
    fn check_one(&mut self, values: &[i64]) -> Result<()> {
        let Some(&first) = values.first() else {
            return Ok(());
        };
        let ascends = |before: i64, next: i64| before < next || (!self.unique && before == next);
        let last = self.last.as_ref().map(|last| last[0]);
        if last.is_some_and(|last| !ascends(last, first)) {
            return Err(self.unsorted());
        }
        let ascending = values
            .windows(2)
            .take_while(|pair| ascends(pair[0], pair[1]))
            .count();
        self.rows += ascending as u64 + 1;
        if ascending + 1 < values.len() {
            return Err(self.unsorted());
        }
        self.last = Some(vec![values[ascending]]);
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn unsorted(&self) -> LakeError {
        LakeError::Unsorted {
            table: self.table.clone(),
            row: self.rows,
            columns: self.names.clone(),
        }
    }
}

fn integers(column: &dyn Array) -> PrimitiveArray<Int64Type> {
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().clone(),
        _ => column
            .as_primitive::<TimestampMicrosecondType>()
            .reinterpret_cast(),
    }
}
