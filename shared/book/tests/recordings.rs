//! Real recordings of the exchange's streams, replayed and compared with an independent reading of the same bytes: maps
//! of decimals, the rule of the documentation, and the best prices that the exchange sent itself.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tapemill_book::{Book, DepthRow, Grid, Levels, Replay, Series};
use tapemill_market::Market;
use tapemill_stream::Ids;

/// Where the recordings lie; `None`, said aloud, where there are none. With `CI` set they must be there.
fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/real/recordings");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "recordings are missing: {}",
        folder.display()
    );
    eprintln!("skipped: nothing at {}", folder.display());
    None
}

/// A side as text says it: price in units of 10⁻¹², quantity.
type Side = BTreeMap<i128, f64>;

/// One depth update or snapshot.
struct Row {
    symbol: String,
    is_snapshot: bool,
    ids: Ids,
    bids: Vec<(String, String)>,
    asks: Vec<(String, String)>,
}

struct Recording {
    rows: Vec<Row>,
    /// Best bid price and quantity, best ask price and quantity, by symbol and update id.
    tickers: HashMap<(String, i64), [String; 4]>,
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let levels = value.as_array().expect("levels").iter();
    levels
        .map(|level| (text(&level[0]), text(&level[1])))
        .collect()
}

fn id(value: &Value) -> i64 {
    value.as_i64().expect("an id")
}

impl Recording {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            tickers: HashMap::new(),
        }
    }

    fn frame(&mut self, frame: &Value) {
        let Some(stream) = frame["stream"].as_str() else {
            let symbol = self
                .rows
                .first()
                .map_or_else(String::new, |row| row.symbol.clone());
            self.snapshot(&symbol, frame);
            return;
        };
        let data = &frame["data"];
        if stream.contains("@depth") {
            self.rows.push(Row {
                symbol: text(&data["s"]),
                is_snapshot: false,
                ids: Ids {
                    first: id(&data["U"]),
                    last: id(&data["u"]),
                    previous: data["pu"].as_i64(),
                    event_ms: id(&data["E"]),
                },
                bids: pairs(&data["b"]),
                asks: pairs(&data["a"]),
            });
        } else if stream.ends_with("@bookTicker") {
            let values = ["b", "B", "a", "A"].map(|name| text(&data[name]));
            self.tickers
                .insert((text(&data["s"]), id(&data["u"])), values);
        }
    }

    fn snapshot(&mut self, symbol: &str, answer: &Value) {
        let last = id(&answer["lastUpdateId"]);
        self.rows.push(Row {
            symbol: symbol.to_owned(),
            is_snapshot: true,
            ids: Ids {
                first: last,
                last,
                previous: Some(last - 1),
                event_ms: answer["E"].as_i64().unwrap_or(0),
            },
            bids: pairs(&answer["bids"]),
            asks: pairs(&answer["asks"]),
        });
    }

    fn lines(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).expect("a recording");
        flate2::read::GzDecoder::new(file)
            .read_to_end(&mut bytes)
            .expect("gzip");
        let lines = String::from_utf8(bytes).expect("text");
        let mut recording = Self::new();
        for line in lines.lines() {
            let (_, json) = line.split_once(' ').expect("a time before each frame");
            recording.frame(&serde_json::from_str(json).expect("JSON"));
        }
        recording
    }

    /// Frames and fetched snapshots lie apart: the two files are merged by time.
    fn apart(folder: &Path) -> Self {
        let frames =
            std::fs::read_to_string(folder.join("BINANCE_FUTURES.ws.1.0")).expect("frames");
        let answers =
            std::fs::read_to_string(folder.join("BINANCE_FUTURES.http.0.0")).expect("answers");
        let mut all: Vec<(f64, Option<String>, Value)> = Vec::new();
        for line in frames.lines().skip(1) {
            let (time, json) = line.split_once(": ").expect("a frame");
            all.push((
                time.parse().unwrap(),
                None,
                serde_json::from_str(json).unwrap(),
            ));
        }
        for line in answers.lines().filter(|line| !line.is_empty()) {
            let (address, answer) = line.split_once(" -> ").expect("an answer");
            let (_, symbol) = address.split_once("symbol=").expect("a symbol");
            let (symbol, _) = symbol.split_once('&').expect("a limit");
            let (time, json) = answer.split_once(": ").expect("a time");
            let value = serde_json::from_str(json).unwrap();
            all.push((time.parse().unwrap(), Some(symbol.to_owned()), value));
        }
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut recording = Self::new();
        for (_, symbol, value) in all {
            match symbol {
                Some(symbol) => recording.snapshot(&symbol, &value),
                None => recording.frame(&value),
            }
        }
        recording
    }
}

