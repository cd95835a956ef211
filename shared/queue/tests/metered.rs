//! What a meter sees of a real queue.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use tapemill_queue::{
    ClaimRequest, Completion, ManualClock, Meter, NewTask, Outcome, Queue, QueueError, SqliteQueue,
    WorkerId, sqlite,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

struct Measured {
    queue: Arc<dyn Queue>,
    clock: ManualClock,
    meter: Meter,
    registry: Registry,
    _folder: tempfile::TempDir,
}

fn measured() -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_700_000_000_000);
    let options = sqlite::Options {
        clock: Arc::new(clock.clone()),
        ..Default::default()
    };
    let queue = SqliteQueue::open(folder.path().join("queue.db"), options).unwrap();
    let registry = Registry::new();
    let meter = Meter::register(&registry).unwrap();
    Measured {
        queue: meter.measure(Arc::new(queue)),
        clock,
        meter,
        registry,
        _folder: folder,
    }
}

impl Measured {
    fn value(&self, series: &str) -> f64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        let text = text.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
            .trim()
            .parse()
            .unwrap()
    }
}

#[tokio::test]
async fn counters_begin_at_zero_and_count_lost_leases_and_expiries() {
    let measured = measured();
    let stale = |op| format!("tapemill_stale_calls_rejected_total{{op=\"{op}\"}}");
    for op in ["heartbeat", "confirm", "complete", "fail", "release"] {
        assert_eq!(measured.value(&stale(op)), 0.0);
    }
    assert_eq!(measured.value("tapemill_lease_expirations_total"), 0.0);
    let queue = &measured.queue;
    queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
    let worker = WorkerId::named("w");
    let request = ClaimRequest {
        worker: &worker,
        request: Uuid::new_v4(),
        limit: 1,
        lease: LEASE,
        only: None,
    };
    let lease = queue.claim(&request).await.unwrap().claims[0].lease();

    measured.clock.advance(2 * LEASE);
    queue.reap(10).await.unwrap();
    let completion = Completion {
        outcome: Outcome::Done,
        summary: String::new(),
        rows: 0,
        bytes: 0,
    };
    let late = queue.complete(&lease, &completion).await;

    assert!(
        matches!(late, Err(QueueError::LeaseLost { .. })),
        "{late:?}"
    );
    assert_eq!(measured.value(&stale("complete")), 1.0);
    assert_eq!(measured.value("tapemill_lease_expirations_total"), 1.0);
    let calls = "tapemill_store_call_duration_seconds_count{op=\"complete\"}";
    assert_eq!(measured.value(calls), 1.0);
}

#[tokio::test]
async fn a_queue_is_ready_once_it_answered_and_until_it_fails() {
    let measured = measured();
    assert!(measured.meter.ready().is_err());

    measured.queue.stats().await.unwrap();
    assert_eq!(measured.meter.ready(), Ok(()));

    let gone = QueueError::Unavailable {
        queue: "q".into(),
        op: "claim tasks",
        source: "refused".into(),
    };
    measured.meter.failed(&gone);
    let why = measured.meter.ready().unwrap_err();
    assert!(why.contains("did not answer"), "{why}");

    measured.queue.stats().await.unwrap();
    assert_eq!(measured.meter.ready(), Ok(()));
}
