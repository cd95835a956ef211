//! What may be changed over HTTP by whoever presents the admin token: retry, pause, resume.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use tapemill_queue::{Queue, QueueError, TaskFilter, TaskId, TaskState};

use crate::admin::{AdminToken, admit};
use crate::api::{Answer, HEADERS, Refused};
use crate::view::QueueView;

/// Tasks named in one request, and a body that holds so many of the longest names.
const MOST_NAMED: usize = 1_000;
const LARGEST_BODY: usize = 640 << 10;

/// Tasks changed at a time.
const CHUNK: usize = 500;

/// One request changes this many tasks by a filter, or what can be done in this time; its answer says where to go on.
const MOST_FILTERED: usize = 10_000;
const LONGEST: Duration = Duration::from_secs(5);

/// `POST /api/v1/…`, all behind the token; its body is read only when it was presented.
pub(crate) fn orders<S>(view: Arc<QueueView>, admin: Option<AdminToken>) -> Router<S> {
    Router::new()
        .route("/api/v1/tasks/retry", post(retry))
        .route("/api/v1/queue/pause", post(pause))
        .route("/api/v1/queue/resume", post(resume))
        .route_layer(DefaultBodyLimit::max(LARGEST_BODY))
        .route_layer(from_fn_with_state(admin, admitted))
        .with_state(view)
}

async fn admitted(
    State(admin): State<Option<AdminToken>>,
    request: Request,
    next: Next,
) -> Response {
    match admit(admin.as_ref(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => {
            let mut response = Refused(status, why.to_owned()).into_response();
            if status == StatusCode::UNAUTHORIZED {
                let scheme = header::HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
            }
            response
        }
    }
}

/// Either ids, or a filter as that of `tasks retry`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    ids: Option<Vec<TaskId>>,
    state: Option<TaskState>,
    dataset: Option<String>,
    prefix: Option<String>,
    cursor: Option<String>,
}

async fn retry(
    State(view): State<Arc<QueueView>>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Answer {
    let bad = |why: &str| Err(Refused(StatusCode::BAD_REQUEST, why.to_owned()));
    let Json(wanted) = wanted.map_err(|error| Refused(error.status(), error.body_text()))?;
    let queue = view.queue()?;
    let filter = TaskFilter {
        state: wanted.state,
        dataset: wanted.dataset,
        id_prefix: wanted.prefix,
    };
    let is_filtered = filter != TaskFilter::default();
    let told = match wanted.ids {
        Some(_) if is_filtered || wanted.cursor.is_some() => {
            return bad("name tasks by ids or by a filter, not by both");
        }
        Some(ids) if ids.len() > MOST_NAMED => {
            return bad("too many ids: name at most 1000 at a time");
        }
        Some(ids) => named(&view, &**queue, &ids).await?,
        None if !is_filtered => {
            return bad("name tasks by ids, or by a filter such as \"state\": \"dead\"");
        }
        None => filtered(&view, &**queue, &filter, wanted.cursor).await?,
    };
    tracing::info!(tasks = %told["retried"], "retried over HTTP");
    Ok((HEADERS, Json(told)))
}

/// All of them, or none where one is unknown.
async fn named(view: &QueueView, queue: &dyn Queue, ids: &[TaskId]) -> Result<Value, Refused> {
    let states = queue.states(ids).await?;
    if let Some((id, _)) = ids.iter().zip(states).find(|(_, state)| state.is_none()) {
        let why = format!("there is no task {id}");
        return Err(Refused(StatusCode::NOT_FOUND, why));
    }
    let retried = queue.retry(ids).await?;
    view.changed(ids).await?;
    Ok(json!({"retried": retried, "next": null}))
}

async fn filtered(
    view: &QueueView,
    queue: &dyn Queue,
    filter: &TaskFilter,
    mut cursor: Option<String>,
) -> Result<Value, QueueError> {
    let begun = Instant::now();
    let (mut seen, mut retried) = (0, 0);
    while seen < MOST_FILTERED && begun.elapsed() < LONGEST {
        let page = queue.list(filter, cursor, CHUNK).await?;
        let ids: Vec<TaskId> = page.tasks.into_iter().map(|task| task.id).collect();
        retried += queue.retry(&ids).await?;
        view.changed(&ids).await?;
        // Where nothing fits, looking is work too.
        seen += ids.len().max(CHUNK);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(json!({"retried": retried, "next": cursor}))
}

async fn pause(State(view): State<Arc<QueueView>>) -> Answer {
    set_paused(&view, true).await
}

async fn resume(State(view): State<Arc<QueueView>>) -> Answer {
    set_paused(&view, false).await
}

async fn set_paused(view: &QueueView, paused: bool) -> Answer {
    view.queue()?.pause(paused).await?;
    tracing::info!(paused, "paused or resumed over HTTP");
    Ok((HEADERS, Json(json!({ "paused": paused }))))
}
