//! Random calls against a backend and against a plain model of the promise: same answers, always.

mod fixture;
mod reference;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use tapemill_queue::conformance::{Fixture, Fresh, LEASE};
use tapemill_queue::{
    Beat, ClaimRequest, Completion, Failure, HeartbeatRequest, Lease, NewTask, Outcome, Progress,
    Queue, QueueError, Retry, TaskFilter, TaskId, WorkerId, WorkerState,
};
use uuid::Uuid;

use reference::Reference;

/// One call. Tasks are named by number, leases by how long ago they were given out.
#[derive(Debug, Clone)]
enum Call {
    Enqueue {
        task: u8,
        rank: i64,
        urgent: bool,
        reopen: bool,
        done: bool,
        replaces: Option<u8>,
    },
    Claim {
        limit: usize,
        only: Option<Vec<u8>>,
    },
    Heartbeat {
        leases: Vec<usize>,
    },
    Confirm(usize),
    Complete(usize),
    Fail {
        lease: usize,
        delay_seconds: Option<u64>,
    },
    Release(usize),
    Reap,
    Retry(u8),
    Cancel(u8),
    Pause(bool),
    Brake {
        seconds: u64,
    },
    Prune {
        seconds: u64,
    },
    Wait {
        seconds: u64,
    },
}

const TASKS: u8 = 6;

fn call() -> impl Strategy<Value = Call> {
    let task = || 0..TASKS;
    let lease = || 0..8_usize;
    prop_oneof![
        4 => (task(), -2..2_i64, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2),
              prop::option::weighted(0.2, task()))
            .prop_map(|(task, rank, urgent, reopen, done, replaces)| {
                Call::Enqueue { task, rank, urgent, reopen, done, replaces }
            }),
        6 => (0..4_usize, prop::option::weighted(0.3, vec(task(), 0..5)))
            .prop_map(|(limit, only)| Call::Claim { limit, only }),
        2 => vec(lease(), 0..4).prop_map(|leases| Call::Heartbeat { leases }),
        1 => lease().prop_map(Call::Confirm),
        3 => lease().prop_map(Call::Complete),
        3 => (lease(), prop::option::of(0..60_u64))
            .prop_map(|(lease, delay_seconds)| Call::Fail { lease, delay_seconds }),
        2 => lease().prop_map(Call::Release),
        3 => Just(Call::Reap),
        1 => task().prop_map(Call::Retry),
        1 => task().prop_map(Call::Cancel),
        1 => prop::bool::weighted(0.2).prop_map(Call::Pause),
        1 => (0..20_u64).prop_map(|seconds| Call::Brake { seconds }),
        1 => (0..200_u64).prop_map(|seconds| Call::Prune { seconds }),
        4 => (1..70_u64).prop_map(|seconds| Call::Wait { seconds }),
    ]
}

fn id(number: u8) -> TaskId {
    TaskId::new(format!("task/{number}"))
}

/// The lease given out `ago` claims ago, or one that never was.
fn lease_at(given: &[Lease], ago: usize) -> Lease {
    let found = given.iter().rev().nth(ago).cloned();
    found.unwrap_or_else(|| Lease {
        task: id(0),
        generation: 1_000,
        request: Uuid::nil(),
    })
}

