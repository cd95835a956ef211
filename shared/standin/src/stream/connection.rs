//! What one client is subscribed to, and what waits to be written to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::kind::Delivers;
use super::log::{Fate, Log};
use super::wire;

/// How a connection ends once what waits has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Shut down, and gone when the client is or after a while.
    Shut,
    /// Reset.
    Reset,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub delivers: Delivers,
    /// Data alone, without the stream's name around it.
    pub is_raw: bool,
    /// Names that were acknowledged, whatever they are.
    pub names: Vec<String>,
    pub outbox: Vec<u8>,
    /// Bytes that ever came into the outbox.
    queued: u64,
    /// Bytes that ever went to the socket.
    written: u64,
    /// Where frames end, by bytes queued, and their lines in the log.
    marks: VecDeque<(u64, usize, Fate)>,
    pub ending: Option<(Ending, String)>,
    pub close_at: Option<Instant>,
    pub stalled_until: Option<Instant>,
    pub muted_until: Option<Instant>,
    pub wake: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(delivers: Delivers, is_raw: bool) -> Self {
        Self {
            delivers,
            is_raw,
            names: Vec::new(),
            outbox: Vec::new(),
            queued: 0,
            written: 0,
            marks: VecDeque::new(),
            ending: None,
            close_at: None,
            stalled_until: None,
            muted_until: None,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Whether frames still go to it.
    pub(super) fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether frames are kept back from it.
    pub(super) fn is_muted(&self) -> bool {
        self.muted_until.is_some_and(|until| Instant::now() < until)
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.queued - self.written
    }

    /// Puts something behind what waits.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.outbox.len();
        write(&mut self.outbox);
        self.queued += (self.outbox.len() - before) as u64;
    }

    /// Puts a text behind what waits.
    pub(super) fn say(&mut self, text: &str) {
        self.put(|out| wire::message(out, wire::TEXT, text.as_bytes()));
        self.wake.notify_one();
    }

    /// Says that what was put last is the frame of a line of the log, and what becomes of it once it is written.
    pub(super) fn mark(&mut self, line: usize, fate: Fate) {
        self.marks.push_back((self.queued, line, fate));
    }

    /// Ends it after what waits, with a close frame.
    pub(super) fn close(&mut self, code: u16, why: &str) {
        if self.is_open() {
            self.put(|out| wire::close(out, code, why));
            self.end(Ending::Shut, format!("closed with {code}: {why}"));
        }
    }

    /// Ends it after what waits.
    pub(super) fn end(&mut self, ending: Ending, why: String) {
        if self.is_open() {
            self.ending = Some((ending, why));
        }
        self.wake.notify_one();
    }

    /// Says that so many bytes went to the socket.
    pub(super) fn wrote(&mut self, bytes: usize, log: &mut Log) {
        self.written += bytes as u64;
        log.counts.bytes += bytes as u64;
        while let Some((_, line, fate)) = self.marks.pop_front_if(|(end, ..)| *end <= self.written)
        {
            log.settle(line, fate);
        }
    }

    /// Says that nothing goes to the socket any more.
    pub(super) fn gone(&mut self, log: &mut Log) {
        for (_, line, _) in self.marks.drain(..) {
            log.settle(line, Fate::Cut);
        }
    }
}
