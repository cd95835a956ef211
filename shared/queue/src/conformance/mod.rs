//! What every backend promises, as a suite it must pass as it is.
//!
//! A backend's own tests say only how to make a fresh queue:
//!
//! ```ignore
//! tapemill_queue::conformance_suite!(MyFixture);
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "each case panics when the promise is broken"
)]

mod budgets;
mod claiming;
mod control;
mod fencing;
mod listing;
mod observing;
mod planning;
mod replacing;
mod turns;
mod weights;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

pub use budgets::*;
pub use claiming::*;
pub use control::*;
pub use fencing::*;
pub use listing::*;
pub use observing::*;
pub use planning::*;
pub use replacing::*;
pub use turns::*;
pub use weights::*;

use crate::{
    Claim, ClaimRequest, Claimed, Completion, Failure, ManualClock, NewTask, Outcome, Queue,
    QueueError, Retry, TaskFilter, TaskId, TaskRecord, TaskState, WorkerId,
};

/// Makes queues to test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A new, empty queue with default budgets, on a clock that stands still.
    async fn fresh(&self) -> Fresh;
}

/// An empty queue.
pub struct Fresh {
    /// One client.
    pub queue: Arc<dyn Queue>,
    /// Another client of the same queue, as another process would have.
    pub other: Arc<dyn Queue>,
    /// The clock both live by.
    pub clock: ManualClock,
    /// What must outlive the queue, such as a folder that is deleted with it.
    pub guard: Box<dyn Any + Send + Sync>,
}

/// The length of every lease in the suite.
pub const LEASE: Duration = Duration::from_secs(60);
/// The least step of time that every backend can tell.
pub const TICK: Duration = Duration::from_millis(1);
/// As many as there are.
pub(crate) const ALL: usize = 1_000;

/// A pending task of the given rank.
pub(crate) fn ranked(id: &str, rank: i64) -> NewTask {
    NewTask {
        rank,
        bytes: 100,
        spec: format!("{{\"of\":\"{id}\"}}"),
        ..NewTask::new(id, "aggTrades")
    }
}

/// A pending task.
pub(crate) fn task(id: &str) -> NewTask {
    ranked(id, 0)
}

/// The ids of a list.
pub(crate) fn ids(list: &[&str]) -> Vec<TaskId> {
    list.iter().map(|id| TaskId::from(*id)).collect()
}

/// A request like most in the suite, under a fresh request id.
pub(crate) fn wanting(worker: &WorkerId, limit: usize) -> ClaimRequest<'_> {
    ClaimRequest {
        worker,
        request: Uuid::new_v4(),
        limit,
        lease: LEASE,
        only: None,
    }
}

/// Claims up to `limit` tasks under a fresh worker name.
pub(crate) async fn claim(queue: &dyn Queue, limit: usize) -> Claimed {
    let worker = WorkerId::named("worker");
    queue
        .claim(&wanting(&worker, limit))
        .await
        .expect("the claim is answered")
}

/// Claims the one task there is to claim.
pub(crate) async fn claim_one(queue: &dyn Queue) -> Claim {
    let claimed = claim(queue, 1).await;
    let wait = claimed.wait;
    claimed
        .claims
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("nothing to claim: {wait:?}"))
}

/// The ids of claims, in their order.
pub(crate) fn claimed_ids(claimed: &Claimed) -> Vec<&str> {
    claimed
        .claims
        .iter()
        .map(|claim| claim.task.as_str())
        .collect()
}

/// Takes back the leases that ran out, and gives their tasks.
pub(crate) async fn reap(queue: &dyn Queue, limit: usize) -> Vec<TaskId> {
    let reaped = queue.reap(limit).await.expect("leases are reaped");
    assert_eq!(reaped.dead, []);
    reaped
        .returned
        .into_iter()
        .map(|lease| lease.task)
        .collect()
}

/// What is known of a task that exists.
pub(crate) async fn record(queue: &dyn Queue, id: &str) -> TaskRecord {
    let mut found = queue.get(&ids(&[id])).await.expect("the task is read");
    found
        .remove(0)
        .unwrap_or_else(|| panic!("task {id} is not there"))
}

