//! Judges one file: by itself, beside the tables of its task, beside the exchange's klines of its minutes.

use std::collections::{BTreeMap, BTreeSet};

use tapemill_lake::tables::{FACTORS, Table, klines};
use tapemill_lake::{
    Dispute, Handover, Lake, LakeError, LakePath, Lineage, Source, TableFile, TablePath,
    content_of, read_lineage, read_verified,
};
use tapemill_market::{
    Agreement, ArchiveName, Data, Interval, Kline, Market, Minute, Period, Symbol, compare_hours,
    compare_minutes, factors, fold_klines, iso_time,
};

use super::books;
use super::quality::quirks;
use super::table::{Defect, Kept, Rows, Sound, read};
use super::{Finding, Options, Verdict};
use crate::books::Shape;

/// Where a file is judged.
pub(super) struct Judging<'a> {
    pub lake: &'a Lake,
    /// All tables there are.
    pub all: &'a BTreeSet<&'a LakePath>,
    pub options: &'a Options,
    /// What the ledger keeps of months and their days, by the month's archive.
    pub disputes: &'a BTreeMap<String, Vec<Dispute>>,
    /// Of days that had been captured, by their archive.
    pub handovers: &'a BTreeMap<String, Vec<Handover>>,
}

/// A file and what was found of it.
pub(super) struct Judged {
    pub file: String,
    pub name: Option<ArchiveName>,
    pub found: Result<Notes, Defect>,
    /// Whether rows lack in it that something else may have.
    pub has_holes: bool,
    /// Of the main table of a sound task: how it goes on from one period to the next.
    pub seen: Option<Seen>,
}

/// What is to be known of a sound file: codes and words.
pub(super) type Notes = Vec<(&'static str, String)>;

/// What is told and leaves nothing to wish for: ids that go on prove that nothing lacks, and what has ended has no more.
const NO_BLEMISH: [&str; 3] = ["halt", "delisted", "ended"];

/// What tells of rows that lack.
pub(super) const HOLES: [&str; 2] = ["loss", "gap"];

/// Where a table begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub market: Market,
    pub data: Data,
    pub symbol: Symbol,
    pub period: Period,
    /// The lowest and the highest id, where its rows have some.
    pub ids: Option<(u64, u64)>,
    /// The first and the last time.
    pub times: Option<(i64, i64)>,
}

impl Judged {
    pub fn finding(self) -> Finding {
        let (verdict, kind, reason) = match self.found {
            Err((kind, reason)) => (Verdict::Defect, kind, reason),
            Ok(notes) => {
                let words: Vec<&str> = notes.iter().map(|(_, words)| words.as_str()).collect();
                let blemish = notes.iter().find(|(kind, _)| !NO_BLEMISH.contains(kind));
                let (verdict, kind) = match (blemish, notes.first()) {
                    (Some((kind, _)), _) => (Verdict::Note, *kind),
                    (None, Some((kind, _))) => (Verdict::Ok, *kind),
                    (None, None) => (Verdict::Ok, "ok"),
                };
                (verdict, kind, words.join("; "))
            }
        };
        Finding {
            has_holes: self.has_holes,
            file: self.file,
            verdict,
            kind,
            reason,
            name: self.name,
        }
    }
}

/// Judges a file.
pub(super) fn judged(judging: &Judging<'_>, file: &TableFile) -> Result<Judged, LakeError> {
    let mut judged = Judged {
        file: file.path.as_str().to_owned(),
        name: None,
        found: Ok(Vec::new()),
        has_holes: false,
        seen: None,
    };
    if let Some(shape) = Shape::of_table(file.table.dataset()) {
        judged.found = books::judge(judging.lake, file, shape)?;
        return Ok(judged);
    }
    let name = match name_of(&file.table) {
        Ok(name) => name,
        Err(defect) => {
            judged.found = Err(defect);
            return Ok(judged);
        }
    };
    judged.name = Some(name.clone());
    let sound = match read(judging.lake, file, &name, judging.options)? {
        Ok(sound) => sound,
        Err(defect) => {
            judged.found = Err(defect);
            return Ok(judged);
        }
    };
    if let Some(defect) = follows(judging.lake, file, &sound)? {
        judged.found = Err(defect);
        return Ok(judged);
    }
    let month = (file.table.month()).and_then(|month| month.path(file.layout).ok());
    if let Some(month) = month.filter(|month| judging.all.contains(month)) {
        let reason = format!("{month} holds this day too; cleanup removes it");
        judged.found = Ok(vec![("superseded", reason)]);
        return Ok(judged);
    }
    let is_main = name.data.tables().first().map(String::as_str) == Some(file.table.dataset());
    judged.found = Ok(judging.notes(file, &name, &sound, is_main)?);
    judged.has_holes = (judged.found.iter().flatten()).any(|(kind, _)| HOLES.contains(kind));
    judged.seen = is_main.then(|| seen(&name, &sound));
    Ok(judged)
}

