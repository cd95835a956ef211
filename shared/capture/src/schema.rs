//! The columns of each dataset of a capture.
//!
//! First come the columns that captures of this layout have always had, in their order and types; ours follow, so that
//! older readers find what they know. Every column may be null in Parquet's eyes; the list below says which ones are.
//!
//! * Times ending in `_time` are the exchange's milliseconds, but `received_time` is when the row came by the local
//!   clock, in UTC; `received_ns` is the same in nanoseconds since the epoch.
//! * `connection` numbers the session's connections; rows that were fetched have none.
//! * `extra` is JSON: fields of the frame that no column holds. Mostly null.
//! * Levels are `{price, qty}` from the best on; a quantity of 0 removes the level.
//!
//! | dataset | columns before `received_ns, connection, extra`; `?` may be null |
//! | --- | --- |
//! | `orderbook` | event_type (`depthUpdate`, `snapshot`), event_time, received_time, symbol, first_update_id, final_update_id, prev_final_update_id, is_snapshot, bids, asks, transaction_time? |
//! | `trades` | event_type, event_time, trade_time, received_time, symbol, agg_id, price, qty, first_trade_id, last_trade_id, is_buyer_maker, source (`ws`, `rest`) |
//! | `raw_trades` | event_type, event_time, trade_time, received_time, symbol, trade_id, price, qty, is_buyer_maker, order_type? |
//! | `book_ticker` | event_type, event_time?, transaction_time?, received_time, symbol, update_id, bid_price, bid_qty, ask_price, ask_qty |
//! | `mark_price` | event_type, event_time, received_time, symbol, mark_price, index_price, settle_price?, funding_rate?, next_funding_time |
//! | `klines_{I}_live` | event_type, event_time, received_time, symbol, open_time, close_time, interval, first_trade_id, last_trade_id, open, high, low, close, volume, trades, is_closed, quote_volume, taker_buy_volume, taker_buy_quote_volume |
//! | `liquidations` | event_type, event_time, trade_time, received_time, symbol, side, order_type, time_in_force, qty, price, avg_price, status, last_qty, filled_qty |
//!
//! `ledger` has columns of its own and none of those three behind: event_type, event_time (by the local clock),
//! received_time, market, symbol?, stream?, session, generation?, connection?, cause?, after_id?, before_id?,
//! after_time?, before_time?, missing?, filled?, detail? (JSON).

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::dataset::Dataset;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Whole,
    Small,
    Number,
    Flag,
    Received,
    Levels,
}

use Kind::{Flag, Levels, Number, Received, Small, Text, Whole};

const EVENT: [(&str, Kind); 2] = [("event_type", Text), ("event_time", Whole)];

const OURS: [(&str, Kind); 3] = [
    ("received_ns", Whole),
    ("connection", Small),
    ("extra", Text),
];

const ORDER_BOOK: &[(&str, Kind)] = &[
    ("received_time", Received),
    ("symbol", Text),
    ("first_update_id", Whole),
    ("final_update_id", Whole),
    ("prev_final_update_id", Whole),
    ("is_snapshot", Flag),
    ("bids", Levels),
    ("asks", Levels),
    ("transaction_time", Whole),
];

const TRADES: &[(&str, Kind)] = &[
    ("trade_time", Whole),
    ("received_time", Received),
    ("symbol", Text),
    ("agg_id", Whole),
    ("price", Number),
    ("qty", Number),
    ("first_trade_id", Whole),
    ("last_trade_id", Whole),
    ("is_buyer_maker", Flag),
    ("source", Text),
];

const RAW_TRADES: &[(&str, Kind)] = &[
    ("trade_time", Whole),
    ("received_time", Received),
    ("symbol", Text),
    ("trade_id", Whole),
    ("price", Number),
    ("qty", Number),
    ("is_buyer_maker", Flag),
    ("order_type", Text),
];

const BOOK_TICKER: &[(&str, Kind)] = &[
    ("transaction_time", Whole),
    ("received_time", Received),
    ("symbol", Text),
    ("update_id", Whole),
    ("bid_price", Number),
    ("bid_qty", Number),
    ("ask_price", Number),
    ("ask_qty", Number),
];

const MARK_PRICE: &[(&str, Kind)] = &[
    ("received_time", Received),
    ("symbol", Text),
    ("mark_price", Number),
    ("index_price", Number),
    ("settle_price", Number),
    ("funding_rate", Number),
    ("next_funding_time", Whole),
];

