//! The backend for many machines: a queue in Redis, on a single server, behind Sentinels, or in a cluster.
//!
//! Each call is one script (`lua/`), atomic on the server and in its time; calls that take many tasks
//! come in parts. A claim or completion repeated after a lost answer changes nothing more. What lies where
//! is in `keys.rs`, what is in a task's record in `lua/lib/record.lua`.

mod batch;
mod checks;
mod fault;
mod keys;
mod link;
mod planning;
mod reply;
mod script;
mod together;
mod url;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, RedisResult, Value};

pub use url::{Credentials, RedisUrl, is_redis_url};

use fault::into_error;
use keys::{Keys, QUEUES};
use link::Link;
use reply::{Fields, damaged};
use script::Script;
use together::{Claims, Completions, Finish, Wanted};

use crate::clock::millis;
use crate::control::{CANCELLED, CANCELLED_MESSAGE, LOST, RAN_OUT};
use crate::limits::{self, MAX_COUNT, MAX_HISTORY};
use crate::{
    Budgets, ClaimRequest, Claimed, Clock, Completion, Enqueued, Failure, HeartbeatReply,
    HeartbeatRequest, Lease, NewTask, Page, Queue, QueueError, Reaped, Retry, Stats, TaskFilter,
    TaskId, TaskRecord, TaskState, WorkerRecord, WorkerState, settings,
};

/// The schema this release writes.
const SCHEMA: i64 = 1;
/// Ids per call that only reads or changes tasks one by one.
const CHUNK: usize = 500;
/// Leases per call of a heartbeat.
const BEATS: usize = 1_000;
/// Ids a list or a prune looks at per call.
const LOOKED_AT: usize = 5_000;
const PRUNED_AT: usize = 1_000;

/// How a queue is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// How much trouble a task may have.
    pub budgets: Budgets,
    /// Who connects; what is absent is taken from the URL.
    pub credentials: Credentials,
    /// Whether what the server may lose is left untold: for a glance at a queue.
    pub untold: bool,
    /// For tests: the time to live by in place of the server's.
    pub clock: Option<Arc<dyn Clock>>,
}

/// A queue in Redis. Cheap to share behind an `Arc`; opening it twice is fine.
pub struct RedisQueue {
    name: Arc<str>,
    url: RedisUrl,
    keys: Keys,
    link: Arc<Link>,
    claims: Claims,
    completions: Completions,
    budgets: Budgets,
    clock: Option<Arc<dyn Clock>>,
}

impl RedisQueue {
    /// Connects to the queue a URL names, and checks its server. Nothing is written.
    ///
    /// # Errors
    ///
    /// * [`QueueError::BadUrl`]
    /// * [`QueueError::Unavailable`], [`QueueError::Refused`]: nobody answers, or not to us.
    /// * [`QueueError::OldStore`], [`QueueError::NewerSchema`]
    pub async fn open(url: &str, options: Options) -> Result<Self, QueueError> {
        let (url, credentials) = RedisUrl::parse(url)?;
        let untold = options.untold;
        let queue = Self::connect(url, options.credentials.clone().or(credentials), options)?;
        let warnings = checks::check(&queue.link, &queue.keys, &queue.name).await?;
        for warning in warnings.iter().filter(|_| !untold) {
            tracing::warn!(queue = %queue.name, "{warning}");
        }
        queue.check_schema().await?;
        Ok(queue)
    }

    fn connect(
        url: RedisUrl,
        credentials: Credentials,
        options: Options,
    ) -> Result<Self, QueueError> {
        let name: Arc<str> = url.to_string().into();
        let started = Link::new(url.clone(), credentials);
        let link = started.map_err(|source| QueueError::Unavailable {
            queue: name.to_string(),
            op: "start its thread",
            source: source.into(),
        })?;
        Ok(Self {
            name,
            keys: Keys::of(&url.queue),
            url,
            link: Arc::new(link),
            claims: Claims::default(),
            completions: Completions::default(),
            budgets: options.budgets,
            clock: options.clock,
        })
    }

