//! The store of the model is the queue: the same calls, in any order, give the same answers.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseResult, TestRunner};
use stateright::Model;
use tapemill_queue::conformance::{Fixture, Fresh, LEASE, TICK};
use tapemill_queue::{
    Beat, ClaimRequest, Completion, Failure, HeartbeatRequest, ManualClock, NewTask, Outcome,
    Progress, QueueError, Retry, TaskId, TaskRecord, TaskState, WorkerId, WorkerState,
};
use uuid::Uuid;

use crate::call::{Answer, Call, Lease, Operation, Request, Task};
use crate::fixture::{RedisFixture, SqliteFixture};
use crate::model::{Event, Moment, Protocol};
use crate::rules::{Budgets, Rules};
use crate::store::{Phase, Record};

/// A world whose events a running queue can follow.
const WORLD: Protocol = Protocol {
    tasks: 2,
    workers: 4,
    // The defaults of the queue.
    budgets: Budgets {
        failures: 5,
        expiries: 5,
    },
    crashes: 2,
    lost_writes: 0,
    rules: Rules::ALL,
};

fn id(task: Task) -> TaskId {
    TaskId::new(format!("task/{task}"))
}

/// The queue that follows, and the names its callers have there.
struct Follower {
    fresh: Fresh,
    workers: Vec<WorkerId>,
}

impl Follower {
    fn lease(lease: Lease) -> tapemill_queue::Lease {
        tapemill_queue::Lease {
            task: id(lease.task),
            generation: lease.generation.into(),
            request: Uuid::from_u128(lease.request.into()),
        }
    }

    async fn take(&self, call: Call) -> Answer {
        let queue = &*self.fresh.queue;
        match call {
            Call::Enqueue { task, done } => {
                let new = NewTask {
                    done: done.then(String::new),
                    ..NewTask::new(id(task).as_str(), "aggTrades")
                };
                queue.enqueue(&[new]).await.unwrap();
                Answer::Planned
            }
            Call::Claim(request) => self.claim(request).await,
            Call::Use(operation, lease) => self.use_lease(operation, lease).await,
        }
    }

    async fn claim(&self, request: Request) -> Answer {
        let wanted = ClaimRequest {
            worker: &self.workers[usize::from(request)],
            request: Uuid::from_u128(request.into()),
            limit: 1,
            lease: LEASE,
            only: None,
        };
        let claims = self.fresh.other.claim(&wanted).await.unwrap().claims;
        let Some(claim) = claims.first() else {
            return Answer::Nothing;
        };
        let task = (0..WORLD.tasks).find(|task| id(*task) == claim.task);
        Answer::Given(Lease {
            task: task.expect("a task of this world"),
            generation: claim.generation.try_into().unwrap(),
            request,
        })
    }

