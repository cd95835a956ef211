//! The rows of captures, in the order they came.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use arrow_array::Array;
use tapemill_book::{DepthRow, Levels};
use tapemill_lake::{Lake, Result};
use tapemill_market::{Market, Symbol};
use tapemill_stream::Ids;

use crate::columns::Columns;
use crate::files::CaptureFile;
use crate::jsonl;
use crate::names::Format;

/// The symbols whose rows are wanted, by their place in a list.
#[derive(Debug, Clone)]
pub struct Wanted {
    places: HashMap<String, usize>,
}

impl Wanted {
    /// These symbols.
    pub fn new(symbols: &[Symbol]) -> Self {
        let symbols = symbols.iter().map(|symbol| symbol.as_str().to_owned());
        Self {
            places: symbols.zip(0..).collect(),
        }
    }

    fn place(&self, symbol: &str) -> Option<usize> {
        self.places.get(symbol).copied()
    }
}

/// The place of a row's symbol; rows of one symbol often follow each other.
struct Places<'a> {
    wanted: &'a Wanted,
    last: String,
    place: Option<usize>,
}

impl<'a> Places<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            last: String::new(),
            place: None,
        }
    }

    fn of(&mut self, symbol: &str) -> Option<usize> {
        if symbol != self.last {
            symbol.clone_into(&mut self.last);
            self.place = self.wanted.place(symbol);
        }
        self.place
    }
}

/// One trade, aggregated or single.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TradeRow {
    /// Its id.
    pub id: i64,
    /// The exchange's time of the trade in milliseconds.
    pub trade_ms: i64,
    /// When it came by the local clock, in nanoseconds.
    pub received_ns: i64,
    /// Its price.
    pub price: f64,
    /// Its quantity.
    pub quantity: f64,
    /// Whether the maker bought, so that the taker sold.
    pub is_buyer_maker: bool,
}

/// One aggregated trade, with all that the archive's row of it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AggTradeRow {
    /// Its id.
    pub id: i64,
    /// The exchange's time of the trade in milliseconds.
    pub trade_ms: i64,
    /// Its price.
    pub price: f64,
    /// Its quantity.
    pub quantity: f64,
    /// Id of the first trade in it.
    pub first_trade_id: i64,
    /// Id of the last trade in it.
    pub last_trade_id: i64,
    /// Whether the maker bought, so that the taker sold.
    pub is_buyer_maker: bool,
}

const DEPTH: [&str; 11] = [
    "event_time",
    "received_time",
    "symbol",
    "first_update_id",
    "final_update_id",
    "prev_final_update_id",
    "is_snapshot",
    "bids",
    "asks",
    "transaction_time",
    "received_ns",
];

