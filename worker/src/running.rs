//! The tasks under way in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tapemill_queue::{Claim, Lease, QueueError};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::leases::Leases;
use crate::progress::{Board, TaskProgress};
use crate::task::Ending;

/// Tasks under way, and whose they are even when they panic.
#[derive(Default)]
pub(crate) struct Running {
    set: JoinSet<Result<Ending, QueueError>>,
    tasks: HashMap<Id, Underway>,
}

/// One task under way.
pub(crate) struct Underway {
    pub lease: Lease,
    pub dataset: String,
    pub begun: Instant,
}

/// How it ended.
pub(crate) enum Ended {
    /// By itself.
    Told(Result<Ending, QueueError>),
    /// It panicked; nobody told the queue.
    Panicked(String),
}

impl Running {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Starts one.
    pub fn start(
        &mut self,
        claim: &Claim,
        work: impl Future<Output = Result<Ending, QueueError>> + Send + 'static,
    ) {
        let underway = Underway {
            lease: claim.lease(),
            dataset: claim.dataset.clone(),
            begun: Instant::now(),
        };
        let id = self.set.spawn(work).id();
        self.tasks.insert(id, underway);
    }

    /// Waits for the next to end; none when there are none.
    pub async fn next(&mut self) -> Option<(Underway, Ended)> {
        let (id, ended) = match self.set.join_next_with_id().await? {
            Ok((id, told)) => (id, Ended::Told(told)),
            Err(error) => (error.id(), Ended::Panicked(error.to_string())),
        };
        let underway = self.tasks.remove(&id).expect("every task is noted");
        Some((underway, ended))
    }
}

/// A task in hand: its lease is kept alive and its progress is shown until this is dropped, on a panic too.
pub(crate) struct InHand {
    lease: Lease,
    leases: Arc<Leases>,
    board: Arc<Board>,
}

impl InHand {
    pub fn take(
        claim: &Claim,
        leases: &Arc<Leases>,
        board: &Arc<Board>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Self {
        leases.hold(claim.lease(), progress.clone(), cancel.clone());
        board.begin(&claim.task, progress.clone());
        Self {
            lease: claim.lease(),
            leases: leases.clone(),
            board: board.clone(),
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.leases.let_go(&self.lease);
        self.board.end(&self.lease.task);
    }
}
