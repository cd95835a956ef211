//! Recordings that lie beside the project, where the machine has them.

use std::path::PathBuf;

use tapemill_standin::stream::Tape;

/// Each recording, by its path in the folder of recordings.
pub const ALL: [&str; 7] = [
    "hftbacktest-cm/btcusd_perp_20240808.gz",
    "hftbacktest-spot/btcusdt_20230405.dat.gz",
    "hftbacktest-spot/btcusdt_20240808.gz",
    "hftbacktest-usdm/btcusdt_20230404.dat.gz",
    "hftbacktest-usdm/btcusdt_20240718.gz",
    "hftbacktest-usdm/ethusdt_20240718.gz",
    "cryptofeed/BINANCE_FUTURES.ws.1.0",
];

/// Where a recording is; `None`, said aloud, where there is none.
///
/// # Panics
///
/// With `CI` set the files must be there.
pub fn recording(name: &str) -> Option<PathBuf> {
    let beside = "../../../shared/data/real/recordings";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(beside)
        .join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "recordings beside the project are missing: {}",
        path.display()
    );
    eprintln!("skipped: nothing at {}", path.display());
    None
}

/// A recording as a tape.
pub fn tape(name: &str) -> Option<Tape> {
    recording(name).map(|path| Tape::read(path).unwrap())
}
