//! A whole CSV of a [`Dataset`], chunk by chunk, into rows sorted by time.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use roaring::RoaringTreemap;

use crate::cells;
use crate::dataset::{Column, Dataset, Kind, Layout, Repeats};
use crate::error::CellError;
use crate::ids::{IdSet, TooScattered};
use crate::lines::{Lines, ReadRow};
use crate::quality::Quality;
use crate::{Market, Period, RowError, Symbol};

/// Rows that are held until the lower half of them is given out: how far from its place a row may stand.
const HELD: usize = 1 << 15;

/// Rows of a sorted run.
const RUN: usize = 1 << 17;

/// Repeated ids whose first rows are remembered: about 64 MB.
const MOST_REPEATS: u64 = 1 << 21;

/// Words of a file, and the bytes of one.
const MOST_WORDS: usize = 1 << 10;
const LONGEST_WORD: usize = 64;

/// The bits of a number that is not there: a NaN, which no cell gives.
pub const NULL: u64 = 0x7ff8_0000_0000_dead;

/// The rows of a table, one after the other, each as wide as the table has columns behind the symbol.
///
/// A time and a count is an `i64`, a number the bits of an `f64` or [`NULL`], a flag 0 or 1, a word its place in
/// [`RowsMill::words`].
pub type Cells = Vec<u64>;

/// Sorts the rows of one symbol and period; of rows that are one the dataset says which counts.
///
/// Rows are given out while the file's order allows it. A file in which a row stands too far behind its place is read
/// again, by a mill that gives out sorted runs for its caller to keep and to merge through [`Unique`]. So is one in which
/// ids are repeated, as in [`AggTradesMill`](crate::AggTradesMill).
#[derive(Debug)]
pub struct RowsMill {
    lines: Lines,
    rows: Rows,
}

/// How rows are compared.
#[derive(Debug, Clone)]
pub struct RowOrder {
    kinds: Vec<Kind>,
    repeats: Repeats,
}

/// The words of a file by their places.
#[derive(Debug, Clone, Default)]
pub struct Words {
    list: Vec<String>,
    places: HashMap<String, u64>,
}

#[derive(Debug)]
struct Rows {
    layout: &'static Layout,
    order: RowOrder,
    symbol: Symbol,
    /// Times of the period.
    times: Range<i64>,
    /// Where the cell of each column of the file goes in a row.
    places: Vec<Option<usize>>,
    held: Cells,
    ascending: bool,
    /// The last row that was given out.
    given_out: Option<Cells>,
    torn: bool,
    /// Whether sorted runs are given out.
    sorts: bool,
    unique: Unique,
    words: Words,
    ids: Option<IdSet>,
    highest: Option<(i64, u64)>,
    found: RoaringTreemap,
    repeated: Option<Repeated>,
    quality: Quality,
}

#[derive(Debug)]
struct Repeated {
    ids: RoaringTreemap,
    /// A fingerprint of each id's first row.
    first: HashMap<u64, u64>,
}

/// Why a file has to be read again, and how.
#[derive(Debug, Clone, Default)]
pub struct AgainRows {
    repeated: RoaringTreemap,
    sorts: bool,
}

/// What came of a file.
#[derive(Debug)]
pub enum MilledRows {
    /// The rows not given out before. Where runs were given out, these are the last run, and [`RowsResult::unique`] is to
    /// take the merged rows of all.
    Whole(Box<RowsResult>),
    /// Forget what was given out, and read the file again by [`RowsMill::second`].
    Again(AgainRows),
}

/// The end of a file.
#[derive(Debug)]
pub struct RowsResult {
    /// Sorted rows.
    pub rows: Cells,
    /// What was seen; without the repeated rows of runs, which are known when they are merged.
    pub quality: Quality,
    /// The words that rows name by place.
    pub words: Words,
    /// What settles repeated rows.
    pub unique: Unique,
    /// Whether runs have to be merged.
    pub sorts: bool,
}

/// Lets one of several repeated rows through, of rows that come sorted.
#[derive(Debug, Clone)]
pub struct Unique {
    order: RowOrder,
    last: Option<Cells>,
    /// Rows that repeat one to the letter.
    pub duplicates: u64,
    /// Rows that repeat one with other values.
    pub contradictions: u64,
}

impl Words {
    /// The words in order of their places.
    pub fn list(&self) -> &[String] {
        &self.list
    }

