//! A whole aggTrades CSV, chunk by chunk, into minutes and a record of its quality.

use std::collections::HashMap;

use roaring::RoaringTreemap;

use crate::agg_trade::{self, AggTrade, RowBefore};
use crate::cells;
use crate::error::CellError;
use crate::ids::{IdSet, TooScattered};
use crate::lines::{Lines, ReadRow};
use crate::minute::{Minute, MinuteTable, Thresholds};
use crate::quality::Quality;
use crate::{Market, Period, RowError, Symbol};
#[cfg(target_arch = "x86_64")]
use crate::{
    block::{Block, BlockStop, Edge, Scratch},
    shape::{self, Shape, ShapedRow},
};

/// Repeated ids whose first rows are remembered, to tell a repetition from a contradiction: about 64 MB.
const MOST_REPEATS: u64 = 1 << 21;

/// Folds the trades of one symbol and period into minutes, in any order of rows and any size of chunks.
///
/// A repeated id counts once, its first row. Whether a repetition says the same can only be known by whoever
/// remembers that first row, and remembering every row is not constant memory. So a file with repeated ids is read
/// twice: the first reading ends in [`Milled::Again`], the second remembers just the rows of those ids.
#[derive(Debug)]
pub struct AggTradesMill {
    lines: Lines,
    rows: Rows,
}

#[derive(Debug)]
struct Rows {
    market: Market,
    /// Whether the first row behind a header was seen.
    begun: bool,
    ids: IdSet,
    table: MinuteTable,
    quality: Quality,
    found: RoaringTreemap,
    repeats: Option<Repeats>,
    before: RowBefore,
    /// For numbers in the table's scales.
    #[cfg(target_arch = "x86_64")]
    shape: Option<Shape>,
    #[cfg(target_arch = "x86_64")]
    scratch: Option<Box<Scratch>>,
}

/// Fewer rows of a minute are added one by one.
#[cfg(target_arch = "x86_64")]
const FEWEST: usize = 4;

/// How far rows of one shape were read, and why no further.
#[cfg(target_arch = "x86_64")]
struct Run {
    at: usize,
    rows: u64,
    stop: Stop,
}

#[cfg(target_arch = "x86_64")]
enum Stop {
    /// Too little of the chunk is left, or lies before the row.
    ChunkEnds,
    Unshaped,
    Error(CellError),
}

/// The ids that a file shows more than once.
#[derive(Debug, Clone, Default)]
pub struct RepeatedIds(RoaringTreemap);

#[derive(Debug)]
struct Repeats {
    ids: RoaringTreemap,
    /// A fingerprint of each id's first row.
    first: HashMap<u64, u64>,
}

/// What came of a file.
#[derive(Debug)]
pub enum Milled {
    /// Everything.
    Whole(Box<AggTradesResult>),
    /// Ids are repeated: read the file once more with a mill made by [`AggTradesMill::second`].
    Again(RepeatedIds),
}

/// The minutes of a file and what was seen beside them.
#[derive(Debug)]
pub struct AggTradesResult {
    table: MinuteTable,
    /// What was seen.
    pub quality: Quality,
}

impl AggTradesResult {
    /// One minute per minute that saw a trade, ascending.
    pub fn minutes(&self) -> impl Iterator<Item = Minute> + '_ {
        self.table.minutes()
    }
}

impl AggTradesMill {
    /// A mill for the first reading of a file.
    pub fn new(market: Market, symbol: &Symbol, period: Period, thresholds: Thresholds) -> Self {
        Self {
            lines: Lines::default(),
            rows: Rows {
                market,
                begun: false,
                ids: IdSet::default(),
                table: MinuteTable::new(market, symbol, period, thresholds),
                quality: Quality::default(),
                found: RoaringTreemap::new(),
                repeats: None,
                before: RowBefore::default(),
                #[cfg(target_arch = "x86_64")]
                shape: None,
                #[cfg(target_arch = "x86_64")]
                scratch: None,
            },
        }
    }

