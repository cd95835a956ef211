//! From arguments to the things commands work with.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tapemill_archive::{Bandwidth, Brake, DirSource, HttpOptions, HttpSource, RetryPolicy, Source};
use tapemill_coordinator::{
    ADMIN_TOKEN, AdminToken, Asking, CATEGORIES, Catalogue, PRIORITY_SYMBOLS, Planned, RestUse,
    Selection, Symbols,
};
use tapemill_exchange::{Rest, RestOptions, Weights};
use tapemill_lake::{Lake, Output};
use tapemill_market::{Data, DateRange, Symbol, Thresholds};
use tapemill_queue::{Budgets, Queue, WorkerId, redis, sqlite};
use tapemill_runtime::{Stages, cores};
use tapemill_worker::{OwnWeights, QueueWeights, Workshop};
use tokio::sync::Semaphore;

use crate::args::{
    AskingArgs, OutputArgs, QueueArgs, RestArgs, SelectionArgs, ShapeArgs, SourceArgs, WorkArgs,
};
use crate::failure::Failure;
use crate::output_place::OutputPlace;

/// A symbols file is at most this large: every symbol there ever was, many times over.
const LARGEST_SYMBOLS_FILE: u64 = 16 << 20;

/// The selection; `--symbols` is required, unless only the priority symbols are wanted.
pub fn selection(selection: &SelectionArgs, rest: &RestArgs) -> Result<Selection, Failure> {
    let args = &selection.of;
    if args.min_volume.is_some() && rest.no_rest {
        return Err(forbidden("--min-volume"));
    }
    let today = today();
    let range = DateRange::parse(
        args.start.as_deref(),
        args.end.as_deref(),
        args.months.as_deref(),
        today,
    )?;
    let priority = match &args.priority {
        None => PRIORITY_SYMBOLS
            .iter()
            .map(|name| Symbol::exact(name))
            .collect::<Result<_, _>>()?,
        Some(text) => match symbols(text)? {
            Symbols::These(symbols) | Symbols::Among(symbols) => symbols,
            Symbols::All => {
                return Err(Failure::usage("--priority takes a list or @FILE, not all"));
            }
        },
    };
    let mut groups = Vec::new();
    if args.priority_only {
        groups.push(("--priority-only", priority.clone()));
    }
    if let Some(names) = &args.categories {
        groups.push(("--categories", in_categories(names, &args.own_categories)?));
    }
    let named = args.symbols.as_deref().map(symbols).transpose()?;
    let symbols = match (named, groups.is_empty()) {
        (Some(symbols), true) => symbols,
        (None, true) => {
            return Err(Failure::usage(
                "--symbols is missing: give a list such as BTCUSDT,ETHUSDT, @FILE, or all",
            ));
        }
        // A list of one's own is meant as it is written.
        (None, false) if args.priority.is_some() && args.categories.is_none() => {
            Symbols::These(priority.clone())
        }
        (named, false) => within(named, groups)?,
    };
    let data = Data::parse_list(&selection.data)?;
    for kind in &data {
        kind.check_market(args.market)?;
    }
    Ok(Selection {
        market: args.market,
        data,
        symbols,
        min_volume: args.min_volume,
        range,
        priority,
        today,
        rest: RestUse::default(),
        captured: Default::default(),
    })
}

/// What is in all of these groups, and named if symbols are named. Those have to be there; of a group only those count that
/// the market has.
fn within(named: Option<Symbols>, groups: Vec<(&str, Vec<Symbol>)>) -> Result<Symbols, Failure> {
    let mut groups = groups.into_iter();
    let (flag, first) = groups.next().unwrap_or_default();
    let (mut symbols, mut blamed, all_exist) = match named {
        Some(Symbols::These(symbols)) => (symbols, flag, true),
        _ => (first.clone(), flag, false),
    };
    for (flag, group) in [(flag, first)].into_iter().chain(groups) {
        let before = symbols.len();
        symbols.retain(|symbol| group.contains(symbol));
        if symbols.len() < before {
            blamed = flag;
        }
    }
    if symbols.is_empty() {
        return Err(Failure::usage(format!(
            "{blamed} leaves no symbol of the selection"
        )));
    }
    Ok(match all_exist {
        true => Symbols::These(symbols),
        false => Symbols::Among(symbols),
    })
}

/// The symbols of named categories, the user's own before those that are known.
fn in_categories(names: &str, own: &[(String, String)]) -> Result<Vec<Symbol>, Failure> {
    let mut found = Vec::new();
    for name in names.split(',').map(str::trim) {
        let list = own.iter().find(|(known, _)| known == name);
        let shipped = CATEGORIES.iter().find(|(known, _)| *known == name);
        let symbols = match (list, shipped) {
            (Some((_, list)), _) => Symbols::parse(list)?,
            (None, Some((_, list))) => Symbols::parse(&list.join(","))?,
            (None, None) => {
                let known = CATEGORIES.iter().map(|(name, _)| *name);
                let own = own.iter().map(|(name, _)| name.as_str());
                let known: Vec<_> = own.chain(known).collect();
                return Err(Failure::usage(format!(
                    "--categories {name:?} is none of {}; add it to [categories] in tapemill.toml",
                    known.join(", ")
                )));
            }
        };
        let Symbols::These(symbols) = symbols else {
            return Err(Failure::usage(format!(
                "the category {name} takes a list of symbols, not all"
            )));
        };
        found.extend(
            symbols
                .into_iter()
                .filter(|symbol| !found.contains(symbol))
                .collect::<Vec<_>>(),
        );
    }
    Ok(found)
}

