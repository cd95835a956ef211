//! The promise of a queue in a page: a map, and no concern for speed or crashes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tapemill_queue::conformance::LEASE;
use tapemill_queue::{
    Budgets, ClaimRequest, Enqueued, Expired, Lease, LostReason, NewTask, Reaped, TaskId,
    TaskRecord, TaskState, Wait,
};
use uuid::Uuid;

#[derive(Default)]
pub struct Reference {
    tasks: BTreeMap<TaskId, Task>,
    /// No generation at or below it is given out for a name that comes back.
    floor: u64,
    /// Since the start.
    pub now: Duration,
    pub paused: bool,
    pub brake_until: Duration,
}

struct Task {
    state: TaskState,
    urgent: bool,
    rank: i64,
    generation: u64,
    attempts: u32,
    expiries: u32,
    /// Pending: not before; leased: the deadline; finished: when.
    time: Duration,
    completed_by: Option<u64>,
    request: Uuid,
    worker: String,
    cancelled: bool,
}

/// What is compared of a task after every call.
pub type Summary = (TaskId, TaskState, u64, u32, u32);

pub fn summary(task: &TaskRecord) -> Summary {
    (
        task.id.clone(),
        task.state,
        task.generation,
        task.attempts,
        task.expiries,
    )
}

impl Task {
    fn end(&mut self, state: TaskState, time: Duration) {
        (self.state, self.time, self.cancelled) = (state, time, false);
    }

    fn refresh(&mut self, now: Duration) {
        (self.attempts, self.expiries, self.completed_by) = (0, 0, None);
        self.end(TaskState::Pending, now);
    }
}

impl Reference {
    pub fn enqueue(&mut self, new: &NewTask) -> Enqueued {
        let mut enqueued = Enqueued::default();
        for id in new.replaces.iter().filter(|id| **id != new.id) {
            enqueued.replaced += u64::from(self.remove(id));
        }
        let (now, done) = (self.now, new.done.is_some());
        let Some(task) = self.tasks.get_mut(&new.id) else {
            let state = if done {
                TaskState::Done
            } else {
                TaskState::Pending
            };
            let task = Task {
                state,
                urgent: new.urgent,
                rank: new.rank,
                generation: self.floor,
                attempts: 0,
                expiries: 0,
                time: now,
                completed_by: None,
                request: Uuid::nil(),
                worker: String::new(),
                cancelled: false,
            };
            self.tasks.insert(new.id.clone(), task);
            *(if done {
                &mut enqueued.adopted
            } else {
                &mut enqueued.created
            }) = 1;
            return enqueued;
        };
        let reopens = new.reopen && !done;
        match task.state {
            TaskState::Pending | TaskState::Missing if done => {
                task.end(TaskState::Done, now);
                task.completed_by = None;
                enqueued.adopted = 1;
            }
            TaskState::Done | TaskState::Missing if reopens => {
                task.refresh(now);
                enqueued.reopened = 1;
            }
            TaskState::Pending => enqueued.unchanged = 1,
            _ => {
                enqueued.unchanged = 1;
                return enqueued;
            }
        }
        (task.urgent, task.rank) = (new.urgent, new.rank);
        enqueued
    }

    fn remove(&mut self, id: &TaskId) -> bool {
        let removed = self.tasks.remove(id);
        self.floor = self
            .floor
            .max(removed.as_ref().map_or(0, |task| task.generation));
        removed.is_some()
    }

    pub fn claim(&mut self, request: &ClaimRequest<'_>) -> (Vec<Lease>, Wait) {
        let (limit, only) = (request.limit, request.only);
        let now = self.now;
        if self.paused {
            return (Vec::new(), Wait::Paused);
        }
        if self.brake_until > now {
            return (Vec::new(), Wait::Braked(self.brake_until - now));
        }
        let mut pending: Vec<(&TaskId, &mut Task)> = self
            .tasks
            .iter_mut()
            .filter(|(_, task)| task.state == TaskState::Pending)
            .collect();
        if let Some(only) = only {
            pending.retain(|(id, _)| only.contains(id));
            pending.sort_by_key(|(id, _)| only.iter().position(|listed| listed == *id));
        } else {
            pending.sort_by_key(|(id, task)| (Reverse((task.urgent, task.rank)), (*id).clone()));
        }
        let next = pending.iter().map(|(_, task)| task.time).min();
        let due = pending.into_iter().filter(|(_, task)| task.time <= now);
        let mut leases = Vec::new();
        for (id, task) in due.take(limit) {
            task.generation += 1;
            task.attempts += 1;
            (task.state, task.time) = (TaskState::Leased, now + LEASE);
            (task.request, task.worker) = (request.request, request.worker.to_string());
            leases.push(Lease {
                task: id.clone(),
                generation: task.generation,
                request: request.request,
            });
        }
        let wait = match next {
            _ if !leases.is_empty() => Wait::Ready,
            None => Wait::Empty,
            Some(due) if due <= now => Wait::Ready,
            Some(due) => Wait::NotBefore(due - now),
        };
        (leases, wait)
    }

