//! `live` against the stand-in: of each recording every frame is stored, once and in order, and nothing is told to be missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapemill_standin::stream::{StreamOptions, Streams, Tape};
use tapemill_tests::{Python, Tapemill, Watched, real_data, reference_folder, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// A recording plays within this, as fast as it is taken.
const LONGEST: Duration = Duration::from_secs(120);

/// The files of a recording; `None`, said aloud, where the machine has none.
fn recording(files: &[&str]) -> Option<Vec<PathBuf>> {
    let folder = real_data()?.join("recordings");
    Some(files.iter().map(|file| folder.join(file)).collect())
}

/// What a collector stores of a recording is held against an independent reading of it.
fn every_frame_is_stored(files: &[&str], sink: &str, frames: u64) {
    let Some(files) = recording(files) else {
        return;
    };
    let tape = Tape::read(&files[0]).expect("it is a recording");
    let market = tape.market.as_str().to_owned();
    let symbols = tape.symbols.join(",");
    let channels: BTreeSet<String> = tape
        .frames
        .iter()
        .filter_map(|frame| frame.stream.split_once('@'))
        .map(|(_, channel)| channel.to_owned())
        .collect();
    let channels: Vec<_> = channels.into_iter().collect();
    let options = StreamOptions::new(tape.market).fast();
    let streams = Streams::start([tape], options).expect("it plays");
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out");

    let live = Tapemill::new(BINARY)
        .folder(folder.path())
        .args(["live", "--market", &market, "--symbols", &symbols])
        .args(["--streams", &channels.join(","), "--sink", sink])
        .args(["--rest", &streams.url_rest(), "--ws", &streams.url_ws()])
        .args(["--flush-interval", "0.3", "--output"])
        .args([&output]);
    let live = Watched::start(live);
    assert!(streams.wait(LONGEST), "{:?}", streams.counts());
    until("all frames came", || {
        live.metric("tapemill_live_frames_total") >= frames as f64
    });
    live.process.signal(libc::SIGTERM);
    let told = live.wait().expect(0);

    assert!(told.stderr.contains("; 0 gaps"), "{}", told.stderr);
    let script = reference_folder().join("live.py");
    let mut words = vec![
        script.as_path(),
        Path::new(sink),
        &output,
        Path::new(&market),
    ];
    words.extend(files.iter().map(PathBuf::as_path));
    let words: Vec<_> = words
        .iter()
        .map(|word| word.to_str().expect("plain"))
        .collect();
    let compared: u64 = Python::new().run(&words).trim().parse().expect("a number");
    assert_eq!(compared, frames);
}

#[test]
fn a_recording_of_coin_futures() {
    let files = ["hftbacktest-cm/btcusd_perp_20240808.gz"];
    every_frame_is_stored(&files, "parquet", 48_269);
}

#[test]
fn a_recording_of_spot() {
    let files = ["hftbacktest-spot/btcusdt_20240808.gz"];
    every_frame_is_stored(&files, "parquet", 41_248);
}

#[test]
fn a_recording_of_spot_without_a_snapshot() {
    let files = ["hftbacktest-spot/btcusdt_20230405.dat.gz"];
    every_frame_is_stored(&files, "jsonl", 15_088);
}

#[test]
fn a_recording_of_futures_with_mark_prices() {
    let files = ["hftbacktest-usdm/btcusdt_20230404.dat.gz"];
    every_frame_is_stored(&files, "parquet", 13_383);
}

#[test]
fn recordings_of_futures() {
    let files = ["hftbacktest-usdm/btcusdt_20240718.gz"];
    every_frame_is_stored(&files, "parquet", 11_413);
    let files = ["hftbacktest-usdm/ethusdt_20240718.gz"];
    every_frame_is_stored(&files, "jsonl", 14_002);
}

#[test]
fn a_recording_of_four_symbols_with_trades_and_bars() {
    let files = ["cryptofeed/BINANCE_FUTURES.ws.1.0"];
    for sink in ["parquet", "jsonl"] {
        every_frame_is_stored(&files, sink, 1_535);
    }
}
