//! The collector: lanes of connections, what is asked for beside them, and the rows' way to the sink.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tapemill_exchange::Rest;
use tapemill_market::Symbol;
use tapemill_stream::{Kind, Limits, routes};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::asks::Asks;
use crate::clock::received_now;
use crate::config::Config;
use crate::connection::Shared;
use crate::error::LiveError;
use crate::lane::Lane;
use crate::recorder::{Counts, Received, Recorder};
use crate::rows::{Batch, Entry};
use crate::share::Right;
use crate::sink::Sink;
use crate::socket::Address;
use crate::writer::{Writer, Written};

/// How often rows and wishes are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Connections are opened one after the other: the exchange counts them.
const BETWEEN_LANES: Duration = Duration::from_millis(200);

/// The clock is held against one that never jumps so often; a jump of more is told.
const CLOCK: Duration = Duration::from_secs(1);
const JUMP_NS: i64 = 500_000_000;

/// How a collector is, for whoever watches.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What was counted.
    pub counts: Counts,
    /// What was stored.
    pub written: Written,
    /// Connections that are open.
    pub connections: usize,
    /// Bytes that came.
    pub bytes: u64,
    /// Rows that are held, and about what they take in memory.
    pub held: (usize, usize),
    /// How late messages came since it was told last, in milliseconds.
    pub lags: Vec<i64>,
    /// Rows that were not stored, for their symbols had been taken over.
    pub dropped: u64,
    /// The symbols that are collected here.
    pub symbols: Symbols,
    /// How long the exchange still answers nothing over REST.
    pub ban: Duration,
    /// About what rows may take in memory.
    pub max_buffer: usize,
}

/// How many symbols are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Symbols {
    /// As they should be.
    pub collecting: usize,
    /// Their books wait for a snapshot that their updates follow.
    pub waiting: usize,
    /// The exchange does not have them any longer.
    pub delisted: usize,
}

impl State {
    /// Of several collectors together.
    pub fn sum<'a>(states: impl Iterator<Item = &'a State>) -> State {
        states.fold(State::default(), |mut sum, state| {
            sum.counts.add(&state.counts);
            sum.written.stored.files += state.written.stored.files;
            sum.written.stored.bytes += state.written.stored.bytes;
            sum.written.stored.rows += state.written.stored.rows;
            sum.written.flushes += state.written.flushes;
            sum.written.failures += state.written.failures;
            sum.written.last_flush = sum.written.last_flush.max(state.written.last_flush);
            sum.connections += state.connections;
            sum.bytes += state.bytes;
            sum.held.0 += state.held.0;
            sum.held.1 += state.held.1;
            sum.lags.extend(&state.lags);
            sum.dropped += state.dropped;
            sum.symbols.collecting += state.symbols.collecting;
            sum.symbols.waiting += state.symbols.waiting;
            sum.symbols.delisted += state.symbols.delisted;
            sum.ban = sum.ban.max(state.ban);
            sum.max_buffer += state.max_buffer;
            sum
        })
    }
}

/// Collects until it is told to stop.
pub struct Collector {
    /// What, and how.
    pub config: Config,
    /// Where the streams are.
    pub address: Address,
    /// The exchange, for snapshots and missing trades; without it there are none.
    pub rest: Option<Arc<Rest>>,
    /// Where rows go.
    pub sink: Box<dyn Sink>,
    /// Names this run.
    pub session: String,
    /// Lasts while the symbols are this collector's to store.
    pub right: Right,
    /// Symbols that were another collector's, and the generations of their leases.
    pub taken_over: BTreeMap<Symbol, u64>,
    /// Ends it; rows that are held are stored.
    pub draining: CancellationToken,
    /// Is told how it is, some times a second.
    pub watch: Box<dyn FnMut(State) + Send>,
}

