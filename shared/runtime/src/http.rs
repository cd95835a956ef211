//! The server of a process: `/metrics`, `/healthz`, `/readyz`, and what else it is given.
//!
//! Everything from outside is bounded: connections, the time for a request, its head (hyper refuses more than 100
//! headers) and its body.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connection::Bounded;
use crate::error::{Result, RuntimeError};
use crate::health::Health;
use crate::metrics::Metrics;

/// How long an answer may take to begin.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Nothing here reads a body.
const LARGEST_BODY: usize = 4 << 10;

/// How long open connections may take to end when the server stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on `address` (`HOST:PORT`; port 0 picks a free one) and serves `routes` until `stop` fires.
    ///
    /// Streams that never end by themselves have to end with `stop`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Listen`] when the address is taken, or is none of this machine.
    pub async fn start(address: &str, routes: Router, stop: CancellationToken) -> Result<Self> {
        let refused = |source| RuntimeError::Listen {
            address: address.to_owned(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let routes = routes
            .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here\n") })
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .layer(from_fn(in_time));
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(Bounded::new(listener), routes).with_graceful_shutdown(stopped);
        // It ends without an error: those of connections are theirs alone.
        let task = tokio::spawn(async move { drop(serving.await) });
        Ok(Self {
            address: bound,
            stop,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what was asked, and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Whoever does not take the answer is not waited for.
        let _ = tokio::time::timeout(CLOSE_WITHIN, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// `/metrics`, `/healthz` and `/readyz`.
pub fn vitals(health: Health, metrics: Metrics) -> Router {
    let alive = health.clone();
    Router::new()
        .route(
            "/healthz",
            get(move || async move { verdict(alive.alive()) }),
        )
        .route(
            "/readyz",
            get(move || async move { verdict(health.ready()) }),
        )
        .route(
            "/metrics",
            get(move || async move {
                let kind = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
                (kind, metrics.text().await)
            }),
        )
}

fn verdict(verdict: Result<(), String>) -> (StatusCode, String) {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    begun_in_time(next.run(request)).await
}

async fn begun_in_time(answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(response) => response,
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "no answer in time\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_in_time_is_given_up() {
        let late = begun_in_time(std::future::pending()).await;
        let soon = begun_in_time(async { StatusCode::OK.into_response() }).await;

        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(soon.status(), StatusCode::OK);
    }
}
