//! Writes a capture of a recording, many times over, for the benchmark of `tapemill book`.
//!
//! usage: book-capture RECORDING.gz MARKET SYMBOL TIMES OUTPUT
//!
//! Each repetition follows the one before by a second and begins with a hole and the recording's own snapshot. All of it is on
//! 2025-01-01 while it fits. Prints the number of updates and of levels.

use std::path::Path;

use tapemill_tests::Recording;

/// 2025-01-01T00:00:00 in milliseconds, and a minute.
const BEGIN_MS: i64 = 1_735_689_600_000 + 60_000;

/// As the default of a collector.
const FLUSH_MS: i64 = 5000;

#[expect(clippy::print_stdout, reason = "it is what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, market, symbol, times, output] = arguments.as_slice() else {
        panic!("usage: book-capture RECORDING.gz MARKET SYMBOL TIMES OUTPUT");
    };
    let market = market.parse().expect("um, cm or spot");
    let times: i64 = times.parse().expect("a number");
    let mut recording = Recording::lines(Path::new(file), market, symbol);
    let updates = || recording.depth.iter().filter(|row| !row.is_snapshot);
    let begin = updates()
        .map(|row| row.event_ms.max(row.received_ns / 1_000_000))
        .min();
    let end = recording
        .depth
        .iter()
        .map(|row| row.event_ms.max(row.received_ns / 1_000_000))
        .max();
    let (begin, end) = (begin.expect("updates"), end.expect("updates"));
    let first = updates().map(|row| row.first).min().expect("updates");
    let last = updates().map(|row| row.last).max().expect("updates");
    let levels: usize = updates().map(|row| row.bids.len() + row.asks.len()).sum();
    let updates = updates().count();
    recording.shift(BEGIN_MS - begin);
    let (one, deals) = (recording.depth.clone(), recording.deals.clone());
    recording.depth.clear();
    recording.deals.clear();
    for time in 0..times {
        let (later_ms, later_id) = (time * (end - begin + 1000), time * (last - first + 1000));
        recording.depth.extend(one.iter().cloned().map(|mut row| {
            row.event_ms += later_ms;
            row.transaction_ms = row.transaction_ms.map(|at| at + later_ms);
            row.received_ns += later_ms * 1_000_000;
            row.first += later_id;
            row.last += later_id;
            row.previous += later_id;
            row
        }));
        recording.deals.extend(deals.iter().cloned().map(|mut row| {
            row.event_ms += later_ms;
            row.trade_ms += later_ms;
            row.received_ns += later_ms * 1_000_000;
            row.id += time * 100_000_000;
            row
        }));
    }
    recording.write_books(Path::new(output), "0123456789abcdef", FLUSH_MS);
    recording.write_deals(Path::new(output), "0123456789abcdef", FLUSH_MS);
    println!(
        "{} updates, {} levels",
        updates as i64 * times,
        levels as i64 * times
    );
}
