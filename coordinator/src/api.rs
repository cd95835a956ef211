//! The page and the API. Everything here only reads; what changes the queue is in `orders.rs`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tapemill_queue::{QueueError, TaskFilter, TaskState};
use tapemill_runtime::one_line;
use tokio_util::sync::CancellationToken;

use crate::admin::AdminToken;
use crate::map::Part;
use crate::orders::orders;
use crate::page::page;
use crate::status::{aged_worker_value, task_value};
use crate::view::{NoAnswer, QueueView};

/// Tasks in a page unless the caller says how many, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// How often the page is told what it shows.
const PAGE_EVERY: Duration = Duration::from_secs(1);

/// Often enough that nobody between takes an event stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers are data, and for nobody to keep.
pub(crate) const HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

#[derive(Clone)]
struct Shown {
    view: Arc<QueueView>,
    is_writable: bool,
    stop: CancellationToken,
}

/// `/` and `/api/v1/…` of a queue, which `admin` may change; event streams end when `stop` fires.
///
/// The map is kept by [`QueueView::attend`].
pub fn api(view: Arc<QueueView>, admin: Option<AdminToken>, stop: CancellationToken) -> Router {
    let is_writable = admin.is_some();
    Router::new()
        .route("/", get(page))
        .route("/api/v1/status", get(status))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/map", get(map))
        .route("/api/v1/page", get(page_data))
        .route("/api/v1/events", get(events))
        .merge(orders(view.clone(), admin))
        .with_state(Shown {
            view,
            is_writable,
            stop,
        })
}

/// An answer that is none, as `{"error": …}`.
pub(crate) struct Refused(pub StatusCode, pub String);

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

pub(crate) type Answer = Result<([(HeaderName, &'static str); 3], Json<Value>), Refused>;

async fn status(State(shown): State<Shown>) -> Answer {
    Ok((HEADERS, Json(shown.view.status().await?)))
}

async fn workers(State(shown): State<Shown>) -> Answer {
    let seen = shown.view.look().await?;
    let workers: Vec<Value> = seen.workers.iter().map(aged_worker_value).collect();
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedPart {
    series: Option<String>,
    prefix: Option<String>,
    state: Option<TaskState>,
}

/// A part of the map, from memory.
async fn map(
    State(shown): State<Shown>,
    wanted: Result<Query<WantedPart>, QueryRejection>,
) -> Answer {
    let bad = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    let Query(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    if wanted.series.is_none() && (wanted.prefix.is_some() || wanted.state.is_some()) {
        return Err(bad(
            "prefix and state are of symbols: name their series".to_owned()
        ));
    }
    shown.view.watch();
    let seen = shown.view.look().await?;
    let part = Part {
        series: wanted.series,
        prefix: wanted.prefix.unwrap_or_default(),
        state: wanted.state,
    };
    let document = shown.view.chart().document(&part, &seen.stats);
    Ok((HEADERS, Json(document)))
}

async fn page_data(State(shown): State<Shown>) -> Answer {
    Ok((HEADERS, Json(shown.view.page(shown.is_writable).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedEvents {
    view: Option<EventsOf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EventsOf {
    Page,
}

async fn events(
    State(shown): State<Shown>,
    wanted: Result<Query<WantedEvents>, QueryRejection>,
) -> Result<Response, Refused> {
    let wanted = wanted.map_err(|error| Refused(StatusCode::BAD_REQUEST, error.body_text()))?;
    match wanted.view {
        None => Ok(status_events(shown).await?.into_response()),
        Some(EventsOf::Page) => Ok(page_events(shown).await?.into_response()),
    }
}

/// All that the page shows, whenever it changed; ages do every second.
async fn page_events(shown: Shown) -> Result<impl IntoResponse, Refused> {
    let first = shown.view.page(shown.is_writable).await?.to_string();
    let stop = shown.stop.clone();
    let later = stream::unfold((shown, first.clone()), |(shown, sent)| async move {
        loop {
            tokio::time::sleep(PAGE_EVERY).await;
            let (name, data) = match shown.view.page(shown.is_writable).await {
                Ok(page) => ("page", page.to_string()),
                Err(why) => ("outage", json!({ "error": &*why }).to_string()),
            };
            if data != sent {
                return Some(((name, data.clone()), (shown, data)));
            }
        }
    });
    let stream = stream::once(std::future::ready(("page", first)))
        .chain(later)
        .map(|(name, data)| Ok::<_, Infallible>(Event::default().event(name).data(data)))
        .take_until(stop.cancelled_owned());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok((HEADERS, Sse::new(stream).keep_alive(keep_alive)))
}

async fn status_events(shown: Shown) -> Result<impl IntoResponse, Refused> {
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
