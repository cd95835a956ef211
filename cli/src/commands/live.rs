//! `live`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tapemill_exchange::Rest;
use tapemill_lake::Lake;
use tapemill_live::{
    Address, Collecting, Collector, Config, JsonlSink, Keeper, LiveError, LiveMetrics, ParquetSink,
    Right, Session, Share, Sink, State, Symbols,
};
use tapemill_market::{Market, Symbol};
use tapemill_queue::{Budgets, WorkerId, redis, sqlite};
use tapemill_runtime::{Health, Router, Shutdown, exit};
use tapemill_stream::{Channel, official_address};
use tokio_util::sync::CancellationToken;

use crate::args::LiveArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::output_place::OutputPlace;
use crate::progress::Terminal;
use crate::serving::Serving;

/// What the exchange calls a symbol that is traded.
const TRADING: &str = "TRADING";

/// A collector looks at its rows many times a second. Only its beginning, which asks the output for what it has, may take long.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Collects until told to stop.
pub async fn run(
    args: LiveArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let channels = channels(&args.streams, args.market)?;
    let place = match &args.data_dir {
        Some(folder) => OutputPlace::from(folder.clone()),
        None => args.output.output.clone(),
    };
    let lake = context::lake_at(&place, "--output")?;
    let base = args.ws.as_deref();
    let address = Address::parse(base.unwrap_or_else(|| official_address(args.market)))?;
    let rest = context::rest_within(&args.rest, args.http_timeout)?;
    let needs_books = channels
        .iter()
        .any(|channel| channel.kind() == tapemill_stream::Kind::Depth);
    if rest.is_none() && needs_books {
        return Err(Failure::usage(
            "books of depth streams begin with a snapshot, which --no-rest forbids: leave out one of them",
        ));
    }
    let symbols = symbols(&args, rest.as_deref()).await?;

    let is_cut_off = Arc::new(AtomicBool::new(false));
    let told = is_cut_off.clone();
    let connected = move || match told.load(Ordering::Relaxed) {
        true => Err("no connection to the exchange is open".to_owned()),
        false => Ok(()),
    };
    let serving = Serving::ready_when(shutdown, args.queue.is_some(), connected);
    let metrics = LiveMetrics::register(serving.metrics.registry(), &channels)
        .expect("they are registered once");
    let listen = args.listen.listen.as_deref();
    let server = serving.serve(listen, Router::new(), terminal).await?;
    terminal.say(&format!(
        "collecting {} of {} from {}{} into {}",
        args.streams,
        format::plural(symbols.len() as u64, "symbol"),
        address.host(),
        address
            .proxy()
            .map_or_else(String::new, |name| format!(" through the proxy {name}")),
        lake.place()
    ));
    let recipe = Recipe {
        config: Config {
            flush_interval: args.flush_interval,
            max_batch_size: args.max_batch_size as usize,
            depth_limit: args.depth_limit,
            max_update_gap: args.max_update_gap,
            snapshot_every: args.snapshot_every,
            backoff: args.backoff,
            max_backoff: args.max_backoff.max(args.backoff),
            silent_after: args.silent_after,
            rotate_after: args.rotate_after,
            overlap: args.overlap,
            redundant: args.redundant,
            max_buffer: usize::try_from(args.max_buffer).unwrap_or(usize::MAX),
            ..Config::new(args.market, symbols.clone(), channels)
        },
        address,
        rest,
        lake,
        is_lines: args.sink == "jsonl",
        totals: Arc::new(Totals::new(metrics, is_cut_off)),
        health: serving.health.clone(),
    };
    let draining = ending(shutdown, args.run_for);
    let totals = recipe.totals.clone();
    match &args.queue {
        None => {
            let share = Share {
                symbols: symbols.into_iter().map(|symbol| (symbol, 1)).collect(),
                right: Right::unlimited(),
                ending: draining,
            };
            let collector = recipe.collector(share)?;
            let collected = tokio::task::spawn_blocking(move || collector.run()).await;
            collected.map_err(Failure::failed)??;
        }
        Some(url) => {
            let url = beside(url)?;
            terminal.say(&format!(
                "symbols are shared by {}",
                tapemill_queue::shown(&url)?
            ));
            let queue = tapemill_queue::open(&url, Budgets::default()).await?;
            let keeper = Keeper {
                queue: serving.measured(queue),
                worker: args
                    .name
                    .as_deref()
                    .map_or_else(WorkerId::fresh, WorkerId::named),
                lease: args.lease,
                market: args.market,
                symbols,
                most: args.most_symbols.map_or(usize::MAX, |most| most as usize),
                draining,
                start: move |share| begun(&recipe, share),
            };
            keeper.run().await?;
        }
    }
    if let Some(server) = server {
        server.stop().await;
    }
    tell(&totals.sum(), as_json, terminal);
    Ok(exit::DONE)
}

