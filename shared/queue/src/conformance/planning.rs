//! Enqueueing: what it adds, and what it leaves alone.

use super::*;
use crate::Enqueued;
use crate::limits::MAX_SPEC_BYTES;

/// A task's name says what it is, so planning it twice is planning it once.
pub async fn enqueueing_again_adds_nothing(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks = [task("a"), task("b")];

    let first = queue.enqueue(&tasks).await.unwrap();
    let second = other.enqueue(&tasks).await.unwrap();

    assert_eq!(
        first,
        Enqueued {
            created: 2,
            ..Enqueued::default()
        }
    );
    assert_eq!(
        second,
        Enqueued {
            unchanged: 2,
            ..Enqueued::default()
        }
    );
    assert_eq!(claimed_ids(&claim(&*queue, ALL).await), ["a", "b"]);
}

/// The archive may have grown since, and symbols become urgent.
pub async fn a_pending_task_takes_new_bytes_spec_and_order(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("old", 1), ranked("new", 2)])
        .await
        .unwrap();

    let changed = NewTask {
        urgent: true,
        bytes: 999,
        spec: "later".into(),
        ..ranked("old", 1)
    };
    let enqueued = queue.enqueue(&[changed]).await.unwrap();

    assert_eq!(
        enqueued,
        Enqueued {
            unchanged: 1,
            ..Enqueued::default()
        }
    );
    let first = claim_one(&*queue).await;
    assert_eq!(
        (first.task.as_str(), first.bytes, first.spec.as_str()),
        ("old", 999, "later")
    );
}

/// Whoever works on it works on what it was when it was claimed.
pub async fn a_leased_task_is_not_touched_by_enqueueing(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let held = claim_one(&*queue).await;
    let before = record(&*queue, "a").await;

    let adopting = NewTask {
        done: Some("{}".into()),
        ..task("a")
    };
    let reopening = NewTask {
        reopen: true,
        bytes: 5,
        ..task("a")
    };
    let enqueued = queue.enqueue(&[adopting, reopening]).await.unwrap();

    assert_eq!(
        enqueued,
        Enqueued {
            unchanged: 2,
            ..Enqueued::default()
        }
    );
    assert_eq!(record(&*queue, "a").await, before);
    queue.complete(&held.lease(), &output()).await.unwrap();
}

/// Without `reopen`, a plan never repeats work.
pub async fn a_finished_task_stays_finished_when_planned_again(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();

    let enqueued = queue
        .enqueue(&[NewTask {
            spec: "later".into(),
            ..task("a")
        }])
        .await
        .unwrap();

    assert_eq!(
        enqueued,
        Enqueued {
            unchanged: 1,
            ..Enqueued::default()
        }
    );
    assert_eq!(state(&*queue, "a").await, Some(TaskState::Done));
}

/// The output is gone, or the missing file has appeared.
pub async fn reopening_makes_a_done_or_missing_task_pending_with_fresh_budgets(
    fixture: &impl Fixture,
) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1)])
        .await
        .unwrap();
    queue
        .fail(&claim_one(&*queue).await.lease(), &hiccup())
        .await
        .unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();
    let missing = Completion {
        outcome: Outcome::Missing,
        ..output()
    };
    queue
        .complete(&claim_one(&*queue).await.lease(), &missing)
        .await
        .unwrap();
    assert_eq!(state(&*queue, "b").await, Some(TaskState::Missing));

    let again = [("a", 2), ("b", 1)].map(|(id, rank)| NewTask {
        reopen: true,
        ..ranked(id, rank)
    });
    let first = queue.enqueue(&again).await.unwrap();
    let second = queue.enqueue(&again).await.unwrap();

    assert_eq!(
        first,
        Enqueued {
            reopened: 2,
            ..Enqueued::default()
        }
    );
    assert_eq!(
        second,
        Enqueued {
            unchanged: 2,
            ..Enqueued::default()
        }
    );
    let reopened = record(&*queue, "a").await;
    assert_eq!((reopened.state, reopened.attempts), (TaskState::Pending, 0));
    assert_eq!(reopened.summary, None);
    let claimed = claim(&*queue, ALL).await;
    assert_eq!(claimed_ids(&claimed), ["a", "b"]);
    assert_eq!(
        (claimed.claims[0].generation, claimed.claims[0].attempt),
        (3, 1)
    );
}

