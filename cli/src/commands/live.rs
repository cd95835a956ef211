//! `live`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tapemill_exchange::Rest;
use tapemill_lake::Lake;
use tapemill_live::{
    Address, Collector, Config, JsonlSink, LiveMetrics, ParquetSink, Session, Sink, State,
};
use tapemill_market::{Market, Symbol};
use tapemill_runtime::{Router, Shutdown, exit};
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
    let session = format!("{:08x}", rand::random::<u32>());
    let sink = sink(&args, &lake, &session)?;

    let serving = Serving::new(shutdown);
    let metrics =
        LiveMetrics::register(serving.metrics.registry()).expect("they are registered once");
    let listen = args.listen.listen.as_deref();
    let server = serving.serve(listen, Router::new(), terminal).await?;
    let draining = CancellationToken::new();
    let (told, ended) = (shutdown.draining().clone(), draining.clone());
    let run_for = args.run_for;
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
        ended.cancel();
    });
    terminal.say(&format!(
        "collecting {} of {} from {} into {}",
        args.streams,
        format::plural(symbols.len() as u64, "symbol"),
        address.host(),
        lake.place()
    ));
    let collector = Collector {
        config: Config {
            flush_interval: args.flush_interval,
            max_batch_size: args.max_batch_size as usize,
            depth_limit: args.depth_limit,
            max_update_gap: args.max_update_gap,
            backoff: args.backoff,
            max_backoff: args.max_backoff.max(args.backoff),
            silent_after: args.silent_after,
            rotate_after: args.rotate_after,
            overlap: args.overlap,
            redundant: args.redundant,
            max_buffer: usize::try_from(args.max_buffer).unwrap_or(usize::MAX),
            ..Config::new(args.market, symbols, channels)
        },
        address,
        rest,
        sink,
        session,
        draining,
        watch: Box::new(move |state| metrics.take(&state)),
    };
    let collected = tokio::task::spawn_blocking(move || collector.run()).await;
    let state = collected.map_err(Failure::failed)??;
    if let Some(server) = server {
        server.stop().await;
    }
    tell(&state, as_json, terminal);
    Ok(exit::DONE)
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

fn sink(args: &LiveArgs, lake: &Lake, session: &str) -> Result<Box<dyn Sink>, Failure> {
    let session = Session {
        market: args.market,
        name: Arc::from(session),
    };
    Ok(match args.sink.as_str() {
        "jsonl" => Box::new(
            JsonlSink::new(lake, session).map_err(|error| Failure::usage(error.to_string()))?,
        ),
        _ => Box::new(ParquetSink::new(lake.clone(), session)),
    })
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
