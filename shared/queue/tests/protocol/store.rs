//! The store: every call is one atomic step, as a transaction or a script is.

use crate::call::{Answer, Call, Lease, Operation, Request, Task};
use crate::rules::{Budgets, Rules};

/// The most tasks of a model.
pub const MOST_TASKS: usize = 2;

/// What the store holds. The first pending task is claimed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Store {
    pub records: [Option<Record>; MOST_TASKS],
}

/// A task in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    pub phase: Phase,
    pub generation: u8,
    /// Of the claim that holds it.
    pub request: Option<Request>,
    /// Attempts that failed, and the one that runs or finished it.
    pub attempts: u8,
    pub expiries: u8,
    /// Generation and request of the lease that completed it.
    pub completed_by: Option<(u8, Request)>,
    pub past: Past,
}

/// Where a task is in its life. `missing` is `done` without an output, and takes the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Pending,
    Leased {
        /// The lease ran out, and nobody has returned it yet.
        late: bool,
    },
    Done,
    Dead,
}

/// What did happen, for the properties only; no rule reads it. It goes with what the store forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Past {
    /// The one lease that is right.
    pub holder: Option<Lease>,
    pub completed_by: Option<Lease>,
    pub completions: u8,
    pub failures: u8,
    pub expiries: u8,
}

impl Record {
    fn new(phase: Phase) -> Self {
        Self {
            phase,
            generation: 0,
            request: None,
            attempts: 0,
            expiries: 0,
            completed_by: None,
            past: Past::default(),
        }
    }

    pub fn is_leased(&self) -> bool {
        matches!(self.phase, Phase::Leased { .. })
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Dead)
    }

    fn is_held_by(&self, lease: Lease, operation: Operation, rules: &Rules) -> bool {
        if rules.unfenced == Some(operation) {
            return self.is_leased();
        }
        let in_state = match self.phase {
            Phase::Leased { late } => !late || rules.accept_late_holders,
            Phase::Pending | Phase::Done | Phase::Dead => !rules.compare_states,
        };
        in_state
            && self.is_of(
                lease,
                self.request.map(|request| (self.generation, request)),
                rules,
            )
    }

    fn was_completed_by(&self, lease: Lease, rules: &Rules) -> bool {
        rules.remember_completions && self.is_of(lease, self.completed_by, rules)
    }

    fn is_of(&self, lease: Lease, stored: Option<(u8, Request)>, rules: &Rules) -> bool {
        stored.is_some_and(|(generation, request)| {
            (generation == lease.generation || !rules.compare_generations)
                && (request == lease.request || !rules.compare_requests)
        })
    }

    fn end_lease(&mut self, phase: Phase, rules: &Rules) {
        self.phase = phase;
        self.past.holder = None;
        // Where states are compared, what an ended lease leaves behind is never read.
        if rules.compare_states {
            self.request = None;
        }
    }
}

impl Store {
    /// A store in which the first `tasks` are planned.
    pub fn planned(tasks: u8) -> Self {
        let mut store = Self::default();
        for task in 0..tasks {
            store.enqueue(task, false);
        }
        store
    }

    /// Carries a call out.
    pub fn take(&mut self, call: Call, rules: &Rules, budgets: Budgets) -> Answer {
        match call {
            Call::Enqueue { task, done } => self.enqueue(task, done),
            Call::Claim(request) => self.claim(request, rules),
            Call::Use(operation, lease) => self.use_lease(operation, lease, rules, budgets),
        }
    }

    fn enqueue(&mut self, task: Task, done: bool) -> Answer {
        let planned = Record::new(if done { Phase::Done } else { Phase::Pending });
        let record = &mut self.records[usize::from(task)];
        match record {
            None => *record = Some(planned),
            Some(record) if done && record.phase == Phase::Pending => record.phase = Phase::Done,
            Some(_) => {}
        }
        Answer::Planned
    }

    fn claim(&mut self, request: Request, rules: &Rules) -> Answer {
        let lease = |task: usize, record: &Record| Lease {
            task: task as Task,
            generation: record.generation,
            request,
        };
        let planned = self.records.iter_mut().enumerate();
        let mut first_pending = None;
        for (task, record) in planned.filter_map(|(task, record)| Some((task, record.as_mut()?))) {
            if rules.remember_claims && record.is_leased() && record.request == Some(request) {
                return Answer::Given(lease(task, record));
            }
            if record.phase == Phase::Pending && first_pending.is_none() {
                first_pending = Some((task, record));
            }
        }
        let Some((task, record)) = first_pending else {
            return Answer::Nothing;
        };
        record.generation += 1;
        record.attempts += 1;
        record.request = Some(request);
        record.phase = Phase::Leased { late: false };
        record.past.holder = Some(lease(task, record));
        Answer::Given(lease(task, record))
    }

    fn use_lease(
        &mut self,
        operation: Operation,
        lease: Lease,
        rules: &Rules,
        budgets: Budgets,
    ) -> Answer {
        let Some(record) = &mut self.records[usize::from(lease.task)] else {
            return Answer::Lost;
        };
        if !record.is_held_by(lease, operation, rules) {
            let repeated =
                operation == Operation::Complete && record.was_completed_by(lease, rules);
            return if repeated {
                Answer::Accepted
            } else {
                Answer::Lost
            };
        }
        match operation {
            Operation::Heartbeat => record.phase = Phase::Leased { late: false },
            Operation::Confirm => {}
            Operation::Complete => {
                record.completed_by = Some((lease.generation, lease.request));
                record.past.completed_by = Some(lease);
                record.past.completions += 1;
                record.end_lease(Phase::Done, rules);
            }
            Operation::Fail => {
                record.past.failures += 1;
                let spent = record.attempts >= budgets.failures;
                record.end_lease(if spent { Phase::Dead } else { Phase::Pending }, rules);
            }
            Operation::Release => {
                if rules.releases_cost_no_attempt {
                    record.attempts = record.attempts.saturating_sub(1);
                }
                record.end_lease(Phase::Pending, rules);
            }
        }
        Answer::Accepted
    }

    /// Whether a call that needs the lease would be accepted.
    pub fn accepts(&self, lease: Lease, rules: &Rules) -> bool {
        let record = self.records[usize::from(lease.task)];
        record.is_some_and(|record| {
            let mut accepting = Operation::ALL.into_iter();
            accepting.any(|operation| record.is_held_by(lease, operation, rules))
        })
    }

    /// Lets a lease run out, by the store's clock.
    pub fn run_out(&mut self, task: Task) {
        if let Some(record) = &mut self.records[usize::from(task)]
            && record.is_leased()
        {
            record.phase = Phase::Leased { late: true };
        }
    }

    /// Returns a lease that ran out.
    pub fn reap(&mut self, task: Task, rules: &Rules, budgets: Budgets) {
        let Some(record) = &mut self.records[usize::from(task)] else {
            return;
        };
        if record.phase != (Phase::Leased { late: true }) {
            return;
        }
        if rules.expiries_cost_no_attempt {
            record.attempts = record.attempts.saturating_sub(1);
        }
        record.expiries += 1;
        record.past.expiries += 1;
        let spent = record.expiries >= budgets.expiries && rules.expiries_are_bounded;
        record.end_lease(if spent { Phase::Dead } else { Phase::Pending }, rules);
    }
}
