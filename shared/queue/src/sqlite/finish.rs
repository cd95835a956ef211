//! How an attempt ends: complete, fail, release, and the fence in front of all three.

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::fault::Fault;
use super::rows::{state_number, stored};
use crate::clock::millis;
use crate::limits::MAX_HISTORY;
use crate::stats::{RATE_SLOT, RATE_WINDOW};
use crate::{
    AttemptOutcome, Budgets, Completion, Lease, Outcome, QueueError, Retry, TaskId, TaskState,
};

/// A leased task, as far as ending its attempt needs it.
pub(super) struct Held {
    pub(super) seq: i64,
    pub(super) generation: u64,
    pub(super) attempts: u32,
    pub(super) expiries: u32,
    pub(super) worker: String,
    pub(super) started_ms: i64,
    pub(super) request: Vec<u8>,
}

/// The task behind a lease that is held: the fence. Everything else is refused.
pub(super) fn held(tx: &Transaction<'_>, lease: &Lease) -> Result<Held, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/held.sql"))?;
    // A generation beyond the file's range was never given out.
    let generation = i64::try_from(lease.generation).map_err(|_| lost(lease))?;
    let held = find.query_row(
        params![
            lease.task.as_str(),
            generation,
            &lease.request.as_bytes()[..]
        ],
        |row| {
            Ok(Held {
                seq: row.get(0)?,
                generation: lease.generation,
                attempts: row.get(1)?,
                expiries: row.get(2)?,
                worker: row.get(3)?,
                started_ms: row.get(4)?,
                request: row.get(5)?,
            })
        },
    );
    held.optional()?.ok_or_else(|| lost(lease).into())
}

/// The lease on a task, whoever has it.
pub(super) fn holding(tx: &Transaction<'_>, task: &TaskId, generation: u64) -> Result<Held, Fault> {
    let mut find = tx.prepare_cached(
        "SELECT request FROM lease WHERE seq = (SELECT seq FROM task WHERE id = ?1)",
    )?;
    let request: [u8; 16] = find.query_row([task.as_str()], |row| row.get(0))?;
    held(
        tx,
        &Lease {
            task: task.clone(),
            generation,
            request: Uuid::from_bytes(request),
        },
    )
}

fn lost(lease: &Lease) -> QueueError {
    QueueError::LeaseLost {
        task: lease.task.clone(),
        generation: lease.generation,
    }
}

/// Finishes a task; see [`Queue::complete`](crate::Queue::complete).
pub(super) fn complete(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    completion: &Completion,
) -> Result<(), Fault> {
    let held = match held(tx, lease) {
        Err(Fault::Refused(_)) if was_completed_by(tx, lease)? => return Ok(()),
        held => held?,
    };
    let state = match completion.outcome {
        Outcome::Done => TaskState::Done,
        Outcome::Missing => TaskState::Missing,
    };
    end_lease(tx, &held)?;
    finish(
        tx,
        held.seq,
        state,
        now,
        Some((held.generation, &held.request)),
        &completion.summary,
    )?;
    tx.prepare_cached("UPDATE control SET completions = completions + 1")?
        .execute([])?;
    count_completion(tx, now, &held, completion)
}

fn was_completed_by(tx: &Transaction<'_>, lease: &Lease) -> Result<bool, Fault> {
    let mut find = tx.prepare_cached(
        "SELECT 1 FROM task WHERE id = ?1 AND generation = ?2
         AND finished_generation = ?2 AND finished_request = ?3",
    )?;
    Ok(find.exists(params![
        lease.task.as_str(),
        lease.generation as i64,
        &lease.request.as_bytes()[..]
    ])?)
}

/// Records a task as finished; `by`, generation and request, is absent when nobody worked on it here.
pub(super) fn finish(
    tx: &Transaction<'_>,
    seq: i64,
    state: TaskState,
    now: i64,
    by: Option<(u64, &[u8])>,
    summary: &str,
) -> Result<(), Fault> {
    let generation = by.map(|(generation, _)| generation as i64);
    let request = by.map(|(_, request)| request);
    tx.prepare_cached(include_str!("sql/finish.sql"))?
        .execute(params![
            seq,
            state_number(state),
            now,
            generation,
            request,
            summary
        ])?;
    Ok(())
}

