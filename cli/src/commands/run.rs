//! `run`: plan, work and report until the selection is finished.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tapemill_archive::Brake;
use tapemill_coordinator::{
    Enqueuer, PlanError, Planned, QueueView, RestUse, Selection, Survey, api, captured_days,
    in_step, survey,
};
use tapemill_market::Data;
use tapemill_queue::{Queue, TaskId, TaskState, WorkerId};
use tapemill_runtime::{Router, Shutdown, Stage, cores, exit, process_cpu};
use tapemill_worker::{Board, Scope, Stopped, Worker, WorkerMetrics, Workshop};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ended::Ended;
use crate::args::{RunArgs, UpdateArgs};
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::profile::Profile;
use crate::progress::{Goal, Terminal};
use crate::serving::Serving;

/// Tasks looked up at a time.
pub(super) const CHUNK: usize = 500;

/// Dead tasks named one by one.
const NAMED: usize = 20;

/// Finishes the selection.
pub async fn run(
    args: RunArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    finish(args, Wanted::default(), as_json, terminal, shutdown).await
}

/// Brings the selection up to now: `run`, and what only the exchange has.
pub async fn update(
    args: UpdateArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let rest = match (args.rest_only, args.run.rest.no_rest) {
        (true, _) => RestUse::Everything,
        (false, true) => RestUse::Nothing,
        (false, false) => RestUse::Unarchived,
    };
    let wanted = Wanted {
        rest,
        refresh: args.refresh,
        ..Wanted::default()
    };
    finish(args.run, wanted, as_json, terminal, shutdown).await
}

/// Makes these again, whatever is there: of their archives, or what the exchange has; holes in them of up to so many days
/// are filled from elsewhere. Exit code as of `run`.
pub(super) async fn remake(
    args: RunArgs,
    these: BTreeSet<String>,
    repair: Option<u32>,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let rest = match args.rest.no_rest {
        true => RestUse::Nothing,
        false => RestUse::Unarchived,
    };
    let wanted = Wanted {
        rest,
        refresh: false,
        these: Some(these),
        repair,
    };
    finish(args, wanted, false, terminal, shutdown).await
}

/// What is wanted beside the arguments.
#[derive(Default)]
struct Wanted {
    rest: RestUse,
    /// What was published anew with the size it had.
    refresh: bool,
    /// Only these tasks of the selection.
    these: Option<BTreeSet<String>>,
    /// Holes of up to so many days in them are filled from elsewhere.
    repair: Option<u32>,
}

async fn finish(
    args: RunArgs,
    wanted: Wanted,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let started = Instant::now();
    context::selection(&args.selection, &args.rest)?;
    let brake = Arc::new(Brake::new());
    let source = context::capped_source(&args.source, &brake, args.work.max_bytes_per_second)?;
    let output = context::output(&args.output, &args.shape)?;
    let mut workshop = context::workshop(source, brake, output, args.work.keep_zip);
    let serving = Serving::new(shutdown);
    let metrics = serving.work(&*workshop.source, &workshop.stages);
    let listen = args.listen.listen.as_deref();
    let view = QueueView::new(context::shown_queue(&args.queue, &args.output)?);
    let more = match listen {
        Some(_) => api(view.clone(), context::admin_token()?, serving.stop.clone()),
        None => Router::new(),
    };
    let server = serving.serve(listen, more, terminal).await?;
    let queue = serving.measured(context::queue(&args.queue, &args.output).await?);
    view.open(queue.clone());
    let mut attending = JoinSet::new();
    if server.is_some() {
        attending.spawn(view.attend(serving.health.clone()));
    }
    workshop.rest = context::rest(&args.rest, queue.clone())?;
    let job = Job {
        queue,
        wanted,
        id: context::worker_id(&args.work),
        board: Arc::new(Board::default()),
        around: Around::default(),
        args,
        workshop,
        metrics,
        serving,
    };
    let ended = job.run(terminal, shutdown).await;
    if let Some(server) = server {
        server.stop().await;
    }
    let Some((ended, stopped)) = ended? else {
        return Ok(exit::INTERRUPTED);
    };
    job.report(&ended, as_json, terminal, started.elapsed(), stopped);
    Ok(match stopped {
        Stopped::Drained if ended.unfinished > 0 => exit::INTERRUPTED,
        _ if !ended.dead.is_empty() => exit::DEAD_TASKS,
        _ => exit::DONE,
    })
}