    fn place(&mut self, column: &'static str, cell: &[u8]) -> Result<u64, CellError> {
        let bad = || CellError::new(column, cell, "a word of a small vocabulary");
        let word = std::str::from_utf8(cells::trim(cell)).map_err(|_| bad())?;
        if let Some(&place) = self.places.get(word) {
            return Ok(place);
        }
        if word.is_empty() || word.len() > LONGEST_WORD || self.list.len() == MOST_WORDS {
            return Err(bad());
        }
        let place = self.list.len() as u64;
        self.list.push(word.to_owned());
        self.places.insert(word.to_owned(), place);
        Ok(place)
    }
}

impl RowOrder {
    /// How wide a row is.
    pub fn width(&self) -> usize {
        self.kinds.len()
    }

    /// Sorted rows are by time, then by id, or by everything where rows are one that agree in everything.
    pub fn compare(&self, words: &Words, left: &[u64], right: &[u64]) -> Ordering {
        let columns = match self.repeats {
            Repeats::Time => 1,
            Repeats::Id | Repeats::TimeAndId => 2,
            Repeats::Row => self.kinds.len(),
        };
        for ((&kind, &left), &right) in self.kinds.iter().zip(left).zip(right).take(columns) {
            let order = match kind {
                Kind::Number | Kind::MaybeNumber => {
                    f64::from_bits(left).total_cmp(&f64::from_bits(right))
                }
                Kind::Word => words.list[left as usize].cmp(&words.list[right as usize]),
                _ => (left as i64).cmp(&(right as i64)),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    fn sort(&self, words: &Words, rows: &mut Cells) {
        let width = self.width();
        let mut places: Vec<u32> = (0..(rows.len() / width) as u32).collect();
        let row = |at: u32| &rows[at as usize * width..][..width];
        places.sort_by(|&left, &right| self.compare(words, row(left), row(right)));
        *rows = places.iter().flat_map(|&at| row(at)).copied().collect();
    }
}

impl Unique {
    fn new(order: RowOrder) -> Self {
        Self {
            order,
            last: None,
            duplicates: 0,
            contradictions: 0,
        }
    }

    /// How the rows have to be sorted.
    pub fn order(&self) -> &RowOrder {
        &self.order
    }

    /// Takes the next row; `settled` gains the rows of which no other can follow.
    pub fn push(&mut self, words: &Words, row: &[u64], settled: &mut Cells) {
        let Some(last) = &mut self.last else {
            self.last = Some(row.to_vec());
            return;
        };
        if self.order.compare(words, last, row) == Ordering::Equal {
            if last == row {
                self.duplicates += 1;
            } else {
                self.contradictions += 1;
                if self.order.repeats == Repeats::Time {
                    last.copy_from_slice(row);
                }
            }
            return;
        }
        settled.extend_from_slice(last);
        last.copy_from_slice(row);
    }

    /// Ends the rows.
    pub fn finish(&mut self, settled: &mut Cells) {
        settled.extend(self.last.take().into_iter().flatten());
    }
}

impl RowsMill {
    /// A mill for the first reading of a file; `None` where the market has no such dataset.
    pub fn new(dataset: &Dataset, market: Market, symbol: &Symbol, period: Period) -> Option<Self> {
        let layout = dataset.layout(market)?;
        let mut places = vec![None; layout.columns.len()];
        let mut kinds = Vec::new();
        for column in layout.table_order() {
            places[column] = Some(kinds.len());
            kinds.push(layout.columns[column].kind);
        }
        let order = RowOrder {
            kinds,
            repeats: dataset.repeats,
        };
        Some(Self {
            lines: Lines::default(),
            rows: Rows {
                layout,
                symbol: symbol.clone(),
                times: period.start_us()..period.end_us(),
                places,
                held: Cells::new(),
                ascending: true,
                given_out: None,
                torn: false,
                sorts: false,
                unique: Unique::new(order.clone()),
                words: Words::default(),
                ids: (dataset.repeats == Repeats::Id).then(IdSet::default),
                highest: None,
                found: RoaringTreemap::new(),
                repeated: None,
                quality: Quality::default(),
                order,
            },
        })
    }

    /// A mill for another reading of a file, which came to this.
    pub fn second(
        dataset: &Dataset,
        market: Market,
        symbol: &Symbol,
        period: Period,
        again: AgainRows,
    ) -> Option<Self> {
        let mut mill = Self::new(dataset, market, symbol, period)?;
        mill.rows.sorts = again.sorts;
        mill.rows.repeated = Some(Repeated {
            ids: again.repeated,
            first: HashMap::new(),
        });
        Some(mill)
    }

    /// Takes the next bytes of the CSV.
    ///
    /// # Errors
    ///
    /// Names the line and column of a row that does not parse.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), RowError> {
        let Self { lines, rows } = self;
        lines.feed(chunk, rows)
    }

    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.rows.quality.rows
    }

    /// Whether what [`RowsMill::give_out`] gives are sorted runs, to be merged.
    pub fn gives_runs(&self) -> bool {
        self.rows.sorts
    }

    /// The words so far, and those that come add to them.
    pub fn words(&self) -> &Words {
        &self.rows.words
    }

    /// Sorted rows that no later row can precede, or a sorted run, if there are many.
    pub fn give_out(&mut self) -> Cells {
        let rows = &mut self.rows;
        let width = rows.order.width();
        let enough = if rows.sorts { RUN } else { HELD };
        if rows.torn || rows.held.len() < enough * width {
            return Cells::new();
        }
        if !rows.ascending {
            rows.order.sort(&rows.words, &mut rows.held);
            rows.ascending = true;
        }
        if rows.sorts {
            return std::mem::take(&mut rows.held);
        }
        let later = rows.held.split_off(rows.held.len() / width / 2 * width);
        let sorted = std::mem::replace(&mut rows.held, later);
        rows.given_out = Some(sorted[sorted.len() - width..].to_vec());
        rows.settle(&sorted)
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// As [`RowsMill::feed`], for a last line without an end.
    pub fn finish(mut self) -> Result<MilledRows, RowError> {
        let Self { lines, rows } = &mut self;
        lines.finish(rows)?;
        if rows.torn || (rows.repeated.is_none() && !rows.found.is_empty()) {
            return Ok(MilledRows::Again(AgainRows {
                repeated: match &mut rows.repeated {
                    Some(repeated) => std::mem::take(&mut repeated.ids),
                    None => std::mem::take(&mut rows.found),
                },
                sorts: rows.torn || rows.sorts,
            }));
        }
        if !rows.ascending {
            rows.order.sort(&rows.words, &mut rows.held);
        }
        let mut last = std::mem::take(&mut rows.held);
        if !rows.sorts {
            last = rows.settle(&last);
            rows.unique.finish(&mut last);
        }
        let Rows {
            unique,
            words,
            ids,
            sorts,
            mut quality,
            ..
        } = self.rows;
        if let Some(ids) = ids {
            let summary = ids
                .summary()
                .map_err(|TooScattered| scattered(0).at(quality.rows))?;
            quality.id_gaps = Some(summary.as_ref().map_or(0, |ids| ids.gaps));
            quality.missing_ids = Some(summary.as_ref().map_or(0, |ids| ids.missing));
            quality.first_id = summary.as_ref().map(|ids| ids.first);
            quality.last_id = summary.as_ref().map(|ids| ids.last);
        }
        if !sorts {
            quality.duplicates += unique.duplicates;
            quality.contradictions += unique.contradictions;
        }
        Ok(MilledRows::Whole(Box::new(RowsResult {
            rows: last,
            quality,
            words,
            unique,
            sorts,
        })))
    }
}

impl ReadRow for Rows {
    fn plain(&mut self, _chunk: &[u8], at: usize, _number: &mut u64) -> Result<usize, CellError> {
        Ok(at)
    }

    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), CellError> {
        let columns = self.layout.columns;
        if number == 1 && cells::is_header(line) {
            return cells::check_header(line, columns.iter().map(|column| column.headers));
        }
        let begins = self.held.len();
        self.held.resize(begins + self.order.width(), 0);
        let read = self.read(line, begins);
        let kept = match read {
            Ok(()) => self.judge(begins)?,
            Err(error) => {
                self.held.truncate(begins);
                return Err(error);
            }
        };
        if !kept {
            self.held.truncate(begins);
        }
        Ok(())
    }
}

impl Rows {
    /// Reads a line into the row that begins there.
    fn read(&mut self, line: &[u8], begins: usize) -> Result<(), CellError> {
        let columns = self.layout.columns;
        let mut cells = line.split(|&byte| byte == b',');
        for (at, column) in columns.iter().enumerate() {
            let cell = cells.next().ok_or_else(|| other_width(line, columns))?;
            let value = self.cell(column, cell)?;
            if let (Some(value), Some(place)) = (value, self.places[at]) {
                self.held[begins + place] = value;
            }
        }
        match cells.next() {
            None => Ok(()),
            Some(_) => Err(other_width(line, columns)),
        }
    }

