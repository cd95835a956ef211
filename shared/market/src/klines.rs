//! A whole klines CSV, chunk by chunk, into sorted bars of unique times.

use std::ops::Range;

use crate::cells;
use crate::error::CellError;
use crate::interval::Interval;
use crate::kline::{self, Kline};
use crate::kline_row::ROOM;
use crate::lines::{Lines, ReadRow};
use crate::quality::Quality;
use crate::{Period, RowError};

/// Bars that are held before sorted ones are given out: a month of minutes is never given out early.
const HELD: usize = 1 << 16;

/// Bars of one archive past which it is no archive of ours: a month of seconds has 2,678,400.
const MOST_BARS: usize = 4 << 20;

const MINUTE_US: i64 = 60_000_000;

/// Sorts the bars of one symbol, interval and period; of bars with one open time the last counts.
///
/// Large files are given out in parts while their order allows it. A file whose order breaks after a part was given
/// out is read again by [`KlinesMill::second`], which holds all of it.
#[derive(Debug)]
pub struct KlinesMill {
    lines: Lines,
    rows: Rows,
}

#[derive(Debug)]
struct Rows {
    interval: Interval,
    period: Period,
    /// Where bars of the period open.
    opens: Range<i64>,
    bars: Vec<Kline>,
    ascending: bool,
    highest: i64,
    given_out: Option<i64>,
    gives_out: bool,
    torn: bool,
    quality: Quality,
    off_grid: u64,
    on_grid: u64,
    minutes: u64,
    last_minute: Option<i64>,
}

/// What came of a file.
#[derive(Debug)]
pub enum MilledKlines {
    /// The bars not given out before, and what was seen.
    Whole(Vec<Kline>, Box<Quality>),
    /// The order broke behind what was given out: forget it, and read the file again by [`KlinesMill::second`].
    Again,
}

impl KlinesMill {
    /// A mill for the first reading of a file.
    pub fn new(interval: Interval, period: Period) -> Self {
        let expected = interval
            .length_us()
            .map_or(0, |length| places(period, length));
        Self {
            lines: Lines::default(),
            rows: Rows {
                interval,
                period,
                opens: opens(interval, period),
                bars: Vec::with_capacity(HELD.min(expected as usize)),
                ascending: true,
                highest: i64::MIN,
                given_out: None,
                gives_out: true,
                torn: false,
                quality: Quality::default(),
                off_grid: 0,
                on_grid: 0,
                minutes: 0,
                last_minute: None,
            },
        }
    }

    /// A mill that holds the whole file, for one whose order is broken.
    pub fn second(interval: Interval, period: Period) -> Self {
        let mut mill = Self::new(interval, period);
        mill.rows.gives_out = false;
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

    /// Sorted bars that no later row can precede or replace, if there are many.
    pub fn give_out(&mut self) -> Vec<Kline> {
        let rows = &mut self.rows;
        if !rows.gives_out || !rows.ascending || rows.bars.len() < HELD {
            return Vec::new();
        }
        let last = rows.bars.pop().expect("more than one");
        let bars = std::mem::replace(&mut rows.bars, vec![last]);
        rows.given_out = bars.last().map(|bar| bar.open_time_us);
        rows.count_grid(&bars);
        bars
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// As [`KlinesMill::feed`], for a last line without an end.
    pub fn finish(mut self) -> Result<MilledKlines, RowError> {
        let Self { lines, rows } = &mut self;
        lines.finish(rows)?;
        if rows.torn {
            return Ok(MilledKlines::Again);
        }
        if !rows.ascending {
            rows.sort();
        }
        let bars = std::mem::take(&mut rows.bars);
        rows.count_grid(&bars);
        let quality = self.rows.summary();
        Ok(MilledKlines::Whole(bars, Box::new(quality)))
    }
}

impl ReadRow for Rows {
    fn plain(&mut self, chunk: &[u8], mut at: usize, number: &mut u64) -> Result<usize, CellError> {
        while let Some(room) = chunk[at..].first_chunk::<ROOM>()
            && let Some((bar, length)) = Kline::parse_plain(room)
        {
            self.bar(bar, &chunk[at..at + length])?;
            *number += 1;
            at += length;
        }
        Ok(at)
    }

    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), CellError> {
        if number == 1 && cells::is_header(line) {
            return cells::check_header(line, kline::COLUMNS.iter().copied());
        }
        self.bar(Kline::parse(line)?, line)
    }
}

impl Rows {
    #[inline]
    fn bar(&mut self, bar: Kline, line: &[u8]) -> Result<(), CellError> {
        self.quality.rows += 1;
        if self.torn {
            return Ok(());
        }
        let open = bar.open_time_us;
        if open < self.highest {
            self.quality.unordered += 1;
        }
        if !self.opens.contains(&open) {
            self.quality.out_of_period += 1;
            self.highest = self.highest.max(open);
            return Ok(());
        }
        if self.given_out.is_some_and(|given_out| open <= given_out) {
            self.torn = true;
            return Ok(());
        }
        match self.bars.last_mut() {
            Some(last) if self.ascending && last.open_time_us == open => {
                Self::replaced(&mut self.quality, last, &bar);
                *last = bar;
            }
            last => {
                self.ascending &= last.is_none_or(|last| last.open_time_us < open);
                if self.bars.len() >= MOST_BARS {
                    return Err(CellError::new("row", line, "one of at most 4,194,304 bars"));
                }
                self.bars.push(bar);
            }
        }
        self.highest = self.highest.max(open);
        self.quality.first_ts = Some(self.quality.first_ts.map_or(open, |first| first.min(open)));
        self.quality.last_ts = Some(self.quality.last_ts.map_or(open, |last| last.max(open)));
        Ok(())
    }