/// The date, in UTC.
pub fn today() -> jiff::civil::Date {
    jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// A list of symbols, `all`, or @FILE.
pub fn symbols(text: &str) -> Result<Symbols, Failure> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(Symbols::parse(text)?);
    };
    let size = std::fs::metadata(path).map(|meta| meta.len());
    let read = size.and_then(|size| match size {
        0..=LARGEST_SYMBOLS_FILE => std::fs::read_to_string(path),
        _ => Err(std::io::ErrorKind::FileTooLarge.into()),
    });
    let text = read
        .map_err(|error| Failure::usage(format!("cannot read the symbols file {path}: {error}")))?;
    Symbols::parse_file(&text).map_err(|error| Failure::usage(format!("{path}: {error}")))
}

/// How the archive is asked.
pub fn asking(args: &AskingArgs) -> Asking {
    if args.no_listing {
        Asking::Probing
    } else {
        Asking::Listing
    }
}

/// The source: a mirror when it is a URL, else a folder.
pub fn source(args: &SourceArgs, brake: &Arc<Brake>) -> Result<Arc<dyn Source>, Failure> {
    capped_source(args, brake, None)
}

/// Whether the source is a mirror.
pub fn is_remote(args: &SourceArgs) -> bool {
    args.source.contains("://")
}

/// As [`source`], bringing at most so many bytes a second; a folder of this machine is read as it likes.
pub fn capped_source(
    args: &SourceArgs,
    brake: &Arc<Brake>,
    max_bytes_per_second: Option<NonZeroU64>,
) -> Result<Arc<dyn Source>, Failure> {
    if is_remote(args) {
        let mut options = HttpOptions::new(args.source.clone(), brake.clone());
        options.listing.clone_from(&args.listing);
        options.bandwidth = max_bytes_per_second.map(|cap| Arc::new(Bandwidth::new(cap)));
        return Ok(Arc::new(HttpSource::new(options)?));
    }
    if args.listing.is_some() {
        return Err(Failure::usage(
            "--listing goes with a --source URL; a folder is listed by itself",
        ));
    }
    Ok(Arc::new(DirSource::new(&args.source)?))
}

/// The output.
pub fn output(output: &OutputArgs, shape: &ShapeArgs) -> Result<Output, Failure> {
    let thresholds = Thresholds {
        whale_quote: shape.whale_quote,
        retail_quote: shape.retail_quote,
    };
    Ok(Output {
        lake: lake(output)?,
        layout: shape.layout,
        thresholds,
    })
}

/// Where the output's files are.
pub fn lake(args: &OutputArgs) -> Result<Lake, Failure> {
    lake_at(&args.output, "--output")
}

/// Where the files are that a flag names the place of.
pub fn lake_at(place: &OutputPlace, flag: &str) -> Result<Lake, Failure> {
    match place {
        OutputPlace::Address(url) if url.starts_with("s3://") => Ok(Lake::open(url)?),
        OutputPlace::Address(url) => Err(Failure::usage(format!(
            "{flag} {url} is not a folder of this machine, and no s3:// address"
        ))),
        OutputPlace::Folder(folder) if folder.is_file() => Err(Failure::usage(format!(
            "{flag} {} is a file; name a folder",
            folder.display()
        ))),
        OutputPlace::Folder(folder) => Ok(Lake::local(folder)),
    }
}

/// The queue, made when it is not there.
pub async fn queue(args: &QueueArgs, output: &OutputArgs) -> Result<Arc<dyn Queue>, Failure> {
    Ok(tapemill_queue::open(&queue_url(args, output)?, budgets(args)).await?)
}

/// The queue, which must be there: looking at a queue never makes one.
pub async fn existing_queue(
    args: &QueueArgs,
    output: &OutputArgs,
) -> Result<Arc<dyn Queue>, Failure> {
    Ok(tapemill_queue::open_existing(&queue_url(args, output)?, budgets(args)).await?)
}

/// The queue as a URL for messages, without credentials.
pub fn shown_queue(args: &QueueArgs, output: &OutputArgs) -> Result<String, Failure> {
    Ok(tapemill_queue::shown(&queue_url(args, output)?)?)
}

/// The queue's name for labels: of a file its path, of a server's queue the name alone.
pub fn queue_label(args: &QueueArgs, output: &OutputArgs) -> Result<String, Failure> {
    let url = queue_url(args, output)?;
    if redis::is_redis_url(&url) {
        return Ok(redis::RedisUrl::parse(&url)?.0.queue);
    }
    Ok(shown(&sqlite::parse_url(&url)?))
}

