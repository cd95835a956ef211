//! A lane: some streams, always brought by one connection, and by two while one takes over from the other.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tapemill_stream::{Kind, Route};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::asks::Asks;
use crate::clock::received_now;
use crate::config::Config;
use crate::connection::{Connection, Plan, Shared, Stop};
use crate::error::ConnectionError;
use crate::rows::Entry;

/// A connection that brought messages for so long was a good one: the next wait is the first again.
const GOOD: Duration = Duration::from_secs(60);

/// How often a successor is held against the connection that it takes over from, and streams are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Streams of one part of the market's addresses.
pub struct Lane {
    /// What lanes share.
    pub shared: Rc<Shared>,
    /// What is asked of the exchange for it.
    pub asks: Rc<Asks>,
    /// What is collected, and how.
    pub config: Rc<Config>,
    /// The names of its streams, all served by the same path.
    pub streams: Vec<String>,
    /// A kind of them, which the path follows from.
    pub kind: Kind,
    /// The market's routes, the first to be tried first.
    pub routes: &'static [Route],
    /// Ends it.
    pub stop: CancellationToken,
}

/// A connection that is read by a task of its own.
struct Reading {
    id: i32,
    opened: Instant,
    stop: CancellationToken,
    task: JoinHandle<(Connection, Stop)>,
}

impl Lane {
    /// Keeps its streams coming until it is told to stop.
    pub async fn run(self) {
        let mut route = 0;
        let mut wait = self.config.backoff;
        let mut tries = 0u32;
        while !self.stop.is_cancelled() {
            let opened = match self.open(route).await {
                Ok(opened) => opened,
                Err(error) => {
                    self.shared.recorder.borrow_mut().count_failed_try();
                    tries += 1;
                    let pause = self.told_wait(&error).unwrap_or_else(|| jittered(wait));
                    tracing::warn!("{error}; the next try is in {:.1} s", pause.as_secs_f64());
                    self.pause(pause).await;
                    wait = (wait * 2).min(self.config.max_backoff);
                    continue;
                }
            };
            if tries > 0 {
                tracing::info!("connected again after {tries} tries");
                tries = 0;
            }
            let (was_good, has_brought, cause) = self.keep(opened, route).await;
            if was_good {
                wait = self.config.backoff;
            }
            if !has_brought && cause == "silent" {
                route = (route + 1) % self.routes.len();
                tracing::warn!(
                    route = self.routes[route].name,
                    "a connection brought nothing: another address is tried"
                );
            }
            if !self.stop.is_cancelled() {
                self.pause(jittered(wait)).await;
                wait = (wait * 2).min(self.config.max_backoff);
            }
        }
    }

    fn told_wait(&self, error: &ConnectionError) -> Option<Duration> {
        match error {
            ConnectionError::Refused {
                status: 418 | 429,
                wait,
                ..
            } => Some(wait.unwrap_or(self.config.max_backoff)),
            _ => None,
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(pause) => {}
        }
    }

    async fn open(&self, route: usize) -> Result<Reading, ConnectionError> {
        let plan = Plan {
            path: self.routes[route].path(self.kind),
            streams: self.streams.clone(),
        };
        let opening = Connection::open(self.shared.clone(), plan);
        let mut connection = tokio::select! {
            () = self.stop.cancelled() => return Err(ConnectionError::Ended),
            opened = opening => opened?,
        };
        let stop = CancellationToken::new();
        let told = stop.clone();
        Ok(Reading {
            id: connection.id,
            opened: Instant::now(),
            stop,
            task: tokio::task::spawn_local(async move {
                let stopped = connection.read(&told).await;
                (connection, stopped)
            }),
        })
    }