/// A decimal in units of 10⁻¹².
fn scaled(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}")
        .parse()
        .expect("a decimal")
}

/// The book by the documentation alone.
struct Reading<'a> {
    market: Market,
    updates: Vec<&'a Row>,
    bids: Side,
    asks: Side,
    previous: Option<i64>,
    snapshot: Option<&'a Row>,
}

impl<'a> Reading<'a> {
    /// Takes the next row; the last ids of the updates that were applied by it.
    fn row(&mut self, row: &'a Row) -> Vec<i64> {
        if row.is_snapshot {
            self.snapshot = Some(row);
            self.bids.clear();
            self.asks.clear();
            self.set(row);
            let updates = std::mem::take(&mut self.updates);
            return updates
                .iter()
                .filter_map(|update| self.update(update))
                .collect();
        }
        if self.snapshot.is_none() {
            self.updates.push(row);
            return Vec::new();
        }
        self.update(row).into_iter().collect()
    }

    fn update(&mut self, row: &Row) -> Option<i64> {
        let last = self.snapshot.expect("a snapshot").ids.last;
        let is_old = if self.market == Market::Spot {
            row.ids.last <= last
        } else {
            row.ids.last < last
        };
        if is_old {
            return None;
        }
        match self.previous {
            None if self.market == Market::Spot => {
                assert!(row.ids.first <= last + 1);
            }
            None => assert!(row.ids.first <= last),
            Some(previous) if self.market == Market::Spot => {
                assert_eq!(row.ids.first, previous + 1)
            }
            Some(previous) => assert_eq!(row.ids.previous, Some(previous)),
        }
        self.previous = Some(row.ids.last);
        self.set(row);
        Some(row.ids.last)
    }

    fn set(&mut self, row: &Row) {
        for (side, levels) in [(&mut self.bids, &row.bids), (&mut self.asks, &row.asks)] {
            for (price, quantity) in levels {
                let quantity: f64 = quantity.parse().unwrap();
                if quantity == 0.0 {
                    side.remove(&scaled(price));
                } else {
                    side.insert(scaled(price), quantity);
                }
            }
        }
    }

    #[track_caller]
    fn compare(&self, book: &Book) {
        let level = |(price, quantity): (f64, f64)| (scaled(&price.to_string()), quantity);
        let bids = book.bids.levels().map(level);
        let asks = book.asks.levels().map(level);
        assert!(bids.eq(self.bids.iter().rev().map(|(p, q)| (*p, *q))));
        assert!(asks.eq(self.asks.iter().map(|(p, q)| (*p, *q))));
    }
}

