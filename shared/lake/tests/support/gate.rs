//! A gate before a server: counts what passes, and answers in its place where a test says so.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a rule does with a request.
pub enum Rule {
    Pass,
    /// Answers with a status and an S3 error code.
    Answer(u16, &'static str),
    /// Passes it on, and hangs up instead of bringing the answer.
    LoseAnswer,
}

/// A request as rules see it.
pub struct Request {
    /// `PUT /tape/key?query`.
    pub line: String,
    /// Lower-case lines.
    pub headers: Vec<String>,
}

impl Request {
    pub fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|line| line.starts_with(header))
    }
}

type Rules = Box<dyn FnMut(&Request) -> Rule + Send>;

/// Closed to new connections with the test.
pub struct Gate {
    pub address: String,
    seen: Arc<Mutex<Vec<String>>>,
    rules: Arc<Mutex<Rules>>,
}

impl Gate {
    pub fn before(server: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let rules: Arc<Mutex<Rules>> = Arc::new(Mutex::new(Box::new(|_| Rule::Pass)));
        let (server, counted, ruled) = (server.to_owned(), seen.clone(), rules.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, seen, rules) = (server.clone(), counted.clone(), ruled.clone());
                thread::spawn(move || pass(stream, &server, &seen, &rules));
            }
        });
        Gate {
            address,
            seen,
            rules,
        }
    }

    /// What happens to requests from now on.
    pub fn rule(&self, rule: impl FnMut(&Request) -> Rule + Send + 'static) {
        *self.rules.lock().unwrap() = Box::new(rule);
    }

    /// The requests so far; forgets them.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// One request of one connection, which is closed after it.
fn pass(stream: TcpStream, server: &str, seen: &Mutex<Vec<String>>, rules: &Mutex<Rules>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
    let length = headers
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let request = Request {
        line: first.trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
    };
    seen.lock().unwrap().push(request.line.clone());
    let rule = (rules.lock().unwrap())(&request);
    let mut client = reader.into_inner();
    match rule {
        Rule::Answer(status, code) => {
            let body =
                format!("<Error><Code>{code}</Code><Message>the gate says so</Message></Error>");
            let _ = write!(
                client,
                "HTTP/1.1 {status} Gate\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        Rule::Pass => {
            let _ = client.write_all(&forward(server, &head, &body));
        }
        Rule::LoseAnswer => {
            forward(server, &head, &body);
        }
    }
}

fn forward(server: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut upstream = TcpStream::connect(server).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    write!(upstream, "{first}\r\nConnection: close\r\n{rest}").unwrap();
    upstream.write_all(body).unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).unwrap();
    answer
}
