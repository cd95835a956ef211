//! The calls of the trait, each as its script.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};

use super::fault::into_error;
use super::info::text_of;
use super::reply::Fields;
use super::together::{Finish, Wanted};
use super::{RedisQueue, SCHEMA, checks, planning, script, view};
use crate::clock::millis;
use crate::limits::{self, MAX_COUNT, MAX_HISTORY};
use crate::reasons::{CANCELLED, CANCELLED_MESSAGE, LOST, RAN_OUT};
use crate::weight::{MINUTE, SLICE_MS, WINDOW};
use crate::{
    ClaimRequest, Claimed, CompletedAndClaimed, Completion, Enqueued, Failure, HeartbeatReply,
    HeartbeatRequest, Lease, NewTask, Page, Queue, QueueError, Reaped, Retry, Stats, TaskFilter,
    TaskId, TaskRecord, TaskState, WorkerRecord, WorkerState, settings,
};

/// Ids per call that only reads or changes tasks one by one.
const CHUNK: usize = 500;
/// Leases per call of a heartbeat.
const BEATS: usize = 1_000;
/// Ids a list or a prune looks at per call: some milliseconds in which the server answers nobody else.
const LOOKED_AT: usize = 250;
const PRUNED_AT: usize = 1_000;

#[async_trait]
impl Queue for RedisQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued, QueueError> {
        limits::check_new_tasks(tasks)?;
        let mut total = Enqueued::default();
        for tasks in planning::calls(tasks) {
            let fields = self.fields("enqueue tasks", &script::ENQUEUE, |command| {
                command.arg(SCHEMA);
                tasks
                    .iter()
                    .for_each(|task| planning::add_task(command, task));
            });
            total += planning::enqueued(fields.await?)?;
        }
        Ok(total)
    }

    async fn retry(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        let mut retried = 0;
        for ids in ids.chunks(CHUNK) {
            let call = self.number("retry tasks", &script::RETRY, |command| {
                add_ids(command, ids)
            });
            retried += call.await?.unsigned_abs();
        }
        Ok(retried)
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claimed, QueueError> {
        limits::check_only(request.only)?;
        let wanted = Wanted::new(request);
        let answer = self.claims.call(self.trip(), wanted).await;
        let answer = answer.map_err(|error| into_error(error, &self.name, "claim tasks"))?;
        view::claimed(Fields::of(&self.name, answer)?, request.request)
    }

    async fn heartbeat(
        &self,
        request: &HeartbeatRequest<'_>,
    ) -> Result<HeartbeatReply, QueueError> {
        limits::check_beats(request.beats)?;
        let leaves = request.state == WorkerState::Draining && request.beats.is_empty();
        let remembered = if leaves {
            Duration::ZERO
        } else {
            crate::worker::remembered(request.lease)
        };
        let mut whole = HeartbeatReply::default();
        let mut rest = request.beats;
        loop {
            let (part, after) = rest.split_at(rest.len().min(BEATS));
            let fields = self.fields("extend leases", &script::HEARTBEAT, |command| {
                command
                    .arg(request.worker.as_str())
                    .arg(request.state.as_str())
                    .arg(millis(request.lease))
                    .arg(millis(remembered));
                for beat in part {
                    add_lease(command, &beat.lease);
                    let progress = beat.progress;
                    for count in [progress.bytes, progress.bytes_total, progress.rows] {
                        command.arg(count.min(MAX_COUNT));
                    }
                }
            });
            let reply = view::heard(fields.await?)?;
            (whole.paused, whole.brake) = (reply.paused, reply.brake);
            whole.lost.extend(reply.lost);
            rest = after;
            if rest.is_empty() {
                return Ok(whole);
            }
        }
    }

    async fn confirm(&self, lease: &Lease) -> Result<(), QueueError> {
        self.on_lease("confirm a lease", &script::CONFIRM, lease, |_| ())
            .await
    }

    async fn complete(&self, lease: &Lease, completion: &Completion) -> Result<(), QueueError> {
        limits::check_completion(&lease.task, completion)?;
        let finish = Finish::new(lease, completion);
        let answer = self.completions.call(self.trip(), finish).await;
        match answer.map_err(|error| into_error(error, &self.name, "complete a task"))? {
            Value::Int(1) => Ok(()),
            _ => Err(lost(lease)),
        }
    }

    async fn complete_and_claim(
        &self,
        lease: &Lease,
        completion: &Completion,
        request: &ClaimRequest<'_>,
    ) -> Result<CompletedAndClaimed, QueueError> {
        limits::check_completion(&lease.task, completion)?;
        limits::check_only(request.only)?;
        let turn = (Finish::new(lease, completion), Wanted::new(request));
        let answer = self.turns.call(self.trip(), turn).await;
        let (completed, claimed) = answer
            .map_err(|error| into_error(error, &self.name, "complete a task and claim the next"))?;
        Ok(CompletedAndClaimed {
            accepted: completed == Value::Int(1),
            claimed: view::claimed(Fields::of(&self.name, claimed)?, request.request)?,
        })
    }

    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<TaskState, QueueError> {
        let (reason, message) = limits::cut_failure(failure);
        let delay = match failure.retry {
            Retry::After(delay) => millis(delay),
            Retry::Final => -1,
        };
        let state = self.number("report a failure", &script::FAIL, |command| {
            add_lease(command, lease);
            command
                .arg(&reason)
                .arg(&message)
                .arg(delay)
                .arg(self.budgets.attempts)
                .arg(MAX_HISTORY);
        });
        match state.await? {
            -1 => Err(lost(lease)),
            0 => Ok(TaskState::Pending),
            _ => Ok(TaskState::Dead),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), QueueError> {
        self.on_lease("release a task", &script::RELEASE, lease, |_| ())
            .await
    }

    async fn reap(&self, limit: usize) -> Result<Reaped, QueueError> {
        let fields = self.fields("return lost leases", &script::REAP, |command| {
            command
                .arg(limit.min(limits::MAX_REAPED))
                .arg(self.budgets.expiries)
                .arg(LOST)
                .arg(RAN_OUT)
                .arg(MAX_HISTORY);
        });
        view::reaped(fields.await?)
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, QueueError> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let fields = self.fields("read tasks", &script::GET, |command| add_ids(command, ids));
            let mut fields = fields.await?;
            for _ in ids {
                records.push(fields.opt_list()?.map(view::record).transpose()?);
            }
        }
        Ok(records)
    }

    async fn states(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskState>>, QueueError> {
        let mut states = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let fields = self.fields("read states", &script::STATES, |command| {
                add_ids(command, ids)
            });
            let mut fields = fields.await?;
            for _ in ids {
                states.push(view::state(&mut fields)?);
            }
        }
        Ok(states)
    }

    async fn list(
        &self,
        filter: &TaskFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page, QueueError> {
        let state = filter
            .state
            .map_or(-1, |state| view::state_number(state) as i64);
        let limit = limit.clamp(1, limits::MAX_PAGE);
        let fields = self.fields("list tasks", &script::LIST, |command| {
            command
                .arg(state)
                .arg(filter.dataset.as_deref().unwrap_or_default())
                .arg(filter.id_prefix.as_deref().unwrap_or_default())
                .arg(cursor.as_deref().unwrap_or_default())
                .arg(limit)
                .arg(LOOKED_AT);
        });
        let mut fields = fields.await?;
        let next = fields.opt_text()?;
        let mut tasks = Vec::new();
        while !fields.is_empty() {
            tasks.push(view::record(fields.list()?)?);
        }
        Ok(Page { tasks, next })
    }

    async fn cancel(&self, ids: &[TaskId]) -> Result<u64, QueueError> {
        let mut cancelled = 0;
        for ids in ids.chunks(CHUNK) {
            let call = self.number("cancel tasks", &script::CANCEL, |command| {
                command
                    .arg(CANCELLED)
                    .arg(CANCELLED_MESSAGE)
                    .arg(MAX_HISTORY);
                add_ids(command, ids);
            });
            cancelled += call.await?.unsigned_abs();
        }
        Ok(cancelled)
    }

    async fn pause(&self, paused: bool) -> Result<(), QueueError> {
        let pause = |command: &mut Cmd| {
            command.arg(u8::from(paused));
        };
        self.call("pause or resume", &script::PAUSE, pause)
            .await
            .map(drop)
    }

    async fn brake(&self, at_least: Duration) -> Result<(), QueueError> {
        let brake = |command: &mut Cmd| {
            command.arg(millis(at_least));
        };
        self.call("slow down", &script::BRAKE, brake)
            .await
            .map(drop)
    }

    async fn brake_left(&self) -> Result<Option<Duration>, QueueError> {
        let left = self.number("ask for a brake", &script::BRAKE_LEFT, |_| ());
        Ok(view::brake(left.await?))
    }

    async fn take_weight(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, QueueError> {
        limits::check_host(host)?;
        let wait = self.number("count a request", &script::TAKE_WEIGHT, |command| {
            command
                .arg(host)
                .arg(SLICE_MS)
                .arg(WINDOW)
                .arg(weight)
                .arg(most);
        });
        let wait = u64::try_from(wait.await?).unwrap_or(0);
        Ok((wait > 0).then(|| Duration::from_millis(wait)))
    }

    async fn correct_weight(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), QueueError> {
        limits::check_host(host)?;
        let correct = |command: &mut Cmd| {
            command.arg(host).arg(SLICE_MS).arg(WINDOW);
            match used {
                Some(used) => command.arg(used),
                None => command.arg(""),
            };
            match hold {
                Some(hold) => command.arg(millis(hold)),
                None => command.arg(""),
            };
            command.arg(MINUTE);
        };
        self.call("count a request", &script::CORRECT_WEIGHT, correct)
            .await
            .map(drop)
    }

    async fn prune(&self, older_than: Duration) -> Result<u64, QueueError> {
        let mut pruned = 0;
        let mut cursor = String::new();
        loop {
            let fields = self.fields("prune tasks", &script::PRUNE, |command| {
                command.arg(millis(older_than)).arg(&cursor).arg(PRUNED_AT);
            });
            let mut fields = fields.await?;
            pruned += fields.count()?;
            match fields.opt_text()? {
                Some(next) => cursor = next,
                None => return Ok(pruned),
            }
        }
    }

    async fn clear(&self) -> Result<(), QueueError> {
        let op = "delete everything";
        self.call(op, &script::CLEAR, |_| ()).await?;
        self.register(op, false).await
    }

    async fn fix_settings(&self, ours: &BTreeMap<String, String>) -> Result<(), QueueError> {
        settings::check(ours)?;
        let op = "compare settings";
        self.register(op, true).await?;
        let json = serde_json::json!(ours).to_string();
        let fix = |command: &mut Cmd| {
            command.arg(SCHEMA).arg(&json);
        };
        let theirs = text_of(&self.call(op, &script::FIX_SETTINGS, fix).await?);
        settings::compare(&self.parsed_settings(&theirs)?, ours)
    }

    async fn settings(&self) -> Result<Option<BTreeMap<String, String>>, QueueError> {
        let (_, json) = self.look("read settings").await?;
        json.map(|json| self.parsed_settings(&json)).transpose()
    }

    async fn stats(&self) -> Result<Stats, QueueError> {
        let (fields, memory) = tokio::join!(
            self.fields("count tasks", &script::STATS, |_| ()),
            checks::memory(&self.link, &self.keys),
        );
        view::stats(fields?, memory)
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>, QueueError> {
        let fields = self.fields("list workers", &script::WORKERS, |_| ());
        view::workers(fields.await?)
    }
}

pub(super) fn lost(lease: &Lease) -> QueueError {
    QueueError::LeaseLost {
        task: lease.task.clone(),
        generation: lease.generation,
    }
}

pub(super) fn add_lease(command: &mut Cmd, lease: &Lease) {
    command
        .arg(lease.task.as_str())
        .arg(lease.generation)
        .arg(&lease.request.as_bytes()[..]);
}

pub(super) fn add_ids(command: &mut Cmd, ids: &[TaskId]) {
    ids.iter().for_each(|id| {
        command.arg(id.as_str());
    });
}