fn seen(name: &ArchiveName, sound: &Sound) -> Seen {
    let quality = &sound.lineage.quality;
    let id = |which: &str| quality[which].as_u64();
    Seen {
        market: name.market,
        data: name.data,
        symbol: name.symbol.clone(),
        period: name.period,
        ids: id("first_id").zip(id("last_id")),
        times: sound.rows.times,
    }
}

impl Judging<'_> {
    /// What is to be known of a sound file, the most telling first.
    fn notes(
        &self,
        file: &TableFile,
        name: &ArchiveName,
        sound: &Sound,
        is_main: bool,
    ) -> Result<Notes, LakeError> {
        let mut notes = Notes::new();
        if let Kept::Minutes(minutes) = &sound.rows.kept
            && let Some(note) = self.beside_klines(file, name, minutes, &sound.lineage)?
        {
            notes.push(note);
        }
        notes.extend(self.beside_minutes(file, name, sound)?);
        notes.extend(self.gaps(file, name, sound)?);
        notes.extend(sound.rows.flat_since().map(|since_us| {
            let words = format!("its bars end without a trade since {}", iso_time(since_us));
            ("flat", words)
        }));
        // Once for a task.
        if is_main {
            notes.extend(self.days(&sound.lineage).map(|words| ("days", words)));
            let handover = self.handover(&sound.lineage);
            notes.extend(handover.map(|words| ("live", words)));
            notes.extend(parts(&sound.lineage, name).map(|words| ("parts", words)));
            notes.extend(quirks(&sound.lineage.quality).map(|words| ("quirks", words)));
        }
        notes.extend(sound.rows.odd.words().map(|words| ("odd", words)));
        Ok(notes)
    }

    /// Days that were told otherwise by their own archive when the month was made, and which was kept.
    fn days(&self, lineage: &Lineage) -> Option<String> {
        let month = lineage.sources.first()?;
        let disputes = self.disputes.get(&month.key)?.iter();
        let words: Vec<String> = disputes
            .filter(|dispute| dispute.month.sha256 == month.sha256)
            .map(|dispute| {
                format!(
                    "{} by its own archive differed in {} rows, the {}'s were kept: {}",
                    dispute.day, dispute.differing, dispute.kept, dispute.why
                )
            })
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Days that had been captured, and differ from the archive.
    fn handover(&self, lineage: &Lineage) -> Option<String> {
        let archive = lineage.sources.first()?;
        let handovers = self.handovers.get(&archive.key)?.iter();
        let words: Vec<String> = handovers
            .filter(|handover| handover.archived.sha256 == archive.sha256)
            .filter(|handover| handover.differing > 0)
            .map(|handover| format!("{}: {}", handover.day, handover.words()))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The exchange's klines of the same minutes say the same; or it is said where they do not.
    fn beside_klines(
        &self,
        file: &TableFile,
        name: &ArchiveName,
        minutes: &[Minute],
        lineage: &Lineage,
    ) -> Result<Option<(&'static str, String)>, LakeError> {
        let klines = self.klines(file, name)?;
        if klines.is_empty() {
            let reason = "there are no klines_1m of this period to compare with".to_owned();
            return Ok(Some(("no_klines", reason)));
        }
        let agreement = compare_minutes(name.market, &name.symbol, minutes, &klines);
        Ok(words_of(&agreement, lineage))
    }

    /// The exchange's hours are what its minutes make; or it is said where they are not.
    fn beside_minutes(
        &self,
        file: &TableFile,
        name: &ArchiveName,
        sound: &Sound,
    ) -> Result<Option<(&'static str, String)>, LakeError> {
        let Kept::Klines(hours) = &sound.rows.kept else {
            return Ok(None);
        };
        if name.data == Data::klines(Interval::MINUTE) {
            return Ok(None);
        }
        let mut made = Vec::new();
        for place in places_of(file, name, "klines_1h_from_1m")? {
            if self.all.contains(&place) {
                made.extend(bars_of(self.lake, &place, name.market)?.unwrap_or_default());
            }
        }
        let agreement = compare_hours(hours, &made);
        Ok((!agreement.differing.is_empty()).then(|| {
            let words = "hours are not what the exchange's own minutes make";
            ("intervals", agreement.words(words))
        }))
    }

    /// The klines of a file's minutes: beside it, or from elsewhere.
    fn klines(&self, file: &TableFile, name: &ArchiveName) -> Result<Vec<Kline>, LakeError> {
        let mut klines = Vec::new();
        for place in places_of(file, name, "klines_1m")? {
            // Those that cannot be read have a verdict of their own.
            if self.all.contains(&place)
                && let Some(read) = bars_of(self.lake, &place, name.market)?
            {
                klines.extend(read);
            } else if let Some(elsewhere) = &self.options.klines
                && let Some(read) = bars_of(elsewhere, &place, name.market)?
            {
                klines.extend(read);
            }
        }
        let period = name.period.start_us()..name.period.end_us();
        klines.retain(|kline: &Kline| period.contains(&kline.open_time_us));
        Ok(klines)
    }

    /// Stretches without a row inside a file, and what tells why.
    fn gaps(
        &self,
        file: &TableFile,
        name: &ArchiveName,
        sound: &Sound,
    ) -> Result<Notes, LakeError> {
        let quality = &sound.lineage.quality;
        let mut notes = Notes::new();
        let missing_ids = quality["missing_ids"].as_u64().unwrap_or_default();
        let is_of_trades = matches!(sound.rows.kept, Kept::Minutes(_));
        if missing_ids > 0 && (is_of_trades || matches!(name.data, Data::Rows(_))) {
            let places = quality["id_gaps"].as_u64().unwrap_or_default();
            let words = format!("the archive lost rows: {missing_ids} ids lack in {places} places");
            notes.push(("loss", words));
        }
        let Some(gaps) = sound.rows.gaps.as_ref().filter(|gaps| gaps.count > 0) else {
            return Ok(notes);
        };
        notes.push(if is_of_trades {
            let (kind, why) = match missing_ids {
                0 => ("halt", "the ids go on, so that there were none"),
                _ => ("gap", "ids lack in this file, so that some may be lost"),
            };
            (kind, format!("no trades from {}: {why}", gaps.words()))
        } else {
            let lacking = format!("{} bars lack, from {}", gaps.lacking, gaps.words());
            match self.trades_in_gaps(file, name, sound)? {
                None => ("gap", lacking),
                Some(0) => ("halt", format!("{lacking}: there were no trades either")),
                Some(minutes) => (
                    "loss",
                    format!("{lacking}: {minutes} of their minutes have trades, so that the archive lost them"),
                ),
            }
        });
        Ok(notes)
    }

    /// Minutes with trades of which a file of minute klines has none; `None` where that cannot be told.
    fn trades_in_gaps(
        &self,
        file: &TableFile,
        name: &ArchiveName,
        sound: &Sound,
    ) -> Result<Option<usize>, LakeError> {
        let Kept::Klines(bars) = &sound.rows.kept else {
            return Ok(None);
        };
        if name.data != Data::klines(Interval::MINUTE) {
            return Ok(None);
        }
        let bars: BTreeSet<i64> = bars.iter().map(|bar| bar.open_time_us).collect();
        let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
            return Ok(None);
        };
        let (mut known, mut with_trades) = (false, 0);
        for place in places_of(file, name, "aggtrades_1m")? {
            if !self.all.contains(&place) {
                continue;
            }
            let minutes = minutes_of(self.lake, &place)?;
            known |= minutes.is_some();
            let minutes = minutes.into_iter().flatten().map(|minute| minute.minute_us);
            with_trades += minutes
                .filter(|minute| (first..=last).contains(&minute) && !bars.contains(minute))
                .count();
        }
        Ok(known.then_some(with_trades))
    }
}

