//! The network between two processes, in the hands of a test.

mod link;
mod rules;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{Port, until};
use link::Link;
use rules::Rules;

/// A TCP proxy on 127.0.0.1 in front of a server of this machine. It passes everything on until it is told otherwise.
///
/// Where the server refuses a connection, the proxy resets it. Dropping it resets what is open.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: Port,
    target: u16,
}

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both sides are told (RST).
    Reset,
    /// Nobody is told: both sides stay open, and whatever they send is swallowed.
    Silent,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Rules,
    links: Mutex<Vec<Arc<Link>>>,
    accepted: AtomicU64,
}

impl Proxy {
    /// Starts before a port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When no port is free.
    #[track_caller]
    pub fn before(target: u16) -> Self {
        let port = Port::reserve();
        let proxy = Self {
            shared: Arc::default(),
            port,
            target,
        };
        let (shared, number) = (proxy.shared.clone(), proxy.port());
        let listener = TcpListener::bind(here(number)).expect("a reserved port is free");
        thread::spawn(move || shared.listen(listener, number, target));
        proxy
    }

    /// The proxy's own port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// A URL of the server, led through the proxy.
    #[track_caller]
    pub fn instead_of(&self, url: &str) -> String {
        let address = format!("127.0.0.1:{}", self.target);
        assert!(url.contains(&address), "{url} does not name {address}");
        url.replace(&address, &format!("127.0.0.1:{}", self.port()))
    }

    /// Ends the connections that are open; new ones are served.
    #[track_caller]
    pub fn cut(&self, how: Cut) {
        match how {
            Cut::Silent => self.links().iter().for_each(|link| link.silence()),
            Cut::Reset => self.reset(),
        }
    }

    /// Holds back everything, both ways, until [`Self::heal`]; connections stay, new ones are taken, no byte is lost.
    pub fn hold(&self) {
        self.shared.rules.change(|rules| rules.held = true);
    }

    /// Refuses new connections until [`Self::heal`]; those that are open stay.
    #[track_caller]
    pub fn refuse(&self) {
        self.shared.rules.change(|rules| rules.refusing = true);
        until("nobody listens", || {
            // A connection wakes the listener up, which then goes.
            TcpStream::connect_timeout(&here(self.port()), Duration::from_secs(1)).is_err()
        });
    }

    /// Delays every byte that goes this way.
    pub fn delay(&self, way: Way, latency: Duration) {
        self.shared
            .rules
            .change(|rules| rules.lane(way).latency = latency);
    }

    /// Lets so many bytes a second pass this way, for all connections together.
    pub fn throttle(&self, way: Way, bytes_per_second: u64) {
        self.shared
            .rules
            .change(|rules| rules.lane(way).rate = Some(bytes_per_second));
    }

    /// Ends everything but [`Cut::Silent`], which nothing brings back.
    #[track_caller]
    pub fn heal(&self) {
        if self.shared.rules.heal() {
            until("somebody listens", || {
                TcpStream::connect(here(self.port())).is_ok()
            });
        }
    }

    /// Connections that are open, silenced ones included.
    pub fn connections(&self) -> usize {
        self.links().len()
    }

    /// Connections taken so far, those of [`Self::refuse`] and [`Self::heal`] themselves included.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        let links = std::mem::take(&mut *self.links());
        links.iter().for_each(|link| link.kill());
        self.shared.rules.wake();
        for link in links {
            until("a connection's threads let it go", || {
                Arc::strong_count(&link) == 1
            });
        }
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Link>>> {
        self.shared.links()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.rules.change(|rules| rules.closed = true);
        // Wakes the listener up; it may be gone already.
        let _ = TcpStream::connect_timeout(&here(self.port()), Duration::from_secs(1));
        self.reset();
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: TcpListener, number: u16, target: u16) {
        let mut listener = Some(listener);
        while self.rules.serves(|| listener = None) {
            let listening = match &listener {
                Some(listening) => listening,
                None => listener.insert(TcpListener::bind(here(number)).expect("it was ours")),
            };
            let Ok((client, _)) = listening.accept() else {
                continue;
            };
            self.accepted.fetch_add(1, Ordering::Relaxed);
            if !self.rules.refuses() {
                self.connect(client, target);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream, target: u16) {
        let Ok(server) = TcpStream::connect(here(target)) else {
            link::reset(&client);
            return;
        };
        let Ok(link) = Link::new(client, server) else {
            return;
        };
        let link = Arc::new(link);
        self.links().push(link.clone());
        for way in [Way::Up, Way::Down] {
            let (shared, link) = (self.clone(), link.clone());
            thread::spawn(move || {
                link::pump(&link, way, &shared.rules);
                if link.has_ended() {
                    shared.links().retain(|other| !Arc::ptr_eq(other, &link));
                }
            });
        }
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
