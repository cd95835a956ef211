//! Proves what is on disk: that every table is whole, is what its place says, and follows from what it was made of.
//!
//! Nothing but the output is read. Each file gets one verdict.

mod agreement;
mod bars;
mod coverage;
mod report;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, StringArray};
use bars::OddBars;
pub use coverage::{Hole, holes};
pub use report::{html_report, json_report};
use tapemill_exchange::Endpoint;
use tapemill_lake::tables::{FACTORS_1H, MINUTES, TIME_COLUMN, Table, klines};
use tapemill_lake::{
    CODEC, Lake, LakeError, LakePath, Lineage, TableFile, TablePath, content_of, read_lineage,
    read_verified,
};
use tapemill_market::{
    ArchiveName, Data, Kline, Market, Minute, Period, Symbol, hours, hours_from_minutes,
};

/// What a file is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing is wrong, and something is to be known.
    Note,
    /// It cannot be relied on.
    Defect,
}

impl Verdict {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Defect => "defect",
        }
    }
}

/// The verdict on one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the output.
    pub file: String,
    /// What it is found to be.
    pub verdict: Verdict,
    /// A short code of the reason.
    pub kind: &'static str,
    /// The reason in words.
    pub reason: String,
    /// What its place says that it is made of; none where no task writes such a table.
    pub name: Option<ArchiveName>,
}

