//! Reads one table whole, and sees whether it is what its place and its footer say.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::Schema;
use tapemill_exchange::Endpoint;
use tapemill_lake::tables::{FACTORS, MINUTES, RowsTable, TIME_COLUMN, klines};
use tapemill_lake::{
    CODEC, Lake, LakeError, Lineage, Proof, Source, TableFile, TableOptions, TablePath, prove,
};
use tapemill_market::dataset::AGG_TRADES;
use tapemill_market::{ArchiveName, Bars, Data, Kline, Market, Minute, Period};

use super::Options;
use super::bars::OddRows;
use super::gaps::Gaps;
use super::quality::{Counted, contradiction};

/// Bars without a trade for so long look as if the symbol had been taken off.
const FLAT_US: i64 = 43_200_000_000;

/// Why a file is no good: a code and words.
pub(super) type Defect = (&'static str, String);

/// A table that is sound by itself.
pub(super) struct Sound {
    pub lineage: Lineage,
    pub rows: Rows,
}

/// What was seen of the rows while they passed by.
pub(super) struct Rows {
    symbol: String,
    period: Period,
    market: Market,
    data: Data,
    table: String,
    wrong: Option<Defect>,
    pub odd: OddRows,
    /// Of bars and minutes.
    pub gaps: Option<Gaps>,
    /// The first and the last time.
    pub times: Option<(i64, i64)>,
    /// Bars of trades: when there was a trade last.
    traded_us: Option<i64>,
    /// Kept where another table follows from them, or is held against them.
    pub kept: Kept,
}

pub(super) enum Kept {
    Nothing,
    Minutes(Vec<Minute>),
    Klines(Vec<Kline>),
}

/// Reads a file whole, unless it is defective by itself.
pub(super) fn read(
    lake: &Lake,
    file: &TableFile,
    name: &ArchiveName,
    options: &Options,
) -> Result<Result<Sound, Defect>, LakeError> {
    let Some((schema, order)) = shape(&file.table, name) else {
        let reason = format!("{} has no {}", name.market, file.table.dataset());
        return Ok(Err(("foreign", reason)));
    };
    let mut rows = Rows::new(&file.table, name, options);
    let proved = prove(lake, &file.path, &schema, &order, |batch| rows.take(batch));
    let (lineage, proof) = match proved {
        Ok(proved) => proved,
        Err(error) if error.is_absent() => {
            return Ok(Err((
                "gone",
                "it went away while it was looked at".to_owned(),
            )));
        }
        // All else would fail alike, or heals by itself.
        Err(error) if error.is_outage() => return Err(error),
        Err(error) => return Ok(Err(("unreadable", error.to_string()))),
    };
    Ok(match rows.judge(name, &lineage, proof) {
        Some(defect) => Err(defect),
        None => Ok(Sound { lineage, rows }),
    })
}

/// What a proof tells of a file.
pub(super) fn told_by(proof: &Proof) -> Option<Defect> {
    Some(match proof {
        Proof::Columns(why) => (
            "columns",
            format!("its columns are not those of its table: {why}"),
        ),
        Proof::Order(why) => ("order", format!("its rows are not in order: {why}")),
        Proof::Rows => (
            "content",
            "its rows are not those that its footer names".to_owned(),
        ),
        Proof::Bytes => {
            let reason = "its rows are those that its footer names, and its bytes are not those that \
                          tapemill writes for them: it was changed or written anew by something else";
            ("bytes", reason.to_owned())
        }
        Proof::Whole => return None,
    })
}

/// The columns of a table and how it is cut and ordered; `None` where no task writes it.
fn shape(table: &TablePath, name: &ArchiveName) -> Option<(Arc<Schema>, TableOptions)> {
    let bars = |schema: Schema| Some((Arc::new(schema), TableOptions::bars(TIME_COLUMN)));
    let dataset = match (table.dataset(), name.data) {
        ("aggtrades_1m", _) => return bars(MINUTES.schema()),
        ("factors_1h", _) => return bars(FACTORS.schema()),
        (_, Data::Klines(..)) => return bars(klines(name.market).schema()),
        (_, Data::Rows(dataset)) => dataset,
        (_, Data::AggTrades | Data::RawAggTrades) => &AGG_TRADES,
    };
    let rows = RowsTable::new(dataset.layout(name.market)?);
    Some((Arc::new(rows.schema().clone()), rows.options()))
}

impl Rows {
    fn new(table: &TablePath, name: &ArchiveName, options: &Options) -> Self {
        let step_us = match (table.dataset(), name.data) {
            ("aggtrades_1m", _) => Some(60_000_000),
            ("klines_1h_from_1m", _) => None,
            (_, Data::Klines(_, interval)) => interval.length_us(),
            _ => None,
        };
        Self {
            symbol: name.symbol.to_string(),
            period: name.period,
            market: name.market,
            data: name.data,
            table: table.dataset().to_owned(),
            wrong: None,
            odd: OddRows::new(options.limits, options.now_us),
            gaps: step_us.map(|step_us| Gaps::new(step_us, &options.limits)),
            times: None,
            traded_us: None,
            kept: match table.dataset() {
                "aggtrades_1m" => Kept::Minutes(Vec::new()),
                "klines_1m" | "klines_1h" => Kept::Klines(Vec::new()),
                _ => Kept::Nothing,
            },
        }
    }

    /// The market of the rows.
    pub fn market(&self) -> Market {
        self.market
    }

    /// Since when there was no trade, where bars of trades end with half a day or more without one.
    pub fn flat_since(&self) -> Option<i64> {
        let (first_us, last_us) = self.times?;
        let is_of_trades = matches!(self.data, Data::Klines(Bars::Trade, _));
        let since_us = self.traded_us.unwrap_or(first_us);
        (is_of_trades && last_us - since_us >= FLAT_US).then_some(since_us)
    }

    /// What is wrong, the most telling first.
    fn judge(&mut self, name: &ArchiveName, lineage: &Lineage, proof: Proof) -> Option<Defect> {
        if lineage.codec != CODEC {
            let reason = format!(
                "it is of codec {}, not {CODEC}; run makes it again",
                lineage.codec
            );
            return Some(("codec", reason));
        }
        let found = told_by(&proof)
            .filter(|_| proof != Proof::Bytes)
            .or_else(|| self.wrong.take())
            .or_else(|| foreign_source(lineage, name));
        if found.is_some() {
            return found;
        }
        if let Some(why) = contradiction(lineage, self.counted()) {
            return Some(("quality", why));
        }
        told_by(&proof)
    }

    fn counted(&self) -> Counted {
        match &self.kept {
            Kept::Minutes(minutes) => Counted {
                rows: Some(minutes.iter().map(|minute| minute.trade_count as u64).sum()),
                times: minutes
                    .first()
                    .zip(minutes.last())
                    .map(|(first, last)| (first.first_ts_us, last.last_ts_us)),
            },
            Kept::Klines(bars) => Counted {
                rows: Some(bars.len() as u64),
                times: self.times,
            },
            Kept::Nothing => Counted::default(),
        }
    }

    fn take(&mut self, batch: &RecordBatch) {
        if self.wrong.is_none() {
            self.wrong = self.look(batch).err();
        }
    }

    fn look(&mut self, batch: &RecordBatch) -> Result<(), Defect> {
        let columns = || {
            (
                "columns",
                "its columns are not those of its table".to_owned(),
            )
        };
        let symbols = batch
            .column(0)
            .as_dictionary_opt::<Int32Type>()
            .and_then(|symbols| symbols.downcast_dict::<StringArray>());
        for symbol in symbols.ok_or_else(columns)? {
            if symbol != Some(self.symbol.as_str()) {
                let found = symbol.unwrap_or("no symbol");
                return Err(("symbol", format!("it holds rows of {found}")));
            }
        }
        let times = batch.columns().get(TIME_COLUMN);
        let times = times
            .and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>())
            .filter(|times| times.null_count() == 0)
            .ok_or_else(columns)?;
        let period = self.period.start_us()..self.period.end_us();
        if times.values().iter().any(|time| !period.contains(time)) {
            return Err(("period", format!("it holds rows outside {}", self.period)));
        }
        if let (Some(&first), Some(&last)) = (times.values().first(), times.values().last()) {
            self.times = Some((self.times.map_or(first, |(first, _)| first), last));
        }
        if let Some(gaps) = &mut self.gaps {
            times.values().iter().for_each(|time| gaps.next(*time));
        }
        match self.data {
            Data::Klines(bars, _) => {
                let rows = klines(self.market).rows(batch).ok_or_else(columns)?;
                if bars == Bars::Trade {
                    let traded = rows
                        .iter()
                        .rfind(|bar| bar.trades != 0 || bar.volume != 0.0);
                    self.traded_us = traded.map(|bar| bar.open_time_us).or(self.traded_us);
                }
                rows.iter().for_each(|bar| self.odd.bar(self.data, bar));
                if let Kept::Klines(kept) = &mut self.kept {
                    kept.extend(rows);
                }
            }
            Data::AggTrades | Data::RawAggTrades if self.table == "aggtrades_1m" => {
                let rows = MINUTES.rows(batch).ok_or_else(columns)?;
                rows.iter().for_each(|minute| self.odd.minute(minute));
                if let Kept::Minutes(kept) = &mut self.kept {
                    kept.extend(rows);
                }
            }
            _ => self.look_at_events(batch, times.values()),
        }
        Ok(())
    }

    fn look_at_events(&mut self, batch: &RecordBatch, times: &[i64]) {
        times.iter().for_each(|time| self.odd.time(*time));
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let Some(numbers) = column.as_primitive_opt::<Float64Type>() else {
                continue;
            };
            let look = match field.name().as_str() {
                "price" | "best_bid_price" | "best_ask_price" => OddRows::price,
                "qty" | "quantity" | "best_bid_qty" | "best_ask_qty" | "original_quantity" => {
                    OddRows::quantity
                }
                "funding_rate" => OddRows::funding,
                _ => continue,
            };
            let numbers = numbers.iter().flatten();
            numbers.for_each(|number| look(&mut self.odd, number));
        }
    }
}

