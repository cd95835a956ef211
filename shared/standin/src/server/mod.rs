//! A folder served as the exchange serves its archive: files with ranges, the bucket's listing, and faults on demand.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET`, `HEAD /{key}` | the file below the root |
//! | `GET /?prefix=&delimiter=&marker=` | the listing, version 1; `list-type=2` for version 2 |
//! | `GET /_log` | the requests so far, JSON |
//! | `POST /_faults` | takes [`Faults`] as JSON; what was counted begins anew |
//! | `POST /_reset` | no faults, empty log |

mod body;
mod fault_book;
mod faults;
mod glob;
mod listing;
mod log;
mod object;
mod query;
mod reply;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::StandinError;
use fault_book::FaultBook;
use log::Log;

pub use faults::{Fault, Faults, Rule, When};
pub use log::Request;

/// Keys on a page of the real listing.
pub const PAGE_SIZE: usize = 1_000;
/// How long [`Standin::stop`] waits for connections to end.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How a stand-in is set up.
#[derive(Debug, Clone)]
pub struct StandinOptions {
    /// The folder that is served.
    pub root: PathBuf,
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
    /// Keys on a page of a listing, 1 to 1,000.
    pub page_size: usize,
    /// What goes wrong from the start.
    pub faults: Faults,
}

impl StandinOptions {
    /// A free port on loopback, full pages, no faults.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            page_size: PAGE_SIZE,
            faults: Faults::none(),
        }
    }
}

/// A running stand-in. Dropping it stops it; [`Self::stop`] also waits.
#[derive(Debug)]
pub struct Standin {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct State {
    started: Instant,
    root: PathBuf,
    page_size: usize,
    faults: Mutex<FaultBook>,
    log: Mutex<Log>,
    stop: watch::Receiver<bool>,
}

impl State {
    fn faults(&self) -> MutexGuard<'_, FaultBook> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standin {
    /// Serves `root` on a free loopback port.
    ///
    /// # Errors
    ///
    /// As [`Self::start_with`].
    pub async fn start(root: impl AsRef<Path>, faults: Faults) -> Result<Self, StandinError> {
        Self::start_with(StandinOptions {
            faults,
            ..StandinOptions::new(root.as_ref())
        })
        .await
    }

    /// Serves a folder as the options say.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for options that cannot be, [`StandinError::Io`] when the root is not a folder,
    /// [`StandinError::Listen`] for a busy address.
    pub async fn start_with(options: StandinOptions) -> Result<Self, StandinError> {
        options.faults.check()?;
        if !(1..=PAGE_SIZE).contains(&options.page_size) {
            return Err(StandinError::invalid("page size", "expected 1 to 1000"));
        }
        let root = options.root;
        std::fs::read_dir(&root).map_err(StandinError::io(&root))?;
        let address = options.address;
        let failed = |source| StandinError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let (stop, stopped) = watch::channel(false);
        let state = Arc::new(State {
            started: Instant::now(),
            root,
            page_size: options.page_size,
            faults: Mutex::new(FaultBook::new(options.faults)),
            log: Mutex::default(),
            stop: stopped.clone(),
        });
        let router: Router = reply::router(Arc::clone(&state));
        let listener = listener.tap_io(|socket| {
            // Small replies would wait for acknowledgements otherwise.
            let _ = socket.set_nodelay(true);
        });
        let mut stopped = stopped;
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "the stand-in stopped serving");
            }
        });
        Ok(Self {
            url,
            state,
            stop,
            task,
        })
    }

    /// The requests so far, oldest first.
    pub fn log(&self) -> Vec<Request> {
        self.state.log().requests()
    }

    /// Replaces the faults; what was counted begins anew. Replies under way keep theirs.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] for a rule that cannot be.
    pub fn set_faults(&self, faults: Faults) -> Result<(), StandinError> {
        faults.check()?;
        *self.state.faults() = FaultBook::new(faults);
        Ok(())
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        *self.state.log() = Log::default();
    }

    /// Stops listening, closes the connections and waits until that is done.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(STOP_WAIT, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}
