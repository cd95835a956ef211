//! What becomes of a queue when its server is set wrongly, fills up, restarts or forgets.

use std::time::Duration;

use tapemill_queue::redis::{Credentials, Options};
use tapemill_queue::{
    Beat, Claim, ClaimRequest, Completion, HeartbeatRequest, LostReason, NewTask, Outcome,
    Progress, Queue, QueueError, RedisQueue, TaskState, Wait, WorkerId, WorkerState,
};
use tapemill_test_servers::{Aof, Keep, Redis, RedisCluster, RedisOptions, RedisSentinel};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

async fn try_open(server: &str) -> Result<RedisQueue, QueueError> {
    RedisQueue::open(&format!("{server}?queue=q"), Options::default()).await
}

async fn open(server: &str) -> RedisQueue {
    try_open(server).await.expect("the queue opens")
}

async fn claim(queue: &RedisQueue) -> Vec<Claim> {
    let request = ClaimRequest {
        worker: &WorkerId::named("worker"),
        request: Uuid::new_v4(),
        limit: 1,
        lease: LEASE,
        only: None,
    };
    queue
        .claim(&request)
        .await
        .expect("the claim is answered")
        .claims
}

async fn claim_one(queue: &RedisQueue) -> Claim {
    claim(queue).await.pop().expect("there is a task to claim")
}

fn output() -> Completion {
    Completion {
        outcome: Outcome::Done,
        // As long as what a worker brings back.
        summary: "ok 123456789 12345678 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFUBAgMEBQY 1234567 23456"
            .into(),
        rows: 12_345_678,
        bytes: 123_456_789,
    }
}

async fn lost(queue: &RedisQueue, claim: &Claim) -> Vec<LostReason> {
    let request = HeartbeatRequest {
        worker: &WorkerId::named("worker"),
        state: WorkerState::Busy,
        lease: LEASE,
        beats: &[Beat::new(&claim.lease(), Progress::default())],
    };
    let reply = queue
        .heartbeat(&request)
        .await
        .expect("the heartbeat is answered");
    reply.lost.into_iter().map(|(_, reason)| reason).collect()
}

#[track_caller]
fn assert_refused(result: Result<RedisQueue, QueueError>, words: &str) {
    match result.map(drop) {
        Err(error @ QueueError::Refused { .. }) => {
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.retryable(), "somebody may set it right");
        }
        other => panic!("the server was not refused: {other:?}"),
    }
}

