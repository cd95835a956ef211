//! `aggtrades_1m` and `factors_1h`.

use tapemill_market::{Factors, Minute};

use super::{Table, columns};

/// `aggtrades_1m`: one row per minute with at least one trade.
pub const MINUTES: Table<Minute> = Table {
    columns: columns![Minute:
        Time minute = minute_us,
        Count trade_count,
        Number base_volume,
        Number quote_volume,
        Number taker_buy_qty,
        Number taker_sell_qty,
        Number taker_buy_quote,
        Number taker_sell_quote,
        Number taker_buy_quote_sq,
        Number taker_sell_quote_sq,
        Count taker_buy_trade_count,
        Count taker_sell_trade_count,
        Number whale_buy_quote,
        Number whale_sell_quote,
        Number retail_buy_quote,
        Number retail_sell_quote,
        Time first_ts = first_ts_us,
        Number price_first,
        Time last_ts = last_ts_us,
        Number price_last,
        Number price_high,
        Number price_low,
        Count raw_trade_count,
    ],
};

/// `factors_1h`: one row per hour with at least one minute; `minute` is the hour's start.
pub const FACTORS: Table<Factors> = Table {
    columns: columns![Factors:
        Time minute = minute_us,
        Count trade_count,
        Number base_volume,
        Number quote_volume,
        Number taker_buy_qty,
        Number taker_sell_qty,
        Number taker_buy_quote,
        Number taker_sell_quote,
        Number taker_buy_quote_sq,
        Number taker_sell_quote_sq,
        Count taker_buy_trade_count,
        Count taker_sell_trade_count,
        Number whale_buy_quote,
        Number whale_sell_quote,
        Number retail_buy_quote,
        Number retail_sell_quote,
        Number price_open,
        Number price_close,
        Number price_high,
        Number price_low,
        Number cvd_qty,
        Number cvd_quote,
        MaybeNumber vwap,
        Number whale_cvd_quote,
        Number retail_cvd_quote,
        MaybeNumber avg_trade_quote,
        MaybeNumber avg_trade_base,
        MaybeNumber taker_buy_avg_trade_quote,
        MaybeNumber taker_sell_avg_trade_quote,
        MaybeNumber taker_buy_hhi_quote,
        MaybeNumber taker_sell_hhi_quote,
        MaybeNumber imbalance_ratio_quote,
        Number tw_cvd_quote_norm,
        Number price_change,
        MaybeNumber cvd_per_abs_price_change,
    ],
};
