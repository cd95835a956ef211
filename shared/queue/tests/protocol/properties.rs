//! What is always true, and what must at least be possible for the check to mean anything.

use stateright::Property;

use crate::call::Lease;
use crate::calm;
use crate::flaw::Flaw;
use crate::model::{Moment, Protocol};
use crate::store::{Phase, Record};

/// A name per property.
pub mod name {
    pub const ONE_ACCEPTED_WORKER: &str = "at most one worker's calls are accepted for a task";
    pub const ONE_LEASE_PER_CLAIM: &str = "a claim for one task never holds two";
    pub const STALE_CHANGES_NOTHING: &str = "a stale lease never changes the store";
    pub const STALE_IS_REFUSED: &str = "a stale lease is always refused";
    pub const HOLDER_IS_ACCEPTED: &str = "the holder is accepted, late or not, until it is reaped";
    pub const COMPLETION_STANDS: &str = "a completion that is repeated succeeds";
    pub const ONE_COMPLETION: &str = "at most one completion of a task is accepted";
    pub const DONE_IS_PUBLISHED: &str = "a task that is done has its output in place";
    pub const BUDGETS: &str = "a task is dead exactly when one of its budgets is spent";
    pub const ATTEMPTS: &str = "attempts are the failures and the attempt that runs";
    pub const ENDS: &str = "every task can still end, and does once nothing more breaks";
}

/// The properties, in the order of the promise.
pub fn all() -> Vec<Property<Protocol>> {
    use name::*;
    vec![
        Property::always(ONE_ACCEPTED_WORKER, one_accepted_worker),
        Property::always(ONE_LEASE_PER_CLAIM, one_lease_per_claim),
        Property::always(STALE_CHANGES_NOTHING, |_, moment: &Moment| {
            moment.flaw != Some(Flaw::StaleLeaseChangedTheStore)
        }),
        Property::always(STALE_IS_REFUSED, |_, moment: &Moment| {
            moment.flaw != Some(Flaw::StaleLeaseWasAccepted)
        }),
        Property::always(HOLDER_IS_ACCEPTED, |_, moment: &Moment| {
            moment.flaw != Some(Flaw::HolderWasRefused)
        }),
        Property::always(COMPLETION_STANDS, |_, moment: &Moment| {
            moment.flaw != Some(Flaw::CompletionWasDenied)
        }),
        Property::always(ONE_COMPLETION, |_, moment: &Moment| {
            records(moment).all(|(_, record)| record.past.completions <= 1)
        }),
        Property::always(DONE_IS_PUBLISHED, |_, moment: &Moment| {
            records(moment)
                .all(|(task, record)| record.phase != Phase::Done || moment.published[task])
        }),
        Property::always(BUDGETS, |protocol: &Protocol, moment: &Moment| {
            records(moment).all(|(_, record)| {
                let past = record.past;
                let spent = past.failures >= protocol.budgets.failures
                    || past.expiries >= protocol.budgets.expiries;
                (record.phase == Phase::Dead) == spent
            })
        }),
        Property::always(ATTEMPTS, |_, moment: &Moment| {
            records(moment).all(|(_, record)| {
                let running = u8::from(record.is_leased()) + record.past.completions;
                (record.attempts, record.expiries)
                    == (record.past.failures + running, record.past.expiries)
            })
        }),
        Property::always(ENDS, calm::ends),
        Property::sometimes("a task is done", |_, moment: &Moment| {
            records(moment).any(|(_, record)| record.past.completions == 1)
        }),
        Property::sometimes(
            "failures kill a task",
            |protocol: &Protocol, moment: &Moment| {
                records(moment).any(|(_, record)| record.past.failures == protocol.budgets.failures)
            },
        ),
        Property::sometimes(
            "expiries kill a task",
            |protocol: &Protocol, moment: &Moment| {
                records(moment).any(|(_, record)| record.past.expiries == protocol.budgets.expiries)
            },
        ),
        Property::sometimes(
            "a stale holder publishes, the same bytes",
            |_, moment: &Moment| moment.late_publication,
        ),
        Property::sometimes("an output is adopted", |_, moment: &Moment| {
            records(moment)
                .any(|(_, record)| record.phase == Phase::Done && record.past.completions == 0)
        }),
        Property::sometimes("a generation is given out twice", |_, moment: &Moment| {
            for_some_pair(moment, |a, b| {
                (a.task, a.generation) == (b.task, b.generation)
            })
        }),
    ]
}

fn records(moment: &Moment) -> impl Iterator<Item = (usize, &Record)> {
    let records = moment.store.records.iter().enumerate();
    records.filter_map(|(task, record)| Some((task, record.as_ref()?)))
}

/// Whether something holds for the leases of two workers.
fn for_some_pair(moment: &Moment, hold: impl Fn(Lease, Lease) -> bool) -> bool {
    moment.leases().any(|one| {
        let mut others = moment.leases();
        others.any(|other| other.request != one.request && hold(one, other))
    })
}

fn one_accepted_worker(protocol: &Protocol, moment: &Moment) -> bool {
    let accepted = |lease| moment.store.accepts(lease, &protocol.rules);
    !for_some_pair(moment, |one, other| {
        one.task == other.task && accepted(one) && accepted(other)
    })
}

fn one_lease_per_claim(protocol: &Protocol, moment: &Moment) -> bool {
    (0..protocol.workers).all(|request| {
        let held = records(moment).filter_map(|(_, record)| record.past.holder);
        held.filter(|lease| lease.request == request).count() <= 1
    })
}