/// Replays one symbol; returns at how many of the exchange's own best prices the book was compared.
fn check(market: Market, recording: &Recording, symbol: &str) -> usize {
    let mut reading = Reading {
        market,
        updates: Vec::new(),
        bids: Side::new(),
        asks: Side::new(),
        previous: None,
        snapshot: None,
    };
    let mut replay = Replay::new(market);
    let mut grid = Grid::new(25, 100, 0..i64::MAX);
    let (mut checkpoints, mut updates) = (0, 0);
    for row in recording.rows.iter().filter(|row| row.symbol == symbol) {
        let numbers = |levels: &[(String, String)]| -> (Vec<f64>, Vec<f64>) {
            levels
                .iter()
                .map(|(p, q)| (p.parse::<f64>().unwrap(), q.parse::<f64>().unwrap()))
                .unzip()
        };
        let (bids, asks) = (numbers(&row.bids), numbers(&row.asks));
        let stored = DepthRow {
            ids: row.ids,
            is_snapshot: row.is_snapshot,
            transaction_ms: None,
            received_ns: 0,
            bids: Levels {
                prices: &bids.0,
                quantities: &bids.1,
            },
            asks: Levels {
                prices: &asks.0,
                quantities: &asks.1,
            },
        };
        replay.row(&stored, &mut grid);
        let applied = reading.row(row);

        let Some(last) = applied.last() else {
            continue;
        };
        let book = replay.book().expect("nothing is missing in the recordings");
        updates += applied.len();
        if let Some(ticker) = recording.tickers.get(&(symbol.to_owned(), *last)) {
            let [bid, bid_quantity, ask, ask_quantity] =
                ticker.each_ref().map(|text| text.parse::<f64>().unwrap());
            assert_eq!(
                book.bids.best(),
                Some((bid, bid_quantity)),
                "{symbol} at {last}"
            );
            assert_eq!(
                book.asks.best(),
                Some((ask, ask_quantity)),
                "{symbol} at {last}"
            );
            checkpoints += 1;
        }
        // Those before the snapshot's row are applied with it and are not seen one by one here.
        for last in &applied[..applied.len() - 1] {
            checkpoints += usize::from(recording.tickers.contains_key(&(symbol.to_owned(), *last)));
        }
        if updates % 500 == 0 {
            reading.compare(book);
        }
    }
    assert_eq!(replay.counts().holes, 0, "{symbol}");
    assert_eq!(replay.counts().applied, updates as u64, "{symbol}");
    if let Some(book) = replay.book() {
        reading.compare(book);
        grid.finish(book);
        check_series(grid.series());
    }
    checkpoints
}

/// Real books are never crossed, and their levels are in order.
fn check_series(series: &Series) {
    assert!(series.times_ms.len() > 100);
    assert!(
        series
            .times_ms
            .windows(2)
            .all(|pair| pair[1] - pair[0] == 100)
    );
    for row in 0..series.times_ms.len() {
        let prices =
            |first: usize| (0..25).map(move |level| series.columns[9 + 4 * level + first][row]);
        assert!(series.columns[0][row] < series.columns[2][row]);
        assert!(prices(0).is_sorted_by(|one, other| one > other));
        assert!(prices(2).is_sorted_by(|one, other| one < other));
    }
}

#[test]
fn every_recorded_book_is_the_one_the_exchange_had() {
    let Some(folder) = recordings() else { return };
    for (file, market, symbol, checkpoints) in [
        (
            "hftbacktest-cm/btcusd_perp_20240808.gz",
            Market::Cm,
            "BTCUSD_PERP",
            1124,
        ),
        (
            "hftbacktest-spot/btcusdt_20240808.gz",
            Market::Spot,
            "BTCUSDT",
            564,
        ),
        (
            "hftbacktest-usdm/btcusdt_20230404.dat.gz",
            Market::Um,
            "BTCUSDT",
            310,
        ),
        (
            "hftbacktest-usdm/btcusdt_20240718.gz",
            Market::Um,
            "BTCUSDT",
            195,
        ),
        (
            "hftbacktest-usdm/ethusdt_20240718.gz",
            Market::Um,
            "ETHUSDT",
            281,
        ),
    ] {
        let mut recording = Recording::lines(&folder.join(file));
        // A snapshot that stands before all else names no symbol.
        recording
            .rows
            .iter_mut()
            .for_each(|row| symbol.clone_into(&mut row.symbol));

        assert_eq!(check(market, &recording, symbol), checkpoints, "{file}");
    }
}

#[test]
fn books_of_one_connection_and_snapshots_apart_are_the_exchanges() {
    let Some(folder) = recordings() else { return };
    let recording = Recording::apart(&folder.join("cryptofeed"));
    let mut symbols: Vec<_> = recording
        .rows
        .iter()
        .map(|row| row.symbol.clone())
        .collect();
    symbols.sort();
    symbols.dedup();

    let checkpoints: Vec<_> = symbols
        .iter()
        .map(|symbol| check(Market::Um, &recording, symbol))
        .collect();

    assert_eq!(symbols.len(), 4);
    let mut sorted = checkpoints;
    sorted.sort_unstable();
    assert_eq!(sorted, [7, 12, 13, 18]);
}

#[test]
fn without_a_snapshot_there_is_no_book() {
    let Some(folder) = recordings() else { return };
    let recording = Recording::lines(&folder.join("hftbacktest-spot/btcusdt_20230405.dat.gz"));

    assert_eq!(recording.rows.len(), 3929);
    assert_eq!(check(Market::Spot, &recording, "BTCUSDT"), 0);
}
