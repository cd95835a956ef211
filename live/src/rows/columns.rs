//! Columns of what has plain values.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use tapemill_capture::{Dataset, schema};
use tapemill_market::Interval;
use tapemill_stream::{Bar, BookTicker, Liquidation, MarkPrice, Trade};

use super::{Origin, Row, Sourced};

/// A batch of these columns; `None` where there are no rows.
pub(super) fn batch(dataset: Dataset, columns: Vec<ArrayRef>) -> Option<RecordBatch> {
    if columns.first().is_none_or(|column| column.is_empty()) {
        return None;
    }
    Some(RecordBatch::try_new(schema(dataset), columns).expect("columns are made to the schema"))
}

pub(super) fn same(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
        text, rows,
    )))
}

pub(super) fn received<'a>(origins: impl Iterator<Item = &'a Origin>) -> ArrayRef {
    let times = origins.map(|origin| origin.received_ns.div_euclid(1_000_000));
    Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// `received_ns`, `connection` and `extra`.
pub(super) fn ours<'a>(origins: impl Iterator<Item = &'a Origin> + Clone) -> [ArrayRef; 3] {
    let times = origins.clone().map(|origin| origin.received_ns);
    let connections = origins.clone().map(|origin| origin.connection);
    let extra = origins.map(|origin| origin.extra.as_deref());
    [
        Arc::new(Int64Array::from_iter_values(times)),
        Arc::new(connections.collect::<Int32Array>()),
        Arc::new(extra.collect::<StringArray>()),
    ]
}

/// Columns of rows by what each value is read from.
struct Columns<'a, E> {
    rows: &'a [Row<E>],
    symbols: &'a [String],
    columns: Vec<ArrayRef>,
}

impl<'a, E> Columns<'a, E> {
    fn of(rows: &'a [Row<E>], symbols: &'a [String], event_type: &str) -> Self {
        Self {
            rows,
            symbols,
            columns: vec![same(event_type, rows.len())],
        }
    }

    fn whole(mut self, of: impl Fn(&E) -> i64) -> Self {
        let values = self.rows.iter().map(|row| of(&row.event));
        self.columns
            .push(Arc::new(Int64Array::from_iter_values(values)));
        self
    }

    fn maybe_whole(mut self, of: impl Fn(&E) -> Option<i64>) -> Self {
        let values = self.rows.iter().map(|row| of(&row.event));
        self.columns.push(Arc::new(values.collect::<Int64Array>()));
        self
    }

    fn number(mut self, of: impl Fn(&E) -> f64) -> Self {
        let values = self.rows.iter().map(|row| of(&row.event));
        self.columns
            .push(Arc::new(Float64Array::from_iter_values(values)));
        self
    }

    fn maybe_number(mut self, of: impl Fn(&E) -> Option<f64>) -> Self {
        let values = self.rows.iter().map(|row| of(&row.event));
        self.columns
            .push(Arc::new(values.collect::<Float64Array>()));
        self
    }

    fn flag(mut self, of: impl Fn(&E) -> bool) -> Self {
        let values = self.rows.iter().map(|row| Some(of(&row.event)));
        self.columns
            .push(Arc::new(values.collect::<BooleanArray>()));
        self
    }

    fn text(mut self, of: impl Fn(&E) -> Option<&str>) -> Self {
        let values = self.rows.iter().map(|row| of(&row.event));
        self.columns.push(Arc::new(values.collect::<StringArray>()));
        self
    }

    fn same(mut self, text: &str) -> Self {
        self.columns.push(same(text, self.rows.len()));
        self
    }

    fn received(mut self) -> Self {
        self.columns
            .push(received(self.rows.iter().map(|row| &row.origin)));
        self
    }

    fn symbol(mut self) -> Self {
        let names = self.rows.iter().map(|row| &self.symbols[row.symbol]);
        self.columns
            .push(Arc::new(StringArray::from_iter_values(names)));
        self
    }

