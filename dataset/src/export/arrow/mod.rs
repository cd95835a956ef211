//! Klines as files of a day that are read without copying them, and an index of those.

mod day;
mod index;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use jiff::civil::Date;
use serde_json::{Value, json};
use tapemill_lake::{Lake, LakeError, LakePath, Part};
use tapemill_market::{Bars, DateRange, Interval, Market, Period, Symbol, iso_time};

use super::{Export, ExportError, Exported, missing};
use crate::bars::{BarsOf, chunks, cut, tables};
use crate::stored::times_of;
use day::Gaps;
use index::{Entry, File};

pub use day::Gap;
pub use index::IndexError;

/// Bars that are read at once, about: five days of seconds, a year of minutes.
const BARS_AT_ONCE: i64 = 500_000;

/// What there is of one symbol and interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrowExported {
    /// Its folder, and the rows of all its days.
    pub exported: Exported,
    /// Files that were written.
    pub written: u64,
    /// Files that were left as they were.
    pub kept: u64,
    /// Bars that lack between the first and the last.
    pub gaps: Vec<Gap>,
}

impl ArrowExported {
    /// As data.
    pub fn value(&self) -> Value {
        let mut value = self.exported.value();
        let gap = |gap: &Gap| json!({"first": iso_time(gap.first_us), "last": iso_time(gap.last_us), "bars": gap.bars});
        if let Value::Object(value) = &mut value {
            value.extend([
                ("written".to_owned(), json!(self.written)),
                ("files".to_owned(), json!(self.written + self.kept)),
                ("gaps".to_owned(), self.gaps.iter().map(gap).collect()),
            ]);
        }
        value
    }
}

/// The folder of a market.
fn folder(market: Market) -> &'static str {
    match market {
        Market::Spot => "spot",
        Market::Um => "futures_um",
        Market::Cm => "futures_cm",
    }
}

/// Writes `BINANCE/KLINES/{market}/{SYMBOL}/{interval}/{YYYY-MM-DD}.arrow` for each UTC day in which bars open, and then the
/// index of all, `cache_index.db`, in one transaction. A file that has these bytes already is left alone; one of a day that has
/// no bars any more is removed.
///
/// Bars that have not ended by the end of what the output has are left out.
///
/// # Errors
///
/// [`ExportError`], at the first table that cannot be read or file that cannot be written; and for a symbol that was named and
/// has no klines of any of the intervals.
pub fn export_arrow(
    export: &Export,
    intervals: &[Interval],
) -> Result<Vec<ArrowExported>, ExportError> {
    let folder = export.to.folder().ok_or_else(|| ExportError::Folder {
        path: export.to.place().into(),
        problem: "what is mapped into memory, and its index, are files: name a folder".to_owned(),
    })?;
    let mut work = Vec::new();
    for &interval in intervals {
        let symbols = export.symbols.as_ref();
        let found = BarsOf::find_all(
            &export.output,
            export.market,
            Bars::Trade,
            interval,
            symbols,
        )?;
        let there = found
            .into_iter()
            .filter(|(_, bars)| bars.touches(&export.range));
        work.extend(there.map(|(symbol, bars)| (symbol, interval, bars)));
    }
    // Stable: a symbol's intervals stay as they were asked for.
    work.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let of = intervals.iter().flat_map(|of| tables(Bars::Trade, *of));
    let of: Vec<_> = of.collect();
    let found = work.iter().map(|(symbol, ..)| symbol).collect();
    export.check_found(&of.join(" or "), &found)?;
    let done = export.each(&work, |(symbol, interval, bars)| {
        one(export, symbol, *interval, bars)
    })?;
    let (done, entries): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    index::update(folder, &entries.concat(), &now)?;
    Ok(done)
}

