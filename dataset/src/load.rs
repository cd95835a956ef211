//! Many symbols as one table in order of time: what backtests take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use tapemill_lake::tables::klines;
use tapemill_lake::{LakeError, Output};
use tapemill_market::{Data, DateRange, Interval, Kline, Market, Period, Symbol};

use crate::align::{latest, same};
use crate::bars::BarsOf;
use crate::stored::{Stored, times_of};
use crate::threads::each;

/// What the first column of a load of several symbols is called, unless it is to keep its table's name for it.
pub const TIME: &str = "timestamp";

const MINUTE_US: i64 = 60_000_000;

/// The rows of one symbol, from wherever they come.
pub enum Rows {
    /// Of one table.
    Table(Stored),
    /// Bars of whichever tables give them.
    Bars(BarsOf),
}

impl Rows {
    /// What there is of these symbols, or of all: of `data` such as `klines:1h` finished bars from whichever tables give them,
    /// of any other name the rows of that table.
    ///
    /// # Errors
    ///
    /// As [`Stored::find_all`].
    pub fn find_all(
        output: &Output,
        market: Market,
        data: &str,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<BTreeMap<Symbol, Self>, LakeError> {
        Ok(match data.parse() {
            Ok(Data::Klines(bars, interval)) => {
                BarsOf::find_all(output, market, bars, interval, symbols)?
                    .into_iter()
                    .map(|(symbol, bars)| (symbol, Self::Bars(bars)))
                    .collect()
            }
            _ => Stored::find_all(output, market, data, symbols)?
                .into_iter()
                .map(|(symbol, stored)| (symbol, Self::Table(stored)))
                .collect(),
        })
    }

    /// What its files cover, in order.
    pub fn periods(&self) -> Vec<Period> {
        match self {
            Self::Table(stored) => stored.periods().collect(),
            Self::Bars(bars) => bars.periods(),
        }
    }

    fn load(
        &self,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        match self {
            Self::Table(stored) => stored.load(range, columns),
            Self::Bars(bars) => bars.load_columns(range, columns),
        }
    }
}

/// A table to be joined to each row.
pub struct Joined {
    /// Its columns that are taken, and their names in the load.
    pub columns: Vec<(String, String)>,
    /// Which of its rows belongs to a row.
    pub by: By,
    /// What there is of each symbol.
    pub rows: BTreeMap<Symbol, Rows>,
}

/// Which row of a joined table belongs to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// That of the same time.
    Time,
    /// The last one that is known by then: times are taken by the minute, since settlements come milliseconds after it.
    Latest,
}

/// The rows of some tables of one kind, by time, then symbol: `timestamp`, `symbol` and the other columns.
///
/// `columns` limits those to the ones that are named; `own_time` keeps the table's name of the time. `None` where there are
/// no rows.
///
/// # Errors
///
/// [`LakeError`] for the first table that cannot be read.
pub fn long(
    rows: &BTreeMap<Symbol, Rows>,
    range: &DateRange,
    columns: Option<&[&str]>,
    own_time: bool,
    threads: usize,
) -> Result<Option<RecordBatch>, LakeError> {
    let all: Vec<_> = rows.iter().collect();
    let parts = each(&all, threads, |(symbol, rows)| {
        Part::read(symbol, rows, range, columns)
    })?;
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let time = parts
        .first()
        .map(|part| part.time.clone())
        .filter(|_| own_time);
    Ok(together(parts, time.as_deref().unwrap_or(TIME)))
}

/// As [`long`], each row with the columns of other tables beside it; where those have nothing for it, null.
///
/// # Errors
///
/// As [`long`].
pub fn aligned(
    base: &BTreeMap<Symbol, Rows>,
    joined: &[Joined],
    range: &DateRange,
    threads: usize,
) -> Result<Option<RecordBatch>, LakeError> {
    let base: Vec<_> = base.iter().collect();
    let parts = each(&base, threads, |(symbol, rows)| {
        let Some(mut part) = Part::read(symbol, rows, range, None)? else {
            return Ok(None);
        };
        for table in joined {
            part.join(table, range)?;
        }
        Ok(Some(part))
    })?;
    Ok(together(parts.into_iter().flatten().collect(), TIME))
}

/// The rows of one symbol.
struct Part {
    symbol: Symbol,
    time: String,
    times: Vec<i64>,
    fields: Vec<Field>,
    /// Taken away one by one.
    columns: Vec<ArrayRef>,
}