/// What every collector of this process has in common.
struct Recipe {
    config: Config,
    address: Address,
    rest: Option<Arc<Rest>>,
    lake: Lake,
    is_lines: bool,
    totals: Arc<Totals>,
    health: Health,
}

impl Recipe {
    fn collector(&self, share: Share) -> Result<Collector, LiveError> {
        let session = format!("{:08x}", rand::random::<u32>());
        let named = Session {
            market: self.config.market,
            name: Arc::from(session.as_str()),
        };
        let sink: Box<dyn Sink> = match self.is_lines {
            true => Box::new(JsonlSink::new(&self.lake, named)?),
            false => Box::new(ParquetSink::new(self.lake.clone(), named)),
        };
        let (totals, number) = (self.totals.clone(), self.totals.number());
        // Until it is told to end: what is held then is stored however long it takes.
        let watched = Arc::new(self.health.watch("collector", LONGEST_LOOK));
        let (turns, ending) = (Arc::downgrade(&watched), share.ending.clone());
        tokio::spawn(async move {
            ending.cancelled().await;
            drop(watched);
        });
        let taken_over = share
            .symbols
            .iter()
            .filter(|(_, generation)| **generation > 1);
        Ok(Collector {
            taken_over: taken_over
                .map(|(symbol, generation)| (symbol.clone(), *generation))
                .collect(),
            config: Config {
                symbols: share.symbols.into_keys().collect(),
                ..self.config.clone()
            },
            address: self.address.clone(),
            rest: self.rest.clone(),
            sink,
            session,
            right: share.right,
            draining: share.ending,
            watch: Box::new(move |state| {
                if let Some(watched) = turns.upgrade() {
                    watched.tick();
                }
                totals.take(number, state);
            }),
        })
    }
}

fn begun(recipe: &Recipe, share: Share) -> Result<Collecting, LiveError> {
    let collector = recipe.collector(share)?;
    let thread = std::thread::Builder::new().name("collector".to_owned());
    thread
        .spawn(move || collector.run())
        .map_err(LiveError::Thread)
}

/// Fires when the process is told to end, or after a time.
fn ending(shutdown: &Shutdown, run_for: Option<Duration>) -> CancellationToken {
    let ending = CancellationToken::new();
    let (told, fires) = (shutdown.draining().clone(), ending.clone());
    tokio::spawn(async move {
        let end = async {
            match run_for {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = told.cancelled() => {}
            () = end => {}
        }
        fires.cancel();
    });
    ending
}

/// The queue of the leases, beside that of tasks: workers would claim symbols, and a pause would keep them from being taken over.
fn beside(url: &str) -> Result<String, Failure> {
    tapemill_queue::shown(url).map_err(|error| Failure::usage(error.to_string()))?;
    if redis::is_redis_url(url) {
        let name = redis::RedisUrl::parse(url)?.0.queue;
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let others = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("queue="));
        let query: Vec<_> = others
            .map(str::to_owned)
            .chain([format!("queue={name}-live")])
            .collect();
        return Ok(format!("{base}?{}", query.join("&")));
    }
    let path = sqlite::parse_url(url)?;
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = match path.extension() {
        Some(end) => format!("{stem}-live.{}", end.to_string_lossy()),
        None => format!("{stem}-live"),
    };
    Ok(format!("sqlite:{}", path.with_file_name(name).display()))
}

