//! The order-flow factors of other intervals, made of the stored minutes.

use serde_json::{Map, json};
use tapemill_lake::tables::{FACTORS, TIME_COLUMN};
use tapemill_lake::{Footer, LakePath, TableOptions, TableWriter, read_lineage};
use tapemill_market::{Interval, factors};

use super::{Export, ExportError, Exported, missing};
use crate::stored::Stored;

/// The table that factors are made of.
const MINUTES: &str = "aggtrades_1m";

/// Writes `factors_{interval}/{market}/{SYMBOL}.parquet` for each symbol: the columns of `factors_1h`, `minute` being the
/// bar's start.
///
/// Bars are cut to the minutes of the range, as the minutes are: a range that begins within a bar gives a bar of what is left
/// of it.
///
/// # Errors
///
/// [`ExportError`], at the first table that cannot be read or file that cannot be written; for an interval that minutes
/// do not make, and for a symbol that was named and has no minutes.
pub fn export_factors(export: &Export, interval: Interval) -> Result<Vec<Exported>, ExportError> {
    if !interval.is_made_of(Interval::MINUTE) {
        return Err(ExportError::Interval {
            wanted: interval.to_string(),
            of: "minutes".to_owned(),
        });
    }
    let work = export.with_rows(MINUTES)?;
    export.each(&work, |stored| one(export, stored, interval))
}

fn one(export: &Export, stored: &Stored, interval: Interval) -> Result<Exported, ExportError> {
    let folder = format!("factors_{interval}");
    let file = format!("{}.parquet", stored.symbol());
    let place = LakePath::of(&[&folder, stored.market().as_str(), &file])?;
    let bars = factors(&stored.minutes(&export.range)?, interval);
    let batch = FACTORS.batch(stored.symbol().as_str(), &bars);
    let options = TableOptions::bars(TIME_COLUMN);
    let mut writer = TableWriter::create(&export.to, &place, &FACTORS.schema(), &options)?;
    writer.write(&batch)?;
    let periods: Vec<_> = stored.periods().collect();
    let missing = missing(&export.range, &periods);
    let footer = footer(export, stored, interval)?;
    writer.finish(footer)?.publish()?;
    Ok(Exported {
        file: place.to_string(),
        symbol: Some(stored.symbol().clone()),
        rows: bars.len() as u64,
        times: bars
            .first()
            .map(|bar| bar.minute_us)
            .zip(bars.last().map(|bar| bar.minute_us)),
        missing,
        is_kept: false,
    })
}

/// The lineage of all that the bars were made of, file by file.
fn footer(export: &Export, stored: &Stored, interval: Interval) -> Result<Footer, ExportError> {
    let mut settings = Map::from_iter([("interval".to_owned(), json!(interval.as_str()))]);
    let mut sources = Vec::new();
    for (_, path) in stored.files(&export.range) {
        let lineage = read_lineage(stored.lake(), path)?;
        settings.extend(lineage.settings);
        sources.extend(lineage.sources);
    }
    Ok(Footer {
        settings,
        sources,
        quality: json!({}),
    })
}
