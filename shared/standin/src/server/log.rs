use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Requests remembered; older ones are forgotten.
const MOST_LINES: usize = 200_000;

/// One request and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// When it came, in milliseconds since the server started.
    pub at_ms: u64,
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Decoded, without the leading slash: the key of a file, empty for a listing.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Range` header.
    pub if_range: Option<String>,
    /// The status of the reply.
    pub status: u16,
    /// Bytes of the body handed to the connection so far.
    pub bytes_sent: u64,
    /// The faults that applied, by their kind.
    pub faults: Vec<&'static str>,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: VecDeque<(Request, Arc<AtomicU64>)>,
}

impl Log {
    /// Notes a request; the count it returns is raised as the body goes out.
    pub(crate) fn note(&mut self, request: Request) -> Arc<AtomicU64> {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        let sent = Arc::new(AtomicU64::new(request.bytes_sent));
        self.lines.push_back((request, Arc::clone(&sent)));
        sent
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let line = |(request, sent): &(Request, Arc<AtomicU64>)| Request {
            bytes_sent: sent.load(Ordering::Relaxed),
            ..request.clone()
        };
        self.lines.iter().map(line).collect()
    }
}
