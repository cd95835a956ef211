//! Captures as a collector writes them, made of real recordings, and what their books must be: read from the same bytes by
//! the rules of the documentation alone, with maps of decimals.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    StructBuilder, TimestampMillisecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use serde_json::{Value, json};
use tapemill_capture::{
    COVERAGE_KEY, Coverage, Dataset, Span, jsonl_path, level_field, level_fields, parquet_path,
    schema, snapshot_stream,
};
use tapemill_market::{Market, day_of};

/// Levels as they were sent: prices and quantities.
pub type Levels = Vec<(String, String)>;

/// One depth update or snapshot.
#[derive(Debug, Clone)]
pub struct Depth {
    /// The symbol.
    pub symbol: String,
    /// Whether it is a whole book.
    pub is_snapshot: bool,
    /// `E`; of a snapshot without one the local time.
    pub event_ms: i64,
    /// `T`.
    pub transaction_ms: Option<i64>,
    /// By the local clock.
    pub received_ns: i64,
    /// `U`, or a snapshot's id.
    pub first: i64,
    /// `u`, or a snapshot's id.
    pub last: i64,
    /// `pu`; what spot does not name is reckoned.
    pub previous: i64,
    /// Who buys.
    pub bids: Levels,
    /// Who sells.
    pub asks: Levels,
}

/// One trade.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The symbol.
    pub symbol: String,
    /// Its id.
    pub id: i64,
    /// `E`.
    pub event_ms: i64,
    /// `T`.
    pub trade_ms: i64,
    /// By the local clock.
    pub received_ns: i64,
    /// Its price.
    pub price: String,
    /// Its quantity.
    pub quantity: String,
    /// `m`.
    pub is_buyer_maker: bool,
}

/// What was recorded of one market.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The market.
    pub market: Market,
    /// Updates and snapshots in the order they came.
    pub depth: Vec<Depth>,
    /// Trades in the order they came.
    pub deals: Vec<Deal>,
    /// The exchange's own best bid and ask, as price and quantity, by symbol and update id.
    pub tickers: HashMap<(String, i64), [String; 4]>,
}

/// The best levels at one time: `None` where a side has fewer.
pub type BookRow = (i64, Vec<Option<(f64, f64)>>, Vec<Option<(f64, f64)>>);

impl Recording {
    /// A gzipped file of lines, each a local time and a frame; of one symbol.
    pub fn lines(path: &Path, market: Market, symbol: &str) -> Self {
        let mut text = String::new();
        let file = File::open(path).expect("the recording is there");
        let mut gzip = flate2::read::GzDecoder::new(file);
        gzip.read_to_string(&mut text).expect("it is gzip");
        let mut recording = Self {
            market,
            depth: Vec::new(),
            deals: Vec::new(),
            tickers: HashMap::new(),
        };
        for line in text.lines() {
            let (time, json) = line.split_once(' ').expect("a time stands first");
            let digits: i64 = time.parse().expect("a number");
            let received_ns = if time.len() == 19 {
                digits
            } else {
                digits * 1000
            };
            let frame: Value = serde_json::from_str(json).expect("a frame");
            recording.frame(&frame, received_ns, symbol);
        }
        recording
    }

    /// The order books of a capture of one session in Parquet, as they are stored.
    pub fn stored(output: &Path, market: Market) -> Self {
        let mut depth = Vec::new();
        for batch in batches_below(&output.join(Dataset::OrderBook.folder(market))) {
            let column = |name: &str| batch.column_by_name(name).expect("a column of a capture");
            let whole = |name: &str| column(name).as_primitive::<Int64Type>().values().to_vec();
            let (symbols, flags) = (
                column("symbol").as_string::<i32>(),
                column("is_snapshot").as_boolean(),
            );
            let (times, received) = (whole("event_time"), whole("received_ns"));
            let (first, last) = (whole("first_update_id"), whole("final_update_id"));
            let previous = whole("prev_final_update_id");
            let side = |name: &str, row: usize| -> Levels {
                let levels = column(name).as_list::<i32>().value(row);
                let of = |name: &str| {
                    let values = levels.as_struct().column_by_name(name).expect("a level");
                    values.as_primitive::<Float64Type>().values().to_vec()
                };
                let pairs = of("price").into_iter().zip(of("qty"));
                pairs
                    .map(|(price, quantity)| (price.to_string(), quantity.to_string()))
                    .collect()
            };
            depth.extend((0..batch.num_rows()).map(|row| Depth {
                symbol: symbols.value(row).to_owned(),
                is_snapshot: flags.value(row),
                event_ms: times[row],
                transaction_ms: None,
                received_ns: received[row],
                first: first[row],
                last: last[row],
                previous: previous[row],
                bids: side("bids", row),
                asks: side("asks", row),
            }));
        }
        Self {
            market,
            depth,
            deals: Vec::new(),
            tickers: HashMap::new(),
        }
    }

