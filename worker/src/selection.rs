//! Which tasks a worker claims: everything, or the ones a run selected.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapemill_queue::{Claim, ClaimRequest, Queue, QueueError, TaskId, TaskState, Wait, WorkerId};
use uuid::Uuid;

use crate::next::Next;

/// Ids looked up in one call; the queue allows 1,000 in a claim.
const WINDOW: usize = 500;

/// Ids named in a first claim for each task that is wanted. Mostly they can be had, and the queue looks up each one that
/// is named; where others hold them, the next claims name more and more.
const FIRST_WINDOW: usize = 4;

/// Ids named for the place of one task that ends. Where other workers have these, the next claim looks at all.
const NEXT_WINDOW: usize = 16;

/// Which tasks a worker is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Any task of the queue, until told to stop; or until nothing is pending or leased.
    Everything {
        /// End when nothing is pending or leased.
        exit_when_drained: bool,
    },
    /// These tasks, in this order, until each is finished by whoever works on it.
    Selection(Vec<TaskId>),
}

/// What is left of a worker's scope. Clones are the same.
#[derive(Clone)]
pub(crate) enum Remaining {
    Everything {
        exit_when_drained: bool,
    },
    /// Tasks neither held by this process nor known to be finished.
    Selection(Open),
}

/// Tasks that are open, in their order.
#[derive(Clone)]
pub(crate) struct Open(Arc<Mutex<VecDeque<TaskId>>>);

/// What a worker needs for every claim.
pub(crate) struct Claimant<'a> {
    queue: &'a dyn Queue,
    worker: &'a WorkerId,
    lease: Duration,
    next: &'a Next,
    /// Kept until the queue answered: the same request again returns the leases of an answer that was lost.
    request: Uuid,
}

impl<'a> Claimant<'a> {
    pub fn new(
        queue: &'a dyn Queue,
        worker: &'a WorkerId,
        lease: Duration,
        next: &'a Next,
    ) -> Self {
        Self {
            queue,
            worker,
            lease,
            next,
            request: Uuid::new_v4(),
        }
    }

    async fn claim(
        &mut self,
        limit: usize,
        only: Option<&[TaskId]>,
    ) -> Result<(Vec<Claim>, Wait), QueueError> {
        let request = ClaimRequest {
            worker: self.worker,
            request: self.request,
            limit,
            lease: self.lease,
            only,
        };
        let claimed = self.queue.claim(&request).await?;
        self.request = self.next.ask_again().unwrap_or_else(Uuid::new_v4);
        Ok((claimed.claims, claimed.wait))
    }
}

impl Open {
    /// Some of them, from a position on.
    fn window(&self, from: usize, most: usize) -> Vec<TaskId> {
        let open = self.tasks();
        let from = from.min(open.len());
        let to = from.saturating_add(most).min(open.len());
        open.range(from..to).cloned().collect()
    }

    fn taken(&self, claims: &[Claim]) {
        let mut open = self.tasks();
        for claim in claims {
            // Mostly the first that is left.
            let at = open.iter().position(|task| *task == claim.task);
            at.and_then(|at| open.remove(at));
        }
    }

    /// Forgets those of some tasks that others finished, or every claim would name them again. Returns how many; where the
    /// queue does not answer, the next claim will.
    async fn forget_finished(&self, some: &[TaskId], queue: &dyn Queue) -> usize {
        let Ok(states) = queue.states(some).await else {
            return 0;
        };
        let finished: HashSet<&TaskId> = (some.iter().zip(states))
            .filter(|(_, state)| state.is_some_and(TaskState::is_finished))
            .map(|(task, _)| task)
            .collect();
        let mut open = self.tasks();
        let before = open.len();
        open.retain(|task| !finished.contains(task));
        before - open.len()
    }

    fn tasks(&self) -> MutexGuard<'_, VecDeque<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remaining {
    pub fn new(scope: Scope) -> Self {
        match scope {
            Scope::Everything { exit_when_drained } => Self::Everything { exit_when_drained },
            Scope::Selection(tasks) => Self::Selection(Open(Arc::new(Mutex::new(tasks.into())))),
        }
    }

