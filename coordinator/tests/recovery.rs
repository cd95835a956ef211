//! A queue that is lost is made again from what the output holds.

#[path = "../../shared/lake/tests/support/gate.rs"]
mod gate;
mod lab;
#[path = "../../shared/lake/tests/support/moto.rs"]
mod moto;

use std::fs;
use std::time::Duration;

use gate::{Gate, Rule};
use lab::{Lab, names, put_archive, receipt};
use moto::Moto;
use tapemill_coordinator::PlanError;
use tapemill_lake::{Lake, S3Settings};
use tapemill_market::ArchiveName;
use tapemill_queue::{TaskId, TaskState};

/// A lost queue comes back whole, one missing file is one task, and a known output costs no footer.
async fn a_lost_queue_comes_back(lab: &Lab) {
    lab.work().await;
    let all = lab.queue.stats().await.unwrap().totals();
    assert_eq!(all[TaskState::Done.index()].tasks, 6);

    lab.queue.clear().await.unwrap();
    let again = lab.plan().await.unwrap();
    let settled = lab.plan().await.unwrap();
    lab.queue.clear().await.unwrap();
    let gone = &names(&["BTCUSDT"])[1];
    let factors = lab.output.place(gone, "factors_1h").unwrap();
    assert!(lab.output.lake.remove(&factors).unwrap());
    let without_one = lab.plan().await.unwrap();

    assert_eq!((again.enqueued.created, again.enqueued.adopted), (0, 6));
    assert_eq!((again.finished, again.footers), (6, 12));
    assert_eq!((settled.finished, settled.footers), (6, 0));
    let enqueued = without_one.enqueued;
    assert_eq!((enqueued.created, enqueued.adopted), (1, 5));
    assert_eq!(without_one.footers, 10);
    let task = TaskId::new(gone.task_id());
    let states = lab.queue.states(&[task]).await.unwrap();
    assert_eq!(states, [Some(TaskState::Pending)]);
}

#[tokio::test]
async fn a_lost_queue_comes_back_from_a_folder() {
    a_lost_queue_comes_back(&Lab::local()).await;
}

#[tokio::test]
async fn a_lost_queue_comes_back_from_a_bucket() {
    let moto = Moto::start();

    a_lost_queue_comes_back(&Lab::new(|_| moto::lake(&moto.address, "research"))).await;
}

#[tokio::test]
async fn planning_over_a_bucket_lists_each_table_once_and_looks_at_no_file_by_itself() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let lab = Lab::new(|_| moto::lake(&gate.address, "research"));
    lab.work().await;
    gate.seen();

    lab.plan().await.unwrap();
    let known = gate.seen();
    lab.queue.clear().await.unwrap();
    lab.plan().await.unwrap();
    let unknown = gate.seen();

    let listings = |seen: &[String]| {
        let listings = seen.iter().filter(|line| line.contains("list-type=2"));
        listings.count()
    };
    assert_eq!((known.len(), listings(&known)), (4, 4), "{known:?}");
    assert_eq!(listings(&unknown), 4);
    assert_eq!(
        unknown.len(),
        4 + 12,
        "a footer is one request: {unknown:?}"
    );
    assert!(unknown.iter().all(|line| line.starts_with("GET ")));
}

#[tokio::test]
async fn many_symbols_are_listed_by_market() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let lab = Lab::new(|_| moto::lake(&gate.address, "research"));
    let symbols: Vec<String> = (0..20).map(|at| format!("S{at:02}USDT")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let names = names(&symbols);
    for name in &names {
        put_archive(&lab.folder.path().join("archive"), name);
    }
    lab.mill(&names[..3]);
    gate.seen();

    let planned = lab.plan().await.unwrap();

    let seen = gate.seen();
    assert_eq!(planned.enqueued.adopted, 3);
    assert_eq!(planned.enqueued.created, 6 + 120 - 3);
    assert_eq!(seen.len(), 4 + 6, "{seen:?}");
}

#[tokio::test]
async fn an_archive_that_changed_is_milled_again_whether_the_queue_knows_its_output_or_not() {
    let lab = Lab::local();
    lab.work().await;
    let changed = &names(&["BTCUSDT"])[0];
    let archive = lab.folder.path().join("archive").join(changed.key());
    fs::write(archive, "other bytes").unwrap();

    let known = lab.plan().await.unwrap().enqueued;
    lab.queue.clear().await.unwrap();
    let unknown = lab.plan().await.unwrap().enqueued;

    assert_eq!((known.reopened, known.created), (1, 0));
    assert_eq!((unknown.created, unknown.adopted), (1, 5));
}

#[tokio::test]
async fn only_a_month_that_replaces_days_says_more_than_its_name() {
    let lab = Lab::local();
    let day = ArchiveName::from_task_id("um/aggTrades/BTCUSDT/2024-02-29").unwrap();
    lab.mill(&[day]);

    lab.plan().await.unwrap();

    let tasks = lab.queue.list(&Default::default(), None, 10).await.unwrap();
    let mut specs = tasks.tasks.iter().filter(|task| !task.spec.is_empty());
    let days = specs.next().unwrap();
    assert_eq!(days.id.as_str(), "um/aggTrades/BTCUSDT/2024-02");
    assert_eq!((days.spec.as_str(), specs.count()), ("days", 0));
}

#[tokio::test]
async fn an_adopted_output_has_the_receipt_that_a_worker_would_give() {
    let lab = Lab::local();
    lab.work().await;
    lab.queue.clear().await.unwrap();
    lab.plan().await.unwrap();
    let known = names(&["BTCUSDT"]);
    let records = lab
        .queue
        .get(&[TaskId::new(known[0].task_id())])
        .await
        .unwrap();
    let summary = records[0].as_ref().unwrap().summary.as_deref().unwrap();

    assert_eq!(summary, receipt(&lab.output, &known[0]));
    assert!(summary.len() < 100, "{summary}");
}

#[tokio::test]
async fn a_store_that_refuses_stops_a_plan_before_anything_is_enqueued() {
    let moto = Moto::start();
    let gate = Gate::before(&moto.address);
    let settings = S3Settings {
        patience: Duration::from_millis(100),
        ..moto::settings(&gate.address)
    };
    let lab = Lab::new(|_| Lake::s3("s3://tape", &settings).unwrap());
    gate.rule(|_| Rule::Answer(403, "AccessDenied"));

    let refused = lab.plan().await.unwrap_err();

    assert!(
        matches!(&refused, PlanError::Lake(error) if error.is_outage()),
        "{refused:?}"
    );
    let tasks = lab.queue.list(&Default::default(), None, 10).await.unwrap();
    assert_eq!(tasks.tasks.len(), 0);
    gate.rule(|_| Rule::Pass);
    assert_eq!(lab.plan().await.unwrap().enqueued.created, 6);
}

#[tokio::test]
async fn days_that_a_published_month_replaces_are_removed_by_the_next_plan() {
    let moto = Moto::start();
    for lab in [
        Lab::local(),
        Lab::new(|_| moto::lake(&moto.address, "research")),
    ] {
        lab.work().await;
        let day = |id: &str| ArchiveName::from_task_id(id).unwrap();
        let replaced = day("um/aggTrades/BTCUSDT/2024-01-17");
        let alone = day("um/aggTrades/BTCUSDT/2024-04-01");
        lab.mill(&[replaced.clone(), alone.clone()]);

        lab.plan().await.unwrap();

        let there = |name: &ArchiveName| {
            let place = lab.output.place(name, "factors_1h").unwrap();
            lab.output.lake.size(&place).unwrap().is_some()
        };
        assert!(!there(&replaced) && there(&alone));
    }
}