    fn frame(&mut self, frame: &Value, received_ns: i64, symbol: &str) {
        let data = &frame["data"];
        let number = |value: &Value| value.as_i64().expect("a number");
        let symbol = symbol.to_owned();
        match frame["stream"]
            .as_str()
            .and_then(|stream| stream.split('@').nth(1))
        {
            None => {
                let last = number(&frame["lastUpdateId"]);
                self.depth.push(Depth {
                    symbol,
                    is_snapshot: true,
                    event_ms: frame["E"].as_i64().unwrap_or(received_ns / 1_000_000),
                    transaction_ms: frame["T"].as_i64(),
                    received_ns,
                    first: last,
                    last,
                    previous: last - 1,
                    bids: levels(&frame["bids"]),
                    asks: levels(&frame["asks"]),
                });
            }
            Some("depth") => self.depth.push(Depth {
                symbol,
                is_snapshot: false,
                event_ms: number(&data["E"]),
                transaction_ms: data["T"].as_i64(),
                received_ns,
                first: number(&data["U"]),
                last: number(&data["u"]),
                previous: data["pu"].as_i64().unwrap_or(number(&data["U"]) - 1),
                bids: levels(&data["b"]),
                asks: levels(&data["a"]),
            }),
            Some("trade") => self.deals.push(Deal {
                symbol,
                id: number(&data["t"]),
                event_ms: number(&data["E"]),
                trade_ms: number(&data["T"]),
                received_ns,
                price: text(&data["p"]),
                quantity: text(&data["q"]),
                is_buyer_maker: data["m"].as_bool().expect("a flag"),
            }),
            Some("bookTicker") => {
                let values = ["b", "B", "a", "A"].map(|name| text(&data[name]));
                self.tickers.insert((symbol, number(&data["u"])), values);
            }
            Some(_) => {}
        }
    }

    /// Moves all times.
    pub fn shift(&mut self, by_ms: i64) {
        for row in &mut self.depth {
            row.event_ms += by_ms;
            row.received_ns += by_ms * 1_000_000;
            row.transaction_ms = row.transaction_ms.map(|time| time + by_ms);
        }
        for row in &mut self.deals {
            row.event_ms += by_ms;
            row.trade_ms += by_ms;
            row.received_ns += by_ms * 1_000_000;
        }
    }

    /// Writes the order books as Parquet files, one for each stretch of so many milliseconds of the local clock.
    pub fn write_books(&self, output: &Path, session: &str, flush_ms: i64) {
        for (sequence, (flush_us, rows)) in
            flushes(&self.depth, flush_ms, |row| row.received_ns).enumerate()
        {
            let mut spans = BTreeMap::new();
            for row in rows {
                let stream = if row.is_snapshot {
                    snapshot_stream(&row.symbol)
                } else {
                    format!("{}@depth@100ms", row.symbol.to_lowercase())
                };
                let span = spans.entry(stream).or_insert(Span {
                    rows: 0,
                    ..Span::of(row.last, row.event_ms)
                });
                span.add(row.last, row.event_ms);
            }
            let unique = sequence as u32;
            let path = parquet_path(Dataset::OrderBook, self.market, flush_us, unique);
            self.write(
                output,
                &path.expect("a time"),
                session,
                unique,
                spans,
                &depth_batch(rows),
            );
        }
    }

    /// Writes the trades as single ones.
    pub fn write_deals(&self, output: &Path, session: &str, flush_ms: i64) {
        for (sequence, (flush_us, rows)) in
            flushes(&self.deals, flush_ms, |row| row.received_ns).enumerate()
        {
            let mut spans = BTreeMap::new();
            for row in rows {
                let span = spans
                    .entry(format!("{}@trade", row.symbol.to_lowercase()))
                    .or_insert(Span {
                        rows: 0,
                        ..Span::of(row.id, row.event_ms)
                    });
                span.add(row.id, row.event_ms);
            }
            let unique = sequence as u32;
            let path = parquet_path(Dataset::RawTrades, self.market, flush_us, unique);
            self.write(
                output,
                &path.expect("a time"),
                session,
                unique,
                spans,
                &deal_batch(rows),
            );
        }
    }

