//! All that may happen, as a Stateright model.

use stateright::{Model, Property};

use crate::call::{Answer, Call, Lease, Operation, Task};
use crate::flaw::Flaw;
use crate::properties;
use crate::rules::{Budgets, Rules};
use crate::store::{MOST_TASKS, Store};
use crate::worker::{Step, Worker};

/// The most workers of a model.
pub const MOST_WORKERS: usize = 4;

/// A bounded world, and the rules in it.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub tasks: u8,
    pub workers: u8,
    pub budgets: Budgets,
    /// How often the store may die and come back without its last writes, or empty.
    pub crashes: u8,
    /// The most writes it may lose when it does not come back empty.
    pub lost_writes: u8,
    pub rules: Rules,
}

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    pub store: Store,
    /// What the store will come back with, once it saves no more; and the writes since.
    pub saved: Option<(Store, u8)>,
    pub crashes_left: u8,
    pub workers: [Worker; MOST_WORKERS],
    /// Tasks whose output is in place.
    pub published: [bool; MOST_TASKS],
    /// A publication by a worker that the store would have refused at that moment.
    pub late_publication: bool,
    /// The last answer that was wrong.
    pub flaw: Option<Flaw>,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A call arrives at the store; what it answers is lost, or changes nothing at the caller.
    Arrive(Call),
    /// A call arrives at the store, and its answer at the worker.
    Answer(u8, Call),
    /// A worker does something by itself.
    Act(u8, Step),
    /// A lease runs out.
    RunOut(Task),
    /// Somebody reaps.
    Reap(Task),
    /// What the store writes from here on is not saved.
    StopSaving,
    /// The store dies, and comes back with what was saved.
    Crash,
    /// The store dies, and comes back empty.
    CrashEmpty,
}

impl Protocol {
    fn arrive(&self, moment: &mut Moment, call: Call) -> Answer {
        let before = moment.store;
        let answer = moment.store.take(call, &self.rules, self.budgets);
        moment.flaw = Flaw::of(call, answer, &before, &moment.store);
        answer
    }

    fn act(&self, moment: &mut Moment, worker: u8, step: Step) -> Option<()> {
        let acting = &mut moment.workers[usize::from(worker)];
        let lease = acting.lease()?;
        *acting = match step {
            Step::Publish => Worker::Published(lease),
            Step::End(operation) => Worker::Ended(operation, lease),
        };
        if step == Step::Publish {
            moment.published[usize::from(lease.task)] = true;
            moment.late_publication |= !moment.store.accepts(lease, &self.rules);
        }
        Some(())
    }

    fn calls(&self, moment: &Moment, events: &mut Vec<Event>) {
        for task in (0..self.tasks).filter(|_| self.rules.plan_again) {
            events.push(Event::Arrive(Call::Enqueue { task, done: false }));
            if moment.published[usize::from(task)] || !self.rules.look_before_adopting {
                events.push(Event::Arrive(Call::Enqueue { task, done: true }));
            }
        }
        let mut sent = Vec::new();
        for worker in 0..self.workers {
            let state = moment.workers[usize::from(worker)];
            sent.clear();
            state.sent(worker, &mut sent);
            for call in &sent {
                events.push(Event::Arrive(*call));
                if heard(state, *call) {
                    events.push(Event::Answer(worker, *call));
                }
            }
            // Workers are alike: which of them claims first makes no difference.
            if state == Worker::Idle {
                break;
            }
        }
    }
}

/// Whether the answer to a call makes a difference to the worker that waits for it.
fn heard(worker: Worker, call: Call) -> bool {
    match (worker, call) {
        (Worker::Idle | Worker::Claiming, Call::Claim(_)) => true,
        (Worker::Working(_), Call::Use(operation, _)) => operation == Operation::Confirm,
        _ => false,
    }
}

/// The worker after an answer; one that is told nothing new is as it was.
fn after(worker: Worker, answer: Option<Answer>) -> Worker {
    match (worker, answer) {
        (Worker::Idle | Worker::Claiming, Some(Answer::Given(lease))) => Worker::Working(lease),
        (Worker::Idle, None) => Worker::Claiming,
        (Worker::Working(lease), Some(Answer::Accepted)) => Worker::Confirmed(lease),
        (same, _) => same,
    }
}

impl Model for Protocol {
    type State = Moment;
    type Action = Event;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment {
            store: Store::planned(self.tasks),
            saved: None,
            crashes_left: self.crashes,
            workers: [Worker::Idle; MOST_WORKERS],
            published: [false; MOST_TASKS],
            late_publication: false,
            flaw: None,
        }]
    }

    fn actions(&self, moment: &Moment, events: &mut Vec<Event>) {
        self.calls(moment, events);
        let mut steps = Vec::new();
        for worker in 0..self.workers {
            moment.workers[usize::from(worker)].steps(&self.rules, &mut steps);
            events.extend(steps.drain(..).map(|step| Event::Act(worker, step)));
        }
        for task in 0..self.tasks {
            events.push(Event::RunOut(task));
            if self.rules.reap {
                events.push(Event::Reap(task));
            }
        }
        if moment.saved.is_some() {
            events.push(Event::Crash);
        } else if moment.crashes_left > 0 {
            events.push(Event::StopSaving);
            events.push(Event::CrashEmpty);
        }
    }

    fn next_state(&self, before: &Moment, event: Event) -> Option<Moment> {
        let mut moment = *before;
        match event {
            Event::Arrive(call) => {
                let answer = self.arrive(&mut moment, call);
                if let (Call::Claim(request), Answer::Given(_)) = (call, answer) {
                    let worker = &mut moment.workers[usize::from(request)];
                    *worker = after(*worker, None);
                }
            }
            Event::Answer(worker, call) => {
                let answer = self.arrive(&mut moment, call);
                let worker = &mut moment.workers[usize::from(worker)];
                *worker = after(*worker, Some(answer));
            }
            Event::Act(worker, step) => self.act(&mut moment, worker, step)?,
            Event::RunOut(task) => moment.store.run_out(task),
            Event::Reap(task) => moment.store.reap(task, &self.rules, self.budgets),
            Event::StopSaving => {
                moment.crashes_left -= 1;
                moment.saved = Some((moment.store, 0));
            }
            Event::Crash => {
                let (saved, _) = moment.saved.take()?;
                moment.store = saved;
            }
            Event::CrashEmpty => {
                moment.crashes_left -= 1;
                moment.store = Store::default();
            }
        }
        if moment == *before {
            return None;
        }
        let wrote = moment.store != before.store && !matches!(event, Event::RunOut(_));
        if let Some((_, writes)) = &mut moment.saved
            && wrote
        {
            *writes += 1;
            // One more than can be lost: that the store saves nothing was a wrong guess.
            if *writes > self.lost_writes {
                return None;
            }
        }
        Some(moment)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Moment {
    /// The leases that workers were given.
    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.workers.iter().filter_map(|worker| worker.lease())
    }
}