    pub fn holds(&self, lease: &Lease) -> bool {
        self.tasks.get(&lease.task).is_some_and(|task| {
            task.state == TaskState::Leased
                && (task.generation, task.request) == (lease.generation, lease.request)
        })
    }

    fn held(&mut self, lease: &Lease) -> Option<&mut Task> {
        if self.holds(lease) {
            self.tasks.get_mut(&lease.task)
        } else {
            None
        }
    }

    pub fn heartbeat(&mut self, leases: &[Lease]) -> Vec<(TaskId, LostReason)> {
        let mut lost = Vec::new();
        for lease in leases {
            let deadline = self.now + LEASE;
            if let Some(task) = self.held(lease) {
                task.time = deadline;
                continue;
            }
            let reason = match self.tasks.get(&lease.task) {
                None => LostReason::Cancelled,
                Some(task) if matches!(task.state, TaskState::Done | TaskState::Missing) => {
                    LostReason::Finished
                }
                Some(task) if task.cancelled && task.generation == lease.generation => {
                    LostReason::Cancelled
                }
                Some(_) => LostReason::Reclaimed,
            };
            lost.push((lease.task.clone(), reason));
        }
        lost
    }

    pub fn complete(&mut self, lease: &Lease) -> bool {
        let now = self.now;
        if let Some(task) = self.held(lease) {
            task.end(TaskState::Done, now);
            task.completed_by = Some(lease.generation);
        }
        let task = self.tasks.get(&lease.task);
        task.is_some_and(|task| {
            task.completed_by == Some(lease.generation) && task.request == lease.request
        })
    }

    pub fn fail(&mut self, lease: &Lease, delay: Option<Duration>) -> Option<TaskState> {
        let now = self.now;
        let task = self.held(lease)?;
        match delay {
            Some(delay) if task.attempts < Budgets::default().attempts => {
                task.end(TaskState::Pending, now + delay);
            }
            _ => task.end(TaskState::Dead, now),
        }
        Some(task.state)
    }

    pub fn release(&mut self, lease: &Lease) -> bool {
        let now = self.now;
        let Some(task) = self.held(lease) else {
            return false;
        };
        task.attempts -= 1;
        task.end(TaskState::Pending, now);
        true
    }

    pub fn reap(&mut self) -> Reaped {
        let (now, mut reaped) = (self.now, Reaped::default());
        for (id, task) in &mut self.tasks {
            if task.state != TaskState::Leased || task.time > now {
                continue;
            }
            let expired = Expired {
                task: id.clone(),
                generation: task.generation,
                worker: task.worker.clone(),
            };
            task.attempts -= 1;
            task.expiries += 1;
            if task.expiries < Budgets::default().expiries {
                task.end(TaskState::Pending, now);
                reaped.returned.push(expired);
            } else {
                task.end(TaskState::Dead, now);
                reaped.dead.push(expired);
            }
        }
        reaped
    }

    pub fn retry(&mut self, id: &TaskId) -> bool {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(id) else {
            return false;
        };
        match task.state {
            TaskState::Pending | TaskState::Dead => task.refresh(now),
            TaskState::Leased => (task.attempts, task.expiries) = (1, 0),
            TaskState::Done | TaskState::Missing => return false,
        }
        true
    }

    pub fn cancel(&mut self, id: &TaskId) -> bool {
        let now = self.now;
        let cancelled = self
            .tasks
            .get_mut(id)
            .filter(|task| !task.state.is_finished());
        let Some(task) = cancelled else {
            return false;
        };
        task.end(TaskState::Dead, now);
        task.cancelled = true;
        true
    }

    pub fn prune(&mut self, age: Duration) -> usize {
        let now = self.now;
        let old = |task: &Task| {
            matches!(task.state, TaskState::Done | TaskState::Missing) && task.time + age <= now
        };
        let ids: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| old(task))
            .map(|(id, _)| id.clone())
            .collect();
        ids.iter().filter(|id| self.remove(id)).count()
    }

    pub fn summaries(&self) -> Vec<Summary> {
        let summary = |(id, task): (&TaskId, &Task)| {
            (
                id.clone(),
                task.state,
                task.generation,
                task.attempts,
                task.expiries,
            )
        };
        self.tasks.iter().map(summary).collect()
    }

    pub fn totals(&self) -> [u64; 5] {
        let mut totals = [0; 5];
        for task in self.tasks.values() {
            totals[task.state.index()] += 1;
        }
        totals
    }
}
