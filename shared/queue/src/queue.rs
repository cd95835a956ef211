//! The role every backend plays.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ClaimRequest, Claimed, CompletedAndClaimed, Completion, Enqueued, Failure, HeartbeatReply,
    HeartbeatRequest, Lease, NewTask, Page, QueueError, Reaped, Stats, TaskFilter, TaskId,
    TaskRecord, TaskState, WorkerRecord,
};

/// A queue of tasks, shared by any number of processes.
///
/// Each call is atomic unless it says otherwise, and all times are the store's. A call that
/// ended in [`QueueError::Unavailable`] may or may not have happened and can be repeated.
///
/// # Errors
///
/// Besides what a call names, any call may end in [`QueueError::Unavailable`], a writing one in
/// [`QueueError::Full`], and one handed too much in [`QueueError::TooLarge`], with nothing done.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Plans tasks; those already there stay as they are, but for what [`NewTask`] says.
    ///
    /// A leased task is never touched, save by being replaced; a dead one only by [`retry`].
    /// Atomic per task, in the order given; repeating it adds nothing.
    ///
    /// [`retry`]: Queue::retry
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLarge`] before anything is written.
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued, QueueError>;

    /// Gives unfinished tasks fresh budgets: dead ones become pending, pending ones may be claimed
    /// at once, leased ones keep their lease. Returns how many there were of these three.
    ///
    /// Atomic per task.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn retry(&self, ids: &[TaskId]) -> Result<u64, QueueError>;

    /// Takes leases on pending tasks: urgent ones first, then by rank descending, then by id; with
    /// `only`, in that order instead.
    ///
    /// The same worker and request again returns what is still held of the first answer, if
    /// anything is, even while paused.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLarge`] when `only` is beyond its bound.
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claimed, QueueError>;

    /// Extends leases, records the worker, and brings back what it should know.
    ///
    /// A late holder whose lease was not reaped is accepted. A lost lease is an answer, no error.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn heartbeat(&self, request: &HeartbeatRequest<'_>)
    -> Result<HeartbeatReply, QueueError>;

    /// Checks that a lease is held: the last step before publishing. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] when it is not.
    async fn confirm(&self, lease: &Lease) -> Result<(), QueueError>;

    /// Finishes a task. Repeating it with the same lease changes nothing and succeeds.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] when the lease is not held.
    async fn complete(&self, lease: &Lease, completion: &Completion) -> Result<(), QueueError>;

    /// As [`Queue::complete`] and then [`Queue::claim`], in one call: a worker finishes a task and has
    /// the next. It claims too when the completion is refused, which is told and no error: the
    /// holder is free all the same. A store that is full completes and claims nothing, with
    /// [`Wait::Ready`](crate::Wait): the next claim is told. Repeating it with the same lease and request repeats both.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLarge`] as for either, with nothing done.
    async fn complete_and_claim(
        &self,
        lease: &Lease,
        completion: &Completion,
        request: &ClaimRequest<'_>,
    ) -> Result<CompletedAndClaimed, QueueError>;

    /// Reports a failed attempt, and returns what became of the task: `Pending` or `Dead`.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] when the lease is not held.
    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<TaskState, QueueError>;

    /// Hands a task back unharmed, to its place in the order: no attempt is spent, nothing is
    /// remembered.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] when the lease is not held.
    async fn release(&self, lease: &Lease) -> Result<(), QueueError>;

    /// Returns up to `limit` leases that ran out to pending; past their budget of expiries the
    /// tasks are dead, with reason `lost`. Any process may call it, at any time.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn reap(&self, limit: usize) -> Result<Reaped, QueueError>;

    /// All that is known of tasks, in the order asked for.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, QueueError>;

    /// The states of tasks, in the order asked for; cheaper than [`Queue::get`].
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn states(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskState>>, QueueError>;

    /// Part of the tasks that match, in the order of ids, from `cursor` on.
    ///
    /// A task that is there during the whole walk is seen exactly once, whatever happens to others.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn list(
        &self,
        filter: &TaskFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page, QueueError>;

    /// Gives up pending and leased tasks: they are dead, with reason `cancelled`, and holders hear
    /// of it at their next heartbeat. Returns how many there were. Atomic per task.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn cancel(&self, ids: &[TaskId]) -> Result<u64, QueueError>;

    /// Refuses claims (`true`) until called again with `false`. What is leased goes on.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn pause(&self, paused: bool) -> Result<(), QueueError>;

    /// Refuses claims for at least this long; never shortens a brake already on.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn brake(&self, at_least: Duration) -> Result<(), QueueError>;

    /// For how long claims are still refused by a brake, if they are; cheap enough to ask often.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn brake_left(&self) -> Result<Option<Duration>, QueueError>;

    /// Takes the weight of a request that is about to be sent to a host, of which all processes of the queue together
    /// take at most `most` within any minute. `None` when it may be sent now, else when to ask again.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLarge`] for a host of more than [`MAX_HOST_BYTES`](crate::limits::MAX_HOST_BYTES).
    async fn take_weight(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, QueueError>;

    /// Tells what a host has counted within its minute, which may be more than this queue took, and for how long it
    /// wants no request at all; never shortens a hold.
    ///
    /// # Errors
    ///
    /// As [`Queue::take_weight`].
    async fn correct_weight(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), QueueError>;

    /// Forgets done and missing tasks that were finished at least this long ago. Returns how many.
    ///
    /// Atomic per task.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn prune(&self, older_than: Duration) -> Result<u64, QueueError>;

    /// Deletes everything: tasks, settings, pause, brake, workers. Holders are refused afterwards.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn clear(&self) -> Result<(), QueueError>;

    /// Fixes what shapes the output: stored by the first caller, compared for every later one.
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] names the first setting that differs.
    async fn fix_settings(&self, settings: &BTreeMap<String, String>) -> Result<(), QueueError>;

    /// The settings fixed in the queue, if any are.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn settings(&self) -> Result<Option<BTreeMap<String, String>>, QueueError>;

    /// The queue in numbers, at a cost that does not grow with its tasks.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn stats(&self) -> Result<Stats, QueueError>;

    /// The workers heard of lately, in the order of their names.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn workers(&self) -> Result<Vec<WorkerRecord>, QueueError>;
}