    fn batch(mut self, dataset: Dataset) -> Option<RecordBatch> {
        let origins = self.rows.iter().map(|row| &row.origin);
        self.columns.extend(ours(origins));
        batch(dataset, self.columns)
    }
}

pub(super) fn trades(rows: &[Row<Sourced>], symbols: &[String]) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "aggTrade")
        .whole(|row| row.trade.event_ms)
        .whole(|row| row.trade.trade_ms)
        .received()
        .symbol()
        .whole(|row| row.trade.agg_id)
        .number(|row| row.trade.price)
        .number(|row| row.trade.quantity)
        .whole(|row| row.trade.first_trade_id)
        .whole(|row| row.trade.last_trade_id)
        .flag(|row| row.trade.is_buyer_maker)
        .text(|row| Some(if row.is_asked { "rest" } else { "ws" }))
        .batch(Dataset::Trades)
}

pub(super) fn raw_trades(rows: &[Row<Trade>], symbols: &[String]) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "trade")
        .whole(|row| row.event_ms)
        .whole(|row| row.trade_ms)
        .received()
        .symbol()
        .whole(|row| row.trade_id)
        .number(|row| row.price)
        .number(|row| row.quantity)
        .flag(|row| row.is_buyer_maker)
        .text(|row| row.order_type.as_deref())
        .batch(Dataset::RawTrades)
}

pub(super) fn book_ticker(rows: &[Row<BookTicker>], symbols: &[String]) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "bookTicker")
        .maybe_whole(|row| row.event_ms)
        .maybe_whole(|row| row.transaction_ms)
        .received()
        .symbol()
        .whole(|row| row.update_id)
        .number(|row| row.bid_price)
        .number(|row| row.bid_quantity)
        .number(|row| row.ask_price)
        .number(|row| row.ask_quantity)
        .batch(Dataset::BookTicker)
}

pub(super) fn mark_price(rows: &[Row<MarkPrice>], symbols: &[String]) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "markPriceUpdate")
        .whole(|row| row.event_ms)
        .received()
        .symbol()
        .number(|row| row.mark_price)
        .maybe_number(|row| row.index_price)
        .maybe_number(|row| row.settle_price)
        .maybe_number(|row| row.funding_rate)
        .maybe_whole(|row| row.next_funding_ms)
        .batch(Dataset::MarkPrice)
}

pub(super) fn klines(
    rows: &[Row<Bar>],
    symbols: &[String],
    interval: Interval,
) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "kline")
        .whole(|row| row.event_ms)
        .received()
        .symbol()
        .whole(|row| row.open_ms)
        .whole(|row| row.close_ms)
        .same(interval.as_str())
        .whole(|row| row.first_trade_id)
        .whole(|row| row.last_trade_id)
        .number(|row| row.open)
        .number(|row| row.high)
        .number(|row| row.low)
        .number(|row| row.close)
        .number(|row| row.volume)
        .whole(|row| row.trades)
        .flag(|row| row.is_closed)
        .number(|row| row.quote_volume)
        .number(|row| row.taker_buy_volume)
        .number(|row| row.taker_buy_quote_volume)
        .batch(Dataset::Klines(interval))
}

pub(super) fn liquidations(rows: &[Row<Liquidation>], symbols: &[String]) -> Option<RecordBatch> {
    Columns::of(rows, symbols, "forceOrder")
        .whole(|row| row.event_ms)
        .whole(|row| row.trade_ms)
        .received()
        .symbol()
        .text(|row| Some(&row.side))
        .text(|row| Some(&row.order_type))
        .text(|row| Some(&row.time_in_force))
        .number(|row| row.quantity)
        .number(|row| row.price)
        .number(|row| row.average_price)
        .text(|row| Some(&row.status))
        .number(|row| row.last_quantity)
        .number(|row| row.filled_quantity)
        .batch(Dataset::Liquidations)
}
