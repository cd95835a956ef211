//! `fundingRate`: what longs paid shorts.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// One row per funding of a perpetual. Times are milliseconds late as the exchange has them (0 to 13 ms past the hour).
/// Source: `binance/binance-public-data` README.
pub const FUNDING_RATE: Dataset = Dataset {
    name: "fundingRate",
    table: "funding_rate",
    layouts: &[Layout {
        markets: &[Market::Um, Market::Cm],
        columns: columns![
            Time funding_time = calc_time: "UTC",
            Count funding_interval_hours: "hours",
            Number funding_rate = last_funding_rate: "fraction of the position's value",
        ],
        time: 0,
    }],
    repeats: Repeats::Time,
};
