//! Asks the archive what there is of a selection, by listing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tapemill_archive::{Object, Query, Source};
use tapemill_exchange::{Rest, RestSpec};
use tapemill_market::{
    ArchiveName, Chosen, Data, Listed, Now, Period, Symbol, Unarchived, Version, archive_folder,
    archive_stem, choose, days_to_list, symbols_folder, unarchived,
};

use crate::error::PlanError;
use crate::probe;
use crate::selection::{RestUse, Selection, Symbols};
use crate::volume::VolumeFilter;

/// Listings under way at once.
pub(crate) const LISTINGS_AT_ONCE: usize = 16;

/// Names offered for a symbol that does not exist, and how alike they must be.
const NEAREST: usize = 3;
const ALIKE: f64 = 0.75;

/// How the archive is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// By its listing: only what exists is found, and all of it.
    Listing,
    /// File by file, for mirrors without a listing; what turns out not to exist ends as `missing`.
    Probing,
}

/// An archive as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Which it is.
    pub name: ArchiveName,
    /// Its size, 0 where unknown.
    pub bytes: u64,
    /// Its edition, where a listing tells it.
    pub version: Option<Version>,
}

/// What the archive has of a selection.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What to mill: priority symbols first, then newest first.
    pub archives: Vec<Archive>,
    /// What should be there and is not.
    pub holes: Vec<ArchiveName>,
    /// What to ask the exchange for, in the same order.
    pub rest: Vec<(ArchiveName, RestSpec)>,
}

/// Asks for everything selected; the exchange only for what symbols traded, where the selection goes by that.
///
/// # Errors
///
/// [`PlanError::NoSuchSymbol`] and [`PlanError::Nothing`] for a selection that is not there; else what the archive or the
/// exchange met.
pub async fn survey(
    source: &Arc<dyn Source>,
    exchange: Option<&Rest>,
    selection: &Selection,
    asking: Asking,
) -> Result<Survey, PlanError> {
    let filter = match selection.min_volume {
        Some(least) => Some(VolumeFilter::ask(exchange, selection.market, least).await?),
        None => None,
    };
    let mut wanted = Vec::new();
    for &data in &selection.data {
        for symbol in symbols_of(source, selection, data, asking).await? {
            wanted.push((data, symbol));
        }
    }
    if let Some(filter) = filter {
        leave_out(&filter, source, &mut wanted)?;
    }
    let now_us = jiff::Timestamp::now().as_microsecond();
    let found: Vec<Found> = stream::iter(wanted)
        .map(|(data, symbol)| async move {
            let (found, versions) = match asking {
                // The archive need not even be there.
                _ if selection.rest == RestUse::Everything => Default::default(),
                Asking::Listing => listed(&**source, selection, data, &symbol).await?,
                Asking::Probing => {
                    let probed = probe::probed(&**source, selection, data, &symbol).await?;
                    (probed, Versions::new())
                }
            };
            let yesterday = selection.today.yesterday().unwrap_or(selection.today);
            let mut chosen = choose(&found, &selection.range, yesterday);
            let now = Now {
                market: selection.market,
                data,
                now_us,
                captured: &selection.captured,
            };
            let alone = selection.rest == RestUse::Everything;
            let rest = match selection.rest {
                RestUse::Nothing => Vec::new(),
                _ => unarchived(&found, &chosen, &selection.range, now, alone),
            };
            if alone {
                chosen.archives.clear();
            }
            // What is asked for is no hole.
            let asked: BTreeSet<Period> = rest.iter().map(|rest| rest.period).collect();
            let has_day = |month: &Period| asked.iter().any(|period| period.month() == *month);
            (chosen.holes)
                .retain(|hole| !asked.contains(hole) && (hole.is_day() || !has_day(hole)));
            Ok::<_, PlanError>(Found {
                data,
                symbol,
                chosen,
                versions,
                rest,
            })
        })
        .buffered(LISTINGS_AT_ONCE)
        .try_collect()
        .await?;
    check_symbols(source, selection, asking, &found).await?;
    Ok(in_order(selection, found))
}

/// Leaves out what traded too little, and says so.
fn leave_out(
    filter: &VolumeFilter,
    source: &Arc<dyn Source>,
    wanted: &mut Vec<(Data, Symbol)>,
) -> Result<(), PlanError> {
    let symbols: BTreeSet<Symbol> = wanted.iter().map(|(_, symbol)| symbol.clone()).collect();
    let Some(line) = filter.left_out(&symbols) else {
        return Ok(());
    };
    wanted.retain(|(_, symbol)| filter.passes(symbol));
    if wanted.is_empty() {
        return Err(PlanError::Nothing {
            place: source.place(),
            detail: line,
        });
    }
    tracing::info!("{line}");
    Ok(())
}