/// What a run works with.
struct Job {
    args: RunArgs,
    wanted: Wanted,
    queue: Arc<dyn Queue>,
    workshop: Workshop,
    id: WorkerId,
    board: Arc<Board>,
    around: Around,
    metrics: WorkerMetrics,
    serving: Serving,
}

/// The time of what is around the tasks, without the calls to the queue.
#[derive(Default)]
struct Around {
    plan: Cell<Duration>,
    catalogue: Cell<Duration>,
}

impl Job {
    /// Plans and works until the selection is finished; none when it was interrupted before it began to work.
    async fn run(
        &self,
        terminal: &Terminal,
        shutdown: &Shutdown,
    ) -> Result<Option<(Ended, Stopped)>, Failure> {
        // Also while listing: nothing is held yet that would have to be handed back.
        let mut plan = tokio::select! {
            biased;
            () = shutdown.draining().cancelled() => return Ok(None),
            planned = self.plan_in_step(self.args.force, terminal) => planned?,
        };
        loop {
            let stopped = self.work(&plan.todo, terminal, shutdown).await?;
            let ended = self
                .serving
                .once_it_answers(async || Ok(Ended::of(&*self.queue, &plan.planned.tasks).await?))
                .await?;
            let Some(ended) = ended else {
                return Ok(None);
            };
            if stopped == Stopped::Drained {
                return Ok(Some((ended, stopped)));
            }
            if ended.vanished == 0 {
                let output = &self.workshop.output;
                let Plan {
                    selection, planned, ..
                } = &plan;
                let catalogue = context::catalogue(&*self.queue, output, selection, planned);
                self.timed(&self.around.catalogue, catalogue).await;
                return Ok(Some((ended, stopped)));
            }
            tracing::warn!(
                tasks = ended.vanished,
                "the queue lost tasks of this run: it was deleted or its store lost it; planning again"
            );
            let again = self
                .serving
                .once_it_answers(async || self.plan_in_step(false, terminal).await)
                .await?;
            match again {
                Some(again) => plan = again,
                None => return Ok(Some((ended, Stopped::Drained))),
            }
        }
    }

    async fn plan_in_step(&self, force: bool, terminal: &Terminal) -> Result<Plan, Failure> {
        let planning = self.plan(force, terminal);
        let planning = in_step(&*self.queue, &self.workshop.brake, planning);
        self.timed(&self.around.plan, planning).await
    }

    /// Adds what this takes, without the calls to the queue that it waits for: those are told by themselves.
    async fn timed<T>(&self, time: &Cell<Duration>, work: impl Future<Output = T>) -> T {
        let calls = || self.serving.meter.awaited_calls().spent;
        let (started, calls_before) = (Instant::now(), calls());
        let done = work.await;
        let elapsed = started.elapsed();
        time.set(time.get() + elapsed.saturating_sub(calls() - calls_before));
        done
    }

