//! What follows a task: the call that completes it claims the next one for the same place.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapemill_queue::{Claim, ClaimRequest, Lease, Queue, QueueError, TaskId, WorkerId};
use tapemill_runtime::Outages;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::selection::Remaining;

/// How long handing a task back is tried.
const HAND_BACK: Duration = Duration::from_secs(10);

/// Hands claimed tasks from the tasks that end to the claim loop.
pub(crate) struct Next {
    worker: WorkerId,
    lease: Duration,
    remaining: Remaining,
    draining: CancellationToken,
    /// Whether the claim loop would claim now.
    wanted: AtomicBool,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    claims: Vec<Claim>,
    /// Requests whose answers never came: asked again, they return the leases that nobody knows of.
    unanswered: Vec<Uuid>,
}

/// A claim for the place of a task that ends.
pub(crate) struct NextRequest<'a> {
    worker: &'a WorkerId,
    lease: Duration,
    id: Uuid,
    only: Option<Vec<TaskId>>,
}

impl NextRequest<'_> {
    /// As the queue takes it: one task, for one that ends.
    pub fn as_claim(&self) -> ClaimRequest<'_> {
        ClaimRequest {
            worker: self.worker,
            request: self.id,
            limit: 1,
            lease: self.lease,
            only: self.only.as_deref(),
        }
    }
}

impl Next {
    /// For tasks of what remains; nothing is claimed before that is wanted.
    pub fn new(
        worker: WorkerId,
        lease: Duration,
        remaining: Remaining,
        draining: CancellationToken,
    ) -> Self {
        Self {
            worker,
            lease,
            remaining,
            draining,
            wanted: AtomicBool::new(false),
            found: Mutex::default(),
        }
    }

    /// Whether tasks that end from now on claim others.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Relaxed);
    }

    /// What to ask for; none when nothing more is to be claimed.
    pub fn request(&self) -> Option<NextRequest<'_>> {
        if !self.wanted.load(Relaxed) || self.draining.is_cancelled() {
            return None;
        }
        let only = self.remaining.first();
        if only.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        Some(NextRequest {
            worker: &self.worker,
            lease: self.lease,
            id: Uuid::new_v4(),
            only,
        })
    }

    /// Takes the answer to a request.
    pub fn answered(&self, claims: Vec<Claim>) {
        self.remaining.taken(&claims);
        self.found().claims.extend(claims);
    }

    /// No answer came, and nobody asks again.
    pub fn unanswered(&self, request: &NextRequest<'_>) {
        self.found().unanswered.push(request.id);
    }

    /// A request to ask again, if there is one.
    pub fn ask_again(&self) -> Option<Uuid> {
        self.found().unanswered.pop()
    }

    /// The tasks found since this was last called.
    pub fn take(&self) -> Vec<Claim> {
        std::mem::take(&mut self.found().claims)
    }

    /// Hands back the tasks found, which nobody begins any more. May be dropped and called again.
    pub async fn hand_back(&self, queue: &dyn Queue, outages: &Outages) {
        while let Some(lease) = self.left_over() {
            let mut outage = outages.caller();
            let release = || queue.release(&lease);
            let patience = tokio::time::sleep(HAND_BACK);
            // Whatever the answer: a lease that was not handed back runs out.
            let _ = (outage.outlast(patience, QueueError::retryable, release)).await;
            self.forget(&lease);
        }
    }

    /// A lease that was found and is not worked on, if there is one. It stays until it is forgotten.
    fn left_over(&self) -> Option<Lease> {
        self.found().claims.last().map(Claim::lease)
    }

    /// Forgets what is left over of this task.
    fn forget(&self, lease: &Lease) {
        self.found().claims.retain(|claim| claim.lease() != *lease);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::Scope;

    fn next(scope: Scope) -> Next {
        let next = Next::new(
            WorkerId::named("w"),
            Duration::from_secs(60),
            Remaining::new(scope),
            CancellationToken::new(),
        );
        next.want(true);
        next
    }

    fn claim(id: &str) -> Claim {
        Claim {
            task: TaskId::new(id),
            dataset: "aggTrades".to_owned(),
            generation: 1,
            request: Uuid::nil(),
            attempt: 1,
            deadline_in: Duration::from_secs(60),
            bytes: 0,
            spec: String::new(),
        }
    }

    #[test]
    fn a_place_asks_for_one_task_of_what_remains() {
        let next = next(Scope::Selection(vec![TaskId::new("a"), TaskId::new("b")]));

        let request = next.request().unwrap();
        let asked = request.as_claim();
        assert_eq!(asked.limit, 1);
        assert_eq!(asked.only.unwrap(), [TaskId::new("a"), TaskId::new("b")]);

        next.answered(vec![claim("a")]);
        let rest = next.request().unwrap();
        assert_eq!(rest.as_claim().only.unwrap(), [TaskId::new("b")]);
        assert_eq!(next.take(), [claim("a")]);
        assert_eq!(next.take(), []);
    }

    #[test]
    fn nothing_is_asked_for_when_nothing_remains_or_the_loop_would_not_ask() {
        let empty = next(Scope::Selection(Vec::new()));
        assert!(empty.request().is_none());

        let everything = next(Scope::Everything {
            exit_when_drained: false,
        });
        assert!(everything.request().unwrap().as_claim().only.is_none());
        everything.want(false);
        assert!(everything.request().is_none());
        everything.want(true);
        everything.draining.cancel();
        assert!(everything.request().is_none());
    }

    #[test]
    fn a_request_without_an_answer_is_asked_again_once() {
        let next = next(Scope::Everything {
            exit_when_drained: true,
        });
        let request = next.request().unwrap();

        next.unanswered(&request);

        assert_eq!(next.ask_again(), Some(request.id));
        assert_eq!(next.ask_again(), None);
    }

    #[test]
    fn what_is_left_over_stays_until_it_is_forgotten() {
        let next = next(Scope::Selection(vec![TaskId::new("a")]));
        next.answered(vec![claim("a")]);

        let lease = next.left_over().unwrap();
        assert_eq!(next.left_over(), Some(lease.clone()));
        next.forget(&lease);

        assert_eq!(next.left_over(), None);
        assert_eq!(next.take(), []);
    }
}