impl Part {
    fn read(
        symbol: &Symbol,
        rows: &Rows,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<Self>, LakeError> {
        let Some(batch) = rows.load(range, columns)? else {
            return Ok(None);
        };
        let times = times_of(&batch).unwrap_or_default().to_vec();
        let schema = batch.schema();
        let all = schema.fields().iter().zip(batch.columns());
        // The time and the symbol are those of every load.
        let is_time = |field: &Field| matches!(field.data_type(), DataType::Timestamp(..));
        let time = schema.fields().iter().find(|field| is_time(field));
        let time = time.map_or_else(String::new, |field| field.name().clone());
        let others = all.filter(|(field, _)| *field.name() != time && field.name() != "symbol");
        let (fields, columns) = others
            .map(|(field, column)| (field.as_ref().clone(), column.clone()))
            .unzip();
        Ok(Some(Self {
            symbol: symbol.clone(),
            time,
            times,
            fields,
            columns,
        }))
    }

    fn join(&mut self, table: &Joined, range: &DateRange) -> Result<(), LakeError> {
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let rows = table.rows.get(&self.symbol);
        let found = match (rows, table.by) {
            (None, _) => None,
            (Some(rows), By::Time) => rows.load(range, Some(&names))?,
            // What is known at the first row came before it.
            (Some(rows), By::Latest) => rows.load(&until(range), Some(&names))?,
        };
        let rows = found.as_ref().map(|batch| {
            let times = times_of(batch).unwrap_or_default();
            match table.by {
                By::Time => same(&self.times, times),
                By::Latest => {
                    let by_minute: Vec<_> = times
                        .iter()
                        .map(|time| time - time.rem_euclid(MINUTE_US))
                        .collect();
                    latest(&self.times, &by_minute, i64::MAX)
                }
            }
        });
        for (name, own) in &table.columns {
            let column = found.as_ref().and_then(|batch| batch.column_by_name(name));
            let column = match (column, &rows) {
                (Some(column), Some(rows)) => taken(column, rows),
                _ => new_null_array(&DataType::Float64, self.times.len()),
            };
            self.fields
                .push(Field::new(own, column.data_type().clone(), true));
            self.columns.push(column);
        }
        Ok(())
    }
}

/// The same days, and all before them.
fn until(range: &DateRange) -> DateRange {
    DateRange {
        first: None,
        months: None,
        last: range.last.or_else(|| {
            let months = range.months.as_ref()?;
            months.iter().map(|month| month.last_day()).max()
        }),
    }
}

fn taken(column: &ArrayRef, rows: &UInt32Array) -> ArrayRef {
    take(column.as_ref(), rows, None).expect("rows are of the column")
}

/// The parts' rows by time, then symbol, column by column: each part's column is let go as soon as it is taken over.
fn together(mut parts: Vec<Part>, time: &str) -> Option<RecordBatch> {
    parts.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    let first = parts.first()?;
    let fields = first.fields.clone();
    parts.retain(|part| part.fields.len() == fields.len());
    let mut order: Vec<(i64, u32, u32)> =
        Vec::with_capacity(parts.iter().map(|part| part.times.len()).sum());
    for (at, part) in parts.iter().enumerate() {
        let rows = part.times.iter().enumerate();
        order.extend(rows.map(|(row, &time)| (time, at as u32, row as u32)));
    }
    order.sort_unstable();
    let times = TimestampMicrosecondArray::from_iter_values(order.iter().map(|(time, ..)| *time));
    let symbols = parts.iter().map(|part| part.symbol.as_str());
    let symbols = DictionaryArray::<Int32Type>::try_new(
        Int32Array::from_iter_values(order.iter().map(|(_, part, _)| *part as i32)),
        Arc::new(StringArray::from_iter_values(symbols)),
    );
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        Arc::new(symbols.expect("every key is a symbol's")),
    ];
    let places: Vec<(usize, usize)> = order
        .iter()
        .map(|(_, part, row)| (*part as usize, *row as usize))
        .collect();
    drop(order);
    for part in &mut parts {
        part.times = Vec::new();
        part.columns.reverse();
    }
    for _ in 0..fields.len() {
        let taken: Vec<ArrayRef> = parts
            .iter_mut()
            .filter_map(|part| part.columns.pop())
            .collect();
        let taken: Vec<&dyn Array> = taken.iter().map(AsRef::as_ref).collect();
        columns.push(interleave(&taken, &places).expect("parts have the same columns"));
    }
    let mut all = vec![
        Field::new(time, columns[0].data_type().clone(), false),
        Field::new("symbol", columns[1].data_type().clone(), false),
    ];
    all.extend(fields);
    Some(batch(Arc::new(Schema::new(all)), columns).expect("columns are made to the schema"))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(schema, columns)
}

