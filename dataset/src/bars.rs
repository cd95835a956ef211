//! Finished bars of an interval, from whichever tables an output has of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use tapemill_lake::tables::{TIME_COLUMN, klines};
use tapemill_lake::{LakeError, LakePath, Output, Source, read_lineage};
use tapemill_market::{
    Bars, Data, DateRange, Interval, Kline, Market, Period, Symbol, fold_klines,
};

use crate::align::either;
use crate::stored::{Stored, times_of};

/// The longest a bar of days, weeks or months may reach over the period that its table is for.
const LONGEST_BAR_DAYS: i32 = 31;

const DAY_US: i64 = 86_400_000_000;

/// The tables that bars of an interval can be had from, the best first: the exchange's own, else days, hours and
/// minutes that they are made of.
///
/// Bars of three days are always made: the exchange's have no grid that holds over all symbols.
pub(crate) fn tables(of: Bars, wanted: Interval) -> Vec<String> {
    let own = |interval| Data::Klines(of, interval).tables().swap_remove(0);
    let mut tables = Vec::new();
    if wanted.as_str() != "3d" {
        tables.push(own(wanted));
    }
    for finer in [Interval::DAY, Interval::HOUR] {
        if wanted != finer && wanted.is_made_of(finer) {
            tables.push(own(finer));
        }
    }
    match (of, wanted.is_made_of(Interval::HOUR)) {
        (Bars::Trade, true) => tables.push("klines_1h_from_1m".to_owned()),
        _ if wanted != Interval::MINUTE && wanted.is_made_of(Interval::MINUTE) => {
            tables.push(own(Interval::MINUTE));
        }
        _ => {}
    }
    tables
}

/// The bars of one symbol.
#[derive(Clone)]
pub struct BarsOf {
    output: Output,
    interval: Interval,
    /// The best table first.
    sources: Vec<Stored>,
}