fn count_completion(
    tx: &Transaction<'_>,
    now: i64,
    held: &Held,
    completion: &Completion,
) -> Result<(), Fault> {
    let slot = now / millis(RATE_SLOT);
    tx.prepare_cached(include_str!("sql/count_completion.sql"))?
        .execute(params![
            slot,
            stored(completion.rows),
            stored(completion.bytes),
            held.started_ms,
        ])?;
    let first_kept = (now - millis(RATE_WINDOW)) / millis(RATE_SLOT);
    tx.prepare_cached("DELETE FROM rate WHERE slot < ?1")?
        .execute([first_kept])?;
    Ok(())
}

/// Reports a failed attempt; see [`Queue::fail`](crate::Queue::fail).
pub(super) fn fail(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    retry: Retry,
    budgets: Budgets,
    (reason, message): (&str, &str),
) -> Result<TaskState, Fault> {
    let held = held(tx, lease)?;
    let due_ms = match retry {
        Retry::After(delay) if held.attempts < budgets.attempts => Some(now + millis(delay)),
        Retry::After(_) | Retry::Final => None,
    };
    let trouble = Trouble {
        attempts: held.attempts,
        expiries: held.expiries,
        due_ms,
        outcome: AttemptOutcome::Failed,
        reason,
        message,
    };
    end_in_trouble(tx, now, &held, &trouble)
}

/// What went wrong with an attempt, and where it leaves the task.
pub(super) struct Trouble<'a> {
    pub(super) attempts: u32,
    pub(super) expiries: u32,
    /// When to try again; absent means dead.
    pub(super) due_ms: Option<i64>,
    pub(super) outcome: AttemptOutcome,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

/// Ends an attempt with an entry in the task's history.
pub(super) fn end_in_trouble(
    tx: &Transaction<'_>,
    now: i64,
    held: &Held,
    trouble: &Trouble<'_>,
) -> Result<TaskState, Fault> {
    let Trouble {
        attempts,
        expiries,
        due_ms,
        outcome,
        reason,
        message,
    } = trouble;
    let state = if due_ms.is_some() {
        TaskState::Pending
    } else {
        TaskState::Dead
    };
    let due = due_ms.unwrap_or(now);
    end_lease(tx, held)?;
    tx.prepare_cached(include_str!("sql/troubled.sql"))?
        .execute(params![
            held.seq,
            state_number(state),
            attempts,
            expiries,
            due,
            due > now,
            reason,
            message,
        ])?;
    tx.prepare_cached(include_str!("sql/remember_trouble.sql"))?
        .execute(params![
            held.seq,
            held.generation as i64,
            held.worker,
            held.started_ms,
            now,
            outcome.as_str(),
            reason,
            message,
        ])?;
    tx.prepare_cached(include_str!("sql/forget_trouble.sql"))?
        .execute(params![held.seq, MAX_HISTORY as i64])?;
    Ok(state)
}

/// Hands a task back; see [`Queue::release`](crate::Queue::release).
pub(super) fn release(tx: &Transaction<'_>, now: i64, lease: &Lease) -> Result<(), Fault> {
    let held = held(tx, lease)?;
    end_lease(tx, &held)?;
    // Its rank is what it was, so it stands where it stood: before all that was behind it.
    tx.prepare_cached(
        "UPDATE task SET state = 0, waiting = 0, due_ms = ?2, attempts = max(attempts - 1, 0)
         WHERE seq = ?1",
    )?
    .execute(params![held.seq, now])?;
    Ok(())
}

fn end_lease(tx: &Transaction<'_>, held: &Held) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM lease WHERE seq = ?1")?
        .execute([held.seq])?;
    Ok(())
}
