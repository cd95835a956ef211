//! `symbols`: what the archive has, from when to when; the universe of a date.

mod info;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use serde_json::json;
use tapemill_archive::Brake;
use tapemill_dataset::universe::{
    Known, Scan, ScanOptions, ScanProgress, reports, scan, traded_on,
};
use tapemill_lake::{Lake, LakeError, Series};
use tapemill_market::{Data, Market};
use tapemill_runtime::exit;

use crate::args::SymbolsArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// How often a scan says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Scans the listing and writes the reports, with `--info` what the exchange says too; or tells from the last scan what traded on a date.
pub async fn run(args: SymbolsArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let markets = markets(&args.markets)?;
    let datasets = datasets(args.data.as_deref())?;
    let exchange = match args.info {
        true => Some(info::exchange(&args.rest)?),
        false => None,
    };
    let lake = context::lake(&args.output)?;
    let before = {
        let lake = lake.clone();
        on_a_thread(move || lake.availability()).await?
    };
    if let Some(day) = args.on {
        return print_universe(&before, &markets, &datasets, day, (as_json, terminal));
    }
    let source = context::source(&args.source, &Arc::new(Brake::new()))?;
    let today = context::today();
    let options = ScanOptions {
        markets,
        datasets,
        parallel: usize::from(args.parallel),
        test: args.test,
        today,
    };
    let known = match args.refresh {
        true => Known::default(),
        false => Known::new(before.clone()),
    };
    let progress = ScanProgress::default();
    let scanning = scan(&source, &options, &known, &progress);
    let telling = async {
        loop {
            tokio::time::sleep(TOLD_EVERY).await;
            let (asked, due) = progress.get();
            terminal.say(&format!("{asked} of {due} series listed"));
        }
    };
    let found = tokio::select! {
        found = scanning => found.map_err(Failure::failed)?,
        () = telling => unreachable!("it tells for ever"),
    };
    let asked = found.asked;
    let series = merged(before, found, &options);
    let written = {
        let (lake, series) = (lake.clone(), series.clone());
        on_a_thread(move || write(&lake, &series, today)).await?
    };
    print_series(&series, &options, as_json, terminal);
    terminal.say(&format!(
        "{} asked for, the others cannot have changed; wrote {}",
        format::plural(asked as u64, "series"),
        written.join(", ")
    ));
    if let Some(exchange) = exchange {
        info::write(&exchange, &lake, &options.markets, series, terminal).await?;
    }
    Ok(exit::DONE)
}

fn markets(text: &str) -> Result<Vec<Market>, Failure> {
    let mut markets = Vec::new();
    for name in text.split(',') {
        let market = name.trim().parse()?;
        if !markets.contains(&market) {
            markets.push(market);
        }
    }
    Ok(markets)
}

/// Folders of the archive; an interval is none, for the scan is of all of them.
fn datasets(text: Option<&str>) -> Result<Vec<String>, Failure> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let names: Vec<_> = Data::names().collect();
    text.split(',')
        .map(str::trim)
        .map(|name| match names.contains(&name) {
            true => Ok(name.to_owned()),
            false => Err(Failure::usage(format!(
                "--data {name:?}: a scan takes datasets as a whole, of {}",
                names.join(", ")
            ))),
        })
        .collect()
}

/// What was found, and of what was known before that which was not asked about.
fn merged(before: Vec<Series>, found: Scan, options: &ScanOptions) -> Vec<Series> {
    let place = |series: &Series| {
        [
            &series.market,
            &series.dataset,
            &series.symbol,
            &series.interval,
        ]
        .map(String::clone)
    };
    let places: BTreeSet<_> = found.series.iter().map(place).collect();
    let is_asked_about = |series: &Series| {
        let of_market = options
            .markets
            .iter()
            .any(|market| market.as_str() == series.market);
        let of_dataset = options.datasets.is_empty() || options.datasets.contains(&series.dataset);
        of_market && of_dataset && !options.test
    };
    let mut series = found.series;
    let others = before
        .into_iter()
        .filter(|series| !is_asked_about(series) && !places.contains(&place(series)));
    series.extend(others);
    series.sort();
    series
}

fn write(lake: &Lake, series: &[Series], today: Date) -> Result<Vec<String>, LakeError> {
    let mut written = vec![lake.publish_availability(series)?.to_string()];
    for report in reports(series, today) {
        written.push(lake.publish_report(&report.name, &report.text)?.to_string());
    }
    Ok(written)
}

fn print_series(series: &[Series], options: &ScanOptions, as_json: bool, terminal: &Terminal) {
    if as_json {
        for series in series {
            out!(
                terminal,
                "{}",
                json!({
                    "market": series.market, "dataset": series.dataset, "symbol": series.symbol,
                    "interval": Some(&series.interval).filter(|interval| !interval.is_empty()),
                    "first": series.first.to_string(), "last": series.last.to_string(), "archives": series.archives,
                    "bytes": series.bytes, "holes": series.holes, "recent": series.is_recent(options.today),
                })
            );
        }
        return;
    }
    out!(
        terminal,
        "market,dataset,series,symbols,recent,first,last,bytes,holes"
    );
    for rows in series.chunk_by(|a, b| (&a.market, &a.dataset) == (&b.market, &b.dataset)) {
        let symbols: BTreeSet<_> = rows.iter().map(|series| &series.symbol).collect();
        let recent: BTreeSet<_> = rows
            .iter()
            .filter(|series| series.is_recent(options.today))
            .map(|series| &series.symbol)
            .collect();
        let first = rows
            .iter()
            .map(|series| series.first)
            .min()
            .unwrap_or_default();
        let last = rows
            .iter()
            .map(|series| series.last)
            .max()
            .unwrap_or_default();
        let bytes: u64 = rows.iter().map(|series| series.bytes).sum();
        let holes: usize = rows.iter().map(|series| series.holes.len()).sum();
        out!(
            terminal,
            "{},{},{},{},{},{first},{last},{bytes},{holes}",
            rows[0].market,
            rows[0].dataset,
            rows.len(),
            symbols.len(),
            recent.len(),
        );
    }
}

fn print_universe(
    series: &[Series],
    markets: &[Market],
    datasets: &[String],
    day: Date,
    (as_json, terminal): (bool, &Terminal),
) -> Result<u8, Failure> {
    if series.is_empty() {
        return Err(Failure::usage(
            "--on needs a scan of before; run tapemill symbols without it first",
        ));
    }
    let wanted: Vec<_> = series
        .iter()
        .filter(|series| {
            markets
                .iter()
                .any(|market| market.as_str() == series.market)
        })
        .filter(|series| datasets.is_empty() || datasets.contains(&series.dataset))
        .cloned()
        .collect();
    if !as_json {
        out!(terminal, "market,symbol");
    }
    for (market, symbol) in traded_on(&wanted, day) {
        match as_json {
            true => out!(terminal, "{}", json!({"market": market, "symbol": symbol})),
            false => out!(terminal, "{market},{symbol}"),
        }
    }
    Ok(exit::DONE)
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(Failure::failed)??)
}
