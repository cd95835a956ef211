//! `run`: plan, work and report until the selection is finished.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tapemill_archive::Brake;
use tapemill_coordinator::{Enqueuer, Planned, survey};
use tapemill_queue::{Queue, TaskId, TaskRecord, TaskState};
use tapemill_runtime::{Shutdown, Stage, Stages, exit};
use tapemill_worker::{Board, Scope, Stopped, Worker};
use tokio_util::sync::CancellationToken;

use crate::args::RunArgs;
use crate::brake;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::{Goal, Terminal};

/// Tasks looked up at a time.
const CHUNK: usize = 500;

/// Dead tasks named one by one.
const NAMED: usize = 20;

/// Finishes the selection.
pub async fn run(
    args: RunArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let started = Instant::now();
    let selection = context::selection(&args.selection)?;
    let brake = Arc::new(Brake::new());
    let source = context::capped_source(&args.source, &brake, args.work.max_bytes_per_second)?;
    let output = context::output(&args.output, &args.shape)?;
    let queue = context::queue(&args.queue, &args.output).await?;

    // Also while listing: nothing is held yet that would have to be handed back.
    let planning = async {
        let found = survey(&source, &selection, context::asking(&args.asking)).await?;
        let enqueuer = Enqueuer {
            queue: queue.clone(),
            source: source.clone(),
            output: output.clone(),
            force: args.force,
        };
        let planned = enqueuer.enqueue(&selection, &found).await?;
        Ok::<_, Failure>((planned, found.holes.len() as u64))
    };
    let (planned, holes) = tokio::select! {
        biased;
        () = shutdown.draining().cancelled() => return Ok(exit::INTERRUPTED),
        planned = brake::in_step(&*queue, &brake, planning) => planned?,
    };
    let todo = unfinished(&*queue, &planned).await?;
    terminal.say(&format!(
        "{}, {}: {} to do, {} finished before, {} in the archive",
        format::plural(planned.tasks.len() as u64, "task"),
        format::bytes(planned.bytes),
        todo.tasks.len(),
        planned.tasks.len() - todo.tasks.len(),
        format::plural(holes, "hole"),
    ));

    let board = Arc::new(Board::default());
    let workshop = context::workshop(source, brake, output.clone(), args.work.keep_zip);
    let stages = workshop.stages.clone();
    let stopped = if todo.tasks.is_empty() {
        Stopped::Finished
    } else {
        let goal = Goal {
            tasks: todo.tasks.len() as u64,
            bytes: todo.bytes,
        };
        let shown = CancellationToken::new();
        let watch = terminal.watch(board.clone(), goal, shown.clone());
        let worker = Worker {
            queue: queue.clone(),
            workshop,
            id: context::worker_id(&args.work),
            tasks: context::tasks_at_once(args.work.workers),
            lease: args.work.lease,
            grace: args.work.grace,
            scope: Scope::Selection(todo.tasks),
            board: board.clone(),
            draining: shutdown.draining().clone(),
        };
        let stopped = worker.run().await;
        shown.cancel();
        watch.ended().await;
        stopped?
    };
    if stopped == Stopped::Finished {
        context::catalogue(&*queue, &output, &selection, &planned).await;
    }
    let ended = Ended::of(&*queue, &planned.tasks).await?;
    report(&ended, &board, &stages, as_json, terminal, started, stopped);
    Ok(match stopped {
        Stopped::Drained if ended.unfinished > 0 => exit::INTERRUPTED,
        _ if !ended.dead.is_empty() => exit::DEAD_TASKS,
        _ => exit::DONE,
    })
}

/// The tasks of the selection that are not finished, with fresh budgets.
struct Todo {
    tasks: Vec<TaskId>,
    bytes: u64,
}

async fn unfinished(queue: &dyn Queue, planned: &Planned) -> Result<Todo, Failure> {
    let mut todo = Todo {
        tasks: Vec::new(),
        bytes: 0,
    };
    for ids in planned.tasks.chunks(CHUNK) {
        let records = queue.get(ids).await?;
        let mut open = Vec::new();
        for record in records.into_iter().flatten() {
            if !matches!(record.state, TaskState::Done | TaskState::Missing) {
                todo.bytes += record.bytes;
                open.push(record.id);
            }
        }
        queue.retry(&open).await?;
        todo.tasks.extend(open);
    }
    Ok(todo)
}

/// How the tasks of the selection stand in the end, whoever worked on them.
#[derive(Default)]
struct Ended {
    done: u64,
    missing: u64,
    unfinished: u64,
    dead: Vec<TaskRecord>,
}

impl Ended {
    async fn of(queue: &dyn Queue, tasks: &[TaskId]) -> Result<Self, Failure> {
        let mut ended = Self::default();
        for ids in tasks.chunks(CHUNK) {
            let states = queue.states(ids).await?;
            let mut dead = Vec::new();
            for (id, state) in ids.iter().zip(states) {
                match state {
                    Some(TaskState::Done) => ended.done += 1,
                    Some(TaskState::Missing) => ended.missing += 1,
                    Some(TaskState::Dead) => dead.push(id.clone()),
                    Some(TaskState::Pending | TaskState::Leased) => ended.unfinished += 1,
                    // Replaced by another task meanwhile.
                    None => {}
                }
            }
            ended
                .dead
                .extend(queue.get(&dead).await?.into_iter().flatten());
        }
        Ok(ended)
    }
}

fn report(
    ended: &Ended,
    board: &Board,
    stages: &Stages,
    as_json: bool,
    terminal: &Terminal,
    started: Instant,
    stopped: Stopped,
) {
    let milled = board.finished();
    if as_json {
        let seconds: serde_json::Map<String, serde_json::Value> = Stage::ALL
            .iter()
            .map(|stage| {
                (
                    stage.name().to_owned(),
                    stages.spent(*stage).as_secs_f64().into(),
                )
            })
            .collect();
        let dead: Vec<_> = ended
            .dead
            .iter()
            .map(|task| json!({"id": task.id, "reason": task.reason, "message": task.message}))
            .collect();
        println!(
            "{}",
            json!({
                "done": ended.done, "missing": ended.missing, "dead": dead, "unfinished": ended.unfinished,
                "milled": milled.done, "bytes": milled.bytes, "rows": milled.rows,
                "seconds": started.elapsed().as_secs_f64(), "interrupted": stopped == Stopped::Drained, "stage_seconds": seconds,
            })
        );
    }
    for task in ended.dead.iter().take(NAMED) {
        terminal.say(&format!(
            "dead: {}: {}: {}",
            task.id,
            task.reason.as_deref().unwrap_or("unknown"),
            task.message.as_deref().unwrap_or("no message")
        ));
    }
    if ended.dead.len() > NAMED {
        terminal.say(&format!(
            "… and {} more: tapemill tasks list --state dead",
            ended.dead.len() - NAMED
        ));
    }
    let mut line = format!("{} done", ended.done);
    for (count, what) in [
        (ended.missing, "missing"),
        (ended.dead.len() as u64, "dead"),
        (ended.unfinished, "not finished"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line.push_str(&format!(
        "; milled {} rows of {} in {}",
        format::count(milled.rows as f64),
        format::bytes(milled.bytes),
        format::duration(started.elapsed())
    ));
    terminal.say(&line);
}
