//! Tables as Arrow.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;
use tapemill_dataset::load::{By, Joined, aligned, compare, cut, daily_volumes, long};
use tapemill_dataset::stored::{Stored, times_of};
use tapemill_lake::read_lineage;
use tapemill_market::{Interval, Symbol};

use crate::errors::{cache, invalid};
use crate::places::{days, market, output, symbols};

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(load_aligned, module)?)?;
    module.add_function(wrap_pyfunction!(available, module)?)?;
    module.add_function(wrap_pyfunction!(daily_volume, module)?)?;
    module.add_function(wrap_pyfunction!(coverage, module)?)?;
    module.add_function(wrap_pyfunction!(sources, module)?)
}

type Tables = BTreeMap<Symbol, Stored>;

/// When the first and the last bar of each run that lacks opens.
type Gaps = Vec<(i64, i64)>;

/// A table, its columns and their names, and whether the last row that is known by then is meant.
type Join = (String, Vec<(String, String)>, bool);

/// A period, and what its file was made of with rows.
type Made = (String, Vec<(String, u64)>);

fn table(
    batch: Option<RecordBatch>,
    start_us: Option<i64>,
    end_us: Option<i64>,
) -> PyResult<Option<PyTable>> {
    let Some(batch) = batch else {
        return Ok(None);
    };
    let batch = cut(&batch, start_us, end_us);
    let schema = batch.schema();
    Ok(Some(PyTable::try_new(vec![batch], schema)?))
}

/// The rows of a table from `start_us` to `end_us`, both inclusive: by time, then symbol.
#[pyfunction]
#[pyo3(signature = (root, market_name, name, symbol_names, start_us, end_us, columns, own_time, layout, threads))]
#[expect(clippy::too_many_arguments, reason = "Python calls it by name")]
fn load(
    py: Python<'_>,
    root: &str,
    market_name: &str,
    name: &str,
    symbol_names: Option<Vec<String>>,
    start_us: Option<i64>,
    end_us: Option<i64>,
    columns: Option<Vec<String>>,
    own_time: bool,
    layout: &str,
    threads: usize,
) -> PyResult<Option<PyTable>> {
    let (output, market) = (output(root, layout)?, market(market_name)?);
    let (symbols, range) = (symbols(symbol_names)?, days(start_us, end_us)?);
    let batch = py.detach(|| {
        let stored = Stored::find_all(&output, market, name, symbols.as_ref())?;
        let stored: Vec<_> = stored.into_values().collect();
        let columns: Option<Vec<&str>> = columns
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        long(&stored, &range, columns.as_deref(), own_time, threads)
    });
    table(batch.map_err(cache)?, start_us, end_us)
}

/// As [`load`], with columns of other tables beside each row: `(table, [(column, name)], latest)`, `latest` for the last row
/// that is known by then in place of the one of the same time.
#[pyfunction]
#[pyo3(signature = (root, market_name, name, joins, symbol_names, start_us, end_us, layout, threads))]
#[expect(clippy::too_many_arguments, reason = "Python calls it by name")]
fn load_aligned(
    py: Python<'_>,
    root: &str,
    market_name: &str,
    name: &str,
    joins: Vec<Join>,
    symbol_names: Option<Vec<String>>,
    start_us: Option<i64>,
    end_us: Option<i64>,
    layout: &str,
    threads: usize,
) -> PyResult<Option<PyTable>> {
    let (output, market) = (output(root, layout)?, market(market_name)?);
    let (symbols, range) = (symbols(symbol_names)?, days(start_us, end_us)?);
    let batch = py.detach(|| {
        let find = |table: &str| Stored::find_all(&output, market, table, symbols.as_ref());
        let base: Vec<_> = find(name)?.into_values().collect();
        let joined = joins.into_iter().map(|(table, columns, latest)| {
            Ok(Joined {
                columns,
                by: if latest { By::Latest } else { By::Time },
                stored: find(&table)?,
            })
        });
        let joined: Vec<_> = joined.collect::<Result<_, _>>()?;
        aligned(&base, &joined, &range, threads)
    });
    table(batch.map_err(cache)?, start_us, end_us)
}