/// What each symbol traded a day, in its quote: the mean over the days on which it has bars. Of cm, whose bars count base units,
/// those at the bar's close.
///
/// # Errors
///
/// As [`long`].
pub fn daily_volumes(
    rows: &BTreeMap<Symbol, Rows>,
    market: Market,
    range: &DateRange,
    threads: usize,
) -> Result<BTreeMap<Symbol, f64>, LakeError> {
    let all: Vec<_> = rows.iter().collect();
    let means = each(&all, threads, |(symbol, rows)| {
        let Some(batch) = rows.load(range, None)? else {
            return Ok(None);
        };
        let bars = klines(market).rows(&batch).unwrap_or_default();
        let day = |bar: &Kline| Interval::DAY.open_of(bar.open_time_us);
        let days: Vec<f64> = bars
            .chunk_by(|a, b| day(a) == day(b))
            .map(|bars| {
                let quote = |bar: &Kline| match market {
                    Market::Cm => bar.quote_volume * bar.close,
                    Market::Um | Market::Spot => bar.quote_volume,
                };
                bars.iter().map(quote).sum()
            })
            .collect();
        let mean = (!days.is_empty()).then(|| days.iter().sum::<f64>() / days.len() as f64);
        Ok(mean.map(|mean| ((*symbol).clone(), mean)))
    })?;
    Ok(means.into_iter().flatten().collect())
}

/// Which bars there should be from one time to another, both inclusive, and which of them are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    /// When the first and the last that can be opens; `None` where none can.
    pub ends: Option<(i64, i64)>,
    /// How many there should be.
    pub expected: u64,
    /// How many of those lack.
    pub missing: u64,
    /// Runs of those that lack: when the first and the last of each opens.
    pub gaps: Vec<(i64, i64)>,
}

/// Compares ascending times with the bars of an interval. Only finished bars are expected: those that ended by `now_us`.
pub fn compare(times: &[i64], interval: Interval, start_us: i64, end_us: i64, now_us: i64) -> Bars {
    let mut open = interval.open_of(start_us);
    if open < start_us {
        open = interval.next(open);
    }
    let mut bars = Bars {
        ends: None,
        expected: 0,
        missing: 0,
        gaps: Vec::new(),
    };
    let mut at = times.partition_point(|&time| time < open);
    let mut lacked_before = false;
    while open <= end_us && interval.next(open) <= now_us {
        bars.ends = Some((bars.ends.map_or(open, |(first, _)| first), open));
        bars.expected += 1;
        while times.get(at).is_some_and(|&time| time < open) {
            at += 1;
        }
        let lacks = times.get(at) != Some(&open);
        bars.missing += u64::from(lacks);
        match bars.gaps.last_mut() {
            Some(gap) if lacks && lacked_before => gap.1 = open,
            _ if lacks => bars.gaps.push((open, open)),
            _ => {}
        }
        lacked_before = lacks;
        open = interval.next(open);
    }
    bars
}

/// The rows from one time to another, both inclusive, of a batch in order of time.
pub fn cut(batch: &RecordBatch, start_us: Option<i64>, end_us: Option<i64>) -> RecordBatch {
    let times = times_of(batch).unwrap_or_default();
    let from = start_us.map_or(0, |start| times.partition_point(|&time| time < start));
    let to = end_us.map_or(times.len(), |end| {
        times.partition_point(|&time| time <= end)
    });
    batch.slice(from, to.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_lack_are_told_in_runs_and_unfinished_ones_are_not_expected() {
        let minute = |count: i64| count * MINUTE_US;
        let times = [1, 2, 5, 9].map(minute);
        let found = compare(
            &times,
            Interval::MINUTE,
            minute(1) - 5,
            minute(20),
            minute(12),
        );
        assert_eq!(found.ends, Some((minute(1), minute(11))));
        assert_eq!((found.expected, found.missing), (11, 7));
        let gaps = [(3, 4), (6, 8), (10, 11)].map(|(first, last)| (minute(first), minute(last)));
        assert_eq!(found.gaps, gaps);
        let none = compare(&times, Interval::MINUTE, minute(30), minute(20), minute(99));
        assert_eq!((none.ends, none.expected, none.gaps.len()), (None, 0, 0));
    }
}
