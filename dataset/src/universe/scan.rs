//! Asks the listing for everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use tapemill_archive::{Query, Source};
use tapemill_lake::Series;
use tapemill_market::{
    ArchiveName, Bars, Data, DateRange, Listed, Market, Period, Symbol, archive_folder,
    archive_stem, choose, days_to_list, symbols_folder,
};

use super::due::Known;
use super::error::ScanError;

/// Symbols of each market that a test scan looks at.
const TEST_SYMBOLS: usize = 5;

const FREQUENCIES: [&str; 2] = ["monthly", "daily"];

/// What to ask for.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// The markets.
    pub markets: Vec<Market>,
    /// Folders of the archive, such as `klines`; empty for all.
    pub datasets: Vec<String>,
    /// Requests at once.
    pub parallel: usize,
    /// Only the first few symbols of each market.
    pub test: bool,
    /// The date: what it brings cannot be there yet.
    pub today: Date,
}

/// How far a scan is.
#[derive(Debug, Default)]
pub struct ScanProgress {
    listed: AtomicUsize,
    due: AtomicUsize,
}

impl ScanProgress {
    /// Series listed, of how many that have to be.
    pub fn get(&self) -> (usize, usize) {
        (self.listed.load(Relaxed), self.due.load(Relaxed))
    }
}

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Every series, by market, dataset, symbol, interval.
    pub series: Vec<Series>,
    /// How many of them had to be asked for.
    pub asked: usize,
}

/// A series, not yet asked for: where it occurs.
#[derive(Debug, Clone)]
struct Place {
    market: Market,
    data: Data,
    symbol: Symbol,
    frequencies: BTreeSet<&'static str>,
}

/// Lists what can have changed since `known`; the rest is taken over.
///
/// # Errors
///
/// [`ScanError`] when the archive cannot be listed, or has nothing of these markets.
pub async fn scan(
    source: &Arc<dyn Source>,
    options: &ScanOptions,
    known: &Known,
    progress: &ScanProgress,
) -> Result<Scan, ScanError> {
    let mut series = Vec::new();
    let mut places = Vec::new();
    for &market in &options.markets {
        for (dataset, symbols) in symbols_of(source, options, market).await? {
            let found: Vec<Vec<Place>> = stream::iter(symbols)
                .map(|(symbol, frequencies)| {
                    series_of(source, options, known, market, dataset, symbol, frequencies)
                })
                .buffered(options.parallel)
                .try_collect()
                .await?;
            for place in found.into_iter().flatten() {
                let settled = known.settled(
                    market.as_str(),
                    place.data.archive_folder(),
                    place.symbol.as_str(),
                    interval_of(place.data),
                    options.today,
                );
                match settled {
                    Some(settled) => series.push(settled.clone()),
                    None => places.push(place),
                }
            }
        }
    }
    let asked = places.len();
    progress.due.store(asked, Relaxed);
    let mut listed = stream::iter(places)
        .map(|place| list(source, options.today, place))
        .buffer_unordered(options.parallel);
    while let Some(found) = listed.try_next().await? {
        progress.listed.fetch_add(1, Relaxed);
        series.extend(found);
    }
    drop(listed);
    if series.is_empty() {
        let markets: Vec<_> = options
            .markets
            .iter()
            .map(|market| market.as_str())
            .collect();
        return Err(ScanError::Nothing {
            place: source.place(),
            markets: markets.join(", "),
        });
    }
    series.sort();
    Ok(Scan { series, asked })
}

/// The symbols of every dataset of a market, and in which of its folders they occur.
async fn symbols_of(
    source: &Arc<dyn Source>,
    options: &ScanOptions,
    market: Market,
) -> Result<Vec<(&'static str, Vec<(Symbol, BTreeSet<&'static str>)>)>, ScanError> {
    let mut datasets = BTreeSet::new();
    for frequency in FREQUENCIES {
        let folder = format!("{}/{frequency}/", market.archive_prefix());
        let names = source.folders(&folder, &|_| None).await?;
        datasets.extend(Data::names().filter(|known| names.iter().any(|name| name == known)));
    }
    datasets.retain(|dataset| {
        options.datasets.is_empty() || options.datasets.iter().any(|wanted| wanted == dataset)
    });
    let mut found = Vec::new();
    for dataset in datasets {
        // Which interval it is of makes no difference to the folder of the symbols.
        let Some(data) = data_of(dataset, "1d") else {
            continue;
        };
        let mut symbols: BTreeMap<Symbol, BTreeSet<&'static str>> = BTreeMap::new();
        for frequency in FREQUENCIES {
            let folder = symbols_folder(market, data, frequency);
            for name in source.folders(&folder, &|_| None).await? {
                // Strays are no symbols.
                if let Ok(symbol) = Symbol::exact(&name) {
                    symbols.entry(symbol).or_default().insert(frequency);
                }
            }
        }
        let count = if options.test {
            TEST_SYMBOLS
        } else {
            symbols.len()
        };
        found.push((dataset, symbols.into_iter().take(count).collect()));
    }
    Ok(found)
}

