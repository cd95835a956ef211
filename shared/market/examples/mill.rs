//! Mills a plain aggTrades CSV of um BTCUSDT 2023-12 and prints what came of it: for profilers.
//!
//! `cargo run --release -p tapemill-market --example mill -- FILE.csv`

use std::io::Read;

use tapemill_market::{AggTradesMill, Market, Milled, Symbol, Thresholds};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a CSV")?;
    let mut file = std::fs::File::open(path)?;
    let symbol = Symbol::exact("BTCUSDT")?;
    let mut mill = AggTradesMill::new(
        Market::Um,
        &symbol,
        "2023-12".parse()?,
        Thresholds::default(),
    );
    let mut chunk = vec![0; 128 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => mill.feed(&chunk[..read])?,
        }
    }
    if let Milled::Whole(result) = mill.finish()? {
        let quote: f64 = result.minutes().map(|minute| minute.quote_volume).sum();
        eprintln!("{} rows, {quote} quote", result.quality.rows);
    }
    Ok(())
}
