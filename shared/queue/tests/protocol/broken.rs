//! Each rule is needed: without it the checker finds what goes wrong. So the check can fail.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::call::Operation;
use crate::model::{Event, Protocol};
use crate::properties::name::*;
use crate::rules::{Budgets, Rules};

/// Checks a protocol without some rule, and returns a way to the first of the promises it must break.
fn breaks<const N: usize>(rules: Rules, promises: [&'static str; N]) -> Vec<Event> {
    breaks_with(1, rules, promises)
}

fn breaks_with<const N: usize>(
    crashes: u8,
    rules: Rules,
    promises: [&'static str; N],
) -> Vec<Event> {
    let all = HasDiscoveries::AllOf(BTreeSet::from(promises));
    let checker = world(crashes, rules).checker().finish_when(all).spawn_bfs();
    let mut broken = checker.join().discoveries();
    let ways = promises.map(|promise| {
        let way = broken.remove(promise);
        let way = way.unwrap_or_else(|| panic!("not broken: {promise}"));
        let events = way.into_actions();
        eprintln!("not so: {promise}: {events:?}");
        events
    });
    ways.into_iter().next().unwrap_or_default()
}

fn world(crashes: u8, rules: Rules) -> Protocol {
    Protocol {
        tasks: 2,
        workers: 2,
        budgets: Budgets {
            failures: 2,
            expiries: 2,
        },
        crashes,
        lost_writes: 2,
        rules,
    }
}

/// A store that lost its tail gives the generation out again, and then two hold it.
#[test]
fn without_the_request_a_forgotten_lease_is_accepted() {
    let rules = Rules {
        compare_requests: false,
        ..Rules::ALL
    };

    let way = breaks(
        rules,
        [ONE_ACCEPTED_WORKER, STALE_IS_REFUSED, STALE_CHANGES_NOTHING],
    );

    assert!(
        way.contains(&Event::Crash) || way.contains(&Event::CrashEmpty),
        "{way:?}"
    );
}

/// As long as nothing is forgotten, the generation alone tells one lease from another.
#[test]
fn without_a_store_that_forgets_the_request_is_not_needed() {
    let rules = Rules {
        compare_requests: false,
        ..Rules::ALL
    };
    let checker = world(0, rules).checker().spawn_bfs().join();

    for promise in [ONE_ACCEPTED_WORKER, STALE_IS_REFUSED, STALE_CHANGES_NOTHING] {
        checker.assert_no_discovery(promise);
    }
}

/// A claim that arrives again after its lease was reaped takes another, under the same request.
#[test]
fn without_generations_a_stale_completion_is_accepted() {
    let rules = Rules {
        compare_generations: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [STALE_CHANGES_NOTHING, STALE_IS_REFUSED]);
}

/// What a queue does that knows a lease by its task: no crash is needed.
#[test]
fn without_generations_and_requests_two_workers_are_accepted() {
    let rules = Rules {
        compare_generations: false,
        compare_requests: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [ONE_ACCEPTED_WORKER, STALE_CHANGES_NOTHING]);
}

#[test]
fn without_the_state_a_task_is_completed_after_it_was_reaped_and_twice() {
    let rules = Rules {
        compare_states: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [STALE_CHANGES_NOTHING, ONE_COMPLETION]);
}

#[test]
fn without_the_fence_on_any_one_operation_a_stale_worker_is_accepted() {
    for operation in Operation::ALL {
        let rules = Rules {
            unfenced: Some(operation),
            ..Rules::ALL
        };
        let promise = match operation {
            Operation::Confirm => STALE_IS_REFUSED,
            _ => STALE_CHANGES_NOTHING,
        };
        breaks_with(0, rules, [promise]);
    }
}

#[test]
fn without_patience_a_late_holder_is_refused() {
    let rules = Rules {
        accept_late_holders: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [HOLDER_IS_ACCEPTED]);
}

#[test]
fn without_remembering_requests_a_repeated_claim_takes_two_leases() {
    let rules = Rules {
        remember_claims: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [ONE_LEASE_PER_CLAIM]);
}

#[test]
fn without_remembering_completions_a_repeated_one_is_denied() {
    let rules = Rules {
        remember_completions: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [COMPLETION_STANDS]);
}

#[test]
fn without_publishing_first_a_task_is_done_and_has_no_output() {
    let rules = Rules {
        publish_first: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [DONE_IS_PUBLISHED]);
}

#[test]
fn without_looking_at_the_output_a_task_is_taken_for_done() {
    let rules = Rules {
        look_before_adopting: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [DONE_IS_PUBLISHED]);
}

#[test]
fn without_separate_budgets_a_crash_or_a_drain_eats_an_attempt() {
    let crash = Rules {
        expiries_cost_no_attempt: false,
        ..Rules::ALL
    };
    let drain = Rules {
        releases_cost_no_attempt: false,
        ..Rules::ALL
    };

    breaks_with(0, crash, [BUDGETS, ATTEMPTS]);
    breaks_with(0, drain, [BUDGETS, ATTEMPTS]);
}

#[test]
fn without_a_budget_of_expiries_a_task_kills_workers_for_ever() {
    let rules = Rules {
        expiries_are_bounded: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [BUDGETS]);
}

#[test]
fn without_reaping_a_task_stays_with_a_dead_worker() {
    let rules = Rules {
        reap: false,
        ..Rules::ALL
    };

    breaks_with(0, rules, [ENDS]);
}

#[test]
fn without_planning_again_an_emptied_store_stays_empty() {
    let rules = Rules {
        plan_again: false,
        ..Rules::ALL
    };

    let way = breaks(rules, [ENDS]);

    assert!(way.contains(&Event::CrashEmpty), "{way:?}");
}