impl BarsOf {
    /// Looks for the bars of these symbols, or of all; those without are left out.
    ///
    /// # Errors
    ///
    /// As [`Stored::find_all`].
    pub fn find_all(
        output: &Output,
        market: Market,
        of: Bars,
        interval: Interval,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<BTreeMap<Symbol, Self>, LakeError> {
        let mut found: BTreeMap<Symbol, Self> = BTreeMap::new();
        for table in tables(of, interval) {
            for (symbol, stored) in Stored::find_all(output, market, &table, symbols)? {
                let bars = found.entry(symbol).or_insert_with(|| Self {
                    output: output.clone(),
                    interval,
                    sources: Vec::new(),
                });
                bars.sources.push(stored);
            }
        }
        Ok(found)
    }

    /// What its tables cover together: months, and days of months that are not there.
    pub fn periods(&self) -> Vec<Period> {
        let all = self.sources.iter();
        let all: BTreeSet<Period> = all.flat_map(Stored::periods).collect();
        let is_replaced = |period: &Period| period.is_day() && all.contains(&period.month());
        all.iter()
            .filter(|period| !is_replaced(period))
            .copied()
            .collect()
    }

    /// Whether any table has a file that may hold rows of the range.
    pub fn touches(&self, range: &DateRange) -> bool {
        self.files(range).next().is_some()
    }

    /// The files that may hold rows of the range.
    pub fn files(&self, range: &DateRange) -> impl Iterator<Item = &LakePath> {
        self.sources.iter().flat_map(|source| {
            let files = source.files(range);
            files.map(|(_, path)| path)
        })
    }

    /// The finished bars that open within the range, as the tables of klines have them: of each time once, in order of time.
    ///
    /// # Errors
    ///
    /// As [`Stored::load`].
    pub fn load(&self, range: &DateRange) -> Result<Option<RecordBatch>, LakeError> {
        self.load_columns(range, None)
    }

    /// As [`BarsOf::load`], of the time and the columns that are named, in the table's order.
    ///
    /// # Errors
    ///
    /// As [`Stored::load`].
    pub fn load_columns(
        &self,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        let mut whole: Option<RecordBatch> = None;
        for source in &self.sources {
            let batch = self.of(source, range, columns)?;
            whole = match (whole, batch) {
                (Some(better), Some(other)) => Some(self.together(&better, &other, source)?),
                (one, other) => one.or(other),
            };
        }
        Ok(whole.filter(|batch| batch.num_rows() > 0))
    }

    fn of(
        &self,
        source: &Stored,
        range: &DateRange,
        columns: Option<&[&str]>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        let known = Known::of(&self.output, source)?;
        if source.interval() != Some(self.interval) {
            let batch = folded(source, self.interval, range, &known)?;
            return Ok(batch.map(|batch| selected(batch, columns)));
        }
        let batch = source.load(range, columns)?;
        Ok(batch.map(|batch| known.finished(&batch, self.interval)))
    }

    /// The better bars, and the others of times that no better one opens in: some of the exchange's open beside the grid.
    fn together(
        &self,
        better: &RecordBatch,
        other: &RecordBatch,
        of: &Stored,
    ) -> Result<RecordBatch, LakeError> {
        let [first, second] = [better, other].map(|batch| {
            let times = times_of(batch).unwrap_or_default().iter();
            let grid = times.map(|&time| self.interval.open_of(time));
            grid.collect::<Vec<_>>()
        });
        let rows = either(&first, &second);
        let both = concat_batches(&better.schema(), [better, other])
            .and_then(|both| take_record_batch(&both, &rows));
        both.map_err(|error| LakeError::Table {
            table: format!("{}/{}/{}", of.table(), of.market(), of.symbol()),
            problem: error.to_string(),
        })
    }
}

/// The time of a whole batch, and the columns that are named.
fn selected(batch: RecordBatch, columns: Option<&[&str]>) -> RecordBatch {
    let Some(names) = columns else {
        return batch;
    };
    let schema = batch.schema();
    let fields = schema.fields().iter().enumerate();
    let wanted =
        fields.filter(|(at, field)| *at == TIME_COLUMN || names.contains(&field.name().as_str()));
    let wanted: Vec<_> = wanted.map(|(at, _)| at).collect();
    batch
        .project(&wanted)
        .expect("the columns are the batch's own")
}

/// The bars of a range, made of finer ones.
fn folded(
    source: &Stored,
    wanted: Interval,
    range: &DateRange,
    known: &Known,
) -> Result<Option<RecordBatch>, LakeError> {
    let table = klines(source.market());
    let mut fold = Fold::new(wanted);
    let mut bars: Vec<Kline> = Vec::new();
    for batch in source.batches(&whole_bars(range, wanted), None) {
        let rows = table.rows(&batch?).ok_or_else(|| LakeError::Table {
            table: format!("{}/{}/{}", source.table(), source.market(), source.symbol()),
            problem: "the columns are not those of the table".to_owned(),
        })?;
        bars.extend(fold.add(rows));
    }
    bars.extend(fold.finish());
    let spans = range.spans();
    bars.retain(|bar| {
        let open_us = bar.open_time_us;
        let is_asked = spans.iter().any(|span| span.contains(&open_us));
        is_asked && known.has_all_of(open_us..wanted.next(open_us))
    });
    Ok((!bars.is_empty()).then(|| table.batch(source.symbol().as_str(), &bars)))
}

/// Folds bars that come piece by piece.
struct Fold {
    wanted: Interval,
    /// What the last bar, which may go on, is made of so far.
    open: Vec<Kline>,
}

impl Fold {
    fn new(wanted: Interval) -> Self {
        Self {
            wanted,
            open: Vec::new(),
        }
    }

    fn add(&mut self, rows: Vec<Kline>) -> Vec<Kline> {
        let Some(last) = rows.last() else {
            return Vec::new();
        };
        let open_us = self.wanted.open_of(last.open_time_us);
        self.open.extend(rows);
        let closed = self
            .open
            .partition_point(|row| self.wanted.open_of(row.open_time_us) < open_us);
        let open = self.open.split_off(closed);
        fold_klines(&std::mem::replace(&mut self.open, open), self.wanted)
    }

    fn finish(self) -> Vec<Kline> {
        fold_klines(&self.open, self.wanted)
    }
}

/// The range of days that the whole bars of a range are made of.
pub(crate) fn whole_bars(range: &DateRange, interval: Interval) -> DateRange {
    match interval.is_longer_than_a_day() {
        false => range.clone(),
        true => widened(range, LONGEST_BAR_DAYS, LONGEST_BAR_DAYS),
    }
}

/// A range with so many days more at its ends, and without holes.
pub(crate) fn widened(range: &DateRange, before: i32, after: i32) -> DateRange {
    let months = range.months.as_deref().unwrap_or_default();
    let first = months.iter().map(|month| month.first_day()).min();
    let last = months.iter().map(|month| month.last_day()).max();
    let shift =
        |day: jiff::civil::Date, days: i32| day.saturating_add(jiff::Span::new().days(days));
    DateRange {
        first: range.first.max(first).map(|day| shift(day, -before)),
        last: match (range.last, last) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
        .map(|day| shift(day, after)),
        months: None,
    }
}

/// The time of which a table has all that there was.
pub(crate) struct Known {
    /// In order and apart.
    spans: Vec<Range<i64>>,
}

impl Known {
    /// What the files of a table are for; where the last was asked of the exchange before its period was over, until the last
    /// row of what the table is made of.
    pub fn of(output: &Output, stored: &Stored) -> Result<Self, LakeError> {
        let mut spans: Vec<Range<i64>> = Vec::new();
        for period in stored.periods() {
            match spans.last_mut() {
                Some(last) if last.end == period.start_us() => last.end = period.end_us(),
                _ => spans.push(period.start_us()..period.end_us()),
            }
        }
        if let (Some(last), Some(end_us)) = (spans.last_mut(), ended_us(output, stored)?) {
            last.end = end_us;
        }
        Ok(Self { spans })
    }