fn one(
    export: &Export,
    symbol: &Symbol,
    interval: Interval,
    bars: &BarsOf,
) -> Result<(ArrowExported, Vec<Entry>), ExportError> {
    let days = Days {
        export,
        symbol,
        interval,
        periods: bars.periods(),
    };
    let place = days.place(&[])?;
    let spans = export.range.spans();
    let mut gaps = Gaps::new(interval, &spans);
    let mut entries = Vec::new();
    let mut times: Option<(i64, i64)> = None;
    for chunk in chunks(&export.range, &days.periods, interval, BARS_AT_ONCE) {
        let loaded = bars.load(&chunk)?;
        let renamed = loaded.map(|bars| day::renamed(&bars, export.market));
        let renamed = renamed.transpose().map_err(|error| unfit(&place, &error))?;
        let mut found = BTreeMap::new();
        for batch in renamed
            .iter()
            .flat_map(|bars| cut(bars, &export.range, &chunk))
        {
            let opens = times_of(&batch).unwrap_or_default();
            gaps.add(opens);
            if let (Some(&first), Some(&last)) = (opens.first(), opens.last()) {
                times = Some((times.map_or(first, |(first, _)| first), last));
            }
            found.extend(day::days(&batch));
        }
        for date in days.of(&chunk) {
            entries.push(days.publish(date, found.get(&date))?);
        }
    }
    let files = || entries.iter().filter_map(|entry| entry.file);
    let written = files().filter(|file| file.is_new).count() as u64;
    let kept = files().count() as u64 - written;
    let exported = Exported {
        file: place.to_string(),
        symbol: Some(symbol.clone()),
        rows: files().map(|file| file.rows).sum(),
        times,
        missing: missing(&export.range, &days.periods),
        is_kept: written == 0 && kept > 0,
    };
    let done = ArrowExported {
        exported,
        written,
        kept,
        gaps: gaps.finish(),
    };
    Ok((done, entries))
}

/// The days of one symbol and interval.
struct Days<'a> {
    export: &'a Export,
    symbol: &'a Symbol,
    interval: Interval,
    /// What the output has tables of.
    periods: Vec<Period>,
}

impl Days<'_> {
    fn place(&self, file: &[&str]) -> Result<LakePath, LakeError> {
        let market = folder(self.export.market);
        let names = [
            "BINANCE",
            "KLINES",
            market,
            self.symbol.as_str(),
            self.interval.as_str(),
        ];
        LakePath::of(&[&names, file].concat())
    }

    /// The days of a chunk that were asked for and that the output has tables of.
    fn of(&self, chunk: &DateRange) -> Vec<Period> {
        let last = chunk.last.unwrap_or(Date::MAX);
        let days = chunk
            .first
            .into_iter()
            .flat_map(|first| std::iter::successors(Some(first), |day| day.tomorrow().ok()));
        // A bar of a month's table may open in the month before.
        let is_there = |day: &Period| {
            self.interval.is_longer_than_a_day()
                || self.periods.contains(day)
                || self.periods.contains(&day.month())
        };
        days.take_while(|day| *day <= last)
            .map(Period::Day)
            .filter(|day| self.export.range.touches(*day) && is_there(day))
            .collect()
    }

    /// Brings the file of a day to what it should be.
    fn publish(&self, day: Period, bars: Option<&RecordBatch>) -> Result<Entry, ExportError> {
        let to = &self.export.to;
        let date = day.to_string();
        let place = self.place(&[&format!("{date}.arrow")])?;
        let file = match bars {
            Some(bars) => {
                let bytes = day::file(bars).map_err(|error| unfit(&place, &error))?;
                let is_new = !is_there(to, &place, &bytes)?;
                if is_new {
                    let mut part = Part::create(to, &place)?;
                    part.append(&bytes)?;
                    part.stage()?.publish()?;
                }
                Some(File {
                    bytes: bytes.len() as u64,
                    rows: bars.num_rows() as u64,
                    is_new,
                })
            }
            None => {
                to.remove(&place)?;
                None
            }
        };
        Ok(Entry {
            market: folder(self.export.market),
            symbol: self.symbol.to_string(),
            interval: self.interval.as_str(),
            date,
            path: place.to_string(),
            file,
        })
    }
}

/// Whether a file has these bytes already.
fn is_there(to: &Lake, place: &LakePath, bytes: &[u8]) -> Result<bool, LakeError> {
    let is_as_long = to.size(place)? == Some(bytes.len() as u64);
    Ok(is_as_long && to.read(place)? == bytes)
}

fn unfit(place: &LakePath, error: &ArrowError) -> ExportError {
    ExportError::Lake(LakeError::Table {
        table: place.to_string(),
        problem: error.to_string(),
    })
}
