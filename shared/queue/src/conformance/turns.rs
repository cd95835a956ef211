//! Completions that claim what comes next: both at once, and neither more nor less than both.

use super::*;
use crate::{CompletedAndClaimed, Wait};

/// Completes with a claim of one task under a fresh worker name.
async fn turn(queue: &dyn Queue, held: &Claim) -> CompletedAndClaimed {
    let worker = WorkerId::named("worker");
    queue
        .complete_and_claim(&held.lease(), &output(), &wanting(&worker, 1))
        .await
        .expect("the call is answered")
}

/// The task is done, the next is held, and both are counted.
pub async fn a_completion_brings_the_next_task(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 2), ranked("b", 1)])
        .await
        .unwrap();
    let first = claim_one(&*queue).await;

    let answer = turn(&*queue, &first).await;

    assert!(answer.accepted);
    assert_eq!(claimed_ids(&answer.claimed), ["b"]);
    assert_eq!(answer.claimed.wait, Wait::Ready);
    let done = record(&*queue, "a").await;
    assert_eq!(
        (done.state, done.summary),
        (TaskState::Done, output().summary.into())
    );
    queue
        .confirm(&answer.claimed.claims[0].lease())
        .await
        .unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.completions, 1);
    let [pending, leased, done, ..] = stats.totals();
    assert_eq!((pending.tasks, leased.tasks, done.tasks), (0, 1, 1));
    assert_eq!((leased.bytes, done.bytes), (100, 100));
}

/// An answer that was lost is given again, and nothing is done twice.
pub async fn a_repeated_turn_returns_the_same_lease(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 3), ranked("b", 2), ranked("c", 1)])
        .await
        .unwrap();
    let first = claim_one(&*queue).await;
    let worker = WorkerId::named("worker");
    let request = wanting(&worker, 1);
    let lease = first.lease();

    let once = queue.complete_and_claim(&lease, &output(), &request).await;
    let again = queue.complete_and_claim(&lease, &output(), &request).await;

    assert_eq!(once.unwrap(), again.unwrap());
    let states = queue.states(&ids(&["a", "b", "c"])).await.unwrap();
    assert_eq!(
        states,
        [
            Some(TaskState::Done),
            Some(TaskState::Leased),
            Some(TaskState::Pending)
        ]
    );
    assert_eq!(queue.stats().await.unwrap().completions, 1);
}

/// A late holder is refused, and free for the next task.
pub async fn a_lost_lease_is_told_and_the_next_task_is_claimed(fixture: &impl Fixture) {
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
    let late = claim_one(&*queue).await;
    clock.advance(LEASE + TICK);
    reap(&*queue, ALL).await;
    let live = claim_one(&*other).await;
    assert_eq!(live.task, late.task);

    let answer = turn(&*queue, &late).await;

    assert!(!answer.accepted);
    assert_eq!(claimed_ids(&answer.claimed), ["b"]);
    other.confirm(&live.lease()).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().completions, 0);
}

/// Pausing stops claims, not completions.
pub async fn a_paused_queue_takes_the_completion_and_gives_nothing(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a"), task("b")]).await.unwrap();
    let first = claim_one(&*queue).await;
    queue.pause(true).await.unwrap();

    let answer = turn(&*queue, &first).await;

    assert!(answer.accepted);
    assert_eq!(answer.claimed.claims, []);
    assert_eq!(answer.claimed.wait, Wait::Paused);
    assert_eq!(state(&*queue, "a").await, Some(TaskState::Done));
}

/// In the order it names, as any restricted claim.
pub async fn a_turn_may_be_restricted_to_named_tasks(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[
            ranked("a", 4),
            ranked("b", 3),
            ranked("c", 2),
            ranked("d", 1),
        ])
        .await
        .unwrap();
    let first = claim_one(&*queue).await;
    let worker = WorkerId::named("worker");
    let named = ids(&["a", "d", "c"]);
    let request = ClaimRequest {
        only: Some(&named),
        ..wanting(&worker, 1)
    };

    let answer = queue
        .complete_and_claim(&first.lease(), &output(), &request)
        .await
        .unwrap();

    assert_eq!(claimed_ids(&answer.claimed), ["d"]);
}

/// Many at once, as a busy process makes them: each gets a task of its own, and each is counted.
pub async fn turns_that_come_together_share_without_overlap(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks: Vec<_> = (0..80).map(|n| task(&format!("task/{n:02}"))).collect();
    queue.enqueue(&tasks).await.unwrap();
    let held = claim(&*queue, 40).await.claims;

    let mut turns = Vec::new();
    for held in held {
        let queue = queue.clone();
        turns.push(tokio::spawn(async move { turn(&*queue, &held).await }));
    }
    let mut answers = Vec::new();
    for turn in turns {
        answers.push(turn.await.unwrap());
    }

    assert!(answers.iter().all(|answer| answer.accepted));
    let mut next: Vec<_> = answers
        .iter()
        .flat_map(|answer| claimed_ids(&answer.claimed))
        .collect();
    next.sort_unstable();
    let expected: Vec<_> = (40..80).map(|n| format!("task/{n:02}")).collect();
    assert_eq!(next, expected);
    let stats = queue.stats().await.unwrap();
    let [pending, leased, done, ..] = stats.totals();
    assert_eq!((pending.tasks, leased.tasks, done.tasks), (0, 40, 40));
    assert_eq!(stats.completions, 40);
}