impl Collector {
    /// Collects; blocks the calling thread.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it cannot begin. Later nothing but being told to ends it.
    pub fn run(mut self) -> Result<State, LiveError> {
        let mut recorder = Recorder::new(self.session.clone(), &self.config);
        for (stream, last) in self.sink.last(&recorder.followed())? {
            let symbol = stream.split('@').next().unwrap_or_default().to_uppercase();
            let is_taken = self.taken_over.keys().any(|taken| taken.as_str() == symbol);
            let cause = if is_taken { "takeover" } else { "restart" };
            recorder.resume(&stream, last, cause);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LiveError::Thread)?;
        // One thread for all sockets: what they bring is stored in the order it came, without a lock.
        let thread = thread::Builder::new().name("sockets".to_owned());
        let running = thread.spawn(move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(self.collect(recorder)))
        });
        let state = running.map_err(LiveError::Thread)?.join();
        state.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    async fn collect(self, recorder: Recorder) -> Result<State, LiveError> {
        let Self {
            config,
            address,
            rest,
            sink,
            draining,
            mut watch,
            right,
            taken_over,
            ..
        } = self;
        let writer = Writer::start(sink)?;
        let config = Rc::new(config);
        let shared = Rc::new(Shared {
            recorder: RefCell::new(recorder),
            address,
            limits: Limits::of(config.market),
            max_buffer: config.max_buffer,
            next_connection: RefCell::new(0),
            bytes: RefCell::new(0),
            open: RefCell::new(0),
        });
        let stop = CancellationToken::new();
        let asks = Asks::new(shared.clone(), config.clone(), rest, stop.clone());
        let asks = Rc::new(asks);
        tell(&shared, "session_opened", &config);
        for (symbol, generation) in taken_over {
            let entry = Entry {
                symbol: Some(symbol.to_string()),
                generation: i64::try_from(generation).ok(),
                ..Entry::default()
            };
            let mut recorder = shared.recorder.borrow_mut();
            recorder.tell("takeover", received_now().ns, entry);
        }
        tokio::task::spawn_local(asks.clone().refresh());
        let lanes = open_lanes(&shared, &asks, &config, &stop);

        let mut flow = Flow::new(&config);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => break,
                _ = ticks.tick() => {}
            }
            shared.recorder.borrow_mut().take_over(Instant::now());
            asks.take_wanted();
            flow.check_clock(&shared, received_now());
            // Whose lease may have run out stores nothing until it is known.
            if right.lasts() {
                flow.flush(&shared, &writer);
            }
            watch(state(&shared, &writer, &asks));
        }
        stop.cancel();
        let lanes = lanes.await.unwrap_or_default();
        for lane in lanes {
            let _ = lane.await;
        }
        tell(&shared, "session_closed", &config);
        let mut rest = flow.rest(&shared);
        let mut dropped = 0;
        if !right.lasts() {
            dropped = rest.iter().map(|batch| batch.rows.num_rows() as u64).sum();
            tracing::warn!(
                "{dropped} rows are not stored: their symbols are another collector's now"
            );
            rest.clear();
        }
        let last = state(&shared, &writer, &asks);
        let written = tokio::task::spawn_blocking(move || writer.finish(rest)).await;
        let last = State {
            written: written.unwrap_or_default(),
            connections: 0,
            held: (0, 0),
            dropped,
            symbols: Symbols::default(),
            ban: Duration::ZERO,
            max_buffer: 0,
            ..last
        };
        watch(last.clone());
        Ok(last)
    }
}

fn state(shared: &Shared, writer: &Writer, asks: &Asks) -> State {
    let symbols = asks.symbols();
    let mut recorder = shared.recorder.borrow_mut();
    State {
        counts: recorder.counts().clone(),
        written: writer.written(),
        connections: *shared.open.borrow(),
        bytes: *shared.bytes.borrow(),
        held: recorder.held(),
        lags: recorder.take_lags(),
        dropped: 0,
        symbols,
        ban: asks.ban(),
        max_buffer: shared.max_buffer,
    }
}

fn tell(shared: &Shared, event_type: &'static str, config: &Config) {
    let symbols: Vec<&str> = config
        .symbols
        .iter()
        .map(|symbol| symbol.as_str())
        .collect();
    let channels: Vec<&str> = config
        .channels
        .iter()
        .map(|channel| channel.name())
        .collect();
    let detail = serde_json::json!({"symbols": symbols, "streams": channels});
    let entry = Entry {
        detail: Some(detail.to_string()),
        ..Entry::default()
    };
    let mut recorder = shared.recorder.borrow_mut();
    recorder.tell(event_type, received_now().ns, entry);
}