    /// Whether an empty queue is the end.
    pub fn ends_when_drained(&self) -> bool {
        matches!(
            self,
            Self::Everything {
                exit_when_drained: true
            }
        )
    }

    /// The first ids of a selection; none when any task will do.
    pub fn first(&self) -> Option<Vec<TaskId>> {
        match self {
            Self::Everything { .. } => None,
            Self::Selection(open) => Some(open.window(0, NEXT_WINDOW)),
        }
    }

    /// These are held by this process.
    pub fn taken(&self, claims: &[Claim]) {
        if let Self::Selection(open) = self {
            open.taken(claims);
        }
    }

    /// Claims up to `limit` tasks; where there are none, says how long to wait.
    pub async fn claim(
        &self,
        claimant: &mut Claimant<'_>,
        limit: usize,
    ) -> Result<(Vec<Claim>, Wait), QueueError> {
        let Self::Selection(open) = self else {
            return claimant.claim(limit, None).await;
        };
        let mut claims = Vec::new();
        let mut wait = Wait::Empty;
        let mut from = 0;
        let mut named = limit.saturating_mul(FIRST_WINDOW).min(WINDOW);
        while claims.len() < limit {
            let window = open.window(from, named);
            if window.is_empty() {
                break;
            }
            let wanted = limit - claims.len();
            let claimed = match claimant.claim(wanted, Some(&window)).await {
                Ok((claimed, window_wait)) => {
                    wait = sooner(wait, window_wait);
                    claimed
                }
                // What is in hand is worked on; the next claim meets the trouble again.
                Err(error) if error.retryable() && !claims.is_empty() => break,
                Err(error) => return Err(error),
            };
            if matches!(wait, Wait::Paused | Wait::Braked(_)) {
                break;
            }
            // A repeated request may bring tasks of another window.
            open.taken(&claimed);
            let mut left = window.len().saturating_sub(claimed.len());
            if claimed.len() < wanted && window.len() == WINDOW {
                let forgotten = open.forget_finished(&window, claimant.queue).await;
                left = left.saturating_sub(forgotten);
            }
            from += left;
            named = (named * FIRST_WINDOW).min(WINDOW);
            claims.extend(claimed);
        }
        Ok((claims, wait))
    }

    /// Whether there is nothing left to wait for, given that this process holds nothing.
    pub async fn is_finished(&self, queue: &dyn Queue) -> Result<bool, QueueError> {
        match self {
            Self::Everything {
                exit_when_drained: false,
            } => Ok(false),
            Self::Everything {
                exit_when_drained: true,
            } => {
                let [pending, leased, ..] = queue.stats().await?.totals();
                Ok(pending.tasks == 0 && leased.tasks == 0)
            }
            Self::Selection(open) => {
                // Taken only when all was answered: a call that fails must not cost a task.
                let tasks = open.window(0, usize::MAX);
                let mut unfinished = VecDeque::new();
                for window in tasks.chunks(WINDOW) {
                    let states = queue.states(window).await?;
                    // A task that is gone was replaced by another, or the queue lost it: the caller knows.
                    let left = window
                        .iter()
                        .zip(states)
                        .filter(|(_, state)| state.is_some_and(|state| !state.is_finished()));
                    unfinished.extend(left.map(|(task, _)| task.clone()));
                }
                let none_is_left = unfinished.is_empty();
                *open.tasks() = unfinished;
                Ok(none_is_left)
            }
        }
    }

    /// A task this process held has to be done again, by anyone.
    pub fn returned(&self, task: TaskId) {
        if let Self::Selection(open) = self {
            open.tasks().push_front(task);
        }
    }
}

/// Which of two hints of windows holds for both.
fn sooner(one: Wait, other: Wait) -> Wait {
    match (one, other) {
        (Wait::NotBefore(one), Wait::NotBefore(other)) => Wait::NotBefore(one.min(other)),
        (hint, Wait::Empty) | (_, hint) => hint,
    }
}

#[cfg(test)]
mod tests {
    use tapemill_queue::{Completion, Failure, NewTask, Outcome, Retry, SqliteQueue, sqlite};
    use tempfile::TempDir;
    use tokio_util::sync::CancellationToken;

    use super::*;

