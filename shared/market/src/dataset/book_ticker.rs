//! `bookTicker`: every change of the best bid and ask.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// The best prices and what stands there. Ended in 2024. Source: `binance/binance-public-data` README.
pub const BOOK_TICKER: Dataset = Dataset {
    name: "bookTicker",
    table: "book_ticker",
    layouts: &[Layout {
        markets: &[Market::Um, Market::Cm],
        columns: columns![
            Id update_id: "number",
            Number best_bid_price: "quote units (cm: USD)",
            Number best_bid_qty: "base units (cm: contracts)",
            Number best_ask_price: "quote units (cm: USD)",
            Number best_ask_qty: "base units (cm: contracts)",
            Time transaction_time: "UTC",
            Time event_time: "UTC",
        ],
        time: 5,
    }],
    repeats: Repeats::TimeAndId,
};
