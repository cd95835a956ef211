//! All transfers of a process share one cap.

use std::time::{Duration, Instant};

use tapemill_tests::{Lab, hashes};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Three archives of at least a megabyte each.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    for symbol in ["AAAUSDT", "BBBUSDT", "CCCUSDT"] {
        let archive = lab.mirror.trades(symbol, "2024-01", 95_000);
        let bytes = archive.path.metadata().expect("it is there").len();
        assert!(bytes >= 1_000_000, "{bytes} bytes");
    }
    lab
}

/// Three megabytes at one a second take at least two seconds, whoever brings them.
#[track_caller]
fn assert_is_capped(lab: &Lab, command: tapemill_tests::Tapemill) {
    let begun = Instant::now();
    command
        .args(["--max-bytes-per-second", "1MB", "--workers", "3"])
        .run()
        .expect(0);

    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(lab.mirror.zip_bytes_sent() >= 3_000_000);
}

#[test]
fn the_transfers_of_a_run_share_one_cap_and_bring_the_same_bytes() {
    let lab = lab();
    let expected = lab.undisturbed();

    assert_is_capped(&lab, lab.everything(&["run"]));

    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn the_transfers_of_a_worker_share_one_cap() {
    let lab = lab();
    lab.everything(&["plan"]).run().expect(0);

    assert_is_capped(&lab, lab.from_source(&["worker", "--exit-when-drained"]));
}

#[test]
fn the_downloads_of_a_fetch_share_one_cap() {
    let lab = lab();

    assert_is_capped(&lab, lab.everything(&["fetch"]));
}

#[test]
fn a_cap_of_nothing_or_of_no_size_is_refused() {
    let lab = Lab::new(BINARY);
    for cap in ["0", "fast", "-1", "1.5MB", ""] {
        let command = lab.everything(&["run"]);
        let refused = command
            .args([format!("--max-bytes-per-second={cap}")])
            .run();
        let line = refused.expect(2).only_error_line().to_owned();
        assert!(line.contains("max-bytes-per-second"), "{line}");
    }
}
