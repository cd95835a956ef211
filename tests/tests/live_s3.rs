//! `live` and `book` with a bucket: what is stored there is what came, though the store stands still for a while, and books are
//! the same wherever the captures lie.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tapemill_standin::stream::{Speed, StreamOptions, Streams, Tape};
use tapemill_tests::{Python, S3, Tapemill, Watched, hashes, real_data, reference_folder, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The recording plays within this.
const LONGEST: Duration = Duration::from_secs(120);

fn command(store: &S3, folder: &Path) -> Tapemill {
    let command = Tapemill::new(BINARY).folder(folder);
    let environment = store.env().into_iter();
    environment.fold(command, |command, (name, value)| command.env(name, &value))
}

/// Copies all objects below `out/` into a folder.
fn download(store: &S3, into: &Path) {
    for key in store.keys("out/") {
        let to = into.join(&key);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
        let object = store.get(&key).expect("a listed object is there");
        fs::write(to, object).expect("a file can be written");
    }
}

#[test]
fn captures_and_books_in_a_bucket_are_those_of_a_folder() {
    let Some(data) = real_data() else { return };
    let recording = data.join("recordings/hftbacktest-usdm/btcusdt_20240718.gz");
    let tape = Tape::read(recording).expect("it is a recording");
    let mut options = StreamOptions::new(tape.market);
    options.speed = Speed::Times(20.0);
    options.wait_for_snapshot = true;
    // Then the events are of the day that they are flushed on.
    options.restamp = true;
    let streams = Streams::start([tape], options).expect("it plays");
    let (store, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let bucket = store.url("out");
    let live = command(&store, folder.path())
        .args(["live", "--streams", "depth@0ms,bookTicker,trade"])
        .args(["--rest", &streams.url_rest(), "--ws", &streams.url_ws()])
        .args(["--flush-interval", "0.5", "--output", &bucket]);
    let live = Watched::start(live);
    until("something is stored", || {
        live.metric("tapemill_live_stored_rows_total") > 0.0
    });
    store.stop();
    let received = live.metric("tapemill_live_frames_total");
    until("it receives on", || {
        live.metric("tapemill_live_frames_total") > received + 1_000.0
    });
    store.cont();
    assert!(streams.wait(LONGEST), "{:?}", streams.counts());
    until("all frames came", || {
        live.metric("tapemill_live_frames_total") >= streams.counts().sent as f64
    });
    live.process.signal(libc::SIGTERM);
    live.wait().expect(0);

    download(&store, folder.path());
    let log = serde_json::to_string(&streams.log()).expect("it is JSON");
    let truth = folder.path().join("log.json");
    fs::write(&truth, log).expect("a file can be written");
    let (output, plain) = (folder.path().join("out"), |path: &Path| {
        path.to_str().expect("a plain path").to_owned()
    });
    let script = plain(&reference_folder().join("live_holes.py"));
    let found = Python::new().run(&[&script, &plain(&output), "um", &plain(&truth)]);
    let found: Value = serde_json::from_str(&found).expect("it is JSON");
    assert_eq!(found["lost"], 0, "{found}");
    assert_eq!(found["gaps"], 0, "{found}");

    let book = |output: &str| {
        let words = [
            "book",
            "--symbols",
            "BTCUSDT",
            "--levels",
            "10",
            "--step",
            "10ms",
            "--output",
            output,
        ];
        command(&store, folder.path()).args(words).run().expect(0)
    };
    book(&bucket);
    let of_bucket = folder.path().join("of-bucket");
    download(&store, &of_bucket);
    book(&plain(&output));
    let books = |output: &Path| {
        let mut found = hashes(output);
        found.retain(|path, _| path.starts_with("book_top10_10ms/"));
        found
    };
    let (there, here) = (books(&of_bucket.join("out")), books(&output));
    assert_eq!(here.len(), 1, "{here:?}");
    assert_eq!(there, here);
}
