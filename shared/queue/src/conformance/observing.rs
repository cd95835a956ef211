//! What can be seen at a glance: counts, ages, rates, workers.

use std::collections::BTreeMap;

use super::*;
use crate::{
    Beat, Count, HeartbeatRequest, Progress, StateCounts, TaskFilter, WorkerState, WorkingOn,
};

/// Counts made by walking all tasks.
async fn recount(queue: &dyn Queue) -> BTreeMap<String, StateCounts> {
    let mut counts: BTreeMap<String, StateCounts> = BTreeMap::new();
    for task in walk(queue, &TaskFilter::default(), 7).await {
        let count = &mut counts.entry(task.dataset).or_default()[task.state.index()];
        count.tasks += 1;
        count.bytes += task.bytes;
    }
    counts
}

async fn beat(queue: &dyn Queue, worker: &WorkerId, state: WorkerState, beats: &[Beat]) {
    let request = HeartbeatRequest {
        worker,
        state,
        lease: LEASE,
        beats,
    };
    assert_eq!(queue.heartbeat(&request).await.unwrap().lost, []);
}

/// After every way a task can change its state.
pub async fn counters_equal_a_recount(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let queue = &*queue;
    let tasks: Vec<_> = (0..30)
        .map(|number| NewTask {
            dataset: format!("dataset-{}", number % 3),
            bytes: number * 10,
            ..task(&format!("task/{number:02}"))
        })
        .collect();
    let check = async |step: &str| {
        assert_eq!(
            queue.stats().await.unwrap().datasets,
            recount(queue).await,
            "after {step}"
        );
    };

    queue.enqueue(&tasks).await.unwrap();
    check("enqueue").await;
    let held = claim(queue, 20).await.claims;
    check("claim").await;
    queue.complete(&held[0].lease(), &output()).await.unwrap();
    let missing = Completion {
        outcome: Outcome::Missing,
        ..output()
    };
    queue.complete(&held[1].lease(), &missing).await.unwrap();
    queue.fail(&held[2].lease(), &hiccup()).await.unwrap();
    queue
        .fail(
            &held[3].lease(),
            &Failure {
                retry: Retry::Final,
                ..hiccup()
            },
        )
        .await
        .unwrap();
    queue.release(&held[4].lease()).await.unwrap();
    check("complete, fail and release").await;
    queue
        .cancel(&[held[5].task.clone(), "task/29".into()])
        .await
        .unwrap();
    check("cancel").await;
    clock.advance(LEASE);
    queue.reap(5).await.unwrap();
    check("reap").await;
    let again = [
        NewTask {
            reopen: true,
            ..tasks[0].clone()
        },
        NewTask {
            done: Some("{}".into()),
            ..tasks[28].clone()
        },
        NewTask {
            bytes: 7,
            dataset: "dataset-9".into(),
            ..tasks[27].clone()
        },
        NewTask {
            replaces: ids(&["task/01", "task/10", "task/26"]),
            ..task("month")
        },
    ];
    queue.enqueue(&again).await.unwrap();
    check("enqueue again").await;
    queue.retry(&ids(&["task/03", "task/29"])).await.unwrap();
    check("retry").await;
    queue.prune(Duration::ZERO).await.unwrap();
    check("prune").await;
    queue.clear().await.unwrap();
    check("clear").await;
}

/// Left and done, for the time that remains.
pub async fn bytes_are_counted_with_their_tasks(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let klines = NewTask {
        dataset: "klines:1m".into(),
        bytes: 1,
        ..task("um/klines:1m/BTCUSDT/2024-01")
    };
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1), klines])
        .await
        .unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();

    let stats = queue.stats().await.unwrap();

    let trades = stats.datasets["aggTrades"];
    assert_eq!(
        trades[TaskState::Pending.index()],
        Count {
            tasks: 1,
            bytes: 100
        }
    );
    assert_eq!(
        trades[TaskState::Done.index()],
        Count {
            tasks: 1,
            bytes: 100
        }
    );
    assert_eq!(stats.datasets["klines:1m"][0], Count { tasks: 1, bytes: 1 });
    assert_eq!(
        stats.totals()[0],
        Count {
            tasks: 2,
            bytes: 101
        }
    );
    assert!(stats.store_bytes > 0);
}

/// Both are for alarms.
pub async fn ages_tell_the_oldest_waiting_and_the_oldest_running(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let at_first = queue.stats().await.unwrap();
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1)])
        .await
        .unwrap();
    clock.advance(Duration::from_secs(10));
    claim_one(&*queue).await;
    clock.advance(Duration::from_secs(5));
    queue.enqueue(&[task("c")]).await.unwrap();

    let stats = queue.stats().await.unwrap();

    assert_eq!(
        (at_first.oldest_pending_age, at_first.oldest_lease_age),
        (None, None)
    );
    assert_eq!(stats.oldest_pending_age, Some(Duration::from_secs(15)));
    assert_eq!(stats.oldest_lease_age, Some(Duration::from_secs(5)));
}

/// Its age counts from when it may be claimed.
pub async fn a_task_that_waits_for_its_time_is_not_old(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    clock.advance(LEASE);
    let failure = again_after(Duration::from_secs(30));
    queue
        .fail(&claim_one(&*queue).await.lease(), &failure)
        .await
        .unwrap();

    let waiting = queue.stats().await.unwrap().oldest_pending_age;
    clock.advance(Duration::from_secs(40));
    let due = queue.stats().await.unwrap().oldest_pending_age;

    assert_eq!(waiting, None);
    assert_eq!(due, Some(Duration::from_secs(10)));
}