    /// Whether a bar that was made of such a table is made of all there was.
    pub fn has_all_of(&self, bar: Range<i64>) -> bool {
        let at = self.spans.partition_point(|span| span.end < bar.end);
        let span = self.spans.get(at);
        span.is_some_and(|span| span.start <= bar.start && bar.end <= span.end)
    }

    /// Without the bars that may go on behind the end of the table.
    pub fn finished(&self, batch: &RecordBatch, interval: Interval) -> RecordBatch {
        let end_us = self.spans.last().map_or(i64::MIN, |last| last.end);
        let times = times_of(batch).unwrap_or_default();
        batch.slice(
            0,
            times.partition_point(|&time| interval.next(time) <= end_us),
        )
    }
}

/// When the last row of a table ended whose last file was asked of the exchange, and not made of an archive alone.
fn ended_us(output: &Output, stored: &Stored) -> Result<Option<i64>, LakeError> {
    let everything = DateRange::default();
    let Some((period, path)) = stored.files(&everything).last() else {
        return Ok(None);
    };
    let sources = read_lineage(stored.lake(), path)?.sources;
    // What was asked for or captured ends where time had come to.
    if !sources.iter().any(Source::gives_way) {
        return Ok(None);
    }
    let made_of = match stored.table() {
        "klines_1h_from_1m" => Some("klines_1m"),
        "factors_1h" => Some("aggtrades_1m"),
        _ => None,
    };
    let finer = match made_of {
        Some(table) => Stored::find(output, stored.market(), table, stored.symbol())?,
        None => stored.clone(),
    };
    let days = DateRange {
        first: Some(period.first_day()),
        ..DateRange::default()
    };
    let mut ended_us = period.start_us();
    for batch in finer.batches(&days, Some(&[])) {
        let batch = batch?;
        let last = times_of(&batch).and_then(<[i64]>::last);
        if let (Some(&time), Some(interval)) = (last, finer.interval()) {
            ended_us = interval.next(time);
        }
    }
    Ok(Some(ended_us))
}

/// The days of a range that there is anything of, cut into stretches of about so many bars.
pub(crate) fn chunks(
    range: &DateRange,
    periods: &[Period],
    interval: Interval,
    rows: i64,
) -> Vec<DateRange> {
    let (Some(first), Some(last)) = (periods.first(), periods.iter().map(|p| p.last_day()).max())
    else {
        return Vec::new();
    };
    // A bar of a month's table may have opened in the month before.
    let back = if interval.is_longer_than_a_day() {
        31
    } else {
        0
    };
    let around = widened(range, 0, 0);
    let there = first
        .first_day()
        .saturating_sub(jiff::Span::new().days(back));
    let first = around.first.map_or(there, |first| first.max(there));
    let last = around.last.map_or(last, |end| end.min(last));
    let length_us = interval.length_us().unwrap_or(30 * DAY_US);
    let days = (rows * length_us / DAY_US).clamp(1, 36_500) as i32;
    let mut chunks = Vec::new();
    let mut from = first;
    while from <= last {
        let next = from.saturating_add(jiff::Span::new().days(days));
        chunks.push(DateRange {
            first: Some(from),
            last: Some(next.yesterday().map_or(last, |end| end.min(last))),
            months: None,
        });
        if next == from {
            break;
        }
        from = next;
    }
    chunks
}

/// The rows of a chunk that were asked for.
pub(crate) fn cut(batch: &RecordBatch, range: &DateRange, chunk: &DateRange) -> Vec<RecordBatch> {
    let times = times_of(batch).unwrap_or_default();
    let mut cut = Vec::new();
    for chunk in chunk.spans() {
        for span in range.spans() {
            let from = times.partition_point(|&time| time < span.start.max(chunk.start));
            let to = times.partition_point(|&time| time < span.end.min(chunk.end));
            if from < to {
                cut.push(batch.slice(from, to - from));
            }
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(name: &str) -> Interval {
        name.parse().unwrap()
    }

    #[test]
    fn bars_come_from_their_own_table_first_and_else_from_finer_ones() {
        let names = |of, name| tables(of, interval(name)).join(" ");
        assert_eq!(names(Bars::Trade, "1h"), "klines_1h klines_1h_from_1m");
        assert_eq!(names(Bars::Trade, "1m"), "klines_1m");
        assert_eq!(names(Bars::Trade, "15m"), "klines_15m klines_1m");
        assert_eq!(
            names(Bars::Trade, "4h"),
            "klines_4h klines_1h klines_1h_from_1m"
        );
        assert_eq!(
            names(Bars::Trade, "3d"),
            "klines_1d klines_1h klines_1h_from_1m"
        );
        assert_eq!(names(Bars::Trade, "1s"), "klines_1s");
        assert_eq!(
            names(Bars::MarkPrice, "1h"),
            "mark_price_klines_1h mark_price_klines_1m"
        );
        assert_eq!(
            names(Bars::IndexPrice, "1d"),
            "index_price_klines_1d index_price_klines_1h index_price_klines_1m"
        );
        assert_eq!(
            names(Bars::Trade, "1w"),
            "klines_1w klines_1d klines_1h klines_1h_from_1m"
        );
    }

    #[test]
    fn a_bar_is_known_where_all_its_time_is() {
        let known = Known {
            spans: vec![0..10, 20..30],
        };
        for bar in [0..10, 3..4, 20..30, 29..30] {
            assert!(known.has_all_of(bar.clone()), "{bar:?}");
        }
        for bar in [-1..5, 5..11, 9..21, 12..15, 19..21, 29..31, 40..41] {
            assert!(!known.has_all_of(bar.clone()), "{bar:?}");
        }
    }

    #[test]
    fn a_bar_that_comes_in_pieces_is_one() {
        let minute = |minute: i64| Kline {
            open_time_us: minute * 60_000_000,
            volume: 1.0,
            ..Kline::default()
        };
        let rows: Vec<_> = (0..130).map(minute).collect();
        for piece in [1, 7, 60, 61, 130] {
            let mut fold = Fold::new(Interval::HOUR);
            let mut bars = Vec::new();
            for piece in rows.chunks(piece) {
                bars.extend(fold.add(piece.to_vec()));
            }
            bars.extend(fold.finish());
            let volumes: Vec<_> = bars.iter().map(|bar| bar.volume).collect();
            assert_eq!(volumes, [60.0, 60.0, 10.0], "pieces of {piece}");
        }
    }

    #[test]
    fn a_range_is_widened_to_the_ends_of_its_months() {
        let today = "2024-06-01".parse().unwrap();
        let range = |start, end, months| DateRange::parse(start, end, months, today).unwrap();
        let days = |range: DateRange| {
            (
                range.first.unwrap().to_string(),
                range.last.unwrap().to_string(),
            )
        };
        let months = range(None, None, Some("2024-01,2024-03"));
        assert_eq!(
            days(widened(&months, 2, 0)),
            ("2023-12-30".to_owned(), "2024-03-31".to_owned())
        );
        let both = range(Some("2024-01-10"), Some("2024-02-10"), None);
        assert_eq!(
            days(widened(&both, 1, 1)),
            ("2024-01-09".to_owned(), "2024-02-11".to_owned())
        );
        assert_eq!(widened(&DateRange::default(), 9, 9), DateRange::default());
    }

    #[test]
    fn chunks_are_all_the_days_once() {
        let periods: Vec<Period> = ["2024-01", "2024-02", "2024-03-01"]
            .map(|period| period.parse().unwrap())
            .into();
        let today = "2024-06-01".parse().unwrap();
        let all = DateRange::default();
        let some = DateRange::parse(Some("2024-01-15"), Some("2024-02-20"), None, today).unwrap();
        for (range, interval, pieces) in [(&all, "1h", 1), (&all, "1m", 1), (&some, "1d", 1)] {
            let found = chunks(range, &periods, interval.parse().unwrap(), 100_000);
            assert_eq!(found.len(), pieces, "{interval}");
        }
        let years: Vec<Period> = ["2020-01", "2024-12"]
            .map(|period| period.parse().unwrap())
            .into();
        let found = chunks(&all, &years, Interval::MINUTE, 100_000);
        assert!(found.len() > 20);
        for pair in found.windows(2) {
            assert_eq!(
                pair[0].last.unwrap().tomorrow().unwrap(),
                pair[1].first.unwrap()
            );
        }
        assert_eq!(found[0].first.unwrap().to_string(), "2020-01-01");
        assert_eq!(
            found.last().unwrap().last.unwrap().to_string(),
            "2024-12-31"
        );
    }
}
