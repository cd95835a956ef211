use std::path::Path;

use super::agg_trades::{AggTradesSpec, Outage};
use super::packing::{Archive, Packing};
use super::style::Order;
use super::zip_file::{Method, ZipOptions};
use crate::{Market, StandinError};

/// Symbols of [`demo_archive`].
pub const DEMO_SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
/// Months of [`demo_archive`].
pub const DEMO_MONTHS: [&str; 2] = ["2024-01", "2024-02"];

/// Trades of each file, the first month's and the second's.
const ROWS: [(&str, [u64; 2]); 3] = [
    (DEMO_SYMBOLS[0], [180_000, 200_000]),
    (DEMO_SYMBOLS[1], [140_000, 150_000]),
    (DEMO_SYMBOLS[2], [90_000, 100_000]),
];

/// Lays down a small um archive: aggTrades and one-minute klines of three symbols and two months.
///
/// The klines are computed from the same trades. The first month has no header; ETHUSDT's is two interleaved id
/// streams; the second month has a few duplicates, id holes and an outage. The same bytes every time.
///
/// # Errors
///
/// [`StandinError::Io`] for the disk.
pub fn demo_archive(root: &Path) -> Result<Vec<Archive>, StandinError> {
    // Whoever looks at the demo waits for this; a smaller file would not please them more.
    let packing = Packing {
        zip: ZipOptions {
            method: Method::Deflate(1),
            ..ZipOptions::default()
        },
        ..Packing::default()
    };
    let mut archives = Vec::new();
    for (at, (symbol, rows)) in ROWS.into_iter().enumerate() {
        let mut first_id = 1_900_000_000 + at as u64 * 10_000_000;
        for (month, rows) in DEMO_MONTHS.into_iter().zip(rows) {
            let is_first = month == DEMO_MONTHS[0];
            let mut spec = AggTradesSpec::new(Market::Um, symbol, month.parse()?, rows);
            spec.seed = 100 * at as u64 + u64::from(is_first);
            spec.first_id = first_id;
            spec.landmarks = false;
            spec.sessions = true;
            spec.style.header = !is_first;
            if is_first && symbol == "ETHUSDT" {
                spec.order = Order::InterleavedTwoStreams;
            }
            if !is_first {
                spec.duplicates = 12;
                spec.id_gaps = 2;
                let outage = Outage {
                    from_minute: 15_000,
                    minutes: 25,
                };
                spec.outages.push(outage);
            }
            let (trades, klines, facts) = spec.write_with_klines(root, &packing)?;
            first_id = facts.last_id + 1;
            archives.extend([trades, klines]);
        }
    }
    Ok(archives)
}