/// Streams by the path that serves them, so many to a lane; each lane in a task of its own.
fn open_lanes(
    shared: &Rc<Shared>,
    asks: &Rc<Asks>,
    config: &Rc<Config>,
    stop: &CancellationToken,
) -> JoinHandle<Vec<JoinHandle<()>>> {
    let routes = routes(config.market);
    let mut paths: Vec<(&'static str, Kind, Vec<String>)> = Vec::new();
    for (name, kind) in shared.recorder.borrow().streams() {
        let path = routes[0].path(kind);
        match paths.iter_mut().find(|(known, ..)| *known == path) {
            Some((.., streams)) => streams.push(name.to_owned()),
            None => paths.push((path, kind, vec![name.to_owned()])),
        }
    }
    let copies = if config.redundant { 2 } else { 1 };
    let mut lanes = Vec::new();
    for (_, kind, streams) in &paths {
        for streams in streams.chunks(shared.limits.streams) {
            for _ in 0..copies {
                lanes.push(Lane {
                    shared: shared.clone(),
                    asks: asks.clone(),
                    config: config.clone(),
                    streams: streams.to_vec(),
                    kind: *kind,
                    routes,
                    stop: stop.clone(),
                });
            }
        }
    }
    tokio::task::spawn_local(async move {
        let mut running = Vec::new();
        for lane in lanes {
            if !running.is_empty() {
                tokio::time::sleep(BETWEEN_LANES).await;
            }
            running.push(tokio::task::spawn_local(lane.run()));
        }
        running
    })
}

/// Rows on their way from the recorder to the writer.
struct Flow {
    interval: Duration,
    most_rows: usize,
    flushed: Instant,
    /// Taken, and not given yet, for the writer is busy.
    waiting: Vec<Batch>,
    clock: (Instant, i64),
}

impl Flow {
    fn new(config: &Config) -> Self {
        let now = received_now();
        Self {
            interval: config.flush_interval,
            most_rows: config
                .max_batch_size
                .saturating_mul(config.symbols.len().max(1)),
            flushed: now.at,
            waiting: Vec::new(),
            clock: (now.at, now.ns),
        }
    }

    /// Gives rows to the writer, where it is time.
    fn flush(&mut self, shared: &Shared, writer: &Writer) {
        let written = writer.written();
        if let Some((lasted, why)) = written.healed {
            let detail = serde_json::json!({"seconds": lasted.as_secs_f64(), "why": why});
            let entry = Entry {
                detail: Some(detail.to_string()),
                ..Entry::default()
            };
            let mut recorder = shared.recorder.borrow_mut();
            recorder.tell("disk", received_now().ns, entry);
        }
        if self.waiting.is_empty() {
            let (rows, _) = shared.recorder.borrow().held();
            let is_time = self.flushed.elapsed() >= self.interval || rows >= self.most_rows;
            if rows == 0 || !is_time {
                return;
            }
            self.flushed = Instant::now();
            self.waiting = shared.recorder.borrow_mut().take_rows();
        }
        if let Err(back) = writer.give(std::mem::take(&mut self.waiting)) {
            self.waiting = back;
        }
    }

    /// All that is left.
    fn rest(&mut self, shared: &Shared) -> Vec<Batch> {
        let mut rest = std::mem::take(&mut self.waiting);
        rest.extend(shared.recorder.borrow_mut().take_rows());
        rest
    }

    /// Tells when the wall clock jumped.
    fn check_clock(&mut self, shared: &Shared, now: Received) {
        let Some(jump) = self.jump(now) else {
            return;
        };
        let seconds = jump as f64 / 1e9;
        tracing::warn!("the clock jumped by {seconds:.3} s");
        let entry = Entry {
            detail: Some(serde_json::json!({"seconds": seconds}).to_string()),
            ..Entry::default()
        };
        let mut recorder = shared.recorder.borrow_mut();
        recorder.tell("clock", now.ns, entry);
    }

    /// By how many nanoseconds the wall clock went another way than the one that never jumps, if it is much.
    fn jump(&mut self, now: Received) -> Option<i64> {
        let (at, ns) = self.clock;
        let elapsed = now.at.duration_since(at);
        if elapsed < CLOCK {
            return None;
        }
        self.clock = (now.at, now.ns);
        let elapsed = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
        let jump = now.ns.saturating_sub(ns.saturating_add(elapsed));
        (jump.abs() > JUMP_NS).then_some(jump)
    }
}

#[cfg(test)]
mod tests {
    use tapemill_market::{Market, Symbol};

    use super::*;

    #[test]
    fn a_clock_that_jumps_is_told_and_one_that_drifts_is_not() {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let mut flow = Flow::new(&Config::new(Market::Um, vec![symbol], Vec::new()));
        let (began, ns) = flow.clock;
        let mut at = |seconds: u64, clock_ms: i64| {
            flow.jump(Received {
                ns: ns + clock_ms * 1_000_000,
                at: began + Duration::from_secs(seconds),
            })
        };
        assert_eq!(at(1, 1_010), None);
        assert_eq!(at(2, 2_005), None);
        assert_eq!(at(3, 1_000), Some(-2_005_000_000));
        assert_eq!(at(4, 2_000), None);
        assert_eq!(at(5, 3_603_000), Some(3_600_000_000_000));
    }
}