    /// A mill for the second reading of a file whose first one found these ids repeated.
    pub fn second(
        market: Market,
        symbol: &Symbol,
        period: Period,
        thresholds: Thresholds,
        repeated: RepeatedIds,
    ) -> Self {
        let mut mill = Self::new(market, symbol, period, thresholds);
        mill.rows.repeats = Some(Repeats {
            ids: repeated.0,
            first: HashMap::new(),
        });
        mill
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

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// As [`AggTradesMill::feed`], for a last line without an end.
    pub fn finish(mut self) -> Result<Milled, RowError> {
        let Self { lines, rows } = &mut self;
        lines.finish(rows)?;
        let Rows {
            ids,
            table,
            mut quality,
            found,
            repeats,
            ..
        } = self.rows;
        if repeats.is_none() && !found.is_empty() {
            return Ok(Milled::Again(RepeatedIds(found)));
        }
        let summary = ids.summary().map_err(|_| scattered(0).at(quality.rows))?;
        quality.id_gaps = Some(summary.map_or(0, |ids| ids.gaps));
        quality.missing_ids = Some(summary.map_or(0, |ids| ids.missing));
        quality.first_id = summary.map(|ids| ids.first);
        quality.last_id = summary.map(|ids| ids.last);
        (quality.first_ts, quality.last_ts) = table.first_and_last_time().unzip();
        quality.missing_minutes = Some((table.minutes_in_period() - table.len()) as u64);
        Ok(Milled::Whole(Box::new(AggTradesResult { table, quality })))
    }
}

impl ReadRow for Rows {
    fn plain(&mut self, chunk: &[u8], at: usize, number: &mut u64) -> Result<usize, CellError> {
        if !self.begun {
            return Ok(at);
        }
        #[cfg(target_arch = "x86_64")]
        if self.repeats.is_none() && shape::is_supported() {
            // SAFETY: the processor has what the function is compiled for, as was just asked.
            #[expect(
                unsafe_code,
                reason = "a row of 10 M costs 9.2 ns, 32 ns with the portable reader (Zen 4)"
            )]
            return unsafe { self.plain_shaped(chunk, at, number) };
        }
        self.plain_portable(chunk, at, number)
    }

    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), CellError> {
        if number == 1 && cells::is_header(line) {
            return cells::check_header(line, agg_trade::COLUMNS.iter().copied());
        }
        if !self.begun {
            self.begun = true;
            self.check_market(line)?;
        }
        self.trade(&AggTrade::parse(line)?)
    }
}

impl Rows {
    fn plain_portable(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        number: &mut u64,
    ) -> Result<usize, CellError> {
        while let Some(room) = chunk[at..].first_chunk()
            && let Some((trade, read)) = AggTrade::parse_plain(room, &mut self.before)
        {
            self.trade(&trade)?;
            *number += 1;
            at += read + 1;
        }
        Ok(at)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn plain_shaped(
        &mut self,
        chunk: &[u8],
        at: usize,
        number: &mut u64,
    ) -> Result<usize, CellError> {
        let mut scratch = self.scratch.take().unwrap_or_default();
        let end = self.plain_in(&mut scratch, chunk, at, number);
        self.scratch = Some(scratch);
        end
    }

    /// Rows of the common form, those of a shape in the scratch.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn plain_in(
        &mut self,
        scratch: &mut Scratch,
        chunk: &[u8],
        mut at: usize,
        number: &mut u64,
    ) -> Result<usize, CellError> {
        let Scratch { block, edge } = scratch;
        loop {
            let shape = self.shape;
            // The table may have moved to finer scales.
            let shape = shape.filter(|shape| Some(shape.scales) == self.table.scales());
            let unshaped = match &shape {
                None => true,
                Some(shape) => {
                    let mut run = self.run(shape, block, chunk, at);
                    *number += run.rows;
                    at = run.at;
                    if let (Stop::ChunkEnds, Some(rest)) = (&run.stop, edge.of(chunk, at)) {
                        run = self.run(shape, block, rest, Edge::BEGINS);
                        *number += run.rows;
                        at += run.at - Edge::BEGINS;
                    }
                    match run.stop {
                        Stop::ChunkEnds => false,
                        Stop::Unshaped => true,
                        Stop::Error(error) => return Err(error),
                    }
                }
            };
            let Some(room) = chunk[at..].first_chunk() else {
                return Ok(at);
            };
            let Some((trade, read)) = AggTrade::parse_plain(room, &mut self.before) else {
                return Ok(at);
            };
            self.trade(&trade)?;
            if unshaped {
                let scales = self.table.scales();
                self.shape = scales.and_then(|(price, quantity)| {
                    Shape::of(&chunk[at..at + read], price, quantity)
                });
                block.forget();
            }
            *number += 1;
            at += read + 1;
        }
    }

