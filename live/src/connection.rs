//! One connection: subscribes, and gives what comes to the recorder.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use tapemill_stream::{Limits, Method, subscription};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{Error as ProtocolError, Message};
use tokio_util::sync::CancellationToken;

use crate::clock::received_now;
use crate::error::ConnectionError;
use crate::recorder::{Heard, Recorder};
use crate::rows::Entry;
use crate::socket::{Address, Socket};

/// Pings are sent so often, and something has to come within three times that.
const PING: Duration = Duration::from_secs(15);

/// The longest wait for a connection that is ended from here.
const CLOSE: Duration = Duration::from_secs(2);

/// While too much is held in memory, nothing is read; looked at so often.
const FULL: Duration = Duration::from_millis(20);

/// Messages that are taken one after the other before others get their turn.
const AT_ONCE: usize = 256;

/// What connections share. All of them run on one thread.
pub struct Shared {
    /// What becomes of messages.
    pub recorder: RefCell<Recorder>,
    /// Where sockets are opened.
    pub address: Address,
    /// What the market takes.
    pub limits: Limits,
    /// Bytes of rows that may be held.
    pub max_buffer: usize,
    /// Numbers connections.
    pub next_connection: RefCell<i32>,
    /// Bytes that came.
    pub bytes: RefCell<u64>,
    /// Connections that are open.
    pub open: RefCell<usize>,
}

impl Shared {
    fn is_full(&self) -> bool {
        self.recorder.borrow().held().1 > self.max_buffer
    }
}

/// Streams that go by one connection.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The path below the address.
    pub path: &'static str,
    /// The streams' names.
    pub streams: Vec<String>,
}

/// An open connection.
pub struct Connection {
    /// Its number in the session.
    pub id: i32,
    shared: Rc<Shared>,
    plan: Plan,
    socket: Socket,
    /// Subscriptions that the exchange has not answered.
    unanswered: usize,
    /// Whether anything of a stream came.
    has_brought: bool,
    /// The exchange will end it.
    is_ending: bool,
}

/// Why a connection is no longer read.
#[derive(Debug)]
pub enum Stop {
    /// It broke.
    Broken(ConnectionError),
    /// The exchange will end it soon.
    Ending,
    /// It was told to.
    Told,
}

impl Connection {
    /// Connects and subscribes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] of the handshake, or of the first messages.
    pub async fn open(shared: Rc<Shared>, plan: Plan) -> Result<Self, ConnectionError> {
        let socket = shared.address.open(plan.path).await?;
        let id = {
            let mut next = shared.next_connection.borrow_mut();
            *next += 1;
            *next
        };
        *shared.open.borrow_mut() += 1;
        let mut connection = Self {
            id,
            shared,
            plan,
            socket,
            unanswered: 0,
            has_brought: false,
            is_ending: false,
        };
        connection.subscribe().await?;
        Ok(connection)
    }

    async fn subscribe(&mut self) -> Result<(), ConnectionError> {
        let limits = self.shared.limits;
        let pause = Duration::from_secs(1) / limits.messages_a_second;
        let received = received_now();
        let detail =
            serde_json::json!({"path": self.plan.path, "streams": self.plan.streams.len()});
        {
            let mut recorder = self.shared.recorder.borrow_mut();
            let entry = Entry {
                connection: Some(self.id),
                detail: Some(detail.to_string()),
                ..Entry::default()
            };
            recorder.tell("connection_opened", received.ns, entry);
            recorder.subscribed(&self.plan.streams, received);
        }
        for (number, names) in self.plan.streams.clone().chunks(limits.names).enumerate() {
            if number > 0 {
                sleep(pause).await;
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let text = subscription(Method::Subscribe, number as u64 + 1, &names);
            self.unanswered += 1;
            let sent = self.socket.send(Message::text(text)).await;
            sent.map_err(|error| ConnectionError::Broken(error.to_string()))?;
        }
        Ok(())
    }

    /// Whether anything of a stream came.
    pub fn has_brought(&self) -> bool {
        self.has_brought
    }

    /// Reads until the connection breaks, is about to be ended by the exchange, or is told to stop. May be called again.
    pub async fn read(&mut self, stop: &CancellationToken) -> Stop {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            if self.shared.is_full() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Stop::Told,
                    () = sleep(FULL) => {}
                }
                heard = Instant::now();
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Stop::Told,
                _ = pings.tick() => {
                    if heard.elapsed() > 3 * PING {
                        return Stop::Broken(ConnectionError::Silent(heard.elapsed()));
                    }
                    if let Err(error) = self.socket.send(Message::Ping(Default::default())).await {
                        return Stop::Broken(ConnectionError::Broken(error.to_string()));
                    }
                }
                message = self.socket.next() => {
                    heard = Instant::now();
                    if let Some(stopped) = self.take(message) {
                        return stopped;
                    }
                    // What came with it need not be waited for.
                    for _ in 0..AT_ONCE {
                        let Some(message) = futures::FutureExt::now_or_never(self.socket.next()) else {
                            break;
                        };
                        if let Some(stopped) = self.take(message) {
                            return stopped;
                        }
                    }
                    if self.is_ending {
                        self.is_ending = false;
                        return Stop::Ending;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn take(&mut self, message: Option<Result<Message, ProtocolError>>) -> Option<Stop> {
        let broken = |why: String| Some(Stop::Broken(ConnectionError::Broken(why)));
        match message {
            Some(Ok(Message::Text(text))) => {
                *self.shared.bytes.borrow_mut() += text.len() as u64;
                let mut recorder = self.shared.recorder.borrow_mut();
                match recorder.hear(self.id, text.as_str(), received_now()) {
                    Heard::Message => self.has_brought = true,
                    Heard::Refused(why) => {
                        let why = format!("it refused a subscription: {why}");
                        return Some(Stop::Broken(ConnectionError::Closed(why)));
                    }
                    Heard::Ending => self.is_ending = true,
                    Heard::Taken(_) => {
                        self.unanswered = self.unanswered.saturating_sub(1);
                        if self.unanswered == 0 {
                            recorder.taken(self.id, &self.plan.streams, Instant::now());
                        }
                    }
                    Heard::Malformed => {}
                }
                None
            }
            Some(Ok(Message::Close(frame))) => {
                let why = frame.map_or_else(
                    || "without a reason".to_owned(),
                    |frame| format!("{} {}", u16::from(frame.code), frame.reason),
                );
                Some(Stop::Broken(ConnectionError::Closed(why)))
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => broken(error.to_string()),
            None => broken("the connection ended".to_owned()),
        }
    }

    /// Ends the connection in an orderly way, if that is quick.
    pub async fn close(mut self) {
        let _ = timeout(CLOSE, self.socket.close(None)).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        *self.shared.open.borrow_mut() -= 1;
    }
}
