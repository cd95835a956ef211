//! Claims: who gets what, in which order, and what those hear who get nothing.

use std::collections::HashSet;

use super::*;
use crate::Wait;
use crate::limits::MAX_ONLY;

/// The order of all claims.
pub async fn urgent_tasks_go_first_then_newer_ones_then_by_id(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let urgent = |id, rank| NewTask {
        urgent: true,
        ..ranked(id, rank)
    };
    let tasks = [
        ranked("newer-b", 5),
        ranked("oldest", -3),
        urgent("urgent-old", 1),
        ranked("newer-a", 5),
        urgent("urgent-new", 2),
    ];
    queue.enqueue(&tasks).await.unwrap();

    let first = claim(&*queue, 1).await;
    let rest = claim(&*queue, ALL).await;

    assert_eq!(claimed_ids(&first), ["urgent-new"]);
    assert_eq!(
        claimed_ids(&rest),
        ["urgent-old", "newer-a", "newer-b", "oldest"]
    );
}

/// Both count from 1.
pub async fn a_claim_raises_generation_and_attempt(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    assert_eq!(record(&*queue, "a").await.generation, 0);

    let first = claim_one(&*queue).await;
    queue.fail(&first.lease(), &hiccup()).await.unwrap();
    let second = claim_one(&*queue).await;

    assert_eq!((first.generation, first.attempt), (1, 1));
    assert_eq!((second.generation, second.attempt), (2, 2));
    let now = record(&*queue, "a").await;
    assert_eq!(
        (now.state, now.generation, now.attempts),
        (TaskState::Leased, 2, 2)
    );
}

/// Nothing else needs to be asked.
pub async fn a_claim_carries_what_the_worker_needs(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let planned = NewTask {
        bytes: 1 << 40,
        spec: "{\"häuser\": \"\\u0000 and '; --\"}".into(),
        ..NewTask::new("um/klines:1m/BTCUSDT/2024-01", "klines:1m")
    };
    queue.enqueue(std::slice::from_ref(&planned)).await.unwrap();

    let claimed = claim_one(&*queue).await;

    assert_eq!(claimed.task, planned.id);
    assert_eq!(claimed.dataset, "klines:1m");
    assert_eq!(claimed.bytes, 1 << 40);
    assert_eq!(claimed.spec, planned.spec);
    assert_eq!(claimed.deadline_in, LEASE);
}

/// While its lease runs, nobody else gets it.
pub async fn a_claimed_task_is_not_claimed_twice(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    claim_one(&*queue).await;
    clock.advance(LEASE + TICK);

    let second = claim(&*other, ALL).await;

    assert!(second.claims.is_empty(), "{second:?}");
}

/// Real concurrency, two clients.
pub async fn many_claimers_at_once_share_without_overlap(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks: Vec<_> = (0..300)
        .map(|number| task(&format!("task/{number:03}")))
        .collect();
    queue.enqueue(&tasks).await.unwrap();

    let mut claimers = Vec::new();
    for number in 0..8 {
        let queue = if number % 2 == 0 {
            queue.clone()
        } else {
            other.clone()
        };
        claimers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = claim(&*queue, 1 + number % 5).await;
                if claimed.claims.is_empty() {
                    return mine;
                }
                for claim in claimed.claims {
                    queue.complete(&claim.lease(), &output()).await.unwrap();
                    mine.push(claim.task);
                }
            }
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }

    assert_eq!(all.len(), 300);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 300);
    assert_eq!(
        queue.stats().await.unwrap().totals()[TaskState::Done.index()].tasks,
        300
    );
}

/// The answer to the first may have been lost.
pub async fn a_repeated_claim_returns_what_is_still_held(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("a", 3), ranked("b", 2), ranked("c", 1)])
        .await
        .unwrap();
    let worker = WorkerId::named("worker");
    let request = wanting(&worker, 2);
    let first = queue.claim(&request).await.unwrap();

    clock.advance(TICK);
    let again = queue.claim(&request).await.unwrap();
    queue
        .complete(&again.claims[0].lease(), &output())
        .await
        .unwrap();
    let after_one = queue.claim(&request).await.unwrap();
    queue
        .complete(&again.claims[1].lease(), &output())
        .await
        .unwrap();
    let after_both = queue.claim(&request).await.unwrap();

    let mut expected = first.clone();
    for claim in &mut expected.claims {
        claim.deadline_in -= TICK;
    }
    assert_eq!(again, expected);
    assert_eq!(claimed_ids(&after_one), ["b"]);
    assert_eq!(
        claimed_ids(&after_both),
        ["c"],
        "what is held no more is no answer"
    );
}

