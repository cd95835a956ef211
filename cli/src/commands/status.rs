//! `status`.

use std::time::Duration;

use tapemill_coordinator::{bytes_done_and_left, status_value, time_left};
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
        println!("{}", status_value(&url, &stats, &workers));
    } else {
        print!("{}", as_text(&url, &stats, &workers));
    }
    Ok(exit::DONE)
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
    let (done, left) = bytes_done_and_left(stats);
    text.push_str(&format!(
        "{} done, {} left; {} rows/s, {}/s; {}\n",
        format::bytes(done),
        format::bytes(left),
        format::count(stats.rows_per_second),
        format::bytes(stats.bytes_per_second as u64),
        match time_left(stats) {
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
