//! The server over real sockets.

use std::io;

use tapemill_runtime::{Health, Metrics, Router, RuntimeError, Server, vitals};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn started(draining: &CancellationToken) -> Server {
    let health = Health::new(draining.clone(), || Ok(()));
    let routes = vitals(health, Metrics::new());
    Server::start("127.0.0.1:0", routes, CancellationToken::new())
        .await
        .unwrap()
}

/// The answer to a request as it stands; empty when the connection was closed without one.
async fn asked(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    match read {
        Ok(_) => answer,
        // What was not read of a refused request resets the connection.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("{error}"),
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let draining = CancellationToken::new();
    let server = started(&draining).await;
    assert!(
        asked(&server, &get("/healthz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        asked(&server, &get("/readyz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = asked(&server, &get("/metrics")).await;
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert!(
        metrics.contains("\ntapemill_build_info{version="),
        "{metrics}"
    );
    assert!(
        asked(&server, &get("/etc/passwd"))
            .await
            .starts_with("HTTP/1.1 404")
    );

    draining.cancel();

    assert!(
        asked(&server, &get("/healthz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let ready = asked(&server, &get("/readyz")).await;
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.ends_with("draining\n"),
        "{ready}"
    );
}

#[tokio::test]
async fn a_head_without_end_and_too_many_headers_are_refused() {
    let server = started(&CancellationToken::new()).await;

    let many = "X-Header: 1\r\n".repeat(200);
    let answer = asked(&server, &format!("GET /healthz HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let long = "x".repeat(2 << 20);
    let answer = asked(&server, &format!("GET /{long}")).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!(
        asked(&server, &get("/healthz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_taken_address_is_refused_by_name_and_a_stopped_server_frees_it() {
    let first = started(&CancellationToken::new()).await;
    let address = first.address().to_string();

    let second = Server::start(&address, Router::new(), CancellationToken::new()).await;
    let error = second.unwrap_err();
    assert!(matches!(error, RuntimeError::Listen { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");

    first.stop().await;
    Server::start(&address, Router::new(), CancellationToken::new())
        .await
        .unwrap();
}
