//! From a request to a reply.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State as Shared};
use axum::http::header::{self, HeaderName};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::body::{self, Span};
use super::fault_book::{Asked, Effects, FaultBook};
use super::faults::Faults;
use super::listing::{self, Page, Query};
use super::log::{Log, Request};
use super::object::{self, Part, Version};
use super::{State, query};

const LARGEST_POST: usize = 1 << 20;
const LARGEST_SIDECAR: u64 = 1 << 16;
/// A reply of this query is not redirected again.
const REDIRECTED: &str = "redirected=1";
const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>\n";

pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/_log", get(show_log))
        .route("/_faults", post(set_faults))
        .route("/_reset", post(reset))
        .fallback(answer)
        .layer(DefaultBodyLimit::max(LARGEST_POST))
        .with_state(state)
}

async fn show_log(Shared(state): Shared<Arc<State>>) -> Json<Vec<Request>> {
    Json(state.log().requests())
}

async fn set_faults(Shared(state): Shared<Arc<State>>, text: String) -> Response {
    match Faults::from_json(&text) {
        Ok(faults) => {
            *state.faults() = FaultBook::new(faults);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn reset(Shared(state): Shared<Arc<State>>) -> StatusCode {
    *state.faults() = FaultBook::default();
    *state.log() = Log::default();
    StatusCode::NO_CONTENT
}

/// What is known of a request before it is answered.
struct Call {
    state: Arc<State>,
    is_head: bool,
    request: Request,
}

async fn answer(Shared(state): Shared<Arc<State>>, http: HttpRequest) -> Response {
    let (http, _) = http.into_parts();
    let header = |name: HeaderName| {
        let value = http.headers.get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    let path = http.uri.path().trim_start_matches('/');
    let query = http.uri.query().unwrap_or_default();
    let call = Call {
        is_head: http.method == Method::HEAD,
        request: Request {
            at_ms: state.started.elapsed().as_millis() as u64,
            method: http.method.to_string(),
            path: query::decoded(path).unwrap_or_else(|| path.to_owned()),
            query: query.to_owned(),
            range: header(header::RANGE),
            if_range: header(header::IF_RANGE),
            status: 0,
            bytes_sent: 0,
            faults: Vec::new(),
        },
        state,
    };
    if !call.is_head && http.method != Method::GET {
        let text = error_xml("MethodNotAllowed", "only GET and HEAD are allowed");
        return call.text(
            StatusCode::METHOD_NOT_ALLOWED,
            XML,
            text,
            &Effects::default(),
        );
    }
    let is_listing = call.request.path.is_empty() || call.request.path == listing::BUCKET;
    let answered = if is_listing {
        call.list().await
    } else {
        call.object().await
    };
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "a file could not be served");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

const XML: &str = "application/xml";

impl Call {
    async fn list(self) -> io::Result<Response> {
        let asked = Query::new(&query::pairs(&self.request.query), self.state.page_size);
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => {
                let text = error_xml("InvalidArgument", why);
                return Ok(self.text(StatusCode::BAD_REQUEST, XML, text, &Effects::default()));
            }
        };
        let root = self.state.root.clone();
        let work = tokio::task::spawn_blocking(move || (asked.page(&root), asked));
        let (page, asked) = work.await.map_err(io::Error::other)?;
        let page = page?;
        let name = format!("?prefix={}", asked.prefix);
        let effects = self
            .state
            .faults()
            .decide(&name, Asked::Listing(page.number));
        if let Some(reply) = self.instead(&effects) {
            return Ok(reply);
        }
        let page = if effects.empty_listing {
            Page::empty()
        } else {
            page
        };
        let text = asked.xml(&page);
        Ok(self.text(StatusCode::OK, XML, text, &effects))
    }

    async fn object(self) -> io::Result<Response> {
        let asked = if self.is_head {
            Asked::Head
        } else {
            Asked::Body
        };
        let mut effects = self.state.faults().decide(&self.request.path, asked);
        if self.request.query.contains(REDIRECTED) {
            effects.redirect = None;
        }
        if let Some(reply) = self.instead(&effects) {
            return Ok(reply);
        }
        let key = &self.request.path;
        let path = object::file_of(&self.state.root, key);
        let meta = match &path {
            Some(path) => tokio::fs::metadata(path).await.ok(),
            None => None,
        };
        let (Some(path), Some(meta)) = (path, meta.filter(Metadata::is_file)) else {
            let text = error_xml("NoSuchKey", "The specified key does not exist.");
            return Ok(self.text(StatusCode::NOT_FOUND, XML, text, &effects));
        };
        let version = match effects.version {
            Some(edition) => Version::republished(key, &meta, edition),
            None => Version::new(key, &meta),
        };
        if effects.wrong_checksum && version.bytes <= LARGEST_SIDECAR {
            let text = wrong_checksum(tokio::fs::read_to_string(&path).await?);
            return Ok(self.text(StatusCode::OK, "text/plain", text, &effects));
        }
        self.file(&path, &version, &effects).await
    }

    async fn file(self, path: &Path, version: &Version, effects: &Effects) -> io::Result<Response> {
        let (etag, date) = (&version.etag, version.http_date());
        // A condition that names another version makes the range void: all of the new file is sent.
        let shown_etag = (!effects.no_etag).then_some(etag);
        let shown_date = (!effects.no_last_modified).then_some(&date);
        let is_same =
            self.request.if_range.as_ref().is_none_or(|condition| {
                Some(condition) == shown_etag || Some(condition) == shown_date
            });
        let range = self.request.range.as_deref();
        let range = range.filter(|_| is_same && !effects.ignore_range && !self.is_head);
        let total = version.bytes;
        let (status, from, bytes) = match Part::of(range, total) {
            Part::Whole => (StatusCode::OK, 0, total),
            Part::Range(from, to) => (StatusCode::PARTIAL_CONTENT, from, to - from + 1),
            Part::Outside => {
                let text = error_xml("InvalidRange", "The requested range is not satisfiable");
                let mut reply = self.text(StatusCode::RANGE_NOT_SATISFIABLE, XML, text, effects);
                set(
                    &mut reply,
                    header::CONTENT_RANGE,
                    &format!("bytes */{total}"),
                );
                return Ok(reply);
            }
        };
        let declared = bytes.saturating_add_signed(effects.length_delta);
        let is_head = self.is_head;
        let state = Arc::clone(&self.state);
        let sent = self.note(status, effects);
        let body = if is_head {
            Body::empty()
        } else {
            let span = Span {
                from,
                bytes,
                declared,
                file_bytes: total,
            };
            body::of_file(path, span, effects, sent, state.stop.clone()).await?
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = status;
        let content_type = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zip") => "application/zip",
            _ => "binary/octet-stream",
        };
        set(&mut reply, header::CONTENT_TYPE, content_type);
        set(&mut reply, header::CONTENT_LENGTH, &declared.to_string());
        if !effects.ignore_range {
            set(&mut reply, header::ACCEPT_RANGES, "bytes");
        }
        if status == StatusCode::PARTIAL_CONTENT {
            let to = from + bytes - 1;
            set(
                &mut reply,
                header::CONTENT_RANGE,
                &format!("bytes {from}-{to}/{total}"),
            );
        }
        if let Some(etag) = shown_etag {
            set(&mut reply, header::ETAG, etag);
        }
        if let Some(date) = shown_date {
            set(&mut reply, header::LAST_MODIFIED, date);
        }
        Ok(reply)
    }

    /// The reply of a fault that replaces the file or listing.
    fn instead(&self, effects: &Effects) -> Option<Response> {
        if let Some(to) = &effects.redirect {
            let key = query::encoded(&self.request.path);
            let to = to
                .clone()
                .unwrap_or_else(|| match self.request.query.as_str() {
                    "" => format!("/{key}?{REDIRECTED}"),
                    query => format!("/{key}?{query}&{REDIRECTED}"),
                });
            let mut reply = self.text(StatusCode::FOUND, "text/plain", String::new(), effects);
            set(&mut reply, header::LOCATION, &to);
            return Some(reply);
        }
        if let Some(status) = effects.status {
            let status = StatusCode::from_u16(status).ok()?;
            let code = status
                .canonical_reason()
                .unwrap_or("Error")
                .replace(' ', "");
            let text = error_xml(&code, "on purpose");
            let mut reply = self.text(status, XML, text, effects);
            if let Some(seconds) = effects.retry_after {
                set(&mut reply, header::RETRY_AFTER, &seconds.to_string());
            }
            return Some(reply);
        }
        let html = || {
            self.text(
                StatusCode::OK,
                "text/html; charset=utf-8",
                HTML.into(),
                effects,
            )
        };
        effects.html.then(html)
    }

    fn text(
        &self,
        status: StatusCode,
        content_type: &str,
        text: String,
        effects: &Effects,
    ) -> Response {
        let length = text.len().to_string();
        let sent = self.note(status, effects);
        let body = if self.is_head {
            Body::empty()
        } else {
            body::of_bytes(text.into_bytes(), effects, sent, self.state.stop.clone())
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = status;
        set(&mut reply, header::CONTENT_TYPE, content_type);
        set(&mut reply, header::CONTENT_LENGTH, &length);
        reply
    }

    fn note(&self, status: StatusCode, effects: &Effects) -> Arc<std::sync::atomic::AtomicU64> {
        self.state.log().note(Request {
            status: status.as_u16(),
            faults: effects.names.clone(),
            ..self.request.clone()
        })
    }
}

/// Sets a header; a value that cannot be one is left out.
fn set(reply: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        reply.headers_mut().insert(name, value);
    }
}

fn error_xml(code: &str, message: &str) -> String {
    let message = listing::escaped(message);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
}

/// The sidecar with another first digit.
fn wrong_checksum(text: String) -> String {
    let first = if text.starts_with('0') { '1' } else { '0' };
    let rest = text.char_indices().nth(1).map_or("", |(at, _)| &text[at..]);
    format!("{first}{rest}")
}
