//! What faults do: to connections, to streams, to single frames.

use std::time::{Duration, Instant};

use super::{Player, SnapshotFault};
use crate::stream::connection::{Connection, Ending};
use crate::stream::fault::StreamFault;
use crate::stream::log::{Fate, Happened};
use crate::stream::wire;

impl Player {
    /// Lets a fault strike, on the connections of its moment where it names none. What it does to the frame of its
    /// moment comes back.
    pub(super) fn strike(&mut self, fault: StreamFault, of_moment: &[u32]) -> Option<StreamFault> {
        let kind = fault.name();
        self.note(fault.connection(), Happened::Fault { kind });
        let named = fault.connection().map(|connection| vec![connection]);
        let targets = named.unwrap_or_else(|| of_moment.to_vec());
        let wall_ms = self.wall_ms();
        for id in targets {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            if connection.is_open() {
                hit(connection, &fault, wall_ms);
            }
            connection.wake.notify_one();
        }
        match fault {
            StreamFault::Silence { stream, ms } => {
                let until = self
                    .moment_ns
                    .saturating_add((ms as i64).saturating_mul(1_000_000));
                let streams = self.streams.iter_mut();
                streams
                    .filter(|known| stream.as_ref().is_none_or(|name| **name == *known.name))
                    .for_each(|stream| stream.silent_until_ns = until);
            }
            StreamFault::Drop { stream, frames } => {
                if let Some(&at) = self.by_name.get(stream.as_str()) {
                    self.streams[at].withheld += frames;
                }
            }
            StreamFault::RefuseHandshake {
                status,
                retry_after,
                times,
            } => {
                let refusals = (0..times).map(|_| (status, retry_after));
                self.refusals.handshakes.extend(refusals);
            }
            StreamFault::OldSnapshot { behind, times } => {
                self.spoil(SnapshotFault::Old(behind), times);
            }
            StreamFault::SnapshotTimeout { times } => self.spoil(SnapshotFault::Never, times),
            StreamFault::SnapshotError {
                status,
                retry_after,
                times,
            } => self.spoil(SnapshotFault::Status(status, retry_after), times),
            StreamFault::Delist { symbol } => {
                let at = self.casts.iter().position(|cast| cast.upper == symbol);
                at.into_iter().for_each(|at| self.delisted[at] = true);
            }
            StreamFault::AckError { times } => self.refusals.acks += times,
            StreamFault::ClockSkew { ms } => self.skew_ms = ms,
            StreamFault::Duplicate
            | StreamFault::Malformed
            | StreamFault::BadUtf8
            | StreamFault::HalfFrame
            | StreamFault::UnknownField => return Some(fault),
            _ => {}
        }
        None
    }

    /// Lets a fault strike now, as [`Player::strike_all`] does.
    pub(in crate::stream) fn strike_now(&mut self, fault: StreamFault) {
        self.moment_ns = self.now_ns();
        self.strike_all(fault);
    }

    /// Lets a fault strike on all connections; one that is about a frame strikes the next.
    pub(super) fn strike_all(&mut self, fault: StreamFault) {
        let all: Vec<u32> = self.connections.keys().copied().collect();
        if let Some(twist) = self.strike(fault, &all) {
            self.pending.put_next(self.log.counts.played, twist);
        }
    }

    fn spoil(&mut self, how: SnapshotFault, times: u64) {
        let faults = (0..times).map(|_| how);
        self.refusals.snapshots.extend(faults);
    }
}

/// What a fault does to a connection.
fn hit(connection: &mut Connection, fault: &StreamFault, wall_ms: i64) {
    match fault {
        StreamFault::Close { code: 1006, .. } => {
            connection.end(Ending::Shut, "ended without a close frame".to_owned());
        }
        StreamFault::Close { code, .. } => connection.close(*code, "as it was told"),
        StreamFault::Reset { .. } => connection.end(Ending::Reset, "reset".to_owned()),
        StreamFault::Stall { ms, .. } => {
            let until = Instant::now().checked_add(Duration::from_millis(*ms));
            connection.stalled_until = until;
        }
        StreamFault::Mute { ms, .. } => {
            connection.muted_until = Instant::now().checked_add(Duration::from_millis(*ms));
        }
        StreamFault::Oversize { bytes, .. } => {
            let (before, after) = (r#"{"stream":"x@big","data":{"e":""#, r#""}}"#);
            let filler = "x".repeat(bytes.saturating_sub(before.len() + after.len()));
            let text = [before, &filler, after].concat();
            connection.say(&text);
        }
        StreamFault::UnknownEvent { .. } => {
            let data = format!(r#"{{"e":"somethingNew","E":{wall_ms},"s":"NEWUSDT","z":[1]}}"#);
            let text = match connection.is_raw {
                true => data,
                false => format!(r#"{{"stream":"newusdt@somethingNew","data":{data}}}"#),
            };
            connection.say(&text);
        }
        StreamFault::ServerShutdown { close_after_ms, .. } => {
            let text = format!(r#"{{"e":"serverShutdown","E":{wall_ms}}}"#);
            connection.say(&text);
            let close_at = Instant::now().checked_add(Duration::from_millis(*close_after_ms));
            connection.close_at = close_at;
        }
        _ => {}
    }
}

/// Puts a frame as faults made it, and says what will have become of it.
pub(super) fn twist(
    connection: &mut Connection,
    mut text: Vec<u8>,
    twists: &[StreamFault],
) -> Fate {
    let mut fate = Fate::Sent;
    for twist in twists {
        match twist {
            StreamFault::Malformed => {
                text.truncate(text.len() * 2 / 3);
                fate = Fate::Damaged;
            }
            StreamFault::BadUtf8 => {
                let middle = text.len() / 2;
                text[middle] = 0xff;
                fate = Fate::Damaged;
            }
            StreamFault::UnknownField => {
                let ends: &[u8] = if connection.is_raw { b"}" } else { b"}}" };
                text.truncate(text.len() - ends.len());
                text.extend(br#","zz":{"new":[1,"2"]}"#);
                text.extend(ends);
            }
            StreamFault::Duplicate => {
                connection.put(|out| wire::message(out, wire::TEXT, &text));
            }
            StreamFault::HalfFrame => {
                let mut whole = Vec::new();
                wire::message(&mut whole, wire::TEXT, &text);
                connection.put(|out| out.extend(&whole[..whole.len() / 2]));
                connection.end(Ending::Shut, "ended within a frame".to_owned());
                return Fate::Cut;
            }
            _ => {}
        }
    }
    connection.put(|out| wire::message(out, wire::TEXT, &text));
    fate
}
