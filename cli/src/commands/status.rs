//! `status`.

use std::time::Duration;

use serde_json::{Value, json};
use tapemill_coordinator::{Summary, bytes_done_and_left, status_value, time_left};
use tapemill_lake::Usage;
use tapemill_queue::{Queue, StateCounts, Stats, TaskState, WorkerRecord};
use tapemill_runtime::exit;

use crate::args::StatusArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Counts, rate, ETA and workers; with `--summary` symbols and the output too; or what changed in the archive.
pub async fn run(args: StatusArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    if args.changes {
        return super::changes::run(args, as_json, terminal).await;
    }
    let queue = context::existing_queue(&args.queue, &args.output).await?;
    if args.watch {
        let url = context::shown_queue(&args.queue, &args.output)?;
        return super::watch::run(&*queue, &url, args.every, as_json).await;
    }
    let url = context::shown_queue(&args.queue, &args.output)?;
    let (stats, workers) = (queue.stats().await?, queue.workers().await?);
    let summed = match args.summary {
        true => Some(Summed::of(&args, &*queue).await?),
        false => None,
    };
    if as_json {
        let mut value = status_value(&url, &stats, &workers);
        if let Some(summed) = &summed {
            value["summary"] = summed.value();
        }
        out!(terminal, "{value}");
    } else {
        terminal.print(&as_text(&url, &stats, &workers));
        if let Some(summed) = &summed {
            out!(terminal, "{}", summed.line());
        }
    }
    Ok(exit::DONE)
}

/// What takes a walk through all tasks and files.
struct Summed {
    summary: Summary,
    /// `None` where there is no output yet.
    usage: Option<Usage>,
}

impl Summed {
    async fn of(args: &StatusArgs, queue: &dyn Queue) -> Result<Self, Failure> {
        let lake = context::lake(&args.output)?;
        let summary = Summary::of(queue).await?;
        let listing = tokio::task::spawn_blocking(move || lake.usage());
        let usage = listing.await.map_err(Failure::failed)??;
        Ok(Self { summary, usage })
    }

    fn value(&self) -> Value {
        let Summary {
            symbols,
            symbols_done,
            symbols_with_dead,
            archive_bytes,
        } = self.summary;
        json!({
            "symbols": symbols, "symbols_done": symbols_done, "symbols_with_dead": symbols_with_dead,
            "files": self.usage.map(|usage| usage.files), "bytes_on_disk": self.usage.map(|usage| usage.bytes),
            "archive_bytes": archive_bytes,
        })
    }

    fn line(&self) -> String {
        let summary = self.summary;
        let mut line = format!(
            "{} of {} done, {} with dead tasks; archives of {} done",
            summary.symbols_done,
            format::plural(summary.symbols, "symbol"),
            summary.symbols_with_dead,
            format::bytes(summary.archive_bytes)
        );
        if let Some(usage) = self.usage {
            line.push_str(&format!(
                "; {} in the output, {}",
                format::plural(usage.files, "file"),
                format::bytes(usage.bytes)
            ));
        }
        line
    }
}

pub(super) fn as_text(url: &str, stats: &Stats, workers: &[WorkerRecord]) -> String {
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
