//! What the protocol insists on, each rule with a switch: without it the checker must find a flaw.

use crate::call::Operation;

/// The rules in force.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A lease of another generation is refused.
    pub compare_generations: bool,
    /// A lease of another claim is refused.
    pub compare_requests: bool,
    /// A lease on a task that is not leased is refused.
    pub compare_states: bool,
    /// This operation takes any lease on the task for the caller's.
    pub unfenced: Option<Operation>,
    /// A holder whose lease ran out is accepted until it is reaped.
    pub accept_late_holders: bool,
    /// A claim that is repeated finds what it took the first time.
    pub remember_claims: bool,
    /// A completion that is repeated finds what it did the first time.
    pub remember_completions: bool,
    /// Workers publish before they complete.
    pub publish_first: bool,
    /// An attempt whose lease ran out is not counted as a failure.
    pub expiries_cost_no_attempt: bool,
    /// An attempt that was handed back is not counted as a failure.
    pub releases_cost_no_attempt: bool,
    /// The last expiry of the budget kills the task.
    pub expiries_are_bounded: bool,
    /// Leases that ran out are returned.
    pub reap: bool,
    /// Planning is repeated.
    pub plan_again: bool,
    /// Planning takes a task for done only when its output is in place.
    pub look_before_adopting: bool,
}

impl Rules {
    /// The protocol as it is.
    pub const ALL: Self = Self {
        compare_generations: true,
        compare_requests: true,
        compare_states: true,
        unfenced: None,
        accept_late_holders: true,
        remember_claims: true,
        remember_completions: true,
        publish_first: true,
        expiries_cost_no_attempt: true,
        releases_cost_no_attempt: true,
        expiries_are_bounded: true,
        reap: true,
        plan_again: true,
        look_before_adopting: true,
    };
}

/// Trouble a task may have before it is dead.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    pub failures: u8,
    pub expiries: u8,
}
