//! The queue as other programs read it: the JSON of `status`, `tasks list` and the API.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tapemill_queue::{StateCounts, Stats, TaskRecord, TaskState, WorkerRecord};

use crate::view::Snapshot;

/// Bytes of archives that are finished, and of those that are not.
pub fn bytes_done_and_left(stats: &Stats) -> (u64, u64) {
    let [pending, leased, done, ..] = stats.totals();
    (done.bytes, pending.bytes + leased.bytes)
}

/// Bytes left over byte rate; unknown without a rate, nothing left without bytes.
pub fn time_left(stats: &Stats) -> Option<Duration> {
    match bytes_done_and_left(stats) {
        (_, 0) => Some(Duration::ZERO),
        (_, left) if stats.bytes_per_second > 0.0 => Some(Duration::from_secs_f64(
            (left as f64 / stats.bytes_per_second).min(1e9),
        )),
        _ => None,
    }
}

/// The queue in numbers; `queue` is its name for people.
pub fn status_value(queue: &str, stats: &Stats, workers: &[WorkerRecord]) -> Value {
    let (done, left) = bytes_done_and_left(stats);
    let datasets: Map<String, Value> = stats
        .datasets
        .iter()
        .map(|(dataset, of)| (dataset.clone(), counts(of)))
        .collect();
    let workers: Vec<Value> = workers.iter().map(worker_value).collect();
    json!({
        "queue": queue,
        "paused": stats.paused,
        "brake_seconds": stats.brake.unwrap_or_default().as_secs_f64(),
        "totals": counts(&stats.totals()),
        "datasets": datasets,
        "bytes": {"done": done, "left": left},
        "rows_per_second": stats.rows_per_second,
        "bytes_per_second": stats.bytes_per_second,
        "eta_seconds": time_left(stats).map(|left| left.as_secs_f64()),
        "workers": workers,
    })
}

/// One worker and what it holds.
pub fn worker_value(worker: &WorkerRecord) -> Value {
    let tasks: Vec<Value> = worker
        .tasks
        .iter()
        .map(|task| json!({"id": task.task, "progress": task.progress, "generation": task.generation}))
        .collect();
    json!({"id": worker.id, "state": worker.state, "tasks": tasks})
}

/// One worker as [`worker_value`] has it, with ages: since its last heartbeat, and since each claim.
pub(crate) fn aged_worker_value(worker: &WorkerRecord) -> Value {
    let mut value = worker_value(worker);
    value["seen_seconds_ago"] = worker.seen_ago.as_secs_f64().into();
    for (at, task) in worker.tasks.iter().enumerate() {
        value["tasks"][at]["held_seconds"] = task.held_for.as_secs_f64().into();
    }
    value
}

/// Workers of whom the page tells.
const MOST_WORKERS: usize = 200;

/// All that the page shows beside the map.
pub(crate) fn page_value(
    mut status: Value,
    seen: &Snapshot,
    chart: Value,
    is_writable: bool,
) -> Value {
    let bytes = |(dataset, of): (&String, &StateCounts)| {
        let pairs = TaskState::ALL.iter().zip(of);
        let bytes: Map<String, Value> = pairs
            .map(|(state, count)| (state.as_str().to_owned(), count.bytes.into()))
            .collect();
        (dataset.clone(), bytes.into())
    };
    let bytes: Map<String, Value> = seen.stats.datasets.iter().map(bytes).collect();
    let told = seen.workers.iter().take(MOST_WORKERS);
    let workers: Vec<Value> = told.map(aged_worker_value).collect();
    let more_workers = seen.workers.len() - workers.len();
    // They stand beside it, with more.
    status
        .as_object_mut()
        .map(|status| status.remove("workers"));
    json!({
        "status": status, "bytes": bytes, "workers": workers, "more_workers": more_workers, "map": chart["map"], "failures": chart["failures"],
        "writable": is_writable,
    })
}

/// One task of a list.
pub fn task_value(task: &TaskRecord) -> Value {
    json!({
        "id": task.id,
        "state": task.state,
        "attempts": task.attempts,
        "expiries": task.expiries,
        "reason": task.reason,
        "history": task.history,
    })
}

fn counts(counts: &StateCounts) -> Value {
    let pairs = TaskState::ALL.iter().zip(counts);
    pairs
        .map(|(state, count)| (state.as_str().to_owned(), count.tasks.into()))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use tapemill_queue::Count;

    use super::*;

    fn stats(done: u64, left: u64, bytes_per_second: f64) -> Stats {
        let count = |bytes| Count { tasks: 1, bytes };
        let counts = [count(left), count(0), count(done), count(0), count(0)];
        Stats {
            datasets: [("aggTrades".to_owned(), counts)].into(),
            bytes_per_second,
            ..Stats::default()
        }
    }

    #[test]
    fn the_time_left_is_bytes_left_over_byte_rate() {
        let eta = |stats: &Stats| status_value("q", stats, &[])["eta_seconds"].clone();

        assert_eq!(eta(&stats(7, 100, 50.0)), 2.0);
        assert_eq!(eta(&stats(7, 100, 0.0)), Value::Null);
        assert_eq!(eta(&stats(7, 0, 0.0)), 0.0);
    }
}