/// The queue as a URL, to be opened.
pub fn queue_url(args: &QueueArgs, output: &OutputArgs) -> Result<String, Failure> {
    let url = match &args.queue {
        None => match output.output.own_queue() {
            Some(path) => format!("sqlite:{}", path.display()),
            None => {
                return Err(Failure::usage(
                    "name the queue with --queue: an s3:// output has no place for one",
                ));
            }
        },
        Some(url) => url.clone(),
    };
    // Anything wrong with it is a matter of usage.
    match tapemill_queue::shown(&url) {
        Ok(_) => Ok(url),
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}

/// How much trouble a task may have.
pub fn budgets(args: &QueueArgs) -> Budgets {
    Budgets {
        attempts: args.attempts,
        expiries: args.expiries,
    }
}

/// Tells people what there is of a selection's symbols. Nobody depends on it, so that it fails with a warning.
pub async fn catalogue(
    queue: &dyn Queue,
    output: &Output,
    selection: &Selection,
    planned: &Planned,
) {
    let catalogue = Catalogue { queue, output };
    let rebuilt = catalogue.rebuild(selection.market, &selection.data, Some(&planned.symbols));
    if let Err(error) = rebuilt.await {
        tracing::warn!("the catalogue is not up to date: {error}");
    }
}

/// As [`catalogue`], of whatever has one: for a worker that saw the queue drained.
pub async fn refresh_catalogues(queue: &dyn Queue, output: &Output) {
    if let Err(error) = (Catalogue { queue, output }).refresh().await {
        tracing::warn!("the catalogue is not up to date: {error}");
    }
}

/// What attempts need.
pub fn workshop(
    source: Arc<dyn Source>,
    brake: Arc<Brake>,
    output: Output,
    keep_zip: bool,
) -> Workshop {
    Workshop {
        source,
        brake,
        policy: RetryPolicy::default(),
        rest: None,
        output,
        keep_zip,
        stages: Arc::new(Stages::new()),
        cores: Arc::new(Semaphore::new(cores())),
    }
}

/// The exchange, its weights counted in the queue; none with `--no-rest`.
pub fn rest(args: &RestArgs, queue: Arc<dyn Queue>) -> Result<Option<Arc<Rest>>, Failure> {
    rest_under(args, Arc::new(QueueWeights(queue)))
}

/// As [`rest`], for what works without a queue.
pub fn rest_alone(args: &RestArgs) -> Result<Option<Arc<Rest>>, Failure> {
    rest_under(args, Arc::new(OwnWeights::default()))
}

/// As [`rest_alone`], with the longest wait for an answer.
pub fn rest_within(args: &RestArgs, timeout: Duration) -> Result<Option<Arc<Rest>>, Failure> {
    let mut options = RestOptions::new(args.rest.clone());
    options.timeout = timeout;
    rest_with(args, options, Arc::new(OwnWeights::default()))
}

fn rest_under(args: &RestArgs, weights: Arc<dyn Weights>) -> Result<Option<Arc<Rest>>, Failure> {
    rest_with(args, RestOptions::new(args.rest.clone()), weights)
}

fn rest_with(
    args: &RestArgs,
    mut options: RestOptions,
    weights: Arc<dyn Weights>,
) -> Result<Option<Arc<Rest>>, Failure> {
    if args.no_rest {
        return Ok(None);
    }
    options.most_weight = args.rest_weight;
    let rest = Rest::new(options, weights)?;
    Ok(Some(Arc::new(rest)))
}

/// The symbols of a list or a file; `None` for all.
pub fn named_symbols(text: &str) -> Result<Option<Vec<Symbol>>, Failure> {
    Ok(match symbols(text)? {
        Symbols::All => None,
        Symbols::These(symbols) | Symbols::Among(symbols) => Some(symbols),
    })
}

/// A flag that asks the exchange, beside `--no-rest`.
pub fn forbidden(flag: &str) -> Failure {
    Failure::usage(format!(
        "{flag} asks the exchange, and --no-rest forbids it: leave out one of them"
    ))
}

/// Tasks at once: the cores, and at least two, so that the network is never idle while one task computes.
pub fn tasks_at_once(workers: Option<u16>) -> usize {
    workers.map_or_else(|| cores().max(2), usize::from)
}

/// The token that admits to changing the queue over HTTP, if the environment has one.
pub fn admin_token() -> Result<Option<AdminToken>, Failure> {
    let Some(token) = std::env::var_os(ADMIN_TOKEN) else {
        return Ok(None);
    };
    let token = token.to_str().and_then(AdminToken::new);
    let unfit = || {
        Failure::usage(format!(
            "{ADMIN_TOKEN} cannot be sent in a header: use letters, digits and signs of ASCII, without spaces"
        ))
    };
    token.map(Some).ok_or_else(unfit)
}

/// A fresh worker's name.
pub fn worker_id(args: &WorkArgs) -> WorkerId {
    args.name
        .as_deref()
        .map_or_else(WorkerId::fresh, WorkerId::named)
}

/// A path for people.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
