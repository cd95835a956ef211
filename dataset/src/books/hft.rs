//! Files for hftbacktest: the events of a book and the trades beside it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use jiff::civil::Date;
use tapemill_book::{HftEvents, HftRows, HftTrade};
use tapemill_capture::{CaptureFile, Dataset, Format, TradeRow, Wanted, files, trade_rows};
use tapemill_lake::{Lake, LakeError, LakePath, Part};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::sources::range_ms;
use super::{BookDay, Books, BooksError, HftFiles};

/// The one entry of such a file.
const ENTRY: &str = "data.npy";

/// Deflated for speed: the rows are mostly zeros and repeated times.
const DEFLATE_LEVEL: i64 = 1;

/// Writes the files of a day. The events of the books are taken; the trades are read here.
pub(super) fn write(
    books: &Books,
    day: Date,
    made: &mut [(BookDay, Option<HftEvents>)],
) -> Result<(), BooksError> {
    let Some(to) = &books.hftbacktest else {
        return Ok(());
    };
    let symbols: Vec<_> = made.iter().map(|(made, _)| made.symbol.clone()).collect();
    let mut trades = trades(books, to, day, &Wanted::new(&symbols))?;
    for (at, (made, events)) in made.iter_mut().enumerate() {
        let Some(mut events) = events.take() else {
            continue;
        };
        // Without a book there is nothing to trade against.
        if events.is_empty() {
            continue;
        }
        for trade in trades.remove(&at).unwrap_or_default() {
            events.trade(&HftTrade {
                trade_ms: trade.trade_ms,
                received_ns: trade.received_ns,
                is_buyer_maker: trade.is_buyer_maker,
                price: trade.price,
                quantity: trade.quantity,
            });
        }
        let rows = events.finish().ok_or_else(|| BooksError::TooMany {
            symbol: made.symbol.clone(),
            day,
        })?;
        let date = day.to_string().replace('-', "");
        let path = LakePath::of(&[&format!("{}_{date}.npz", made.symbol)])?;
        write_npz(&to.folder, &path, &rows)?;
        made.hftbacktest = Some((path, rows.len() as u64));
    }
    Ok(())
}

/// The trades of a day by the place of their symbol, each once and in the order of their ids: those that were fetched later
/// stand behind.
fn trades(
    books: &Books,
    to: &HftFiles,
    day: Date,
    wanted: &Wanted,
) -> Result<BTreeMap<usize, Vec<TradeRow>>, LakeError> {
    let lake = &books.output.lake;
    let range = range_ms(day);
    let days = [day.yesterday().ok(), Some(day), day.tomorrow().ok()];
    let id = match to.trades {
        Dataset::RawTrades => "trade_id",
        _ => "agg_id",
    };
    let may_hold = |file: &CaptureFile| {
        let Some(coverage) = &file.coverage else {
            return true;
        };
        let mut spans = coverage.coverage.values();
        file.format == Format::Jsonl
            || spans.any(|span| {
                let first = span.first_ms.min(span.last_ms);
                let last = span.first_ms.max(span.last_ms);
                // A trade's event follows it by some milliseconds.
                first < range.end + 60_000 && last >= range.start
            })
    };
    let mut trades: BTreeMap<usize, Vec<TradeRow>> = BTreeMap::new();
    for file in files(lake, to.trades, books.market, days.into_iter().flatten())? {
        if !may_hold(&file) {
            continue;
        }
        trade_rows(lake, &file, id, wanted, &mut |at, trade| {
            if range.contains(&trade.trade_ms) {
                trades.entry(at).or_default().push(*trade);
            }
        })?;
    }
    for trades in trades.values_mut() {
        trades.sort_by_key(|trade| trade.id);
        trades.dedup_by_key(|trade| trade.id);
    }
    Ok(trades)
}

fn write_npz(lake: &Lake, path: &LakePath, rows: &HftRows) -> Result<(), LakeError> {
    let part = Part::create(lake, path)?;
    let shown = part.shown().to_path_buf();
    let failed = |error: io::Error| LakeError::io("write", &shown, error);
    let mut archive = ZipWriter::new_stream(BufWriter::with_capacity(1 << 20, part));
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(DEFLATE_LEVEL))
        .large_file(true);
    archive
        .start_file(ENTRY, options)
        .map_err(|error| failed(error.into()))?;
    archive.write_all(&rows.header()).map_err(failed)?;
    let mut bytes = Vec::with_capacity(1 << 16);
    for row in rows.rows() {
        bytes.extend(row);
        if bytes.len() == bytes.capacity() {
            archive.write_all(&bytes).map_err(failed)?;
            bytes.clear();
        }
    }
    archive.write_all(&bytes).map_err(failed)?;
    let written = archive.finish().map_err(|error| failed(error.into()))?;
    let part = written
        .into_inner()
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    part.stage()?.publish()?;
    Ok(())
}