    fn replaced(quality: &mut Quality, old: &Kline, new: &Kline) {
        if old == new {
            quality.duplicates += 1;
        } else {
            quality.contradictions += 1;
        }
    }

    /// By open time; of equal ones the last row stays.
    fn sort(&mut self) {
        self.bars.sort_by_key(|bar| bar.open_time_us);
        let quality = &mut self.quality;
        self.bars.dedup_by(|later, earlier| {
            let same = later.open_time_us == earlier.open_time_us;
            if same {
                Self::replaced(quality, earlier, later);
                *earlier = *later;
            }
            same
        });
    }

    fn count_grid(&mut self, bars: &[Kline]) {
        let on = bars
            .iter()
            .filter(|bar| self.interval.is_on_grid(bar.open_time_us))
            .count() as u64;
        self.on_grid += on;
        self.off_grid += bars.len() as u64 - on;
        for bar in bars {
            let minute = Some(bar.open_time_us.div_euclid(MINUTE_US));
            self.minutes += u64::from(minute != self.last_minute);
            self.last_minute = minute;
        }
    }

    fn summary(self) -> Quality {
        let mut quality = self.quality;
        quality.off_grid = Some(self.off_grid);
        quality.missing_bars = self
            .interval
            .length_us()
            .filter(|_| !self.interval.is_longer_than_a_day())
            .map(|length| places(self.period, length).saturating_sub(self.on_grid));
        if self.interval == Interval::MINUTE {
            // A bar beside the grid fills its minute all the same.
            let minutes = places(self.period, MINUTE_US);
            quality.missing_minutes = Some(minutes.saturating_sub(self.minutes));
        }
        quality
    }
}

/// A bar belongs where it opens; one longer than a day may have opened before the period it reaches into.
fn opens(interval: Interval, period: Period) -> Range<i64> {
    let (start, end) = (period.start_us(), period.end_us());
    if !interval.is_longer_than_a_day() {
        return start..end;
    }
    let longest = interval.length_us().unwrap_or(31 * 86_400_000_000);
    start - longest + 1..end
}

/// How many bars of a length in microseconds a period has room for.
fn places(period: Period, length_us: i64) -> u64 {
    ((period.end_us() - period.start_us()) / length_us) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(open_ms: i64, volume: &str) -> String {
        format!(
            "{open_ms},1,2,0.5,1.5,{volume},{},1,1,1,1,0\n",
            open_ms + 999
        )
    }

    fn day() -> Period {
        "2024-01-01".parse().unwrap()
    }

    const START_MS: i64 = 1_704_067_200_000;

    fn mill(interval: &str, text: &str) -> (Vec<Kline>, Quality) {
        let mut mill = KlinesMill::new(interval.parse().unwrap(), day());
        mill.feed(text.as_bytes()).unwrap();
        match mill.finish().unwrap() {
            MilledKlines::Whole(bars, quality) => (bars, *quality),
            MilledKlines::Again => panic!("too few bars to be given out"),
        }
    }

    #[test]
    fn where_the_chunks_were_cut_does_not_matter() {
        let text: String = (0..200)
            .map(|minute| row(START_MS + minute * 60_000, &format!("{minute}.25")))
            .collect();
        let whole = mill("1m", &text);
        assert_eq!(whole.0.len(), 200);
        for chunk in [1, 7, 61, 300, 1000] {
            let mut mill = KlinesMill::new(Interval::MINUTE, day());
            for chunk in text.as_bytes().chunks(chunk) {
                mill.feed(chunk).unwrap();
            }
            let MilledKlines::Whole(bars, quality) = mill.finish().unwrap() else {
                panic!("too few bars to be given out")
            };
            assert_eq!((bars, *quality), whole, "{chunk}");
        }
    }

    #[test]
    fn a_bad_row_among_many_is_named_by_its_line() {
        let mut rows: Vec<_> = (0..200)
            .map(|minute| row(START_MS + minute * 60_000, "1"))
            .collect();
        rows[149] = row(START_MS, "one");
        let error = KlinesMill::new(Interval::MINUTE, day())
            .feed(rows.concat().as_bytes())
            .unwrap_err();
        assert_eq!((error.line, error.column), (150, "volume"));
    }

    #[test]
    fn the_last_of_two_bars_with_one_time_counts() {
        let minute = START_MS + 60_000;
        let text = row(minute, "1") + &row(START_MS, "5") + &row(minute, "2") + &row(START_MS, "5");

        let (bars, quality) = mill("1m", &text);

        let volumes: Vec<_> = bars.iter().map(|bar| bar.volume).collect();
        assert_eq!(volumes, [5.0, 2.0]);
        assert_eq!(
            (
                quality.duplicates,
                quality.contradictions,
                quality.unordered
            ),
            (1, 1, 2)
        );
        assert_eq!(quality.missing_minutes, Some(1438));
    }

    #[test]
    fn bars_beside_the_grid_are_kept_and_counted() {
        let (bars, quality) = mill("1m", &(row(START_MS, "1") + &row(START_MS + 61_789, "1")));
        assert_eq!(bars.len(), 2);
        assert_eq!(quality.off_grid, Some(1));
        assert_eq!(quality.missing_bars, Some(1439));
        assert_eq!(quality.missing_minutes, Some(1438));
    }

    #[test]
    fn bars_of_another_day_are_counted_but_not_kept() {
        let (bars, quality) = mill("1m", &(row(START_MS - 60_000, "1") + &row(START_MS, "1")));
        assert_eq!(bars.len(), 1);
        assert_eq!(quality.out_of_period, 1);
    }

    #[test]
    fn a_week_that_began_before_the_day_is_its_bar() {
        let (bars, quality) = mill("1w", &row(START_MS - 3 * 86_400_000, "1"));
        assert_eq!((bars.len(), quality.out_of_period), (1, 0));
    }

    #[test]
    fn a_large_file_comes_in_parts_unless_its_order_breaks() {
        let mut ordered: Vec<_> = (0..80_000)
            .map(|at| row(START_MS + at * 1000, "1"))
            .collect();
        let second: Interval = "1s".parse().unwrap();
        let mut mill = KlinesMill::new(second, day());
        let mut given_out = 0;
        for line in &ordered {
            mill.feed(line.as_bytes()).unwrap();
            given_out += mill.give_out().len();
        }
        assert_eq!(given_out, HELD - 1);
        let MilledKlines::Whole(rest, quality) = mill.finish().unwrap() else {
            panic!("it is in order")
        };
        assert_eq!(given_out + rest.len(), 80_000);
        assert_eq!(quality.missing_bars, Some(6_400));

        ordered.swap(10, 79_000);
        let mut mill = KlinesMill::new(second, day());
        for line in &ordered {
            mill.feed(line.as_bytes()).unwrap();
            mill.give_out();
        }
        let whole = match mill.finish().unwrap() {
            MilledKlines::Again => {
                let mut mill = KlinesMill::second(second, day());
                ordered
                    .iter()
                    .for_each(|line| mill.feed(line.as_bytes()).unwrap());
                mill.finish().unwrap()
            }
            whole => whole,
        };
        let MilledKlines::Whole(bars, _) = whole else {
            panic!("the second reading holds everything")
        };
        assert_eq!(bars.len(), 80_000);
        assert!(bars.is_sorted_by(|a, b| a.open_time_us < b.open_time_us));
    }
}