fn words_of(agreement: &Agreement, lineage: &Lineage) -> Option<(&'static str, String)> {
    if agreement.differing.is_empty() {
        return match agreement.without_kline {
            0 => None,
            count => Some((
                "no_klines",
                format!("{count} minutes with trades have no kline"),
            )),
        };
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
    let mut reason = agreement.words("minutes are not what the exchange's klines say");
    for (what, count) in counts {
        reason.push_str(&format!("; {what} of the trades: {count}"));
    }
    Some(("klines", reason))
}

/// What of a table is not of the archive of its place.
fn parts(lineage: &Lineage, name: &ArchiveName) -> Option<String> {
    let own = name.key();
    let others = lineage.sources.iter().filter(|source| source.key != own);
    let others: Vec<&str> = others.map(|source| source.key.as_str()).collect();
    let sources = || lineage.sources.iter();
    let until = "until there is an archive";
    if others.is_empty() {
        return None;
    }
    Some(match sources().all(Source::gives_way) {
        true if sources().all(Source::is_captured) => format!("it was captured, {until}"),
        true if sources().any(Source::is_captured) => {
            format!("it was captured, and asked of the exchange in parts, {until}")
        }
        true => format!("it was asked of the exchange, {until}"),
        false => format!("parts of it are of {}", others.join(", ")),
    })
}

/// Where another table of a file's period may be: of the same period, of the month around a day, of a month's days.
fn places_of(
    file: &TableFile,
    name: &ArchiveName,
    table: &str,
) -> Result<Vec<LakePath>, LakeError> {
    let place = |period: Period| {
        let (market, symbol) = (file.table.market(), file.table.symbol());
        TablePath::new(table, market, symbol, &period.to_string())?.path(file.layout)
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
    rows_of(lake, place, klines(market))
}

fn minutes_of(lake: &Lake, place: &LakePath) -> Result<Option<Vec<Minute>>, LakeError> {
    rows_of(lake, place, &tapemill_lake::tables::MINUTES)
}

/// `None` where there are none that can be read.
fn rows_of<Row: Clone + Default>(
    lake: &Lake,
    place: &LakePath,
    table: &Table<Row>,
) -> Result<Option<Vec<Row>>, LakeError> {
    let mut rows = Vec::new();
    let mut whole = true;
    let read = read_verified(lake, place, |batch| match table.rows(batch) {
        Some(read) => rows.extend(read),
        None => whole = false,
    });
    match read {
        Ok(_) if whole => Ok(Some(rows)),
        Ok(_) => Ok(None),
        Err(error) if error.is_outage() => Err(error),
        Err(_) => Ok(None),
    }
}

/// What a place says that a table is.
pub(super) fn name_of(table: &TablePath) -> Result<ArchiveName, Defect> {
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

/// The hours beside minutes are what follows from them, to the bit; hours without minutes follow from nothing; and both
/// say that they are made of the same.
fn follows(lake: &Lake, file: &TableFile, sound: &Sound) -> Result<Option<Defect>, LakeError> {
    let TableFile { table, layout, .. } = file;
    let symbol = table.symbol();
    let Some((other, expected)) = expected_beside(table.dataset(), symbol, &sound.rows)? else {
        return Ok(None);
    };
    let place = TablePath::new(other, table.market(), symbol, table.period())?;
    let place = place.path(*layout)?;
    let found = match read_lineage(lake, &place) {
        Ok(lineage) => lineage,
        Err(error) if error.is_absent() => {
            return Ok(Some(("incomplete", format!("{place} is not there"))));
        }
        Err(error) if error.is_outage() => return Err(error),
        // It has a verdict of its own.
        Err(_) => return Ok(None),
    };
    if expected.is_some_and(|expected| expected != found.content) {
        let reason = format!("{place} is not what follows from these minutes");
        return Ok(Some(("hours", reason)));
    }
    let own = &sound.lineage;
    let is_alike = own.settings == found.settings
        && own.sources == found.sources
        && own.quality == found.quality;
    Ok((!is_alike).then(|| {
        let reason =
            format!("it and {place} name other sources, settings or counts, and are of one task");
        ("lineage", reason)
    }))
}

/// The table that goes with this one, and its digest where it follows from this one.
fn expected_beside(
    dataset: &str,
    symbol: &str,
    rows: &Rows,
) -> Result<Option<(&'static str, Option<String>)>, LakeError> {
    Ok(Some(match (&rows.kept, dataset) {
        (Kept::Minutes(minutes), _) => (
            "factors_1h",
            Some(digest(&FACTORS, symbol, &factors(minutes, Interval::HOUR))?),
        ),
        (Kept::Klines(bars), "klines_1m") => (
            "klines_1h_from_1m",
            Some(digest(
                klines(rows.market()),
                symbol,
                &fold_klines(bars, Interval::HOUR),
            )?),
        ),
        (Kept::Nothing, "factors_1h" | "aggtrades") => ("aggtrades_1m", None),
        (Kept::Nothing, "klines_1h_from_1m") => ("klines_1m", None),
        (Kept::Nothing | Kept::Klines(_), _) => return Ok(None),
    }))
}

fn digest<Row>(table: &Table<Row>, symbol: &str, rows: &[Row]) -> Result<String, LakeError> {
    content_of(&table.schema(), &[table.batch(symbol, rows)])
}