/// Gives the rows of a file of order books to `take`, with the place of their symbol in the list, until it breaks.
///
/// # Errors
///
/// As [`Lake::open_capture`] and [`Lake::bytes_of`]; rows that cannot be make the file damaged.
pub fn depth_rows(
    lake: &Lake,
    file: &CaptureFile,
    market: Market,
    wanted: &Wanted,
    take: &mut dyn FnMut(usize, &DepthRow<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut places = Places::new(wanted);
    if file.format == Format::Jsonl {
        return jsonl::each_line::<jsonl::DepthLine>(lake, &file.path, &mut |line| {
            let Some(place) = places.of(&line.symbol) else {
                return ControlFlow::Continue(());
            };
            line.row(market, &mut |row| take(place, row))
        });
    }
    for batch in lake.open_capture(&file.path)?.batches(&DEPTH)? {
        let batch = batch?;
        let done = depth_batch(&Columns(&batch), market, &mut places, take);
        let done = done.map_err(|problem| lake.damaged(&file.path, &problem))?;
        if done.is_break() {
            return Ok(done);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn depth_batch(
    columns: &Columns<'_>,
    market: Market,
    places: &mut Places<'_>,
    take: &mut dyn FnMut(usize, &DepthRow<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let event_time = columns.whole("event_time")?;
    let symbols = columns.text("symbol")?;
    let first = columns.whole("first_update_id")?;
    let last = columns.whole("final_update_id")?;
    let previous = columns.whole("prev_final_update_id")?;
    let is_snapshot = columns.flags("is_snapshot")?;
    let (bids, asks) = (columns.levels("bids")?, columns.levels("asks")?);
    let transaction = columns.maybe_whole("transaction_time")?;
    let received = columns.received()?;
    for row in 0..event_time.len() {
        let Some(place) = places.of(symbols.value(row)) else {
            continue;
        };
        let stored = DepthRow {
            ids: ids(
                market,
                first[row],
                last[row],
                previous[row],
                event_time[row],
            ),
            is_snapshot: is_snapshot.value(row),
            transaction_ms: transaction
                .and_then(|column| column.is_valid(row).then(|| column.value(row))),
            received_ns: received.at(row, event_time[row]),
            bids: bids.at(row),
            asks: asks.at(row),
        };
        if take(place, &stored).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The ids of a row. Spot names no update before: what stands there was reckoned.
pub(crate) fn ids(market: Market, first: i64, last: i64, previous: i64, event_ms: i64) -> Ids {
    Ids {
        first,
        last,
        previous: (market != Market::Spot).then_some(previous),
        event_ms,
    }
}

/// Gives the rows of a file of trades to `take`, with the place of their symbol in the list. `id` is the column of their
/// ids: `agg_id` or `trade_id`.
///
/// # Errors
///
/// As [`depth_rows`].
pub fn trade_rows(
    lake: &Lake,
    file: &CaptureFile,
    id: &str,
    wanted: &Wanted,
    take: &mut dyn FnMut(usize, &TradeRow),
) -> Result<()> {
    let mut places = Places::new(wanted);
    if file.format == Format::Jsonl {
        let read = jsonl::each_line::<jsonl::TradeLine>(lake, &file.path, &mut |line| {
            if let Some(place) = places.of(&line.symbol) {
                take(place, &line.row());
            }
            ControlFlow::Continue(())
        });
        return read.map(|_| ());
    }
    let columns = [
        "trade_time",
        "received_time",
        "symbol",
        id,
        "price",
        "qty",
        "is_buyer_maker",
        "received_ns",
    ];
    for batch in lake.open_capture(&file.path)?.batches(&columns)? {
        let batch = batch?;
        trade_batch(&Columns(&batch), id, &mut places, take)
            .map_err(|problem| lake.damaged(&file.path, &problem))?;
    }
    Ok(())
}

fn trade_batch(
    columns: &Columns<'_>,
    id: &str,
    places: &mut Places<'_>,
    take: &mut dyn FnMut(usize, &TradeRow),
) -> Result<(), String> {
    let trade_time = columns.whole("trade_time")?;
    let symbols = columns.text("symbol")?;
    let ids = columns.whole(id)?;
    let (prices, quantities) = (columns.numbers("price")?, columns.numbers("qty")?);
    let is_buyer_maker = columns.flags("is_buyer_maker")?;
    let received = columns.received()?;
    for row in 0..trade_time.len() {
        let Some(place) = places.of(symbols.value(row)) else {
            continue;
        };
        let trade = TradeRow {
            id: ids[row],
            trade_ms: trade_time[row],
            received_ns: received.at(row, trade_time[row]),
            price: prices[row],
            quantity: quantities[row],
            is_buyer_maker: is_buyer_maker.value(row),
        };
        take(place, &trade);
    }
    Ok(())
}

/// Gives the ids and times (milliseconds) of a file's aggregated trades of one symbol to `take`.
///
/// # Errors
///
/// As [`depth_rows`].
pub(crate) fn agg_trade_ids(
    lake: &Lake,
    file: &CaptureFile,
    symbol: &Symbol,
    take: &mut dyn FnMut(i64, i64),
) -> Result<()> {
    if file.format == Format::Jsonl {
        return agg_trade_rows(lake, file, symbol, &mut |row| take(row.id, row.trade_ms));
    }
    let columns = ["trade_time", "symbol", "agg_id"];
    for batch in lake.open_capture(&file.path)?.batches(&columns)? {
        let batch = batch?;
        let columns = Columns(&batch);
        let read = || {
            let times = columns.whole("trade_time")?;
            Ok((times, columns.text("symbol")?, columns.whole("agg_id")?))
        };
        let (times, symbols, ids) =
            read().map_err(|problem: String| lake.damaged(&file.path, &problem))?;
        for row in 0..times.len() {
            if symbols.value(row) == symbol.as_str() {
                take(ids[row], times[row]);
            }
        }
    }
    Ok(())
}

/// Gives a file's aggregated trades of one symbol to `take`, in the file's order.
///
/// # Errors
///
/// As [`depth_rows`].
pub fn agg_trade_rows(
    lake: &Lake,
    file: &CaptureFile,
    symbol: &Symbol,
    take: &mut dyn FnMut(&AggTradeRow),
) -> Result<()> {
    if file.format == Format::Jsonl {
        let read = jsonl::each_line::<jsonl::AggTradeLine>(lake, &file.path, &mut |line| {
            if line.symbol == symbol.as_str() {
                take(&line.row());
            }
            ControlFlow::Continue(())
        });
        return read.map(|_| ());
    }
    let columns = [
        "trade_time",
        "symbol",
        "agg_id",
        "price",
        "qty",
        "first_trade_id",
        "last_trade_id",
        "is_buyer_maker",
    ];
    for batch in lake.open_capture(&file.path)?.batches(&columns)? {
        let batch = batch?;
        agg_trade_batch(&Columns(&batch), symbol, take)
            .map_err(|problem| lake.damaged(&file.path, &problem))?;
    }
    Ok(())
}

fn agg_trade_batch(
    columns: &Columns<'_>,
    symbol: &Symbol,
    take: &mut dyn FnMut(&AggTradeRow),
) -> Result<(), String> {
    let trade_time = columns.whole("trade_time")?;
    let symbols = columns.text("symbol")?;
    let ids = columns.whole("agg_id")?;
    let (prices, quantities) = (columns.numbers("price")?, columns.numbers("qty")?);
    let first = columns.whole("first_trade_id")?;
    let last = columns.whole("last_trade_id")?;
    let is_buyer_maker = columns.flags("is_buyer_maker")?;
    for row in 0..trade_time.len() {
        if symbols.value(row) == symbol.as_str() {
            take(&AggTradeRow {
                id: ids[row],
                trade_ms: trade_time[row],
                price: prices[row],
                quantity: quantities[row],
                first_trade_id: first[row],
                last_trade_id: last[row],
                is_buyer_maker: is_buyer_maker.value(row),
            });
        }
    }
    Ok(())
}

/// The levels of a row of JSON, apart.
pub(crate) fn levels<'a>(prices: &'a [f64], quantities: &'a [f64]) -> Levels<'a> {
    Levels { prices, quantities }
}

/// Adds the symbols of a file's rows to a list.
///
/// # Errors
///
/// As [`depth_rows`].
pub fn symbols(lake: &Lake, file: &CaptureFile, names: &mut BTreeSet<String>) -> Result<()> {
    if file.format == Format::Jsonl {
        let read = jsonl::each_line::<jsonl::SymbolLine>(lake, &file.path, &mut |line| {
            if !names.contains(&line.symbol) {
                names.insert(line.symbol.clone());
            }
            ControlFlow::Continue(())
        });
        return read.map(|_| ());
    }
    for batch in lake.open_capture(&file.path)?.batches(&["symbol"])? {
        let batch = batch?;
        let columns = Columns(&batch);
        let symbols = columns.text("symbol");
        for symbol in symbols
            .map_err(|problem| lake.damaged(&file.path, &problem))?
            .iter()
            .flatten()
        {
            if !names.contains(symbol) {
                names.insert(symbol.to_owned());
            }
        }
    }
    Ok(())
}
