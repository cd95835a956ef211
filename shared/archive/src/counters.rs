//! What was asked and answered, counted for the whole process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The classes of [`TransferStats::responses`]; `none`: the request got no answer at all.
pub const RESPONSE_CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

/// Counters of one source, shared by everything that uses it.
#[derive(Debug, Default)]
pub struct HttpCounters {
    requests: AtomicU64,
    resumes: AtomicU64,
    restarts: AtomicU64,
    bytes: AtomicU64,
    responses: [AtomicU64; 5],
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferStats {
    /// Requests sent (of a folder: files opened).
    pub requests: u64,
    /// Transfers that went on by range after a cut, or from a kept part.
    pub resumes: u64,
    /// Transfers that had to begin again and so threw bytes away.
    pub restarts: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Answers by class, in the order of [`RESPONSE_CLASSES`].
    pub responses: [u64; 5],
}

impl HttpCounters {
    /// All counters now.
    pub fn stats(&self) -> TransferStats {
        TransferStats {
            requests: self.requests.load(Relaxed),
            resumes: self.resumes.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            responses: self.responses.each_ref().map(|count| count.load(Relaxed)),
        }
    }

    /// Counts a request.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts an answer; redirects that were followed are not seen.
    pub fn response(&self, status: Option<u16>) {
        let class = match status {
            Some(200..=299) => 0,
            Some(300..=399) => 1,
            Some(400..=499) => 2,
            Some(_) => 3,
            None => 4,
        };
        self.responses[class].fetch_add(1, Relaxed);
    }

    pub(crate) fn resume(&self) {
        self.resumes.fetch_add(1, Relaxed);
    }

    pub(crate) fn restart(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// Counts bytes of an answer.
    pub fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}