/// The series of one symbol and dataset: one, or one for each interval.
async fn series_of(
    source: &Arc<dyn Source>,
    options: &ScanOptions,
    known: &Known,
    market: Market,
    dataset: &'static str,
    symbol: Symbol,
    frequencies: BTreeSet<&'static str>,
) -> Result<Vec<Place>, ScanError> {
    let place = |data, frequencies: &BTreeSet<_>| Place {
        market,
        data,
        symbol: symbol.clone(),
        frequencies: frequencies.clone(),
    };
    if let Some(data) = data_of(dataset, "") {
        return Ok(vec![place(data, &frequencies)]);
    }
    let settled = known.settled_intervals(market.as_str(), dataset, symbol.as_str(), options.today);
    if let Some(intervals) = settled {
        let intervals = intervals
            .iter()
            .filter_map(|interval| data_of(dataset, interval));
        return Ok(intervals.map(|data| place(data, &frequencies)).collect());
    }
    let mut intervals: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for &frequency in &frequencies {
        let folder = format!(
            "{}/{frequency}/{dataset}/{symbol}/",
            market.archive_prefix()
        );
        for name in source.folders(&folder, &|_| None).await? {
            intervals.entry(name).or_default().insert(frequency);
        }
    }
    Ok(intervals
        .iter()
        .filter_map(|(interval, frequencies)| Some(place(data_of(dataset, interval)?, frequencies)))
        .collect())
}

/// `None` for candles without an interval that there is, and for what is no dataset.
fn data_of(dataset: &str, interval: &str) -> Option<Data> {
    let of_interval = format!("{dataset}:{interval}");
    of_interval.parse().or_else(|_| dataset.parse()).ok()
}

fn interval_of(data: Data) -> &'static str {
    match data {
        Data::Klines(_, interval) => interval.as_str(),
        _ => "",
    }
}

/// The archives of one series; `None` when its folders hold none.
async fn list(
    source: &Arc<dyn Source>,
    today: Date,
    place: Place,
) -> Result<Option<Series>, ScanError> {
    let Place {
        market,
        data,
        symbol,
        frequencies,
    } = &place;
    let (market, data) = (*market, *data);
    let query = |frequency: &str, first: Option<Period>, last: Option<Period>| Query {
        folder: archive_folder(market, data, symbol, frequency),
        stem: archive_stem(data, symbol),
        first: first.map(|period| period.to_string()),
        last: last.map(|period| period.to_string()),
    };
    let periods = |objects: Vec<tapemill_archive::Object>, days: bool| {
        objects.into_iter().filter_map(move |object| {
            let name = object.key.rsplit('/').next()?;
            let period = ArchiveName::period_of(data, symbol, name)?;
            (period.is_day() == days).then_some((period, object.bytes))
        })
    };
    let range = DateRange::default();
    let mut listed = Listed::default();
    if frequencies.contains("monthly") {
        let objects = source.list(&query("monthly", None, None)).await?;
        listed.months.extend(periods(objects, false));
    }
    if frequencies.contains("daily") {
        let months: BTreeSet<Period> = listed.months.keys().copied().collect();
        // The first day may lie in the first month, which counts from its first day: then it does not matter.
        for (first, last) in days_to_list(&months, &range) {
            let objects = source.list(&query("daily", first, last)).await?;
            listed.days.extend(periods(objects, true));
        }
    }
    let chosen = choose(&listed, &range, today.yesterday().unwrap_or(today));
    let (Some((newest, _)), Some((oldest, _))) = (chosen.archives.first(), chosen.archives.last())
    else {
        return Ok(None);
    };
    Ok(Some(Series {
        market: market.to_string(),
        dataset: data.archive_folder().to_owned(),
        symbol: symbol.to_string(),
        interval: interval_of(data).to_owned(),
        first: oldest.first_day(),
        last: newest.last_day(),
        archives: chosen.archives.len() as u64,
        bytes: chosen.archives.iter().map(|(_, bytes)| bytes).sum(),
        holes: chosen.holes.iter().map(Period::to_string).collect(),
        asked: today,
    }))
}

/// Whether a dataset is of candles of trades, which the reports are about.
pub(super) fn is_klines(series: &Series) -> bool {
    series.dataset == Bars::Trade.archive_folder()
}
