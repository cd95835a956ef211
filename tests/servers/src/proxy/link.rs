//! One connection through the proxy.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Way, rules::Rules};

/// How much is read at once, and how many such pieces may be under way.
const PIECE: usize = 16 << 10;
const PIECES: usize = 64;

/// How soon a writer whose reader does not read notices that its connection was given up.
const LOOKS_UP: Duration = Duration::from_millis(50);

/// Two sockets, one to the client and one to the server.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Given up: it is reset as soon as its threads are gone.
    dead: AtomicBool,
    silent: AtomicBool,
    ended_ways: AtomicUsize,
}

/// A piece and when it arrived; `None`: the end.
type Piece = (Instant, Option<Vec<u8>>);

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> io::Result<Self> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(LOOKS_UP))?;
        }
        Ok(Self {
            client,
            server,
            dead: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            ended_ways: AtomicUsize::new(0),
        })
    }

    /// Swallows everything from now on.
    pub(super) fn silence(&self) {
        self.silent.store(true, SeqCst);
    }

    /// Has both sockets reset once they are let go.
    pub(super) fn kill(&self) {
        self.dead.store(true, SeqCst);
        for socket in [&self.client, &self.server] {
            reset(socket);
            // Ends a read that waits, and tells the other side nothing.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended_ways.load(SeqCst) == 2
    }

    fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// Where bytes come from, and where they go.
    fn sockets(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::Up => (&self.client, &self.server),
            Way::Down => (&self.server, &self.client),
        }
    }
}

/// Has a socket end with a RST when it is closed.
pub(super) fn reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Carries one way to its end. Reading runs ahead of writing, so that a delay does not slow a stream down.
pub(super) fn pump(link: &Link, way: Way, rules: &Rules) {
    let (send, receive) = sync_channel(PIECES);
    thread::scope(|scope| {
        scope.spawn(|| read(link, way, send));
        write(link, way, rules, receive);
    });
    link.ended_ways.fetch_add(1, SeqCst);
}

fn read(link: &Link, way: Way, pieces: SyncSender<Piece>) {
    let (mut from, _) = link.sockets(way);
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => None,
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // One side was reset, so the other is.
            Err(_) => {
                if !link.silent.load(SeqCst) {
                    link.kill();
                }
                None
            }
        };
        let ended = piece.is_none();
        if pieces.send((Instant::now(), piece)).is_err() || ended {
            return;
        }
    }
}

fn write(link: &Link, way: Way, rules: &Rules, pieces: Receiver<Piece>) {
    let (_, to) = link.sockets(way);
    for (arrived, piece) in pieces {
        let bytes = piece.as_ref().map_or(0, Vec::len);
        if !rules.pass(way, arrived, bytes, || link.is_dead()) {
            return;
        }
        if link.silent.load(SeqCst) {
            continue;
        }
        let written = match piece {
            Some(piece) => write_all(link, to, &piece),
            None => to.shutdown(Shutdown::Write),
        };
        if written.is_err() {
            link.kill();
            rules.wake();
            return;
        }
    }
}

fn write_all(link: &Link, mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                    if !link.is_dead() => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}
