//! Columns whose values come symbol by symbol, and go to their places in order of time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, Float64Array, Int32Array,
    Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

/// Where each row of each symbol goes: by time, then symbol.
pub(crate) struct Order {
    pub times: Vec<i64>,
    /// By their place among the symbols.
    pub symbols: Vec<i32>,
    pub places: Vec<Vec<u32>>,
}

impl Order {
    /// Of the ascending times of each symbol.
    pub fn of(times: &[Vec<i64>]) -> Self {
        let mut order: Vec<(i64, u32, u32)> = Vec::with_capacity(times.iter().map(Vec::len).sum());
        for (symbol, times) in times.iter().enumerate() {
            let rows = times.iter().enumerate();
            order.extend(rows.map(|(row, &time)| (time, symbol as u32, row as u32)));
        }
        order.sort_unstable();
        let mut places: Vec<Vec<u32>> = times.iter().map(|times| vec![0; times.len()]).collect();
        for (place, &(_, symbol, row)) in order.iter().enumerate() {
            places[symbol as usize][row as usize] = place as u32;
        }
        Self {
            times: order.iter().map(|(time, ..)| *time).collect(),
            symbols: order.iter().map(|(_, symbol, _)| *symbol as i32).collect(),
            places,
        }
    }

    /// Whether a symbol's rows have the times that they had.
    pub fn fits(&self, symbol: usize, times: &[i64]) -> bool {
        let places = &self.places[symbol];
        let same = |(&place, time): (&u32, &i64)| self.times[place as usize] == *time;
        places.len() == times.len() && places.iter().zip(times).all(same)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.times.len()
    }
}

/// A column that is being filled.
pub(crate) struct Filling {
    values: Values,
    valid: BooleanBufferBuilder,
}

enum Values {
    Number(Vec<f64>),
    Count(Vec<i64>),
    Time(Vec<i64>),
    Flag(BooleanBufferBuilder),
    Word(Vec<i32>, Vec<String>, HashMap<String, i32>),
}

impl Filling {
    /// A column of so many rows without values; `None` for a type that no table has.
    pub fn new(data_type: &DataType, rows: usize) -> Option<Self> {
        let values = match data_type {
            DataType::Float64 => Values::Number(vec![0.0; rows]),
            DataType::Int64 => Values::Count(vec![0; rows]),
            DataType::Timestamp(..) => Values::Time(vec![0; rows]),
            DataType::Boolean => Values::Flag(unset(rows)),
            DataType::Dictionary(..) => Values::Word(vec![0; rows], Vec::new(), HashMap::new()),
            _ => return None,
        };
        Some(Self {
            values,
            valid: unset(rows),
        })
    }

    /// Puts a symbol's values to their places; `None` for values of another type.
    pub fn put(&mut self, array: &dyn Array, places: &[u32]) -> Option<()> {
        let Self { values, valid } = self;
        match values {
            Values::Number(values) => put::<Float64Type>(values, array, places)?,
            Values::Count(values) => put::<Int64Type>(values, array, places)?,
            Values::Time(values) => put::<TimestampMicrosecondType>(values, array, places)?,
            Values::Flag(values) => {
                for (flag, &place) in array.as_boolean_opt()?.iter().zip(places) {
                    values.set_bit(place as usize, flag.unwrap_or_default());
                }
            }
            Values::Word(keys, words, known) => {
                let array = array.as_dictionary_opt::<Int32Type>()?;
                let own = array.values().as_string_opt::<i32>()?;
                let own: Vec<i32> = own
                    .iter()
                    .map(|word| key_of(word.unwrap_or_default(), words, known))
                    .collect();
                for (key, &place) in array.keys().iter().zip(places) {
                    keys[place as usize] = key.map_or(0, |key| own[key as usize]);
                }
            }
        }
        match array.nulls() {
            None => places
                .iter()
                .for_each(|&place| valid.set_bit(place as usize, true)),
            Some(nulls) => {
                for (is_valid, &place) in nulls.iter().zip(places) {
                    valid.set_bit(place as usize, is_valid);
                }
            }
        }
        Some(())
    }

    pub fn finish(mut self) -> ArrayRef {
        let nulls = NullBuffer::new(self.valid.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        match self.values {
            Values::Number(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Count(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Time(values) => {
                let times = TimestampMicrosecondArray::new(values.into(), nulls);
                Arc::new(times.with_timezone("UTC"))
            }
            Values::Flag(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Word(keys, words, _) if words.is_empty() => {
                let words =
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                new_null_array(&words, keys.len())
            }
            Values::Word(keys, words, _) => {
                let keys = Int32Array::new(keys.into(), nulls);
                let words = Arc::new(StringArray::from_iter_values(words));
                let words = DictionaryArray::<Int32Type>::try_new(keys, words);
                Arc::new(words.expect("every key is one of a word"))
            }
        }
    }
}

fn unset(rows: usize) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    bits
}

fn put<T: ArrowPrimitiveType>(
    values: &mut [T::Native],
    array: &dyn Array,
    places: &[u32],
) -> Option<()> {
    let array: &PrimitiveArray<T> = array.as_primitive_opt::<T>()?;
    for (&value, &place) in array.values().iter().zip(places) {
        values[place as usize] = value;
    }
    Some(())
}

fn key_of(word: &str, words: &mut Vec<String>, known: &mut HashMap<String, i32>) -> i32 {
    if let Some(&key) = known.get(word) {
        return key;
    }
    let key = words.len() as i32;
    words.push(word.to_owned());
    known.insert(word.to_owned(), key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_by_time_then_symbol_and_what_is_not_there_is_null() {
        let order = Order::of(&[vec![1, 5, 9], vec![5, 6], vec![]]);
        assert_eq!(order.times, [1, 5, 5, 6, 9]);
        assert_eq!(order.symbols, [0, 0, 1, 1, 0]);
        assert!(order.fits(1, &[5, 6]) && !order.fits(1, &[5, 7]) && !order.fits(1, &[5]));

        let mut numbers = Filling::new(&DataType::Float64, order.rows()).unwrap();
        let first: Float64Array = [Some(1.0), None, Some(3.0)].into_iter().collect();
        numbers.put(&first, &order.places[0]).unwrap();
        let numbers = numbers.finish();
        let expected: Float64Array = [Some(1.0), None, None, None, Some(3.0)]
            .into_iter()
            .collect();
        assert_eq!(*numbers, *(&expected as &dyn Array));
    }

    #[test]
    fn words_of_several_lists_become_one_list() {
        let order = Order::of(&[vec![1, 3], vec![2, 4]]);
        let words = |of: [&str; 2]| of.into_iter().collect::<DictionaryArray<Int32Type>>();
        let mut filling = Filling::new(words(["a", "b"]).data_type(), 4).unwrap();
        filling.put(&words(["a", "b"]), &order.places[0]).unwrap();
        filling.put(&words(["b", "c"]), &order.places[1]).unwrap();
        let filled = filling.finish();
        let filled = filled.as_dictionary::<Int32Type>();
        let filled = filled.downcast_dict::<StringArray>().unwrap();
        let filled: Vec<_> = filled.into_iter().flatten().collect();
        assert_eq!(filled, ["a", "b", "b", "c"]);
    }

    #[test]
    fn values_of_another_type_are_refused() {
        let mut counts = Filling::new(&DataType::Int64, 2).unwrap();
        let numbers: Float64Array = [Some(1.0)].into_iter().collect();
        assert!(counts.put(&numbers, &[0]).is_none());
        assert!(Filling::new(&DataType::Utf8, 2).is_none());
    }
}
