//! Rows as they come, and the columns that they become when they are flushed.

mod books;
mod columns;
mod ledger;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use tapemill_capture::{Dataset, FILLED, Span};
use tapemill_market::Interval;
use tapemill_stream::{
    AggTrade, Bar, BookTicker, Event, Kind, Liquidation, Mark, MarkPrice, Snapshot, Trade,
};

use books::Books;
pub use ledger::Entry;

/// The dataset that messages of a kind become rows of.
pub fn dataset_of(kind: Kind) -> Dataset {
    match kind {
        Kind::Depth => Dataset::OrderBook,
        Kind::AggTrade => Dataset::Trades,
        Kind::Trade => Dataset::RawTrades,
        Kind::BookTicker => Dataset::BookTicker,
        Kind::MarkPrice => Dataset::MarkPrice,
        Kind::Kline(interval) => Dataset::Klines(interval),
        Kind::ForceOrder => Dataset::Liquidations,
    }
}

/// Where a row came from, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Nanoseconds since the epoch, by the local clock.
    pub received_ns: i64,
    /// The connection; none for what was asked for.
    pub connection: Option<i32>,
    /// Fields that no column holds, as JSON.
    pub extra: Option<String>,
}

/// A row of one kind of event.
#[derive(Debug, Clone)]
struct Row<E> {
    symbol: usize,
    origin: Origin,
    event: E,
}

/// Whether a trade came by the stream, or was asked for.
#[derive(Debug, Clone, Copy)]
struct Sourced {
    trade: AggTrade,
    is_asked: bool,
}

/// Rows of one dataset on their way into a sink, in the order they came.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The dataset.
    pub dataset: Dataset,
    /// The rows, as its schema has them.
    pub rows: RecordBatch,
    /// What it holds of each stream.
    pub coverage: BTreeMap<String, Span>,
}

/// All rows that are not flushed.
pub struct Rows {
    symbols: Vec<String>,
    books: Books,
    trades: Vec<Row<Sourced>>,
    raw_trades: Vec<Row<Trade>>,
    book_ticker: Vec<Row<BookTicker>>,
    mark_price: Vec<Row<MarkPrice>>,
    klines: BTreeMap<Interval, Vec<Row<Bar>>>,
    liquidations: Vec<Row<Liquidation>>,
    ledger: Vec<Entry>,
    coverage: BTreeMap<Dataset, BTreeMap<String, Span>>,
    count: usize,
    bytes: usize,
}

