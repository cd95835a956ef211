//! One table of all that is known of a symbol, a row a bar.

mod inputs;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use arrow_array::Array;
use arrow_schema::{ArrowError, SchemaRef};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use tapemill_lake::{
    BAR_GROUP_ROWS, Footer, LakeError, LakePath, Part, Source, TableOptions, TableReader,
    TableWriter, read_lineage,
};
use tapemill_market::{Bars, DateRange, Interval};

use super::own::{Columns, OwnFactors};
use super::{Export, ExportError, Exported, missing};
use crate::bars::{chunks, cut, tables, widened};
use crate::stored::times_of;
use inputs::Tables;

/// Rows that are made at once, about.
const ROWS_AT_ONCE: i64 = 100_000;

/// Where the time is in a wide table.
const TIME: usize = 1;

/// Writes `wide_{interval}/{market}/{SYMBOL}.parquet` for each symbol that has klines, all of them behind each other as
/// `wide_{interval}/{market}.parquet`, and what they hold as `wide_{interval}/{market}/dataset_summary.csv`.
///
/// A row of the bar that opens at `t` has what was known when the bar ended, its `available_at`: the bars of `t`, and of
/// funding, open interest and ratios what was known at `t`, by the minute. Own factors stand behind the others. Rows do not depend on the range that is asked for.
///
/// # Errors
///
/// [`ExportError`], at the first table that cannot be read or file that cannot be written; for an interval shorter than a
/// minute, and for a symbol that was named and has no klines.
pub fn export_wide(
    export: &Export,
    interval: Interval,
    own: Option<&dyn OwnFactors>,
) -> Result<Vec<Exported>, ExportError> {
    if !interval.is_made_of(Interval::MINUTE) {
        return Err(ExportError::Interval {
            wanted: interval.to_string(),
            of: "minutes".to_owned(),
        });
    }
    let columns = Columns {
        built_in: true,
        own,
    };
    let work = Tables::find_all(export, interval, columns)?;
    let found: BTreeSet<_> = work.iter().map(|tables| &tables.symbol).collect();
    let of = tables(Bars::Trade, interval).join(" or ");
    export.check_found(&of, &found)?;
    let wide = Wide {
        export,
        interval,
        folder: format!("wide_{interval}"),
        schema: table::schema(export.market, columns),
        columns,
    };
    let written = export.each(&work, |tables| wide.one(tables))?;
    wide.summary(&written)?;
    let all = wide.all(&written)?;
    let each = written.into_iter().map(|written| written.exported);
    Ok(each.chain([all]).collect())
}

/// What all files have in common.
struct Wide<'a> {
    export: &'a Export,
    interval: Interval,
    folder: String,
    schema: SchemaRef,
    columns: Columns<'a>,
}

/// A symbol's file.
struct Written {
    exported: Exported,
    place: LakePath,
    source: Source,
    /// Columns that have a value.
    features: usize,
}

