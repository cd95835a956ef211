//! What is said to a store, and what it answers.

/// Which task, counted from 0.
pub type Task = u8;

/// The request of a claim. Each worker makes one, so it names the worker too.
pub type Request = u8;

/// The right to work on a task, as in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub task: Task,
    pub generation: u8,
    pub request: Request,
}

/// A call on its way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Plans a task; `done` when its output was seen.
    Enqueue { task: Task, done: bool },
    /// Asks for one task.
    Claim(Request),
    /// Says something of a lease.
    Use(Operation, Lease),
}

/// What can be said of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Heartbeat,
    Confirm,
    Complete,
    Fail,
    Release,
}

impl Operation {
    pub const ALL: [Self; 5] = [
        Self::Heartbeat,
        Self::Confirm,
        Self::Complete,
        Self::Fail,
        Self::Release,
    ];
}

/// The store's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To an enqueue.
    Planned,
    /// To a claim.
    Given(Lease),
    /// To a claim, when nothing is pending.
    Nothing,
    /// The lease is held, or is the one that completed the task.
    Accepted,
    /// It is not.
    Lost,
}
