//! A judge that knows which lease is right, and compares each answer with it.

use crate::call::{Answer, Call, Lease, Operation};
use crate::store::{Record, Store};

/// An answer that breaks the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// A call with a lease that is not the right one changed the store.
    StaleLeaseChangedTheStore,
    /// A call with a lease that is not the right one was not refused.
    StaleLeaseWasAccepted,
    /// The holder was refused.
    HolderWasRefused,
    /// The worker whose completion counts was told that it does not.
    CompletionWasDenied,
}

impl Flaw {
    /// What is wrong with an answer, if anything is.
    pub fn of(call: Call, answer: Answer, before: &Store, after: &Store) -> Option<Self> {
        let Call::Use(operation, lease) = call else {
            return None;
        };
        let record = before.records[usize::from(lease.task)];
        let right = |of: fn(&Record) -> Option<Lease>| record.as_ref().and_then(of) == Some(lease);
        let accepted = answer == Answer::Accepted;
        if right(|record| record.past.holder) {
            return (!accepted).then_some(Self::HolderWasRefused);
        }
        if before != after {
            return Some(Self::StaleLeaseChangedTheStore);
        }
        if operation == Operation::Complete && right(|record| record.past.completed_by) {
            return (!accepted).then_some(Self::CompletionWasDenied);
        }
        accepted.then_some(Self::StaleLeaseWasAccepted)
    }
}
