//! What people do to a queue: retry, cancel, pause, brake, prune, clear, and its settings.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Error::FromSqlConversionFailure;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use super::fault::Fault;
use super::finish::{Trouble, end_in_trouble, holding};
use super::rows::{count, state};
use crate::clock::{millis, until};
use crate::reasons::{CANCELLED, CANCELLED_MESSAGE};
use crate::{AttemptOutcome, TaskId, TaskState, settings};

/// Gives tasks fresh budgets; see [`Queue::retry`](crate::Queue::retry).
pub(super) fn retry(tx: &Transaction<'_>, now: i64, ids: &[TaskId]) -> Result<u64, Fault> {
    let mut retried = 0;
    for id in ids {
        let Some((seq, state, _)) = find(tx, id)? else {
            continue;
        };
        match state {
            TaskState::Dead => {
                tx.prepare_cached(include_str!("sql/reopen.sql"))?
                    .execute(params![seq, now])?;
            }
            TaskState::Pending => {
                // One that waits may start now; one that does not has waited since before.
                let fresh = "UPDATE task
                    SET attempts = 0, expiries = 0, due_ms = min(due_ms, ?2), waiting = 0
                    WHERE seq = ?1";
                tx.prepare_cached(fresh)?.execute(params![seq, now])?;
            }
            TaskState::Leased => {
                // The attempt that runs is the first of the fresh budget.
                let fresh = "UPDATE task SET attempts = 1, expiries = 0 WHERE seq = ?1";
                tx.prepare_cached(fresh)?.execute([seq])?;
            }
            TaskState::Done | TaskState::Missing => continue,
        }
        retried += 1;
    }
    Ok(retried)
}

/// Gives tasks up; see [`Queue::cancel`](crate::Queue::cancel).
pub(super) fn cancel(tx: &Transaction<'_>, now: i64, ids: &[TaskId]) -> Result<u64, Fault> {
    let mut cancelled = 0;
    for id in ids {
        let Some((seq, state, generation)) = find(tx, id)? else {
            continue;
        };
        match state {
            TaskState::Pending => {
                let give_up = "UPDATE task
                    SET state = 4, waiting = 0, reason = ?2, message = ?3 WHERE seq = ?1";
                tx.prepare_cached(give_up)?
                    .execute(params![seq, CANCELLED, CANCELLED_MESSAGE])?;
            }
            TaskState::Leased => {
                let held = holding(tx, id, generation)?;
                let trouble = Trouble {
                    attempts: held.attempts,
                    expiries: held.expiries,
                    due_ms: None,
                    outcome: AttemptOutcome::Cancelled,
                    reason: CANCELLED,
                    message: CANCELLED_MESSAGE,
                };
                end_in_trouble(tx, now, &held, &trouble)?;
            }
            TaskState::Done | TaskState::Missing | TaskState::Dead => continue,
        }
        cancelled += 1;
    }
    Ok(cancelled)
}

fn find(tx: &Transaction<'_>, id: &TaskId) -> Result<Option<(i64, TaskState, u64)>, Fault> {
    let mut find = tx.prepare_cached("SELECT seq, state, generation FROM task WHERE id = ?1")?;
    let found = find.query_row([id.as_str()], |row| {
        Ok((row.get(0)?, state(row, 1)?, count(row, 2)?))
    });
    Ok(found.optional()?)
}

/// Whether claims are refused until someone resumes.
pub(super) fn is_paused(tx: &Transaction<'_>) -> Result<bool, Fault> {
    let mut find = tx.prepare_cached("SELECT paused FROM control")?;
    Ok(find.query_row([], |row| row.get(0))?)
}

/// How long claims are still refused, if they are.
pub(super) fn brake_left(tx: &Transaction<'_>, now: i64) -> Result<Option<Duration>, Fault> {
    let mut find = tx.prepare_cached("SELECT brake_until_ms FROM control")?;
    let left = until(find.query_row([], |row| row.get(0))?, now);
    Ok((!left.is_zero()).then_some(left))
}

/// How many completions were accepted.
pub(super) fn completions(tx: &Transaction<'_>) -> Result<u64, Fault> {
    let mut find = tx.prepare_cached("SELECT completions FROM control")?;
    Ok(find.query_row([], |row| count(row, 0))?)
}

/// Pauses or resumes.
pub(super) fn pause(tx: &Transaction<'_>, paused: bool) -> Result<(), Fault> {
    tx.execute("UPDATE control SET paused = ?1", [paused])?;
    Ok(())
}

/// Refuses claims for at least this long.
pub(super) fn brake(tx: &Transaction<'_>, now: i64, at_least: Duration) -> Result<(), Fault> {
    tx.execute(
        "UPDATE control SET brake_until_ms = max(brake_until_ms, ?1)",
        [now + millis(at_least)],
    )?;
    Ok(())
}

/// Forgets up to `limit` tasks that were finished long ago; returns how many.
pub(super) fn prune(
    tx: &Transaction<'_>,
    now: i64,
    older_than: Duration,
    limit: usize,
) -> Result<usize, Fault> {
    let latest = now - millis(older_than);
    let mut prune = tx.prepare_cached(include_str!("sql/prune.sql"))?;
    Ok(prune.execute(params![latest, limit as i64])?)
}

/// Deletes everything but the floor of generations.
pub(super) fn clear(tx: &Transaction<'_>) -> Result<(), Fault> {
    Ok(tx.execute_batch(include_str!("sql/clear.sql"))?)
}

/// The settings fixed in the queue.
pub(super) fn settings(tx: &Transaction<'_>) -> Result<Option<BTreeMap<String, String>>, Fault> {
    let stored: Option<String> =
        tx.query_row("SELECT settings FROM control", [], |row| row.get(0))?;
    let parsed = stored.map(|json| serde_json::from_str(&json)).transpose();
    Ok(parsed.map_err(|error| FromSqlConversionFailure(0, Type::Text, error.into()))?)
}

/// Stores the settings, or compares them with those stored.
pub(super) fn fix_settings(
    tx: &Transaction<'_>,
    ours: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    match settings(tx)? {
        Some(theirs) => Ok(settings::compare(&theirs, ours)?),
        None => {
            tx.execute(
                "UPDATE control SET settings = ?1",
                [json!(ours).to_string()],
            )?;
            Ok(())
        }
    }
}
