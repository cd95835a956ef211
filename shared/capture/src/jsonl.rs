//! Rows stored as JSON lines.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tapemill_book::DepthRow;
use tapemill_lake::{Lake, LakePath, Result};
use tapemill_market::Market;

use crate::columns::{is_price, is_quantity};
use crate::reader::{AggTradeRow, TradeRow, ids, levels};

/// The longest line that is read: a snapshot of 5000 levels a side has 400 kB.
const LONGEST_LINE: u64 = 16 << 20;

#[derive(Debug, Deserialize)]
struct Level {
    price: f64,
    qty: f64,
}

/// A row of an order book.
#[derive(Debug, Deserialize)]
pub(crate) struct DepthLine {
    pub symbol: String,
    event_time: i64,
    first_update_id: i64,
    final_update_id: i64,
    prev_final_update_id: i64,
    is_snapshot: bool,
    bids: Vec<Level>,
    asks: Vec<Level>,
    transaction_time: Option<i64>,
    received_time: Option<String>,
    received_ns: Option<i64>,
}

impl DepthLine {
    /// Gives the row.
    pub fn row<T>(&self, market: Market, take: &mut dyn FnMut(&DepthRow<'_>) -> T) -> T {
        let split = |side: &[Level]| -> (Vec<f64>, Vec<f64>) {
            side.iter().map(|level| (level.price, level.qty)).unzip()
        };
        let (bids, asks) = (split(&self.bids), split(&self.asks));
        let (first, last) = (self.first_update_id, self.final_update_id);
        take(&DepthRow {
            ids: ids(
                market,
                first,
                last,
                self.prev_final_update_id,
                self.event_time,
            ),
            is_snapshot: self.is_snapshot,
            transaction_ms: self.transaction_time,
            received_ns: received(
                self.received_ns,
                self.received_time.as_deref(),
                self.event_time,
            ),
            bids: levels(&bids.0, &bids.1),
            asks: levels(&asks.0, &asks.1),
        })
    }
}

/// A row of trades.
#[derive(Debug, Deserialize)]
pub(crate) struct TradeLine {
    pub symbol: String,
    trade_time: i64,
    #[serde(alias = "agg_id")]
    trade_id: i64,
    price: f64,
    qty: f64,
    is_buyer_maker: bool,
    received_time: Option<String>,
    received_ns: Option<i64>,
}

impl TradeLine {
    /// The row.
    pub fn row(&self) -> TradeRow {
        TradeRow {
            id: self.trade_id,
            trade_ms: self.trade_time,
            received_ns: received(
                self.received_ns,
                self.received_time.as_deref(),
                self.trade_time,
            ),
            price: self.price,
            quantity: self.qty,
            is_buyer_maker: self.is_buyer_maker,
        }
    }
}

/// A row of aggregated trades.
#[derive(Debug, Deserialize)]
pub(crate) struct AggTradeLine {
    pub symbol: String,
    trade_time: i64,
    agg_id: i64,
    price: f64,
    qty: f64,
    first_trade_id: i64,
    last_trade_id: i64,
    is_buyer_maker: bool,
}

impl AggTradeLine {
    /// The row.
    pub fn row(&self) -> AggTradeRow {
        AggTradeRow {
            id: self.agg_id,
            trade_ms: self.trade_time,
            price: self.price,
            quantity: self.qty,
            first_trade_id: self.first_trade_id,
            last_trade_id: self.last_trade_id,
            is_buyer_maker: self.is_buyer_maker,
        }
    }
}

impl Line for AggTradeLine {
    fn can_be(&self) -> bool {
        is_price(self.price) && is_quantity(self.qty)
    }
}

/// The symbol of any row.
#[derive(Debug, Deserialize)]
pub(crate) struct SymbolLine {
    pub symbol: String,
}

impl Line for SymbolLine {
    fn can_be(&self) -> bool {
        true
    }
}

/// A row that tells whether it can be.
pub(crate) trait Line: DeserializeOwned {
    fn can_be(&self) -> bool;
}

impl Line for DepthLine {
    fn can_be(&self) -> bool {
        let mut levels = self.bids.iter().chain(&self.asks);
        levels.all(|level| is_price(level.price) && is_quantity(level.qty))
    }
}

impl Line for TradeLine {
    fn can_be(&self) -> bool {
        is_price(self.price) && is_quantity(self.qty)
    }
}

/// When a row came, in nanoseconds; when it happened where nothing tells.
fn received(nanoseconds: Option<i64>, iso: Option<&str>, event_ms: i64) -> i64 {
    let of_text = || {
        let time: jiff::Timestamp = iso?.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok()
    };
    nanoseconds
        .or_else(of_text)
        .unwrap_or(event_ms.saturating_mul(1_000_000))
}

/// Reads a file line by line until `take` breaks. A last line without an end is still being written, or was never finished:
/// it is no row.
pub(crate) fn each_line<L: Line>(
    lake: &Lake,
    path: &LakePath,
    take: &mut dyn FnMut(&L) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut bytes = BufReader::with_capacity(1 << 20, lake.bytes_of(path)?);
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        number += 1;
        line.clear();
        let problem = |problem: &dyn std::fmt::Display| {
            lake.damaged(path, &format!("line {number}: {problem}"))
        };
        let mut limited = bytes.by_ref().take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut line);
        read.map_err(|error| problem(&error))?;
        if line.pop() != Some(b'\n') {
            if line.len() as u64 + 1 >= LONGEST_LINE {
                return Err(problem(&"it is too long for a row"));
            }
            return Ok(ControlFlow::Continue(()));
        }
        let row: L = serde_json::from_slice(&line).map_err(|error| problem(&error))?;
        if !row.can_be() {
            return Err(problem(&"it has a price or quantity that cannot be"));
        }
        if take(&row).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}
