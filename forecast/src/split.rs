//! Rows to learn from, rows to choose by, rows to be judged by: in this order of time, apart from each other.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{ForecastError, Result};

/// How rows are divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// Share of the rows for validation.
    pub validation: f64,
    /// Share of the rows for the test.
    pub test: f64,
    /// Rows between two parts that belong to none.
    pub embargo: usize,
}

/// The three parts of a table, as rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// What statistics, weights and the linear baseline are made from.
    pub train: Range<usize>,
    /// What says which epoch was the best.
    pub validation: Range<usize>,
    /// What nothing is made from.
    pub test: Range<usize>,
}

impl Division {
    /// Sees that the shares leave something to learn from, and that parts are at least a window apart.
    ///
    /// # Errors
    ///
    /// [`ForecastError::Setting`].
    pub fn check(&self, window: usize) -> Result<()> {
        let Self {
            validation,
            test,
            embargo,
        } = *self;
        let is_share = |share: f64| (0.0..1.0).contains(&share);
        let reason = if !is_share(validation) || !is_share(test) || validation + test >= 1.0 {
            format!(
                "--validation {validation} and --test {test} are shares of the rows, and together less than 1"
            )
        } else if embargo < window {
            format!(
                "--embargo {embargo} is less than the {window} rows of a window: what is learned from would be seen again"
            )
        } else {
            return Ok(());
        };
        Err(ForecastError::Setting(reason))
    }
}

impl Split {
    /// Divides rows by time; `window` is how many rows a window has, forecast rows included.
    ///
    /// # Errors
    ///
    /// What there are too few rows for, in words.
    pub fn of(
        rows: usize,
        window: usize,
        division: &Division,
    ) -> std::result::Result<Self, String> {
        let share = |share: f64| (rows as f64 * share).round() as usize;
        let (validation, test) = (share(division.validation), share(division.test));
        let embargo = division.embargo;
        let between = embargo.saturating_mul(usize::from(validation > 0) + usize::from(test > 0));
        let taken = validation.saturating_add(test).saturating_add(between);
        let Some(train) = rows.checked_sub(taken) else {
            return Err(format!(
                "{rows} rows are too few: {validation} for validation, {test} for the test and {between} between them leave none"
            ));
        };
        let parts = [
            ("training", train),
            ("validation", validation),
            ("test", test),
        ];
        for (name, part) in parts {
            if part < window && (part > 0 || name == "training") {
                return Err(format!(
                    "{rows} rows are too few: the {name} part has {part}, and a window needs {window}"
                ));
            }
        }
        let validation_from = if validation > 0 {
            train + embargo
        } else {
            train
        };
        let test_from = rows - test;
        Ok(Self {
            train: 0..train,
            validation: validation_from..validation_from + validation,
            test: test_from..rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_that_cannot_be_had_are_told() {
        let told = |rows, validation, test, embargo| {
            let division = Division {
                validation,
                test,
                embargo,
            };
            match division.check(110) {
                Err(error) => error.to_string(),
                Ok(()) => Split::of(rows, 110, &division).expect_err("it cannot be"),
            }
        };
        assert!(told(10_000, 0.1, 0.1, 109).contains("--embargo 109 is less than the 110 rows"));
        assert!(told(10_000, 0.5, 0.5, 110).contains("together less than 1"));
        assert!(told(10_000, f64::NAN, 0.1, 110).contains("shares of the rows"));
        assert!(told(100, 0.1, 0.1, 110).contains("leave none"));
        assert!(
            told(1_000, 0.1, 0.1, 110)
                .contains("the validation part has 100, and a window needs 110")
        );
        assert!(told(100, 0.0, 0.0, 110).contains("the training part has 100"));
    }

    proptest! {
        #[test]
        fn parts_are_in_order_and_an_embargo_apart(
            rows in 0_usize..20_000,
            window in 1_usize..200,
            more in 0_usize..50,
            validation in 0.0..0.6_f64,
            test in 0.0..0.6_f64,
        ) {
            let division = Division { validation, test, embargo: window + more };
            if let Ok(split) = Split::of(rows, window, &division) {
                prop_assert_eq!(split.train.start, 0);
                prop_assert_eq!(split.test.end, rows);
                prop_assert!(split.train.len() >= window);
                let parts = [split.train, split.validation, split.test];
                let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                for pair in parts.windows(2) {
                    prop_assert!(pair[0].end + division.embargo <= pair[1].start);
                }
            }
        }
    }
}
