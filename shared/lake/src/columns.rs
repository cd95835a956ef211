//! Columns of the small tables that are for people.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};

pub(crate) fn word() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn words<'a>(words: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(words.collect::<DictionaryArray<Int32Type>>())
}

pub(crate) fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(texts.collect::<StringArray>())
}

pub(crate) fn numbers(numbers: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(
        numbers
            .map(|number| number.and_then(|number| i64::try_from(number).ok()))
            .collect::<Int64Array>(),
    )
}

pub(crate) fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// The texts of a plain column or of one with a dictionary.
pub(crate) fn texts_of(column: &dyn Array) -> Option<Vec<Option<String>>> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(texts.iter().map(|text| text.map(str::to_owned)).collect());
    }
    let words = column.as_dictionary_opt::<Int32Type>()?;
    let texts = words.downcast_dict::<StringArray>()?;
    Some(
        texts
            .into_iter()
            .map(|text| text.map(str::to_owned))
            .collect(),
    )
}

pub(crate) fn numbers_of(column: &dyn Array) -> Option<Vec<Option<u64>>> {
    let numbers = column.as_primitive_opt::<Int64Type>()?.iter();
    Some(
        numbers
            .map(|number| number.and_then(|number| u64::try_from(number).ok()))
            .collect(),
    )
}

pub(crate) fn times_of(column: &dyn Array) -> Option<Vec<Option<i64>>> {
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(times.iter().collect())
}