/// Only a retry brings it back.
pub async fn a_dead_task_is_not_reopened_by_enqueueing(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    queue.cancel(&ids(&["a"])).await.unwrap();

    let reopening = NewTask {
        reopen: true,
        ..task("a")
    };
    let adopting = NewTask {
        done: Some("{}".into()),
        ..task("a")
    };
    let enqueued = queue.enqueue(&[reopening, adopting]).await.unwrap();

    assert_eq!(
        enqueued,
        Enqueued {
            unchanged: 2,
            ..Enqueued::default()
        }
    );
    assert_eq!(state(&*queue, "a").await, Some(TaskState::Dead));
}

/// A lost queue is restored from the outputs.
pub async fn a_task_finished_elsewhere_is_adopted_unless_it_is_leased_or_dead(
    fixture: &impl Fixture,
) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("missing", 9), task("pending")])
        .await
        .unwrap();
    let missing = Completion {
        outcome: Outcome::Missing,
        ..output()
    };
    queue
        .complete(&claim_one(&*queue).await.lease(), &missing)
        .await
        .unwrap();

    let adopting = ["absent", "missing", "pending"].map(|id| NewTask {
        done: Some("{}".into()),
        ..task(id)
    });
    let first = queue.enqueue(&adopting).await.unwrap();
    let second = queue.enqueue(&adopting).await.unwrap();

    assert_eq!(
        first,
        Enqueued {
            adopted: 3,
            ..Enqueued::default()
        }
    );
    assert_eq!(
        second,
        Enqueued {
            unchanged: 3,
            ..Enqueued::default()
        }
    );
    for id in ["absent", "missing", "pending"] {
        let adopted = record(&*queue, id).await;
        assert_eq!(
            (adopted.state, adopted.summary),
            (TaskState::Done, Some("{}".into())),
            "{id}"
        );
    }
    assert!(claim(&*queue, ALL).await.claims.is_empty());
}

/// Adoption is no completion: the holder before it stays refused.
pub async fn an_adopted_task_does_not_accept_the_completion_of_a_reaped_holder(
    fixture: &impl Fixture,
) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let stale = claim_one(&*queue).await;
    clock.advance(LEASE + TICK);
    queue.reap(ALL).await.unwrap();
    queue
        .enqueue(&[NewTask {
            done: Some("adopted".into()),
            ..task("a")
        }])
        .await
        .unwrap();

    let late = queue.complete(&stale.lease(), &output()).await;

    assert_lost(late, &stale);
    assert_eq!(record(&*queue, "a").await.summary, Some("adopted".into()));
}

/// The bound holds for the whole call.
pub async fn an_oversized_spec_is_refused_before_anything_is_written(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let fits = NewTask {
        spec: "x".repeat(MAX_SPEC_BYTES),
        ..task("fits")
    };
    let oversized = NewTask {
        spec: "x".repeat(MAX_SPEC_BYTES + 1),
        ..task("oversized")
    };

    let refused = queue.enqueue(&[fits.clone(), oversized]).await;

    assert!(
        matches!(refused, Err(QueueError::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(state(&*queue, "fits").await, None);
    queue.enqueue(&[fits]).await.unwrap();
    assert_eq!(claim_one(&*queue).await.spec.len(), MAX_SPEC_BYTES);
}

/// Whatever a backend can take at once.
pub async fn thousands_of_tasks_are_planned_in_one_call(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks: Vec<_> = (0..2_500)
        .map(|number| task(&format!("task/{number:04}")))
        .collect();
    let all: Vec<_> = tasks.iter().map(|task| task.id.clone()).collect();

    let enqueued = queue.enqueue(&tasks).await.unwrap();

    assert_eq!(
        enqueued,
        Enqueued {
            created: 2_500,
            ..Enqueued::default()
        }
    );
    assert_eq!(queue.stats().await.unwrap().totals()[0].tasks, 2_500);
    assert!(
        queue
            .states(&all)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(queue.cancel(&all).await.unwrap(), 2_500);
    assert_eq!(queue.retry(&all).await.unwrap(), 2_500);
}
