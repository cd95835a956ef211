//! The fence: a stale holder is always refused and told, a late one that was not reaped is not.

use super::*;
use crate::{Beat, HeartbeatReply, HeartbeatRequest, Lease, LostReason, Progress, WorkerState};

/// A claim, and a later claim of the same task after the first was reaped.
async fn stale_and_live(fresh: &Fresh) -> (Claim, Claim) {
    let Fresh {
        queue,
        other,
        clock,
        ..
    } = fresh;
    queue.enqueue(&[task("a")]).await.unwrap();
    let stale = claim_one(&**queue).await;
    clock.advance(LEASE);
    assert_eq!(reap(&**other, ALL).await, ids(&["a"]));
    let live = claim_one(&**other).await;
    (stale, live)
}

async fn beat(queue: &dyn Queue, claims: &[&Claim]) -> HeartbeatReply {
    let beats: Vec<_> = claims
        .iter()
        .map(|claim| Beat::new(&claim.lease(), Progress::default()))
        .collect();
    let request = HeartbeatRequest {
        worker: &WorkerId::named("worker"),
        state: WorkerState::Busy,
        lease: LEASE,
        beats: &beats,
    };
    queue.heartbeat(&request).await.unwrap()
}

/// And the live holder is not disturbed by any of them.
pub async fn a_stale_holder_is_refused_by_every_call(fixture: &impl Fixture) {
    let fresh = fixture.fresh().await;
    let queue = &*fresh.queue;
    let (stale, live) = stale_and_live(&fresh).await;
    let before = record(queue, "a").await;

    assert_lost(queue.confirm(&stale.lease()).await, &stale);
    assert_lost(queue.complete(&stale.lease(), &output()).await, &stale);
    assert_lost(queue.fail(&stale.lease(), &hiccup()).await, &stale);
    assert_lost(queue.release(&stale.lease()).await, &stale);

    assert_eq!(record(queue, "a").await, before);
    queue.confirm(&live.lease()).await.unwrap();
    queue.complete(&live.lease(), &output()).await.unwrap();
    assert_lost(queue.complete(&stale.lease(), &output()).await, &stale);
}

/// Each lost lease with its reason; those still held are extended by the same call.
pub async fn a_stale_heartbeat_is_told_which_leases_are_lost(fixture: &impl Fixture) {
    let fresh = fixture.fresh().await;
    let (queue, clock) = (&*fresh.queue, &fresh.clock);
    let (stale, live) = stale_and_live(&fresh).await;
    queue.enqueue(&[task("b"), task("c")]).await.unwrap();
    let finished = claim_one(queue).await;
    let held = claim_one(queue).await;
    queue.complete(&finished.lease(), &output()).await.unwrap();
    clock.advance(LEASE - TICK);

    let reply = beat(queue, &[&stale, &finished, &held]).await;
    clock.advance(LEASE - TICK);
    let reaped = reap(queue, ALL).await;

    let lost = [
        (TaskId::from("a"), LostReason::Reclaimed),
        (TaskId::from("b"), LostReason::Finished),
    ];
    assert_eq!(reply.lost, lost);
    assert_eq!(
        reaped,
        [live.task],
        "the stale beat did not extend the live lease"
    );
    queue.confirm(&held.lease()).await.unwrap();
}

/// Nobody else has the task, so its work is welcome.
pub async fn a_late_holder_that_was_not_reaped_is_accepted(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let late = claim_one(&*queue).await;
    clock.advance(LEASE * 10);

    queue.confirm(&late.lease()).await.unwrap();
    queue.complete(&late.lease(), &output()).await.unwrap();

    let done = record(&*queue, "a").await;
    assert_eq!(
        (done.state, done.summary),
        (TaskState::Done, Some(output().summary))
    );
}

/// A pause of the process, and on it goes.
pub async fn a_late_heartbeat_that_was_not_reaped_extends_the_lease(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let late = claim_one(&*queue).await;
    clock.advance(LEASE * 10);

    let reply = beat(&*queue, &[&late]).await;
    clock.advance(LEASE - TICK);
    let reaped = queue.reap(ALL).await.unwrap();

    assert_eq!(reply.lost, []);
    assert_eq!(reaped, crate::Reaped::default());
}

/// Likewise.
pub async fn a_late_holder_may_still_release_or_fail(fixture: &impl Fixture) {
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
    let (first, second) = (claim_one(&*queue).await, claim_one(&*queue).await);
    clock.advance(LEASE * 10);

    queue.release(&first.lease()).await.unwrap();
    queue.fail(&second.lease(), &hiccup()).await.unwrap();

    assert_eq!(record(&*queue, "a").await.attempts, 0);
    assert_eq!(record(&*queue, "b").await.attempts, 1);
}

