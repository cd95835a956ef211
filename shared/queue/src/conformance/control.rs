//! What people do to a queue, and what holders hear of it.

use std::collections::BTreeMap;

use super::*;
use crate::{AttemptOutcome, Beat, HeartbeatRequest, LostReason, Progress, Wait, WorkerState};

/// Dead ones become pending, waiting ones start now.
pub async fn retrying_gives_unfinished_tasks_fresh_budgets(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("dead", 2), ranked("waiting", 1)])
        .await
        .unwrap();
    let fatal = Failure {
        retry: Retry::Final,
        ..hiccup()
    };
    queue
        .fail(&claim_one(&*queue).await.lease(), &fatal)
        .await
        .unwrap();
    let later = again_after(Duration::from_secs(3_600));
    queue
        .fail(&claim_one(&*queue).await.lease(), &later)
        .await
        .unwrap();

    let retried = queue.retry(&ids(&["dead", "waiting"])).await.unwrap();

    assert_eq!(retried, 2);
    for id in ["dead", "waiting"] {
        let fresh = record(&*queue, id).await;
        assert_eq!(
            (fresh.state, fresh.attempts, fresh.expiries),
            (TaskState::Pending, 0, 0)
        );
        assert_eq!(
            (fresh.not_before_ms, fresh.history.len()),
            (None, 1),
            "{id}"
        );
    }
    let claimed = claim(&*queue, ALL).await;
    assert_eq!(claimed_ids(&claimed), ["dead", "waiting"]);
    assert!(
        claimed
            .claims
            .iter()
            .all(|claim| (claim.attempt, claim.generation) == (1, 2))
    );
}

/// The attempt that runs counts as the first.
pub async fn retrying_a_leased_task_keeps_its_lease(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    queue
        .fail(&claim_one(&*queue).await.lease(), &hiccup())
        .await
        .unwrap();
    let held = claim_one(&*queue).await;

    let retried = queue.retry(&ids(&["a"])).await.unwrap();

    assert_eq!(retried, 1);
    let leased = record(&*queue, "a").await;
    assert_eq!((leased.state, leased.attempts), (TaskState::Leased, 1));
    queue.complete(&held.lease(), &output()).await.unwrap();
}

/// There is nothing to retry about them.
pub async fn retrying_leaves_finished_and_unknown_tasks_alone(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("done")]).await.unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();

    let retried = queue.retry(&ids(&["done", "unknown"])).await.unwrap();

    assert_eq!(retried, 0);
    assert_eq!(state(&*queue, "done").await, Some(TaskState::Done));
    assert_eq!(state(&*queue, "unknown").await, None);
}

/// Finished ones keep their result.
pub async fn cancelling_kills_pending_and_leased_tasks(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[ranked("done", 3), ranked("leased", 2), ranked("pending", 1)])
        .await
        .unwrap();
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();
    claim_one(&*queue).await;
    let all = ids(&["done", "leased", "pending", "unknown"]);

    let first = queue.cancel(&all).await.unwrap();
    let second = queue.cancel(&all).await.unwrap();

    assert_eq!((first, second), (2, 0));
    let (leased, pending) = (
        record(&*queue, "leased").await,
        record(&*queue, "pending").await,
    );
    assert_eq!(leased.reason.as_deref(), Some("cancelled"));
    assert_eq!(pending.reason.as_deref(), Some("cancelled"));
    assert_eq!(
        (leased.state, pending.state),
        (TaskState::Dead, TaskState::Dead)
    );
    assert_eq!(leased.history[0].outcome, AttemptOutcome::Cancelled);
    assert!(pending.history.is_empty(), "no attempt was made");
    assert_eq!(state(&*queue, "done").await, Some(TaskState::Done));
}

/// Cancelled, until the task is somebody else's.
pub async fn the_holder_of_a_cancelled_task_hears_of_it(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let held = claim_one(&*queue).await;
    queue.cancel(&ids(&["a"])).await.unwrap();
    let worker = WorkerId::named("worker");
    let beats = [Beat::new(&held.lease(), Progress::default())];
    let heartbeat = HeartbeatRequest {
        worker: &worker,
        state: WorkerState::Busy,
        lease: LEASE,
        beats: &beats,
    };

    let cancelled = queue.heartbeat(&heartbeat).await.unwrap();
    queue.retry(&ids(&["a"])).await.unwrap();
    let live = claim_one(&*queue).await;
    let reclaimed = queue.heartbeat(&heartbeat).await.unwrap();

    assert_eq!(cancelled.lost, [(TaskId::from("a"), LostReason::Cancelled)]);
    assert_eq!(reclaimed.lost, [(TaskId::from("a"), LostReason::Reclaimed)]);
    assert_lost(queue.complete(&held.lease(), &output()).await, &held);
    queue.complete(&live.lease(), &output()).await.unwrap();
}

/// What is leased goes on.
pub async fn pausing_refuses_claims_until_resumed(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a"), task("b")]).await.unwrap();
    let held = claim_one(&*queue).await;
    other.pause(true).await.unwrap();

    let paused = claim(&*queue, ALL).await;
    queue.complete(&held.lease(), &output()).await.unwrap();
    let told = queue.stats().await.unwrap().paused;
    other.pause(false).await.unwrap();
    let resumed = claim(&*queue, ALL).await;

    assert_eq!((paused.claims.len(), paused.wait), (0, Wait::Paused));
    assert!(told);
    assert_eq!(claimed_ids(&resumed), ["b"]);
}

