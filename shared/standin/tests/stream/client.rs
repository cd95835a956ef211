//! A client that shares nothing with the stand-in, and REST by hand.

use std::io::{Read, Write};
use std::net::TcpStream as BlockingStream;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::stream::{Script, StreamOptions, Tape};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket.
pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn connect(url: &str, path: &str) -> Result<Self, Error> {
        let (socket, _) = tokio_tungstenite::connect_async(format!("{url}{path}")).await?;
        Ok(Self { socket })
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: u64, streams: &[impl AsRef<str>]) {
        let streams: Vec<&str> = streams.iter().map(AsRef::as_ref).collect();
        let asked = serde_json::json!({"method": "SUBSCRIBE", "params": streams, "id": id});
        self.send(&asked.to_string()).await;
    }

    /// The next message of any kind; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        next.expect("something comes")
    }

    /// The next text.
    pub async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// Texts until the end, and how it ended: the code of the close, or the error.
    pub async fn rest(&mut self) -> (Vec<String>, Ended) {
        let mut texts = Vec::new();
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => texts.push(text.to_string()),
                Some(Ok(Message::Close(close))) => {
                    let code = close.map_or(1005, |close| close.code.into());
                    return (texts, Ended::Close(code));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return (texts, Ended::Error(error.to_string())),
                None => return (texts, Ended::Error("nothing more".to_owned())),
            }
        }
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Close(u16),
    Error(String),
}

/// A request over REST: the status, the head and the body.
pub fn get(url: &str, path: &str) -> (u16, String, String) {
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = BlockingStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).unwrap();
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// The JSON of a request that succeeds.
pub fn get_json(url: &str, path: &str) -> Value {
    let (status, _, body) = get(url, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The stream that a message names.
pub fn stream_of(text: &str) -> &str {
    let rest = text.strip_prefix("{\"stream\":\"").expect(text);
    rest.split('"').next().unwrap()
}

/// A made-up tape of one symbol, some seconds long.
pub fn made_up(market: Market, symbol: &str, seconds: u32) -> Tape {
    Script::new(market, &[symbol], seconds).tape().unwrap()
}

/// The messages of some streams of a tape, in the order of the tape.
pub fn of_streams(tape: &Tape, names: &[&str]) -> Vec<String> {
    let frames = tape.frames.iter();
    let frames = frames.filter(|frame| names.contains(&&*frame.stream));
    frames.map(|frame| frame.json.to_string()).collect()
}

/// Options that play at once, not waiting for snapshots.
pub fn at_once(market: Market) -> StreamOptions {
    StreamOptions {
        wait_for_snapshot: false,
        ..StreamOptions::new(market).fast()
    }
}

/// The acknowledgement of a request.
pub fn ack(id: u64) -> String {
    format!(r#"{{"id":{id},"result":null}}"#)
}