    fn write(
        &self,
        output: &Path,
        path: &str,
        session: &str,
        sequence: u32,
        coverage: BTreeMap<String, Span>,
        batch: &RecordBatch,
    ) {
        let path = output.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        let file = File::create(path).expect("the file is made");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a schema");
        writer.write(batch).expect("rows");
        let coverage = Coverage {
            session: session.to_owned(),
            sequence: sequence.into(),
            market: self.market.to_string(),
            coverage,
        };
        let json = serde_json::to_string(&coverage).expect("it is JSON");
        writer.append_key_value_metadata(KeyValue::new(COVERAGE_KEY.to_owned(), json));
        writer.close().expect("a file");
    }

    /// Writes the order books as JSON lines of the local clock's days.
    pub fn write_json_books(&self, output: &Path) {
        for row in &self.depth {
            let day = day_of(row.received_ns / 1000).expect("a day");
            let path = output.join(jsonl_path(Dataset::OrderBook, self.market, day));
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .expect("a file");
            let side = |levels: &Levels| -> Vec<Value> {
                let level = |(price, quantity): &(String, String)| json!({"price": decimal(price), "qty": decimal(quantity)});
                levels.iter().map(level).collect()
            };
            let received = tapemill_market::iso_time(row.received_ns / 1000);
            let line = json!({
                "event_type": if row.is_snapshot { "snapshot" } else { "depthUpdate" },
                "event_time": row.event_ms,
                "received_time": received,
                "symbol": row.symbol,
                "first_update_id": row.first,
                "final_update_id": row.last,
                "prev_final_update_id": row.previous,
                "is_snapshot": row.is_snapshot,
                "bids": side(&row.bids),
                "asks": side(&row.asks),
            });
            writeln!(file, "{line}").expect("a line");
        }
    }

    /// The books of a symbol: each run without a hole as its updates, with the best levels after each.
    pub fn books(&self, symbol: &str, levels: usize) -> Vec<Vec<BookRow>> {
        let mut reading = Reading::new(self.market == Market::Spot, levels);
        for row in self.depth.iter().filter(|row| row.symbol == symbol) {
            reading.row(row);
        }
        reading.runs
    }

    /// The whole book of a symbol after the update with this last id, as a snapshot has it.
    pub fn state(&self, symbol: &str, last: i64) -> (Levels, Levels) {
        let mut reading = Reading::new(self.market == Market::Spot, 1);
        for row in self.depth.iter().filter(|row| row.symbol == symbol) {
            reading.row(row);
            if !row.is_snapshot && row.last == last {
                break;
            }
        }
        let text = |(price, quantity): (&i128, &f64)| {
            ((*price as f64 / 1e12).to_string(), quantity.to_string())
        };
        let bids = reading.bids.iter().rev().map(text).collect();
        (bids, reading.asks.iter().map(text).collect())
    }

    /// The rows of a series: at each multiple of a step the book after all updates up to that time.
    pub fn series(&self, symbol: &str, levels: usize, step_ms: i64) -> Vec<BookRow> {
        let mut series = Vec::new();
        for run in self.books(symbol, levels) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let mut at = 0;
            for time in (first.0..=last.0).filter(|time| time % step_ms == 0) {
                while run.get(at + 1).is_some_and(|next| next.0 <= time) {
                    at += 1;
                }
                series.push((time, run[at].1.clone(), run[at].2.clone()));
            }
        }
        series
    }
}

/// Time, best bid and best ask of each row of the tables of a symbol, day by day.
pub fn best_prices(folder: &Path) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let mut rows = Vec::new();
    for batch in batches_below(folder) {
        let column = |name: &str| batch.column_by_name(name).expect("a column of a book");
        let times = column("timestamp").as_primitive::<TimestampMicrosecondType>();
        let [bids, asks] = ["best_bid_price", "best_ask_price"]
            .map(|name| column(name).as_primitive::<Float64Type>());
        let prices = bids.iter().zip(asks.iter());
        let row = |(time, (bid, ask)): (&i64, _)| (time / 1000, bid, ask);
        rows.extend(times.values().iter().zip(prices).map(row));
    }
    rows
}

/// The rows of all Parquet files below a folder, in the order of their paths.
fn batches_below(folder: &Path) -> Vec<RecordBatch> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |file: &PathBuf| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file"));
        let reader = reader.expect("Parquet").build().expect("Parquet");
        reader.map(|batch| batch.expect("rows")).collect::<Vec<_>>()
    };
    files.iter().flat_map(read).collect()
}

