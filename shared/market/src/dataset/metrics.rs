//! `metrics`: open interest and long/short ratios.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// One row per five minutes, some seconds late in places. Cells of a moment that was not measured are empty: null.
/// Source: `binance/binance-public-data` README.
pub const METRICS: Dataset = Dataset {
    name: "metrics",
    table: "metrics",
    layouts: &[Layout {
        markets: &[Market::Um, Market::Cm],
        columns: columns![
            Time create_time: "UTC",
            Symbol symbol: "",
            MaybeNumber sum_open_interest: "base units (cm: contracts)",
            MaybeNumber sum_open_interest_value: "quote units (cm: base units)",
            MaybeNumber count_toptrader_long_short_ratio: "accounts long ÷ short, top traders",
            MaybeNumber sum_toptrader_long_short_ratio: "positions long ÷ short, top traders",
            MaybeNumber count_long_short_ratio: "accounts long ÷ short, all traders",
            MaybeNumber sum_taker_long_short_vol_ratio: "taker volume bought ÷ sold",
        ],
        time: 0,
    }],
    repeats: Repeats::Time,
};
