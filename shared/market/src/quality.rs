//! What was seen in an archive beside the rows that were used.

use serde::Serialize;

/// Counts of everything unusual in one archive: the file's `tapemill.quality`.
///
/// Every row is counted once: used, or in one of `duplicates`, `contradictions`, `zero_quantity`, `out_of_period`.
/// Times are UTC microseconds; what has no meaning for a kind of data is null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
