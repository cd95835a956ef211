//! Writes the archives whose milling `bench/instructions` counts: `archives FOLDER` puts `CASE.zip` there for each, and
//! prints `CASE TASK` a line.

use std::error::Error;
use std::path::Path;

use tapemill_standin::generate::{AggTradesSpec, Archive, KlinesSpec, Order, Packing};
use tapemill_standin::{Interval, Market};

/// Enough that what is done once does not count.
const ROWS: u64 = 200_000;

#[expect(
    clippy::print_stdout,
    reason = "the result of a command goes to stdout"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: archives FOLDER")?;
    let folder = Path::new(&folder);
    let packing = Packing::default();
    let tell = |case: &str, task: &str, archive: Archive| {
        std::fs::rename(archive.path, folder.join(format!("{case}.zip")))?;
        println!("{case} {task}");
        Ok::<_, std::io::Error>(())
    };
    for (case, market, symbol, order) in [
        ("btc", Market::Um, "BTCUSDT", Order::Sorted),
        ("doge", Market::Um, "DOGEUSDT", Order::Sorted),
        (
            "interleaved",
            Market::Um,
            "BTCUSDT",
            Order::InterleavedTwoStreams,
        ),
        ("spot", Market::Spot, "BTCUSDT", Order::Sorted),
    ] {
        let mut spec = AggTradesSpec::new(market, symbol, "2024-01".parse()?, ROWS);
        spec.order = order;
        let (archive, _) = spec.write(folder, &packing)?;
        let task = format!("{}/aggTrades/{symbol}/2024-01", market.as_str());
        tell(case, &task, archive)?;
    }
    let spec = KlinesSpec::new(Market::Um, "BTCUSDT", Interval::MINUTE, "2024-01".parse()?);
    let (archive, _) = spec.write(folder, &packing)?;
    tell("klines", "um/klines:1m/BTCUSDT/2024-01", archive)?;
    Ok(())
}
