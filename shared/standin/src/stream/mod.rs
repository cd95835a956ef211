//! The exchange's streams: a [`Tape`] of frames, recorded or made up, played to WebSockets, with the REST answers that go
//! with it, faults on demand, and a log of what truly went out.
//!
//! ```no_run
//! use tapemill_standin::stream::{StreamOptions, Streams, Tape};
//!
//! let tape = Tape::read("btcusdt_20240718.gz")?;
//! let options = StreamOptions::new(tape.market).fast();
//! let streams = Streams::start([tape], options)?;
//! println!("--rest {} --ws {}", streams.url_rest(), streams.url_ws());
//! // … a collector subscribes and reads …
//! let truth = streams.log();
//! # Ok::<(), tapemill_standin::StandinError>(())
//! ```
//!
//! One address serves both: REST as in [`mod@crate::exchange`], with `GET …/depth`, `…/aggTrades` and `…/exchangeInfo`
//! answered from the tapes, and WebSockets on the exchange's paths. It runs on one thread of its own.
//!
//! A frame's time comes whether anybody listens or not: what nobody is subscribed to is lost, and logged so.

mod ask;
mod cast;
mod connection;
mod desk;
mod fault;
mod handshake;
mod kind;
mod log;
mod options;
mod own_book;
mod player;
mod recording;
mod reel;
mod scan;
mod script;
mod socket;
mod stage;
mod tape;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::StandinError;
use crate::exchange::{self, Asked, ExchangeOptions};
pub(crate) use desk::Told;
pub use fault::{At, StreamFault, StreamFaults, StreamRule};
pub use kind::Routing;
pub use log::{Counts, Entry, Event, Fate, Happened};
pub use options::{Begin, Limits, Speed, StreamOptions};
pub use script::Script;
pub(crate) use stage::Stage;
pub use tape::{Frame, Snapshot, Tape};

/// Symbols of tapes were listed at the beginning of 2020, in milliseconds since 1970.
const LISTED_MS: i64 = 1_577_836_800_000;

/// A running stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct Streams {
    address: SocketAddr,
    stage: Arc<Stage>,
    rest: Arc<exchange::Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Streams {
    /// Plays tapes of one market. Without names of their own ([`StreamOptions::symbols`]) a symbol may be on one of them
    /// only.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] says which tapes do not go together, [`StandinError::Listen`] that there is no address.
    pub fn start(
        tapes: impl IntoIterator<Item = Tape>,
        options: StreamOptions,
    ) -> Result<Self, StandinError> {
        let (listen, most_weight) = (options.listen, options.most_weight);
        let failed = |source| StandinError::Listen {
            address: listen,
            source,
        };
        let stage = Arc::new(Stage::new(tapes.into_iter().collect(), options)?);
        let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let names: Vec<&str> = stage.casts.iter().map(|cast| &*cast.upper).collect();
        let known = ExchangeOptions {
            most_weight,
            ..ExchangeOptions::new(&names, LISTED_MS)
        };
        let (router, rest) = exchange::router(known, Some(Arc::clone(&stage)));
        let (stop, stopped) = oneshot::channel::<()>();
        let playing = Arc::clone(&stage);
        let serve = async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "the stand-in cannot listen"),
            };
            let others = socket::listen(listener, Arc::clone(&playing), address);
            tokio::select! {
                () = playing.play() => {}
                _ = axum::serve(others, router) => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("standin".to_owned())
            .spawn(move || runtime.block_on(serve))
            .map_err(failed)?;
        Ok(Self {
            address,
            stage,
            rest,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url_rest(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://127.0.0.1:PORT`, without a slash at the end.
    pub fn url_ws(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The symbols, upper case.
    pub fn symbols(&self) -> Vec<String> {
        let casts = self.stage.casts.iter();
        casts.map(|cast| cast.upper.clone()).collect()
    }

    /// The names of all streams there are.
    pub fn streams(&self) -> Vec<Arc<str>> {
        let player = self.stage.player();
        let streams = player.streams.iter();
        streams.map(|stream| Arc::clone(&stream.name)).collect()
    }

    /// Begins all streams that have not begun.
    pub fn go(&self) {
        self.stage.player().go();
        self.stage.pump.notify_one();
    }

    /// Lets a fault strike now, on all connections where it names none. One that is about a frame strikes the next.
    pub fn strike(&self, fault: StreamFault) {
        self.stage.player().strike_now(fault);
        self.stage.pump.notify_one();
    }

    /// What became of each frame whose time has come, in the order in which they came.
    pub fn log(&self) -> Vec<Entry> {
        self.stage.player().entries(0, usize::MAX)
    }

    /// What happened to the connections, in order.
    pub fn events(&self) -> Vec<Event> {
        self.stage.player().events.clone()
    }

    /// Sums over the log.
    pub fn counts(&self) -> Counts {
        self.stage.counts()
    }

    /// The requests over REST so far, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.rest.asked()
    }

    /// Answers the next request over REST with a status, and asks to wait so many seconds.
    pub fn refuse_next(&self, status: u16, retry_after: Option<u64>) {
        self.rest.refuse_next(status, retry_after);
    }

    /// Whether some stream began, and all that began have ended and were handed to the sockets.
    pub fn is_over(&self) -> bool {
        let player = self.stage.player();
        player.log.counts.played > 0 && player.is_over()
    }

    /// Waits until it is over. `false` after a time.
    pub fn wait(&self, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        while !self.is_over() {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the stand-in panicked");
        }
    }
}