/// Calls again until it succeeds: what a worker does while a store recovers.
async fn patiently<T>(mut call: impl AsyncFnMut() -> Result<T, QueueError>) -> T {
    for _ in 0..600 {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(error.retryable(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the store did not recover");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let redis = Redis::with(RedisOptions::new().password("right"));
    let server = format!("redis://127.0.0.1:{}", redis.port());

    assert_refused(try_open(&server).await, Credentials::PASSWORD);
    let wrong = try_open(&format!("redis://:mistaken@127.0.0.1:{}", redis.port())).await;
    let text = format!("{:?}", wrong.as_ref().err());
    assert_refused(wrong, Credentials::PASSWORD);

    assert!(!text.contains("mistaken"), "{text}");
    open(&redis.url()).await;
}

#[tokio::test]
async fn a_password_that_changes_meanwhile_is_told_and_healed_without_a_restart() {
    let redis = Redis::with(RedisOptions::new().password("right"));
    let queue = open(&redis.url()).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();

    redis.cli(&["CONFIG", "SET", "requirepass", "another"]);
    let as_admin =
        |words: &[&str]| redis.cli(&[&["--no-auth-warning", "--pass", "another"], words].concat());
    as_admin(&["CLIENT", "KILL", "TYPE", "normal"]);
    let told = queue.stats().await.expect_err("the password is another");
    as_admin(&["CONFIG", "SET", "requirepass", "right"]);

    assert!(matches!(told, QueueError::Refused { .. }), "{told:?}");
    assert_eq!(queue.stats().await.unwrap().totals()[0].tasks, 1);
}

#[tokio::test]
async fn a_user_who_may_touch_only_queues_is_enough() {
    let rules = "~tapemill:* &* +@all -@admin -@dangerous";
    let redis = Redis::with(
        RedisOptions::new()
            .password("admin")
            .user("worker", "pw", rules),
    );
    let queue = open(&redis.url()).await;

    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    queue
        .complete(&claim_one(&queue).await.lease(), &output())
        .await
        .unwrap();

    assert_eq!(queue.names().await.unwrap(), Vec::<String>::new());
    queue
        .fix_settings(&[("codec".to_owned(), "1".to_owned())].into())
        .await
        .unwrap();
    assert_eq!(queue.names().await.unwrap(), ["q"]);
}

#[tokio::test]
async fn a_user_of_one_queue_is_enough_for_it() {
    let rules = "~tapemill:{q}:* &* +@all -@admin -@dangerous";
    let redis = Redis::with(
        RedisOptions::new()
            .password("admin")
            .user("worker", "pw", rules),
    );
    let queue = open(&redis.url()).await;

    let settings = [("codec".to_owned(), "1".to_owned())].into();
    queue.fix_settings(&settings).await.unwrap();
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    queue.clear().await.unwrap();
}

#[tokio::test]
async fn a_replica_is_refused() {
    let primary = Redis::start();
    let replica = Redis::with(RedisOptions::new().replica_of(&primary));

    assert_refused(
        try_open(&replica.url()).await,
        "it is a replica; name the primary",
    );
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_told() {
    let (primary, other) = (Redis::start(), Redis::start());
    let queue = open(&primary.url()).await;

    primary.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    let refused = queue.pause(true).await;
    primary.cli(&["REPLICAOF", "NO", "ONE"]);
    patiently(async || queue.pause(true).await).await;

    assert!(
        matches!(refused, Err(QueueError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let evicts = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = Redis::with(RedisOptions::new().args(evicts));

    assert_refused(
        try_open(&redis.url()).await,
        "set maxmemory-policy noeviction",
    );
}

#[tokio::test]
async fn a_queue_of_a_newer_release_is_refused() {
    let redis = Redis::start();
    redis.cli(&["HSET", "tapemill:{q}:meta", "schema", "99"]);

    let refused = try_open(&redis.url()).await.map(drop);

    assert!(
        matches!(refused, Err(QueueError::NewerSchema { found: 99, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_full_server_refuses_plans_but_costs_nobody_a_lease_or_a_result() {
    let redis = Redis::with(RedisOptions::new().max_memory("8mb"));
    let queue = open(&redis.url()).await;
    queue
        .enqueue(&[
            NewTask::new("a", "d"),
            NewTask::new("b", "d"),
            NewTask::new("c", "d"),
            NewTask::new("e", "d"),
        ])
        .await
        .unwrap();
    let (finished, given_back) = (claim_one(&queue).await, claim_one(&queue).await);
    let followed = claim_one(&queue).await;

    let mut planned = 0;
    let refused = loop {
        let task = |number| NewTask {
            spec: "x".repeat(4_000),
            rank: -1,
            ..NewTask::new(format!("filler/{number}"), "d")
        };
        let tasks: Vec<_> = (planned..planned + 50).map(task).collect();
        match queue.enqueue(&tasks).await {
            Ok(enqueued) => planned += enqueued.created,
            Err(error) => break error,
        }
        assert!(planned < 10_000, "it never filled up");
    };
    assert!(matches!(refused, QueueError::Refused { .. }), "{refused:?}");
    assert!(
        refused.to_string().contains("raise its maxmemory"),
        "{refused}"
    );
    // Not even a small call fits from here on.
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let all = ClaimRequest {
        worker: &WorkerId::named("worker"),
        request: Uuid::new_v4(),
        limit: 1_000,
        lease: LEASE,
        only: None,
    };
    let claimed = queue.claim(&all).await;
    assert!(
        matches!(claimed, Err(QueueError::Refused { .. })),
        "{claimed:?}"
    );
    assert_eq!(lost(&queue, &finished).await, []);
    queue.complete(&finished.lease(), &output()).await.unwrap();
    queue.release(&given_back.lease()).await.unwrap();
    let one = ClaimRequest {
        request: Uuid::new_v4(),
        limit: 1,
        ..all
    };
    let answer = queue
        .complete_and_claim(&followed.lease(), &output(), &one)
        .await
        .unwrap();
    assert!(answer.accepted);
    assert_eq!(
        (answer.claimed.claims, answer.claimed.wait),
        (vec![], Wait::Ready)
    );
    let totals = queue
        .stats()
        .await
        .unwrap()
        .totals()
        .map(|count| count.tasks);
    assert_eq!(totals, [planned + 2, 0, 2, 0, 0]);

    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    queue.enqueue(&[NewTask::new("later", "d")]).await.unwrap();
}

#[tokio::test]
async fn lost_scripts_and_killed_connections_are_not_even_noticed() {
    let redis = Redis::start();
    let queue = open(&redis.url()).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();

    redis.cli(&["SCRIPT", "FLUSH"]);
    let held = claim_one(&queue).await;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);

    queue.complete(&held.lease(), &output()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_restarts_goes_on_where_it_was() {
    let redis = Redis::with(RedisOptions::new().aof(Aof::Always));
    let queue = open(&redis.url()).await;
    queue
        .enqueue(&[NewTask::new("a", "d"), NewTask::new("b", "d")])
        .await
        .unwrap();
    let (done, held) = (claim_one(&queue).await, claim_one(&queue).await);
    queue.complete(&done.lease(), &output()).await.unwrap();

    redis.kill9();
    let down = queue.confirm(&held.lease()).await;
    redis.restart(Keep::Data);

    assert!(
        matches!(down, Err(QueueError::Unavailable { .. })),
        "{down:?}"
    );
    patiently(async || queue.confirm(&held.lease()).await).await;
    queue.complete(&done.lease(), &output()).await.unwrap();
    queue.complete(&held.lease(), &output()).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().completions, 2);
}

#[tokio::test]
async fn a_lease_that_a_restarted_server_forgot_is_refused_though_its_generation_comes_again() {
    let redis = Redis::start();
    let queue = open(&redis.url()).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    redis.cli(&["SAVE"]);
    let forgotten = claim_one(&queue).await;

    redis.restart(Keep::Data);
    let live = patiently(async || {
        queue.states(&["a".into()]).await.map(drop)?;
        Ok(claim_one(&queue).await)
    })
    .await;

    assert_eq!(forgotten.generation, live.generation);
    assert_eq!(lost(&queue, &forgotten).await, [LostReason::Reclaimed]);
    let refused = queue.complete(&forgotten.lease(), &output()).await;
    assert!(
        matches!(refused, Err(QueueError::LeaseLost { .. })),
        "{refused:?}"
    );
    queue.complete(&live.lease(), &output()).await.unwrap();
    let refused = queue.complete(&forgotten.lease(), &output()).await;
    assert!(
        matches!(refused, Err(QueueError::LeaseLost { .. })),
        "{refused:?}"
    );
    assert_eq!(queue.stats().await.unwrap().completions, 1);
}

#[tokio::test]
async fn a_server_that_restarts_empty_refuses_old_leases_and_takes_a_new_plan() {
    let redis = Redis::start();
    let queue = open(&redis.url()).await;
    let settings = [("codec".to_owned(), "1".to_owned())].into();
    queue.fix_settings(&settings).await.unwrap();
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    let old = claim_one(&queue).await;

    redis.restart(Keep::Nothing);

    let found = patiently(async || queue.settings().await).await;
    assert_eq!(found, None);
    assert_eq!(lost(&queue, &old).await, [LostReason::Cancelled]);
    queue.fix_settings(&settings).await.unwrap();
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    let refused = queue.complete(&old.lease(), &output()).await;
    assert!(
        matches!(refused, Err(QueueError::LeaseLost { .. })),
        "{refused:?}"
    );
    queue
        .complete(&claim_one(&queue).await.lease(), &output())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_ends_calls_and_is_found_again_when_it_goes_on() {
    let redis = Redis::start();
    let queue = open(&redis.url()).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();

    redis.stop();
    let hung = queue.states(&["a".into()]).await;
    redis.cont();

    assert!(
        matches!(hung, Err(QueueError::Unavailable { .. })),
        "{hung:?}"
    );
    let states = patiently(async || queue.states(&["a".into()]).await).await;
    assert_eq!(states, [Some(TaskState::Pending)]);
}

#[tokio::test]
async fn sentinels_lead_to_the_new_primary() {
    let sentinel = RedisSentinel::start();
    let hosts: Vec<_> = sentinel
        .sentinels()
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port()))
        .collect();
    let queue = open(&format!("redis://{}", hosts.join(","))).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    let held = claim_one(&queue).await;

    let primary = sentinel.primary();
    primary.until_replicated();
    primary.kill9();

    patiently(async || queue.complete(&held.lease(), &output()).await).await;
    assert_eq!(queue.stats().await.unwrap().completions, 1);
}

#[tokio::test]
async fn a_cluster_goes_on_with_the_replica_of_a_lost_node() {
    let cluster = RedisCluster::with(RedisOptions::new(), 1);
    let queue = open(&cluster.urls()[0]).await;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    let held = claim_one(&queue).await;

    let owner = cluster.owner("tapemill:{q}:meta");
    owner.until_replicated();
    owner.kill9();

    patiently(async || queue.complete(&held.lease(), &output()).await).await;
    assert_eq!(queue.stats().await.unwrap().completions, 1);
}

#[tokio::test]
async fn a_task_takes_at_most_three_hundred_bytes_in_any_state() {
    const TASKS: u64 = 20_000;
    let redis = Redis::start();
    let queue = open(&redis.url()).await;
    let used = || redis.info("used_memory").unwrap().parse::<u64>().unwrap();
    let empty = used();

    let task = |number: u64| NewTask {
        bytes: 123_456_789,
        rank: 19_000 - (number % 84) as i64 * 30,
        ..NewTask::new(
            format!(
                "um/aggTrades/SYM{:05}USDT/20{:02}-{:02}",
                number / 84,
                17 + number % 84 / 12,
                1 + number % 12
            ),
            "aggTrades",
        )
    };
    let tasks: Vec<_> = (0..TASKS).map(task).collect();
    assert_eq!(queue.enqueue(&tasks).await.unwrap().created, TASKS);
    let pending = (used() - empty) / TASKS;
    loop {
        let request = ClaimRequest {
            worker: &WorkerId::named("worker"),
            request: Uuid::new_v4(),
            limit: 100,
            lease: LEASE,
            only: None,
        };
        let claims = queue.claim(&request).await.unwrap().claims;
        if claims.is_empty() {
            break;
        }
        let output = output();
        let leases: Vec<_> = claims.iter().map(Claim::lease).collect();
        let completions = leases.iter().map(|lease| queue.complete(lease, &output));
        for completed in futures::future::join_all(completions).await {
            completed.unwrap();
        }
    }
    let finished = (used() - empty) / TASKS;

    assert!(
        pending <= 300 && finished <= 300,
        "{pending} pending, {finished} finished"
    );
}
