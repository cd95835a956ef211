//! What scripts tell of tasks, workers and the queue, as the types of the trait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reply::Fields;
use crate::clock::{millis, until};
use crate::stats::{RATE_SLOT, RATE_WINDOW};
use crate::{
    Attempt, AttemptOutcome, Claim, Claimed, Expired, HeartbeatReply, LostReason, Progress,
    QueueError, Reaped, Stats, TaskId, TaskRecord, TaskState, Wait, WorkerRecord, WorkerState,
    WorkingOn,
};

/// Milliseconds as a duration; negative ones are none.
pub(super) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A brake, if there is one.
pub(super) fn brake(ms: i64) -> Option<Duration> {
    (ms > 0).then(|| duration(ms))
}

/// Of `claim.lua`.
pub(super) fn claimed(mut fields: Fields, request: uuid::Uuid) -> Result<Claimed, QueueError> {
    let (hint, ms) = (fields.text()?, fields.int()?);
    let wait = match hint.as_str() {
        "ready" => Wait::Ready,
        "paused" => Wait::Paused,
        "braked" => Wait::Braked(duration(ms)),
        "not_before" => Wait::NotBefore(duration(ms)),
        "empty" => Wait::Empty,
        other => return Err(fields.damaged(&format!("an unknown hint {other:?}"))),
    };
    let mut claims = Vec::new();
    while !fields.is_empty() {
        claims.push(Claim {
            task: TaskId::new(fields.text()?),
            dataset: fields.text()?,
            generation: fields.count()?,
            request,
            attempt: fields.small()?,
            deadline_in: duration(fields.int()?),
            bytes: fields.count()?,
            spec: fields.text()?,
        });
    }
    Ok(Claimed { claims, wait })
}

/// Of `heartbeat.lua`.
pub(super) fn heard(mut fields: Fields) -> Result<HeartbeatReply, QueueError> {
    let mut reply = HeartbeatReply {
        paused: fields.int()? == 1,
        brake: brake(fields.int()?),
        lost: Vec::new(),
    };
    while !fields.is_empty() {
        let task = TaskId::new(fields.text()?);
        let reason = match fields.text()?.as_str() {
            "cancelled" => LostReason::Cancelled,
            "finished" => LostReason::Finished,
            _ => LostReason::Reclaimed,
        };
        reply.lost.push((task, reason));
    }
    Ok(reply)
}

/// Of `reap.lua`.
pub(super) fn reaped(mut fields: Fields) -> Result<Reaped, QueueError> {
    let mut reaped = Reaped {
        more: fields.int()? == 1,
        ..Reaped::default()
    };
    while !fields.is_empty() {
        let expired = Expired {
            task: TaskId::new(fields.text()?),
            generation: fields.count()?,
            worker: fields.text()?,
        };
        if fields.int()? == 1 {
            reaped.dead.push(expired);
        } else {
            reaped.returned.push(expired);
        }
    }
    Ok(reaped)
}

/// A state, absent for a task that is not there.
pub(super) fn state(fields: &mut Fields) -> Result<Option<TaskState>, QueueError> {
    let number = fields.int()?;
    if number == -1 {
        return Ok(None);
    }
    let state = usize::try_from(number)
        .ok()
        .and_then(|index| TaskState::ALL.get(index));
    let state = state.ok_or_else(|| fields.damaged(&format!("an unknown state {number}")))?;
    Ok(Some(*state))
}

/// The number a state is stored as.
pub(super) fn state_number(state: TaskState) -> usize {
    state.index()
}

/// Of `view.lua`.
pub(super) fn record(mut fields: Fields) -> Result<TaskRecord, QueueError> {
    let id = TaskId::new(fields.text()?);
    let state = state(&mut fields)?.ok_or_else(|| fields.damaged("a task without a state"))?;
    let mut record = TaskRecord {
        id,
        state,
        generation: fields.count()?,
        attempts: fields.small()?,
        expiries: fields.small()?,
        not_before_ms: fields.opt_int()?,
        dataset: fields.text()?,
        spec: fields.text()?,
        bytes: fields.count()?,
        reason: fields.opt_text()?,
        message: fields.opt_text()?,
        summary: fields.opt_text()?,
        worker: fields.opt_text()?,
        progress: None,
        history: Vec::new(),
    };
    let progress = [fields.opt_int()?, fields.opt_int()?, fields.opt_int()?];
    if let [Some(bytes), Some(total), Some(rows)] = progress {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        record.progress = Some(Progress {
            bytes: count(bytes),
            bytes_total: count(total),
            rows: count(rows),
        });
    }
    if let Some(mut history) = fields.opt_list()? {
        while !history.is_empty() {
            record.history.push(attempt(history.list()?)?);
        }
    }
    Ok(record)
}