/// Refused or not; any other error is a fault of the backend.
fn accepted<T>(result: Result<T, QueueError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(QueueError::LeaseLost { .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

async fn same_answers(fixture: &impl Fixture, calls: &[Call]) -> TestCaseResult {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    let mut reference = Reference::default();
    let mut given: Vec<Lease> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let queue: &dyn Queue = if number % 2 == 0 { &*queue } else { &*other };
        match call {
            Call::Enqueue {
                task,
                rank,
                urgent,
                reopen,
                done,
                replaces,
            } => {
                let new = NewTask {
                    urgent: *urgent,
                    rank: *rank,
                    reopen: *reopen,
                    done: done.then(|| "{}".to_owned()),
                    replaces: replaces.iter().map(|number| id(*number)).collect(),
                    ..NewTask::new(id(*task).as_str(), "aggTrades")
                };
                let enqueued = queue.enqueue(std::slice::from_ref(&new)).await.unwrap();
                prop_assert_eq!(enqueued, reference.enqueue(&new));
            }
            Call::Claim { limit, only } => {
                let worker = WorkerId::named("worker");
                let only: Option<Vec<_>> = only
                    .as_ref()
                    .map(|only| only.iter().copied().map(id).collect());
                let request = ClaimRequest {
                    worker: &worker,
                    request: Uuid::new_v4(),
                    limit: *limit,
                    lease: LEASE,
                    only: only.as_deref(),
                };
                let claimed = queue.claim(&request).await.unwrap();
                let leases: Vec<_> = claimed.claims.iter().map(|claim| claim.lease()).collect();
                let expected = reference.claim(&request);
                prop_assert_eq!((&leases, claimed.wait), (&expected.0, expected.1));
                given.extend(leases);
            }
            Call::Heartbeat { leases } => {
                let leases: Vec<_> = leases.iter().map(|ago| lease_at(&given, *ago)).collect();
                let beats: Vec<_> = leases
                    .iter()
                    .map(|lease| Beat::new(lease, Progress::default()))
                    .collect();
                let request = HeartbeatRequest {
                    worker: &WorkerId::named("worker"),
                    state: WorkerState::Busy,
                    lease: LEASE,
                    beats: &beats,
                };
                let lost = queue.heartbeat(&request).await.unwrap().lost;
                prop_assert_eq!(lost, reference.heartbeat(&leases));
            }
            Call::Confirm(ago) => {
                let lease = lease_at(&given, *ago);
                let confirmed = accepted(queue.confirm(&lease).await).is_some();
                prop_assert_eq!(confirmed, reference.holds(&lease));
            }
            Call::Complete(ago) => {
                let lease = lease_at(&given, *ago);
                let completion = Completion {
                    outcome: Outcome::Done,
                    summary: String::new(),
                    rows: 1,
                    bytes: 1,
                };
                let completed = accepted(queue.complete(&lease, &completion).await).is_some();
                prop_assert_eq!(completed, reference.complete(&lease));
            }
            Call::Fail {
                lease,
                delay_seconds,
            } => {
                let lease = lease_at(&given, *lease);
                let delay = delay_seconds.map(Duration::from_secs);
                let failure = Failure {
                    reason: "network".into(),
                    message: String::new(),
                    retry: delay.map_or(Retry::Final, Retry::After),
                };
                let state = accepted(queue.fail(&lease, &failure).await);
                prop_assert_eq!(state, reference.fail(&lease, delay));
            }
            Call::Release(ago) => {
                let lease = lease_at(&given, *ago);
                let released = accepted(queue.release(&lease).await).is_some();
                prop_assert_eq!(released, reference.release(&lease));
            }
            Call::Reap => {
                let mut reaped = queue.reap(100).await.unwrap();
                reaped.returned.sort();
                reaped.dead.sort();
                prop_assert_eq!(reaped, reference.reap());
            }
            Call::Retry(task) => {
                let retried = queue.retry(&[id(*task)]).await.unwrap();
                prop_assert_eq!(retried == 1, reference.retry(&id(*task)));
            }
            Call::Cancel(task) => {
                let cancelled = queue.cancel(&[id(*task)]).await.unwrap();
                prop_assert_eq!(cancelled == 1, reference.cancel(&id(*task)));
            }
            Call::Pause(paused) => {
                queue.pause(*paused).await.unwrap();
                reference.paused = *paused;
            }
            Call::Brake { seconds } => {
                let brake = Duration::from_secs(*seconds);
                queue.brake(brake).await.unwrap();
                reference.brake_until = reference.brake_until.max(reference.now + brake);
            }
            Call::Prune { seconds } => {
                let age = Duration::from_secs(*seconds);
                let pruned = queue.prune(age).await.unwrap();
                prop_assert_eq!(pruned as usize, reference.prune(age));
            }
            Call::Wait { seconds } => {
                let wait = Duration::from_secs(*seconds);
                clock.advance(wait);
                reference.now += wait;
            }
        }
        let page = queue.list(&TaskFilter::default(), None, 100).await.unwrap();
        let seen: Vec<_> = page.tasks.iter().map(reference::summary).collect();
        prop_assert_eq!(
            seen,
            reference.summaries(),
            "after call {}: {:?}",
            number,
            call
        );
        let totals = queue
            .stats()
            .await
            .unwrap()
            .totals()
            .map(|count| count.tasks);
        prop_assert_eq!(totals, reference.totals());
    }
    Ok(())
}

fn checked(fixture: &impl Fixture, calls: &[Call]) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(same_answers(fixture, calls))
}

#[test]
fn sqlite_gives_the_answers_of_the_reference() {
    check(&fixture::SqliteFixture);
}

#[test]
fn redis_gives_the_answers_of_the_reference() {
    check(&fixture::RedisFixture::start());
}

fn check(fixture: &impl Fixture) {
    let config = ProptestConfig {
        cases: 192,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let calls = vec(call(), 1..60);
    let checked = TestRunner::new(config).run(&calls, |calls| checked(fixture, &calls));
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
