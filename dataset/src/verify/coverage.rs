//! Periods that lack their tables between others that have them.

use std::collections::{BTreeMap, BTreeSet};

use tapemill_lake::{LakePath, Layout, TableFile, TablePath};
use tapemill_market::{
    ArchiveName, Data, DateRange, Interval, Listed, Market, Period, Symbol, choose,
};

use super::judge::{Judged, name_of};

/// A period without its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Where the main table of its task would be, relative to the output.
    pub file: String,
    /// What it would be made of.
    pub name: ArchiveName,
}

/// The months, and the days of months that have some, without a table between the first and the last that has one: of each
/// market, kind and symbol.
pub fn holes(files: &[&TableFile]) -> Vec<Hole> {
    let mut series: BTreeMap<(Market, Data, Symbol), (Listed, Layout)> = BTreeMap::new();
    for file in files {
        let Ok(name) = name_of(&file.table) else {
            continue;
        };
        // Each task by its main table.
        if name.data.tables().first().map(String::as_str) != Some(file.table.dataset()) {
            continue;
        }
        let key = (name.market, name.data, name.symbol);
        let (listed, _) = series
            .entry(key)
            .or_insert_with(|| (Listed::default(), file.layout));
        let of = match name.period.is_day() {
            true => &mut listed.days,
            false => &mut listed.months,
        };
        of.insert(name.period, 0);
    }
    let mut holes = Vec::new();
    for ((market, data, symbol), (listed, layout)) in series {
        let chosen = choose(&listed, &DateRange::default(), jiff::civil::Date::MIN);
        for period in chosen.holes {
            let name = ArchiveName {
                market,
                data,
                symbol: symbol.clone(),
                period,
            };
            let table = data.tables().swap_remove(0);
            let place = TablePath::new(
                &table,
                market.as_str(),
                symbol.as_str(),
                &period.to_string(),
            );
            if let Ok(path) = place.and_then(|place| place.path(layout)) {
                holes.push(Hole {
                    file: path.as_str().to_owned(),
                    name,
                });
            }
        }
    }
    holes
}

/// Makes a defect of each table that is there in both layouts: whoever reads all files reads its rows twice. The one is
/// wrong that lies as fewer tables do.
pub(super) fn refuse_twins(found: &mut [Judged], all: &[TableFile]) {
    let of = |layout| all.iter().filter(|file| file.layout == layout).count();
    let (odd, usual) = match of(Layout::Hive) > of(Layout::Plain) {
        true => (Layout::Plain, Layout::Hive),
        false => (Layout::Hive, Layout::Plain),
    };
    if of(odd) == 0 {
        return;
    }
    let there: BTreeSet<&LakePath> = all.iter().map(|file| &file.path).collect();
    for judged in found {
        let Some((table, layout)) = TablePath::parse(&judged.file) else {
            continue;
        };
        let twin = table.path(usual).ok().filter(|twin| there.contains(twin));
        if let Some(twin) = twin.filter(|_| layout == odd) {
            let reason =
                format!("{twin} is the same table: whoever reads both reads each row twice");
            judged.found = Err(("twice", reason));
            // It cannot be made again in its place.
            judged.name = None;
        }
    }
}

/// The one-minute klines of minutes that have none beside them, and how the folders of those minutes are named.
pub fn without_klines(files: &[&TableFile], all: &[TableFile]) -> Vec<(ArchiveName, Layout)> {
    let there: BTreeSet<(&TablePath, Layout)> =
        all.iter().map(|file| (&file.table, file.layout)).collect();
    let minutes = files
        .iter()
        .filter(|file| file.table.dataset() == "aggtrades_1m");
    let lacking = minutes.filter_map(|file| {
        let name = name_of(&file.table).ok()?;
        let klines = ArchiveName {
            data: Data::klines(Interval::MINUTE),
            ..name
        };
        let is_there = |period: Period| {
            let (market, symbol) = (file.table.market(), file.table.symbol());
            let table = TablePath::new("klines_1m", market, symbol, &period.to_string());
            table.is_ok_and(|table| there.contains(&(&table, file.layout)))
        };
        let has_some = is_there(klines.period)
            || is_there(klines.period.month())
            || klines.days().any(|day| is_there(day.period));
        (!has_some).then_some((klines, file.layout))
    });
    lacking.collect()
}
