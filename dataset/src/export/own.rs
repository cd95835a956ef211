//! Columns that someone adds to the factors, and what bars become with them.

use std::fmt;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Fields, Schema};
use arrow_select::concat::concat_batches;
use serde_json::{Map, Value, json};
use tapemill_lake::LakeError;
use tapemill_lake::tables::{FACTORS, MINUTES};
use tapemill_market::{DateRange, Interval, factors};

use crate::stored::{Stored, times_of};

/// Minutes that are folded at once, about: so many that what each fold costs does not count.
const MINUTES_AT_ONCE: usize = 65_536;

/// Columns `symbol` and `minute`, in front of all factors.
pub(super) const KEYS: usize = 2;

/// Columns that someone adds to the factors: what the minutes of each bar give, and nothing else.
pub trait OwnFactors: fmt::Debug + Send + Sync {
    /// The columns; any may be null.
    fn fields(&self) -> &Fields;

    /// What they are made by, for the lineage of the files that have them.
    fn source(&self) -> &str;

    /// The columns, a row for each bar that these minutes lie in, in order. Of each bar all minutes are there that will
    /// be; they are a batch of `aggtrades_1m`, in order of time.
    ///
    /// # Errors
    ///
    /// What went wrong, in a line.
    fn of(&self, minutes: &RecordBatch, interval: Interval) -> Result<Vec<ArrayRef>, String>;
}

/// Which factors a table has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    /// Those of `factors_1h`.
    pub built_in: bool,
    /// And these behind them.
    pub own: Option<&'a dyn OwnFactors>,
}

impl Columns<'_> {
    /// `symbol`, `minute` and the factors.
    pub fn schema(self) -> Schema {
        let built_in = FACTORS.schema();
        let kept = if self.built_in {
            built_in.fields().len()
        } else {
            KEYS
        };
        let mut fields: Vec<_> = built_in.fields().iter().take(kept).cloned().collect();
        let own = self.own.iter().flat_map(|own| own.fields());
        fields.extend(own.map(|field| Field::clone(field).with_nullable(true).into()));
        Schema::new(fields)
    }

    /// Tells of the own ones in the settings of a file that has them.
    pub fn tell(self, settings: &mut Map<String, Value>) {
        if let Some(own) = self.own {
            settings.insert("own_factors".to_owned(), json!(own.source()));
        }
    }

    /// The bars of stored minutes of a range, as a batch of [`Columns::schema`]. The minutes take the most memory: at most
    /// [`MINUTES_AT_ONCE`] more than one bar has are held.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for minutes that cannot be read, and for own factors that cannot be had of them.
    pub fn fold(
        self,
        stored: &Stored,
        range: &DateRange,
        interval: Interval,
    ) -> Result<RecordBatch, LakeError> {
        let mut bars = Vec::new();
        let mut held: Vec<RecordBatch> = Vec::new();
        for batch in stored.batches(range, None) {
            let batch = batch?;
            let last = times_of(&batch).and_then(<[i64]>::last).copied();
            held.push(batch);
            let rows: usize = held.iter().map(RecordBatch::num_rows).sum();
            let Some(last) = last.filter(|_| rows >= MINUTES_AT_ONCE) else {
                continue;
            };
            let minutes = together(stored, &held)?;
            let open_us = interval.open_of(last);
            let times = times_of(&minutes).unwrap_or_default();
            let closed = times.partition_point(|&time| time < open_us);
            if closed > 0 {
                bars.push(self.bars(stored, &minutes.slice(0, closed), interval)?);
            }
            held = vec![minutes.slice(closed, minutes.num_rows() - closed)];
        }
        if held.iter().any(|minutes| minutes.num_rows() > 0) {
            bars.push(self.bars(stored, &together(stored, &held)?, interval)?);
        }
        concat_batches(&self.schema().into(), &bars).map_err(|error| unfit(stored, &error))
    }

    fn bars(
        self,
        stored: &Stored,
        minutes: &RecordBatch,
        interval: Interval,
    ) -> Result<RecordBatch, LakeError> {
        let rows = MINUTES.rows(minutes);
        let rows = rows.ok_or_else(|| unfit(stored, &"the columns are not those of the table"))?;
        let bars = factors(&rows, interval);
        let built_in = FACTORS.batch(stored.symbol().as_str(), &bars);
        let mut columns = built_in.columns().to_vec();
        if !self.built_in {
            columns.truncate(KEYS);
        }
        if let Some(own) = self.own {
            let own = own.of(minutes, interval);
            columns.extend(own.map_err(|problem| unfit(stored, &problem))?);
        }
        RecordBatch::try_new(self.schema().into(), columns).map_err(|error| unfit(stored, &error))
    }
}

fn together(stored: &Stored, batches: &[RecordBatch]) -> Result<RecordBatch, LakeError> {
    concat_batches(&batches[0].schema(), batches).map_err(|error| unfit(stored, &error))
}

fn unfit(stored: &Stored, problem: &dyn fmt::Display) -> LakeError {
    LakeError::Table {
        table: format!("{}/{}/{}", stored.table(), stored.market(), stored.symbol()),
        problem: problem.to_string(),
    }
}