    /// Where the queue is.
    #[must_use]
    pub fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// Whether anything was ever planned into this queue, or its settings were fixed.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    pub async fn exists(&self) -> Result<bool, QueueError> {
        Ok(self.look("look for it").await?.0.is_some())
    }

    /// The names of the queues on this server, in order.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    pub async fn names(&self) -> Result<Vec<String>, QueueError> {
        let op = "list the queues";
        let command = redis::cmd("SMEMBERS").arg(QUEUES).to_owned();
        let answer = self.link.send(&command, &self.keys).await;
        let members = match answer.map_err(|error| into_error(error, &self.name, op))? {
            Value::Set(members) => Value::Array(members),
            other => other,
        };
        let mut fields = Fields::of(&self.name, members)?;
        let mut names = Vec::new();
        while !fields.is_empty() {
            names.push(fields.text()?);
        }
        names.sort();
        Ok(names)
    }

    /// Adds this queue to the names, or takes it off.
    async fn register(&self, op: &'static str, there: bool) -> Result<(), QueueError> {
        let mut command = redis::cmd(if there { "SADD" } else { "SREM" });
        command.arg(QUEUES).arg(&self.url.queue);
        let answer = self.link.send(&command, &self.keys).await;
        answer
            .map(drop)
            .map_err(|error| into_error(error, &self.name, op))
    }

    async fn check_schema(&self) -> Result<(), QueueError> {
        match self.look("open it").await?.0 {
            Some(found) if found > SCHEMA => Err(QueueError::NewerSchema {
                queue: self.name.to_string(),
                found,
                ours: SCHEMA,
            }),
            _ => Ok(()),
        }
    }

    /// Schema and settings.
    async fn look(&self, op: &'static str) -> Result<(Option<i64>, Option<String>), QueueError> {
        let mut fields = self.fields(op, &script::LOOK, |_| ()).await?;
        Ok((fields.opt_int()?, fields.opt_text()?))
    }

    /// Runs a script; its first argument is the time, or nothing for the server's.
    async fn call(
        &self,
        op: &'static str,
        script: &Script,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
    ) -> Result<Value, QueueError> {
        let answer = self.trip().run(script, &arguments).await;
        answer.map_err(|error| into_error(error, &self.name, op))
    }

    /// What a script needs to be run.
    fn trip(&self) -> Trip {
        Trip {
            link: self.link.clone(),
            keys: self.keys.clone(),
            clock: self.clock.clone(),
        }
    }

    async fn fields(
        &self,
        op: &'static str,
        script: &Script,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
    ) -> Result<Fields, QueueError> {
        let value = self.call(op, script, arguments).await?;
        Fields::of(&self.name, value)
    }

    async fn number(
        &self,
        op: &'static str,
        script: &Script,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
    ) -> Result<i64, QueueError> {
        match self.call(op, script, arguments).await? {
            Value::Int(number) => Ok(number),
            other => Err(damaged(
                &self.name,
                &format!("{other:?} in place of a number"),
            )),
        }
    }

    /// A call that names a lease, and is refused when it is lost.
    async fn on_lease(
        &self,
        op: &'static str,
        script: &Script,
        lease: &Lease,
        rest: impl Fn(&mut Cmd) + Send + Sync,
    ) -> Result<(), QueueError> {
        let accepted = self.number(op, script, |command| {
            add_lease(command, lease);
            rest(command);
        });
        if accepted.await? == 1 {
            return Ok(());
        }
        Err(lost(lease))
    }
}

/// What a script needs to be run.
#[derive(Clone)]
struct Trip {
    link: Arc<Link>,
    keys: Keys,
    clock: Option<Arc<dyn Clock>>,
}

impl Trip {
    /// Runs a script; its first argument is the time, or nothing for the server's.
    async fn run(
        &self,
        script: &Script,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> RedisResult<Value> {
        let now = self.clock.as_ref().map(|clock| clock.now_ms().to_string());
        let now = now.unwrap_or_default();
        let all = |command: &mut Cmd| {
            command.arg(&now);
            arguments(command);
        };
        self.link.run(script, &self.keys, &all).await
    }
}

fn lost(lease: &Lease) -> QueueError {
    QueueError::LeaseLost {
        task: lease.task.clone(),
        generation: lease.generation,
    }
}

fn add_lease(command: &mut Cmd, lease: &Lease) {
    command
        .arg(lease.task.as_str())
        .arg(lease.generation)
        .arg(&lease.request.as_bytes()[..]);
}

fn add_ids(command: &mut Cmd, ids: &[TaskId]) {
    ids.iter().for_each(|id| {
        command.arg(id.as_str());
    });
}

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
        let theirs = link::text_of(&self.call(op, &script::FIX_SETTINGS, fix).await?);
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

impl RedisQueue {
    fn parsed_settings(&self, json: &str) -> Result<BTreeMap<String, String>, QueueError> {
        let parsed = serde_json::from_str(json);
        parsed.map_err(|error| damaged(&self.name, &format!("settings that do not parse: {error}")))
    }
}
