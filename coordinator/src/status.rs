//! The queue as other programs read it: the JSON of `status`, `tasks list` and the API.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tapemill_queue::{StateCounts, Stats, TaskRecord, TaskState, WorkerRecord};

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