/// The states of all collectors of this process, and their sum as metrics.
struct Totals {
    metrics: LiveMetrics,
    states: Mutex<Vec<State>>,
    /// Whether there are symbols to collect and no connection that brings them.
    is_cut_off: Arc<AtomicBool>,
}

impl Totals {
    fn new(metrics: LiveMetrics, is_cut_off: Arc<AtomicBool>) -> Self {
        Self {
            metrics,
            states: Mutex::default(),
            is_cut_off,
        }
    }

    fn number(&self) -> usize {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.push(State::default());
        states.len() - 1
    }

    fn take(&self, number: usize, state: State) {
        let sum = {
            let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
            states[number] = state;
            let sum = State::sum(states.iter());
            states[number].lags.clear();
            sum
        };
        let is_cut_off = sum.connections == 0 && sum.symbols != Symbols::default();
        self.is_cut_off.store(is_cut_off, Ordering::Relaxed);
        self.metrics.take(&sum);
    }

    fn sum(&self) -> State {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        State::sum(states.iter())
    }
}

fn channels(list: &str, market: Market) -> Result<Vec<Channel>, Failure> {
    let mut channels: Vec<Channel> = Vec::new();
    for name in list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let channel = Channel::parse(name, market)
            .map_err(|error| Failure::usage(format!("--streams: {error}")))?;
        // At two speeds it would be stored twice.
        if channels.iter().any(|known| known.kind() == channel.kind()) {
            return Err(Failure::usage(format!(
                "--streams names {name} beside another of its kind: leave out one of them"
            )));
        }
        channels.push(channel);
    }
    match channels.is_empty() {
        true => Err(Failure::usage(
            "--streams is empty: name one, such as aggTrade",
        )),
        false => Ok(channels),
    }
}

/// The symbols, each of which the exchange trades, as far as it can be asked.
async fn symbols(args: &LiveArgs, rest: Option<&Rest>) -> Result<Vec<Symbol>, Failure> {
    let named = context::named_symbols(&args.symbols)?;
    let Some(rest) = rest else {
        return named.ok_or_else(|| context::forbidden("--symbols all"));
    };
    let info = rest.info(args.market).await.map_err(Failure::failed)?;
    let traded = info
        .symbols
        .iter()
        .filter(|symbol| symbol.status == TRADING);
    let traded: BTreeSet<Symbol> = traded.map(|symbol| symbol.symbol.clone()).collect();
    let Some(named) = named else {
        return Ok(traded.into_iter().collect());
    };
    match named.iter().find(|symbol| !traded.contains(*symbol)) {
        Some(symbol) => Err(Failure::usage(format!(
            "{symbol} is not traded in {}: nothing would come",
            args.market
        ))),
        None => Ok(named),
    }
}

fn tell(state: &State, as_json: bool, terminal: &Terminal) {
    let (counts, written) = (&state.counts, &state.written);
    if as_json {
        let told = serde_json::json!({
            "frames": counts.frames,
            "rows": written.stored.rows,
            "files": written.stored.files,
            "bytes": written.stored.bytes,
            "gaps": counts.gaps,
            "missing": counts.missing,
            "filled": counts.filled,
            "duplicates": counts.duplicates,
            "resyncs": counts.resyncs,
            "malformed": counts.malformed,
        });
        out!(terminal, "{told}");
        return;
    }
    terminal.say(&format!(
        "{} stored in {}, {}; {}",
        format::plural(written.stored.rows, "row"),
        format::plural(written.stored.files, "file"),
        format::bytes(written.stored.bytes),
        format::plural(counts.gaps, "gap")
    ));
}
