//! `klines_I` and `klines_1h_from_1m`.

use tapemill_market::{Kline, Market};

use super::{Table, columns};

/// Klines of spot and um: volumes in base units, quote volumes in quote units.
pub const KLINES: Table<Kline> = Table {
    columns: columns![Kline:
        Time open_time = open_time_us,
        Number open,
        Number high,
        Number low,
        Number close,
        Number volume,
        Time close_time = close_time_us,
        Number quote_volume,
        Count trades,
        Number taker_buy_volume,
        Number taker_buy_quote_volume,
    ],
};

/// Klines of cm: `volume` counts contracts, and what other markets call quote volume is in base units.
pub const COIN_KLINES: Table<Kline> = Table {
    columns: columns![Kline:
        Time open_time = open_time_us,
        Number open,
        Number high,
        Number low,
        Number close,
        Number volume,
        Time close_time = close_time_us,
        Number base_volume = quote_volume,
        Count trades,
        Number taker_buy_volume,
        Number taker_buy_base_volume = taker_buy_quote_volume,
    ],
};

/// The klines table of a market.
pub fn klines(market: Market) -> &'static Table<Kline> {
    match market {
        Market::Um | Market::Spot => &KLINES,
        Market::Cm => &COIN_KLINES,
    }
}
