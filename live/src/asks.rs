//! What the exchange is asked for beside its streams: snapshots, missing trades, and whether a stream that is silent should be.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_exchange::{ExchangeError, Rest};
use tapemill_market::Symbol;
use tapemill_stream::{AggTrade, Hole, Kind, Snapshot};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::received_now;
use crate::collector::Symbols;
use crate::config::Config;
use crate::connection::Shared;
use crate::recorder::Wanted;
use crate::rows::Entry;

/// Snapshots at once.
const SNAPSHOTS: usize = 4;

/// Trades of one answer.
const PAGE: u32 = 1_000;

/// Trades of one hole: more are the archive's work.
const MOST_TRADES: usize = 1_000_000;

/// The longest that trades of a hole are asked for: an answer may lag behind the stream.
const FILL: Duration = Duration::from_secs(60);

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// A trade so much later than what a stream brought last proves that it should have brought it.
const LATE_MS: i64 = 2_000;

/// Asks, under the request weights of all.
pub struct Asks {
    shared: Rc<Shared>,
    config: Rc<Config>,
    rest: Option<Arc<Rest>>,
    snapshots: Rc<Semaphore>,
    fills: Rc<Semaphore>,
    /// Symbols that are being asked about.
    asking: RefCell<BTreeSet<Symbol>>,
    /// What was found: streams that should not be silent.
    proven: RefCell<BTreeSet<String>>,
    /// Symbols that are traded no longer.
    delisted: RefCell<BTreeSet<Symbol>>,
    held: RefCell<BTreeMap<String, Instant>>,
    stop: CancellationToken,
}

