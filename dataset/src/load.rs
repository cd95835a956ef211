//! Many symbols as one table in order of time: what backtests take.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use tapemill_lake::LakeError;
use tapemill_market::{DateRange, Symbol};

use crate::align::{latest, same};
use crate::stored::{Stored, times_of};

/// The first column of every load.
pub const TIME: &str = "timestamp";

const MINUTE_US: i64 = 60_000_000;

/// A table to be joined to each row.
pub struct Joined {
    /// Its columns that are taken, and their names in the load.
    pub columns: Vec<(String, String)>,
    /// Which of its rows belongs to a row.
    pub by: By,
    /// What there is of each symbol.
    pub stored: BTreeMap<Symbol, Stored>,
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
/// `columns` limits those to the ones that are named. `None` where there are no rows.
///
/// # Errors
///
/// [`LakeError`] for the first table that cannot be read.
pub fn long(
    tables: &[Stored],
    range: &DateRange,
    columns: Option<&[&str]>,
    threads: usize,
) -> Result<Option<RecordBatch>, LakeError> {
    let parts = each(tables, threads, |stored| Part::read(stored, range, columns))?;
    Ok(together(parts.into_iter().flatten().collect()))
}

/// As [`long`], each row with the columns of other tables beside it; where those have nothing for it, null.
///
/// # Errors
///
/// As [`long`].
pub fn aligned(
    base: &[Stored],
    joined: &[Joined],
    range: &DateRange,
    threads: usize,
) -> Result<Option<RecordBatch>, LakeError> {
    let parts = each(base, threads, |stored| {
        let Some(mut part) = Part::read(stored, range, None)? else {
            return Ok(None);
        };
        for table in joined {
            part.join(table, range)?;
        }
        Ok(Some(part))
    })?;
    Ok(together(parts.into_iter().flatten().collect()))
}

/// The rows of one symbol.
struct Part {
    symbol: Symbol,
    times: Vec<i64>,
    fields: Vec<Field>,
    /// Taken away one by one.
    columns: Vec<ArrayRef>,
}

impl Part {
    fn read(
        stored: &Stored,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<Self>, LakeError> {
        let Some(batch) = stored.load(range, columns)? else {
            return Ok(None);
        };
        let times = times_of(&batch).unwrap_or_default().to_vec();
        let schema = batch.schema();
        let all = schema.fields().iter().zip(batch.columns());
        // The time and the symbol are those of every load.
        let mut is_first_time = true;
        let others = all.filter(|(field, _)| {
            let is_time = matches!(field.data_type(), DataType::Timestamp(..));
            let is_own_time = is_time && std::mem::take(&mut is_first_time);
            !is_own_time && field.name() != "symbol"
        });
        let (fields, columns) = others
            .map(|(field, column)| (field.as_ref().clone(), column.clone()))
            .unzip();
        Ok(Some(Self {
            symbol: stored.symbol().clone(),
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
        let stored = table.stored.get(&self.symbol);
        let found = match (stored, table.by) {
            (None, _) => None,
            (Some(stored), By::Time) => stored.load(range, Some(&names))?,
            // What is known at the first row came before it.
            (Some(stored), By::Latest) => stored.load(&until(range), Some(&names))?,
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
fn together(mut parts: Vec<Part>) -> Option<RecordBatch> {
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
        Field::new(TIME, columns[0].data_type().clone(), false),
        Field::new("symbol", columns[1].data_type().clone(), false),
    ];
    all.extend(fields);
    Some(batch(Arc::new(Schema::new(all)), columns).expect("columns are made to the schema"))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(schema, columns)
}

/// Does this for each on some threads; what comes of them in the order of `items`.
fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, LakeError> + Sync,
) -> Result<Vec<R>, LakeError> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    let run = || {
        loop {
            let taken = next.lock().expect("no thread panicked with it").next();
            let Some((at, item)) = taken else { break };
            let result = work(item);
            done.lock()
                .expect("no thread panicked with it")
                .insert(at, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    done.into_inner()
        .expect("no thread panicked with it")
        .into_values()
        .collect()
}
