//! The protocol as it is keeps every promise.

use stateright::{Checker, Model};

use crate::model::Protocol;
use crate::rules::{Budgets, Rules};

/// Visits every moment of a bounded world.
fn holds(tasks: u8, workers: u8, crashes: u8, lost_writes: u8) {
    let protocol = Protocol {
        tasks,
        workers,
        budgets: Budgets {
            failures: 2,
            expiries: 2,
        },
        crashes,
        lost_writes,
        rules: Rules::ALL,
    };
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    eprintln!(
        "{} moments, up to {} events deep",
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn with_three_workers_on_a_task_and_two_crashes_that_lose_three_writes() {
    holds(1, 3, 2, 3);
}

#[test]
fn with_two_workers_on_two_tasks_and_a_crash() {
    holds(2, 2, 1, 2);
}

#[test]
#[ignore = "16 million moments: two minutes and 2 GB, see main.rs"]
fn with_four_workers_on_a_task_and_two_crashes() {
    holds(1, 4, 2, 2);
}

#[test]
#[ignore = "44 million moments: five minutes and 5 GB, see main.rs"]
fn with_three_workers_on_two_tasks_and_a_crash() {
    holds(2, 3, 1, 2);
}
