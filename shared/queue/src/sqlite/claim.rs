//! Taking leases.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{CachedStatement, Row, ToSql, Transaction, params};

use super::control::{brake_left, is_paused};
use super::fault::Fault;
use super::rows::{count, json_list, task_id};
use crate::clock::{millis, until};
use crate::limits::MAX_CLAIMS;
use crate::{Claim, ClaimRequest, Claimed, TaskId, Wait};

/// Tasks whose waiting is over that one claim lets in; the next claims let in the rest.
const PROMOTED_AT_ONCE: usize = 1_000;

/// A claim request that owns what it names.
pub(super) struct Wanted {
    worker: String,
    request: [u8; 16],
    holder: String,
    limit: usize,
    lease: Duration,
    only: Option<Vec<TaskId>>,
}

impl Wanted {
    pub(super) fn new(request: &ClaimRequest<'_>, holder: String) -> Self {
        Self {
            worker: request.worker.as_str().to_owned(),
            request: *request.request.as_bytes(),
            holder,
            limit: request.limit.min(MAX_CLAIMS),
            lease: request.lease,
            only: request.only.map(<[TaskId]>::to_vec),
        }
    }
}

/// A leased task and its place in the order.
struct Taken {
    seq: i64,
    urgent: bool,
    rank: i64,
    claim: Claim,
}

/// Takes leases; see [`Queue::claim`](crate::Queue::claim).
pub(super) fn claim(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Claimed, Fault> {
    let repeated = repeated(tx, now, wanted)?;
    if !repeated.is_empty() {
        return Ok(Claimed {
            claims: repeated,
            wait: Wait::Ready,
        });
    }
    let refused = |wait| {
        Ok(Claimed {
            claims: Vec::new(),
            wait,
        })
    };
    if is_paused(tx)? {
        return refused(Wait::Paused);
    }
    if let Some(left) = brake_left(tx, now)? {
        return refused(Wait::Braked(left));
    }
    tx.prepare_cached(include_str!("sql/promote.sql"))?
        .execute(params![now, PROMOTED_AT_ONCE as i64])?;
    let taken = take(tx, now, wanted)?;
    if taken.is_empty() {
        return refused(next_wait(tx, now, wanted)?);
    }
    let deadline = now + millis(wanted.lease);
    let mut insert = tx.prepare_cached(
        "INSERT INTO lease (seq, worker, request, holder, started_ms, deadline_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for task in &taken {
        let Wanted {
            worker,
            request,
            holder,
            ..
        } = wanted;
        insert.execute(params![task.seq, worker, request, holder, now, deadline])?;
    }
    let claims = taken.into_iter().map(|task| task.claim).collect();
    Ok(Claimed {
        claims,
        wait: Wait::Ready,
    })
}

fn take(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Vec<Taken>, Fault> {
    let limit = wanted.limit as i64;
    let Some(only) = &wanted.only else {
        let next = tx.prepare_cached(include_str!("sql/claim_next.sql"))?;
        let mut taken = taken_by(next, params![limit], wanted.lease)?;
        // What an UPDATE returns comes in no promised order.
        sort_by_order(&mut taken);
        return Ok(taken);
    };
    let chosen = tx.prepare_cached(include_str!("sql/claim_only.sql"))?;
    let ids = json_list(only.iter().map(TaskId::as_str));
    let mut taken = taken_by(chosen, params![ids, now, limit], wanted.lease)?;
    sort_by_selection(&mut taken, only);
    Ok(taken)
}

fn taken_by(
    mut statement: CachedStatement<'_>,
    params: &[&dyn ToSql],
    deadline_in: Duration,
) -> Result<Vec<Taken>, Fault> {
    let rows = statement.query_map(params, |row| taken(row, deadline_in))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn taken(row: &Row<'_>, deadline_in: Duration) -> rusqlite::Result<Taken> {
    let claim = Claim {
        task: task_id(row, 1)?,
        dataset: row.get(2)?,
        generation: count(row, 3)?,
        attempt: row.get(4)?,
        deadline_in,
        bytes: count(row, 5)?,
        spec: row.get(6)?,
    };
    Ok(Taken {
        seq: row.get(0)?,
        urgent: row.get(7)?,
        rank: row.get(8)?,
        claim,
    })
}

fn sort_by_order(taken: &mut [Taken]) {
    taken.sort_by(|a, b| {
        let by_order = (b.urgent, b.rank).cmp(&(a.urgent, a.rank));
        by_order.then_with(|| a.claim.task.cmp(&b.claim.task))
    });
}

fn sort_by_selection(taken: &mut [Taken], only: &[TaskId]) {
    // Backwards, so that an id named twice counts where it stands first.
    let positions: HashMap<&TaskId, usize> = only
        .iter()
        .enumerate()
        .rev()
        .map(|(position, id)| (id, position))
        .collect();
    taken.sort_by_key(|task| positions.get(&task.claim.task).copied());
}

/// What is still held of an earlier answer to the same request.
fn repeated(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Vec<Claim>, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/claim_repeated.sql"))?;
    let rows = find.query_map(params![wanted.request, wanted.worker], |row| {
        taken(row, until(row.get(9)?, now))
    })?;
    let mut held = rows.collect::<Result<Vec<_>, _>>()?;
    match &wanted.only {
        Some(only) => sort_by_selection(&mut held, only),
        None => sort_by_order(&mut held),
    }
    Ok(held.into_iter().map(|task| task.claim).collect())
}

/// What to tell a caller that got nothing.
fn next_wait(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Wait, Fault> {
    let next_due: Option<i64> = match &wanted.only {
        Some(only) => {
            let ids = json_list(only.iter().map(TaskId::as_str));
            let mut next = tx.prepare_cached(include_str!("sql/next_due_only.sql"))?;
            next.query_row([ids], |row| row.get(0))?
        }
        None => {
            let mut ready = tx.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM task WHERE state = 0 AND waiting = 0)",
            )?;
            if ready.query_row([], |row| row.get(0))? {
                return Ok(Wait::Ready);
            }
            let next = "SELECT min(due_ms) FROM task WHERE state = 0 AND waiting = 1";
            tx.prepare_cached(next)?.query_row([], |row| row.get(0))?
        }
    };
    Ok(match next_due {
        None => Wait::Empty,
        Some(due) if due <= now => Wait::Ready,
        Some(due) => Wait::NotBefore(until(due, now)),
    })
}