const KLINES: &[(&str, Kind)] = &[
    ("received_time", Received),
    ("symbol", Text),
    ("open_time", Whole),
    ("close_time", Whole),
    ("interval", Text),
    ("first_trade_id", Whole),
    ("last_trade_id", Whole),
    ("open", Number),
    ("high", Number),
    ("low", Number),
    ("close", Number),
    ("volume", Number),
    ("trades", Whole),
    ("is_closed", Flag),
    ("quote_volume", Number),
    ("taker_buy_volume", Number),
    ("taker_buy_quote_volume", Number),
];

const LIQUIDATIONS: &[(&str, Kind)] = &[
    ("trade_time", Whole),
    ("received_time", Received),
    ("symbol", Text),
    ("side", Text),
    ("order_type", Text),
    ("time_in_force", Text),
    ("qty", Number),
    ("price", Number),
    ("avg_price", Number),
    ("status", Text),
    ("last_qty", Number),
    ("filled_qty", Number),
];

const LEDGER: &[(&str, Kind)] = &[
    ("received_time", Received),
    ("market", Text),
    ("symbol", Text),
    ("stream", Text),
    ("session", Text),
    ("generation", Whole),
    ("connection", Small),
    ("cause", Text),
    ("after_id", Whole),
    ("before_id", Whole),
    ("after_time", Whole),
    ("before_time", Whole),
    ("missing", Whole),
    ("filled", Whole),
    ("detail", Text),
];

/// The Arrow schema of a dataset, in the order of its columns.
///
/// Whole numbers are int64, `connection` is int32, `received_time` is timestamp[ms, UTC], levels are
/// list<element: struct<price: float64, qty: float64>>.
pub fn schema(dataset: Dataset) -> SchemaRef {
    let (columns, ours): (&[_], &[_]) = match dataset {
        Dataset::OrderBook => (ORDER_BOOK, &OURS),
        Dataset::Trades => (TRADES, &OURS),
        Dataset::RawTrades => (RAW_TRADES, &OURS),
        Dataset::BookTicker => (BOOK_TICKER, &OURS),
        Dataset::MarkPrice => (MARK_PRICE, &OURS),
        Dataset::Klines(_) => (KLINES, &OURS),
        Dataset::Liquidations => (LIQUIDATIONS, &OURS),
        Dataset::Ledger => (LEDGER, &[]),
    };
    let columns = EVENT.iter().chain(columns).chain(ours);
    let fields = columns.map(|&(name, kind)| Field::new(name, data_type(kind), true));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// The two fields of a level, `price` and `qty`.
pub fn level_fields() -> Fields {
    Fields::from(vec![
        Field::new("price", DataType::Float64, true),
        Field::new("qty", DataType::Float64, true),
    ])
}

/// The field of a list of levels. Its name is the one that the Parquet format asks for, and pyarrow writes.
pub fn level_field() -> Field {
    Field::new("element", DataType::Struct(level_fields()), true)
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Text => DataType::Utf8,
        Whole => DataType::Int64,
        Small => DataType::Int32,
        Number => DataType::Float64,
        Flag => DataType::Boolean,
        Received => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        Levels => DataType::List(Arc::new(level_field())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_books_and_trades_begin_with_the_columns_older_readers_know() {
        let names = |dataset| -> Vec<String> {
            let schema = schema(dataset);
            schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect()
        };

        let book = names(Dataset::OrderBook);
        let trades = names(Dataset::Trades);

        assert_eq!(
            book[..10],
            [
                "event_type",
                "event_time",
                "received_time",
                "symbol",
                "first_update_id",
                "final_update_id",
                "prev_final_update_id",
                "is_snapshot",
                "bids",
                "asks"
            ]
        );
        assert_eq!(
            trades[..11],
            [
                "event_type",
                "event_time",
                "trade_time",
                "received_time",
                "symbol",
                "agg_id",
                "price",
                "qty",
                "first_trade_id",
                "last_trade_id",
                "is_buyer_maker"
            ]
        );
        assert_eq!(
            book[10..],
            ["transaction_time", "received_ns", "connection", "extra"]
        );
        assert_eq!(
            trades[11..],
            ["source", "received_ns", "connection", "extra"]
        );
    }
}
