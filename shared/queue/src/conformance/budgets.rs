//! Trouble: what it costs, when it kills, and what is remembered of it.

use super::*;
use crate::limits::{MAX_HISTORY, MAX_MESSAGE_BYTES, MAX_REASON_BYTES};
use crate::{AttemptOutcome, Budgets, Expired, Reaped};

/// Claims the one task there is, and lets its lease run out.
async fn lose_one(queue: &dyn Queue, clock: &ManualClock) -> Reaped {
    claim_one(queue).await;
    clock.advance(LEASE);
    queue.reap(ALL).await.unwrap()
}

/// The tasks of what a reap returned, and of what it killed.
fn tasks_of(reaped: Reaped) -> (Vec<TaskId>, Vec<TaskId>) {
    let tasks = |leases: Vec<Expired>| leases.into_iter().map(|lease| lease.task).collect();
    assert!(!reaped.more);
    (tasks(reaped.returned), tasks(reaped.dead))
}

/// The last attempt of the budget is the last.
pub async fn failures_kill_a_task_when_their_budget_is_spent(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let budget = Budgets::default().attempts;

    for attempt in 1..budget {
        let held = claim_one(&*queue).await;
        assert_eq!(held.attempt, attempt);
        assert_eq!(
            queue.fail(&held.lease(), &hiccup()).await.unwrap(),
            TaskState::Pending
        );
    }
    let last = claim_one(&*queue).await;

    assert_eq!(
        queue.fail(&last.lease(), &hiccup()).await.unwrap(),
        TaskState::Dead
    );
    let dead = record(&*queue, "a").await;
    assert_eq!(
        (dead.state, dead.attempts, dead.expiries),
        (TaskState::Dead, budget, 0)
    );
    assert_eq!(dead.reason.as_deref(), Some("network"));
    assert_eq!(dead.history.len(), budget as usize);
}

/// A poison task that takes its process down ends as `lost`.
pub async fn expiries_kill_a_task_when_their_budget_is_spent(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let budget = Budgets::default().expiries;

    for _ in 1..budget {
        let reaped = lose_one(&*queue, &clock).await;
        assert_eq!(tasks_of(reaped), (ids(&["a"]), Vec::new()));
    }
    let last = lose_one(&*queue, &clock).await;

    assert_eq!(tasks_of(last), (Vec::new(), ids(&["a"])));
    let dead = record(&*queue, "a").await;
    assert_eq!(
        (dead.state, dead.attempts, dead.expiries),
        (TaskState::Dead, 0, budget)
    );
    assert_eq!(dead.reason.as_deref(), Some("lost"));
    assert!(
        dead.history
            .iter()
            .all(|attempt| attempt.outcome == AttemptOutcome::Expired)
    );
}

/// A crash costs no attempt, a failure no expiry.
pub async fn failures_and_expiries_do_not_share_a_budget(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let Budgets { attempts, expiries } = Budgets::default();

    for _ in 1..expiries {
        lose_one(&*queue, &clock).await;
    }
    for attempt in 1..attempts {
        let held = claim_one(&*queue).await;
        assert_eq!(held.attempt, attempt);
        queue.fail(&held.lease(), &hiccup()).await.unwrap();
    }

    let alive = record(&*queue, "a").await;
    assert_eq!(alive.state, TaskState::Pending);
    assert_eq!(
        (alive.attempts, alive.expiries),
        (attempts - 1, expiries - 1)
    );
}

/// No other attempt would end otherwise.
pub async fn a_final_failure_kills_at_once(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let failure = Failure {
        retry: Retry::Final,
        reason: "corrupt".into(),
        ..hiccup()
    };

    let state = queue
        .fail(&claim_one(&*queue).await.lease(), &failure)
        .await
        .unwrap();

    assert_eq!(state, TaskState::Dead);
    let dead = record(&*queue, "a").await;
    assert_eq!(dead.reason.as_deref(), Some("corrupt"));
    assert_eq!(dead.message.as_deref(), Some("the connection was cut"));
    assert_eq!(dead.attempts, 1);
}

/// And not a moment longer.
pub async fn a_failed_task_waits_before_it_is_claimed_again(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let delay = Duration::from_secs(30);
    queue
        .fail(&claim_one(&*queue).await.lease(), &again_after(delay))
        .await
        .unwrap();
    assert!(record(&*queue, "a").await.not_before_ms.is_some());
    clock.advance(delay - TICK);

    let early = claim(&*queue, 1).await;
    clock.advance(TICK);
    let due = claim(&*queue, 1).await;

    assert!(early.claims.is_empty(), "{early:?}");
    assert_eq!(claimed_ids(&due), ["a"]);
    assert_eq!(record(&*queue, "a").await.not_before_ms, None);
}

