//! Periods that lack their tables between others that have them.

use std::collections::BTreeMap;

use tapemill_lake::{Layout, TableFile, TablePath};
use tapemill_market::{ArchiveName, Data, DateRange, Listed, Market, Symbol, choose};

use super::name_of;

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
