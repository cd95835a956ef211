//! `trades`: every fill.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// Single fills, one row each. Source: `binance/binance-public-data` README.
pub const TRADES: Dataset = Dataset {
    name: "trades",
    table: "trades",
    layouts: &[
        Layout {
            markets: &[Market::Um],
            columns: columns![
                Id id: "number",
                Number price: "quote units",
                Number qty: "base units",
                Number quote_qty: "quote units",
                Time time: "UTC",
                Flag is_buyer_maker: "true where the taker sold",
            ],
            time: 4,
        },
        Layout {
            markets: &[Market::Cm],
            columns: columns![
                Id id: "number",
                Number price: "USD",
                Number qty: "contracts",
                Number base_qty: "base units",
                Time time: "UTC",
                Flag is_buyer_maker: "true where the taker sold",
            ],
            time: 4,
        },
        Layout {
            markets: &[Market::Spot],
            columns: columns![
                Id id: "number",
                Number price: "quote units",
                Number qty: "base units",
                Number quote_qty = quote_qty, quoteqty: "quote units",
                Time time: "UTC",
                Flag is_buyer_maker = is_buyer_maker, isbuyermaker: "true where the taker sold",
                Flag is_best_match = is_best_match, isbestmatch: "true where the price was the best",
            ],
            time: 4,
        },
    ],
    repeats: Repeats::Id,
};
