//! The page and the API. Everything here only reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tapemill_queue::{QueueError, TaskFilter, TaskState};
use tapemill_runtime::one_line;
use tokio_util::sync::CancellationToken;

use crate::status::{task_value, worker_value};
use crate::view::{NoAnswer, QueueView};

/// Tasks in a page unless the caller says how many, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// Often enough that nobody between takes an event stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The page loads nothing from elsewhere and may be framed by nobody.
const HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

#[derive(Clone)]
struct Shown {
    view: Arc<QueueView>,
    stop: CancellationToken,
}

/// `/` and `/api/v1/…` of a queue; event streams end when `stop` fires.
pub fn api(view: Arc<QueueView>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/v1/status", get(status))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/events", get(events))
        .with_state(Shown { view, stop })
}

/// An answer that is none, as `{"error": …}`.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, why) = self;
        (status, HEADERS, Json(json!({ "error": why }))).into_response()
    }
}

impl From<NoAnswer> for Refused {
    fn from(why: NoAnswer) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, why.to_string())
    }
}

impl From<QueueError> for Refused {
    fn from(error: QueueError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, one_line(&error))
    }
}

type Answer = Result<([(HeaderName, &'static str); 3], Json<Value>), Refused>;

async fn page() -> impl IntoResponse {
    (HEADERS, Html(include_str!("page.html")))
}

async fn status(State(shown): State<Shown>) -> Answer {
    Ok((HEADERS, Json(shown.view.status().await?)))
}

async fn workers(State(shown): State<Shown>) -> Answer {
    let seen = shown.view.look().await?;
    let workers = seen.workers.iter().map(|worker| {
        let mut value = worker_value(worker);
        value["seen_seconds_ago"] = worker.seen_ago.as_secs_f64().into();
        value
    });
    let workers: Vec<Value> = workers.collect();
    Ok((HEADERS, Json(json!({ "workers": workers }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Option<TaskState>,
    dataset: Option<String>,
    prefix: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn tasks(
    State(shown): State<Shown>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Answer {
    let bad = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    let Query(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let limit = wanted.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(bad(format!("limit is between 1 and {LARGEST_PAGE}")));
    }
    let filter = TaskFilter {
        state: wanted.state,
        dataset: wanted.dataset,
        id_prefix: wanted.prefix,
    };
    let queue = shown.view.queue()?;
    let page = queue.list(&filter, wanted.cursor, limit).await?;
    let tasks: Vec<Value> = page.tasks.iter().map(task_value).collect();
    Ok((HEADERS, Json(json!({"tasks": tasks, "next": page.next}))))
}

async fn events(State(shown): State<Shown>) -> Result<impl IntoResponse, Refused> {
    // Subscribed before the first look, so that no change falls between the two.
    let mut changes = shown.view.changes();
    changes.mark_unchanged();
    let first: Arc<str> = shown.view.status().await?.to_string().into();
    let stream = stream::once(std::future::ready(first.clone()))
        .chain(later(changes, first))
        .map(|status| Ok::<_, Infallible>(Event::default().event("status").data(&*status)))
        .take_until(shown.stop.cancelled_owned());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok((HEADERS, Sse::new(stream).keep_alive(keep_alive)))
}

/// Each status that differs from the one sent before.
fn later(
    changes: tokio::sync::watch::Receiver<Option<Arc<str>>>,
    first: Arc<str>,
) -> impl Stream<Item = Arc<str>> {
    stream::unfold((changes, first), |(mut changes, sent)| async move {
        loop {
            changes.changed().await.ok()?;
            let told = changes.borrow_and_update().clone();
            if let Some(status) = told.filter(|status| *status != sent) {
                return Some((status.clone(), (changes, status)));
            }
        }
    })
}