fn attempt(mut fields: Fields) -> Result<Attempt, QueueError> {
    Ok(Attempt {
        generation: fields.count()?,
        worker: fields.text()?,
        started_ms: fields.int()?,
        ended_ms: fields.int()?,
        outcome: match fields.text()?.as_str() {
            "failed" => AttemptOutcome::Failed,
            "cancelled" => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Expired,
        },
        reason: fields.text()?,
        message: fields.text()?,
    })
}

/// Of `stats.lua`.
pub(super) fn stats(mut fields: Fields, store_bytes: u64) -> Result<Stats, QueueError> {
    let now = fields.int()?;
    let mut stats = Stats {
        paused: fields.int()? == 1,
        brake: brake(fields.int()?),
        completions: fields.count()?,
        store_bytes,
        ..Stats::default()
    };
    let age = |since: Option<i64>| since.map(|since| until(now, since));
    stats.oldest_pending_age = age(fields.opt_int()?);
    stats.oldest_lease_age = age(fields.opt_int()?);
    counts(&mut fields.list()?, &mut stats)?;
    (stats.rows_per_second, stats.bytes_per_second) = rates(&mut fields.list()?, now)?;
    let mut workers = fields.list()?;
    while !workers.is_empty() {
        let state = WorkerState::of(&workers.text()?);
        stats.workers[state.index()] += workers.count()?;
    }
    Ok(stats)
}

/// Fields such as `t0 aggTrades` (tasks) and `b0 aggTrades` (bytes), the digit being a state.
fn counts(fields: &mut Fields, stats: &mut Stats) -> Result<(), QueueError> {
    while !fields.is_empty() {
        let (name, number) = (fields.text()?, fields.count()?);
        let parts = name.split_at_checked(3).and_then(|(kind, dataset)| {
            let state = kind[1..2]
                .parse::<usize>()
                .ok()
                .filter(|state| *state < TaskState::ALL.len());
            Some((kind.as_bytes()[0], state?, dataset))
        });
        let Some((kind, state, dataset)) = parts else {
            return Err(fields.damaged(&format!("an unknown count {name:?}")));
        };
        let count = &mut stats.datasets.entry(dataset.to_owned()).or_default()[state];
        match kind {
            b't' => count.tasks = number,
            _ => count.bytes = number,
        }
    }
    let has_tasks = |of: &crate::StateCounts| of.iter().any(|count| count.tasks > 0);
    stats.datasets.retain(|_, of| has_tasks(of));
    Ok(())
}

/// Rows and bytes per second over recent completions.
fn rates(fields: &mut Fields, now: i64) -> Result<(f64, f64), QueueError> {
    let window_start = now - millis(RATE_WINDOW);
    let first_slot = window_start / millis(RATE_SLOT);
    let (mut rows, mut bytes, mut began) = (0, 0, None::<i64>);
    while !fields.is_empty() {
        let slot = fields.int()?;
        let (slot_rows, slot_bytes, slot_began) = (fields.count()?, fields.count()?, fields.int()?);
        if slot >= first_slot {
            rows += slot_rows;
            bytes += slot_bytes;
            began = Some(began.map_or(slot_began, |began| began.min(slot_began)));
        }
    }
    // From when the work began, so that the first completion of a young queue is not divided by the
    // moment since it came in.
    let since = began.unwrap_or(now).max(window_start);
    let seconds = ((now - since) as f64 / 1e3).max(1.0);
    Ok((rows as f64 / seconds, bytes as f64 / seconds))
}

/// Of `workers.lua`.
pub(super) fn workers(mut fields: Fields) -> Result<Vec<WorkerRecord>, QueueError> {
    let mut workers = BTreeMap::new();
    let mut records = fields.list()?;
    while !records.is_empty() {
        let id = records.text()?;
        let state = WorkerState::of(&records.text()?);
        let worker = WorkerRecord {
            id: id.clone(),
            state,
            tasks: Vec::new(),
            seen_ago: duration(records.int()?),
        };
        workers.insert(id, worker);
    }
    let mut leases = fields.list()?;
    while !leases.is_empty() {
        let worker = leases.text()?;
        let task = WorkingOn {
            task: TaskId::new(leases.text()?),
            generation: leases.count()?,
            progress: Progress {
                bytes: leases.count()?,
                bytes_total: leases.count()?,
                rows: leases.count()?,
            },
            held_for: duration(leases.int()?),
        };
        if let Some(worker) = workers.get_mut(&worker) {
            worker.tasks.push(task);
        }
    }
    let mut workers: Vec<_> = workers.into_values().collect();
    for worker in &mut workers {
        worker.tasks.sort_by(|a, b| a.task.cmp(&b.task));
    }
    Ok(workers)
}
