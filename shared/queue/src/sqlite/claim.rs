//! Taking leases.
//!
//! Tasks are chosen by one statement and leased one by one by another: an UPDATE that chooses for
//! itself costs a temporary table per call, which is more than the rest of a claim.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Row, ToSql, Transaction, params};
use uuid::Uuid;

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
    request: Uuid,
    holder: String,
    limit: usize,
    lease: Duration,
    only: Option<Selection>,
}

/// The ids a claim is restricted to, each once.
struct Selection {
    json: String,
    positions: HashMap<TaskId, usize>,
}

impl Selection {
    fn new(ids: &[TaskId]) -> Self {
        let mut seen = HashSet::new();
        let distinct: Vec<&TaskId> = ids.iter().filter(|id| seen.insert(*id)).collect();
        let json = json_list(distinct.iter().map(|id| id.as_str()));
        let numbered = distinct.into_iter().enumerate();
        Self {
            json,
            positions: numbered
                .map(|(position, id)| (id.clone(), position))
                .collect(),
        }
    }
}

impl Wanted {
    pub(super) fn new(request: &ClaimRequest<'_>, holder: String) -> Self {
        Self {
            worker: request.worker.as_str().to_owned(),
            request: request.request,
            holder,
            limit: request.limit.min(MAX_CLAIMS),
            lease: request.lease,
            only: request.only.map(Selection::new),
        }
    }
}

/// A task as a claim sees it, and its place in the order.
struct Candidate {
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
    promote(tx, now)?;
    let chosen = choose(tx, now, wanted)?;
    if chosen.is_empty() {
        return refused(next_wait(tx, now, wanted)?);
    }
    let mut claims = Vec::with_capacity(chosen.len());
    for candidate in chosen {
        claims.push(lease(tx, now, wanted, candidate)?);
    }
    Ok(Claimed {
        claims,
        wait: Wait::Ready,
    })
}

/// Lets tasks whose waiting is over be claimed.
fn promote(tx: &Transaction<'_>, now: i64) -> Result<(), Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/due.sql"))?;
    let due = find.query_map(params![now, PROMOTED_AT_ONCE as i64], |row| {
        row.get::<_, i64>(0)
    })?;
    let due = due.collect::<Result<Vec<_>, _>>()?;
    for seq in due {
        tx.prepare_cached("UPDATE task SET waiting = 0 WHERE seq = ?1")?
            .execute([seq])?;
    }
    Ok(())
}

/// The tasks to lease, in their order.
fn choose(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Vec<Candidate>, Fault> {
    let limit = wanted.limit as i64;
    let read = |statement: &str, arguments: &[&dyn ToSql]| {
        let mut find = tx.prepare_cached(statement)?;
        let rows = find.query_map(arguments, |row| {
            candidate(row, wanted.request, wanted.lease)
        })?;
        rows.collect::<Result<_, _>>().map_err(Fault::from)
    };
    match &wanted.only {
        None => read(include_str!("sql/claim_next.sql"), params![limit]),
        Some(only) => read(
            include_str!("sql/claim_only.sql"),
            params![only.json, now, limit],
        ),
    }
}

fn candidate(row: &Row<'_>, request: Uuid, deadline_in: Duration) -> rusqlite::Result<Candidate> {
    let claim = Claim {
        task: task_id(row, 1)?,
        dataset: row.get(2)?,
        generation: count(row, 3)?,
        request,
        attempt: row.get(4)?,
        deadline_in,
        bytes: count(row, 5)?,
        spec: row.get(6)?,
    };
    Ok(Candidate {
        seq: row.get(0)?,
        urgent: row.get(7)?,
        rank: row.get(8)?,
        claim,
    })
}

fn lease(
    tx: &Transaction<'_>,
    now: i64,
    wanted: &Wanted,
    candidate: Candidate,
) -> Result<Claim, Fault> {
    let Candidate { seq, mut claim, .. } = candidate;
    claim.generation += 1;
    claim.attempt = claim.attempt.saturating_add(1);
    tx.prepare_cached(include_str!("sql/lease_task.sql"))?
        .execute(params![seq, claim.generation as i64, claim.attempt])?;
    let deadline = now + millis(wanted.lease);
    let Wanted {
        worker,
        request,
        holder,
        ..
    } = wanted;
    tx.prepare_cached(
        "INSERT INTO lease (seq, worker, request, holder, started_ms, deadline_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        seq,
        worker,
        request.as_bytes(),
        holder,
        now,
        deadline
    ])?;
    Ok(claim)
}

/// What is still held of an earlier answer to the same request, in the order of that answer.
fn repeated(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Vec<Claim>, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/claim_repeated.sql"))?;
    let rows = find.query_map(params![wanted.request.as_bytes(), wanted.worker], |row| {
        candidate(row, wanted.request, until(row.get(9)?, now))
    })?;
    let mut held = rows.collect::<Result<Vec<_>, _>>()?;
    match &wanted.only {
        Some(only) => held.sort_by_key(|held| only.positions.get(&held.claim.task).copied()),
        None => held.sort_by(|a, b| {
            let by_order = (b.urgent, b.rank).cmp(&(a.urgent, a.rank));
            by_order.then_with(|| a.claim.task.cmp(&b.claim.task))
        }),
    }
    Ok(held.into_iter().map(|held| held.claim).collect())
}

/// What to tell a caller that got nothing.
fn next_wait(tx: &Transaction<'_>, now: i64, wanted: &Wanted) -> Result<Wait, Fault> {
    let next_due: Option<i64> = match &wanted.only {
        Some(only) => {
            let mut next = tx.prepare_cached(include_str!("sql/next_due_only.sql"))?;
            next.query_row([&only.json], |row| row.get(0))?
        }
        None => {
            let mut next = tx.prepare_cached(include_str!("sql/next_due.sql"))?;
            next.query_row([], |row| row.get(0))?
        }
    };
    Ok(match next_due {
        None => Wait::Empty,
        // Only for a caller that asked for no task at all.
        Some(due) if due <= now => Wait::Ready,
        Some(due) => Wait::NotBefore(until(due, now)),
    })
}