/// Rows in flushes: the time of each in microseconds, and its rows.
fn flushes<T>(
    rows: &[T],
    flush_ms: i64,
    received_ns: impl Fn(&T) -> i64 + Copy,
) -> impl Iterator<Item = (i64, &[T])> {
    let flush = move |row: &T| received_ns(row).div_euclid(flush_ms * 1_000_000);
    rows.chunk_by(move |one, other| flush(one) == flush(other))
        .map(move |rows| {
            let last = rows.last().map_or(0, received_ns);
            (last / 1000, rows)
        })
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn levels(value: &Value) -> Levels {
    let levels = value.as_array().expect("levels").iter();
    levels
        .map(|level| (text(&level[0]), text(&level[1])))
        .collect()
}

fn decimal(text: &str) -> f64 {
    text.parse().expect("a decimal")
}

fn depth_batch(rows: &[Depth]) -> RecordBatch {
    let whole = |value: &dyn Fn(&Depth) -> Option<i64>| -> ArrayRef {
        let mut column = Int64Builder::new();
        rows.iter().for_each(|row| column.append_option(value(row)));
        Arc::new(column.finish())
    };
    let words = |value: &dyn Fn(&Depth) -> String| -> ArrayRef {
        let mut column = StringBuilder::new();
        rows.iter().for_each(|row| column.append_value(value(row)));
        Arc::new(column.finish())
    };
    let side = |levels: &dyn Fn(&Depth) -> &Levels| -> ArrayRef {
        let level = StructBuilder::from_fields(level_fields(), 0);
        let mut column = ListBuilder::new(level).with_field(level_field());
        for row in rows {
            for (price, quantity) in levels(row) {
                let level = column.values();
                for (at, value) in [price, quantity].into_iter().enumerate() {
                    let number = level.field_builder::<Float64Builder>(at).expect("a number");
                    number.append_value(decimal(value));
                }
                level.append(true);
            }
            column.append(true);
        }
        Arc::new(column.finish())
    };
    let mut received = TimestampMillisecondBuilder::new().with_timezone("UTC");
    rows.iter()
        .for_each(|row| received.append_value(row.received_ns / 1_000_000));
    let mut flags = BooleanBuilder::new();
    rows.iter()
        .for_each(|row| flags.append_value(row.is_snapshot));
    let mut connections = Int32Builder::new();
    rows.iter().for_each(|_| connections.append_value(0));
    let mut extra = StringBuilder::new();
    rows.iter().for_each(|_| extra.append_null());
    let kind = |row: &Depth| {
        if row.is_snapshot {
            "snapshot"
        } else {
            "depthUpdate"
        }
        .to_owned()
    };
    let columns = vec![
        words(&kind),
        whole(&|row| Some(row.event_ms)),
        Arc::new(received.finish()),
        words(&|row| row.symbol.clone()),
        whole(&|row| Some(row.first)),
        whole(&|row| Some(row.last)),
        whole(&|row| Some(row.previous)),
        Arc::new(flags.finish()),
        side(&|row| &row.bids),
        side(&|row| &row.asks),
        whole(&|row| row.transaction_ms),
        whole(&|row| Some(row.received_ns)),
        Arc::new(connections.finish()),
        Arc::new(extra.finish()),
    ];
    RecordBatch::try_new(schema(Dataset::OrderBook), columns).expect("the columns of a capture")
}

fn deal_batch(rows: &[Deal]) -> RecordBatch {
    let whole = |value: &dyn Fn(&Deal) -> i64| -> ArrayRef {
        let mut column = Int64Builder::new();
        rows.iter().for_each(|row| column.append_value(value(row)));
        Arc::new(column.finish())
    };
    let words = |value: &dyn Fn(&Deal) -> Option<String>| -> ArrayRef {
        let mut column = StringBuilder::new();
        rows.iter().for_each(|row| column.append_option(value(row)));
        Arc::new(column.finish())
    };
    let numbers = |value: &dyn Fn(&Deal) -> &str| -> ArrayRef {
        let mut column = Float64Builder::new();
        rows.iter()
            .for_each(|row| column.append_value(decimal(value(row))));
        Arc::new(column.finish())
    };
    let mut received = TimestampMillisecondBuilder::new().with_timezone("UTC");
    rows.iter()
        .for_each(|row| received.append_value(row.received_ns / 1_000_000));
    let mut flags = BooleanBuilder::new();
    rows.iter()
        .for_each(|row| flags.append_value(row.is_buyer_maker));
    let mut connections = Int32Builder::new();
    rows.iter().for_each(|_| connections.append_value(0));
    let columns = vec![
        words(&|_| Some("trade".to_owned())),
        whole(&|row| row.event_ms),
        whole(&|row| row.trade_ms),
        Arc::new(received.finish()),
        words(&|row| Some(row.symbol.clone())),
        whole(&|row| row.id),
        numbers(&|row| &row.price),
        numbers(&|row| &row.quantity),
        Arc::new(flags.finish()),
        words(&|_| None),
        whole(&|row| row.received_ns),
        Arc::new(connections.finish()),
        words(&|_| None),
    ];
    RecordBatch::try_new(schema(Dataset::RawTrades), columns).expect("the columns of a capture")
}

/// The documentation's way to a book, and nothing else.
struct Reading {
    is_spot: bool,
    levels: usize,
    /// Updates since the last hole that came before a snapshot.
    waiting: Vec<Depth>,
    snapshot: Option<i64>,
    /// Whether an update followed the snapshot.
    follows: bool,
    previous: Option<i64>,
    bids: BTreeMap<i128, f64>,
    asks: BTreeMap<i128, f64>,
    runs: Vec<Vec<BookRow>>,
}

impl Reading {
    fn new(is_spot: bool, levels: usize) -> Self {
        Self {
            is_spot,
            levels,
            waiting: Vec::new(),
            snapshot: None,
            follows: false,
            previous: None,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            runs: Vec::new(),
        }
    }

    fn row(&mut self, row: &Depth) {
        if row.is_snapshot {
            // One that comes while there is a book changes nothing here.
            if !self.follows {
                self.begin(row);
            }
            return;
        }
        let continues = match (self.previous, self.is_spot) {
            (None, _) => true,
            (Some(previous), true) => row.first == previous + 1,
            (Some(previous), false) => row.previous == previous,
        };
        if !continues {
            self.lose();
            self.waiting.clear();
        }
        self.previous = Some(row.last);
        match self.snapshot {
            Some(last) if self.is_new(last, row) => {
                if !self.follows && !self.fits(last, row) {
                    self.lose();
                    self.waiting.push(row.clone());
                    return;
                }
                self.update(row);
            }
            Some(_) => {}
            None => self.waiting.push(row.clone()),
        }
    }

    fn lose(&mut self) {
        self.snapshot = None;
        self.follows = false;
    }

    /// Whether an update is not in the snapshot already.
    fn is_new(&self, snapshot: i64, row: &Depth) -> bool {
        if self.is_spot {
            row.last > snapshot
        } else {
            row.last >= snapshot
        }
    }

    /// Whether nothing is missing between the snapshot and its first update.
    fn fits(&self, snapshot: i64, row: &Depth) -> bool {
        if self.is_spot {
            row.first <= snapshot + 1
        } else {
            row.previous <= snapshot
        }
    }

    fn begin(&mut self, snapshot: &Depth) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|row| self.is_new(snapshot.last, row));
        if waiting
            .first()
            .is_some_and(|row| !self.fits(snapshot.last, row))
        {
            // It is too old for what is known: another has to come.
            self.waiting = waiting;
            return;
        }
        self.snapshot = Some(snapshot.last);
        self.bids.clear();
        self.asks.clear();
        self.set(snapshot);
        for row in waiting {
            self.update(&row);
        }
    }

    fn update(&mut self, row: &Depth) {
        if !self.follows {
            self.follows = true;
            self.runs.push(Vec::new());
        }
        self.set(row);
        let top = |levels: &mut dyn Iterator<Item = (&i128, &f64)>| -> Vec<Option<(f64, f64)>> {
            let mut best = levels.map(|(price, quantity)| (*price as f64 / 1e12, *quantity));
            (0..self.levels).map(|_| best.next()).collect()
        };
        let (bids, asks) = (top(&mut self.bids.iter().rev()), top(&mut self.asks.iter()));
        let run = self.runs.last_mut().expect("it has begun");
        run.push((row.event_ms, bids, asks));
    }

    fn set(&mut self, row: &Depth) {
        for (side, levels) in [(&mut self.bids, &row.bids), (&mut self.asks, &row.asks)] {
            for (price, quantity) in levels {
                let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
                let price: i128 = format!("{whole}{fraction:0<12}")
                    .parse()
                    .expect("a decimal");
                match decimal(quantity) {
                    0.0 => side.remove(&price),
                    quantity => side.insert(price, quantity),
                };
            }
        }
    }
}