/// Why a file is no good: a code and words.
type Defect = (&'static str, String);

/// Judges these files, beside all others that there are, on as many threads; in the order of the files.
///
/// # Errors
///
/// [`LakeError`] where the output cannot be read: that is no fault of a file.
pub fn verify(
    lake: &Lake,
    files: &[&TableFile],
    all: &[TableFile],
    threads: usize,
) -> Result<Vec<Finding>, LakeError> {
    let paths: BTreeSet<&LakePath> = all.iter().map(|file| &file.path).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(files.len()));
    let judge = || {
        while let Some(file) = files.get(next.fetch_add(1, Relaxed)) {
            let finding = judged(lake, file, &paths);
            let failed = finding.is_err();
            found
                .lock()
                .expect("no thread panics with it")
                .push(finding);
            if failed {
                // The others would fail alike.
                next.store(files.len(), Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(judge);
        }
        judge();
    });
    let found = found.into_inner().expect("no thread panicked with it");
    let mut found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}

fn judged(lake: &Lake, file: &TableFile, all: &BTreeSet<&LakePath>) -> Result<Finding, LakeError> {
    let finding = |verdict, kind, reason| Finding {
        file: file.path.as_str().to_owned(),
        verdict,
        kind,
        reason,
        name: name_of(&file.table).ok(),
    };
    let (verdict, kind, reason) = looked_at(lake, file, all)?;
    if verdict == Verdict::Defect {
        return Ok(finding(verdict, kind, reason));
    }
    let month = file
        .table
        .month()
        .and_then(|month| month.path(file.layout).ok());
    Ok(match month.filter(|month| all.contains(month)) {
        Some(month) => finding(
            Verdict::Note,
            "superseded",
            format!("{month} holds this day too; cleanup removes it"),
        ),
        None => finding(verdict, kind, reason),
    })
}

type Look = (Verdict, &'static str, String);

/// What is found of a file by itself, and beside the tables that it goes with.
fn looked_at(lake: &Lake, file: &TableFile, all: &BTreeSet<&LakePath>) -> Result<Look, LakeError> {
    let defect = |(kind, reason)| (Verdict::Defect, kind, reason);
    let name = match name_of(&file.table) {
        Ok(name) => name,
        Err(found) => return Ok(defect(found)),
    };
    let (rows, lineage) = match read(lake, file, &name)? {
        Ok(read) => read,
        Err(found) => return Ok(defect(found)),
    };
    if let Some(found) = follows(lake, file, &rows)? {
        return Ok(defect(found));
    }
    if let Kept::Minutes(minutes) = &rows.kept {
        return beside_klines(lake, file, &name, minutes, &lineage, all);
    }
    Ok(match rows.odd.words() {
        Some(words) => (Verdict::Note, "bars", words),
        None => (Verdict::Ok, "ok", String::new()),
    })
}

/// The exchange's klines of the same minutes, on disk, say the same; or it is said where they do not.
fn beside_klines(
    lake: &Lake,
    file: &TableFile,
    name: &ArchiveName,
    minutes: &[Minute],
    lineage: &Lineage,
    all: &BTreeSet<&LakePath>,
) -> Result<Look, LakeError> {
    let mut klines = Vec::new();
    for place in kline_places(file, name)? {
        // Those that cannot be read have a verdict of their own.
        if all.contains(&place)
            && let Some(read) = bars_of(lake, &place, name.market)?
        {
            klines.extend(read);
        }
    }
    let period = name.period.start_us()..name.period.end_us();
    klines.retain(|kline: &Kline| period.contains(&kline.open_time_us));
    if klines.is_empty() {
        let reason = "there are no klines_1m of this period to compare with".to_owned();
        return Ok((Verdict::Note, "no_klines", reason));
    }
    let agreement = agreement::compare(name.market, &name.symbol, minutes, &klines);
    if agreement.differing.is_empty() {
        return Ok(match agreement.without_kline {
            0 => (Verdict::Ok, "ok", String::new()),
            count => {
                let reason = format!("{count} minutes with trades have no kline");
                (Verdict::Note, "no_klines", reason)
            }
        });
    }
    // Both follow from their archives, so that it is these that differ; what is known of the trades may tell why.
    let lacks = [
        "missing_ids",
        "out_of_period",
        "contradictions",
        "zero_quantity",
    ];
    let known = |what: &&str| lineage.quality[*what].as_u64().filter(|count| *count > 0);
    let counts = lacks.iter().filter_map(|what| Some((what, known(what)?)));
    let mut reason = agreement.words();
    for (what, count) in counts {
        reason.push_str(&format!("; {what} of the trades: {count}"));
    }
    Ok((Verdict::Note, "klines", reason))
}

/// Where the klines of a file's minutes may be: of the same period, of the month around a day, of a month's days.
fn kline_places(file: &TableFile, name: &ArchiveName) -> Result<Vec<LakePath>, LakeError> {
    let place = |period: Period| {
        let (market, symbol) = (file.table.market(), file.table.symbol());
        TablePath::new("klines_1m", market, symbol, &period.to_string())?.path(file.layout)
    };
    let mut places = vec![place(name.period)?];
    if name.period.is_day() {
        places.insert(0, place(name.period.month())?);
        return Ok(places);
    }
    for day in name.days() {
        places.push(place(day.period)?);
    }
    Ok(places)
}

/// `None` where there are none that can be read.
fn bars_of(lake: &Lake, place: &LakePath, market: Market) -> Result<Option<Vec<Kline>>, LakeError> {
    let mut bars = Vec::new();
    let mut whole = true;
    let read = read_verified(lake, place, |batch| match klines(market).rows(batch) {
        Some(rows) => bars.extend(rows),
        None => whole = false,
    });
    match read {
        Ok(_) if whole => Ok(Some(bars)),
        Ok(_) => Ok(None),
        Err(error) if error.is_absent() || error.is_file() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file whole, unless it is defective by itself.
fn read(
    lake: &Lake,
    file: &TableFile,
    name: &ArchiveName,
) -> Result<Result<(Rows, Lineage), Defect>, LakeError> {
    let mut rows = Rows::new(&file.table, name);
    let (lineage, whole) = match read_verified(lake, &file.path, |batch| rows.take(batch)) {
        Ok(read) => read,
        Err(error) if error.is_absent() => {
            return Ok(Err((
                "gone",
                "it went away while it was looked at".to_owned(),
            )));
        }
        Err(error) if error.is_file() => return Ok(Err(("unreadable", error.to_string()))),
        Err(error) => return Err(error),
    };
    if lineage.codec != CODEC {
        let reason = format!(
            "it is of codec {}, not {CODEC}; run makes it again",
            lineage.codec
        );
        return Ok(Err(("codec", reason)));
    }
    if !whole {
        let reason = "its rows are not those that its footer names".to_owned();
        return Ok(Err(("content", reason)));
    }
    if let Some(defect) = rows.wrong.take().or_else(|| foreign_source(&lineage, name)) {
        return Ok(Err(defect));
    }
    Ok(Ok((rows, lineage)))
}

/// What a place says that a table is.
fn name_of(table: &TablePath) -> Result<ArchiveName, Defect> {
    let foreign = |what: &str| ("foreign", format!("no task writes {what}"));
    let data = Data::of_table(table.dataset()).ok_or_else(|| foreign(table.dataset()))?;
    Ok(ArchiveName {
        market: table
            .market()
            .parse()
            .map_err(|_| foreign(table.market()))?,
        data,
        symbol: Symbol::exact(table.symbol()).map_err(|_| foreign(table.symbol()))?,
        period: table
            .period()
            .parse()
            .map_err(|_| foreign(table.period()))?,
    })
}

/// A table is made of the archive that its place names.
fn foreign_source(lineage: &Lineage, name: &ArchiveName) -> Option<Defect> {
    let key = name.key();
    // What the exchange was asked for, until there is an archive.
    let asked = Endpoint::of(name).map(|endpoint| endpoint.key());
    let is_asked = |source: &str| {
        let range = asked.as_ref().and_then(|asked| source.strip_prefix(asked));
        range.is_some_and(|range| range.starts_with("&startTime="))
    };
    let is_other = |source: &str| source != key && !is_asked(source);
    let other = (lineage.sources.iter()).find(|source| is_other(&source.key));
    match (other, lineage.sources.is_empty()) {
        (None, false) => None,
        (None, true) => Some(("lineage", "its footer names no source".to_owned())),
        (Some(other), _) => {
            let reason = format!("it was made of {} and stands for {key}", other.key);
            Some(("lineage", reason))
        }
    }
}

/// What is seen of the rows while they pass by.
struct Rows {
    symbol: String,
    period: Period,
    market: Market,
    data: Data,
    wrong: Option<Defect>,
    odd: OddBars,
    /// Kept where another table follows from them.
    kept: Kept,
}

enum Kept {
    Nothing,
    Minutes(Vec<Minute>),
    Klines(Vec<Kline>),
}

impl Rows {
    fn new(table: &TablePath, name: &ArchiveName) -> Self {
        Self {
            symbol: name.symbol.to_string(),
            period: name.period,
            market: name.market,
            data: name.data,
            wrong: None,
            odd: OddBars::default(),
            kept: match table.dataset() {
                "aggtrades_1m" => Kept::Minutes(Vec::new()),
                "klines_1m" => Kept::Klines(Vec::new()),
                _ => Kept::Nothing,
            },
        }
    }

    fn take(&mut self, batch: &RecordBatch) {
        if self.wrong.is_none() {
            self.wrong = self.look(batch).err();
        }
    }

    fn look(&mut self, batch: &RecordBatch) -> Result<(), Defect> {
        let columns = || {
            (
                "columns",
                "its columns are not those of its dataset".to_owned(),
            )
        };
        let symbols = batch
            .column(0)
            .as_dictionary_opt::<Int32Type>()
            .and_then(|symbols| symbols.downcast_dict::<StringArray>());
        for symbol in symbols.ok_or_else(columns)? {
            if symbol != Some(self.symbol.as_str()) {
                let found = symbol.unwrap_or("no symbol");
                return Err(("symbol", format!("it holds rows of {found}")));
            }
        }
        let times = batch.columns().get(TIME_COLUMN);
        let times = times
            .and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>())
            .filter(|times| times.null_count() == 0)
            .ok_or_else(columns)?;
        let period = self.period.start_us()..self.period.end_us();
        if times.values().iter().any(|time| !period.contains(time)) {
            return Err(("period", format!("it holds rows outside {}", self.period)));
        }
        if let Data::Klines(..) = self.data {
            let bars = klines(self.market).rows(batch).ok_or_else(columns)?;
            bars.iter().for_each(|bar| self.odd.look(self.data, bar));
            if let Kept::Klines(kept) = &mut self.kept {
                kept.extend(bars);
            }
        }
        if let Kept::Minutes(minutes) = &mut self.kept {
            minutes.extend(MINUTES.rows(batch).ok_or_else(columns)?);
        }
        Ok(())
    }
}

/// The hours beside minutes are what follows from them, to the bit; hours without minutes follow from nothing.
fn follows(lake: &Lake, file: &TableFile, rows: &Rows) -> Result<Option<Defect>, LakeError> {
    let TableFile { table, layout, .. } = file;
    let (other, expected) = match (&rows.kept, table.dataset()) {
        (Kept::Minutes(minutes), _) => (
            "factors_1h",
            Some(digest(&FACTORS_1H, &rows.symbol, &hours(minutes))?),
        ),
        (Kept::Klines(bars), _) => (
            "klines_1h_from_1m",
            Some(digest(
                klines(rows.market),
                &rows.symbol,
                &hours_from_minutes(bars),
            )?),
        ),
        (Kept::Nothing, "factors_1h" | "aggtrades") => ("aggtrades_1m", None),
        (Kept::Nothing, "klines_1h_from_1m") => ("klines_1m", None),
        (Kept::Nothing, _) => return Ok(None),
    };
    let place = TablePath::new(other, table.market(), table.symbol(), table.period())?;
    let place = place.path(*layout)?;
    let found = match read_lineage(lake, &place) {
        Ok(lineage) => lineage.content,
        Err(error) if error.is_absent() => {
            return Ok(Some(("incomplete", format!("{place} is not there"))));
        }
        // It has a verdict of its own.
        Err(error) if error.is_file() => return Ok(None),
        Err(error) => return Err(error),
    };
    let differs = expected.is_some_and(|expected| expected != found);
    let reason = || format!("{place} is not what follows from these minutes");
    Ok(differs.then(|| ("hours", reason())))
}

fn digest<Row>(table: &Table<Row>, symbol: &str, rows: &[Row]) -> Result<String, LakeError> {
    content_of(&table.schema(), &[table.batch(symbol, rows)])
}
