//! Many symbols as one table in order of time: what backtests take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use tapemill_lake::tables::klines;
use tapemill_lake::{LakeError, Output};
use tapemill_market::{Data, DateRange, Interval, Kline, Market, Period, Symbol};

use crate::align::{latest, same};
use crate::bars::BarsOf;
use crate::places::{Filling, Order};
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

/// The rows of some symbols of one kind, by time, then symbol: `timestamp`, `symbol` and the other columns.
///
/// `columns` limits those to the ones that are named; `own_time` keeps the table's name of the time. `None` where there are no
/// rows.
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
    let time = if own_time { None } else { Some(TIME) };
    together(rows, range, threads, time, |_, rows| {
        Part::read(rows, range, columns)
    })
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
    together(base, range, threads, Some(TIME), |symbol, rows| {
        let Some(mut part) = Part::read(rows, range, None)? else {
            return Ok(None);
        };
        for table in joined {
            part.join(symbol, table, range)?;
        }
        Ok(Some(part))
    })
}

/// The rows of one symbol.
struct Part {
    /// What the table calls its time.
    time: String,
    times: Vec<i64>,
    columns: Vec<Column>,
}

/// A column of a part; `None` where there is nothing for any row.
struct Column {
    name: String,
    nullable: bool,
    values: Option<ArrayRef>,
}

