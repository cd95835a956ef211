//! Planning tasks.

use rusqlite::{OptionalExtension, Transaction, params};

use super::fault::Fault;
use super::finish::finish;
use super::rows::{state, state_number, stored};
use crate::{Enqueued, NewTask, TaskState};

/// Plans tasks; see [`Queue::enqueue`](crate::Queue::enqueue).
pub(super) fn enqueue(
    tx: &Transaction<'_>,
    now: i64,
    tasks: &[NewTask],
) -> Result<Enqueued, Fault> {
    let mut enqueued = Enqueued::default();
    for task in tasks {
        enqueued.replaced += remove_replaced(tx, task)?;
        match existing(tx, task)? {
            None => {
                insert(tx, now, task)?;
                match task.done {
                    Some(_) => enqueued.adopted += 1,
                    None => enqueued.created += 1,
                }
            }
            Some((seq, state)) => plan_again(tx, now, task, seq, state, &mut enqueued)?,
        }
    }
    Ok(enqueued)
}

fn plan_again(
    tx: &Transaction<'_>,
    now: i64,
    task: &NewTask,
    seq: i64,
    state: TaskState,
    enqueued: &mut Enqueued,
) -> Result<(), Fault> {
    use TaskState::{Dead, Done, Leased, Missing, Pending};
    match (state, &task.done) {
        (Pending | Missing, Some(summary)) => {
            replan(tx, task, seq)?;
            finish(tx, seq, TaskState::Done, now, None, summary)?;
            enqueued.adopted += 1;
        }
        (Done | Missing, None) if task.reopen => {
            replan(tx, task, seq)?;
            tx.prepare_cached(include_str!("sql/reopen.sql"))?
                .execute(params![seq, now])?;
            enqueued.reopened += 1;
        }
        (Pending, None) => {
            replan(tx, task, seq)?;
            enqueued.unchanged += 1;
        }
        (Leased | Done | Missing | Dead, _) => enqueued.unchanged += 1,
    }
    Ok(())
}

fn remove_replaced(tx: &Transaction<'_>, task: &NewTask) -> Result<u64, Fault> {
    // Mostly there is none of them, and that is seen at once where their names lie side by side.
    let (Some(first), Some(last)) = (task.replaces.iter().min(), task.replaces.iter().max()) else {
        return Ok(0);
    };
    let mut find = tx.prepare_cached("SELECT 1 FROM task WHERE id BETWEEN ?1 AND ?2 LIMIT 1")?;
    if !find.exists([first.as_str(), last.as_str()])? {
        return Ok(0);
    }
    let mut removed = 0;
    for replaced in task
        .replaces
        .iter()
        .filter(|replaced| **replaced != task.id)
    {
        let mut delete = tx.prepare_cached("DELETE FROM task WHERE id = ?1")?;
        removed += delete.execute([replaced.as_str()])? as u64;
    }
    Ok(removed)
}

fn existing(tx: &Transaction<'_>, task: &NewTask) -> Result<Option<(i64, TaskState)>, Fault> {
    let mut find = tx.prepare_cached("SELECT seq, state FROM task WHERE id = ?1")?;
    let found = find.query_row([task.id.as_str()], |row| Ok((row.get(0)?, state(row, 1)?)));
    Ok(found.optional()?)
}

fn insert(tx: &Transaction<'_>, now: i64, task: &NewTask) -> Result<(), Fault> {
    let state = if task.done.is_some() {
        TaskState::Done
    } else {
        TaskState::Pending
    };
    tx.prepare_cached(include_str!("sql/insert_task.sql"))?
        .execute(params![
            task.id.as_str(),
            task.dataset,
            state_number(state),
            task.urgent,
            task.rank,
            stored(task.bytes),
            task.spec,
            now,
            task.done.as_ref().map(|_| now),
            task.done,
        ])?;
    Ok(())
}

fn replan(tx: &Transaction<'_>, task: &NewTask, seq: i64) -> Result<(), Fault> {
    tx.prepare_cached(include_str!("sql/replan_task.sql"))?
        .execute(params![
            seq,
            task.dataset,
            task.urgent,
            task.rank,
            stored(task.bytes),
            task.spec,
        ])?;
    Ok(())
}