/// A table is made of the archive that its place names, or of what was captured or the exchange was asked for in its stead; of
/// a month single days may be of their own.
fn foreign_source(lineage: &Lineage, name: &ArchiveName) -> Option<Defect> {
    let is_of = |source: &str, name: &ArchiveName| {
        // What was captured, or the exchange was asked for, until there is an archive.
        let asked = Endpoint::of(name).map(|endpoint| endpoint.key());
        let range = asked.and_then(|asked| source.strip_prefix(&asked).map(str::to_owned));
        source == name.key()
            || Source::is_captured_key(source, name)
            || range.is_some_and(|range| range.starts_with("&startTime="))
    };
    let stands_for = name.key();
    let Some((first, others)) = lineage.sources.split_first() else {
        return Some(("lineage", "its footer names no source".to_owned()));
    };
    let days: Vec<ArchiveName> = match others.is_empty() {
        true => Vec::new(),
        false => name.days().chain([name.clone()]).collect(),
    };
    let foreign = match is_of(&first.key, name) {
        false => Some(first),
        true => others
            .iter()
            .find(|source| !days.iter().any(|day| is_of(&source.key, day))),
    };
    let foreign = foreign?;
    let reason = format!("it was made of {} and stands for {stands_for}", foreign.key);
    Some(("lineage", reason))
}