/// The symbols that have a table, each with the periods of its files.
#[pyfunction]
fn available(
    py: Python<'_>,
    root: &str,
    market_name: &str,
    name: &str,
    symbol_names: Option<Vec<String>>,
    layout: &str,
) -> PyResult<BTreeMap<String, Vec<String>>> {
    let (output, market) = (output(root, layout)?, market(market_name)?);
    let symbols = symbols(symbol_names)?;
    let found: Tables = py
        .detach(|| Stored::find_all(&output, market, name, symbols.as_ref()))
        .map_err(cache)?;
    let periods = |stored: &Stored| stored.periods().map(|period| period.to_string()).collect();
    Ok(found
        .values()
        .map(|stored| (stored.symbol().to_string(), periods(stored)))
        .collect())
}

/// What the files of a table were made of: `(period, [(source, rows)])` for each file that a stretch of time touches.
#[pyfunction]
#[pyo3(signature = (root, market_name, name, symbol, start_us, end_us, layout))]
#[expect(clippy::too_many_arguments, reason = "Python calls it by name")]
fn sources(
    py: Python<'_>,
    root: &str,
    market_name: &str,
    name: &str,
    symbol: String,
    start_us: Option<i64>,
    end_us: Option<i64>,
    layout: &str,
) -> PyResult<Vec<Made>> {
    let (output, market) = (output(root, layout)?, market(market_name)?);
    let (symbols, range) = (symbols(Some(vec![symbol]))?, days(start_us, end_us)?);
    let found = py.detach(|| {
        let found: Tables = Stored::find_all(&output, market, name, symbols.as_ref())?;
        let files = found.values().flat_map(|stored| {
            stored.files(&range).map(|(period, path)| {
                let sources = read_lineage(stored.lake(), path)?.sources;
                let sources = sources.into_iter().map(|source| (source.key, source.rows));
                Ok((period.to_string(), sources.collect()))
            })
        });
        files.collect::<Result<Vec<_>, _>>()
    });
    found.map_err(cache)
}

/// What each symbol traded a day in its quote, on average over the days that it has bars of.
#[pyfunction]
#[pyo3(signature = (root, market_name, name, symbol_names, start_us, end_us, layout, threads))]
#[expect(clippy::too_many_arguments, reason = "Python calls it by name")]
fn daily_volume(
    py: Python<'_>,
    root: &str,
    market_name: &str,
    name: &str,
    symbol_names: Option<Vec<String>>,
    start_us: Option<i64>,
    end_us: Option<i64>,
    layout: &str,
    threads: usize,
) -> PyResult<BTreeMap<String, f64>> {
    let (output, market) = (output(root, layout)?, market(market_name)?);
    let (symbols, range) = (symbols(symbol_names)?, days(start_us, end_us)?);
    let volumes = py.detach(|| {
        let stored = Stored::find_all(&output, market, name, symbols.as_ref())?;
        let stored: Vec<_> = stored.into_values().collect();
        daily_volumes(&stored, &range, threads)
    });
    let volumes = volumes.map_err(cache)?.into_iter();
    Ok(volumes
        .map(|(symbol, volume)| (symbol.to_string(), volume))
        .collect())
}

/// `(expected, missing, gaps)`: the bars of an interval from one time to another, both inclusive, that are finished at `now_us`, and
/// those of them that `loaded` lacks, in runs.
#[pyfunction]
fn coverage(
    py: Python<'_>,
    loaded: Option<PyTable>,
    interval: &str,
    start_us: i64,
    end_us: i64,
    now_us: i64,
) -> PyResult<(u64, u64, Gaps)> {
    let interval: Interval = interval.parse().map_err(invalid)?;
    let batches = loaded.map(|table| table.into_inner().0).unwrap_or_default();
    let times: Vec<i64> = batches
        .iter()
        .flat_map(|batch| times_of(batch).unwrap_or_default())
        .copied()
        .collect();
    let bars = py.detach(|| compare(&times, interval, start_us, end_us, now_us));
    Ok((bars.expected, bars.missing, bars.gaps))
}