impl Part {
    fn read(
        rows: &Rows,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<Self>, LakeError> {
        let Some(batch) = rows.load(range, columns)? else {
            return Ok(None);
        };
        let times = times_of(&batch).unwrap_or_default().to_vec();
        let schema = batch.schema();
        // The time and the symbol are those of every load.
        let is_time = |field: &Field| matches!(field.data_type(), DataType::Timestamp(..));
        let time = schema.fields().iter().find(|field| is_time(field));
        let time = time.map_or_else(String::new, |field| field.name().clone());
        let all = schema.fields().iter().zip(batch.columns());
        let others = all.filter(|(field, _)| *field.name() != time && field.name() != "symbol");
        let columns = others.map(|(field, values)| Column {
            name: field.name().clone(),
            nullable: field.is_nullable(),
            values: Some(values.clone()),
        });
        Ok(Some(Self {
            columns: columns.collect(),
            time,
            times,
        }))
    }

    fn join(
        &mut self,
        symbol: &Symbol,
        table: &Joined,
        range: &DateRange,
    ) -> Result<(), LakeError> {
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let found = match (table.rows.get(symbol), table.by) {
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
                    let by_minute = times.iter().map(|time| time - time.rem_euclid(MINUTE_US));
                    latest(&self.times, &by_minute.collect::<Vec<_>>(), i64::MAX)
                }
            }
        });
        for (name, own) in &table.columns {
            let values = found.as_ref().and_then(|batch| batch.column_by_name(name));
            self.columns.push(Column {
                name: own.clone(),
                nullable: true,
                values: values
                    .zip(rows.as_ref())
                    .map(|(values, rows)| taken(values, rows)),
            });
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

/// The parts of all symbols as one table. Their times are read first, so that each part's values go to their places as soon as they
/// are read: in memory are the result, and a few parts.
fn together(
    rows: &BTreeMap<Symbol, Rows>,
    range: &DateRange,
    threads: usize,
    time: Option<&str>,
    read: impl Fn(&Symbol, &Rows) -> Result<Option<Part>, LakeError> + Sync,
) -> Result<Option<RecordBatch>, LakeError> {
    let all: Vec<_> = rows.iter().collect();
    if let [(symbol, rows)] = all[..] {
        let part = read(symbol, rows)?;
        return Ok(part.map(|part| alone(symbol, part, time)));
    }
    let times = each(&all, threads, |(_, rows)| {
        let batch = rows.load(range, Some(&[]))?;
        Ok(batch.map(|batch| times_of(&batch).unwrap_or_default().to_vec()))
    })?;
    let (work, times): (Vec<_>, Vec<_>) = all
        .into_iter()
        .zip(times)
        .filter_map(|(item, times)| Some((item, times.filter(|times| !times.is_empty())?)))
        .unzip();
    if work.is_empty() {
        return Ok(None);
    }
    let order = Order::of(&times);
    drop(times);
    let mut made = Made::new(order.rows());
    let next = Mutex::new(work.iter().enumerate());
    std::thread::scope(|scope| {
        // One part may wait for its places while others are read.
        let (send, parts) = sync_channel(1);
        for _ in 0..threads.clamp(1, work.len()) {
            let (send, next, order, read) = (send.clone(), &next, &order, &read);
            scope.spawn(move || {
                loop {
                    let taken = next.lock().expect("no thread panicked with it").next();
                    let Some((at, (symbol, rows))) = taken else {
                        break;
                    };
                    let part = read(symbol, rows).and_then(|part| {
                        let part = part.filter(|part| order.fits(at, &part.times));
                        part.ok_or_else(|| {
                            uneven(symbol, "it changed while it was read: load again")
                        })
                    });
                    if send.send((at, part)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (at, part) in parts {
            let symbol = work[at].0;
            let put = made.put(part?, &order.places[at]);
            put.ok_or_else(|| uneven(symbol, "its columns are not those of the other symbols"))?;
        }
        Ok::<_, LakeError>(())
    })?;
    let symbols = work.iter().map(|(symbol, _)| symbol.as_str());
    Ok(Some(made.batch(order, symbols, time)))
}

fn uneven(symbol: &Symbol, problem: &str) -> LakeError {
    LakeError::Table {
        table: symbol.to_string(),
        problem: problem.to_owned(),
    }
}

/// A load that is being made.
struct Made {
    rows: usize,
    time: String,
    columns: Vec<(String, bool, Option<Filling>)>,
}

impl Made {
    fn new(rows: usize) -> Self {
        Self {
            rows,
            time: String::new(),
            columns: Vec::new(),
        }
    }

    /// Puts a part's values to their places; `None` for one of other columns.
    fn put(&mut self, part: Part, places: &[u32]) -> Option<()> {
        if self.columns.is_empty() {
            self.time = part.time;
            let columns = part.columns.iter();
            let columns = columns.map(|column| (column.name.clone(), column.nullable, None));
            self.columns = columns.collect();
        }
        if self.columns.len() != part.columns.len() {
            return None;
        }
        for ((name, _, filling), column) in self.columns.iter_mut().zip(part.columns) {
            let Some(values) = column.values else {
                continue;
            };
            if *name != column.name {
                return None;
            }
            if filling.is_none() {
                *filling = Some(Filling::new(values.data_type(), self.rows)?);
            }
            filling.as_mut()?.put(&values, places)?;
        }
        Some(())
    }

    fn batch<'a>(
        self,
        order: Order,
        symbols: impl Iterator<Item = &'a str>,
        time: Option<&str>,
    ) -> RecordBatch {
        let rows = self.rows;
        let symbols = DictionaryArray::<Int32Type>::try_new(
            Int32Array::new(order.symbols.into(), None),
            Arc::new(StringArray::from_iter_values(symbols)),
        );
        let time = time.unwrap_or(&self.time);
        let columns = self.columns.into_iter().map(|(name, nullable, filling)| {
            let values =
                filling.map_or_else(|| new_null_array(&DataType::Float64, rows), Filling::finish);
            (name, nullable, values)
        });
        let symbols = Arc::new(symbols.expect("every key is a symbol's"));
        whole(time, order.times, symbols, columns)
    }
}

/// The load of one symbol.
fn alone(symbol: &Symbol, part: Part, time: Option<&str>) -> RecordBatch {
    let rows = part.times.len();
    let symbols = DictionaryArray::<Int32Type>::try_new(
        Int32Array::from_value(0, rows),
        Arc::new(StringArray::from_iter_values([symbol.as_str()])),
    );
    let columns = part.columns.into_iter().map(|column| {
        let values = column.values;
        let values = values.unwrap_or_else(|| new_null_array(&DataType::Float64, rows));
        (column.name, column.nullable, values)
    });
    let symbols = Arc::new(symbols.expect("every key is the one symbol's"));
    whole(time.unwrap_or(&part.time), part.times, symbols, columns)
}

fn whole(
    time: &str,
    times: Vec<i64>,
    symbols: ArrayRef,
    others: impl Iterator<Item = (String, bool, ArrayRef)>,
) -> RecordBatch {
    let times = TimestampMicrosecondArray::new(times.into(), None).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![Arc::new(times), symbols];
    let mut fields = vec![
        Field::new(time, columns[0].data_type().clone(), false),
        Field::new("symbol", columns[1].data_type().clone(), false),
    ];
    for (name, nullable, values) in others {
        fields.push(Field::new(name, values.data_type().clone(), nullable));
        columns.push(values);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .expect("columns are made to the schema")
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
