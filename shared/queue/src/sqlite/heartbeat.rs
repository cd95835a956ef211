//! Extending leases, and telling a worker what it should know.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::control::{brake_left, is_paused};
use super::fault::Fault;
use super::rows::{count, state, stored};
use crate::clock::millis;
use crate::reasons::CANCELLED;
use crate::worker::remembered;
use crate::{Beat, HeartbeatReply, HeartbeatRequest, Lease, LostReason, TaskState, WorkerState};

/// A heartbeat that owns what it names.
pub(super) struct Beating {
    worker: String,
    state: WorkerState,
    holder: String,
    lease: Duration,
    beats: Vec<Beat>,
}

impl Beating {
    pub(super) fn new(request: &HeartbeatRequest<'_>, holder: String) -> Self {
        Self {
            worker: request.worker.as_str().to_owned(),
            state: request.state,
            holder,
            lease: request.lease,
            beats: request.beats.to_vec(),
        }
    }
}

/// Extends leases; see [`Queue::heartbeat`](crate::Queue::heartbeat).
pub(super) fn heartbeat(
    tx: &Transaction<'_>,
    now: i64,
    beating: &Beating,
) -> Result<HeartbeatReply, Fault> {
    record_worker(tx, now, beating)?;
    let deadline = now + millis(beating.lease);
    let mut lost = Vec::new();
    for beat in &beating.beats {
        if !extend(tx, beat, deadline, &beating.holder)? {
            lost.push((beat.lease.task.clone(), why_lost(tx, &beat.lease)?));
        }
    }
    Ok(HeartbeatReply {
        lost,
        paused: is_paused(tx)?,
        brake: brake_left(tx, now)?,
    })
}

fn extend(tx: &Transaction<'_>, beat: &Beat, deadline: i64, holder: &str) -> Result<bool, Fault> {
    let Ok(generation) = i64::try_from(beat.lease.generation) else {
        return Ok(false);
    };
    let extended = tx
        .prepare_cached(include_str!("sql/beat.sql"))?
        .execute(params![
            beat.lease.task.as_str(),
            generation,
            deadline,
            holder,
            stored(beat.progress.bytes),
            stored(beat.progress.bytes_total),
            stored(beat.progress.rows),
            &beat.lease.request.as_bytes()[..],
        ])?;
    Ok(extended == 1)
}

fn why_lost(tx: &Transaction<'_>, lease: &Lease) -> Result<LostReason, Fault> {
    let mut find = tx.prepare_cached("SELECT state, generation, reason FROM task WHERE id = ?1")?;
    let found = find.query_row([lease.task.as_str()], |row| {
        Ok((
            state(row, 0)?,
            count(row, 1)?,
            row.get::<_, Option<String>>(2)?,
        ))
    });
    Ok(match found.optional()? {
        None => LostReason::Cancelled,
        Some((TaskState::Done | TaskState::Missing, ..)) => LostReason::Finished,
        Some((TaskState::Dead, generation, Some(reason)))
            if generation == lease.generation && reason == CANCELLED =>
        {
            LostReason::Cancelled
        }
        Some(_) => LostReason::Reclaimed,
    })
}

fn record_worker(tx: &Transaction<'_>, now: i64, beating: &Beating) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM worker WHERE expires_ms <= ?1")?
        .execute([now])?;
    if beating.state == WorkerState::Draining && beating.beats.is_empty() {
        tx.prepare_cached("DELETE FROM worker WHERE id = ?1")?
            .execute([&beating.worker])?;
        return Ok(());
    }
    tx.prepare_cached(include_str!("sql/record_worker.sql"))?
        .execute(params![
            beating.worker,
            beating.state.as_str(),
            now,
            now + millis(remembered(beating.lease)),
        ])?;
    Ok(())
}
