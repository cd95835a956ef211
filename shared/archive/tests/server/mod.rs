//! A server whose every answer a test writes by hand: cuts, stalls and lies included.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tapemill_archive::{Brake, HttpOptions, HttpSource, RetryPolicy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path without the query, still encoded.
    pub path: String,
    /// The query, decoded.
    pub query: HashMap<String, String>,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte of a `Range: bytes=N-`.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.split_once('-')?.0.parse().ok()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// What happens after the last byte of an answer.
#[derive(Clone, Copy, PartialEq)]
enum After {
    KeepOpen,
    Cut,
    Stall,
}

/// An answer, byte by byte.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    declared: Option<usize>,
    body: Vec<u8>,
    after: After,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            declared: None,
            body: Vec::new(),
            after: After::KeepOpen,
        }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The body, with its length declared.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.declared = Some(self.body.len());
        self
    }

    /// Chunked, so without a declared length.
    pub fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        self.body = format!("{:x}\r\n", body.len()).into_bytes();
        self.body.extend_from_slice(body);
        self.body.extend_from_slice(b"\r\n0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// Sends only the first bytes of the body, then closes.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        if bytes < self.body.len() {
            self.body.truncate(bytes);
            self.after = After::Cut;
        }
        self
    }

    /// Sends only the first bytes of the body, then nothing.
    pub fn stall_after(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self.after = After::Stall;
        self
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let chunked = self
            .headers
            .iter()
            .any(|(name, _)| name == "Transfer-Encoding");
        if !chunked {
            text += &format!("Content-Length: {}\r\n", self.declared.unwrap_or(0));
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Serves `file` as a good server does, ranges and `If-Range` included.
pub fn serve(request: &Request, file: &[u8], etag: &str) -> Reply {
    let whole = || {
        Reply::new(200)
            .header("ETag", etag)
            .header("Accept-Ranges", "bytes")
            .body(file)
    };
    let Some(start) = request.range_start() else {
        return whole();
    };
    if request.header("if-range").is_some_and(|tag| tag != etag) {
        return whole();
    }
    if start >= file.len() {
        return Reply::new(416).header("Content-Range", format!("bytes */{}", file.len()));
    }
    let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
    Reply::new(206)
        .header("ETag", etag)
        .header("Content-Range", range)
        .body(&file[start..])
}

/// A running server; ends with the value.
pub struct Server {
    pub base: String,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request with what `script` gives for it and its number, from 0.
    pub async fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let (seen_by_all, opened) = (seen.clone(), connections.clone());
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *opened.lock().unwrap() += 1;
                let (script, seen) = (script.clone(), seen_by_all.clone());
                serving.spawn(async move {
                    connection(stream, &*script, &seen).await;
                });
            }
        });
        Self {
            base,
            seen,
            connections,
            _tasks: tasks,
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    pub fn options(&self) -> HttpOptions {
        HttpOptions {
            retry: quick(),
            ..HttpOptions::new(&self.base, Arc::new(Brake::new()))
        }
    }

    pub fn source(&self) -> HttpSource {
        HttpSource::new(self.options()).unwrap()
    }
}

/// The usual budget with waits of a millisecond.
pub fn quick() -> RetryPolicy {
    RetryPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(2),
        ..RetryPolicy::default()
    }
}

/// Bytes that differ from place to place.
pub fn noise(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

async fn connection(
    mut stream: TcpStream,
    script: &(impl Fn(usize, &Request) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let reply = script(number, &request);
        if stream
            .write_all(&reply.bytes(&request.method))
            .await
            .is_err()
        {
            return;
        }
        match reply.after {
            After::KeepOpen => {}
            After::Cut => return,
            After::Stall => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let headers = lines.filter_map(|line| line.split_once(": "));
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap().to_owned();
            out.push(u8::from_str_radix(&digits, 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}
