//! `sum` and `avg` as everything else is summed here: exactly, and rounded once. So they depend on no order of rows.

use std::mem;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use tapemill_market::ExactSum;

/// The functions that stand in for the engine's own of these names.
pub(crate) fn functions() -> [AggregateUDF; 2] {
    [Kind::Sum, Kind::Mean].map(|kind| {
        AggregateUDF::new_from_impl(Exact {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Mean,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Mean => "avg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else {
            return plan_err!("{} takes one number, not {}", self.name(), types.len());
        };
        match (of, self.kind) {
            (of, Kind::Sum) if of.is_integer() => Ok(vec![DataType::Int64]),
            (of, _) if of.is_numeric() || of.is_null() => Ok(vec![DataType::Float64]),
            (of, _) => plan_err!("{} takes numbers, not {of}", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 => Ok(Box::new(Whole(None))),
            _ => Ok(Box::new(Floats {
                kind: self.kind,
                ..Floats::default()
            })),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let of = args.return_type();
        let parts = DataType::new_list(of.clone(), true);
        Ok(vec![Arc::new(Field::new(args.name, parts, true))])
    }
}

/// A sum of whole numbers; of none there is none.
#[derive(Debug)]
struct Whole(Option<i64>);

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            match self.0.unwrap_or(0).checked_add(value) {
                Some(sum) => self.0 = Some(sum),
                None => return exec_err!("a sum of whole numbers leaves 64 bits: sum floats"),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(self.0))
    }

    fn size(&self) -> usize {
        mem::size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = [ScalarValue::Int64(self.0)];
        let list = ScalarValue::new_list_nullable(&parts, &DataType::Int64);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for parts in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[parts])?;
        }
        Ok(())
    }
}

/// The exact sum of floats, or their mean.
#[derive(Debug)]
struct Floats {
    kind: Kind,
    sum: ExactSum,
    count: i64,
    /// The sum of what is not finite, which no exact sum can take: zero, an infinity, or NaN.
    odd: f64,
}

impl Default for Floats {
    fn default() -> Self {
        Self {
            kind: Kind::Sum,
            sum: ExactSum::default(),
            count: 0,
            odd: 0.0,
        }
    }
}

impl Floats {
    fn add(&mut self, value: f64) {
        match value.is_finite() {
            true => self.sum.add(value),
            false => self.odd += value,
        }
    }

    fn sum(&self) -> f64 {
        match self.odd == 0.0 {
            true => self.sum.value(),
            false => self.odd,
        }
    }
}

impl Accumulator for Floats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Float64Type>();
        self.count += (values.len() - values.null_count()) as i64;
        values.iter().flatten().for_each(|value| self.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = (self.count > 0).then(|| match self.kind {
            Kind::Sum => self.sum(),
            Kind::Mean => self.sum() / self.count as f64,
        });
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        mem::size_of_val(self) + mem::size_of_val(self.sum.partials())
    }

    /// The count, what is not finite, and the partial sums, which hold every bit.
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = [self.count as f64, self.odd];
        let parts = parts.iter().chain(self.sum.partials());
        let parts: Vec<_> = parts.map(|&part| ScalarValue::from(part)).collect();
        let list = ScalarValue::new_list_nullable(&parts, &DataType::Float64);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for parts in states[0].as_list::<i32>().iter().flatten() {
            if let [count, odd, partials @ ..] = &parts.as_primitive::<Float64Type>().values()[..] {
                self.count += *count as i64;
                self.odd += odd;
                partials.iter().for_each(|&part| self.add(part));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn floats(kind: Kind) -> Floats {
        Floats {
            kind,
            ..Floats::default()
        }
    }

    fn value(sum: &mut dyn Accumulator) -> ScalarValue {
        sum.evaluate().unwrap()
    }

    proptest! {
        #[test]
        fn parts_make_the_same_sum_as_the_whole(
            values in prop::collection::vec(prop::option::of(-1e18f64..1e18), 0..40),
            cut in 0usize..40,
            mean: bool,
        ) {
            let kind = if mean { Kind::Mean } else { Kind::Sum };
            let mut whole = floats(kind);
            whole.update_batch(&[Arc::new(Float64Array::from(values.clone()))]).unwrap();
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = floats(kind);
            for part in [right, left] {
                let mut sum = floats(kind);
                sum.update_batch(&[Arc::new(Float64Array::from(part.to_vec()))]).unwrap();
                let state = sum.state().unwrap().remove(0).to_array().unwrap();
                merged.merge_batch(&[state]).unwrap();
            }
            prop_assert_eq!(value(&mut whole), value(&mut merged));
        }
    }

    #[test]
    fn what_is_not_finite_and_what_is_not_there_is_as_sql_has_it() {
        let mut sum = floats(Kind::Sum);
        assert_eq!(value(&mut sum), ScalarValue::Float64(None));
        for (more, expected) in [
            (vec![1e308, 1.0, -1e308], 1.0),
            (vec![f64::INFINITY], f64::INFINITY),
        ] {
            sum.update_batch(&[Arc::new(Float64Array::from(more))])
                .unwrap();
            assert_eq!(value(&mut sum), ScalarValue::Float64(Some(expected)));
        }
        let opposite = Float64Array::from(vec![f64::NEG_INFINITY]);
        sum.update_batch(&[Arc::new(opposite)]).unwrap();
        assert!(matches!(value(&mut sum), ScalarValue::Float64(Some(sum)) if sum.is_nan()));
    }

    #[test]
    fn whole_numbers_do_not_wrap() {
        let mut sum = Whole(None);
        assert_eq!(value(&mut sum), ScalarValue::Int64(None));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX - 1), None, Some(1)]));
        sum.update_batch(&[values]).unwrap();
        assert_eq!(value(&mut sum), ScalarValue::Int64(Some(i64::MAX)));
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(sum.update_batch(&[one]).is_err());
    }
}
