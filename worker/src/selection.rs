//! Which tasks a worker claims: everything, or the ones a run selected.

use std::collections::VecDeque;
use std::time::Duration;

use tapemill_queue::{Claim, ClaimRequest, Queue, QueueError, TaskId, Wait, WorkerId};
use uuid::Uuid;

/// Ids asked for in one claim; the queue allows 1,000.
const WINDOW: usize = 500;

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

/// What is left of a worker's scope.
pub(crate) enum Remaining {
    Everything {
        exit_when_drained: bool,
    },
    /// Tasks neither held by this process nor known to be finished.
    Selection(VecDeque<TaskId>),
}

/// What a worker needs for every claim.
pub(crate) struct Claimant<'a> {
    pub queue: &'a dyn Queue,
    pub worker: &'a WorkerId,
    pub lease: Duration,
}

impl Claimant<'_> {
    async fn claim(
        &self,
        limit: usize,
        only: Option<&[TaskId]>,
    ) -> Result<(Vec<Claim>, Wait), QueueError> {
        let request = ClaimRequest {
            worker: self.worker,
            request: Uuid::new_v4(),
            limit,
            lease: self.lease,
            only,
        };
        let mut repeats = 3;
        loop {
            match self.queue.claim(&request).await {
                Ok(claimed) => return Ok((claimed.claims, claimed.wait)),
                // The same request again returns the same leases, if the first one got through.
                Err(error) if error.retryable() && repeats > 0 => repeats -= 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Remaining {
    pub fn new(scope: Scope) -> Self {
        match scope {
            Scope::Everything { exit_when_drained } => Self::Everything { exit_when_drained },
            Scope::Selection(tasks) => Self::Selection(tasks.into()),
        }
    }

    /// Claims up to `limit` tasks; where there are none, says how long to wait.
    pub async fn claim(
        &mut self,
        claimant: &Claimant<'_>,
        limit: usize,
    ) -> Result<(Vec<Claim>, Wait), QueueError> {
        let Self::Selection(open) = self else {
            return claimant.claim(limit, None).await;
        };
        let mut claims = Vec::new();
        let mut wait = Wait::Empty;
        let mut from = 0;
        while from < open.len() && claims.len() < limit {
            let window: Vec<TaskId> = open
                .range(from..open.len().min(from + WINDOW))
                .cloned()
                .collect();
            let (claimed, window_wait) =
                claimant.claim(limit - claims.len(), Some(&window)).await?;
            wait = window_wait;
            if matches!(wait, Wait::Paused | Wait::Braked(_)) {
                break;
            }
            from += window.len() - claimed.len();
            open.retain(|task| !claimed.iter().any(|claim| claim.task == *task));
            claims.extend(claimed);
        }
        Ok((claims, wait))
    }

    /// Whether there is nothing left to wait for, given that this process holds nothing.
    pub async fn is_finished(&mut self, queue: &dyn Queue) -> Result<bool, QueueError> {
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
                let tasks: Vec<TaskId> = std::mem::take(open).into();
                for window in tasks.chunks(WINDOW) {
                    let states = queue.states(window).await?;
                    let unfinished = window.iter().zip(states).filter(|(_, state)| {
                        // A task that is gone was replaced by another.
                        state.is_some_and(|state| !state.is_finished())
                    });
                    open.extend(unfinished.map(|(task, _)| task.clone()));
                }
                Ok(open.is_empty())
            }
        }
    }

    /// A task this process held has to be done again, by anyone.
    pub fn returned(&mut self, task: TaskId) {
        if let Self::Selection(open) = self {
            open.push_front(task);
        }
    }
}
