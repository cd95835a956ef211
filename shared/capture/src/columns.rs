//! The columns of a batch of a capture, checked.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrowPrimitiveType, BooleanArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray,
};
use tapemill_book::Levels;

/// What is wrong with a batch: a column that is not there, of another type, or of values that cannot be.
pub(crate) type Problem = String;

pub(crate) struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a dyn Array, Problem> {
        let column = self.0.column_by_name(name);
        column
            .map(AsRef::as_ref)
            .ok_or_else(|| format!("it has no column {name}"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.column_by_name(name).is_some()
    }

    fn typed<T: ArrowPrimitiveType>(&self, name: &str) -> Result<&'a PrimitiveArray<T>, Problem> {
        let column = self.column(name)?;
        let typed = column.as_primitive_opt::<T>();
        typed.ok_or_else(|| wrong_type(name, column))
    }

    /// Whole numbers, none of them null.
    pub fn whole(&self, name: &str) -> Result<&'a [i64], Problem> {
        let column = self.typed::<Int64Type>(name)?;
        no_null(name, column)?;
        Ok(column.values())
    }

    /// Whole numbers that may be null, of a column that need not be there.
    pub fn maybe_whole(&self, name: &str) -> Result<Option<&'a Int64Array>, Problem> {
        self.has(name)
            .then(|| self.typed::<Int64Type>(name))
            .transpose()
    }

    /// Numbers, none of them null, negative or endless.
    pub fn numbers(&self, name: &str) -> Result<&'a [f64], Problem> {
        let column = self.typed::<Float64Type>(name)?;
        no_null(name, column)?;
        let values: &[f64] = column.values();
        if values.iter().all(|value| is_quantity(*value)) {
            Ok(values)
        } else {
            Err(format!(
                "column {name} has a value that no price or quantity has"
            ))
        }
    }

    /// Text, none of it null.
    pub fn text(&self, name: &str) -> Result<&'a StringArray, Problem> {
        let column = self.column(name)?;
        let text = column.as_string_opt::<i32>();
        let text = text.ok_or_else(|| wrong_type(name, column))?;
        no_null(name, text)?;
        Ok(text)
    }

    /// Truths, none of them null.
    pub fn flags(&self, name: &str) -> Result<&'a BooleanArray, Problem> {
        let column = self.column(name)?;
        let flags = column.as_boolean_opt();
        let flags = flags.ok_or_else(|| wrong_type(name, column))?;
        no_null(name, flags)?;
        Ok(flags)
    }

    /// When each row came, in nanoseconds: `received_ns`, or `received_time` where another collector wrote it.
    pub fn received(&self) -> Result<Received<'a>, Problem> {
        Ok(Received {
            nanoseconds: self.maybe_whole("received_ns")?,
            milliseconds: if self.has("received_time") {
                self.column("received_time")?.as_primitive_opt()
            } else {
                None
            },
        })
    }

    /// One side's levels of each row.
    pub fn levels(&self, name: &str) -> Result<LevelLists<'a>, Problem> {
        let column = self.column(name)?;
        let lists = column.as_list_opt::<i32>();
        let lists = lists.ok_or_else(|| wrong_type(name, column))?;
        no_null(name, lists)?;
        let levels = lists.values();
        let structs = levels.as_struct_opt();
        let structs = structs.ok_or_else(|| wrong_type(name, levels))?;
        no_null(name, structs)?;
        let values = |field: &str| -> Result<&'a Float64Array, Problem> {
            let values = structs.column_by_name(field);
            let values = values.ok_or_else(|| format!("column {name} has no {field}"))?;
            let numbers = values.as_primitive_opt::<Float64Type>();
            let numbers = numbers.ok_or_else(|| wrong_type(name, values))?;
            no_null(name, numbers)?;
            Ok(numbers)
        };
        let (prices, quantities) = (values("price")?.values(), values("qty")?.values());
        let can_be = prices.iter().all(|price| is_price(*price))
            && quantities.iter().all(|quantity| is_quantity(*quantity));
        if !can_be {
            return Err(format!(
                "column {name} has a price or quantity that cannot be"
            ));
        }
        Ok(LevelLists {
            offsets: lists.value_offsets(),
            prices,
            quantities,
        })
    }
}

fn wrong_type(name: &str, column: &dyn Array) -> Problem {
    format!("column {name} is {}", column.data_type())
}

fn no_null(name: &str, column: &dyn Array) -> Result<(), Problem> {
    if column.null_count() == 0 {
        Ok(())
    } else {
        Err(format!("column {name} has a row without a value"))
    }
}

pub(crate) fn is_price(price: f64) -> bool {
    price > 0.0 && price < f64::INFINITY
}

pub(crate) fn is_quantity(quantity: f64) -> bool {
    (0.0..f64::INFINITY).contains(&quantity)
}

pub(crate) struct Received<'a> {
    nanoseconds: Option<&'a Int64Array>,
    milliseconds: Option<&'a PrimitiveArray<TimestampMillisecondType>>,
}

impl Received<'_> {
    /// Of one row; an event counts as received when it happened where nothing tells.
    pub fn at(&self, row: usize, event_ms: i64) -> i64 {
        if let Some(nanoseconds) = self.nanoseconds
            && nanoseconds.is_valid(row)
        {
            return nanoseconds.value(row);
        }
        let milliseconds = self.milliseconds.filter(|column| column.is_valid(row));
        milliseconds
            .map_or(event_ms, |column| column.value(row))
            .saturating_mul(1_000_000)
    }
}

pub(crate) struct LevelLists<'a> {
    offsets: &'a [i32],
    prices: &'a [f64],
    quantities: &'a [f64],
}

impl<'a> LevelLists<'a> {
    /// Of one row.
    pub fn at(&self, row: usize) -> Levels<'a> {
        // Offsets of an Arrow list ascend from 0 on.
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        Levels {
            prices: &self.prices[range.clone()],
            quantities: &self.quantities[range],
        }
    }
}
