//! Which connection's messages are stored: each stream has one that leads, and at most one that shadows it. What the shadow brings
//! is remembered for some seconds, and stored where the leader breaks, is replaced, lacks a message, or goes silent.

use std::time::{Duration, Instant};

use tapemill_market::Symbol;
use tapemill_stream::Kind;

use super::Recorder;
use super::stream::{Received, Source};

/// A leader that has brought nothing for so long, while its shadow did, leads no longer.
const TAKE_OVER: Duration = Duration::from_secs(2);

/// The cause of what may be missing where a leader was silent.
const SILENT: &str = "silent";

impl Recorder {
    /// A connection subscribed to streams: from now on they are waited for.
    pub fn subscribed(&mut self, streams: &[String], received: Received) {
        for name in streams {
            if let Some(&number) = self.by_name.get(name) {
                self.streams[number].seen.get_or_insert(received.at);
            }
        }
    }

    /// The exchange took a connection's subscriptions: from now on all that these streams bring comes by it too.
    pub fn taken(&mut self, connection: i32, streams: &[String], at: Instant) {
        for name in streams {
            if let Some(&number) = self.by_name.get(name) {
                self.streams[number].sources.push(Source {
                    connection,
                    taken: at,
                    last: None,
                    owes: None,
                });
            }
        }
    }

    /// Whether the exchange took all subscriptions of a connection.
    pub fn is_taken(&self, connection: i32, streams: &[String]) -> bool {
        streams.iter().all(|name| {
            let stream = self.by_name.get(name).map(|&number| &self.streams[number]);
            stream.is_none_or(|stream| stream.source(connection).is_some())
        })
    }

    /// A connection ended: what it led goes on where it was shadowed, and is interrupted elsewhere.
    pub fn lost(&mut self, connection: i32, cause: &'static str) {
        self.told.remove(&connection);
        let heard = self.heard.remove(&connection);
        for number in 0..self.streams.len() {
            let stream = &mut self.streams[number];
            stream
                .sources
                .retain(|source| source.connection != connection);
            if stream.shadow == Some(connection) {
                stream.shadow = None;
                stream.ring.clear();
            }
            if stream.leader == Some(connection) {
                stream.leader = None;
                if stream.last.is_some() && !stream.is_covered(connection, heard) {
                    stream.interrupted = Some(cause);
                }
                if let Some(shadow) = stream.shadow {
                    self.promote_one(number, shadow);
                }
            }
        }
    }

    /// A connection leads from now on, in all streams that it shadows: what it brought meanwhile is stored.
    pub fn promote(&mut self, connection: i32, cause: &'static str) {
        for number in 0..self.streams.len() {
            let stream = &mut self.streams[number];
            if stream.shadow == Some(connection) {
                let before = stream.leader.unwrap_or(connection);
                let heard = self.heard.get(&before).copied();
                if stream.last.is_some() && !stream.is_covered(before, heard) {
                    stream.interrupted = Some(cause);
                }
                self.promote_one(number, connection);
            }
        }
    }

    fn promote_one(&mut self, number: usize, connection: i32) {
        let stream = &mut self.streams[number];
        stream.leader = Some(connection);
        stream.shadow = None;
        for shadowed in std::mem::take(&mut stream.ring) {
            self.store(number, connection, &shadowed.data, shadowed.received);
        }
    }

    /// Whether a connection could lead without a loss: all it subscribed to that ever brought anything, it shadows.
    pub fn could_lead(&self, connection: i32, streams: &[String]) -> bool {
        streams.iter().all(|name| {
            let stream = self.by_name.get(name).map(|&number| &self.streams[number]);
            stream.is_none_or(|stream| {
                stream.last.is_none()
                    || stream.leader == Some(connection)
                    || (stream.shadow == Some(connection) && !stream.ring.is_empty())
            })
        })
    }

    /// The streams of these that have brought nothing for so long, each with its symbol and kind.
    pub fn silent(
        &self,
        streams: &[String],
        now: Instant,
        limit: Duration,
    ) -> Vec<(String, Symbol, Kind)> {
        let streams = streams.iter().filter_map(|name| self.by_name.get(name));
        let streams = streams.map(|&number| &self.streams[number]);
        streams
            .filter(|stream| {
                stream
                    .seen
                    .is_some_and(|seen| now.saturating_duration_since(seen) > limit)
            })
            .map(|stream| {
                let kind = stream.channel.kind();
                (stream.name.clone(), stream.symbol_name.clone(), kind)
            })
            .collect()
    }

    /// The time of the last message that was stored of a stream, in the exchange's milliseconds.
    pub fn last_ms(&self, stream: &str) -> Option<i64> {
        let &number = self.by_name.get(stream)?;
        Some(self.streams[number].last?.event_ms)
    }

    /// The stream is as it should be, though it brought nothing: it is waited for anew.
    pub fn excuse(&mut self, stream: &str, now: Instant) {
        if let Some(&number) = self.by_name.get(stream) {
            self.streams[number].seen = Some(now);
        }
    }

    /// Leader and shadow change places.
    pub(super) fn swap(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        if let Some(shadow) = stream.shadow {
            let before = stream.leader;
            self.promote_one(number, shadow);
            self.streams[number].shadow = before;
        }
    }

    /// Streams whose leader is silent while its shadow is not are led by the shadow from now on.
    pub fn take_over(&mut self, now: Instant) {
        for number in 0..self.streams.len() {
            let stream = &mut self.streams[number];
            if !stream.is_shadowed() {
                continue;
            }
            let leader = stream.leader.and_then(|leader| stream.source(leader));
            let is_late = leader
                .and_then(|source| source.owes)
                .is_some_and(|since| now.saturating_duration_since(since) > TAKE_OVER);
            if is_late {
                // Unless the shadow brought the last message too: then nothing is missing in between.
                stream.interrupted = stream.interrupted.or(stream.last.map(|_| SILENT));
                self.swap(number);
            }
        }
    }

    /// Of these streams one that a connection has not brought for so long, while another did.
    pub fn owed(
        &self,
        connection: i32,
        streams: &[String],
        now: Instant,
        limit: Duration,
    ) -> Option<&str> {
        let streams = streams.iter().filter_map(|name| self.by_name.get(name));
        let mut streams = streams.map(|&number| &self.streams[number]);
        let owed = streams.find(|stream| {
            let source = stream.source(connection);
            source
                .and_then(|source| source.owes)
                .is_some_and(|since| now.saturating_duration_since(since) > limit)
        });
        owed.map(|stream| stream.name.as_str())
    }
}
