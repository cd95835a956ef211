//! One table of one symbol, over all the files that an output has of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::vec;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use tapemill_lake::tables::{MINUTES, Table, klines};
use tapemill_lake::{Lake, LakeError, LakePath, Output, TablePath, TableReader};
use tapemill_market::{Data, DateRange, Interval, Kline, Market, Minute, Period, Symbol};

/// The longest a bar of the exchange may have opened before the period whose archive has it.
const LONGEST_BAR_US: i64 = 31 * 86_400_000_000;

/// What an output has of one table of one symbol: its files in order of time, a month's in place of its days'.
#[derive(Debug, Clone)]
pub struct Stored {
    lake: Lake,
    market: Market,
    table: String,
    symbol: Symbol,
    files: Vec<(Period, LakePath)>,
}

impl Stored {
    /// Looks for the files of one symbol.
    ///
    /// # Errors
    ///
    /// As [`Output::holdings`].
    pub fn find(
        output: &Output,
        market: Market,
        table: &str,
        symbol: &Symbol,
    ) -> Result<Self, LakeError> {
        let only = BTreeSet::from([symbol.clone()]);
        let mut found = Self::find_all(output, market, table, Some(&only))?;
        Ok(found.remove(symbol).unwrap_or_else(|| Self {
            lake: output.lake.clone(),
            market,
            table: table.to_owned(),
            symbol: symbol.clone(),
            files: Vec::new(),
        }))
    }

    /// Looks for the files of these symbols, or of all that the output has; those without files are left out.
    ///
    /// # Errors
    ///
    /// As [`Output::holdings`].
    pub fn find_all(
        output: &Output,
        market: Market,
        table: &str,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<BTreeMap<Symbol, Self>, LakeError> {
        let mut periods: BTreeMap<Symbol, BTreeSet<Period>> = BTreeMap::new();
        output.each_file(market, table, symbols, |symbol, period, _| {
            periods.entry(symbol).or_default().insert(period);
        })?;
        let stored = periods.into_iter().map(|(symbol, periods)| {
            let replaced = |period: Period| period.is_day() && periods.contains(&period.month());
            let files = periods
                .iter()
                .filter(|period| !replaced(**period))
                .map(|period| {
                    let path = TablePath::new(
                        table,
                        market.as_str(),
                        symbol.as_str(),
                        &period.to_string(),
                    )?;
                    Ok((*period, path.path(output.layout)?))
                })
                .collect::<Result<_, LakeError>>()?;
            let stored = Self {
                lake: output.lake.clone(),
                market,
                table: table.to_owned(),
                symbol: symbol.clone(),
                files,
            };
            Ok((symbol, stored))
        });
        stored.collect()
    }

    /// The market.
    pub fn market(&self) -> Market {
        self.market
    }

    /// The table's name, as `klines_1h`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The symbol.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// Where it lies.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// What its files cover, in order; no day of a month that is there.
    pub fn periods(&self) -> impl Iterator<Item = Period> + '_ {
        self.files.iter().map(|(period, _)| *period)
    }

    /// The files that may hold rows of a range, in order.
    pub fn files(&self, range: &DateRange) -> impl Iterator<Item = &(Period, LakePath)> {
        let before_us = if self.has_long_bars() {
            LONGEST_BAR_US
        } else {
            0
        };
        let spans = range.spans();
        self.files.iter().filter(move |(period, _)| {
            let first_us = period.start_us() - before_us;
            spans
                .iter()
                .any(|span| span.start < period.end_us() && first_us < span.end)
        })
    }

    /// The rows of a range in order of time, file by file: all columns, or the time and those that are named.
    ///
    /// Of bars each time comes once. The time is the first column of times.
    pub fn batches(&self, range: &DateRange, columns: Option<&[&str]>) -> Batches {
        let mut batches = self.in_files(range, columns);
        if self.has_long_bars() {
            // The archives of both periods have a bar that reaches from one into the other: the later one counts.
            let whole = self.load(range, columns).transpose();
            batches.files = vec::IntoIter::default();
            batches.cut = whole.into_iter().collect::<Vec<_>>().into_iter();
        }
        batches
    }

    /// The rows of a range as one batch; `None` where there are none. For bars: a month of events is better read in
    /// [`Stored::batches`].
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a file that cannot be read, or that has other columns than the others; it names the file.
    pub fn load(
        &self,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        let batches: Vec<_> = self.in_files(range, columns).collect::<Result<_, _>>()?;
        let Some(first) = batches.first() else {
            return Ok(None);
        };
        let whole =
            concat_batches(&first.schema(), &batches).map_err(|error| self.uneven(&error))?;
        match self.has_long_bars() {
            true => Ok(Some(
                last_of_each_time(&whole).map_err(|error| self.uneven(&error))?,
            )),
            false => Ok(Some(whole)),
        }
    }

    fn in_files(&self, range: &DateRange, columns: Option<&[&str]>) -> Batches {
        let files: Vec<_> = self.files(range).map(|(_, path)| path.clone()).collect();
        Batches {
            lake: self.lake.clone(),
            files: files.into_iter(),
            columns: columns.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
            spans: range.spans(),
            reader: None,
            cut: vec::IntoIter::default(),
            unique: self.interval().is_some() && !self.has_long_bars(),
            last_us: i64::MIN,
        }
    }

