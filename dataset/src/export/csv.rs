//! One CSV per table and symbol.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use tapemill_lake::{LakeError, LakePath, Part};
use tapemill_market::{Data, Period, Symbol};

use super::cells::Cells;
use super::meta::{Asked, Meta};
use super::{Export, ExportError, Exported, missing};
use crate::stored::{Stored, times_of};

/// How columns are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// As in the tables.
    #[default]
    Own,
    /// As in the collectors that people come from: `timestamp`, `taker_buy_base`, and the symbol last.
    Seed,
}

impl std::str::FromStr for Names {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "own" => Ok(Self::Own),
            "seed" => Ok(Self::Seed),
            _ => Err("own or seed is expected"),
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own => "own",
            Self::Seed => "seed",
        })
    }
}

/// How CSVs are written.
#[derive(Debug, Clone, Default)]
pub struct CsvOptions {
    /// How columns are named.
    pub names: Names,
    /// Leaves a file alone that was made of the same tables for the same request.
    pub skip_existing: bool,
    /// Periods whose task is dead, by kind of data and symbol.
    pub failed: BTreeMap<(Data, Symbol), BTreeSet<Period>>,
}

/// Writes `{SYMBOL}_{table}.csv` for each table and symbol, and what it holds beside it as `….csv.meta.json`; the hourly
/// factors are `{SYMBOL}_aggTrades.csv`.
///
/// Times are `2020-01-01 00:00:00+00:00`, other than those of bars with six decimals; floats have as many digits as read back to
/// the same value; what is null is empty.
///
/// # Errors
///
/// [`ExportError`], at the first table that cannot be read or file that cannot be written; and for a symbol that was named
/// and has no rows of any table.
pub fn export_csv(
    export: &Export,
    tables: &[String],
    options: &CsvOptions,
) -> Result<Vec<Exported>, ExportError> {
    let tables: Vec<_> = tables.iter().map(String::as_str).collect();
    let work = export.with_rows_of(&tables)?;
    export.each(&work, |stored| one(export, stored, options))
}

fn one(export: &Export, stored: &Stored, options: &CsvOptions) -> Result<Exported, ExportError> {
    let name = file_name(stored);
    let place = LakePath::of(&[&name])?;
    let data = Data::of_table(stored.table());
    let form = options.names.to_string();
    let interval = stored.interval().map(|interval| interval.to_string());
    let meta = Meta::of(
        &Asked {
            stored,
            data_type: data.map(Data::archive_folder).unwrap_or_default(),
            interval: interval
                .as_deref()
                .filter(|_| data != Some(Data::AggTrades)),
            range: &export.range,
            form: &form,
        },
        &name,
    )?;
    if options.skip_existing
        && let Some(kept) = meta.kept(&export.to, &place)?
    {
        let symbol = Some(stored.symbol().clone());
        return Ok(Exported { symbol, ..kept });
    }
    meta.forget(&export.to)?;
    let mut part = Part::create(&export.to, &place)?;
    let schema = stored.schema()?;
    let mut sheet = Sheet::new(&schema, stored, options.names);
    for batch in stored.batches(&export.range, None) {
        sheet.write(&batch?, &mut part)?;
    }
    sheet.flush(&mut part)?;
    let published = part.stage()?.publish()?;
    let periods: Vec<_> = stored.periods().collect();
    let exported = Exported {
        file: name,
        symbol: Some(stored.symbol().clone()),
        rows: sheet.rows,
        times: sheet.times,
        missing: missing(&export.range, &periods),
        is_kept: false,
    };
    let failed = data.and_then(|data| options.failed.get(&(data, stored.symbol().clone())));
    meta.publish(
        &export.to,
        &exported,
        published.bytes,
        failed.unwrap_or(&BTreeSet::new()),
    )?;
    Ok(exported)
}

fn file_name(stored: &Stored) -> String {
    let kind = match stored.table() {
        "factors_1h" => "aggTrades",
        // Not told apart from the factors' where names are read in any case.
        "aggtrades" => "aggtrades_raw",
        table => table,
    };
    format!("{}_{kind}.csv", stored.symbol())
}

/// What a file is told to have in place of a table's columns: `(column, name)` in order.
fn columns(schema: &Schema, stored: &Stored, names: Names) -> Vec<(usize, String)> {
    let all = schema.fields().iter().enumerate();
    let mut columns: Vec<(usize, String)> =
        all.map(|(at, field)| (at, field.name().clone())).collect();
    if matches!(stored.table(), "factors_1h") {
        columns.retain(|(_, name)| name != "symbol");
    }
    if names == Names::Own {
        return columns;
    }
    match Data::of_table(stored.table()) {
        Some(Data::AggTrades) => {
            columns.retain(|(_, name)| name != "symbol" && name != "raw_trade_count")
        }
        _ => {
            for (_, name) in &mut columns {
                *name = match name.as_str() {
                    "open_time" | "funding_time" => "timestamp",
                    "taker_buy_volume" => "taker_buy_base",
                    "taker_buy_quote_volume" => "taker_buy_quote",
                    other => other,
                }
                .to_owned();
            }
            // The symbol comes last.
            columns.rotate_left(1);
        }
    }
    columns
}

/// A CSV that is being written.
struct Sheet {
    text: Vec<u8>,
    columns: Vec<(usize, String)>,
    opens_bars: bool,
    rows: u64,
    times: Option<(i64, i64)>,
}

/// Text that is gathered before it is written.
const WRITTEN_AT_ONCE: usize = 1 << 20;

impl Sheet {
    fn new(schema: &Schema, stored: &Stored, names: Names) -> Self {
        let columns = columns(schema, stored, names);
        let names: Vec<_> = columns.iter().map(|(_, name)| name.as_str()).collect();
        Self {
            text: format!("{}\n", names.join(",")).into_bytes(),
            columns,
            opens_bars: stored.interval().is_some(),
            rows: 0,
            times: None,
        }
    }

    fn write(&mut self, batch: &RecordBatch, part: &mut Part) -> Result<(), LakeError> {
        if let Some(times) = times_of(batch)
            && let (Some(&first), Some(&last)) = (times.first(), times.last())
        {
            self.times = Some((self.times.map_or(first, |(first, _)| first), last));
        }
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|(at, _)| Cells::of(batch.column(*at).as_ref(), self.opens_bars && *at == TIME))
            .collect();
        for row in 0..batch.num_rows() {
            for (at, cells) in cells.iter().enumerate() {
                if at > 0 {
                    self.text.push(b',');
                }
                cells.write(row, &mut self.text);
            }
            self.text.push(b'\n');
            if self.text.len() >= WRITTEN_AT_ONCE {
                self.flush(part)?;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn flush(&mut self, part: &mut Part) -> Result<(), LakeError> {
        part.append(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

/// Where a table's time is.
const TIME: usize = tapemill_lake::tables::TIME_COLUMN;