    fn cell(&mut self, column: &Column, cell: &[u8]) -> Result<Option<u64>, CellError> {
        let name = column.name;
        Ok(Some(match column.kind {
            Kind::Time => cells::time_us(name, cell)? as u64,
            Kind::Id | Kind::Count => cells::whole(name, cell)?,
            Kind::MaybeNumber if cells::trim(cell).is_empty() => NULL,
            Kind::Number | Kind::MaybeNumber => cells::number(name, cell)?.to_bits(),
            Kind::Flag => u64::from(cells::boolean(name, cell)?),
            Kind::Word => self.words.place(name, cell)?,
            Kind::Symbol => {
                if cells::trim(cell) != self.symbol.as_str().as_bytes() {
                    return Err(CellError::new(name, cell, "the symbol of its archive"));
                }
                return Ok(None);
            }
        }))
    }

    /// Counts the row that begins there and is the last one held; whether it stays.
    fn judge(&mut self, begins: usize) -> Result<bool, CellError> {
        self.quality.rows += 1;
        let row = &self.held[begins..];
        let width = row.len();
        let time = row[0] as i64;
        let key = (time, if self.has_id() { row[1] } else { 0 });
        if let Some(ids) = &mut self.ids {
            let id = row[1];
            let seen = ids.insert(id).map_err(|TooScattered| scattered(id))?;
            self.quality.unordered += u64::from(seen.below);
            match &mut self.repeated {
                Some(repeated) if repeated.ids.contains(id) => {
                    let print = fingerprint(row, &self.words, &self.order);
                    let first = *repeated.first.entry(id).or_insert(print);
                    if !seen.new {
                        if first == print {
                            self.quality.duplicates += 1;
                        } else {
                            self.quality.contradictions += 1;
                        }
                        return Ok(false);
                    }
                }
                None if !seen.new => {
                    self.found.insert(id);
                    if self.found.len() > MOST_REPEATS {
                        let expected = "one of at most 2,097,152 repeated ids";
                        return Err(CellError::new("id", id.to_string().as_bytes(), expected));
                    }
                    return Ok(false);
                }
                _ => {}
            }
        } else {
            self.quality.unordered += u64::from(self.highest.is_some_and(|highest| key < highest));
        }
        self.highest = self.highest.max(Some(key));
        if !self.times.contains(&time) {
            self.quality.out_of_period += 1;
            return Ok(false);
        }
        let quality = &mut self.quality;
        quality.first_ts = Some(quality.first_ts.map_or(time, |first| first.min(time)));
        quality.last_ts = Some(quality.last_ts.map_or(time, |last| last.max(time)));
        if self.torn {
            return Ok(false);
        }
        let row = &self.held[begins..];
        let precedes = |other: &[u64]| self.order.compare(&self.words, row, other).is_lt();
        if self.given_out.as_deref().is_some_and(precedes) {
            self.torn = true;
            self.held.clear();
            return Ok(false);
        }
        if begins > 0 && precedes(&self.held[begins - width..begins]) {
            self.ascending = false;
        }
        Ok(true)
    }