    /// The columns of its files.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a first file that cannot be read; and where there is none.
    pub fn schema(&self) -> Result<SchemaRef, LakeError> {
        match self.files.first() {
            Some((_, path)) => Ok(TableReader::open(&self.lake, path)?.schema().clone()),
            None => Err(self.uneven(&"there is no file of it")),
        }
    }

    /// The candles of a range.
    ///
    /// # Errors
    ///
    /// As [`Stored::load`].
    pub fn klines(&self, range: &DateRange) -> Result<Vec<Kline>, LakeError> {
        self.rows(range, klines(self.market))
    }

    /// The minutes of trades of a range.
    ///
    /// # Errors
    ///
    /// As [`Stored::load`].
    pub fn minutes(&self, range: &DateRange) -> Result<Vec<Minute>, LakeError> {
        self.rows(range, &MINUTES)
    }

    fn rows<Row: Default + Clone>(
        &self,
        range: &DateRange,
        table: &Table<Row>,
    ) -> Result<Vec<Row>, LakeError> {
        let Some(batch) = self.load(range, None)? else {
            return Ok(Vec::new());
        };
        let rows = table.rows(&batch);
        rows.ok_or_else(|| self.uneven(&"the columns are not those of the table"))
    }

    fn uneven(&self, problem: &dyn std::fmt::Display) -> LakeError {
        LakeError::Table {
            table: format!("{}/{}/{}", self.table, self.market, self.symbol),
            problem: problem.to_string(),
        }
    }

    /// The interval of bars; `None` for events.
    pub fn interval(&self) -> Option<Interval> {
        match (self.table.as_str(), Data::of_table(&self.table)?) {
            ("aggtrades_1m", _) => Some(Interval::MINUTE),
            ("factors_1h" | "klines_1h_from_1m", _) => Some(Interval::HOUR),
            (_, Data::Klines(_, interval)) => Some(interval),
            _ => None,
        }
    }

    fn has_long_bars(&self) -> bool {
        self.interval().is_some_and(Interval::is_longer_than_a_day)
    }
}

/// Rows in order of time, file by file.
pub struct Batches {
    lake: Lake,
    files: vec::IntoIter<LakePath>,
    columns: Option<Vec<String>>,
    spans: Vec<Range<i64>>,
    reader: Option<TableReader>,
    /// What is left of the batch that was read last.
    cut: vec::IntoIter<Result<RecordBatch, LakeError>>,
    unique: bool,
    last_us: i64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.cut.next() {
                return Some(batch);
            }
            match self.reader.as_mut().and_then(Iterator::next) {
                Some(Ok(batch)) => self.cut = self.cut(&batch).into_iter(),
                Some(Err(error)) => return Some(Err(self.end(error))),
                None => {
                    let path = self.files.next()?;
                    match self.open(&path) {
                        Ok(reader) => self.reader = Some(reader),
                        Err(error) => return Some(Err(self.end(error))),
                    }
                }
            }
        }
    }
}

impl Batches {
    fn open(&self, path: &LakePath) -> Result<TableReader, LakeError> {
        let Some(columns) = &self.columns else {
            return TableReader::open(&self.lake, path);
        };
        let wanted: Vec<_> = columns.iter().map(String::as_str).collect();
        TableReader::open_columns(&self.lake, path, &wanted)
    }

    /// Nothing comes behind an error.
    fn end(&mut self, error: LakeError) -> LakeError {
        self.files = vec::IntoIter::default();
        self.reader = None;
        error
    }

    /// The rows of a batch that were asked for.
    fn cut(&mut self, batch: &RecordBatch) -> Vec<Result<RecordBatch, LakeError>> {
        let Some(times) = times_of(batch) else {
            return Vec::new();
        };
        let mut cut = Vec::new();
        for span in &self.spans {
            let begin = match self.unique {
                true => span.start.max(self.last_us.saturating_add(1)),
                false => span.start,
            };
            let from = times.partition_point(|&time| time < begin);
            let to = times.partition_point(|&time| time < span.end);
            if from < to {
                self.last_us = times[to - 1];
                cut.push(Ok(batch.slice(from, to - from)));
            }
        }
        cut
    }
}

/// The times of a batch's rows: of its first column of times, whatever was selected.
pub fn times_of(batch: &RecordBatch) -> Option<&[i64]> {
    let mut columns = batch.columns().iter();
    let times = columns.find_map(|column| column.as_primitive_opt::<TimestampMicrosecondType>())?;
    Some(times.values())
}

/// Of rows in which times may come twice, the one that comes last.
fn last_of_each_time(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let Some(times) = times_of(batch) else {
        return Ok(batch.clone());
    };
    let mut order: Vec<u32> = (0..times.len() as u32).collect();
    order.sort_by_key(|&row| times[row as usize]);
    let last: UInt32Array = order
        .chunk_by(|&a, &b| times[a as usize] == times[b as usize])
        .filter_map(|rows| rows.last().copied())
        .collect();
    take_record_batch(batch, &last)
}