/// The editions of one symbol's archives of one kind.
type Versions = BTreeMap<Period, Version>;

/// What was found of one symbol and kind.
struct Found {
    data: Data,
    symbol: Symbol,
    chosen: Chosen,
    versions: Versions,
    rest: Vec<Unarchived>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.chosen.archives.is_empty() && self.rest.is_empty()
    }
}

/// Lists one symbol's archives of one kind: its months, and the days that they do not cover.
async fn listed(
    source: &dyn Source,
    selection: &Selection,
    data: Data,
    symbol: &Symbol,
) -> Result<(Listed, Versions), PlanError> {
    let range = &selection.range;
    let query = |frequency: &str, first: Option<String>, last: Option<String>| Query {
        folder: archive_folder(selection.market, data, symbol, frequency),
        stem: archive_stem(data, symbol),
        first,
        last,
    };
    let month = |date: jiff::civil::Date| Period::month_of(date).to_string();
    let objects = source
        .list(&query(
            "monthly",
            range.first.map(month),
            range.last.map(month),
        ))
        .await?;
    let (mut listed, mut versions) = (Listed::default(), Versions::new());
    for (period, object) in periods(data, symbol, &objects, false) {
        listed.months.insert(period, object.bytes);
        versions.extend(version_of(object).map(|version| (period, version)));
    }
    let known: BTreeSet<Period> = listed.months.keys().copied().collect();
    for (first, last) in days_to_list(&known, range) {
        let bound = |period: Option<Period>| period.map(|period| period.to_string());
        let objects = source
            .list(&query("daily", bound(first), bound(last)))
            .await?;
        for (period, object) in periods(data, symbol, &objects, true) {
            listed.days.insert(period, object.bytes);
            versions.extend(version_of(object).map(|version| (period, version)));
        }
    }
    Ok((listed, versions))
}

/// The edition of an archive, as a listing tells it.
pub(crate) fn version_of(object: &Object) -> Option<Version> {
    Version::of(object.etag.as_deref(), object.last_modified.as_deref())
}

/// Strays and names of another frequency are passed over: a listing may hold anything.
pub(crate) fn periods<'a>(
    data: Data,
    symbol: &'a Symbol,
    objects: &'a [Object],
    days: bool,
) -> impl Iterator<Item = (Period, &'a Object)> {
    objects.iter().filter_map(move |object| {
        let name = object.key.rsplit('/').next()?;
        let period = ArchiveName::period_of(data, symbol, name)?;
        (period.is_day() == days).then_some((period, object))
    })
}

async fn symbols_of(
    source: &Arc<dyn Source>,
    selection: &Selection,
    data: Data,
    asking: Asking,
) -> Result<Vec<Symbol>, PlanError> {
    match (&selection.symbols, asking) {
        (Symbols::These(symbols), _) | (Symbols::Among(symbols), Asking::Probing) => {
            Ok(symbols.clone())
        }
        (Symbols::Among(symbols), Asking::Listing) => {
            let existing: BTreeSet<Symbol> = all_symbols(source, selection, data)
                .await?
                .into_iter()
                .collect();
            let (there, absent): (Vec<_>, Vec<_>) = symbols
                .iter()
                .cloned()
                .partition(|symbol| existing.contains(symbol));
            if !absent.is_empty() {
                let names: Vec<_> = absent.iter().map(Symbol::as_str).collect();
                let market = selection.market;
                tracing::info!(%market, %data, "not in the archive: {}", names.join(", "));
            }
            Ok(there)
        }
        (Symbols::All, Asking::Listing) => all_symbols(source, selection, data).await,
        (Symbols::All, Asking::Probing) => Err(PlanError::Nothing {
            place: source.place(),
            detail: "`--symbols all` needs a listing; name the symbols, or leave out --no-listing"
                .to_owned(),
        }),
    }
}

async fn all_symbols(
    source: &Arc<dyn Source>,
    selection: &Selection,
    data: Data,
) -> Result<Vec<Symbol>, PlanError> {
    let symbol_of =
        |name: &str| ArchiveName::symbol_of(data, name).map(|symbol| symbol.to_string());
    let mut symbols = BTreeSet::new();
    for frequency in ["monthly", "daily"] {
        let folder = symbols_folder(selection.market, data, frequency);
        let names = source.folders(&folder, &symbol_of).await?;
        symbols.extend(names.iter().filter_map(|name| Symbol::exact(name).ok()));
    }
    Ok(symbols.into_iter().collect())
}