    /// Reads a connection, and those that take over from it, until there is none left: whether the last was a good one, whether it
    /// brought anything, and why it ended.
    async fn keep(&self, first: Reading, route: usize) -> (bool, bool, &'static str) {
        let mut current = first;
        let mut next: Option<(Reading, Instant)> = None;
        let mut due = current.opened + self.life();
        let mut look = tokio::time::interval(LOOK);
        let mut reopen = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.end(current, "shutdown").await;
                    if let Some((next, _)) = next {
                        self.end(next, "shutdown").await;
                    }
                    return (true, true, "shutdown");
                }
                ended = &mut current.task => {
                    let was_good = current.opened.elapsed() > GOOD;
                    let (connection, stopped) = match ended {
                        Ok(ended) => ended,
                        Err(_) => return (false, true, "disconnect"),
                    };
                    if let (Stop::Ending, None) = (&stopped, &next) {
                        // The exchange tells in time: a successor is opened, and this one read until it ends.
                        due = Instant::now();
                        current = read_on(connection, current.opened);
                        continue;
                    }
                    let has_brought = connection.has_brought();
                    let cause = match &stopped {
                        Stop::Broken(ConnectionError::Silent(_)) => "silent",
                        Stop::Told => "silent",
                        _ => "disconnect",
                    };
                    self.told_end(&connection, cause, &stopped);
                    drop(connection);
                    self.shared.recorder.borrow_mut().lost(current.id, cause);
                    match next.take() {
                        Some((successor, _)) => {
                            due = successor.opened + self.life();
                            current = successor;
                        }
                        None => return (was_good, has_brought, cause),
                    }
                }
                _ = look.tick() => {
                    if next.is_none() && Instant::now() >= due && Instant::now() >= reopen {
                        match self.open(route).await {
                            Ok(opened) => next = Some((opened, Instant::now())),
                            Err(error) => {
                                self.shared.recorder.borrow_mut().count_failed_try();
                                tracing::warn!("{error}; a connection that is due goes on for now");
                                reopen = Instant::now() + jittered(self.config.backoff);
                            }
                        }
                    }
                    let is_level = next.as_ref().is_some_and(|(next, began)| {
                        let recorder = self.shared.recorder.borrow();
                        let is_late = began.elapsed() > self.config.overlap;
                        recorder.is_taken(next.id, &self.streams)
                            && (recorder.could_lead(next.id, &self.streams) || is_late)
                    });
                    let is_broken = next.as_ref().is_some_and(|(next, began)| {
                        next.task.is_finished() || began.elapsed() > 2 * self.config.overlap
                    });
                    if is_broken && !is_level {
                        // The successor broke before it could take over, or its subscription was never taken.
                        if let Some((broken, _)) = next.take() {
                            self.end(broken, "disconnect").await;
                        }
                        reopen = Instant::now() + jittered(self.config.backoff);
                    } else if is_level && let Some((successor, _)) = next.take() {
                        self.shared.recorder.borrow_mut().promote(successor.id, "rotation");
                        due = successor.opened + self.life();
                        let before = std::mem::replace(&mut current, successor);
                        self.end(before, "rotation").await;
                    }
                    let silent = self.asks.silence(&self.streams, self.config.silent_after);
                    if silent || self.is_outdone(current.id) {
                        current.stop.cancel();
                    }
                }
            }
        }
    }

    /// Whether a connection has not brought a stream for long that another brings.
    fn is_outdone(&self, connection: i32) -> bool {
        let limit = self.config.silent_after;
        let mut recorder = self.shared.recorder.borrow_mut();
        let owed = recorder.owed(connection, &self.streams, Instant::now(), limit);
        let Some(stream) = owed.map(str::to_owned) else {
            return false;
        };
        let entry = Entry {
            stream: Some(stream),
            connection: Some(connection),
            ..Entry::default()
        };
        recorder.tell("silent", received_now().ns, entry);
        true
    }

    /// Somewhat less or more, so that not all end at once.
    fn life(&self) -> Duration {
        let share = rand::rng().random_range(0.98..=1.02);
        self.config.rotate_after.mul_f64(share)
    }

    async fn end(&self, reading: Reading, cause: &'static str) {
        reading.stop.cancel();
        if let Ok((connection, stopped)) = reading.task.await {
            self.told_end(&connection, cause, &stopped);
            connection.close().await;
        }
        self.shared.recorder.borrow_mut().lost(reading.id, cause);
    }

    fn told_end(&self, connection: &Connection, cause: &'static str, stopped: &Stop) {
        let why = match stopped {
            Stop::Broken(error) => error.to_string(),
            Stop::Ending => "the exchange ends it".to_owned(),
            Stop::Told => "ended from here".to_owned(),
        };
        if cause == "disconnect" || cause == "silent" {
            tracing::warn!(connection = connection.id, "a connection ended: {why}");
        }
        let entry = Entry {
            connection: Some(connection.id),
            cause: Some(cause),
            detail: Some(serde_json::json!({ "why": why }).to_string()),
            ..Entry::default()
        };
        let mut recorder = self.shared.recorder.borrow_mut();
        recorder.tell("connection_closed", received_now().ns, entry);
    }
}

/// Reads a connection on, that was told to end soon.
fn read_on(mut connection: Connection, opened: Instant) -> Reading {
    let stop = CancellationToken::new();
    let told = stop.clone();
    Reading {
        id: connection.id,
        opened,
        stop,
        task: tokio::task::spawn_local(async move {
            let stopped = connection.read(&told).await;
            (connection, stopped)
        }),
    }
}

/// Between half and all of a wait.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}
