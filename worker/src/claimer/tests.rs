use std::io;
use std::path::Path;

use tapemill_archive::{Brake, DirSource, RetryPolicy};
use tapemill_lake::{Lake, Layout, Output};
use tapemill_market::{Decimal, Thresholds};
use tapemill_queue::{ClaimRequest, NewTask, SqliteQueue, TaskId, TaskState, sqlite};
use tapemill_runtime::Stages;
use uuid::Uuid;

use super::*;

fn worker(folder: &Path, scope: Scope) -> Worker {
    let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    let queue = SqliteQueue::open(folder.join("queue.db"), sqlite::Options::default()).unwrap();
    let source = Arc::new(DirSource::new(folder).unwrap());
    let stages = Arc::new(Stages::new());
    let registry = prometheus::Registry::new();
    let metrics = WorkerMetrics::register(&registry, Arc::default(), stages.clone()).unwrap();
    let draining = CancellationToken::new();
    Worker {
        queue: Arc::new(queue),
        workshop: Workshop {
            source,
            brake: Arc::new(Brake::new()),
            policy: RetryPolicy::default(),
            rest: None,
            output: Output {
                lake: Lake::local(folder),
                layout: Layout::default(),
                thresholds: Thresholds {
                    whale_quote: decimal("50000"),
                    retail_quote: decimal("1000"),
                },
            },
            keep_zip: false,
            stages,
            cores: Arc::new(tokio::sync::Semaphore::new(2)),
        },
        id: WorkerId::named("w"),
        tasks: 4,
        lease: Duration::from_secs(60),
        grace: Duration::ZERO,
        scope,
        board: Arc::default(),
        metrics,
        health: Health::new(draining.clone(), || Ok(())),
        outages: Outages::of("the queue", "answers again"),
        draining,
    }
}

fn underway() -> Underway {
    let lease = tapemill_queue::Lease {
        task: TaskId::new("um/aggTrades/BTCUSDT/2024-01"),
        generation: 1,
        request: Uuid::nil(),
    };
    Underway {
        lease,
        dataset: "aggTrades".to_owned(),
        begun: Instant::now(),
    }
}

#[tokio::test]
async fn an_output_that_takes_nothing_holds_claims_and_then_one_task_finds_out() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(
        folder.path(),
        Scope::Selection(vec![TaskId::new("um/aggTrades/BTCUSDT/2024-01")]),
    );
    let mut work = worker.begin();
    let running = Running::default();
    assert_eq!(worker.free(&work, &running), 4);

    let refused = LakeError::io("write", Path::new("x"), io::Error::other("refused"));
    let outage = Ended::Told(Ok(Ending::Outage(refused)));
    worker.ended(&mut work, &underway(), outage).unwrap();
    assert_eq!(worker.free(&work, &running), 0);
    work.hold = Some(Instant::now());
    assert_eq!(worker.free(&work, &running), 1);

    let done = Ended::Told(Ok(Ending::Done { bytes: 1, rows: 1 }));
    worker.ended(&mut work, &underway(), done).unwrap();
    assert_eq!(worker.free(&work, &running), 4);
}

#[tokio::test]
async fn a_task_that_panicked_is_waited_for_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path(), Scope::Selection(Vec::new()));
    let id = underway().lease.task;
    let task = NewTask::new(id.as_str(), "aggTrades");
    worker.queue.enqueue(&[task]).await.unwrap();
    let mut work = worker.begin();

    let panicked = Ended::Panicked("index out of bounds".to_owned());
    worker.ended(&mut work, &underway(), panicked).unwrap();

    let finished = work.remaining.is_finished(&*worker.queue).await.unwrap();
    assert!(!finished);
}

#[tokio::test]
async fn what_a_task_claimed_in_its_last_call_is_handed_back_once_draining_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path(), Scope::Selection(Vec::new()));
    let id = underway().lease.task;
    let task = NewTask::new(id.as_str(), "aggTrades");
    worker.queue.enqueue(&[task]).await.unwrap();
    let request = ClaimRequest {
        worker: &worker.id,
        request: Uuid::new_v4(),
        limit: 1,
        lease: worker.lease,
        only: None,
    };
    let claimed = worker.queue.claim(&request).await.unwrap();
    let mut work = worker.begin();
    work.next.answered(claimed.claims);

    let mut running = Running::default();
    let leases = Leases::default();
    let drained = worker.drain(&mut work, &leases, &mut running, false).await;

    drained.unwrap();
    let states = worker.queue.states(&[id]).await.unwrap();
    assert_eq!(states, [Some(TaskState::Pending)]);
    assert_eq!(work.next.take(), []);
}
