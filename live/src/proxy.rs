//! The way through a proxy, where the environment names one: by the rules that requests over HTTP go by, and by the same code.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tower_service::Service;
use url::Url;

use crate::error::LiveError;
use crate::socket::{Carrier, encrypted};

/// A proxy that answers with more than this before the way is open is none.
const LARGEST_ANSWER: usize = 8 << 10;

/// What an answer of HTTP begins with.
const HTTP: &[u8] = b"HTTP/1.";

/// Where the status begins, and ends.
const STATUS: std::ops::Range<usize> = HTTP.len() + 2..HTTP.len() + 5;

/// A proxy in front of an address. It holds a login, and so is never told as a whole.
pub struct Proxy {
    found: Intercept,
    /// For a proxy that is spoken to over TLS itself.
    tls: Option<Arc<ClientConfig>>,
}

impl Proxy {
    /// The one that the environment names for an address: `HTTPS_PROXY` for `wss://`, `HTTP_PROXY` for `ws://`, else `ALL_PROXY`,
    /// in upper or lower case; none for hosts of `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// [`LiveError::Client`] for certificates that cannot be used.
    pub fn of(address: &Url) -> Result<Option<Self>, LiveError> {
        Self::among(&Matcher::from_system(), address)
    }

    /// As [`Self::of`], among some.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn among(proxies: &Matcher, address: &Url) -> Result<Option<Self>, LiveError> {
        let scheme = match address.scheme() {
            "wss" => "https",
            _ => "http",
        };
        let host = address.host_str().unwrap_or_default();
        let port = address.port_or_known_default().unwrap_or_default();
        let Ok(asked) = format!("{scheme}://{host}:{port}").parse::<Uri>() else {
            return Ok(None);
        };
        let Some(found) = proxies.intercept(&asked) else {
            return Ok(None);
        };
        let tls = match found.uri().scheme_str() {
            Some("https") => Some(Arc::new(tapemill_archive::tls_config()?)),
            _ => None,
        };
        Ok(Some(Self { found, tls }))
    }

    /// Its host and port, for messages.
    pub fn name(&self) -> String {
        let host = self.found.uri().host().unwrap_or_default();
        let port = self.found.uri().port_u16();
        format!("{host}:{}", port.unwrap_or(self.usual_port()))
    }

    fn usual_port(&self) -> u16 {
        match self.tls {
            Some(_) => 443,
            None => 80,
        }
    }

    /// A connection through it to a host and port.
    ///
    /// # Errors
    ///
    /// Why there is none, in one line without a secret.
    pub async fn reach(&self, target: &str) -> Result<Box<dyn Carrier>, String> {
        let name = self.name();
        let unreachable = |why: &dyn std::fmt::Display| {
            format!("the proxy {name} cannot be reached: {why}; see HTTPS_PROXY and NO_PROXY")
        };
        let stream = TcpStream::connect(&name)
            .await
            .map_err(|error| unreachable(&error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| unreachable(&error))?;
        let scheme = self.found.uri().scheme_str().unwrap_or_default();
        if scheme.starts_with("socks") {
            let stream = self.through_socks(scheme, stream, target).await;
            return stream.map_err(|why| format!("the proxy {name} opens no way: {why}"));
        }
        let mut carrier: Box<dyn Carrier> = Box::new(stream);
        if let Some(config) = &self.tls {
            let host = self.found.uri().host().unwrap_or_default();
            let secured = encrypted(config, host, carrier).await;
            carrier = secured.map_err(|error| unreachable(&error))?;
        }
        let opened = open_way(&mut carrier, target, self.found.basic_auth()).await;
        match opened {
            Ok(()) => Ok(carrier),
            Err(why) => Err(format!("the proxy {name} {why}")),
        }
    }

    async fn through_socks(
        &self,
        scheme: &str,
        stream: TcpStream,
        target: &str,
    ) -> Result<Box<dyn Carrier>, String> {
        // Without the h or a at the end names are looked up here.
        let target = match scheme {
            "socks4" | "socks5" => {
                let mut found = lookup_host(target)
                    .await
                    .map_err(|error| error.to_string())?;
                let found = found.next().ok_or("the exchange's host has no address")?;
                found.to_string()
            }
            _ => target.to_owned(),
        };
        let target: Uri = format!("https://{target}")
            .parse()
            .map_err(|_| format!("{target} is no address"))?;
        let (proxy, carried) = (
            self.found.uri().clone(),
            Carried(Some(TokioIo::new(stream))),
        );
        let stream = match scheme {
            "socks4" | "socks4a" => {
                let shaken = SocksV4::new(proxy, carried).call(target).await;
                shaken.map_err(|error| error.to_string())?
            }
            _ => {
                let mut socks = SocksV5::new(proxy, carried);
                if let Some((user, password)) = self.found.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                let shaken = socks.call(target).await;
                shaken.map_err(|error| error.to_string())?
            }
        };
        Ok(Box::new(stream.into_inner()))
    }
}

/// A connection to the proxy that is there already, as the handshake of SOCKS wants to be given one.
struct Carried(Option<TokioIo<TcpStream>>);

impl Service<Uri> for Carried {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take();
        ready(stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// Why a proxy opens no way.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "wants a login (407): put it into its address, as in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    )]
    NoLogin,
    #[error("does not take the login of its address (407): see user and password in HTTPS_PROXY")]
    WrongLogin,
    #[error("refuses the way to {target} with {status}")]
    Status { target: String, status: u16 },
    #[error("does not answer as an HTTP proxy: see its address in HTTPS_PROXY")]
    NotHttp,
    #[error("answers with more than {} KiB before the way is open", LARGEST_ANSWER >> 10)]
    TooMuch,
    #[error("ended the connection without an answer")]
    Ended,
    #[error("broke the connection: {0}")]
    Broken(#[from] io::Error),
}

/// Has a proxy open the way to a host and port: what is read and written from then on is the host's.
async fn open_way(
    proxy: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &str,
    login: Option<&HeaderValue>,
) -> Result<(), Refusal> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(login) = login {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(login.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    proxy.write_all(&request).await?;
    proxy.flush().await?;

    let mut answer = Vec::new();
    // Byte by byte, and once a connection: nothing may be taken that is the host's already.
    while !answer.ends_with(b"\r\n\r\n") && !answer.ends_with(b"\n\n") {
        if answer.len() == LARGEST_ANSWER {
            return Err(Refusal::TooMuch);
        }
        match proxy.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Refusal::Ended);
            }
            Err(error) => return Err(error.into()),
        }
        let begun = &answer[..answer.len().min(HTTP.len())];
        if !HTTP.starts_with(begun) {
            return Err(Refusal::NotHttp);
        }
        // Whatever else it says to that is of no use.
        if answer.ends_with(b"\n") && !matches!(status_of(&answer), Some(200..=299)) {
            break;
        }
    }
    match status_of(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) if login.is_some() => Err(Refusal::WrongLogin),
        Some(407) => Err(Refusal::NoLogin),
        Some(status) => Err(Refusal::Status {
            target: target.to_owned(),
            status,
        }),
        None => Err(Refusal::NotHttp),
    }
}

/// The status of an answer: three digits between blanks.
fn status_of(answer: &[u8]) -> Option<u16> {
    let is_apart = answer.get(STATUS.start - 1) == Some(&b' ')
        && matches!(answer.get(STATUS.end), Some(b' ' | b'\r' | b'\n'));
    let digits = answer.get(STATUS).filter(|_| is_apart)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
