//! A file's bytes on their way out, with what goes wrong with them.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

use super::fault_book::Effects;

const CHUNK: u64 = 64 << 10;
/// Lets the connection flush what it holds before it is closed.
const FLUSH: Duration = Duration::from_millis(25);

/// The part of a body that goes out.
pub(crate) struct Span {
    /// Where it begins in the file.
    pub(crate) from: u64,
    /// How many bytes there are to send.
    pub(crate) bytes: u64,
    /// What `Content-Length` says.
    pub(crate) declared: u64,
    /// The size of the file.
    pub(crate) file_bytes: u64,
}

struct Sending {
    from: Box<dyn AsyncRead + Send + Unpin>,
    at: u64,
    left: u64,
    /// Bytes until the socket closes; `None`: the body ends in order.
    until_cut: Option<u64>,
    until_stall: Option<(u64, Duration)>,
    flipped: Option<u64>,
    bytes_per_second: Option<u64>,
    sent: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
}

/// The body of a file.
pub(crate) async fn of_file(
    path: &Path,
    span: Span,
    effects: &Effects,
    sent: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> io::Result<Body> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(span.from)).await?;
    Ok(body(Box::new(file), span, effects, sent, stop))
}

/// A body that is at hand.
pub(crate) fn of_bytes(
    bytes: Vec<u8>,
    effects: &Effects,
    sent: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> Body {
    let count = bytes.len() as u64;
    let span = Span {
        from: 0,
        bytes: count,
        declared: count,
        file_bytes: count,
    };
    body(Box::new(io::Cursor::new(bytes)), span, effects, sent, stop)
}

fn body(
    from: Box<dyn AsyncRead + Send + Unpin>,
    span: Span,
    effects: &Effects,
    sent: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> Body {
    let share = |percent: u8, of: u64| (of * u64::from(percent)).div_ceil(100);
    let cut = effects
        .cut_percent
        .map(|percent| share(percent, span.declared));
    let short = (span.declared > span.bytes).then_some(span.bytes);
    let sending = Sending {
        from,
        at: span.from,
        left: span.bytes.min(span.declared),
        until_cut: match (cut, short) {
            (Some(cut), Some(short)) => Some(cut.min(short)),
            // Cut after all of it is no cut.
            (Some(cut), None) => (cut < span.declared).then_some(cut),
            (None, short) => short,
        },
        until_stall: effects.stall.map(|(seconds, percent)| {
            (
                share(percent, span.declared),
                Duration::from_secs_f64(seconds),
            )
        }),
        flipped: effects
            .corrupt_percent
            .map(|percent| share(percent, span.file_bytes.saturating_sub(1))),
        bytes_per_second: effects.bytes_per_second,
        sent,
        stop,
    };
    Body::from_stream(stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        let mut stop = sending.stop.clone();
        let chunk = tokio::select! {
            chunk = sending.next() => chunk?,
            _ = stop.wait_for(|stopped| *stopped) => Err(io::Error::other("the server stops")),
        };
        let next = chunk.is_ok().then_some(sending);
        Some((chunk, next))
    }))
}

impl Sending {
    /// The next chunk; `None` at the end, an error to close the socket.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some((0, length)) = self.until_stall {
            tokio::time::sleep(length).await;
            self.until_stall = None;
        }
        if self.until_cut == Some(0) {
            tokio::time::sleep(FLUSH).await;
            return Some(Err(io::Error::other("cut on purpose")));
        }
        let stops = [self.until_cut, self.until_stall.map(|(bytes, _)| bytes)];
        let mut size = stops
            .into_iter()
            .flatten()
            .fold(self.left.min(CHUNK), u64::min);
        if size == 0 {
            return None;
        }
        if let Some(rate) = self.bytes_per_second {
            size = size.min(rate.div_ceil(20));
            let wait = Duration::from_secs_f64(size as f64 / rate as f64);
            tokio::time::sleep(wait).await;
        }
        let mut chunk = vec![0; size as usize];
        if let Err(error) = self.from.read_exact(&mut chunk).await {
            return Some(Err(error));
        }
        if let Some(flipped) = self.flipped
            && let Some(offset) = flipped.checked_sub(self.at)
            && let Some(byte) = chunk.get_mut(offset as usize)
        {
            *byte ^= 0x10;
        }
        self.at += size;
        self.left -= size;
        self.until_cut = self.until_cut.map(|bytes| bytes - size);
        self.until_stall = self
            .until_stall
            .map(|(bytes, length)| (bytes - size, length));
        self.sent.fetch_add(size, Ordering::Relaxed);
        Some(Ok(Bytes::from(chunk)))
    }
}
