//! Rows of order books: levels of all of them behind each other, as the column has them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use tapemill_capture::{Dataset, level_field, level_fields};
use tapemill_stream::{DepthUpdate, Level, Snapshot};

use super::Origin;
use super::columns::{batch, ours, received};

/// The levels of one side of all rows.
#[derive(Debug, Default)]
struct Side {
    prices: Vec<f64>,
    quantities: Vec<f64>,
    /// Where each row's levels end.
    ends: Vec<i32>,
}

impl Side {
    fn add(&mut self, levels: &[Level]) {
        self.prices.extend(levels.iter().map(|level| level.price));
        self.quantities
            .extend(levels.iter().map(|level| level.quantity));
        self.ends.push(self.prices.len() as i32);
    }

    fn column(&mut self) -> ArrayRef {
        let values: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(std::mem::take(&mut self.prices))),
            Arc::new(Float64Array::from(std::mem::take(&mut self.quantities))),
        ];
        let levels = StructArray::new(level_fields(), values, None);
        let offsets: ScalarBuffer<i32> = [0]
            .into_iter()
            .chain(std::mem::take(&mut self.ends))
            .collect();
        let list = ListArray::new(
            Arc::new(level_field()),
            OffsetBuffer::new(offsets),
            Arc::new(levels),
            None,
        );
        Arc::new(list)
    }
}

#[derive(Debug, Clone)]
struct Head {
    symbol: usize,
    origin: Origin,
    event_ms: i64,
    transaction_ms: Option<i64>,
    first_id: i64,
    last_id: i64,
    previous_id: i64,
    is_snapshot: bool,
}

/// Updates and snapshots.
#[derive(Debug, Default)]
pub(super) struct Books {
    heads: Vec<Head>,
    bids: Side,
    asks: Side,
}

impl Books {
    pub fn update(&mut self, symbol: usize, update: &DepthUpdate, origin: Origin) {
        self.bids.add(&update.bids);
        self.asks.add(&update.asks);
        self.heads.push(Head {
            symbol,
            origin,
            event_ms: update.event_ms,
            transaction_ms: update.transaction_ms,
            first_id: update.first_id,
            last_id: update.last_id,
            previous_id: update.previous_id.unwrap_or(update.first_id - 1),
            is_snapshot: false,
        });
    }

    pub fn snapshot(&mut self, symbol: usize, snapshot: &Snapshot, event_ms: i64, origin: Origin) {
        self.bids.add(&snapshot.bids);
        self.asks.add(&snapshot.asks);
        self.heads.push(Head {
            symbol,
            origin,
            event_ms,
            transaction_ms: None,
            first_id: snapshot.last_id,
            last_id: snapshot.last_id,
            previous_id: snapshot.last_id - 1,
            is_snapshot: true,
        });
    }

    pub fn batch(&mut self, symbols: &[String]) -> Option<RecordBatch> {
        let heads = std::mem::take(&mut self.heads);
        let whole = |of: fn(&Head) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(heads.iter().map(of)))
        };
        let types = heads.iter().map(|head| match head.is_snapshot {
            true => "snapshot",
            false => "depthUpdate",
        });
        let names = heads.iter().map(|head| &symbols[head.symbol]);
        let snapshots = heads.iter().map(|head| Some(head.is_snapshot));
        let transactions = heads.iter().map(|head| head.transaction_ms);
        let origins = heads.iter().map(|head| &head.origin);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(types)),
            whole(|head| head.event_ms),
            received(origins.clone()),
            Arc::new(StringArray::from_iter_values(names)),
            whole(|head| head.first_id),
            whole(|head| head.last_id),
            whole(|head| head.previous_id),
            Arc::new(snapshots.collect::<BooleanArray>()),
            self.bids.column(),
            self.asks.column(),
            Arc::new(transactions.collect::<Int64Array>()),
        ];
        columns.extend(ours(origins));
        batch(Dataset::OrderBook, columns)
    }
}