/// And forget the past.
pub async fn rates_cover_recent_completions_since_their_start(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1)])
        .await
        .unwrap();
    let claims = claim(&*queue, ALL).await.claims;
    clock.advance(Duration::from_secs(50));
    for claim in claims {
        let completion = Completion {
            rows: 1_000,
            bytes: 5_000,
            ..output()
        };
        queue.complete(&claim.lease(), &completion).await.unwrap();
    }

    let fresh = queue.stats().await.unwrap();
    clock.advance(Duration::from_secs(50));
    let later = queue.stats().await.unwrap();
    clock.advance(crate::RATE_WINDOW * 2);
    let long_after = queue.stats().await.unwrap();

    assert_eq!(
        (fresh.rows_per_second, fresh.bytes_per_second),
        (40.0, 200.0)
    );
    assert_eq!(
        (later.rows_per_second, later.bytes_per_second),
        (20.0, 100.0)
    );
    assert_eq!(
        (long_after.rows_per_second, long_after.bytes_per_second),
        (0.0, 0.0)
    );
}

/// Repeats, refusals and adopted tasks do not count: the number tells of completions accepted twice.
pub async fn accepted_completions_are_counted_once(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    let adopted = NewTask {
        done: Some("{}".into()),
        ..task("adopted")
    };
    queue
        .enqueue(&[adopted, task("a"), task("b")])
        .await
        .unwrap();
    let stale = claim_one(&*queue).await;
    clock.advance(LEASE);
    queue.reap(ALL).await.unwrap();
    for live in claim(&*other, ALL).await.claims {
        queue.complete(&live.lease(), &output()).await.unwrap();
        other.complete(&live.lease(), &output()).await.unwrap();
    }
    assert_lost(queue.complete(&stale.lease(), &output()).await, &stale);

    let counted = queue.stats().await.unwrap().completions;
    queue.clear().await.unwrap();

    assert_eq!(counted, 2);
    assert_eq!(queue.stats().await.unwrap().completions, 0);
}

/// As of its last heartbeat.
pub async fn a_running_task_shows_its_worker_and_progress(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let worker = WorkerId::named("miller");
    let held = queue
        .claim(&wanting(&worker, 1))
        .await
        .unwrap()
        .claims
        .remove(0);
    let progress = Progress {
        bytes: 30,
        bytes_total: 100,
        rows: 4,
    };
    beat(
        &*queue,
        &worker,
        WorkerState::Busy,
        &[Beat::new(&held.lease(), progress)],
    )
    .await;

    let running = record(&*queue, "a").await;
    queue.complete(&held.lease(), &output()).await.unwrap();
    let done = record(&*queue, "a").await;

    assert_eq!(running.worker.as_deref(), Some(worker.as_str()));
    assert_eq!(running.progress, Some(progress));
    assert_eq!((done.worker, done.progress), (None, None));
}

/// Idle ones too.
pub async fn workers_are_listed_with_what_they_hold(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1)])
        .await
        .unwrap();
    let (busy, idle) = (WorkerId::named("1-busy"), WorkerId::named("2-idle"));
    let claims = queue.claim(&wanting(&busy, 2)).await.unwrap().claims;
    let progress = Progress {
        bytes: 1,
        bytes_total: 2,
        rows: 3,
    };
    let beats: Vec<_> = claims
        .iter()
        .map(|claim| Beat::new(&claim.lease(), progress))
        .collect();
    beat(&*queue, &busy, WorkerState::Busy, &beats).await;
    clock.advance(Duration::from_secs(3));
    beat(&*other, &idle, WorkerState::Idle, &[]).await;

    let workers = queue.workers().await.unwrap();

    let told: Vec<_> = workers
        .iter()
        .map(|w| (w.id.as_str(), w.state, w.seen_ago))
        .collect();
    let expected = [
        (busy.as_str(), WorkerState::Busy, Duration::from_secs(3)),
        (idle.as_str(), WorkerState::Idle, Duration::ZERO),
    ];
    assert_eq!(told, expected);
    let holds = |id: &str| WorkingOn {
        task: id.into(),
        generation: 1,
        progress,
        held_for: Duration::from_secs(3),
    };
    assert_eq!(workers[0].tasks, [holds("a"), holds("b")]);
    assert_eq!(workers[1].tasks, []);
    assert_eq!(queue.stats().await.unwrap().workers, [1, 1, 0]);
}

/// Or the list would grow with every restart.
pub async fn a_silent_worker_leaves_the_list(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let worker = WorkerId::named("worker");
    beat(&*queue, &worker, WorkerState::Idle, &[]).await;
    clock.advance(LEASE);
    let remembered = queue.workers().await.unwrap().len();
    let counted = queue.stats().await.unwrap().workers;

    clock.advance(LEASE * 10);

    assert_eq!((remembered, queue.workers().await.unwrap().len()), (1, 0));
    assert_eq!(counted, [1, 0, 0]);
    assert_eq!(queue.stats().await.unwrap().workers, [0; 3]);
}

/// Its last heartbeat says so: draining, and nothing left.
pub async fn a_worker_that_drained_leaves_the_list(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let worker = WorkerId::named("worker");
    let held = queue
        .claim(&wanting(&worker, 1))
        .await
        .unwrap()
        .claims
        .remove(0);
    let beats = [Beat::new(&held.lease(), Progress::default())];

    beat(&*queue, &worker, WorkerState::Draining, &beats).await;
    let draining = queue.workers().await.unwrap();
    queue.release(&held.lease()).await.unwrap();
    beat(&*queue, &worker, WorkerState::Draining, &[]).await;

    assert_eq!(draining[0].state, WorkerState::Draining);
    assert_eq!(queue.workers().await.unwrap(), []);
}
