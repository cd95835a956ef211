//! The bars of a day as a file that is read without copying it: pure.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use tapemill_market::{Interval, Market, Period};

use crate::stored::times_of;

const DAY_US: i64 = 86_400_000_000;

/// The columns in order, as the service has them whose caches these files replace, and those of the table.
///
/// The names are the same in all markets: of cm, `volume` counts contracts and the two quote volumes base units.
fn columns(market: Market) -> [(&'static str, &'static str); 11] {
    let (quote, taker_quote) = match market {
        Market::Cm => ("base_volume", "taker_buy_base_volume"),
        Market::Um | Market::Spot => ("quote_volume", "taker_buy_quote_volume"),
    };
    [
        ("open_time", "open_time"),
        ("open", "open"),
        ("high", "high"),
        ("low", "low"),
        ("close", "close"),
        ("volume", "volume"),
        ("close_time", "close_time"),
        ("quote_asset_volume", quote),
        ("count", "trades"),
        ("taker_buy_volume", "taker_buy_volume"),
        ("taker_buy_quote_volume", taker_quote),
    ]
}

fn schema(market: Market) -> SchemaRef {
    let fields = columns(market).map(|(name, _)| {
        let of = match name {
            "open_time" | "close_time" => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            "count" => DataType::Int64,
            _ => DataType::Float64,
        };
        Field::new(name, of, false)
    });
    Arc::new(Schema::new(fields.to_vec()))
}

/// Bars as the files have them.
///
/// # Errors
///
/// For bars that lack a column, or have one of another type.
pub(super) fn renamed(bars: &RecordBatch, market: Market) -> Result<RecordBatch, ArrowError> {
    let columns = columns(market).map(|(_, name)| bars.column_by_name(name).cloned());
    let columns: Option<Vec<ArrayRef>> = columns.into_iter().collect();
    let columns = columns.ok_or_else(|| {
        ArrowError::SchemaError("the columns are not those of the table".to_owned())
    })?;
    RecordBatch::try_new(schema(market), columns)
}

/// Ascending bars by the UTC day in which they open; no day without any.
pub(super) fn days(bars: &RecordBatch) -> Vec<(Period, RecordBatch)> {
    let times = times_of(bars).unwrap_or_default();
    let mut from = 0;
    let mut days = Vec::new();
    for day in times.chunk_by(|one, other| day_of(*one) == day_of(*other)) {
        if let Ok(time) = jiff::Timestamp::from_microsecond(day[0]) {
            let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
            days.push((Period::Day(date), bars.slice(from, day.len())));
        }
        from += day.len();
    }
    days
}

fn day_of(time_us: i64) -> i64 {
    time_us.div_euclid(DAY_US)
}

/// The bytes of a file: Arrow's IPC file format, one batch, nothing compressed, so that it can be mapped into memory.
///
/// # Errors
///
/// None is known of.
pub(super) fn file(bars: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = FileWriter::try_new(Vec::new(), &bars.schema())?;
    writer.write(bars)?;
    writer.into_inner()
}

/// Bars that lack between two that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the first of them would open, in UTC microseconds.
    pub first_us: i64,
    /// When the last of them would open.
    pub last_us: i64,
    /// How many.
    pub bars: u64,
}

/// Finds gaps in bars that come piece by piece.
pub(super) struct Gaps<'a> {
    interval: Interval,
    /// What was asked for: what lacks elsewhere is no gap.
    spans: &'a [std::ops::Range<i64>],
    /// When the next bar should open.
    next_us: Option<i64>,
    found: Vec<Gap>,
}

impl<'a> Gaps<'a> {
    pub fn new(interval: Interval, spans: &'a [std::ops::Range<i64>]) -> Self {
        Self {
            interval,
            spans,
            next_us: None,
            found: Vec::new(),
        }
    }

    pub fn add(&mut self, opens: &[i64]) {
        for &open in opens {
            if let Some(next) = self.next_us.filter(|next| *next < open) {
                self.between(next, open);
            }
            self.next_us = Some(self.interval.next(open));
        }
    }

    /// Whole bars that should open from `next` on and end by `open`, within what was asked for.
    fn between(&mut self, next: i64, open: i64) {
        let mut gap: Option<Gap> = None;
        let mut at = next;
        while self.interval.next(at) <= open {
            let is_asked = self.spans.iter().any(|span| span.contains(&at));
            gap = match gap {
                _ if !is_asked => {
                    self.found.extend(gap);
                    None
                }
                None => Some(Gap {
                    first_us: at,
                    last_us: at,
                    bars: 1,
                }),
                Some(gap) => Some(Gap {
                    last_us: at,
                    bars: gap.bars + 1,
                    ..gap
                }),
            };
            at = self.interval.next(at);
        }
        self.found.extend(gap);
    }

    pub fn finish(self) -> Vec<Gap> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use tapemill_market::DateRange;

    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn gaps(spans: &[std::ops::Range<i64>], hours: &[&[i64]]) -> Vec<(i64, i64, u64)> {
        let mut gaps = Gaps::new(Interval::HOUR, spans);
        for hours in hours {
            let opens: Vec<_> = hours.iter().map(|hour| hour * HOUR_US).collect();
            gaps.add(&opens);
        }
        let found = gaps.finish().into_iter();
        found
            .map(|gap| (gap.first_us / HOUR_US, gap.last_us / HOUR_US, gap.bars))
            .collect()
    }

    #[test]
    fn what_lacks_between_bars_is_a_gap_in_one_piece_or_in_several() {
        let all = DateRange::default().spans();
        let found = [(2, 3, 2), (6, 6, 1)];
        assert_eq!(gaps(&all, &[&[0, 1, 4, 5, 7]]), found);
        assert_eq!(gaps(&all, &[&[0, 1], &[], &[4], &[5, 7]]), found);
        assert_eq!(gaps(&all, &[&[0, 1, 2]]), []);
    }

    #[test]
    fn what_was_not_asked_for_is_no_gap() {
        let some = [0..3 * HOUR_US, 5 * HOUR_US..9 * HOUR_US];
        assert_eq!(gaps(&some, &[&[0, 1, 8]]), [(2, 2, 1), (5, 7, 3)]);
        assert_eq!(gaps(&some, &[&[0, 1, 2, 5]]), []);
    }

    #[test]
    fn bars_go_by_the_day_in_which_they_open() {
        let bars = |hour: i64| tapemill_market::Kline {
            open_time_us: hour * HOUR_US,
            ..Default::default()
        };
        let rows: Vec<_> = [-1, 0, 23, 24, 72].map(bars).into();
        let batch = tapemill_lake::tables::KLINES.batch("X", &rows);
        let days = days(&renamed(&batch, Market::Um).unwrap());
        let counts: Vec<_> = days
            .iter()
            .map(|(day, bars)| (day.to_string(), bars.num_rows()))
            .collect();
        assert_eq!(
            counts,
            [
                ("1969-12-31".to_owned(), 1),
                ("1970-01-01".to_owned(), 2),
                ("1970-01-02".to_owned(), 1),
                ("1970-01-04".to_owned(), 1),
            ]
        );
    }
}