impl Rows {
    /// None yet; `symbols` by the number that rows name them by.
    pub fn new(symbols: Vec<String>) -> Self {
        Self {
            symbols,
            books: Books::default(),
            trades: Vec::new(),
            raw_trades: Vec::new(),
            book_ticker: Vec::new(),
            mark_price: Vec::new(),
            klines: BTreeMap::new(),
            liquidations: Vec::new(),
            ledger: Vec::new(),
            coverage: BTreeMap::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Rows that are held.
    pub fn count(&self) -> usize {
        self.count
    }

    /// About what they take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message of a stream.
    pub fn add(
        &mut self,
        stream: &str,
        mark: Mark,
        symbol: usize,
        interval: Option<Interval>,
        event: Event,
        origin: Origin,
    ) {
        let row_bytes = 200 + origin.extra.as_ref().map_or(0, String::len);
        let dataset = match event {
            Event::Depth(update) => {
                self.bytes += 16 * (update.bids.len() + update.asks.len());
                self.books.update(symbol, &update, origin);
                Dataset::OrderBook
            }
            Event::AggTrade(trade) => {
                self.add_trade(symbol, trade, false, origin);
                Dataset::Trades
            }
            Event::Trade(event) => {
                self.raw_trades.push(Row {
                    symbol,
                    origin,
                    event,
                });
                Dataset::RawTrades
            }
            Event::BookTicker(event) => {
                self.book_ticker.push(Row {
                    symbol,
                    origin,
                    event,
                });
                Dataset::BookTicker
            }
            Event::MarkPrice(event) => {
                self.mark_price.push(Row {
                    symbol,
                    origin,
                    event,
                });
                Dataset::MarkPrice
            }
            Event::Kline(event) => {
                let interval = interval.unwrap_or(Interval::MINUTE);
                let row = Row {
                    symbol,
                    origin,
                    event,
                };
                self.klines.entry(interval).or_default().push(row);
                Dataset::Klines(interval)
            }
            Event::ForceOrder(event) => {
                self.liquidations.push(Row {
                    symbol,
                    origin,
                    event,
                });
                Dataset::Liquidations
            }
        };
        self.cover(dataset, stream, mark);
        self.count += 1;
        self.bytes += row_bytes;
    }

    /// Adds a trade that was asked for.
    pub fn add_asked_trade(
        &mut self,
        stream: &str,
        symbol: usize,
        trade: AggTrade,
        origin: Origin,
    ) {
        let mark = Mark {
            id: trade.agg_id,
            event_ms: trade.event_ms,
        };
        self.add_trade(symbol, trade, true, origin);
        // Under a name of its own: the stream's last row is not among them.
        self.cover(Dataset::Trades, &format!("{stream}{FILLED}"), mark);
        self.count += 1;
        self.bytes += 200;
    }

    fn add_trade(&mut self, symbol: usize, trade: AggTrade, is_asked: bool, origin: Origin) {
        self.trades.push(Row {
            symbol,
            origin,
            event: Sourced { trade, is_asked },
        });
    }

    /// Adds a snapshot of a book; `stream` is the name that it is told under.
    pub fn add_snapshot(
        &mut self,
        stream: &str,
        symbol: usize,
        snapshot: &Snapshot,
        origin: Origin,
    ) {
        let event_ms = snapshot.event_ms.unwrap_or(origin.received_ns / 1_000_000);
        self.bytes += 200 + 16 * (snapshot.bids.len() + snapshot.asks.len());
        self.count += 1;
        self.books.snapshot(symbol, snapshot, event_ms, origin);
        let mark = Mark {
            id: snapshot.last_id,
            event_ms,
        };
        self.cover(Dataset::OrderBook, stream, mark);
    }

    /// Adds an entry of the ledger.
    pub fn tell(&mut self, entry: Entry) {
        self.ledger.push(entry);
        self.count += 1;
        self.bytes += 300;
    }

    fn cover(&mut self, dataset: Dataset, stream: &str, mark: Mark) {
        let streams = self.coverage.entry(dataset).or_default();
        match streams.get_mut(stream) {
            Some(span) => span.add(mark.id, mark.event_ms),
            None => {
                streams.insert(stream.to_owned(), Span::of(mark.id, mark.event_ms));
            }
        }
    }

    /// Takes all rows: the ledger first, so that a hole is never told too late.
    pub fn take(&mut self) -> Vec<Batch> {
        let symbols = std::mem::take(&mut self.symbols);
        let mut taken = std::mem::replace(self, Self::new(symbols.clone()));
        taken.symbols = symbols;
        taken.into_batches()
    }

    fn into_batches(mut self) -> Vec<Batch> {
        let symbols = std::mem::take(&mut self.symbols);
        let mut batches = Vec::new();
        let mut coverage = std::mem::take(&mut self.coverage);
        let mut push = |dataset, rows: Option<RecordBatch>| {
            if let Some(rows) = rows {
                let coverage = coverage.remove(&dataset).unwrap_or_default();
                batches.push(Batch {
                    dataset,
                    rows,
                    coverage,
                });
            }
        };
        push(Dataset::Ledger, ledger::batch_of(&self.ledger));
        push(Dataset::OrderBook, self.books.batch(&symbols));
        push(Dataset::Trades, columns::trades(&self.trades, &symbols));
        let raw_trades = columns::raw_trades(&self.raw_trades, &symbols);
        push(Dataset::RawTrades, raw_trades);
        let book_ticker = columns::book_ticker(&self.book_ticker, &symbols);
        push(Dataset::BookTicker, book_ticker);
        let mark_price = columns::mark_price(&self.mark_price, &symbols);
        push(Dataset::MarkPrice, mark_price);
        for (interval, rows) in &self.klines {
            let bars = columns::klines(rows, &symbols, *interval);
            push(Dataset::Klines(*interval), bars);
        }
        let liquidations = columns::liquidations(&self.liquidations, &symbols);
        push(Dataset::Liquidations, liquidations);
        batches
    }
}

#[cfg(test)]
mod tests {
    use tapemill_stream::Read;

    use super::*;

    /// A message of each kind.
    const MESSAGES: [(Kind, &str); 6] = [
        (
            Kind::Depth,
            r#"{"e":"depthUpdate","E":2,"T":1,"s":"BTCUSDT","U":10,"u":12,"pu":9,"b":[["1.5","0"]],"a":[]}"#,
        ),
        (
            Kind::AggTrade,
            r#"{"e":"aggTrade","E":2,"s":"BTCUSDT","a":1,"p":"0.1","q":"3","f":1,"l":2,"T":1,"m":true}"#,
        ),
        (
            Kind::Trade,
            r#"{"e":"trade","E":2,"T":1,"s":"BTCUSDT","t":5,"p":"1.0","q":"2.0","m":false}"#,
        ),
        (
            Kind::BookTicker,
            r#"{"u":400,"s":"BTCUSDT","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}"#,
        ),
        (
            Kind::MarkPrice,
            r#"{"e":"markPriceUpdate","E":2,"s":"BTCUSDT","p":"1.1","i":"1.2","P":"1.3","r":"","T":9}"#,
        ),
        (
            Kind::ForceOrder,
            r#"{"e":"forceOrder","E":2,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910",
            "ap":"9911","X":"FILLED","l":"0.014","z":"0.014","T":1}}"#,
        ),
    ];

    #[test]
    fn each_kind_becomes_a_batch_of_its_schema() {
        let mut rows = Rows::new(vec!["BTCUSDT".to_owned()]);
        for (kind, text) in MESSAGES {
            let Read { event, .. } = Event::read(kind, text).unwrap();
            let mark = Mark { id: 7, event_ms: 2 };
            rows.add("stream", mark, 0, None, event, Origin::default());
        }
        rows.add_snapshot(
            "btcusdt@snapshot",
            0,
            &Snapshot {
                last_id: 11,
                ..Snapshot::default()
            },
            Origin::default(),
        );
        rows.tell(Entry::default());
        assert_eq!(rows.count(), 8);

        let batches = rows.take();

        let names: Vec<_> = batches.iter().map(|batch| batch.dataset.name()).collect();
        assert_eq!(
            names,
            [
                "ledger",
                "orderbook",
                "trades",
                "raw_trades",
                "book_ticker",
                "mark_price",
                "liquidations"
            ]
        );
        for batch in &batches {
            assert_eq!(batch.rows.schema(), tapemill_capture::schema(batch.dataset));
        }
        assert_eq!(batches[1].rows.num_rows(), 2);
        assert_eq!(batches[1].coverage["btcusdt@snapshot"].last_id, 11);
        assert_eq!((rows.count(), rows.bytes()), (0, 0));
        assert!(rows.take().is_empty());
    }
}
