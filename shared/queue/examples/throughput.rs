//! Claims and completions per second of processes that share one SQLite queue.
//!
//! `throughput [PROCESSES] [BATCH] [TASKS] [FILE]`: each process claims BATCH tasks at once and
//! completes each in a call of its own, until the queue is empty. FILE must not exist; without it a
//! temporary one is used, whose disk is part of what is measured.

use std::error::Error;
use std::io::{BufRead, BufReader, Write, stderr, stdin, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tapemill_queue::sqlite::Options;
use tapemill_queue::{
    ClaimRequest, Completion, NewTask, Outcome, Queue, SqliteQueue, TaskState, WorkerId,
};
use uuid::Uuid;

type Outcomes<T> = Result<T, Box<dyn Error>>;

/// Tells a child its part.
const PART: &str = "--part";

#[tokio::main]
async fn main() -> Outcomes<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == PART) {
        return work(Path::new(&args[1]), args[2].parse()?).await;
    }
    let number = |index: usize, default| args.get(index).map_or(Ok(default), |arg| arg.parse());
    let (processes, batch, tasks) = (number(0, 4)?, number(1, 1)?, number(2, 40_000)?);
    let folder = tempfile::tempdir()?;
    let file = args
        .get(3)
        .map_or_else(|| folder.path().join("queue.db"), Into::into);
    measure(&file, processes, batch, tasks).await
}

async fn measure(file: &Path, processes: usize, batch: usize, tasks: usize) -> Outcomes<()> {
    let queue = SqliteQueue::open(file, Options::default())?;
    let planned: Vec<_> = (0..tasks).map(planned).collect();
    let planning = Instant::now();
    queue.enqueue(&planned).await?;
    let planning = planning.elapsed();

    let program = std::env::current_exe()?;
    let mut children = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(&program);
        command.arg(PART).arg(file).arg(batch.to_string());
        children.push(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
    }
    let mut answers: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().unwrap()))
        .collect();
    for answer in &mut answers {
        line(answer)?; // It has opened the queue.
    }
    let start = Instant::now();
    for Child { stdin, .. } in &mut children {
        drop(stdin.take());
    }
    let parts = answers.iter_mut().map(line).collect::<Outcomes<Vec<_>>>()?;
    let seconds = start.elapsed().as_secs_f64();
    for child in &mut children {
        child.wait()?;
    }

    let done = queue.stats().await?.totals()[TaskState::Done.index()].tasks;
    let mut out = stdout().lock();
    writeln!(
        out,
        "enqueue: {:.0} tasks/s",
        tasks as f64 / planning.as_secs_f64()
    )?;
    writeln!(
        out,
        "claim + complete: {:.0} tasks/s ({done} of {tasks}, {processes} processes, batch {batch})",
        done as f64 / seconds
    )?;
    for part in parts {
        writeln!(out, "  {part}")?;
    }
    Ok(())
}

fn planned(number: usize) -> NewTask {
    NewTask {
        rank: (number % 100) as i64,
        bytes: 1 << 20,
        spec: "x".repeat(300),
        ..NewTask::new(
            format!("um/aggTrades/SYMBOL{number:06}/2024-01"),
            "aggTrades",
        )
    }
}

/// One process: waits for the start, drains the queue, tells how it went.
async fn work(file: &Path, batch: usize) -> Outcomes<()> {
    let queue = SqliteQueue::open(file, Options::default())?;
    let worker = WorkerId::fresh();
    writeln!(stdout(), "ready")?;
    stdin().lock().read_line(&mut String::new())?;
    let completion = Completion {
        outcome: Outcome::Done,
        summary: "y".repeat(300),
        rows: 1,
        bytes: 1,
    };
    let (mut done, mut longest) = (0, Duration::ZERO);
    loop {
        let asked = Instant::now();
        let claimed = queue
            .claim(&ClaimRequest {
                worker: &worker,
                request: Uuid::new_v4(),
                limit: batch,
                lease: Duration::from_secs(60),
                only: None,
            })
            .await?;
        longest = longest.max(asked.elapsed());
        if claimed.claims.is_empty() {
            break;
        }
        for claim in claimed.claims {
            let asked = Instant::now();
            queue.complete(&claim.lease(), &completion).await?;
            longest = longest.max(asked.elapsed());
            done += 1;
        }
    }
    let longest_ms = longest.as_secs_f64() * 1e3;
    writeln!(stdout(), "{done} tasks, longest call {longest_ms:.1} ms")?;
    Ok(stderr().flush()?)
}

fn line(from: &mut impl BufRead) -> Outcomes<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
