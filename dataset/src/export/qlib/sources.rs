//! What the bars of an instrument are made of, month by month.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tapemill_lake::tables::klines;
use tapemill_lake::{LakeError, read_lineage};
use tapemill_market::{DateRange, Market, Period, Symbol};

use super::name::Name;
use super::{ExportError, Frequency, import};
use crate::export::missing;
use crate::normalise::{Bar, complete, distinct, fold, on_grid};
use crate::stored::Stored;

/// Hours that were made of minutes when those were milled.
const HOURS_OF_MINUTES: &str = "klines_1h_from_1m";

/// What bars are made of where the exchange's own are not there, the first that has them.
const FINER: [(&str, Frequency); 4] = [
    ("klines_1m", Frequency::Minute),
    (HOURS_OF_MINUTES, Frequency::Hour),
    ("klines_1h", Frequency::Hour),
    ("klines_4h", Frequency::FourHours),
];

/// The host that the collector's list of downloads names.
const ARCHIVE: &str = "https://data.binance.vision/";

/// The tables that bars of this frequency are made of, its own first.
pub fn tables_of(frequency: Frequency) -> Vec<&'static str> {
    let own = frequency.table();
    let finer = FINER
        .iter()
        .filter(|(table, of)| *table != own && *of <= frequency);
    std::iter::once(own)
        .chain(finer.map(|(table, _)| *table))
        .collect()
}

/// All that there is of one symbol.
#[derive(Debug)]
pub struct Sources {
    pub symbol: Symbol,
    pub name: Name,
    pub market: Market,
    pub range: DateRange,
    /// By table.
    pub tables: BTreeMap<&'static str, Stored>,
    /// The collector's CSVs.
    pub imports: BTreeMap<Frequency, PathBuf>,
}

impl Sources {
    /// Whether there are bars of this frequency themselves, not only finer ones.
    pub fn has_own(&self, frequency: Frequency) -> bool {
        self.tables.contains_key(frequency.table()) || self.imports.contains_key(&frequency)
    }

    /// A digest of `form` and of all that bars are made of, and an entry for each archive of these frequencies in the
    /// collector's list of downloads.
    pub fn identity(
        &self,
        form: &str,
        frequencies: &[Frequency],
    ) -> Result<(String, Map<String, Value>), ExportError> {
        let mut digest = Sha256::new();
        let mut downloads = Map::new();
        digest.update(form);
        for (&table, stored) in &self.tables {
            let listed = frequencies
                .iter()
                .find(|frequency| frequency.table() == table);
            for (period, path) in stored.files(&self.range) {
                let lineage = read_lineage(stored.lake(), path)?;
                digest.update(format!("\n{table} {period} {}", lineage.content));
                if let (Some(frequency), Some(source)) = (listed, lineage.sources.first()) {
                    let url = match source.key.starts_with("data/") {
                        true => format!("{ARCHIVE}{}", source.key),
                        false => source.key.clone(),
                    };
                    let entry = json!({
                        "status": "ok",
                        "url": url,
                        "path": path.as_str(),
                        "bytes": source.bytes,
                    });
                    downloads.insert(self.download(*frequency, *period), entry);
                }
            }
            let periods: Vec<_> = stored.periods().collect();
            for (frequency, period) in listed.into_iter().flat_map(|frequency| {
                missing(&self.range, &periods)
                    .into_iter()
                    .map(move |period| (*frequency, period))
            }) {
                downloads.insert(
                    self.download(frequency, period),
                    json!({"status": "missing"}),
                );
            }
        }
        for (frequency, path) in &self.imports {
            digest.update(format!("\n{frequency} {}", import::digest(path)?));
        }
        let digest = digest.finalize();
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((digest, downloads))
    }

    fn download(&self, frequency: Frequency, period: Period) -> String {
        format!("{}/{}/{period}", self.symbol, frequency.interval())
    }

    /// Opens them.
    pub fn open(&self) -> Result<Months<'_>, ExportError> {
        let spans = self.range.spans();
        let is_asked = |bar: &Bar| spans.iter().any(|span| span.contains(&bar.open_us));
        let mut imported = BTreeMap::new();
        for (&frequency, path) in &self.imports {
            let mut bars = import::read(path, frequency)?;
            bars.retain(is_asked);
            imported.insert(frequency.table(), bars);
        }
        Ok(Months {
            sources: self,
            imported,
            month: None,
            read: BTreeMap::new(),
        })
    }
}