    async fn plan(&self, force: bool, terminal: &Terminal) -> Result<Plan, Failure> {
        let mut selection = context::selection(&self.args.selection, &self.args.rest)?;
        selection.rest = self.wanted.rest;
        let source = &self.workshop.source;
        let planning = async {
            if selection.rest == RestUse::Unarchived && selection.data.contains(&Data::AggTrades) {
                let lake = &self.workshop.output.lake;
                let days = captured_days(lake, selection.market, selection.today);
                selection.captured = days.await?;
            }
            let exchange = self.workshop.rest.as_deref();
            let asking = context::asking(&self.args.asking);
            let found = survey(source, exchange, &selection, asking).await;
            let mut found = match found {
                // What has no source any more is not made again.
                Err(PlanError::Nothing { .. } | PlanError::NoSuchSymbol { .. })
                    if self.wanted.these.is_some() =>
                {
                    Survey::default()
                }
                found => found?,
            };
            if let Some(these) = &self.wanted.these {
                (found.archives).retain(|archive| these.contains(&archive.name.task_id()));
                (found.rest).retain(|(name, _)| these.contains(&name.task_id()));
                found.holes.clear();
            }
            let enqueuer = Enqueuer {
                queue: self.queue.clone(),
                source: source.clone(),
                output: self.workshop.output.clone(),
                force,
                refresh: self.wanted.refresh,
                repair: self.wanted.repair,
            };
            let planned = enqueuer.enqueue(&selection, &found).await?;
            Ok::<_, Failure>((found, planned))
        };
        let (found, planned) = in_step(&*self.queue, &self.workshop.brake, planning).await?;
        let todo = unfinished(&*self.queue, &planned).await?;
        terminal.say(&format!(
            "{}, {}: {} to do, {} finished before, {} in the archive",
            format::plural(planned.tasks.len() as u64, "task"),
            format::bytes(planned.bytes),
            todo.tasks.len(),
            planned.tasks.len() - todo.tasks.len(),
            format::plural(found.holes.len() as u64, "hole"),
        ));
        Ok(Plan {
            selection,
            planned,
            todo,
        })
    }

    async fn work(
        &self,
        todo: &Todo,
        terminal: &Terminal,
        shutdown: &Shutdown,
    ) -> Result<Stopped, Failure> {
        if todo.tasks.is_empty() {
            return Ok(Stopped::Finished);
        }
        // What an earlier round finished stays finished.
        let before = self.board.finished();
        let goal = Goal {
            tasks: todo.tasks.len() as u64 + before.done + before.missing + before.dead,
            bytes: todo.bytes + before.bytes,
        };
        let shown = CancellationToken::new();
        let watch = terminal.watch(self.board.clone(), goal, shown.clone());
        let worker = Worker {
            queue: self.queue.clone(),
            workshop: self.workshop.clone(),
            id: self.id.clone(),
            tasks: context::tasks_at_once(self.args.work.workers),
            lease: self.args.work.lease,
            grace: self.args.work.grace,
            scope: Scope::Selection(todo.tasks.clone()),
            board: self.board.clone(),
            metrics: self.metrics.clone(),
            health: self.serving.health.clone(),
            outages: self.serving.outages.clone(),
            draining: shutdown.draining().clone(),
        };
        let stopped = worker.run().await;
        shown.cancel();
        watch.ended().await;
        Ok(stopped?)
    }
}

/// The selection, its tasks, and those that are not finished.
struct Plan {
    selection: Selection,
    planned: Planned,
    todo: Todo,
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

impl Job {
    fn profile(&self, wall: Duration) -> Profile {
        let meter = &self.serving.meter;
        Profile {
            wall,
            cpu: process_cpu(),
            cores: cores(),
            remote_archive: context::is_remote(&self.args.source),
            remote_output: self.workshop.output.lake.folder().is_none(),
            plan: self.around.plan.get(),
            stages: Profile::times(&self.workshop.stages),
            store: meter.awaited_calls(),
            catalogue: self.around.catalogue.get(),
            task_calls: meter.calls_of_tasks().count,
            all_calls: meter.all_calls().count,
            finished: self.board.finished(),
        }
    }

    fn report(
        &self,
        ended: &Ended,
        as_json: bool,
        terminal: &Terminal,
        wall: Duration,
        stopped: Stopped,
    ) {
        let milled = self.board.finished();
        let stages = &self.workshop.stages;
        let profile = self.args.profile.then(|| self.profile(wall));
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
            let mut told = json!({
                "done": ended.done, "missing": ended.missing, "dead": dead, "unfinished": ended.unfinished,
                "milled": milled.done, "bytes": milled.bytes, "rows": milled.rows,
                "seconds": wall.as_secs_f64(), "interrupted": stopped == Stopped::Drained, "stage_seconds": seconds,
            });
            if let Some(profile) = &profile {
                told["profile"] = profile.json();
            }
            out!(terminal, "{told}");
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
            format::duration(wall)
        ));
        terminal.say(&line);
        // Asked for, so told even when quiet.
        if let Some(profile) = profile {
            profile
                .text()
                .lines()
                .for_each(|line| terminal.announce(line));
        }
    }
}