impl Asks {
    /// Nothing is asked yet. Without `rest` never.
    pub fn new(
        shared: Rc<Shared>,
        config: Rc<Config>,
        rest: Option<Arc<Rest>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            config,
            rest,
            snapshots: Rc::new(Semaphore::new(SNAPSHOTS)),
            fills: Rc::new(Semaphore::new(1)),
            asking: RefCell::default(),
            proven: RefCell::default(),
            delisted: RefCell::default(),
            held: RefCell::default(),
            stop,
        }
    }

    /// Asks for what the recorder wants, each in a task of its own.
    pub fn take_wanted(self: &Rc<Self>) {
        let wanted = self.shared.recorder.borrow_mut().take_wanted();
        for wanted in wanted {
            let (asks, Some(rest)) = (self.clone(), self.rest.clone()) else {
                continue;
            };
            tokio::task::spawn_local(async move {
                match wanted {
                    Wanted::Snapshot(symbol) => asks.snapshot(&rest, symbol).await,
                    Wanted::Trades {
                        stream,
                        symbol,
                        hole,
                    } => asks.trades(&rest, stream, symbol, hole).await,
                }
            });
        }
    }

    /// Asks for a fresh snapshot of each book again and again, evenly spread, until it is told to stop.
    pub async fn refresh(self: Rc<Self>) {
        let channels = &self.config.channels;
        let has_books = channels.iter().any(|channel| channel.kind() == Kind::Depth);
        let (Some(rest), true) = (self.rest.clone(), has_books) else {
            return;
        };
        let count = u32::try_from(self.config.symbols.len()).unwrap_or(u32::MAX);
        let pause = self.config.snapshot_every / count.max(1);
        while !self.stop.is_cancelled() {
            for symbol in &self.config.symbols {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = sleep(pause.max(AGAIN)) => {}
                }
                if !self.delisted.borrow().contains(symbol) {
                    self.snapshot(&rest, symbol.clone()).await;
                }
            }
        }
    }

    async fn snapshot(&self, rest: &Rest, symbol: Symbol) {
        let Ok(_turn) = self.snapshots.acquire().await else {
            return;
        };
        let levels = self.config.depth_limit;
        let asked = rest.book(self.config.market, &symbol, levels, &self.stop);
        let why = match asked.await {
            Ok(text) => match Snapshot::read(&text) {
                Ok(snapshot) => {
                    let mut recorder = self.shared.recorder.borrow_mut();
                    recorder.snapshot(&symbol, &snapshot, received_now());
                    return;
                }
                Err(error) => error.to_string(),
            },
            Err(ExchangeError::Cancelled) => return,
            Err(error) => {
                self.failed(&symbol, &error);
                error.to_string()
            }
        };
        let left = self.ban();
        // Not at once: whatever it is does not heal so fast. Of a ban it was told how long it lasts.
        let pause = left.min(self.config.max_backoff).max(self.config.backoff);
        match left.is_zero() {
            true => tracing::warn!(%symbol, "there is no snapshot of the book for now: {why}"),
            false => tracing::debug!(%symbol, "there is no snapshot of the book for now: {why}"),
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(pause) => {}
        }
        self.shared.recorder.borrow_mut().no_snapshot(&symbol);
    }

    /// How long the exchange still answers nothing over REST, as it said.
    pub fn ban(&self) -> Duration {
        let until = self.held.borrow().values().max().copied();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// How the symbols are.
    pub fn symbols(&self) -> Symbols {
        let (recorder, delisted) = (self.shared.recorder.borrow(), self.delisted.borrow());
        let waiting = recorder.waiting();
        let waiting = waiting.filter(|symbol| !delisted.contains(symbol)).count();
        let left = self.config.symbols.len().saturating_sub(delisted.len());
        Symbols {
            collecting: left.saturating_sub(waiting),
            waiting,
            delisted: delisted.len(),
        }
    }

    /// What an error tells of the symbol, or of all.
    fn failed(&self, symbol: &Symbol, error: &ExchangeError) {
        let (event_type, detail) = match error {
            ExchangeError::Held { host, wait } => {
                let mut held = self.held.borrow_mut();
                let until = Instant::now() + *wait;
                if held.get(host).is_some_and(|known| *known > Instant::now()) {
                    return;
                }
                held.insert(host.clone(), until);
                tracing::warn!(
                    "{host} asks to wait {} s: books get no snapshot until then",
                    wait.as_secs()
                );
                (
                    "banned",
                    serde_json::json!({"host": host, "seconds": wait.as_secs()}),
                )
            }
            ExchangeError::Missing { why, .. } => {
                if !self.delisted.borrow_mut().insert(symbol.clone()) {
                    return;
                }
                tracing::warn!(%symbol, "the exchange does not have it any longer: {why}");
                ("delisted", serde_json::json!({ "why": why }))
            }
            _ => return,
        };
        let entry = Entry {
            symbol: (event_type == "delisted").then(|| symbol.to_string()),
            detail: Some(detail.to_string()),
            ..Entry::default()
        };
        let mut recorder = self.shared.recorder.borrow_mut();
        recorder.tell(event_type, received_now().ns, entry);
    }

    /// Asks for the trades of a hole, page by page, until they are there or too long has passed.
    async fn trades(&self, rest: &Rest, stream: String, symbol: Symbol, hole: Hole) {
        let (Some(after), Some(before)) = (hole.after, hole.before) else {
            return;
        };
        let Ok(_turn) = self.fills.acquire().await else {
            return;
        };
        let mut trades: Vec<AggTrade> = Vec::new();
        let asking = async {
            let mut from = after.id + 1;
            while from < before.id && trades.len() < MOST_TRADES {
                let asked = rest.trades(self.config.market, &symbol, Some(from), PAGE, &self.stop);
                let page = match asked.await {
                    Ok(text) => page(&text),
                    Err(error) => {
                        self.failed(&symbol, &error);
                        tracing::warn!(%symbol, "trades are missing, and cannot be had for now: {error}");
                        return;
                    }
                };
                let page = page
                    .into_iter()
                    .filter(|trade| (from..before.id).contains(&trade.agg_id));
                let known = trades.len();
                trades.extend(page);
                match trades.last() {
                    Some(last) if trades.len() > known => from = last.agg_id + 1,
                    _ => sleep(AGAIN).await,
                }
            }
        };
        let _ = timeout(FILL, asking).await;
        let mut recorder = self.shared.recorder.borrow_mut();
        recorder.filled(&stream, &hole, &trades, received_now());
    }

    /// Whether one of these streams is silent that should not be. What is not known is asked, and known some looks later.
    pub fn silence(self: &Rc<Self>, streams: &[String], limit: Duration) -> bool {
        let now = Instant::now();
        {
            let mut proven = self.proven.borrow_mut();
            let found: Vec<String> = streams
                .iter()
                .filter(|stream| proven.remove(*stream))
                .cloned()
                .collect();
            if !found.is_empty() {
                let mut recorder = self.shared.recorder.borrow_mut();
                for stream in &found {
                    recorder.excuse(stream, now);
                    let entry = Entry {
                        stream: Some(stream.clone()),
                        ..Entry::default()
                    };
                    recorder.tell("silent", received_now().ns, entry);
                }
                return true;
            }
        }
        let silent = self.shared.recorder.borrow().silent(streams, now, limit);
        for (stream, symbol, kind) in silent {
            match kind {
                // Comes every second or three, whatever the market does.
                Kind::MarkPrice => {
                    self.proven.borrow_mut().insert(stream);
                }
                // Comes as it comes.
                Kind::ForceOrder => self.shared.recorder.borrow_mut().excuse(&stream, now),
                _ => self.ask_for_silence(stream, symbol, now),
            }
        }
        false
    }

    /// A trade since the stream brought something last would have shown in it.
    fn ask_for_silence(self: &Rc<Self>, stream: String, symbol: Symbol, now: Instant) {
        let since_ms = {
            let mut recorder = self.shared.recorder.borrow_mut();
            let since_ms = recorder.last_ms(&stream);
            recorder.excuse(&stream, now);
            since_ms
        };
        let Some(rest) = self.rest.clone() else {
            return;
        };
        if self.delisted.borrow().contains(&symbol)
            || !self.asking.borrow_mut().insert(symbol.clone())
        {
            return;
        }
        let asks = self.clone();
        tokio::task::spawn_local(async move {
            let market = asks.config.market;
            let asked = rest.trades(market, &symbol, None, 1, &asks.stop).await;
            asks.asking.borrow_mut().remove(&symbol);
            match asked {
                Ok(text) => {
                    let last = page(&text).last().map(|trade| trade.trade_ms);
                    let is_silent = match (last, since_ms) {
                        (Some(last), Some(since)) => last > since + LATE_MS,
                        // It never brought anything, and something was traded within the time that it is waited for.
                        (Some(last), None) => {
                            let waited = asks.config.silent_after.as_millis() as i64;
                            last > received_now().ns / 1_000_000 - waited
                        }
                        (None, _) => false,
                    };
                    if is_silent {
                        asks.proven.borrow_mut().insert(stream);
                    }
                }
                Err(error) => asks.failed(&symbol, &error),
            }
        });
    }
}

/// Trades of an answer; none where it is no list of them.
fn page(text: &str) -> Vec<AggTrade> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let trade = |row: &Value| {
        let decimal = |name: &str| row[name].as_str()?.parse::<f64>().ok();
        let trade_ms = row["T"].as_i64()?;
        Some(AggTrade {
            // The answer tells no other time.
            event_ms: trade_ms,
            trade_ms,
            agg_id: row["a"].as_i64()?,
            price: decimal("p")?,
            quantity: decimal("q")?,
            first_trade_id: row["f"].as_i64()?,
            last_trade_id: row["l"].as_i64()?,
            is_buyer_maker: row["m"].as_bool()?,
        })
    };
    rows.iter().filter_map(trade).collect()
}
