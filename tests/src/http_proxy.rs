//! A small HTTP proxy that logs what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A head of more is none.
const LARGEST_HEAD: usize = 64 << 10;

/// A proxy on 127.0.0.1: `CONNECT HOST:PORT`, and requests for whole addresses of one host a connection. Dropping it ends it.
pub struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Shared {
    /// What the header of the login has to be; anything will do where there is none.
    login: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

impl HttpProxy {
    /// Starts one that wants no login.
    ///
    /// # Panics
    ///
    /// When no port is free.
    #[track_caller]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port is free");
        let shared = Arc::new(Shared::default());
        let proxy = Self {
            address: listener.local_addr().expect("it has an address"),
            shared: shared.clone(),
            _runtime: runtime,
        };
        proxy._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, &shared).await;
                });
            }
        });
        proxy
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this header, as `Basic …`, is wanted, or none.
    pub fn want(&self, login: Option<&str>) {
        let mut wanted = self
            .shared
            .login
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *wanted = login.map(str::to_owned);
    }

    /// The first lines of the requests so far, such as `CONNECT example.org:443 HTTP/1.1`.
    pub fn asked(&self) -> Vec<String> {
        let asked = self
            .shared
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

async fn serve(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LARGEST_HEAD {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let first = text.lines().next().unwrap_or_default().to_owned();
    let login = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then_some(value)
    });
    let wanted = {
        let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(first.clone());
        let wanted = shared.login.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.clone()
    };
    if wanted.is_some() && wanted.as_deref() != login {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"here\"\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes()).await;
    }
    let mut words = first.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let host = match target.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => target,
    };
    let mut server = TcpStream::connect(host).await?;
    match method {
        "CONNECT" => {
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await?
        }
        // Servers take the whole address as well as the path.
        _ => server.write_all(&head).await?,
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
