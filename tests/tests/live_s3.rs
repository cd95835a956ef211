//! `live` and `book` with a bucket: what is stored there is what came, though the store stands still for a while or is too slow,
//! and books are the same wherever the captures lie.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tapemill_standin::stream::{Speed, StreamOptions, Streams, Tape};
use tapemill_tests::{Python, S3, Tapemill, Watched, hashes, real_data, reference_folder, until};
use tempfile::TempDir;

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

/// Plays a recording to a collector whose output is a bucket.
struct Story {
    streams: Streams,
    store: S3,
    live: Watched,
    folder: TempDir,
}

impl Story {
    /// `None` where there are no recordings.
    fn begin(more: &[&str]) -> Option<Self> {
        let file = "recordings/hftbacktest-usdm/btcusdt_20240718.gz";
        let tape = Tape::read(real_data()?.join(file));
        let tape = tape.expect("it is a recording");
        let mut options = StreamOptions::new(tape.market);
        options.speed = Speed::Times(20.0);
        options.wait_for_snapshot = true;
        // Then the events are of the day that they are flushed on.
        options.restamp = true;
        let streams = Streams::start([tape], options).expect("it plays");
        let (store, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
        let live = command(&store, folder.path())
            .args(["live", "--streams", "depth@0ms,bookTicker,trade"])
            .args(["--rest", &streams.url_rest(), "--ws", &streams.url_ws()])
            .args(["--flush-interval", "0.5", "--output", &store.url("out")])
            .args(more);
        let live = Watched::start(live);
        until("something is stored", || {
            live.metric("tapemill_live_stored_rows_total") > 0.0
                && live.metric("tapemill_live_rows_total") > 0.0
        });
        Some(Self {
            streams,
            store,
            live,
            folder,
        })
    }

    /// Waits until all is stored, and holds it against the truth: all of it is there, once.
    fn end(self) -> (S3, TempDir) {
        assert!(self.streams.wait(LONGEST), "{:?}", self.streams.counts());
        until("all frames came", || {
            self.live.metric("tapemill_live_frames_total") >= self.streams.counts().sent as f64
        });
        self.live.process.signal(libc::SIGTERM);
        self.live.wait().expect(0);
        download(&self.store, self.folder.path());
        let log = serde_json::to_string(&self.streams.log()).expect("it is JSON");
        let truth = self.folder.path().join("log.json");
        fs::write(&truth, log).expect("a file can be written");
        let script = reference_folder().join("live_holes.py");
        let output = self.folder.path().join("out");
        let found = Python::new().run(&[&plain(&script), &plain(&output), "um", &plain(&truth)]);
        let found: Value = serde_json::from_str(&found).expect("it is JSON");
        assert_eq!(
            (&found["lost"], &found["gaps"]),
            (&0.into(), &0.into()),
            "{found}"
        );
        (self.store, self.folder)
    }
}

fn plain(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn captures_and_books_in_a_bucket_are_those_of_a_folder() {
    let Some(story) = Story::begin(&[]) else {
        return;
    };
    story.store.stop();
    let received = story.live.metric("tapemill_live_frames_total");
    until("it receives on", || {
        story.live.metric("tapemill_live_frames_total") > received + 1_000.0
    });
    story.store.cont();

    let (store, folder) = story.end();

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
    book(&store.url("out"));
    let of_bucket = folder.path().join("of-bucket");
    download(&store, &of_bucket);
    let output = folder.path().join("out");
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

#[test]
fn sockets_wait_for_a_store_that_is_too_slow_and_nothing_is_lost() {
    let more = ["--max-buffer", "300KB"];
    let Some(story) = Story::begin(&more) else {
        return;
    };
    story.store.stop();
    let (mut frames, mut buffered) = (0.0, 0.0);
    until("it has no room and reads no more", || {
        std::thread::sleep(Duration::from_millis(200));
        buffered = story.live.metric("tapemill_live_buffered_bytes");
        let before = frames;
        frames = story.live.metric("tapemill_live_frames_total");
        buffered > 3e5 && frames == before
    });
    // What came with the last that had room.
    assert!(buffered < 2e6, "{buffered}");
    story.store.cont();

    story.end();
}
