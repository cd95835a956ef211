//! Which tasks a worker claims: everything, or the ones a run selected.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapemill_queue::{Claim, ClaimRequest, Queue, QueueError, TaskId, Wait, WorkerId};
use uuid::Uuid;

use crate::next::Next;

/// Ids asked for in one claim; the queue allows 1,000.
const WINDOW: usize = 500;

/// Ids asked for in place of one task that ends. Mostly the first can be had; where other workers have these, the
/// next claim looks at all.
const FIRST: usize = 32;

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
        self.tasks()
            .retain(|task| !claims.iter().any(|claim| claim.task == *task));
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
            Self::Selection(open) => Some(open.window(0, FIRST)),
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
        while claims.len() < limit {
            let window = open.window(from, WINDOW);
            if window.is_empty() {
                break;
            }
            let answer = claimant.claim(limit - claims.len(), Some(&window)).await;
            let claimed = match answer {
                Ok((claimed, window_wait)) => {
                    wait = window_wait;
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
            from += window.len().saturating_sub(claimed.len());
            open.taken(&claimed);
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
