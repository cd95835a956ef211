//! A worker: one claim, and what it does with the lease that it gets.

use crate::call::{Call, Lease, Operation, Request};
use crate::rules::Rules;

/// How far a worker has come, and with it all that it ever sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    /// It may claim, or never come to it.
    Idle,
    /// Its claim arrived, and no answer came back.
    Claiming,
    /// It works, sends heartbeats, and asks for a confirmation.
    Working(Lease),
    /// It was told that it holds the lease, and may publish.
    Confirmed(Lease),
    /// The output is in place.
    Published(Lease),
    /// It sent this as its last call.
    Ended(Operation, Lease),
}

/// What a worker does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Puts the output in its place: the same bytes, whoever does it.
    Publish,
    /// Sends the call that ends its work.
    End(Operation),
}

impl Worker {
    /// The lease it was given.
    pub fn lease(self) -> Option<Lease> {
        match self {
            Self::Idle | Self::Claiming => None,
            Self::Working(lease)
            | Self::Confirmed(lease)
            | Self::Published(lease)
            | Self::Ended(_, lease) => Some(lease),
        }
    }

    /// The calls it has sent, each of which may arrive now, again, or never.
    pub fn sent(self, request: Request, calls: &mut Vec<Call>) {
        calls.push(Call::Claim(request));
        let Some(lease) = self.lease() else {
            return;
        };
        calls.push(Call::Use(Operation::Heartbeat, lease));
        calls.push(Call::Use(Operation::Confirm, lease));
        if let Self::Ended(operation, _) = self {
            calls.push(Call::Use(operation, lease));
        }
    }

    /// What it may do next.
    pub fn steps(self, rules: &Rules, steps: &mut Vec<Step>) {
        let may_give_up = matches!(
            self,
            Self::Working(_) | Self::Confirmed(_) | Self::Published(_)
        );
        if may_give_up {
            steps.push(Step::End(Operation::Fail));
            steps.push(Step::End(Operation::Release));
        }
        match self {
            Self::Confirmed(_) if rules.publish_first => steps.push(Step::Publish),
            Self::Confirmed(_) | Self::Published(_) => steps.push(Step::End(Operation::Complete)),
            _ => {}
        }
    }
}
