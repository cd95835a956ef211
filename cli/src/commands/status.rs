//! `status`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tapemill_queue::{StateCounts, Stats, TaskState, WorkerRecord};
use tapemill_runtime::exit;

use crate::args::StatusArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;

/// Counts, rate, ETA and workers.
pub async fn run(args: StatusArgs, as_json: bool) -> Result<u8, Failure> {
    let queue = context::existing_queue(&args.queue, &args.output).await?;
    let url = context::shown_queue(&args.queue, &args.output)?;
    let (stats, workers) = (queue.stats().await?, queue.workers().await?);
    if as_json {
        println!("{}", as_value(&url, &stats, &workers));
    } else {
        print!("{}", as_text(&url, &stats, &workers));
    }
    Ok(exit::DONE)
}

/// Bytes of archives that are finished, and of those that are not.
fn bytes(stats: &Stats) -> (u64, u64) {
    let [pending, leased, done, ..] = stats.totals();
    (done.bytes, pending.bytes + leased.bytes)
}

/// Bytes left over byte rate; unknown without a rate, nothing left without bytes.
fn eta(stats: &Stats) -> Option<Duration> {
    match bytes(stats) {
        (_, 0) => Some(Duration::ZERO),
        (_, left) if stats.bytes_per_second > 0.0 => Some(Duration::from_secs_f64(
            (left as f64 / stats.bytes_per_second).min(1e9),
        )),
        _ => None,
    }
}

fn counts(counts: &StateCounts) -> Value {
    let pairs = TaskState::ALL.iter().zip(counts);
    pairs
        .map(|(state, count)| (state.as_str().to_owned(), count.tasks.into()))
        .collect::<Map<_, _>>()
        .into()
}

fn as_value(url: &str, stats: &Stats, workers: &[WorkerRecord]) -> Value {
    let (done, left) = bytes(stats);
    let datasets: Map<String, Value> = stats
        .datasets
        .iter()
        .map(|(dataset, of)| (dataset.clone(), counts(of)))
        .collect();
    let workers: Vec<Value> = workers
        .iter()
        .map(|worker| {
            let tasks: Vec<Value> = worker
                .tasks
                .iter()
                .map(|task| json!({"id": task.task, "progress": task.progress, "generation": task.generation}))
                .collect();
            json!({"id": worker.id, "state": worker.state, "tasks": tasks})
        })
        .collect();
    json!({
        "queue": url,
        "paused": stats.paused,
        "brake_seconds": stats.brake.unwrap_or_default().as_secs_f64(),
        "totals": counts(&stats.totals()),
        "datasets": datasets,
        "bytes": {"done": done, "left": left},
        "rows_per_second": stats.rows_per_second,
        "bytes_per_second": stats.bytes_per_second,
        "eta_seconds": eta(stats).map(|eta| eta.as_secs_f64()),
        "workers": workers,
    })
}

fn as_text(url: &str, stats: &Stats, workers: &[WorkerRecord]) -> String {
    let mut text = format!(
        "queue {url}{}\n",
        if stats.paused { " (paused)" } else { "" }
    );
    if let Some(brake) = stats.brake {
        text.push_str(&format!(
            "the archive asked for fewer requests: {} left\n",
            format::duration(brake)
        ));
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let row = |name: &str, of: &StateCounts| {
        let mut row = vec![name.to_owned()];
        row.extend(of.iter().map(|count| count.tasks.to_string()));
        row
    };
    rows.extend(stats.datasets.iter().map(|(dataset, of)| row(dataset, of)));
    rows.push(row("total", &stats.totals()));
    let mut header = vec!["dataset"];
    header.extend(TaskState::ALL.map(TaskState::as_str));
    text.push_str(&format::table(&header, &rows, &[1, 2, 3, 4, 5]));
    let (done, left) = bytes(stats);
    text.push_str(&format!(
        "{} done, {} left; {} rows/s, {}/s; {}\n",
        format::bytes(done),
        format::bytes(left),
        format::count(stats.rows_per_second),
        format::bytes(stats.bytes_per_second as u64),
        match eta(stats) {
            Some(Duration::ZERO) => "nothing left".to_owned(),
            Some(eta) => format!("{} to go", format::duration(eta)),
            None => "time left unknown".to_owned(),
        }
    ));
    for worker in workers {
        text.push_str(&format!("worker {} {}\n", worker.id, worker.state.as_str()));
        for task in &worker.tasks {
            text.push_str(&format!(
                "  {}: {} of {}, {} rows\n",
                task.task,
                format::bytes(task.progress.bytes),
                format::bytes(task.progress.bytes_total),
                format::count(task.progress.rows as f64)
            ));
        }
    }
    text
}