/// A symbol of which nothing was found must at least exist; and something must have been found at all.
async fn check_symbols(
    source: &Arc<dyn Source>,
    selection: &Selection,
    asking: Asking,
    found: &[Found],
) -> Result<(), PlanError> {
    let with_something: BTreeSet<&Symbol> = found
        .iter()
        .filter(|found| !found.is_nothing())
        .map(|found| &found.symbol)
        .collect();
    let without: BTreeSet<&Symbol> = found
        .iter()
        .map(|found| &found.symbol)
        .filter(|symbol| !with_something.contains(symbol))
        .collect();
    if asking == Asking::Listing
        && let Symbols::These(_) = selection.symbols
        && !without.is_empty()
    {
        let mut existing = BTreeSet::new();
        for &data in &selection.data {
            existing.extend(all_symbols(source, selection, data).await?);
        }
        if let Some(unknown) = without.iter().find(|symbol| !existing.contains(symbol)) {
            let data = selection.data.first().copied().unwrap_or(Data::AggTrades);
            return Err(PlanError::NoSuchSymbol {
                symbol: unknown.to_string(),
                folder: symbols_folder(selection.market, data, "monthly"),
                place: source.place(),
                nearest: nearest(unknown, &existing),
            });
        }
    }
    if found.iter().all(Found::is_nothing) {
        return Err(match asking {
            Asking::Listing => nothing(source, selection, found).await,
            Asking::Probing => PlanError::Nothing {
                place: source.place(),
                detail: "none of the probed files exists; check the symbols and the range"
                    .to_owned(),
            },
        });
    }
    Ok(())
}

async fn nothing(source: &Arc<dyn Source>, selection: &Selection, found: &[Found]) -> PlanError {
    let asked = match (selection.range.first, selection.range.last) {
        (None, None) if selection.range.months.is_some() => "no archive of these months".to_owned(),
        (None, None) => "no archive at all".to_owned(),
        (first, last) => {
            let end = |date: Option<jiff::civil::Date>| {
                date.map_or("now".to_owned(), |date| date.to_string())
            };
            let start = first.map_or("the beginning".to_owned(), |date| date.to_string());
            format!("no archive from {start} to {}", end(last))
        }
    };
    let mut detail = asked;
    if let Some(Found { data, symbol, .. }) = found.first() {
        let everything = Selection {
            range: Default::default(),
            ..selection.clone()
        };
        if let Ok((listed, _)) = listed(&**source, &everything, *data, symbol).await {
            let all: BTreeSet<Period> = listed
                .months
                .into_keys()
                .chain(listed.days.into_keys())
                .collect();
            if let (Some(first), Some(last)) = (all.first(), all.last()) {
                detail = format!("{detail}; {data} of {symbol} reaches from {first} to {last}");
            }
        }
    }
    PlanError::Nothing {
        place: source.place(),
        detail,
    }
}

fn nearest(symbol: &Symbol, existing: &BTreeSet<Symbol>) -> String {
    let mut scored: Vec<(f64, &Symbol)> = existing
        .iter()
        .map(|name| (strsim::jaro_winkler(symbol.as_str(), name.as_str()), name))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    if scored.is_empty() {
        return format!("none alike among {} symbols", existing.len());
    }
    scored
        .iter()
        .take(NEAREST)
        .map(|(_, name)| name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn in_order(selection: &Selection, found: Vec<Found>) -> Survey {
    let mut survey = Survey::default();
    for Found {
        data,
        symbol,
        chosen,
        versions,
        rest,
    } in found
    {
        let name = |period| ArchiveName {
            market: selection.market,
            data,
            symbol: symbol.clone(),
            period,
        };
        let archives = chosen.archives.into_iter();
        survey
            .archives
            .extend(archives.map(|(period, bytes)| Archive {
                name: name(period),
                bytes,
                version: versions.get(&period).copied(),
            }));
        survey.holes.extend(chosen.holes.into_iter().map(name));
        let asked = rest.into_iter().map(|rest| {
            let day = rest.period.first_day();
            let spec = RestSpec {
                closed_by_ms: rest.closed_by_us / 1000,
                captured_first: data == Data::AggTrades
                    && selection.rest == RestUse::Unarchived
                    && selection.captured.contains(&day),
            };
            (name(rest.period), spec)
        });
        survey.rest.extend(asked);
    }
    let order = |name: &ArchiveName| {
        let urgent = selection.priority.contains(&name.symbol);
        (
            !urgent,
            std::cmp::Reverse(name.period.first_day()),
            name.task_id(),
        )
    };
    survey
        .archives
        .sort_by_cached_key(|archive| order(&archive.name));
    survey.rest.sort_by_cached_key(|(name, _)| order(name));
    survey
}
