//! An S3 store.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Port, Process, until};

/// It is asked for, and never checked.
const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=test/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A `moto_server` on 127.0.0.1 with one bucket. All it stores is in its memory: killed, it is gone.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    port: Port,
}

/// An answer.
struct Reply {
    status: u16,
    body: Vec<u8>,
}

impl S3 {
    /// The bucket that is there.
    pub const BUCKET: &'static str = "market-data";

    /// Starts a store with an empty bucket.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start() -> Self {
        let port = Port::reserve();
        let mut command = Command::new(moto_server());
        command.args(["-H", "127.0.0.1", "-p", &port.number().to_string()]);
        let process = Process::start(&mut command)
            .expect("moto_server is installed; scripts/test installs what the tests need");
        let mut store = Self { process, port };
        until("the S3 store answers", || {
            assert!(store.process.is_running(), "moto_server ended at once");
            TcpStream::connect(("127.0.0.1", store.port())).is_ok()
        });
        store.ask("PUT", "", &[]);
        store
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// A folder of the bucket, as the command names it: `s3://market-data/out`.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", Self::BUCKET)
    }

    /// What the command needs in its environment to reach it.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.env_at(&self.endpoint())
    }

    /// As [`Self::env`], through a proxy at `endpoint`.
    pub fn env_at(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// Stores an object.
    #[track_caller]
    pub fn put(&self, key: &str, body: &[u8]) {
        self.ask("PUT", &encoded(key), body);
    }

    /// An object's bytes; `None` when it is not there.
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let reply = self.send("GET", &encoded(key), &[]);
        match reply.status {
            200 => Some(reply.body),
            404 => None,
            status => panic!("GET {key} answered {status}"),
        }
    }

    /// Takes an object away.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.ask("DELETE", &encoded(key), &[]);
    }

    /// All keys that begin with `prefix`, sorted.
    #[track_caller]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.keys_in_pages_of(1000, prefix)
    }

    #[track_caller]
    fn keys_in_pages_of(&self, page_size: usize, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut token = String::new();
        loop {
            let page = format!(
                "?list-type=2&encoding-type=url&max-keys={page_size}&prefix={}{token}",
                encoded(prefix)
            );
            let page = self.ask("GET", &page, &[]);
            keys.extend(texts(&page, "Key").map(decoded));
            let Some(next) = texts(&page, "NextContinuationToken").next() else {
                break;
            };
            token = format!("&continuation-token={}", encoded(&unescaped(next)));
        }
        keys.sort();
        keys
    }

    /// The keys of uploads in parts that were begun and neither completed nor aborted.
    #[track_caller]
    pub fn unfinished_uploads(&self) -> Vec<String> {
        let uploads = self.ask("GET", "?uploads", &[]);
        texts(&uploads, "Key").map(unescaped).collect()
    }

    /// Stops it where it is (SIGSTOP).
    #[track_caller]
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets it go on (SIGCONT).
    #[track_caller]
    pub fn cont(&self) {
        self.process.cont();
    }

    /// Sends what must succeed, and gives the answer's text.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> String {
        let reply = self.send(method, path, body);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let fine = (200..300).contains(&reply.status);
        assert!(fine, "{method} {path} answered {}: {text}", reply.status);
        text
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.exchange(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// HTTP/1.0: the answer is not chunked and ends with the connection.
    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port()))?;
        let head = format!(
            "{method} /{}/{path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: {SIGNATURE}\r\n\
             Content-Length: {}\r\n\r\n",
            Self::BUCKET,
            self.port(),
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        let end = reply.windows(4).position(|four| four == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&reply[..end.unwrap_or(0)]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let (Some(end), Some(status)) = (end, status) else {
            return Err(std::io::Error::other("it sent no HTTP"));
        };
        let body = reply.split_off(end + 4);
        Ok(Reply { status, body })
    }
}

/// Beside the Python of the tests, else the one on the path.
fn moto_server() -> PathBuf {
    let python = std::env::var_os("TEST_PYTHON").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    [python, Some(made)]
        .into_iter()
        .flatten()
        .map(|python| python.with_file_name("moto_server"))
        .find(|beside| beside.is_file())
        .unwrap_or_else(|| "moto_server".into())
}

/// The texts of all elements of a name.
fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&begin)?;
        let (text, after) = after.split_once(&end)?;
        rest = after;
        Some(text)
    })
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex: String = match byte {
            b'%' => rest.by_ref().take(2).map(char::from).collect(),
            b'+' => "20".to_owned(),
            byte => format!("{byte:02x}"),
        };
        bytes.push(u8::from_str_radix(&hex, 16).expect("two digits follow a %"));
    }
    String::from_utf8(bytes).expect("keys are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_all_its_pages() {
        let store = S3::start();
        let keys = ["k/1", "k/2", "k/3 4", "k/5", "k/6"];
        keys.iter().for_each(|key| store.put(key, b"1"));

        assert_eq!(store.keys_in_pages_of(2, "k/"), keys);
    }
}
