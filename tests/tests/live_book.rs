//! `live`, then `book`: the books of what a collector stored, snapshots and holes of its own included, are those that an
//! independent reading of its files makes.

use std::path::Path;
use std::time::Duration;

use tapemill_market::Market;
use tapemill_standin::stream::{
    At, Speed, StreamFault, StreamFaults, StreamOptions, Streams, Tape,
};
use tapemill_tests::{Recording, Tapemill, Watched, real_data, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// A recording plays within this.
const LONGEST: Duration = Duration::from_secs(120);

/// Plays a recording with updates lost in the middle, stores it, makes the books of the day, and compares.
fn books_of_a_collector(file: &str, market: Market, symbol: &str, channel: &str, speed: f64) {
    let Some(data) = real_data() else { return };
    let tape = Tape::read(data.join("recordings").join(file)).expect("it is a recording");
    let stream = format!("{}@{channel}", symbol.to_lowercase());
    let frames = tape
        .frames
        .iter()
        .filter(|frame| *frame.stream == *stream)
        .count() as u64;
    let (lost, at) = (30, frames / 2);
    let mut options = StreamOptions::new(tape.market);
    options.speed = Speed::Times(speed);
    options.wait_for_snapshot = true;
    // Then the events are of the day that they are flushed on.
    options.restamp = true;
    let place = At::Place {
        stream: stream.clone(),
        place: at,
    };
    options.faults = StreamFaults::none().and(
        place,
        StreamFault::Drop {
            stream,
            frames: lost,
        },
    );
    let streams = Streams::start([tape], options).expect("it plays");
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out");
    let live = Tapemill::new(BINARY)
        .folder(folder.path())
        .args(["live", "--market", market.as_str(), "--symbols", symbol])
        .args(["--streams", channel, "--rest", &streams.url_rest()])
        .args(["--ws", &streams.url_ws(), "--flush-interval", "0.5"])
        .args(["--snapshot-every", "2s", "--output"])
        .args([&output]);
    let live = Watched::start(live);
    assert!(streams.wait(LONGEST), "{:?}", streams.counts());
    until("all frames came", || {
        live.metric("tapemill_live_frames_total") >= (frames - lost) as f64
    });
    live.process.signal(libc::SIGTERM);
    live.wait().expect(0);

    let (told, found) = made(&output, market, symbol);

    let stored = Recording::stored(&output, market);
    let series = stored.series(symbol, 10, 10);
    assert_eq!(found, rows(&series));
    assert!(found.len() > 200, "{}", found.len());
    assert!(told.contains("1 hole"), "{told}");
    // The exchange's own later snapshots are what its updates made of the first.
    let (_, checks) = told.split_once("1 hole, ").expect("snapshots are counted");
    let counts: Vec<_> = checks
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [equal, later]: [u64; 2] = counts[..2].try_into().expect("two of them");
    assert!(equal == later && later > 1, "{told}");
    assert!(
        stored.books(symbol, 1).len() >= 2,
        "there is one behind the hole"
    );
}

/// Makes the books; what was said, and time, best bid and best ask of each row.
fn made(output: &Path, market: Market, symbol: &str) -> (String, Vec<BestPrices>) {
    let words = ["book", "--market", market.as_str(), "--symbols", symbol];
    let book = Tapemill::new(BINARY)
        .args(words)
        .args(["--levels", "10", "--step", "10ms"]);
    let done = book.args(["--output"]).args([output]).run().expect(0);
    let table = output
        .join("book_top10_10ms")
        .join(market.as_str())
        .join(symbol);
    (done.stdout, tapemill_tests::best_prices(&table))
}

type BestPrices = (i64, Option<f64>, Option<f64>);

fn rows(series: &[tapemill_tests::BookRow]) -> Vec<BestPrices> {
    let price = |side: &[Option<(f64, f64)>]| side[0].map(|level| level.0);
    let row = |(time, bids, asks): &tapemill_tests::BookRow| (*time, price(bids), price(asks));
    series.iter().map(row).collect()
}

#[test]
fn of_futures() {
    books_of_a_collector(
        "hftbacktest-usdm/btcusdt_20240718.gz",
        Market::Um,
        "BTCUSDT",
        "depth@0ms",
        20.0,
    );
}

#[test]
fn of_coin_futures() {
    books_of_a_collector(
        "hftbacktest-cm/btcusd_perp_20240808.gz",
        Market::Cm,
        "BTCUSD_PERP",
        "depth@0ms",
        30.0,
    );
}

#[test]
fn of_spot_whose_recording_has_no_snapshot() {
    books_of_a_collector(
        "hftbacktest-spot/btcusdt_20230405.dat.gz",
        Market::Spot,
        "BTCUSDT",
        "depth@100ms",
        30.0,
    );
}
