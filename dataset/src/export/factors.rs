//! The order-flow factors of other intervals, made of the stored minutes.

use std::sync::Arc;

use serde_json::{Map, json};
use tapemill_lake::tables::TIME_COLUMN;
use tapemill_lake::{Footer, LakePath, TableOptions, TableWriter, read_lineage};
use tapemill_market::Interval;

use super::own::{Columns, OwnFactors};
use super::{Export, ExportError, Exported, missing};
use crate::stored::{Stored, times_of};

/// The table that factors are made of.
const MINUTES: &str = "aggtrades_1m";

/// Which columns the factors have.
#[derive(Debug, Clone, Default)]
pub struct FactorsOptions {
    /// Columns behind the built-in ones.
    pub own: Option<Arc<dyn OwnFactors>>,
    /// Only those.
    pub own_only: bool,
}

/// Writes `factors_{interval}/{market}/{SYMBOL}.parquet` for each symbol: the columns of `factors_1h`, `minute` being the
/// bar's start, and own ones.
///
/// Bars are cut to the minutes of the range, as the minutes are: a range that begins within a bar gives a bar of what is left
/// of it.
///
/// # Errors
///
/// [`ExportError`], at the first table that cannot be read or file that cannot be written; for an interval that minutes
/// do not make, and for a symbol that was named and has no minutes.
pub fn export_factors(
    export: &Export,
    interval: Interval,
    options: &FactorsOptions,
) -> Result<Vec<Exported>, ExportError> {
    if !interval.is_made_of(Interval::MINUTE) {
        return Err(ExportError::Interval {
            wanted: interval.to_string(),
            of: "minutes".to_owned(),
        });
    }
    let columns = Columns {
        built_in: !options.own_only,
        own: options.own.as_deref(),
    };
    let work = export.with_rows(MINUTES)?;
    export.each(&work, |stored| one(export, stored, interval, columns))
}

fn one(
    export: &Export,
    stored: &Stored,
    interval: Interval,
    columns: Columns<'_>,
) -> Result<Exported, ExportError> {
    let folder = format!("factors_{interval}");
    let file = format!("{}.parquet", stored.symbol());
    let place = LakePath::of(&[&folder, stored.market().as_str(), &file])?;
    let bars = columns.fold(stored, &export.range, interval)?;
    let options = TableOptions::bars(TIME_COLUMN);
    let mut writer = TableWriter::create(&export.to, &place, &columns.schema(), &options)?;
    writer.write(&bars)?;
    let periods: Vec<_> = stored.periods().collect();
    let missing = missing(&export.range, &periods);
    let mut footer = footer(export, stored, interval)?;
    columns.tell(&mut footer.settings);
    writer.finish(footer)?.publish()?;
    let times = times_of(&bars).unwrap_or_default();
    Ok(Exported {
        file: place.to_string(),
        symbol: Some(stored.symbol().clone()),
        rows: bars.num_rows() as u64,
        times: times.first().copied().zip(times.last().copied()),
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