/// The longest word counts.
pub async fn a_brake_refuses_claims_and_is_never_shortened(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    queue.brake(Duration::from_secs(60)).await.unwrap();
    other.brake(Duration::from_secs(5)).await.unwrap();
    clock.advance(Duration::from_secs(20));

    let braked = claim(&*queue, 1).await;
    let told = queue.stats().await.unwrap().brake;
    clock.advance(Duration::from_secs(40));
    let free = claim(&*queue, 1).await;

    assert_eq!(
        (braked.claims.len(), braked.wait),
        (0, Wait::Braked(Duration::from_secs(40)))
    );
    assert_eq!(told, Some(Duration::from_secs(40)));
    assert_eq!(claimed_ids(&free), ["a"]);
    assert_eq!(queue.stats().await.unwrap().brake, None);
}

/// A worker that waits for nothing else hears it there.
pub async fn heartbeats_bring_back_pause_and_brake(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let worker = WorkerId::named("worker");
    let idle = HeartbeatRequest {
        worker: &worker,
        state: WorkerState::Idle,
        lease: LEASE,
        beats: &[],
    };

    let before = queue.heartbeat(&idle).await.unwrap();
    queue.pause(true).await.unwrap();
    queue.brake(Duration::from_secs(9)).await.unwrap();
    let after = queue.heartbeat(&idle).await.unwrap();

    assert_eq!((before.paused, before.brake), (false, None));
    assert_eq!(
        (after.paused, after.brake),
        (true, Some(Duration::from_secs(9)))
    );
}

/// Dead tasks are kept for people to look at.
pub async fn pruning_forgets_old_finished_tasks_only(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks = [
        ranked("dead", 9),
        ranked("done", 8),
        ranked("missing", 7),
        ranked("new", 6),
        task("left"),
    ];
    queue.enqueue(&tasks).await.unwrap();
    let fatal = Failure {
        retry: Retry::Final,
        ..hiccup()
    };
    queue
        .fail(&claim_one(&*queue).await.lease(), &fatal)
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
    clock.advance(Duration::from_secs(100));
    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();

    let pruned = queue.prune(Duration::from_secs(100)).await.unwrap();

    assert_eq!(pruned, 2);
    let left = queue
        .list(&crate::TaskFilter::default(), None, ALL)
        .await
        .unwrap()
        .tasks;
    let left: Vec<_> = left.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(left, ["dead", "left", "new"]);
    assert_eq!(queue.prune(Duration::ZERO).await.unwrap(), 1);
}

/// As if it had never been, but for the fence.
pub async fn clearing_deletes_everything_and_refuses_holders(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a"), task("b")]).await.unwrap();
    queue
        .fix_settings(&BTreeMap::from([("codec".into(), "1".into())]))
        .await
        .unwrap();
    let held = claim_one(&*queue).await;
    let worker = WorkerId::named("worker");
    let beats = [Beat::new(&held.lease(), Progress::default())];
    let heartbeat = HeartbeatRequest {
        worker: &worker,
        state: WorkerState::Busy,
        lease: LEASE,
        beats: &beats,
    };
    queue.heartbeat(&heartbeat).await.unwrap();
    queue.pause(true).await.unwrap();
    queue.brake(LEASE).await.unwrap();

    queue.clear().await.unwrap();

    let stats = queue.stats().await.unwrap();
    assert_eq!(
        (stats.paused, stats.brake, stats.datasets.len()),
        (false, None, 0)
    );
    assert_eq!(stats.oldest_lease_age, None);
    assert_eq!(queue.settings().await.unwrap(), None);
    assert_eq!(queue.workers().await.unwrap(), []);
    assert_lost(queue.complete(&held.lease(), &output()).await, &held);
}

/// Two processes set otherwise must not write into one output.
pub async fn settings_are_fixed_by_the_first_and_compared_for_the_rest(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let set = |whale: &str| {
        BTreeMap::from([
            ("codec".to_owned(), "1".to_owned()),
            ("whale".into(), whale.into()),
        ])
    };
    assert_eq!(queue.settings().await.unwrap(), None);

    queue.fix_settings(&set("50000")).await.unwrap();
    other.fix_settings(&set("50000")).await.unwrap();
    let refused = other.fix_settings(&set("60000")).await;

    match refused {
        Err(QueueError::Settings { name, theirs, ours }) => {
            assert_eq!((&*name, &*theirs, &*ours), ("whale", "50000", "60000"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(other.settings().await.unwrap(), Some(set("50000")));
}

/// Absent is a value too.
pub async fn a_setting_only_one_side_has_is_a_difference(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let set = |names: &[&str]| -> BTreeMap<String, String> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), "1".to_owned()))
            .collect()
    };
    queue
        .fix_settings(&set(&["codec", "layout"]))
        .await
        .unwrap();

    let fewer = queue.fix_settings(&set(&["codec"])).await;
    let more = queue
        .fix_settings(&set(&["codec", "layout", "whale"]))
        .await;

    assert!(matches!(fewer, Err(QueueError::Settings { name, .. }) if name == "layout"));
    assert!(matches!(more, Err(QueueError::Settings { name, .. }) if name == "whale"));
}