/// The answer to the first may have been lost; the first stands.
pub async fn completing_twice_with_one_lease_is_one_completion(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let held = claim_one(&*queue).await;
    queue.complete(&held.lease(), &output()).await.unwrap();
    let rate = queue.stats().await.unwrap().rows_per_second;

    let otherwise = Completion {
        outcome: Outcome::Missing,
        summary: "second".into(),
        ..output()
    };
    other.complete(&held.lease(), &otherwise).await.unwrap();

    let done = record(&*queue, "a").await;
    assert_eq!(
        (done.state, done.summary),
        (TaskState::Done, Some(output().summary))
    );
    assert_eq!(queue.stats().await.unwrap().rows_per_second, rate);
}

/// However it ended, the lease is over.
pub async fn a_lease_ends_with_its_task(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[
            ranked("done", 4),
            ranked("failed", 3),
            ranked("released", 2),
        ])
        .await
        .unwrap();
    let done = claim_one(&*queue).await;
    let failed = claim_one(&*queue).await;
    let released = claim_one(&*queue).await;
    queue.complete(&done.lease(), &output()).await.unwrap();
    queue.fail(&failed.lease(), &hiccup()).await.unwrap();
    queue.release(&released.lease()).await.unwrap();

    for ended in [&done, &failed, &released] {
        assert_lost(queue.confirm(&ended.lease()).await, ended);
        assert_lost(queue.release(&ended.lease()).await, ended);
        assert_lost(queue.fail(&ended.lease(), &hiccup()).await, ended);
    }
    assert_lost(queue.complete(&failed.lease(), &output()).await, &failed);
    assert_lost(
        queue.complete(&released.lease(), &output()).await,
        &released,
    );
}

/// Zero, the next one, and numbers no store can hold.
pub async fn a_made_up_generation_is_refused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("held", 2), ranked("pending", 1)])
        .await
        .unwrap();
    let held = claim_one(&*queue).await;
    let before = record(&*queue, "held").await;

    for generation in [0, 2, u64::MAX] {
        for id in ["held", "pending"] {
            let made_up = Claim {
                task: id.into(),
                generation,
                ..held.clone()
            };
            assert_lost(queue.confirm(&made_up.lease()).await, &made_up);
            assert_lost(queue.complete(&made_up.lease(), &output()).await, &made_up);
            assert_lost(queue.fail(&made_up.lease(), &hiccup()).await, &made_up);
            assert_lost(queue.release(&made_up.lease()).await, &made_up);
            assert_eq!(
                beat(&*queue, &[&made_up]).await.lost,
                [(TaskId::from(id), LostReason::Reclaimed)]
            );
        }
    }

    assert_eq!(record(&*queue, "held").await, before);
}

/// A store that lost its last second may give a generation out again; the request tells the two apart.
pub async fn a_lease_of_another_claim_is_refused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let held = claim_one(&*queue).await;
    let forgotten = Claim {
        request: Uuid::new_v4(),
        ..held.clone()
    };

    assert_lost(queue.confirm(&forgotten.lease()).await, &forgotten);
    assert_lost(queue.fail(&forgotten.lease(), &hiccup()).await, &forgotten);
    assert_lost(queue.release(&forgotten.lease()).await, &forgotten);
    let completed = queue.complete(&forgotten.lease(), &output()).await;
    assert_lost(completed, &forgotten);
    let lost = beat(&*queue, &[&forgotten]).await.lost;
    assert_eq!(lost, [(TaskId::from("a"), LostReason::Reclaimed)]);

    queue.complete(&held.lease(), &output()).await.unwrap();
    let repeated = queue.complete(&forgotten.lease(), &output()).await;
    assert_lost(repeated, &forgotten);
}

/// Nothing is made by asking for it.
pub async fn an_unknown_task_is_refused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let lease = Lease {
        task: "unknown".into(),
        generation: 1,
        request: Uuid::new_v4(),
    };

    let refused = queue.complete(&lease, &output()).await;

    assert!(
        matches!(refused, Err(QueueError::LeaseLost { .. })),
        "{refused:?}"
    );
    assert_eq!(state(&*queue, "unknown").await, None);
}

/// It neither extends the lease nor ends it.
pub async fn confirming_changes_nothing(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let held = claim_one(&*queue).await;
    clock.advance(LEASE - TICK);

    queue.confirm(&held.lease()).await.unwrap();
    clock.advance(TICK);

    assert_eq!(reap(&*other, ALL).await, ids(&["a"]));
    assert_lost(queue.confirm(&held.lease()).await, &held);
}