    const LEASE: Duration = Duration::from_secs(60);

    /// A queue of so many tasks, and their ids in the order of a plan.
    async fn planned(tasks: usize) -> (TempDir, SqliteQueue, Vec<TaskId>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let queue = SqliteQueue::open(path, sqlite::Options::default()).unwrap();
        let new: Vec<_> = (0..tasks)
            .map(|number| NewTask::new(format!("task/{number:05}"), "d"))
            .collect();
        queue.enqueue(&new).await.unwrap();
        let ids = new.into_iter().map(|task| task.id).collect();
        (folder, queue, ids)
    }

    async fn claim(
        queue: &SqliteQueue,
        remaining: &mut Remaining,
        limit: usize,
    ) -> (Vec<Claim>, Wait) {
        let worker = WorkerId::fresh();
        let draining = CancellationToken::new();
        let next = Next::new(worker.clone(), LEASE, remaining.clone(), draining);
        let mut claimant = Claimant::new(queue, &worker, LEASE, &next);
        remaining.claim(&mut claimant, limit).await.unwrap()
    }

    async fn finish(queue: &SqliteQueue, claims: &[Claim]) {
        for claim in claims {
            let completion = Completion {
                outcome: Outcome::Done,
                summary: String::new(),
                rows: 1,
                bytes: 1,
            };
            queue.complete(&claim.lease(), &completion).await.unwrap();
        }
    }

    fn ids_of(claims: &[Claim]) -> Vec<TaskId> {
        claims.iter().map(|claim| claim.task.clone()).collect()
    }

    #[tokio::test]
    async fn tasks_come_in_the_order_of_the_selection_however_many_others_hold() {
        let (_folder, queue, ids) = planned(1_300).await;
        let mut ours = Remaining::new(Scope::Selection(ids.clone()));
        let mut theirs = Remaining::new(Scope::Selection(ids[5..1_200].to_vec()));
        let held = claim(&queue, &mut theirs, 1_195).await.0;
        assert_eq!(held.len(), 1_195);

        let (claims, _) = claim(&queue, &mut ours, 3).await;
        assert_eq!(ids_of(&claims), ids[..3]);
        let (claims, _) = claim(&queue, &mut ours, 4).await;
        assert_eq!(ids_of(&claims), [&ids[3..5], &ids[1_200..1_202]].concat());

        for task in &held {
            queue.release(&task.lease()).await.unwrap();
        }
        let (claims, _) = claim(&queue, &mut ours, 2).await;
        assert_eq!(
            ids_of(&claims),
            ids[5..7],
            "what is handed back is not forgotten"
        );
    }

    #[tokio::test]
    async fn what_others_finished_is_named_once() {
        let (_folder, queue, ids) = planned(2_000).await;
        let mut theirs = Remaining::new(Scope::Selection(ids[..1_900].to_vec()));
        let done = claim(&queue, &mut theirs, 1_900).await.0;
        finish(&queue, &done).await;
        let mut ours = Remaining::new(Scope::Selection(ids.clone()));

        let (claims, _) = claim(&queue, &mut ours, 1).await;

        assert_eq!(ids_of(&claims), ids[1_900..1_901]);
        let Remaining::Selection(open) = &ours else {
            unreachable!("it was made of a selection")
        };
        let left = open.tasks().len();
        assert!(left < 700, "{left} of 2,000 are left");
    }

    #[tokio::test]
    async fn a_task_that_waits_is_not_hidden_by_finished_ones_behind_it() {
        let (_folder, queue, ids) = planned(30).await;
        let mut all = Remaining::new(Scope::Selection(ids.clone()));
        let claims = claim(&queue, &mut all, 30).await.0;
        finish(&queue, &claims[1..]).await;
        let failure = Failure {
            reason: "test".to_owned(),
            message: String::new(),
            retry: Retry::After(LEASE),
        };
        queue.fail(&claims[0].lease(), &failure).await.unwrap();
        let mut ours = Remaining::new(Scope::Selection(ids));

        let (claims, wait) = claim(&queue, &mut ours, 1).await;

        assert!(claims.is_empty());
        assert!(matches!(wait, Wait::NotBefore(_)), "{wait:?}");
    }
}
