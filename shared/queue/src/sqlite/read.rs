//! Looking at a queue. Nothing here writes or waits for a writer.

use std::path::Path;

use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter};

use super::fault::Fault;
use super::rows::{count, state, state_number, task_id};
use crate::clock::{millis, until};
use crate::stats::{RATE_SLOT, RATE_WINDOW};
use crate::{
    Attempt, AttemptOutcome, Count, Page, Progress, Stats, TaskFilter, TaskId, TaskRecord,
    TaskState, WorkerRecord, WorkerState, WorkingOn,
};

/// All that is known of tasks.
pub(super) fn get(tx: &Transaction<'_>, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Fault> {
    let query = concat!(include_str!("sql/record.sql"), "WHERE task.id = ?1");
    let mut find = tx.prepare_cached(query)?;
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        let found = find.query_row([id.as_str()], record).optional()?;
        records.push(found.map(|found| with_history(tx, found)).transpose()?);
    }
    Ok(records)
}

/// The states of tasks.
pub(super) fn states(
    tx: &Transaction<'_>,
    ids: &[TaskId],
) -> Result<Vec<Option<TaskState>>, Fault> {
    let mut find = tx.prepare_cached("SELECT state FROM task WHERE id = ?1")?;
    let find_one = |id: &TaskId| {
        find.query_row([id.as_str()], |row| state(row, 0))
            .optional()
    };
    Ok(ids.iter().map(find_one).collect::<Result<_, _>>()?)
}

/// Part of the tasks that match. The cursor is the last id seen.
pub(super) fn list(
    tx: &Transaction<'_>,
    filter: &TaskFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, Fault> {
    let mut query = concat!(include_str!("sql/record.sql"), "WHERE true").to_owned();
    let mut values: Vec<String> = Vec::new();
    let mut bind = |condition: &str, value: String| {
        values.push(value);
        query.push_str(&format!(
            " AND {}",
            condition.replace('?', &format!("?{}", values.len()))
        ));
    };
    if let Some(cursor) = cursor {
        bind("task.id > ?", cursor.to_owned());
    }
    if let Some(prefix) = &filter.id_prefix {
        bind("task.id >= ?", prefix.clone());
        bind("substr(task.id, 1, length(?)) = ?", prefix.clone());
        bind("task.id < ?", format!("{prefix}{}", char::MAX));
    }
    if let Some(dataset) = &filter.dataset {
        bind("task.dataset = ?", dataset.clone());
    }
    if let Some(state) = filter.state {
        // Spelled out, or the index of dead tasks would not apply.
        query.push_str(&format!(" AND task.state = {}", state_number(state)));
    }
    query.push_str(&format!(" ORDER BY task.id LIMIT {}", limit + 1));

    let mut find = tx.prepare_cached(&query)?;
    let rows = find.query_map(params_from_iter(&values), record)?;
    let mut found = rows.collect::<Result<Vec<_>, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let tasks = found
        .into_iter()
        .map(|found| with_history(tx, found))
        .collect::<Result<Vec<_>, _>>()?;
    let next = tasks
        .last()
        .filter(|_| more)
        .map(|task| task.id.as_str().to_owned());
    Ok(Page { tasks, next })
}

/// A row of `record.sql`: the task's number in the file, and its record without history.
fn record(row: &Row<'_>) -> rusqlite::Result<(i64, TaskRecord)> {
    let worker: Option<String> = row.get(14)?;
    let progress = match worker {
        Some(_) => Some(progress(row, 15)?),
        None => None,
    };
    let (due_ms, waiting): (i64, bool) = (row.get(7)?, row.get(8)?);
    let state = state(row, 3)?;
    let record = TaskRecord {
        id: task_id(row, 1)?,
        dataset: row.get(2)?,
        state,
        generation: count(row, 4)?,
        attempts: row.get(5)?,
        expiries: row.get(6)?,
        not_before_ms: (state == TaskState::Pending && waiting).then_some(due_ms),
        reason: row.get(9)?,
        message: row.get(10)?,
        spec: row.get(11)?,
        bytes: count(row, 12)?,
        summary: row.get(13)?,
        progress,
        worker,
        history: Vec::new(),
    };
    Ok((row.get(0)?, record))
}

fn progress(row: &Row<'_>, first_column: usize) -> rusqlite::Result<Progress> {
    Ok(Progress {
        bytes: count(row, first_column)?,
        bytes_total: count(row, first_column + 1)?,
        rows: count(row, first_column + 2)?,
    })
}

fn with_history(
    tx: &Transaction<'_>,
    (seq, mut record): (i64, TaskRecord),
) -> Result<TaskRecord, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/history.sql"))?;
    let rows = find.query_map([seq], |row| {
        Ok(Attempt {
            generation: count(row, 0)?,
            worker: row.get(1)?,
            started_ms: row.get(2)?,
            ended_ms: row.get(3)?,
            outcome: match row.get_ref(4)?.as_str()? {
                "failed" => AttemptOutcome::Failed,
                "cancelled" => AttemptOutcome::Cancelled,
                _ => AttemptOutcome::Expired,
            },
            reason: row.get(5)?,
            message: row.get(6)?,
        })
    })?;
    record.history = rows.collect::<Result<_, _>>()?;
    Ok(record)
}