    async fn use_lease(&self, operation: Operation, lease: Lease) -> Answer {
        let queue = &*self.fresh.queue;
        let held = Self::lease(lease);
        let ended = match operation {
            Operation::Heartbeat => {
                return if self.beat(lease).await {
                    Answer::Accepted
                } else {
                    Answer::Lost
                };
            }
            Operation::Confirm => queue.confirm(&held).await,
            Operation::Complete => {
                let completion = Completion {
                    outcome: Outcome::Done,
                    summary: String::new(),
                    rows: 0,
                    bytes: 0,
                };
                queue.complete(&held, &completion).await
            }
            Operation::Fail => {
                let failure = Failure {
                    reason: "network".into(),
                    message: String::new(),
                    retry: Retry::After(Duration::ZERO),
                };
                queue.fail(&held, &failure).await.map(|_| ())
            }
            Operation::Release => queue.release(&held).await,
        };
        match ended {
            Ok(()) => Answer::Accepted,
            Err(QueueError::LeaseLost { .. }) => Answer::Lost,
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn beat(&self, lease: Lease) -> bool {
        let request = HeartbeatRequest {
            worker: &self.workers[usize::from(lease.request)],
            state: WorkerState::Busy,
            lease: LEASE,
            beats: &[Beat::new(&Self::lease(lease), Progress::default())],
        };
        self.fresh
            .other
            .heartbeat(&request)
            .await
            .unwrap()
            .lost
            .is_empty()
    }

    /// Lets the lease on one task run out, and keeps the others as they are.
    async fn run_out(&self, moment: &Moment, task: Task) {
        let leased = |task: Task| {
            let record = moment.store.records[usize::from(task)].as_ref();
            record.filter(|record| record.phase == Phase::Leased { late: false })
        };
        if leased(task).is_none() {
            return;
        }
        let clock: &ManualClock = &self.fresh.clock;
        clock.advance(LEASE - TICK);
        for other in (0..WORLD.tasks).filter(|other| *other != task) {
            if let Some(holder) = leased(other).and_then(|record| record.past.holder) {
                assert!(self.beat(holder).await);
            }
        }
        clock.advance(TICK);
    }

    async fn records(&self) -> Vec<Option<Seen>> {
        let ids: Vec<TaskId> = (0..WORLD.tasks).map(id).collect();
        let found = self.fresh.other.get(&ids).await.unwrap();
        found
            .iter()
            .map(|record| record.as_ref().map(seen))
            .collect()
    }
}

/// State, generation, attempts and expiries.
type Seen = (TaskState, u64, u32, u32);

fn seen(record: &TaskRecord) -> Seen {
    (
        record.state,
        record.generation,
        record.attempts,
        record.expiries,
    )
}

fn expected(record: &Record) -> Seen {
    let state = match record.phase {
        Phase::Pending => TaskState::Pending,
        Phase::Leased { .. } => TaskState::Leased,
        Phase::Done => TaskState::Done,
        Phase::Dead => TaskState::Dead,
    };
    (
        state,
        record.generation.into(),
        record.attempts.into(),
        record.expiries.into(),
    )
}

async fn follows(fixture: &impl Fixture, choices: &[Index]) -> TestCaseResult {
    let workers = (0..WORLD.workers).map(|_| WorkerId::named("worker"));
    let mut follower = Follower {
        fresh: fixture.fresh().await,
        workers: workers.collect(),
    };
    let mut moment = WORLD.init_states()[0];
    for task in 0..WORLD.tasks {
        follower.take(Call::Enqueue { task, done: false }).await;
    }
    for choice in choices {
        let mut events = Vec::new();
        WORLD.actions(&moment, &mut events);
        // No backend can be told which writes to lose; to lose them all is to begin anew.
        events.retain(|event| *event != Event::StopSaving);
        let event = *choice.get(&events);
        match event {
            Event::Arrive(call) | Event::Answer(_, call) => {
                let answer = moment.store.clone().take(call, &WORLD.rules, WORLD.budgets);
                prop_assert_eq!(follower.take(call).await, answer, "to {:?}", call);
            }
            Event::RunOut(task) => follower.run_out(&moment, task).await,
            // The queue returns every lease that ran out, in one call.
            Event::Reap(_) => {
                follower.fresh.queue.reap(100).await.unwrap();
                for task in 0..WORLD.tasks {
                    moment.store.reap(task, &WORLD.rules, WORLD.budgets);
                }
            }
            Event::CrashEmpty => follower.fresh = fixture.fresh().await,
            Event::Act(..) | Event::StopSaving | Event::Crash => {}
        }
        moment = WORLD.next_state(&moment, event).unwrap_or(moment);
        let records = moment.store.records.iter();
        let records: Vec<_> = records
            .map(|record| record.as_ref().map(expected))
            .collect();
        prop_assert_eq!(follower.records().await, records, "after {:?}", event);
    }
    Ok(())
}

fn follow(fixture: &impl Fixture) {
    let config = ProptestConfig {
        cases: 96,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let ways = vec(any::<Index>(), 1..120);
    let followed = TestRunner::new(config).run(&ways, |choices| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(follows(fixture, &choices))
    });
    followed.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn sqlite_gives_the_answers_of_the_model() {
    follow(&SqliteFixture);
}

#[test]
fn redis_gives_the_answers_of_the_model() {
    follow(&RedisFixture::start());
}