impl Wide<'_> {
    fn one(&self, tables: &Tables) -> Result<Written, ExportError> {
        let export = self.export;
        let file = format!("{}.parquet", tables.symbol);
        let place = LakePath::of(&[&self.folder, export.market.as_str(), &file])?;
        let options = TableOptions::bars(TIME);
        let mut writer = TableWriter::create(&export.to, &place, &self.schema, &options)?;
        let periods = tables.periods();
        let mut times: Option<(i64, i64)> = None;
        let mut has_value = vec![false; self.schema.fields().len()];
        let mut files = BTreeSet::new();
        for chunk in chunks(&export.range, &periods, self.interval, ROWS_AT_ONCE) {
            let read = self.around(&chunk);
            files.extend(tables.files(&read));
            let inputs = tables.load(&read, self.columns)?;
            let rows = table::rows(&inputs, export.market, self.interval, self.columns);
            let Some(batch) = rows.map_err(|error| unfit(&place, &error))? else {
                continue;
            };
            for batch in cut(&batch, &export.range, &chunk) {
                for (has_value, column) in has_value.iter_mut().zip(batch.columns()) {
                    *has_value |= column.null_count() < column.len();
                }
                let of_batch = times_of(&batch).unwrap_or_default();
                if let (Some(&first), Some(&last)) = (of_batch.first(), of_batch.last()) {
                    times = Some((times.map_or(first, |(first, _)| first), last));
                }
                writer.write(&batch)?;
            }
        }
        let rows = writer.rows();
        let footer = self.footer(files)?;
        let published = writer.finish(footer)?.publish()?;
        let features = has_value.iter().skip(table::KEYS.len());
        Ok(Written {
            source: Source {
                key: place.to_string(),
                bytes: published.bytes,
                sha256: self.sha256(&place)?,
                rows,
            },
            place,
            features: features.filter(|has_value| **has_value).count(),
            exported: Exported {
                file: published.path.to_string(),
                symbol: Some(tables.symbol.clone()),
                rows,
                times,
                missing: missing(&export.range, &periods),
                is_kept: false,
            },
        })
    }

    /// The days that the rows of a chunk are made of: the bar before each, and what was known before it.
    fn around(&self, chunk: &DateRange) -> DateRange {
        match self.interval.is_longer_than_a_day() {
            false => widened(chunk, 2, 0),
            true => widened(chunk, 64, 31),
        }
    }

    /// The lineage of all that rows were made of.
    fn footer(&self, files: BTreeSet<LakePath>) -> Result<Footer, LakeError> {
        let mut settings = Map::from_iter([("interval".to_owned(), json!(self.interval.as_str()))]);
        let mut sources = BTreeMap::new();
        for path in files {
            let lineage = read_lineage(&self.export.output.lake, &path)?;
            settings.extend(lineage.settings);
            // Minutes and hours of one archive name it both.
            let named = |source: Source| ((source.key.clone(), source.sha256.clone()), source);
            sources.extend(lineage.sources.into_iter().map(named));
        }
        self.columns.tell(&mut settings);
        Ok(Footer {
            settings,
            sources: sources.into_values().collect(),
            quality: json!({}),
        })
    }

    /// All symbols in one file, read back one after the other.
    fn all(&self, written: &[Written]) -> Result<Exported, ExportError> {
        let to = &self.export.to;
        let place = LakePath::of(&[&self.folder, &format!("{}.parquet", self.export.market)])?;
        let options = TableOptions {
            // Words are no order that the lake checks; within a symbol time was.
            sort_by: Vec::new(),
            unique: false,
            row_group_rows: BAR_GROUP_ROWS,
        };
        let mut writer = TableWriter::create(to, &place, &self.schema, &options)?;
        for written in written {
            for batch in TableReader::open(to, &written.place)? {
                writer.write(&batch?)?;
            }
        }
        let rows = writer.rows();
        let mut settings = Map::from_iter([("interval".to_owned(), json!(self.interval.as_str()))]);
        self.columns.tell(&mut settings);
        let footer = Footer {
            settings,
            sources: written
                .iter()
                .map(|written| written.source.clone())
                .collect(),
            quality: json!({}),
        };
        writer.finish(footer)?.publish()?;
        let times = written.iter().filter_map(|written| written.exported.times);
        Ok(Exported {
            file: place.to_string(),
            symbol: None,
            rows,
            times: times.reduce(|(a, b), (c, d)| (a.min(c), b.max(d))),
            missing: Vec::new(),
            is_kept: false,
        })
    }

    /// Of the file's bytes, piece by piece: files of minutes are large.
    fn sha256(&self, place: &LakePath) -> Result<String, LakeError> {
        let to = &self.export.to;
        let path = to.locate(place).unwrap_or_default();
        let failed = |error| LakeError::io("read", &path, error);
        let mut file = File::open(&path).map_err(failed)?;
        let mut digest = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => break,
                read => digest.update(&piece[..read]),
            }
        }
        let digest = digest.finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn summary(&self, written: &[Written]) -> Result<(), ExportError> {
        let mut text = "symbol,rows,start_date,end_date,features\n".to_owned();
        for Written {
            exported, features, ..
        } in written
        {
            let time = |time_us: Option<i64>| {
                let time = time_us.and_then(|time| jiff::Timestamp::from_microsecond(time).ok());
                time.map_or(String::new(), |time| {
                    time.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string()
                })
            };
            let symbol = exported
                .symbol
                .as_ref()
                .map_or("", |symbol| symbol.as_str());
            text.push_str(&format!(
                "{symbol},{},{},{},{features}\n",
                exported.rows,
                time(exported.times.map(|(first, _)| first)),
                time(exported.times.map(|(_, last)| last)),
            ));
        }
        let names = [&self.folder, self.export.market.as_str(), SUMMARY];
        let mut part = Part::create(&self.export.to, &LakePath::of(&names)?)?;
        part.append(text.as_bytes())?;
        part.stage()?.publish()?;
        Ok(())
    }
}

const SUMMARY: &str = "dataset_summary.csv";

fn unfit(place: &LakePath, error: &ArrowError) -> ExportError {
    ExportError::Lake(LakeError::Table {
        table: place.to_string(),
        problem: error.to_string(),
    })
}
