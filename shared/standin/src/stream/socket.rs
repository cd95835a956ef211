//! Sockets: one address for REST and WebSockets, one task a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::connection::{Connection, Ending};
use super::handshake::{self, Wanted};
use super::log::Happened;
use super::stage::Stage;
use super::{ask, wire};

/// No request is longer.
const LONGEST_HEAD: usize = 16 << 10;

/// A client that ends nothing is left after so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client's connects are counted over so long.
const CONNECTS_WITHIN: Duration = Duration::from_secs(300);

/// Bytes that are not for a WebSocket, for the server of REST.
pub(super) struct RestListener {
    address: SocketAddr,
    sockets: mpsc::Receiver<(TcpStream, SocketAddr)>,
}

impl axum::serve::Listener for RestListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.sockets.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Takes connections: WebSockets are served here, what else comes is for the listener that comes back.
pub(super) fn listen(
    listener: TcpListener,
    stage: Arc<Stage>,
    address: SocketAddr,
) -> RestListener {
    let (others, sockets) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((socket, from)) => {
                    let (stage, others) = (Arc::clone(&stage), others.clone());
                    tokio::spawn(async move {
                        if let Err(error) = sort(socket, from, stage, others).await {
                            tracing::debug!(%error, "a client of the stand-in went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the stand-in cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    RestListener { address, sockets }
}

/// Looks at the first request of a socket without taking it, and gives the socket to whom it is for.
async fn sort(
    mut socket: TcpStream,
    from: SocketAddr,
    stage: Arc<Stage>,
    others: mpsc::Sender<(TcpStream, SocketAddr)>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut seen = vec![0; LONGEST_HEAD];
    let length = loop {
        let length = socket.peek(&mut seen).await?;
        let end = seen[..length].windows(4).position(|at| at == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None if length == 0 || length == seen.len() => return Ok(()),
            // The rest is on its way; a peek would come back at once.
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let head = String::from_utf8_lossy(&seen[..length]).into_owned();
    if !handshake::is_upgrade(&head) {
        let _ = others.send((socket, from)).await;
        return Ok(());
    }
    socket.read_exact(&mut seen[..length]).await?;
    match open(&stage, handshake::wanted(&head)) {
        Ok((id, accepted)) => {
            socket.write_all(accepted.as_bytes()).await?;
            Socket::new(socket, id, Arc::clone(&stage)).run().await;
        }
        Err(refused) => {
            socket.write_all(refused.as_bytes()).await?;
            socket.shutdown().await?;
        }
    }
    Ok(())
}

/// Lets a client in, or says why not.
fn open(stage: &Stage, wanted: Option<Wanted>) -> Result<(u32, String), String> {
    let mut player = stage.player();
    let now = Instant::now();
    let refusal = player.refusals.handshakes.pop_front();
    let place = wanted
        .as_ref()
        .and_then(|wanted| handshake::place(&wanted.path, player.options.routing));
    let connects = player.connects_within(now, CONNECTS_WITHIN);
    let refusal = match (refusal, &wanted, &place) {
        (Some(refusal), ..) => Some(refusal),
        _ if connects > player.options.limits.connects => Some((429, Some(300))),
        (None, None, _) => Some((400, None)),
        (None, _, None) => Some((404, None)),
        _ => None,
    };
    let (Some(wanted), Some(place), None) = (wanted, place, refusal) else {
        let (status, retry_after) = refusal.unwrap_or((400, None));
        player.note(None, Happened::Refused { status });
        return Err(handshake::refused(status, retry_after));
    };
    let id = player.opened;
    player.opened += 1;
    let mut connection = Connection::new(place.delivers, place.is_raw);
    connection.close_at = now.checked_add(player.options.limits.life);
    player.connections.insert(id, connection);
    let accepted = handshake::accepted(&wanted);
    let path = wanted.path;
    player.note(Some(id), Happened::Opened { path });
    if !place.streams.is_empty() {
        ask::subscribe(&mut player, id, &place.streams, None);
        stage.pump.notify_one();
    }
    Ok((id, accepted))
}

/// A WebSocket that is open.
struct Socket {
    socket: TcpStream,
    id: u32,
    stage: Arc<Stage>,
    came: Vec<u8>,
    /// A message whose end has not come.
    part: Vec<u8>,
    writing: Vec<u8>,
    written: usize,
    /// The client's messages of the last second.
    messages: VecDeque<Instant>,
    ping_at: Instant,
    /// When a ping went out that has no pong.
    pinged: Option<Instant>,
}

/// Why nothing more comes of a socket.
type Over = String;

impl Socket {
    fn new(socket: TcpStream, id: u32, stage: Arc<Stage>) -> Self {
        let ping_at = Instant::now() + stage.player().options.limits.ping_every;
        Self {
            socket,
            id,
            stage,
            came: Vec::new(),
            part: Vec::new(),
            writing: Vec::new(),
            written: 0,
            messages: VecDeque::new(),
            ping_at,
            pinged: None,
        }
    }

    async fn run(mut self) {
        let wake = match self.stage.player().connections.get(&self.id) {
            Some(connection) => Arc::clone(&connection.wake),
            None => return,
        };
        let why = loop {
            let (until, is_stalled) = match self.turn() {
                Ok(turn) => turn,
                Err(over) => break over,
            };
            let has_more = !is_stalled && self.written < self.writing.len();
            let done = tokio::select! {
                ready = self.socket.readable() => ready.map_err(|error| error.to_string()).and_then(|()| self.read()),
                ready = self.socket.writable(), if has_more => ready.map_err(|error| error.to_string()),
                () = wake.notified(), if !has_more => Ok(()),
                () = tokio::time::sleep_until(until.into()) => Ok(()),
            };
            if let Err(over) = done {
                break over;
            }
        };
        self.leave(why).await;
    }

    /// Does what can be done now. Comes back with when to look again, and whether nothing may be written until then.
    fn turn(&mut self) -> Result<(Instant, bool), Over> {
        let now = Instant::now();
        let stage = Arc::clone(&self.stage);
        let (limits, until, is_stalled) = {
            let mut player = stage.player();
            let limits = player.options.limits;
            let Some(connection) = player.connections.get_mut(&self.id) else {
                return Err("forgotten".to_owned());
            };
            if connection.close_at.is_some_and(|at| at <= now) {
                connection.close(1001, "its time is over");
            }
            if self.pinged.is_some_and(|at| at + limits.pong_due <= now) {
                connection.close(1008, "Pong timeout");
            }
            if self.ping_at <= now && connection.is_open() {
                connection.put(|out| wire::message(out, wire::PING, b"1770000000000"));
                self.ping_at = now + limits.ping_every;
                self.pinged.get_or_insert(now);
            }
            if let Some((Ending::Reset, _)) = connection.ending {
                return Err("reset".to_owned());
            }
            if connection.stalled_until.is_some_and(|until| until <= now) {
                connection.stalled_until = None;
            }
            let stalled_until = connection.stalled_until;
            if self.written == self.writing.len() && stalled_until.is_none() {
                self.writing.clear();
                self.written = 0;
                std::mem::swap(&mut self.writing, &mut connection.outbox);
                if self.writing.is_empty() && connection.ending.is_some() {
                    return Err("ended".to_owned());
                }
            }
            let close_at = connection.close_at.filter(|_| connection.is_open());
            (
                limits,
                close_at.into_iter().chain(stalled_until).min(),
                stalled_until.is_some(),
            )
        };
        if !is_stalled {
            self.write()?;
        }
        let pong_at = self.pinged.map(|at| at + limits.pong_due);
        let times = [Some(self.ping_at), pong_at, until];
        let until = times.into_iter().flatten().min().unwrap_or(self.ping_at);
        Ok((until.max(now), is_stalled))
    }

    fn write(&mut self) -> Result<(), Over> {
        let before = self.written;
        let mut result = Ok(());
        while self.written < self.writing.len() {
            match self.socket.try_write(&self.writing[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    result = Err(error.to_string());
                    break;
                }
            }
        }
        let bytes = self.written - before;
        if bytes > 0 {
            let is_waited_for = self.stage.player().wrote(self.id, bytes);
            if is_waited_for {
                self.stage.pump.notify_one();
            }
            if self.written == self.writing.len() {
                // What came into the outbox meanwhile is looked at in the next turn.
                let player = self.stage.player();
                if let Some(connection) = player.connections.get(&self.id)
                    && (!connection.outbox.is_empty() || !connection.is_open())
                {
                    connection.wake.notify_one();
                }
            }
        }
        result
    }

    fn read(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 16 << 10];
        match self.socket.try_read(&mut buffer) {
            Ok(0) => return Err("the client went away".to_owned()),
            Ok(bytes) => self.came.extend(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        loop {
            match wire::take(&mut self.came) {
                Ok(Some(received)) => self.hear(received)?,
                Ok(None) => return Ok(()),
                Err(why) => {
                    let stage = Arc::clone(&self.stage);
                    if let Some(connection) = stage.player().connections.get_mut(&self.id) {
                        connection.close(1002, why);
                    }
                    self.came.clear();
                    return Ok(());
                }
            }
        }
    }

    fn hear(&mut self, received: wire::Received) -> Result<(), Over> {
        let now = Instant::now();
        let stage = Arc::clone(&self.stage);
        let mut player = stage.player();
        let limits = player.options.limits;
        let Some(connection) = player.connections.get_mut(&self.id) else {
            return Err("forgotten".to_owned());
        };
        let is_ping = matches!(received.opcode, wire::PING | wire::PONG);
        if !is_ping || limits.pings_count {
            let second = Duration::from_secs(1);
            while self
                .messages
                .pop_front_if(|at| *at + second <= now)
                .is_some()
            {}
            self.messages.push_back(now);
            if self.messages.len() > limits.messages_per_second {
                connection.close(1008, "Too many requests");
            }
        }
        match received.opcode {
            wire::PING => {
                connection.put(|out| wire::message(out, wire::PONG, &received.payload));
                connection.wake.notify_one();
            }
            wire::PONG => self.pinged = None,
            wire::CLOSE => {
                let code = received.payload.first_chunk::<2>();
                let code = code.map_or(1000, |code| u16::from_be_bytes(*code));
                connection.close(code, "as the client did");
            }
            wire::TEXT | wire::CONTINUATION => {
                self.part.extend(received.payload);
                if received.is_last && connection.is_open() {
                    let market = stage.reel.market;
                    ask::answer(&mut player, self.id, market, &self.part);
                    stage.pump.notify_one();
                }
                if received.is_last {
                    self.part.clear();
                }
            }
            _ => connection.close(1003, "only text is understood"),
        }
        Ok(())
    }

    async fn leave(mut self, why: Over) {
        let ending = {
            let mut player = self.stage.player();
            let connection = player.connections.get(&self.id);
            let ending = connection.and_then(|connection| connection.ending.as_ref());
            let ending = ending.map(|(ending, _)| *ending);
            player.closed(self.id, why);
            ending
        };
        self.stage.pump.notify_one();
        match ending {
            Some(Ending::Shut) => {
                // Closing with unread bytes would reset what the client has not read yet.
                let _ = self.socket.shutdown().await;
                let mut buffer = [0; 1024];
                let rest =
                    async { while self.socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
                let _ = tokio::time::timeout(PATIENCE, rest).await;
            }
            _ => {
                let _ = self.socket.set_zero_linger();
            }
        }
    }
}
