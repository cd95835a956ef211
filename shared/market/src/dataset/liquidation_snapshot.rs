//! `liquidationSnapshot`: forced orders.

use super::{Dataset, Layout, Repeats, columns};
use crate::Market;

/// At most one liquidation order a second and symbol. Ended in 2024. The archive holds every row twice; one of them is
/// kept. Source: `binance/binance-public-data` README.
pub const LIQUIDATION_SNAPSHOT: Dataset = Dataset {
    name: "liquidationSnapshot",
    table: "liquidation_snapshot",
    layouts: &[Layout {
        markets: &[Market::Um, Market::Cm],
        columns: columns![
            Time time: "UTC",
            Word side: "BUY or SELL",
            Word order_type: "",
            Word time_in_force: "",
            Number original_quantity: "base units (cm: contracts)",
            Number price: "quote units (cm: USD)",
            Number average_price: "quote units (cm: USD)",
            Word order_status: "",
            Number last_fill_quantity: "base units (cm: contracts)",
            Number accumulated_fill_quantity: "base units (cm: contracts)",
        ],
        time: 0,
    }],
    repeats: Repeats::Row,
};