    /// Adds rows of the shape, as many as follow each other: what [`Rows::trade`] does, for a first reading.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run(&mut self, shape: &Shape, block: &mut Block, chunk: &[u8], at: usize) -> Run {
        let mut run = Run {
            at,
            rows: 0,
            stop: Stop::ChunkEnds,
        };
        let mut minutes = self.table.current();
        'blocks: loop {
            let read = block.read(shape, chunk, run.at);
            // Rows before `singly` were refused as a stretch.
            let (mut at, mut singly) = (0, 0);
            while at < read.rows {
                if at >= singly
                    && let (Some(minutes), Some(first_id)) = (&mut minutes, self.ids.expected())
                {
                    let within = minutes.rows_within(block, shape, at..read.rows);
                    if within >= FEWEST {
                        singly = at + within;
                        if minutes
                            .add_stretch(block, shape, at..singly, first_id)
                            .is_some()
                        {
                            self.ids.go_on_by(within as u64);
                            run.rows += within as u64;
                            run.at = block.end(singly - 1) + 1;
                            at = singly;
                            continue;
                        }
                    }
                }
                let Some(row) = block.row(shape, at) else {
                    run.stop = Stop::Unshaped;
                    break 'blocks;
                };
                let new = self.ids.goes_on(row.id) || {
                    let Ok(seen) = self.ids.insert(row.id) else {
                        run.stop = Stop::Error(scattered(row.id));
                        break 'blocks;
                    };
                    self.quality.unordered += u64::from(seen.below);
                    seen.new
                };
                let added = match &mut minutes {
                    Some(minutes) if new && row.quantity != 0 => minutes.add(&row).is_some(),
                    _ => false,
                };
                if !added {
                    if let Err(error) = self.special(&row, new) {
                        run.stop = Stop::Error(error);
                        break 'blocks;
                    }
                    minutes = self.table.current();
                }
                run.rows += 1;
                run.at = block.end(at) + 1;
                at += 1;
            }
            match read.stop {
                BlockStop::Full => {}
                BlockStop::ChunkEnds => break,
                BlockStop::Unshaped => {
                    run.stop = Stop::Unshaped;
                    break;
                }
            }
        }
        self.quality.rows += run.rows;
        run
    }

    /// A row of a shape that is not simply added; its id is among the ids by now.
    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn special(&mut self, row: &ShapedRow, new: bool) -> Result<(), CellError> {
        let trade = self
            .table
            .shaped(row)
            .expect("a shape is for a table that has scales");
        if new {
            self.new_trade(&trade)
        } else {
            self.repeated(&trade)
        }
    }

    /// Only spot says whether a trade was the best match. Read as another market's, its quantities would be taken for
    /// contracts, or its symbol for a future.
    fn check_market(&self, line: &[u8]) -> Result<(), CellError> {
        let columns = line.iter().filter(|&&byte| byte == b',').count() + 1;
        if columns == 8 && self.market != Market::Spot {
            return Err(CellError::new(
                "row",
                line,
                "a futures row of 7 columns; 8 are spot's (see --market)",
            ));
        }
        Ok(())
    }

    #[inline(always)]
    fn trade(&mut self, trade: &AggTrade) -> Result<(), CellError> {
        self.quality.rows += 1;
        let seen = self
            .ids
            .insert(trade.id)
            .map_err(|TooScattered| scattered(trade.id))?;
        self.quality.unordered += u64::from(seen.below);
        if !seen.new {
            return self.repeated(trade);
        }
        self.new_trade(trade)
    }

    #[inline(always)]
    fn new_trade(&mut self, trade: &AggTrade) -> Result<(), CellError> {
        if let Some(repeats) = &mut self.repeats
            && repeats.ids.contains(trade.id)
        {
            repeats.first.insert(trade.id, trade.fingerprint());
        }
        if trade.quantity.mantissa == 0 {
            self.quality.zero_quantity += 1;
            return Ok(());
        }
        if !self.table.covers(trade.time_us) {
            self.quality.out_of_period += 1;
            return Ok(());
        }
        self.table.add(trade)
    }

    #[cold]
    fn repeated(&mut self, trade: &AggTrade) -> Result<(), CellError> {
        let Some(repeats) = &self.repeats else {
            self.found.insert(trade.id);
            if self.found.len() > MOST_REPEATS {
                return Err(CellError::new(
                    "agg_trade_id",
                    trade.id.to_string().as_bytes(),
                    "one of at most 2,097,152 repeated ids",
                ));
            }
            return Ok(());
        };
        match repeats.first.get(&trade.id) {
            Some(&first) if first != trade.fingerprint() => self.quality.contradictions += 1,
            _ => self.quality.duplicates += 1,
        }
        Ok(())
    }
}

fn scattered(id: u64) -> CellError {
    CellError::new(
        "agg_trade_id",
        id.to_string().as_bytes(),
        "near the other ids: they are too scattered to count",
    )
}
