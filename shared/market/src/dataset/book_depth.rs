//! `bookDepth`: cumulative bands of the book, not an order book.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// What lies in the book up to a distance from the mid price, on one side of it. Source: `binance/binance-public-data`
/// README.
pub const BOOK_DEPTH: Dataset = Dataset {
    name: "bookDepth",
    table: "book_depth",
    layouts: &[Layout {
        markets: &[Market::Um, Market::Cm],
        columns: columns![
            Time timestamp: "UTC",
            Number percentage: "per cent from the mid price, negative below it",
            Number depth: "base units (cm: contracts)",
            Number notional: "quote units (cm: base units)",
        ],
        time: 0,
    }],
    repeats: Repeats::Row,
};
