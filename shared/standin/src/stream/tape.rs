//! What an exchange sent once, to be sent again.

use std::sync::Arc;

use super::scan;
use crate::{Market, StandinError};

/// Frames of one market in the order in which they came, and the snapshots asked for between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tape {
    /// The market.
    pub market: Market,
    /// Its symbols, upper case as the exchange writes them, in the order in which they first come.
    pub symbols: Vec<String>,
    /// Each frame, by the time it came.
    pub frames: Vec<Frame>,
    /// Each snapshot of a book, by the time it came.
    pub snapshots: Vec<Snapshot>,
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it came, in nanoseconds since the first line of the tape.
    pub at_ns: i64,
    /// The stream, as in `btcusdt@depth@100ms`.
    pub stream: Arc<str>,
    /// The whole message: `{"stream":"…","data":{…}}`.
    pub json: Box<str>,
}

/// The answer of `GET …/depth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When it came, in nanoseconds since the first line of the tape.
    pub at_ns: i64,
    /// How many frames came before it.
    pub frame: usize,
    /// Whose book it is, upper case.
    pub symbol: String,
    /// The whole answer, as it came.
    pub json: Box<str>,
}

impl Tape {
    /// An empty tape.
    pub fn new(market: Market) -> Self {
        let (symbols, frames, snapshots) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            market,
            symbols,
            frames,
            snapshots,
        }
    }

    /// Adds a frame behind the others.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] when it is no message of a stream.
    pub fn push(&mut self, at_ns: i64, json: &str) -> Result<(), StandinError> {
        let Some(stream) = scan::string(json, 0, "stream") else {
            return Err(StandinError::invalid("frame", "it has no field \"stream\""));
        };
        if scan::field(json, 0, "data").is_none() {
            return Err(StandinError::invalid("frame", "it has no field \"data\""));
        }
        let symbol = stream.split('@').next().unwrap_or_default().to_uppercase();
        if !self.symbols.contains(&symbol) {
            self.symbols.push(symbol);
        }
        // The same stream was named not long ago: its name is kept once.
        let recent = self.frames.iter().rev().take(64);
        let named = recent
            .map(|frame| &frame.stream)
            .find(|known| ***known == *stream);
        let stream = named.cloned().unwrap_or_else(|| stream.into());
        let json = json.into();
        self.frames.push(Frame {
            at_ns,
            stream,
            json,
        });
        Ok(())
    }

    /// Adds a snapshot behind the frames there are.
    pub fn push_snapshot(&mut self, at_ns: i64, symbol: &str, json: &str) {
        self.snapshots.push(Snapshot {
            at_ns,
            frame: self.frames.len(),
            symbol: symbol.to_owned(),
            json: json.into(),
        });
    }

    /// The names of its streams, in the order in which they first come.
    pub fn streams(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for frame in &self.frames {
            if !names.contains(&frame.stream) {
                names.push(Arc::clone(&frame.stream));
            }
        }
        names
    }

    /// The messages of one stream, in order.
    pub fn of<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a str> {
        let frames = self.frames.iter();
        frames
            .filter(move |frame| *frame.stream == *stream)
            .map(|frame| &*frame.json)
    }

    /// The same under names of another speed: recordings have `@depth@0ms` where a collector may want `@depth@100ms`.
    #[must_use]
    pub fn with_depth_speed(mut self, speed: &str) -> Self {
        for frame in &mut self.frames {
            let Some((symbol, _)) = frame.stream.split_once("@depth") else {
                continue;
            };
            let renamed = format!("{symbol}@depth@{speed}");
            let old = format!("\"{}\"", frame.stream);
            frame.json = frame
                .json
                .replacen(&old, &format!("\"{renamed}\""), 1)
                .into();
            frame.stream = renamed.into();
        }
        self
    }
}
