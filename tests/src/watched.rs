//! A command that serves its health and metrics, and is read while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use tapemill_test_servers::until;

use crate::{Finished, Running, Tapemill};

/// Longer than any answer takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A running command with `--listen`. Dropping it kills it.
pub struct Watched {
    /// The process.
    pub process: Running,
    address: String,
    folder: TempDir,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Watched {
    /// Starts a command on a port of its own choice, and waits until it says which.
    #[track_caller]
    pub fn start(command: Tapemill) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = File::create(folder.path().join("stderr")).expect("a file can be made");
        let process = command
            .args(["--listen", "127.0.0.1:0"])
            .spawn_with_stderr(log);
        let mut watched = Self {
            process,
            address: String::new(),
            folder,
        };
        until("it says where it listens", || {
            let log = watched.log();
            assert!(watched.process.is_running(), "it ended:\n{log}");
            let said = log.lines().find_map(|line| {
                let (_, address) = line.split_once("listening on http://")?;
                let end = address.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
                Some(address[..end.unwrap_or(address.len())].to_owned())
            });
            watched.address = said.unwrap_or_default();
            !watched.address.is_empty()
        });
        watched
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it said on stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// How often something stands in its log.
    pub fn said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// Asks for a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        answer(self.ask(path))
    }

    /// Sends a body, with more headers.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = self.send(&format!("{request}\r\n"));
        // A server that refuses need not read it.
        let _ = stream.write_all(body.as_bytes());
        answer(stream)
    }

    /// Asks for a JSON document.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
    }

    /// Opens a stream of events; each item is one event's data.
    #[track_caller]
    pub fn events(&self, path: &str) -> impl Iterator<Item = Value> + use<> {
        let lines = BufReader::new(self.ask(path)).lines();
        lines.map_while(Result::ok).filter_map(|line| {
            let data = line.strip_prefix("data: ")?;
            Some(serde_json::from_str(data).expect("an event is JSON"))
        })
    }

    /// One value of `/metrics`, by its name and labels as they stand there. A name alone is the sum over its labels.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").body;
        let values = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let is_of_it = name == series || name.split('{').next() == Some(series);
            is_of_it.then(|| value.parse::<f64>().expect("a number"))
        });
        let values: Vec<f64> = values.collect();
        assert!(!values.is_empty(), "no {series} in\n{text}");
        values.into_iter().sum()
    }

    /// The names of our metrics and their labels; a histogram is one. No symbol may be among them.
    #[track_caller]
    pub fn families(&self) -> BTreeMap<String, BTreeSet<String>> {
        let text = self.get("/metrics").body;
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
        assert!(!text.contains("BTCUSDT"), "a symbol is a label:\n{text}");
        let mut families = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("tapemill_")) {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            let labels = labels.split("\",").filter_map(|label| {
                let (label, _) = label.split_once("=\"")?;
                (label != "le").then(|| label.to_owned())
            });
            let family: &mut BTreeSet<_> = families.entry(name.to_owned()).or_default();
            family.extend(labels);
        }
        families
    }

    /// Waits for its end; its stderr is kept.
    pub fn wait(self) -> Finished {
        let mut finished = self.process.wait();
        finished.stderr =
            fs::read_to_string(self.folder.path().join("stderr")).expect("it can be read");
        finished
    }

    fn ask(&self, path: &str) -> TcpStream {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        ))
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .expect("a timeout can be set");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }
}

#[track_caller]
fn answer(mut stream: TcpStream) -> Reply {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer comes");
    let (head, body) = text.split_once("\r\n\r\n").expect("it has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Reply {
        status: status.expect("it has a status"),
        head: head.to_owned(),
        body: match head.contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        },
    }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        text.push_str(&rest[..size]);
        body = &rest[(size + 2).min(rest.len())..];
    }
    text
}

/// What Prometheus's own linter says of metrics: nothing, when they are as they should be.
///
/// # Panics
///
/// When `promtool` is not there: it comes with Debian's `prometheus`.
#[track_caller]
pub fn promtool(metrics: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: install Debian's prometheus");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let said = child.wait_with_output().expect("it ends");
    let mut text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&said.stderr));
    if !said.status.success() {
        text.push_str(&said.status.to_string());
    }
    text
}