/// The sources of one symbol, of which one month at a time is in memory; of imported files all of it.
pub struct Months<'a> {
    sources: &'a Sources,
    /// By the table that has such bars.
    imported: BTreeMap<&'static str, Vec<Bar>>,
    month: Option<Period>,
    /// What was read of the month.
    read: BTreeMap<&'static str, Rc<Vec<Bar>>>,
}

/// The bars of one month.
#[derive(Debug, Default)]
pub struct Month {
    /// As they came: each time once, in order.
    pub own: Rc<Vec<Bar>>,
    /// On the grid, with what was made of finer ones.
    pub bars: Vec<Bar>,
    pub folded: u64,
    pub partial: u64,
    pub off_grid: u64,
}

impl Months<'_> {
    /// The months of which anything is there.
    pub fn list(&self) -> BTreeSet<Period> {
        let tables = self.sources.tables.values();
        let files = tables.flat_map(|stored| stored.files(&self.sources.range));
        let mut months: BTreeSet<_> = files.map(|(period, _)| period.month()).collect();
        months.extend(self.imported.values().flatten().filter_map(month_of));
        months.retain(|month| self.sources.range.touches(*month));
        months
    }

    /// The bars of a month.
    pub fn month(&mut self, month: Period, frequency: Frequency) -> Result<Month, LakeError> {
        let interval = frequency.interval();
        let own = self.bars(frequency.table(), month)?;
        let bars = on_grid(own.to_vec(), interval);
        let mut done = Month {
            off_grid: (own.len() - bars.len()) as u64,
            own,
            bars,
            ..Month::default()
        };
        for (table, finer) in FINER {
            if table == frequency.table() || finer > frequency {
                continue;
            }
            // Of a month that has every bar no minute is read.
            if is_whole(&done.bars, month, frequency) {
                break;
            }
            let made = fold(&self.bars(table, month)?, finer.interval(), interval);
            let completed = complete(&done.bars, &made);
            done.bars = completed.bars;
            done.folded += completed.added;
            done.partial += completed.partial;
        }
        Ok(done)
    }

    /// What a table, or an imported file, has of a month.
    fn bars(&mut self, table: &'static str, month: Period) -> Result<Rc<Vec<Bar>>, LakeError> {
        if self.month != Some(month) {
            self.month = Some(month);
            self.read.clear();
        }
        if let Some(bars) = self.read.get(table) {
            return Ok(bars.clone());
        }
        let mut bars = Vec::new();
        let Sources { symbol, market, .. } = self.sources;
        if let Some(stored) = self.sources.tables.get(table) {
            let range = DateRange {
                months: Some(vec![month]),
                ..self.sources.range.clone()
            };
            for batch in stored.batches(&range, None) {
                let rows = klines(*market).rows(&batch?);
                let rows = rows.ok_or_else(|| LakeError::Table {
                    table: format!("{table}/{market}/{symbol}"),
                    problem: "the columns are not those of the table".to_owned(),
                })?;
                bars.extend(rows.iter().map(|row| Bar::of(row, *market, symbol)));
            }
        }
        if let Some(imported) = self.imported.get(table) {
            let at = |time_us| imported.partition_point(|bar| bar.open_us < time_us);
            bars.extend_from_slice(&imported[at(month.start_us())..at(month.end_us())]);
        }
        // Ours stand before what is imported, and so count.
        let bars = Rc::new(distinct(bars));
        self.read.insert(table, bars.clone());
        Ok(bars)
    }
}

fn is_whole(bars: &[Bar], month: Period, frequency: Frequency) -> bool {
    let room = (month.end_us() - month.start_us()) / frequency.step_us();
    bars.len() as i64 == room && bars.iter().all(Bar::is_whole)
}

fn month_of(bar: &Bar) -> Option<Period> {
    let time = jiff::Timestamp::from_microsecond(bar.open_us).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    Some(Period::month_of(time.date()))
}
