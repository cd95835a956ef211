//! A task that replaces others, and names that come back after they were removed.

use super::*;
use crate::{Beat, Enqueued, HeartbeatRequest, LostReason, Progress, WorkerState};

/// A month makes its days needless, whatever became of them.
pub async fn a_task_replaces_others_in_any_state(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let days = [
        ranked("done", 9),
        ranked("leased", 8),
        ranked("dead", 7),
        task("pending"),
    ];
    queue.enqueue(&days).await.unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();
    claim_one(&*queue).await;
    queue.cancel(&ids(&["dead"])).await.unwrap();
    let all = ["done", "leased", "dead", "pending", "unknown", "month"];
    let month = NewTask {
        replaces: ids(&all),
        ..task("month")
    };

    let first = queue.enqueue(std::slice::from_ref(&month)).await.unwrap();
    let second = queue.enqueue(&[month]).await.unwrap();

    assert_eq!(
        first,
        Enqueued {
            created: 1,
            replaced: 4,
            ..Enqueued::default()
        }
    );
    assert_eq!(
        second,
        Enqueued {
            unchanged: 1,
            ..Enqueued::default()
        }
    );
    let left = queue.states(&ids(&all)).await.unwrap();
    assert_eq!(
        left,
        [None, None, None, None, None, Some(TaskState::Pending)]
    );
    let counts = queue.stats().await.unwrap().totals();
    assert_eq!(counts.map(|count| count.tasks), [1, 0, 0, 0, 0]);
}

/// Days lie among those of other series, wherever the store has cut the order of names.
pub async fn each_month_finds_its_own_days_among_many(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let day = |series: u32, day: u32| format!("series {series:02}/2024-01-{day:02}");
    let months: Vec<_> = (0..40)
        .map(|series| NewTask {
            replaces: (1..=31)
                .map(|number| TaskId::new(day(series, number)))
                .collect(),
            ..task(&format!("series {series:02}/2024-01"))
        })
        .collect();
    for days in [1..32, 1..2, 31..32, 16..18, 1..1] {
        let each = days.len() as u64;
        let tasks: Vec<_> = (0..40)
            .flat_map(|series| days.clone().map(move |number| task(&day(series, number))))
            .collect();
        queue.enqueue(&tasks).await.unwrap();

        let enqueued = queue.enqueue(&months).await.unwrap();

        assert_eq!(enqueued.replaced, 40 * each, "{days:?}");
        let counts = queue.stats().await.unwrap().totals();
        assert_eq!(counts.map(|count| count.tasks), [40, 0, 0, 0, 0]);
    }
}

/// It must stop, and is told why.
pub async fn the_holder_of_a_replaced_task_hears_that_it_is_cancelled(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("day")]).await.unwrap();
    let held = claim_one(&*queue).await;
    queue
        .enqueue(&[NewTask {
            replaces: ids(&["day"]),
            ..task("month")
        }])
        .await
        .unwrap();

    let reply = queue
        .heartbeat(&HeartbeatRequest {
            worker: &WorkerId::named("worker"),
            state: WorkerState::Busy,
            lease: LEASE,
            beats: &[Beat::new(&held.lease(), Progress::default())],
        })
        .await
        .unwrap();

    assert_eq!(reply.lost, [(TaskId::from("day"), LostReason::Cancelled)]);
    assert_lost(queue.confirm(&held.lease()).await, &held);
    assert_lost(queue.complete(&held.lease(), &output()).await, &held);
}

/// Or a holder from before the removal would pass for the new one.
pub async fn a_name_that_comes_back_never_repeats_a_generation(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let replaced = claim_one(&*queue).await;
    queue
        .enqueue(&[NewTask {
            replaces: ids(&["a"]),
            ..task("b")
        }])
        .await
        .unwrap();
    queue.cancel(&ids(&["b"])).await.unwrap();
    queue.enqueue(&[task("a")]).await.unwrap();
    let cleared = claim_one(&*queue).await;
    queue.clear().await.unwrap();
    queue.enqueue(&[task("a")]).await.unwrap();

    let live = claim_one(&*queue).await;

    for stale in [replaced, cleared] {
        assert!(stale.generation < live.generation, "{stale:?} {live:?}");
        assert_lost(queue.complete(&stale.lease(), &output()).await, &stale);
    }
    queue.complete(&live.lease(), &output()).await.unwrap();
}
