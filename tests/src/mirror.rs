//! An archive of a test's own, served by the stand-in.

use std::path::Path;

use tapemill_standin::generate::{AggTradesSpec, Archive, KlinesSpec, Packing};
use tapemill_standin::server::{Faults, PAGE_SIZE, Request, Standin, StandinOptions};
use tapemill_standin::{Interval, Market, Period};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder of archives behind a server on a port of its own. Dropping it removes both.
pub struct Mirror {
    root: TempDir,
    standin: Standin,
    // Dropped last: the server runs on it.
    _runtime: Runtime,
}

impl Mirror {
    /// An empty archive.
    pub fn new() -> Self {
        Self::with_pages_of(PAGE_SIZE)
    }

    /// An empty archive whose listing comes in small pages.
    pub fn with_pages_of(keys: usize) -> Self {
        let root = tempfile::tempdir().expect("a folder can be made");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let options = StandinOptions {
            page_size: keys,
            ..StandinOptions::new(root.path())
        };
        let standin = runtime
            .block_on(Standin::start_with(options))
            .expect("the stand-in starts");
        Self {
            root,
            standin,
            _runtime: runtime,
        }
    }

    /// Where the archives lie.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where they are served.
    pub fn url(&self) -> &str {
        &self.standin.url
    }

    /// Lays down plain um aggTrades.
    pub fn trades(&self, symbol: &str, period: &str, rows: u64) -> Archive {
        self.lay(trades_of(symbol, period, rows), &Packing::default())
    }

    /// Lays down plain um aggTrades and the one-minute klines of the same trades.
    pub fn tape(&self, symbol: &str, period: &str, rows: u64) -> (Archive, Archive) {
        self.tape_of(&trades_of(symbol, period, rows))
    }

    /// Lays down aggTrades and the one-minute klines of the same trades.
    pub fn tape_of(&self, spec: &AggTradesSpec) -> (Archive, Archive) {
        let laid = spec.write_with_klines(self.root(), &Packing::default());
        let (trades, klines, _) = laid.expect("the archives can be written");
        (trades, klines)
    }

    /// Lays down aggTrades in a packing of the test's choice.
    pub fn lay(&self, spec: AggTradesSpec, packing: &Packing) -> Archive {
        let (archive, _) = spec
            .write(self.root(), packing)
            .expect("the archive can be written");
        archive
    }

    /// Lays down plain um one-minute klines.
    pub fn klines(&self, symbol: &str, period: &str) -> Archive {
        let period = period.parse().expect("it is a period");
        let spec = KlinesSpec::new(Market::Um, symbol, Interval::MINUTE, period);
        let (archive, _) = spec
            .write(self.root(), &Packing::default())
            .expect("the archive can be written");
        archive
    }

    /// Two symbols, two months, aggTrades and klines: 8 archives of some 2.5 MB in all.
    pub fn lay_selection(&self) {
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            for month in ["2024-01", "2024-02"] {
                self.trades(symbol, month, 30_000);
                self.klines(symbol, month);
            }
        }
    }

    /// Takes an archive and its sidecar away.
    pub fn remove(&self, archive: &Archive) {
        std::fs::remove_file(&archive.path).expect("the archive is there");
        let _ = std::fs::remove_file(format!("{}.CHECKSUM", archive.path.display()));
    }

    /// Replaces what goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.standin.set_faults(faults).expect("the faults can be");
    }

    /// The requests so far, oldest first.
    pub fn log(&self) -> Vec<Request> {
        self.standin.log()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.standin.clear_log();
    }

    /// Bytes of archives sent so far.
    pub fn zip_bytes_sent(&self) -> u64 {
        let log = self.log();
        let zips = log.iter().filter(|request| request.path.ends_with(".zip"));
        zips.map(|request| request.bytes_sent).sum()
    }

    /// The files asked for so far, listings left out.
    pub fn files_asked_for(&self) -> Vec<String> {
        let log = self.log().into_iter();
        log.map(|request| request.path)
            .filter(|path| !path.is_empty())
            .collect()
    }

    /// The archives asked for so far.
    pub fn zips_asked_for(&self) -> Vec<String> {
        let mut files = self.files_asked_for();
        files.retain(|path| path.ends_with(".zip"));
        files
    }
}

impl Default for Mirror {
    fn default() -> Self {
        Self::new()
    }
}

/// Plain um aggTrades.
pub fn trades_of(symbol: &str, period: &str, rows: u64) -> AggTradesSpec {
    let period: Period = period.parse().expect("it is a period");
    AggTradesSpec::new(Market::Um, symbol, period, rows)
}
