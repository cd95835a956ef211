//! From arguments to the output and what is in it.

use std::collections::BTreeSet;

use pyo3::prelude::*;
use tapemill_lake::{Lake, Layout, Output};
use tapemill_market::{DateRange, Market, Symbol, Thresholds};

use crate::errors::{cache, invalid};

/// Where tables are.
pub fn output(root: &str, layout: &str) -> PyResult<Output> {
    Ok(Output {
        lake: Lake::open(root).map_err(cache)?,
        layout: layout.parse::<Layout>().map_err(cache)?,
        thresholds: Thresholds::default(),
    })
}

pub fn market(name: &str) -> PyResult<Market> {
    name.parse().map_err(invalid)
}

/// Any spelling of symbols; `None` for all that there are.
pub fn symbols(names: Option<Vec<String>>) -> PyResult<Option<BTreeSet<Symbol>>> {
    let Some(names) = names else {
        return Ok(None);
    };
    let symbols = names
        .iter()
        .map(|name| Symbol::parse(name).map_err(invalid));
    Ok(Some(symbols.collect::<PyResult<_>>()?))
}

/// The days that a stretch of time touches.
pub fn days(start_us: Option<i64>, end_us: Option<i64>) -> PyResult<DateRange> {
    let day = |time_us: i64| {
        let time = tapemill_market::day_of(time_us);
        time.ok_or_else(|| {
            crate::errors::ValidationError::new_err(format!(
                "there is no time {time_us} µs from 1970"
            ))
        })
    };
    Ok(DateRange {
        first: start_us.map(day).transpose()?,
        last: end_us.map(day).transpose()?,
        months: None,
    })
}
