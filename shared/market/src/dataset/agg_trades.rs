//! `aggTrades:raw`: every aggregate trade as it is, beside the minutes made of them.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// Fills of one taker order at one price and moment, one row each. Source: `binance/binance-public-data` README.
pub const AGG_TRADES: Dataset = Dataset {
    name: "aggTrades",
    table: "aggtrades",
    layouts: &[
        Layout {
            markets: &[Market::Um, Market::Cm],
            columns: columns![
                Id agg_trade_id: "number",
                Number price: "quote units (cm: USD)",
                Number quantity: "base units (cm: contracts)",
                Count first_trade_id: "number",
                Count last_trade_id: "number",
                Time transact_time: "UTC",
                Flag is_buyer_maker: "true where the taker sold",
            ],
            time: 5,
        },
        Layout {
            markets: &[Market::Spot],
            columns: columns![
                Id agg_trade_id: "number",
                Number price: "quote units",
                Number quantity: "base units",
                Count first_trade_id: "number",
                Count last_trade_id: "number",
                Time transact_time: "UTC",
                Flag is_buyer_maker: "true where the taker sold",
                Flag is_best_match: "true where the price was the best",
            ],
            time: 5,
        },
    ],
    repeats: Repeats::Id,
};
