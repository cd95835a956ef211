//! A WebSocket to an address, over TLS or, on loopback, without, and through a proxy where the environment names one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as ProtocolError, http::header::RETRY_AFTER};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use crate::error::{ConnectionError, LiveError};
use crate::proxy::Proxy;

/// A message of more is none of the exchange's.
const LARGEST_MESSAGE: usize = 8 << 20;

/// The longest until there is a connection and its handshake is done.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A wait that claims to be longer is not believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 86_400);

/// What carries a WebSocket.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// An open WebSocket.
pub type Socket = WebSocketStream<Box<dyn Carrier>>;

/// Opens sockets below one address.
#[derive(Clone)]
pub struct Address {
    base: Url,
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<Arc<Proxy>>,
}

impl Address {
    /// `wss://host[:port]`, or `ws://` for a stand-in on this machine.
    ///
    /// # Errors
    ///
    /// [`LiveError::Settings`] for another scheme, [`LiveError::Client`] for certificates that cannot be used.
    pub fn parse(base: &str) -> Result<Self, LiveError> {
        let unfit = |why: &str| LiveError::Settings(format!("--ws {base:?} {why}"));
        let url = Url::parse(base).map_err(|error| unfit(&format!("is no address: {error}")))?;
        let tls = match url.scheme() {
            "wss" => Some(Arc::new(tapemill_archive::tls_config()?)),
            "ws" => None,
            _ => return Err(unfit("is neither wss:// nor ws://")),
        };
        let proxy = Proxy::of(&url)?.map(Arc::new);
        Ok(Self {
            base: url,
            tls,
            proxy,
        })
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }

    /// Host and port of the proxy that leads there, for messages.
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| proxy.name())
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`], in time.
    pub async fn open(&self, path: &str) -> Result<Socket, ConnectionError> {
        self.open_within(path, CONNECT_TIMEOUT).await
    }

    async fn open_within(&self, path: &str, limit: Duration) -> Result<Socket, ConnectionError> {
        let opened = timeout(limit, self.open_at_length(path)).await;
        opened.unwrap_or_else(|_| {
            let through = self.proxy();
            let through =
                through.map_or_else(String::new, |name| format!(" through the proxy {name}"));
            Err(ConnectionError::Connect {
                host: self.host(),
                why: format!("no handshake within {} s{through}", limit.as_secs()),
            })
        })
    }

    async fn open_at_length(&self, path: &str) -> Result<Socket, ConnectionError> {
        let host = self.host();
        let failed = |error: &dyn std::fmt::Display| ConnectionError::Connect {
            host: host.clone(),
            why: error.to_string(),
        };
        let reached = match &self.proxy {
            None => connected(&host).await.map_err(|error| failed(&error)),
            Some(proxy) => proxy.reach(&host).await.map_err(|why| failed(&why)),
        };
        let carrier: Box<dyn Carrier> = match &self.tls {
            None => reached?,
            Some(config) => {
                let name = self.base.host_str().unwrap_or_default();
                let secured = encrypted(config, name, reached?).await;
                secured.map_err(|error| failed(&error))?
            }
        };
        let mut url = self.base.clone();
        url.set_path(path);
        let request = url
            .as_str()
            .into_client_request()
            .map_err(|error| failed(&error))?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        match client_async_with_config(request, carrier, Some(limits)).await {
            Ok((socket, _)) => Ok(socket),
            Err(ProtocolError::Http(answer)) => {
                let wait = answer.headers().get(RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
                Err(ConnectionError::Refused {
                    status: answer.status().as_u16(),
                    wait: wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
                    host,
                })
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

async fn connected(host: &str) -> io::Result<Box<dyn Carrier>> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// TLS over a connection to a host.
///
/// # Errors
///
/// A name that is none, a certificate that is not trusted, a connection that broke.
pub async fn encrypted(
    config: &Arc<ClientConfig>,
    host: &str,
    carrier: Box<dyn Carrier>,
) -> io::Result<Box<dyn Carrier>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(config.clone());
    Ok(Box::new(connector.connect(name, carrier).await?))
}

#[cfg(test)]
mod tests {
    use hyper_util::client::proxy::matcher::Matcher;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_proxy_that_never_answers_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let proxies = Matcher::builder()
            .all(format!("http://me:s3cret@{name}"))
            .build();
        let base = Url::parse("ws://exchange.example").unwrap();
        let address = Address {
            proxy: Proxy::among(&proxies, &base).unwrap().map(Arc::new),
            tls: None,
            base,
        };

        let opened = address.open_within("/ws", Duration::from_secs(1)).await;

        assert_eq!(
            opened.err().expect("it never answers").to_string(),
            format!(
                "cannot connect to exchange.example:80: no handshake within 1 s through the proxy {name}"
            )
        );
    }

    #[test]
    fn an_address_is_of_a_websocket() {
        for (base, says) in [
            ("https://fstream.binance.com", "is neither wss:// nor ws://"),
            ("nonsense", "is no address"),
            ("ws:", "is no address"),
        ] {
            let error = Address::parse(base)
                .err()
                .expect("it is refused")
                .to_string();
            assert!(error.contains(says), "{error}");
        }
        let address = Address::parse("wss://stream.binance.com:9443").unwrap();
        assert_eq!(address.host(), "stream.binance.com:9443");
        assert_eq!(
            Address::parse("wss://fstream.binance.com").unwrap().host(),
            "fstream.binance.com:443"
        );
    }
}