/// What is held is held, paused or not.
pub async fn a_repeated_claim_is_answered_while_paused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let worker = WorkerId::named("worker");
    let request = wanting(&worker, 1);
    let first = queue.claim(&request).await.unwrap();
    queue.pause(true).await.unwrap();

    let again = queue.claim(&request).await.unwrap();

    assert_eq!(again, first);
}

/// A request belongs to its worker.
pub async fn another_worker_does_not_get_the_answer_to_a_repeated_request(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let (mine, theirs) = (WorkerId::named("mine"), WorkerId::named("theirs"));
    let request = wanting(&mine, 1);
    queue.claim(&request).await.unwrap();

    let answer = queue
        .claim(&ClaimRequest {
            worker: &theirs,
            ..request
        })
        .await
        .unwrap();

    assert!(answer.claims.is_empty(), "{answer:?}");
}

/// A run works on its own selection first, in its own order.
pub async fn a_restricted_claim_follows_its_own_order(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks = [
        ranked("a", 9),
        ranked("b", 5),
        ranked("c", 7),
        ranked("d", 1),
    ];
    queue.enqueue(&tasks).await.unwrap();
    let worker = WorkerId::named("worker");
    let only = ids(&["d", "unknown", "d", "b", "c"]);
    let restricted = |limit| ClaimRequest {
        only: Some(&only),
        ..wanting(&worker, limit)
    };

    let first = queue.claim(&restricted(2)).await.unwrap();
    let second = queue.claim(&restricted(ALL)).await.unwrap();
    let third = queue.claim(&restricted(ALL)).await.unwrap();

    assert_eq!(claimed_ids(&first), ["d", "b"]);
    assert_eq!(claimed_ids(&second), ["c"]);
    assert_eq!((third.claims.len(), third.wait), (0, Wait::Empty));
    assert_eq!(state(&*queue, "a").await, Some(TaskState::Pending));
}

/// Others' tasks are no reason to come back.
pub async fn a_restricted_claim_waits_for_its_own_tasks_only(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("mine", 9), ranked("theirs", 1)])
        .await
        .unwrap();
    let delay = Duration::from_secs(30);
    queue
        .fail(&claim_one(&*queue).await.lease(), &again_after(delay))
        .await
        .unwrap();
    let worker = WorkerId::named("worker");
    let only = ids(&["mine"]);
    let restricted = || ClaimRequest {
        only: Some(&only),
        ..wanting(&worker, 1)
    };

    let early = queue.claim(&restricted()).await.unwrap();
    clock.advance(delay);
    let due = queue.claim(&restricted()).await.unwrap();

    assert_eq!(
        (early.claims.len(), early.wait),
        (0, Wait::NotBefore(delay))
    );
    assert_eq!(claimed_ids(&due), ["mine"]);
}

/// The earliest of them.
pub async fn a_claim_says_when_the_next_task_is_due(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("later", 9), ranked("sooner", 1)])
        .await
        .unwrap();
    for seconds in [50, 20] {
        let failure = again_after(Duration::from_secs(seconds));
        queue
            .fail(&claim_one(&*queue).await.lease(), &failure)
            .await
            .unwrap();
    }
    clock.advance(Duration::from_secs(5));

    let nothing = claim(&*queue, ALL).await;
    clock.advance(Duration::from_secs(15));
    let sooner = claim(&*queue, ALL).await;

    assert_eq!(nothing.wait, Wait::NotBefore(Duration::from_secs(15)));
    assert_eq!(claimed_ids(&sooner), ["sooner"]);
}

/// Empty means nothing pending; drained is for the caller to tell from the counts.
pub async fn an_empty_queue_says_so_even_while_tasks_are_leased(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let at_first = claim(&*queue, 1).await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let got = claim(&*queue, 1).await;

    let afterwards = claim(&*queue, 1).await;

    assert_eq!((at_first.claims.len(), at_first.wait), (0, Wait::Empty));
    assert_eq!((got.claims.len(), got.wait), (1, Wait::Ready));
    assert_eq!((afterwards.claims.len(), afterwards.wait), (0, Wait::Empty));
}

/// Callers pass windows.
pub async fn an_oversized_selection_is_refused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let worker = WorkerId::named("worker");
    let fits: Vec<_> = (0..MAX_ONLY)
        .map(|number| TaskId::new(format!("{number}")))
        .collect();
    let oversized = [fits.clone(), ids(&["one more"])].concat();

    let accepted = queue
        .claim(&ClaimRequest {
            only: Some(&fits),
            ..wanting(&worker, 1)
        })
        .await;
    let refused = queue
        .claim(&ClaimRequest {
            only: Some(&oversized),
            ..wanting(&worker, 1)
        })
        .await;

    assert_eq!(accepted.unwrap().wait, Wait::Empty);
    assert!(
        matches!(refused, Err(QueueError::TooLarge { .. })),
        "{refused:?}"
    );
}