/// A drained worker does no harm, however often.
pub async fn releasing_costs_no_attempt_and_leaves_no_history(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();

    for _ in 0..10 {
        let held = claim_one(&*queue).await;
        assert_eq!(held.attempt, 1);
        queue.release(&held.lease()).await.unwrap();
    }

    let unharmed = record(&*queue, "a").await;
    assert_eq!(unharmed.state, TaskState::Pending);
    assert_eq!(
        (unharmed.attempts, unharmed.expiries, unharmed.generation),
        (0, 0, 10)
    );
    assert_eq!((unharmed.history.len(), unharmed.worker), (0, None));
}

/// It does not queue behind what it was ahead of.
pub async fn a_released_task_goes_back_to_the_head_of_its_order(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[task("a"), task("b"), task("c")])
        .await
        .unwrap();
    let first = claim_one(&*queue).await;

    queue.release(&first.lease()).await.unwrap();

    assert_eq!(claimed_ids(&claim(&*queue, ALL).await), ["a", "b", "c"]);
}

/// Any process may do it.
pub async fn an_expired_lease_returns_to_pending_only_when_reaped(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    claim_one(&*queue).await;
    clock.advance(LEASE - TICK);
    let early = other.reap(ALL).await.unwrap();
    clock.advance(TICK);
    assert_eq!(state(&*queue, "a").await, Some(TaskState::Leased));

    let reaped = other.reap(ALL).await.unwrap();
    let again = queue.reap(ALL).await.unwrap();

    assert_eq!(early, Reaped::default());
    assert_eq!(tasks_of(reaped), (ids(&["a"]), Vec::new()));
    assert_eq!(again, Reaped::default());
    assert_eq!(claim_one(&*queue).await.generation, 2);
}

/// A mass death is taken in steps.
pub async fn reaping_respects_its_limit_and_says_when_more_is_due(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&[task("a"), task("b"), task("c")])
        .await
        .unwrap();
    claim(&*queue, ALL).await;
    clock.advance(LEASE);

    let first = queue.reap(2).await.unwrap();
    let second = queue.reap(2).await.unwrap();

    assert_eq!((first.returned.len(), first.more), (2, true));
    assert_eq!((second.returned.len(), second.more), (1, false));
}

/// So that a log can name it.
pub async fn reaping_tells_whose_lease_ended(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let worker = WorkerId::named("silent");
    queue.claim(&wanting(&worker, 1)).await.unwrap();
    clock.advance(LEASE);

    let reaped = queue.reap(ALL).await.unwrap();

    let expired = Expired {
        task: "a".into(),
        generation: 1,
        worker: worker.as_str().to_owned(),
    };
    assert_eq!(reaped.returned, [expired]);
}

/// Enough to understand a dead task, and no more.
pub async fn history_keeps_troubled_attempts_in_order_and_bounded(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let rounds = MAX_HISTORY as u64 + 3;

    for round in 1..=rounds {
        let held = claim_one(&*queue).await;
        clock.advance(Duration::from_secs(2));
        let failure = Failure {
            message: format!("round {round}"),
            ..hiccup()
        };
        queue.fail(&held.lease(), &failure).await.unwrap();
        queue.retry(&ids(&["a"])).await.unwrap();
    }

    let history = record(&*queue, "a").await.history;
    let generations: Vec<_> = history.iter().map(|attempt| attempt.generation).collect();
    assert_eq!(
        generations,
        (rounds - MAX_HISTORY as u64 + 1..=rounds).collect::<Vec<_>>()
    );
    let last = history.last().unwrap();
    assert_eq!(
        (last.outcome, last.reason.as_str()),
        (AttemptOutcome::Failed, "network")
    );
    assert_eq!(last.message, format!("round {rounds}"));
    assert_eq!(last.ended_ms - last.started_ms, 2_000);
    assert!(last.worker.starts_with("worker-"), "{last:?}");
}

/// A task that made it is not shown as troubled.
pub async fn completing_clears_the_last_trouble_but_keeps_the_history(fixture: &impl Fixture) {
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
    assert_eq!(
        record(&*queue, "a").await.reason.as_deref(),
        Some("network")
    );

    queue
        .complete(&claim_one(&*queue).await.lease(), &output())
        .await
        .unwrap();

    let done = record(&*queue, "a").await;
    assert_eq!(
        (done.reason, done.message, done.history.len()),
        (None, None, 1)
    );
    assert_eq!(done.attempts, 2);
}

/// A failure report is never lost to its own length.
pub async fn long_failure_texts_are_cut_not_refused(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a")]).await.unwrap();
    let failure = Failure {
        reason: "é".repeat(1_000),
        message: "é".repeat(10_000),
        ..hiccup()
    };

    queue
        .fail(&claim_one(&*queue).await.lease(), &failure)
        .await
        .unwrap();

    let kept = record(&*queue, "a").await;
    assert_eq!(kept.reason.unwrap().len(), MAX_REASON_BYTES);
    assert_eq!(kept.message.unwrap().len(), MAX_MESSAGE_BYTES);
}
