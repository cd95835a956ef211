//! The calls of the work loop, which go together where there are many.

use redis::{Cmd, RedisResult, Value};

use super::batch::Batch;
use super::calls::{add_ids, add_lease};
use super::trip::Trip;
use super::{script, view};
use crate::clock::millis;
use crate::limits::{MAX_CLAIMS, MAX_COUNT};
use crate::stats::{RATE_SLOT, RATE_WINDOW};
use crate::{ClaimRequest, Completion, Lease, Outcome, TaskId, TaskState};

/// A claim request that owns what it names.
pub(super) struct Wanted {
    worker: String,
    request: uuid::Uuid,
    limit: usize,
    lease_ms: i64,
    only: Option<Vec<TaskId>>,
}

/// A completion that owns what it names.
pub(super) struct Finish {
    lease: Lease,
    completion: Completion,
}

/// Claims under way.
#[derive(Default)]
pub(super) struct Claims(Batch<Wanted, Value>);

/// Completions under way.
#[derive(Default)]
pub(super) struct Completions(Batch<Finish, Value>);

/// Completions that claim what comes next, under way.
#[derive(Default)]
pub(super) struct Turns(Batch<(Finish, Wanted), (Value, Value)>);

impl Wanted {
    pub(super) fn new(request: &ClaimRequest<'_>) -> Self {
        Self {
            worker: request.worker.as_str().to_owned(),
            request: request.request,
            limit: request.limit.min(MAX_CLAIMS),
            lease_ms: millis(request.lease),
            only: request.only.map(<[_]>::to_vec),
        }
    }

    /// How many tasks it may look at.
    fn weight(&self) -> usize {
        self.limit
            .max(self.only.as_ref().map_or(0, Vec::len))
            .max(1)
    }

    /// As `claim.lua` reads it.
    fn add_to(&self, command: &mut Cmd) {
        let named = self.only.as_deref();
        command
            .arg(&self.worker)
            .arg(&self.request.as_bytes()[..])
            .arg(self.limit)
            .arg(self.lease_ms)
            .arg(named.map_or(-1, |ids| ids.len() as i64));
        add_ids(command, named.unwrap_or_default());
    }
}

impl Finish {
    pub(super) fn new(lease: &Lease, completion: &Completion) -> Self {
        Self {
            lease: lease.clone(),
            completion: completion.clone(),
        }
    }

    /// As `complete.lua` reads it.
    fn add_to(&self, command: &mut Cmd) {
        let state = match self.completion.outcome {
            Outcome::Done => TaskState::Done,
            Outcome::Missing => TaskState::Missing,
        };
        add_lease(command, &self.lease);
        command
            .arg(view::state_number(state))
            .arg(&self.completion.summary)
            .arg(self.completion.rows.min(MAX_COUNT))
            .arg(self.completion.bytes.min(MAX_COUNT));
    }
}

impl Claims {
    /// Claims; the answer is what `claim.lua` returns for one.
    pub(super) async fn call(&self, trip: Trip, wanted: Wanted) -> RedisResult<Value> {
        let link = trip.link.clone();
        let send = move |wanted: Vec<Wanted>| {
            let trip = trip.clone();
            async move {
                let add = |command: &mut Cmd| wanted.iter().for_each(|one| one.add_to(command));
                list(trip.run(&script::CLAIM, &add).await?, wanted.len())
            }
        };
        self.0
            .call(wanted, Wanted::weight, |work| link.start(work), send)
            .await
    }
}

impl Completions {
    /// Completes; the answer is 1, or 0 when the lease is lost.
    pub(super) async fn call(&self, trip: Trip, finish: Finish) -> RedisResult<Value> {
        let link = trip.link.clone();
        let send = move |finishes: Vec<Finish>| {
            let trip = trip.clone();
            async move {
                let add = |command: &mut Cmd| {
                    add_rate(command);
                    finishes.iter().for_each(|one| one.add_to(command));
                };
                list(trip.run(&script::COMPLETE, &add).await?, finishes.len())
            }
        };
        self.0
            .call(finish, |_| 1, |work| link.start(work), send)
            .await
    }
}

impl Turns {
    /// Completes and claims; the answers are those of [`Completions::call`] and of [`Claims::call`].
    pub(super) async fn call(
        &self,
        trip: Trip,
        turn: (Finish, Wanted),
    ) -> RedisResult<(Value, Value)> {
        let link = trip.link.clone();
        let send = move |turns: Vec<(Finish, Wanted)>| {
            let trip = trip.clone();
            async move {
                let add = |command: &mut Cmd| {
                    command.arg(turns.len());
                    add_rate(command);
                    turns.iter().for_each(|(finish, _)| finish.add_to(command));
                    turns.iter().for_each(|(_, wanted)| wanted.add_to(command));
                };
                let answer = trip.run(&script::COMPLETE_AND_CLAIM, &add).await?;
                let mut both = list(answer, 2)?.into_iter();
                let mut next = || list(both.next().unwrap_or(Value::Nil), turns.len());
                Ok(next()?.into_iter().zip(next()?).collect())
            }
        };
        let weight = |(_, wanted): &(Finish, Wanted)| wanted.weight();
        self.0
            .call(turn, weight, |work| link.start(work), send)
            .await
    }
}

/// The slots in which completions are summed.
fn add_rate(command: &mut Cmd) {
    command
        .arg(millis(RATE_SLOT))
        .arg(millis(RATE_WINDOW) / millis(RATE_SLOT));
}

/// An answer for each.
fn list(answer: Value, length: usize) -> RedisResult<Vec<Value>> {
    match answer {
        Value::Array(answers) if answers.len() == length => Ok(answers),
        other => {
            let told = format!("{other:?} in place of {length} answers");
            Err((
                redis::ErrorKind::UnexpectedReturnType,
                "a script's answer",
                told,
            )
                .into())
        }
    }
}
