//! A real S3 server: moto, in a process of its own with an empty store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tapemill_lake::{Lake, S3Settings};

/// The bucket that is made at the start.
pub const BUCKET: &str = "tape";

/// Stopped on drop.
pub struct Moto {
    process: Child,
    log: tempfile::NamedTempFile,
    pub address: String,
}

impl Moto {
    /// Starts it on a free port and makes the bucket. A missing moto fails the test.
    pub fn start() -> Moto {
        let mut last = String::new();
        // A port that is free now may be taken by the time the server binds it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let log = tempfile::NamedTempFile::new().unwrap();
            let process = Command::new(server())
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(File::options().append(true).open(log.path()).unwrap())
                .spawn()
                .expect(
                    "moto_server starts: tests/requirements.txt has it, scripts/test installs it",
                );
            let mut moto = Moto {
                process,
                log,
                address: format!("127.0.0.1:{port}"),
            };
            if moto.answers() {
                moto.ask("PUT", &format!("/{BUCKET}"));
                return moto;
            }
            last = fs::read_to_string(moto.log.path()).unwrap();
        }
        panic!("moto_server does not answer: {last}");
    }

    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(&self.address).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// One plain request; the whole answer.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The bytes of an object.
    pub fn object(&self, key: &str) -> Vec<u8> {
        let lake = lake(&self.address, "");
        lake.read(&tapemill_lake::LakePath::parse(key).unwrap())
            .unwrap()
            .to_vec()
    }

    /// The uploads that were begun and neither completed nor removed.
    pub fn uploads(&self) -> usize {
        self.ask("GET", &format!("/{BUCKET}?uploads"))
            .matches("<UploadId>")
            .count()
    }

    /// The requests so far, as `GET /tape/key?query`.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log.path()).unwrap();
        log.lines()
            .filter_map(|line| {
                let (_, rest) = line.split_once('"')?;
                let (request, _) = rest.split_once(" HTTP/")?;
                Some(request.to_owned())
            })
            .collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The one beside the Python of the tests, else the one of the path.
fn server() -> PathBuf {
    let beside = |python: &Path| python.with_file_name("moto_server");
    let named = env::var_os("TEST_PYTHON").map(|python| beside(Path::new(&python)));
    let made = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join(".venv/bin/moto_server"))
        .find(|server| server.exists());
    named
        .filter(|server| server.exists())
        .or(made)
        .unwrap_or_else(|| "moto_server".into())
}

/// What an S3 client needs to talk to a server here.
pub fn settings(address: &str) -> S3Settings {
    let environment = [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "test-key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ];
    S3Settings {
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        patience: Duration::from_secs(2),
    }
}

/// The lake under a prefix of the bucket.
pub fn lake(address: &str, prefix: &str) -> Lake {
    Lake::s3(&format!("s3://{BUCKET}/{prefix}"), &settings(address)).unwrap()
}
