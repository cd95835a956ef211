//! Certificate authorities and proxies named by the environment. Each test runs itself again as a
//! process with that environment, since a process cannot safely change its own.

mod server;

use std::{
    env, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use server::{Reply, Server};
use tapemill_archive::{HttpSource, Source};
use tokio::process::Command;

/// Names the base to probe; only set in the second process.
const BASE: &str = "TAPEMILL_TEST_BASE";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// In the second process: the probe. `false` in the first.
async fn is_probe() -> bool {
    let Ok(base) = env::var(BASE) else {
        return false;
    };
    let options = tapemill_archive::HttpOptions {
        retry: server::quick(),
        ..tapemill_archive::HttpOptions::new(base, Arc::default())
    };
    let found = match HttpSource::new(options) {
        Ok(source) => source.head("a.zip").await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => assert_eq!(found.map(|object| object.bytes), Some(5)),
        Err(error) => panic!("{}: {}", error.reason(), error.one_line()),
    }
    true
}

/// Runs `test` again with nothing in the environment but these.
async fn probe(test: &str, base: &str, variables: &[(&str, &Path)]) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .env(BASE, base)
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Answers each HTTPS connection, as a server `tests/data/authority.pem` vouches for, with a file of five bytes; lives as long as the process.
fn https_server() -> String {
    let chain = CertificateDer::pem_file_iter(data("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            // A client that does not trust us ends the handshake: that is the test.
            let _ = answer(&mut Stream::new(&mut tls, &mut tcp));
        }
    });
    base
}

fn answer(stream: &mut (impl io::Read + io::Write)) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")?;
    stream.flush()
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_environment_names_it() {
    if is_probe().await {
        return;
    }
    let test = "a_private_authority_is_trusted_where_the_environment_names_it";
    let base = https_server();
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::copy(data("authority.pem"), dir.path().join("any-name.crt")).unwrap();

    let by_file = probe(test, &base, &[("SSL_CERT_FILE", &data("authority.pem"))]).await;
    let by_dir = probe(test, &base, &[("SSL_CERT_DIR", dir.path())]).await;
    let other = probe(test, &base, &[("SSL_CERT_FILE", &data("server.pem"))]).await;

    assert!(by_file.status.success(), "{}", told(&by_file));
    assert!(by_dir.status.success(), "{}", told(&by_dir));
    assert!(!other.status.success());
    assert!(
        told(&other).contains("network: ") && told(&other).contains("certificate"),
        "{}",
        told(&other)
    );
}

#[tokio::test]
async fn an_unreadable_bundle_is_named_unless_the_mirror_is_plain_http() {
    if is_probe().await {
        return;
    }
    let test = "an_unreadable_bundle_is_named_unless_the_mirror_is_plain_http";
    let plain = Server::start(|_, _| Reply::new(200).body("bytes")).await;
    let absent = data("absent.pem");

    let secure = probe(test, "https://127.0.0.1:1", &[("SSL_CERT_FILE", &absent)]).await;
    let plain = probe(test, &plain.base, &[("SSL_CERT_FILE", &absent)]).await;

    assert!(told(&secure).contains("client: "), "{}", told(&secure));
    assert!(told(&secure).contains("SSL_CERT_FILE names") && told(&secure).contains("absent.pem"));
    assert!(plain.status.success(), "{}", told(&plain));
}

#[tokio::test]
async fn a_proxy_of_the_environment_carries_the_requests() {
    if is_probe().await {
        return;
    }
    let test = "a_proxy_of_the_environment_carries_the_requests";
    let direct = Server::start(|_, _| Reply::new(200).body("bytes")).await;
    let proxy = Server::start(|_, request| match request.method.as_str() {
        "CONNECT" => Reply::new(502),
        _ => Reply::new(200).body("bytes"),
    })
    .await;
    let address = Path::new(&proxy.base);
    let except = [
        ("HTTP_PROXY", address),
        ("NO_PROXY", Path::new("127.0.0.1")),
    ];

    let through = probe(test, "http://archive.invalid", &[("HTTP_PROXY", address)]).await;
    let around = probe(test, &direct.base, &except).await;
    let tunnel = probe(test, "https://archive.invalid", &[("HTTPS_PROXY", address)]).await;

    assert!(through.status.success(), "{}", told(&through));
    assert!(around.status.success(), "{}", told(&around));
    assert!(told(&tunnel).contains("network: "), "{}", told(&tunnel));
    assert_eq!(direct.requests().len(), 1);
    let asked = proxy.requests();
    let asked: Vec<_> = asked
        .iter()
        .map(|r| (r.method.as_str(), r.path.as_str()))
        .collect();
    assert_eq!(asked[0], ("HEAD", "http://archive.invalid/a.zip"));
    assert_eq!(asked[1..], [("CONNECT", "archive.invalid:443"); 6]);
}
