//! One market of an output, and its tables as Arrow.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;
use tapemill_dataset::load::{By, Joined, Rows, aligned, compare, cut, daily_volumes, long};
use tapemill_dataset::stored::{Stored, times_of};
use tapemill_lake::{Lake, Layout, read_lineage};
use tapemill_market::{DateRange, Interval, Market, Symbol, Thresholds, day_of};

use crate::errors::{ValidationError, cache, invalid};

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Output>()?;
    module.add_function(wrap_pyfunction!(coverage, module)?)
}

/// When the first and the last bar of each run that lacks opens.
type Gaps = Vec<(i64, i64)>;

/// What is joined: its columns and their names, and whether the last row that is known by then is meant.
type Join = (String, Vec<(String, String)>, bool);

/// A period, and what its file was made of with rows.
type Made = (String, Vec<(String, u64)>);

/// One market of an output. `data` is a kind of bars such as `klines:1h`, from whichever tables give them, or the name of a table.
/// Times are microseconds since 1970, UTC, both ends inclusive; no symbols are all that there are.
#[pyclass(frozen)]
struct Output {
    output: tapemill_lake::Output,
    market: Market,
    threads: usize,
}

/// Which rows.
struct Wanted {
    symbols: Option<BTreeSet<Symbol>>,
    days: DateRange,
    start_us: Option<i64>,
    end_us: Option<i64>,
}

impl Wanted {
    fn new(
        symbols: Option<Vec<String>>,
        start_us: Option<i64>,
        end_us: Option<i64>,
    ) -> PyResult<Self> {
        let day = |time_us: i64| {
            let time = day_of(time_us);
            time.ok_or_else(|| {
                ValidationError::new_err(format!("there is no time {time_us} µs from 1970"))
            })
        };
        Ok(Self {
            symbols: parsed(symbols)?,
            days: DateRange {
                first: start_us.map(day).transpose()?,
                last: end_us.map(day).transpose()?,
                months: None,
            },
            start_us,
            end_us,
        })
    }

    fn table(&self, batch: Option<RecordBatch>) -> PyResult<Option<PyTable>> {
        let Some(batch) = batch else {
            return Ok(None);
        };
        let batch = cut(&batch, self.start_us, self.end_us);
        let schema = batch.schema();
        Ok(Some(PyTable::try_new(vec![batch], schema)?))
    }
}

/// Any spelling of symbols.
fn parsed(names: Option<Vec<String>>) -> PyResult<Option<BTreeSet<Symbol>>> {
    let Some(names) = names else {
        return Ok(None);
    };
    let symbols = names
        .iter()
        .map(|name| Symbol::parse(name).map_err(invalid));
    Ok(Some(symbols.collect::<PyResult<_>>()?))
}

#[pymethods]
impl Output {
    #[new]
    fn new(root: &str, market: &str, layout: &str, threads: usize) -> PyResult<Self> {
        Ok(Self {
            output: tapemill_lake::Output {
                lake: Lake::open(root).map_err(cache)?,
                layout: layout.parse::<Layout>().map_err(cache)?,
                thresholds: Thresholds::default(),
            },
            market: market.parse().map_err(invalid)?,
            threads,
        })
    }

    /// The rows of some symbols by time, then symbol.
    #[pyo3(signature = (data, symbols, start_us, end_us, columns=None, own_time=false))]
    #[expect(clippy::too_many_arguments, reason = "Python calls it by name")]
    fn load(
        &self,
        py: Python<'_>,
        data: &str,
        symbols: Option<Vec<String>>,
        start_us: Option<i64>,
        end_us: Option<i64>,
        columns: Option<Vec<String>>,
        own_time: bool,
    ) -> PyResult<Option<PyTable>> {
        let wanted = Wanted::new(symbols, start_us, end_us)?;
        let batch = py.detach(|| {
            let rows = self.rows(data, &wanted)?;
            let columns: Option<Vec<&str>> = columns
                .as_ref()
                .map(|names| names.iter().map(String::as_str).collect());
            long(
                &rows,
                &wanted.days,
                columns.as_deref(),
                own_time,
                self.threads,
            )
        });
        wanted.table(batch.map_err(cache)?)
    }

