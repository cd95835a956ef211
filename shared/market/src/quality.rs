//! What was seen in an archive beside the rows that were used.

use serde::{Deserialize, Serialize};

use crate::account::Account;

/// Counts of everything unusual in one archive: the file's `tapemill.quality`.
///
/// Every row is counted once: used, or in one of `duplicates`, `contradictions`, `zero_quantity`, `out_of_period`.
/// Times are UTC microseconds; what has no meaning for a kind of data is null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Rows in the CSV, without its header.
    pub rows: u64,
    /// Rows that repeat an earlier one to the letter of its values.
    pub duplicates: u64,
    /// Rows that repeat an earlier one's id (klines: open time) with other values.
    pub contradictions: u64,
    /// Rows of quantity zero.
    pub zero_quantity: u64,
    /// Rows whose time lies outside the archive's period.
    pub out_of_period: u64,
    /// Rows whose id (klines: open time) is lower than one before.
    pub unordered: u64,
    /// Jumps between the ids present.
    pub id_gaps: Option<u64>,
    /// Ids that those jumps leave out.
    pub missing_ids: Option<u64>,
    /// Lowest id of all rows.
    pub first_id: Option<u64>,
    /// Highest id of all rows.
    pub last_id: Option<u64>,
    /// Earliest time of the rows used.
    pub first_ts: Option<i64>,
    /// Latest time of the rows used.
    pub last_ts: Option<i64>,
    /// Minutes of the period without a row used.
    pub missing_minutes: Option<u64>,
    /// Klines: bars that open beside the interval's grid. They are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_grid: Option<u64>,
    /// Klines: places of the grid within the period without a bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_bars: Option<u64>,
}

impl Quality {
    /// What is to be said of rows that follow others, both asked for by themselves; `account` is of the later ones.
    #[must_use]
    pub fn followed_by(&self, later: &Quality, account: &Account) -> Quality {
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b);
        let jump = match (self.last_id, later.first_id) {
            (Some(last), Some(first)) => first.saturating_sub(last + 1),
            _ => 0,
        };
        Quality {
            rows: self.rows + later.rows,
            duplicates: self.duplicates + later.duplicates,
            contradictions: self.contradictions + later.contradictions,
            zero_quantity: self.zero_quantity + later.zero_quantity,
            out_of_period: self.out_of_period + later.out_of_period,
            unordered: self.unordered + later.unordered,
            id_gaps: sum(self.id_gaps, later.id_gaps).map(|gaps| gaps + u64::from(jump > 0)),
            missing_ids: sum(self.missing_ids, later.missing_ids).map(|missing| missing + jump),
            first_id: self.first_id.or(later.first_id),
            last_id: later.last_id.or(self.last_id),
            first_ts: self.first_ts.or(later.first_ts),
            last_ts: later.last_ts.or(self.last_ts),
            missing_minutes: (self.missing_minutes)
                .map(|missing| missing.saturating_sub(account.len() as u64)),
            off_grid: sum(self.off_grid, later.off_grid),
            missing_bars: sum(self.missing_bars, later.missing_bars),
        }
    }

    /// What is to be said of an archive of which some rows gave way to better ones of other sources. The counts of rows
    /// stay those of the archive; what lacks is what lacks still.
    #[must_use]
    pub fn settled(&self, was: &Account, now: &Account) -> Quality {
        let mut quality = self.clone();
        let gained = |now: usize, was: usize| now as i64 - was as i64;
        if let (Some(now), Some(was), Some(missing)) =
            (now.trades(), was.trades(), self.missing_ids)
        {
            let missing = lacking(missing, now - was);
            quality.missing_ids = Some(missing);
            if missing == 0 {
                quality.id_gaps = Some(0);
            }
        }
        let rows = gained(now.len(), was.len());
        quality.missing_minutes = self.missing_minutes.map(|missing| lacking(missing, rows));
        quality.missing_bars = self.missing_bars.map(|missing| lacking(missing, rows));
        (quality.first_ts, quality.last_ts) = now.first_and_last().unzip();
        quality
    }
}

fn lacking(missing: u64, gained: i64) -> u64 {
    missing.saturating_add_signed(-gained)
}