/// The state of a task, if it exists.
pub(crate) async fn state(queue: &dyn Queue, id: &str) -> Option<TaskState> {
    queue
        .states(&ids(&[id]))
        .await
        .expect("the state is read")
        .remove(0)
}

/// All tasks that match, by pages of `limit`.
pub(crate) async fn walk(queue: &dyn Queue, filter: &TaskFilter, limit: usize) -> Vec<TaskRecord> {
    let mut tasks = Vec::new();
    let mut cursor = None;
    loop {
        let page = queue.list(filter, cursor, limit).await.unwrap();
        assert!(page.tasks.len() <= limit);
        tasks.extend(page.tasks);
        cursor = page.next;
        if cursor.is_none() {
            return tasks;
        }
    }
}

/// A finished task's result.
pub(crate) fn output() -> Completion {
    Completion {
        outcome: Outcome::Done,
        summary: "{\"rows\":7}".into(),
        rows: 7,
        bytes: 70,
    }
}

/// A failure that may be tried again at once.
pub(crate) fn hiccup() -> Failure {
    again_after(Duration::ZERO)
}

/// A failure that may be tried again later.
pub(crate) fn again_after(delay: Duration) -> Failure {
    Failure {
        reason: "network".into(),
        message: "the connection was cut".into(),
        retry: Retry::After(delay),
    }
}

/// Asserts that a call was refused because the lease is lost, and names it.
#[track_caller]
pub(crate) fn assert_lost<T: std::fmt::Debug>(result: Result<T, QueueError>, claim: &Claim) {
    match result {
        Err(QueueError::LeaseLost { task, generation }) => {
            assert_eq!((task, generation), (claim.task.clone(), claim.generation));
        }
        other => panic!("a stale holder was not refused: {other:?}"),
    }
}

/// Names every case of the suite as a test of the backend whose fixture the expression makes.
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        $crate::conformance_cases! { conformance_tests, $fixture }
    };
}

/// Runs every case of the suite, one after the other, naming each: for a fixture that is slow to make.
/// Stands in an asynchronous test.
#[macro_export]
macro_rules! conformance_run {
    ($fixture:expr) => {
        $crate::conformance_cases! { conformance_calls, $fixture }
    };
}

