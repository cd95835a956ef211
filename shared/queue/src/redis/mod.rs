//! The backend for many machines: a queue in Redis, on a single server, behind Sentinels, or in a cluster.
//!
//! Each call is one script (`lua/`), atomic on the server and in its time; calls that take many tasks
//! come in parts. A claim or completion repeated after a lost answer changes nothing more. What lies where
//! is in `keys.rs`, what is in a task's record in `lua/lib/record.lua`.

mod batch;
mod calls;
mod checks;
mod driver;
mod fault;
mod info;
mod keys;
mod link;
mod planning;
mod reply;
mod script;
mod server;
mod together;
mod trip;
mod url;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{Cmd, Value};

pub use url::{Credentials, RedisUrl, is_redis_url, without_credentials};

use calls::{add_lease, lost};
use fault::into_error;
use keys::{Keys, QUEUES};
use link::Link;
use reply::{Fields, damaged};
use script::Script;
use together::{Claims, Completions, Turns};
use trip::Trip;

use crate::{Budgets, Clock, Lease, QueueError};

/// The schema this release writes.
const SCHEMA: i64 = 1;
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
    turns: Turns,
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
            turns: Turns::default(),
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

    /// Adds this queue to the names, or takes it off. A user who may touch only this queue has no names.
    async fn register(&self, op: &'static str, there: bool) -> Result<(), QueueError> {
        let mut command = redis::cmd(if there { "SADD" } else { "SREM" });
        command.arg(QUEUES).arg(&self.url.queue);
        let answer = self.link.send(&command, &self.keys).await;
        match answer {
            Err(error) if error.code() == Some("NOPERM") => Ok(()),
            answer => answer
                .map(drop)
                .map_err(|error| into_error(error, &self.name, op)),
        }
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

impl RedisQueue {
    fn parsed_settings(&self, json: &str) -> Result<BTreeMap<String, String>, QueueError> {
        let parsed = serde_json::from_str(json);
        parsed.map_err(|error| damaged(&self.name, &format!("settings that do not parse: {error}")))
    }
}