    /// As `load`, with columns of others beside each row: `(data, [(column, name)], latest)`, `latest` for the last row that is
    /// known by then in place of the one of the same time.
    fn load_aligned(
        &self,
        py: Python<'_>,
        data: &str,
        joins: Vec<Join>,
        symbols: Option<Vec<String>>,
        start_us: Option<i64>,
        end_us: Option<i64>,
    ) -> PyResult<Option<PyTable>> {
        let wanted = Wanted::new(symbols, start_us, end_us)?;
        let batch = py.detach(|| {
            let joined = joins.into_iter().map(|(data, columns, latest)| {
                Ok(Joined {
                    columns,
                    by: if latest { By::Latest } else { By::Time },
                    rows: self.rows(&data, &wanted)?,
                })
            });
            let joined: Vec<_> = joined.collect::<Result<_, _>>()?;
            aligned(
                &self.rows(data, &wanted)?,
                &joined,
                &wanted.days,
                self.threads,
            )
        });
        wanted.table(batch.map_err(cache)?)
    }

    /// The symbols that have rows, each with the periods of its files.
    fn available(
        &self,
        py: Python<'_>,
        data: &str,
        symbols: Option<Vec<String>>,
    ) -> PyResult<BTreeMap<String, Vec<String>>> {
        let wanted = Wanted::new(symbols, None, None)?;
        let found = py.detach(|| self.rows(data, &wanted)).map_err(cache)?;
        let periods = |rows: Rows| rows.periods().iter().map(ToString::to_string).collect();
        let found = found.into_iter();
        Ok(found
            .map(|(symbol, rows)| (symbol.to_string(), periods(rows)))
            .collect())
    }

    /// What the files of a table were made of.
    fn sources(
        &self,
        py: Python<'_>,
        table: &str,
        symbol: String,
        start_us: Option<i64>,
        end_us: Option<i64>,
    ) -> PyResult<Vec<Made>> {
        let wanted = Wanted::new(Some(vec![symbol]), start_us, end_us)?;
        let made = py.detach(|| {
            let found =
                Stored::find_all(&self.output, self.market, table, wanted.symbols.as_ref())?;
            let files = found.values().flat_map(|stored| {
                stored.files(&wanted.days).map(|(period, path)| {
                    let sources = read_lineage(stored.lake(), path)?.sources.into_iter();
                    let sources = sources.map(|source| (source.key, source.rows));
                    Ok((period.to_string(), sources.collect()))
                })
            });
            files.collect::<Result<Vec<_>, _>>()
        });
        made.map_err(cache)
    }

    /// What each symbol traded a day in its quote, on average over the days that it has bars of.
    fn daily_volume(
        &self,
        py: Python<'_>,
        data: &str,
        symbols: Option<Vec<String>>,
        start_us: Option<i64>,
        end_us: Option<i64>,
    ) -> PyResult<BTreeMap<String, f64>> {
        let wanted = Wanted::new(symbols, start_us, end_us)?;
        let volumes = py.detach(|| {
            let rows = self.rows(data, &wanted)?;
            daily_volumes(&rows, self.market, &wanted.days, self.threads)
        });
        let volumes = volumes.map_err(cache)?.into_iter();
        Ok(volumes
            .map(|(symbol, volume)| (symbol.to_string(), volume))
            .collect())
    }
}

impl Output {
    fn rows(
        &self,
        data: &str,
        wanted: &Wanted,
    ) -> Result<BTreeMap<Symbol, Rows>, tapemill_lake::LakeError> {
        Rows::find_all(&self.output, self.market, data, wanted.symbols.as_ref())
    }
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