    fn has_id(&self) -> bool {
        self.layout.id().is_some()
    }

    /// What is left of sorted rows when repeated ones are one.
    fn settle(&mut self, sorted: &[u64]) -> Cells {
        let mut settled = Cells::with_capacity(sorted.len());
        for row in sorted.chunks_exact(self.order.width()) {
            self.unique.push(&self.words, row, &mut settled);
        }
        settled
    }
}

/// Words by their letters: their places depend on the order of rows.
fn fingerprint(row: &[u64], words: &Words, order: &RowOrder) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (&cell, &kind) in row.iter().zip(&order.kinds) {
        match kind {
            Kind::Word => words.list[cell as usize].hash(&mut hasher),
            _ => cell.hash(&mut hasher),
        }
    }
    hasher.finish()
}

fn other_width(line: &[u8], columns: &[Column]) -> CellError {
    CellError::new(
        "row",
        line,
        match columns.len() {
            3 => "a row of 3 columns",
            4 => "a row of 4 columns",
            6 => "a row of 6 columns",
            7 => "a row of 7 columns",
            8 => "a row of 8 columns",
            10 => "a row of 10 columns",
            _ => "a row of as many columns as the market's archives have",
        },
    )
}

fn scattered(id: u64) -> CellError {
    CellError::new(
        "id",
        id.to_string().as_bytes(),
        "near the other ids: they are too scattered to count",
    )
}
