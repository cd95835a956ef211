//! Whether tasks end once nothing more breaks.

use crate::call::{Answer, Call, Operation, Request};
use crate::model::{Moment, Protocol};

/// A worker that comes when the trouble is over.
const FRESH: Request = Request::MAX;

/// Plays on from a moment by one fair schedule without further trouble: what was planned is planned
/// again, leases run out and are reaped, a fresh worker does what is pending. Whether all tasks end.
pub fn ends(protocol: &Protocol, moment: &Moment) -> bool {
    let Protocol {
        tasks,
        budgets,
        rules,
        ..
    } = *protocol;
    let (mut store, mut published) = (moment.store, moment.published);
    // The first round returns every lease there is; each ends a task, while there is one to end.
    for round in 0..=tasks {
        for task in 0..tasks {
            if rules.plan_again {
                let done = published[usize::from(task)];
                store.take(Call::Enqueue { task, done }, &rules, budgets);
            }
            store.run_out(task);
            if rules.reap {
                store.reap(task, &rules, budgets);
            }
        }
        let claimed = store.take(Call::Claim(FRESH - round), &rules, budgets);
        let Answer::Given(lease) = claimed else {
            break;
        };
        for operation in [Operation::Confirm, Operation::Complete] {
            published[usize::from(lease.task)] |= operation == Operation::Complete;
            store.take(Call::Use(operation, lease), &rules, budgets);
        }
    }
    let mut planned = store.records.iter().take(usize::from(tasks));
    planned.all(|record| record.is_some_and(|record| record.is_finished()))
}
