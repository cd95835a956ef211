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

/// A world of any size: `PROTOCOL_WORLD` names its tasks, workers, crashes and lost writes. 1 4 2 2 has 16 million
/// moments (two minutes, 2 GB), 2 3 1 2 has 44 million (five minutes, 5 GB); without it, one smaller than the others.
#[test]
fn in_a_world_of_the_size_asked_for() {
    let asked = std::env::var("PROTOCOL_WORLD").unwrap_or_else(|_| "1 2 2 3".to_owned());
    let sizes: Vec<u8> = asked
        .split_whitespace()
        .map(|size| size.parse().expect("a small number"))
        .collect();
    let [tasks, workers, crashes, lost_writes] = sizes[..] else {
        panic!("PROTOCOL_WORLD is four numbers, not {asked:?}");
    };
    holds(tasks, workers, crashes, lost_writes);
}
