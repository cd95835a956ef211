//! Returning leases whose time is over, or whose process is gone.

use std::collections::HashSet;

use rusqlite::{Row, Transaction, params};

use super::fault::Fault;
use super::finish::{Held, Trouble, end_in_trouble};
use super::rows::{count, json_list, task_id};
use crate::reasons::{LOST, RAN_OUT};
use crate::{AttemptOutcome, Budgets, Expired, Reaped, TaskId, TaskState};

const GONE: &str = "the worker's process is gone";

/// The open queues that hold leases.
pub(super) fn holders(tx: &Transaction<'_>) -> Result<HashSet<String>, Fault> {
    let mut find = tx.prepare_cached("SELECT DISTINCT holder FROM lease")?;
    let holders = find.query_map([], |row| row.get(0))?;
    Ok(holders.collect::<Result<_, _>>()?)
}

/// Whether there is anything to reap, which keeps an idle queue free of writes.
pub(super) fn any_lapsed(tx: &Transaction<'_>, now: i64, gone: &[String]) -> Result<bool, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/lapsed.sql"))?;
    Ok(find.exists(params![now, json_list(gone), 1])?)
}

/// Returns leases; see [`Queue::reap`](crate::Queue::reap).
pub(super) fn reap(
    tx: &Transaction<'_>,
    now: i64,
    gone: &[String],
    limit: usize,
    budgets: Budgets,
) -> Result<Reaped, Fault> {
    let mut lapsed = lapsed(tx, now, gone, limit + 1)?;
    let mut reaped = Reaped {
        more: lapsed.len() > limit,
        ..Reaped::default()
    };
    lapsed.truncate(limit);
    for Lapsed { id, late, held } in lapsed {
        let expired = Expired {
            task: id,
            generation: held.generation,
            worker: held.worker.clone(),
        };
        let expiries = held.expiries + 1;
        let trouble = Trouble {
            // The lost attempt counts as an expiry, not as a failure.
            attempts: held.attempts.saturating_sub(1),
            expiries,
            due_ms: (expiries < budgets.expiries).then_some(now),
            outcome: AttemptOutcome::Expired,
            reason: LOST,
            message: if late { RAN_OUT } else { GONE },
        };
        match end_in_trouble(tx, now, &held, &trouble)? {
            TaskState::Dead => reaped.dead.push(expired),
            _ => reaped.returned.push(expired),
        }
    }
    Ok(reaped)
}

struct Lapsed {
    id: TaskId,
    late: bool,
    held: Held,
}

fn lapsed(
    tx: &Transaction<'_>,
    now: i64,
    gone: &[String],
    limit: usize,
) -> Result<Vec<Lapsed>, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/lapsed.sql"))?;
    let rows = find.query_map(
        params![now, json_list(gone), limit as i64],
        |row: &Row<'_>| {
            let held = Held {
                seq: row.get(0)?,
                generation: count(row, 2)?,
                attempts: row.get(3)?,
                expiries: row.get(4)?,
                worker: row.get(5)?,
                started_ms: row.get(6)?,
                request: row.get(7)?,
            };
            Ok(Lapsed {
                id: task_id(row, 1)?,
                late: row.get(8)?,
                held,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}