/// All cases, handed to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($then:ident, $fixture:expr) => {
        $crate::$then! { $fixture;
            // planning
            enqueueing_again_adds_nothing
            a_pending_task_takes_new_bytes_spec_and_order
            a_leased_task_is_not_touched_by_enqueueing
            a_finished_task_stays_finished_when_planned_again
            reopening_makes_a_done_or_missing_task_pending_with_fresh_budgets
            a_dead_task_is_not_reopened_by_enqueueing
            a_task_finished_elsewhere_is_adopted_unless_it_is_leased_or_dead
            an_adopted_task_does_not_accept_the_completion_of_a_reaped_holder
            an_oversized_spec_is_refused_before_anything_is_written
            thousands_of_tasks_are_planned_in_one_call
            // replacing
            a_task_replaces_others_in_any_state
            each_month_finds_its_own_days_among_many
            the_holder_of_a_replaced_task_hears_that_it_is_cancelled
            a_name_that_comes_back_never_repeats_a_generation
            // claiming
            urgent_tasks_go_first_then_newer_ones_then_by_id
            a_claim_raises_generation_and_attempt
            a_claim_carries_what_the_worker_needs
            a_claimed_task_is_not_claimed_twice
            many_claimers_at_once_share_without_overlap
            a_repeated_claim_returns_what_is_still_held
            a_repeated_claim_is_answered_while_paused
            another_worker_does_not_get_the_answer_to_a_repeated_request
            a_restricted_claim_follows_its_own_order
            a_restricted_claim_waits_for_its_own_tasks_only
            a_claim_says_when_the_next_task_is_due
            an_empty_queue_says_so_even_while_tasks_are_leased
            an_oversized_selection_is_refused
            // turns
            a_completion_brings_the_next_task
            a_repeated_turn_returns_the_same_lease
            a_lost_lease_is_told_and_the_next_task_is_claimed
            a_paused_queue_takes_the_completion_and_gives_nothing
            a_turn_may_be_restricted_to_named_tasks
            turns_that_come_together_share_without_overlap
            // fencing
            a_stale_holder_is_refused_by_every_call
            a_stale_heartbeat_is_told_which_leases_are_lost
            a_late_holder_that_was_not_reaped_is_accepted
            a_late_heartbeat_that_was_not_reaped_extends_the_lease
            a_late_holder_may_still_release_or_fail
            completing_twice_with_one_lease_is_one_completion
            a_lease_ends_with_its_task
            a_made_up_generation_is_refused
            a_lease_of_another_claim_is_refused
            an_unknown_task_is_refused
            confirming_changes_nothing
            // budgets
            failures_kill_a_task_when_their_budget_is_spent
            expiries_kill_a_task_when_their_budget_is_spent
            failures_and_expiries_do_not_share_a_budget
            a_final_failure_kills_at_once
            a_failed_task_waits_before_it_is_claimed_again
            releasing_costs_no_attempt_and_leaves_no_history
            a_released_task_goes_back_to_the_head_of_its_order
            an_expired_lease_returns_to_pending_only_when_reaped
            reaping_respects_its_limit_and_says_when_more_is_due
            reaping_tells_whose_lease_ended
            history_keeps_troubled_attempts_in_order_and_bounded
            completing_clears_the_last_trouble_but_keeps_the_history
            long_failure_texts_are_cut_not_refused
            // control
            retrying_gives_unfinished_tasks_fresh_budgets
            retrying_a_leased_task_keeps_its_lease
            retrying_leaves_finished_and_unknown_tasks_alone
            cancelling_kills_pending_and_leased_tasks
            the_holder_of_a_cancelled_task_hears_of_it
            pausing_refuses_claims_until_resumed
            a_brake_refuses_claims_and_is_never_shortened
            heartbeats_bring_back_pause_and_brake
            pruning_forgets_old_finished_tasks_only
            clearing_deletes_everything_and_refuses_holders
            // weights
            no_minute_holds_more_weight_than_the_most
            each_host_is_counted_by_itself
            a_hold_is_kept_by_all
            what_the_host_counted_is_believed_when_it_is_more
            a_weight_beyond_the_most_waits_for_an_empty_minute
            clearing_forgets_weights
            settings_are_fixed_by_the_first_and_compared_for_the_rest
            a_setting_only_one_side_has_is_a_difference
            // listing
            a_walk_by_cursor_sees_every_task_once
            lists_are_filtered_by_state_dataset_and_prefix
            a_cursor_survives_changes_between_its_pages
            records_come_in_the_order_asked_for
            // observing
            counters_equal_a_recount
            bytes_are_counted_with_their_tasks
            ages_tell_the_oldest_waiting_and_the_oldest_running
            a_task_that_waits_for_its_time_is_not_old
            accepted_completions_are_counted_once
            rates_cover_recent_completions_since_their_start
            a_running_task_shows_its_worker_and_progress
            workers_are_listed_with_what_they_hold
            a_silent_worker_leaves_the_list
            a_worker_that_drained_leaves_the_list
        }
    };
}

/// One named test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case(&$fixture).await;
            }
        )*
    };
}

/// One call per case.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_calls {
    ($fixture:expr; $($case:ident)*) => {
        $(
            // Told only when a case fails.
            println!("case {}", stringify!($case));
            $crate::conformance::$case(&$fixture).await;
        )*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_listed_in_the_suite() {
        let suite = include_str!("mod.rs");
        let listed: Vec<&str> = suite.lines().map(str::trim).collect();
        let sources = [
            include_str!("budgets.rs"),
            include_str!("claiming.rs"),
            include_str!("control.rs"),
            include_str!("fencing.rs"),
            include_str!("listing.rs"),
            include_str!("observing.rs"),
            include_str!("planning.rs"),
            include_str!("replacing.rs"),
            include_str!("turns.rs"),
        ];
        let cases: Vec<&str> = sources
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();

        assert!(cases.len() > 50, "the cases were not found: {cases:?}");
        for case in cases {
            assert!(listed.contains(&case), "case {case} runs for no backend");
        }
    }
}