/// The queue in numbers.
pub(super) fn stats(tx: &Transaction<'_>, now: i64, path: &Path) -> Result<Stats, Fault> {
    let mut stats = Stats {
        paused: super::control::is_paused(tx)?,
        brake: super::control::brake_left(tx, now)?,
        completions: super::control::completions(tx)?,
        store_bytes: file_bytes(path),
        ..Stats::default()
    };
    let mut counters =
        tx.prepare_cached("SELECT dataset, state, tasks, bytes FROM counter WHERE tasks > 0")?;
    let mut rows = counters.query([])?;
    while let Some(row) = rows.next()? {
        let counts = stats.datasets.entry(row.get(0)?).or_default();
        counts[state(row, 1)?.index()] = Count {
            tasks: count(row, 2)?,
            bytes: count(row, 3)?,
        };
    }
    let mut oldest = tx.prepare_cached(include_str!("sql/oldest.sql"))?;
    let age = |since: Option<i64>| since.map(|since| until(now, since));
    (stats.oldest_pending_age, stats.oldest_lease_age) =
        oldest.query_row([now], |row| Ok((age(row.get(0)?), age(row.get(1)?))))?;
    (stats.rows_per_second, stats.bytes_per_second) = rates(tx, now)?;
    let mut workers = tx.prepare_cached(
        "SELECT state, count(*) FROM worker WHERE expires_ms > ?1 GROUP BY state",
    )?;
    let mut rows = workers.query([now])?;
    while let Some(row) = rows.next()? {
        stats.workers[worker_state(row, 0)?.index()] += count(row, 1)?;
    }
    Ok(stats)
}

fn worker_state(row: &Row<'_>, at: usize) -> Result<WorkerState, Fault> {
    let word = row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(WorkerState::of(word))
}

/// Rows and bytes per second over recent completions.
fn rates(tx: &Transaction<'_>, now: i64) -> Result<(f64, f64), Fault> {
    let window_start = now - millis(RATE_WINDOW);
    let mut sum = tx.prepare_cached(include_str!("sql/rate.sql"))?;
    let (rows, bytes, began) = sum.query_row([window_start / millis(RATE_SLOT)], |row| {
        Ok((
            count(row, 0)?,
            count(row, 1)?,
            row.get::<_, Option<i64>>(2)?,
        ))
    })?;
    // From when the work began, so that the first completion of a young queue is not divided by
    // the moment since it came in.
    let since = began.unwrap_or(now).max(window_start);
    let seconds = ((now - since) as f64 / 1e3).max(1.0);
    Ok((rows as f64 / seconds, bytes as f64 / seconds))
}

/// The size of the file and its log; one that is not there counts as nothing.
fn file_bytes(path: &Path) -> u64 {
    let size = |suffix: &str| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        std::fs::metadata(file).map_or(0, |metadata| metadata.len())
    };
    size("") + size("-wal")
}

/// The workers heard of lately.
pub(super) fn workers(tx: &Transaction<'_>, now: i64) -> Result<Vec<WorkerRecord>, Fault> {
    let mut find = tx.prepare_cached(include_str!("sql/workers.sql"))?;
    let mut rows = find.query(params![now])?;
    let mut workers: Vec<WorkerRecord> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        if workers.last().is_none_or(|worker| worker.id != id) {
            let state = worker_state(row, 1)?;
            let seen_ago = until(now, row.get(2)?);
            workers.push(WorkerRecord {
                id,
                state,
                tasks: Vec::new(),
                seen_ago,
            });
        }
        if row.get_ref(3)? == rusqlite::types::ValueRef::Null {
            continue;
        }
        let task = WorkingOn {
            task: task_id(row, 3)?,
            generation: count(row, 4)?,
            progress: progress(row, 5)?,
            held_for: until(now, row.get(8)?),
        };
        let worker = workers.last_mut().expect("a worker was pushed just above");
        worker.tasks.push(task);
    }
    Ok(workers)
}
