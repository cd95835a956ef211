//! A queue that is lost is made again from what the output holds; the catalogue tells what that is.

#[path = "../../shared/lake/tests/support/gate.rs"]
mod gate;
#[path = "../../shared/lake/tests/support/moto.rs"]
mod moto;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use gate::{Gate, Rule};
use moto::Moto;
use serde_json::json;
use tapemill_archive::{DirSource, Hasher, SIDECAR_SUFFIX, Source, hex};
use tapemill_coordinator::{
    Asking, Catalogue, Enqueuer, PlanError, Planned, Rebuilt, Selection, Symbols, survey,
};
use tapemill_lake::{
    CatalogueRow, Footer, Lake, LakePath, Layout, Output, S3Settings, Source as Origin,
    TableOptions, TableWriter,
};
use tapemill_market::{ArchiveName, Data, DateRange, Market, Thresholds};
use tapemill_queue::{
    Budgets, ClaimRequest, Completion, Lease, Outcome, Queue, SqliteQueue, TaskId, TaskState,
    WorkerId, sqlite,
};

/// Three months of two kinds of data: six tasks, twelve files.
const MONTHS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];
const DATA: &str = "aggTrades,klines:1m";

/// A folder of archives that nobody opens: their names, sizes and checksums are enough here.
struct Lab {
    folder: tempfile::TempDir,
    queue: Arc<dyn Queue>,
    source: Arc<dyn Source>,
    output: Output,
}

impl Lab {
    fn new(lake: impl FnOnce(&Path) -> Lake) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        for name in names(&["BTCUSDT"]) {
            put_archive(&archive, &name);
        }
        let queue = SqliteQueue::open(
            folder.path().join("queue.db"),
            sqlite::Options {
                budgets: Budgets::default(),
                ..Default::default()
            },
        );
        Lab {
            queue: Arc::new(queue.unwrap()),
            source: Arc::new(DirSource::new(&archive).unwrap()),
            output: Output {
                lake: lake(&folder.path().join("out")),
                layout: Layout::Plain,
                thresholds: Thresholds::default(),
            },
            folder,
        }
    }

    fn local() -> Lab {
        Lab::new(|folder| Lake::local(folder))
    }

    fn selection(&self, symbols: Symbols) -> Selection {
        Selection {
            market: Market::Um,
            data: Data::parse_list(DATA).unwrap(),
            symbols,
            range: DateRange::parse(None, None, None, today()).unwrap(),
            priority: Vec::new(),
            today: today(),
        }
    }

    async fn plan(&self) -> Result<Planned, PlanError> {
        let selection = self.selection(Symbols::All);
        // Archives may have come since.
        let source: Arc<dyn Source> =
            Arc::new(DirSource::new(self.folder.path().join("archive")).unwrap());
        let found = survey(&source, &selection, Asking::Listing).await?;
        let enqueuer = Enqueuer {
            queue: self.queue.clone(),
            source: self.source.clone(),
            output: self.output.clone(),
            force: false,
        };
        enqueuer.enqueue(&selection, &found).await
    }

    async fn catalogue(&self) -> Vec<Rebuilt> {
        let (queue, output) = (&*self.queue, &self.output);
        let data = Data::parse_list(DATA).unwrap();
        let catalogue = Catalogue { queue, output };
        catalogue.rebuild(Market::Um, &data, None).await.unwrap()
    }

    /// Publishes what a worker would, of all archives.
    fn mill(&self, names: &[ArchiveName]) {
        for name in names {
            for table in name.data.tables() {
                put_table(&self.output, name, &table);
            }
        }
    }

    /// Plans, mills and completes everything, as workers would.
    async fn work(&self) {
        self.plan().await.unwrap();
        loop {
            let worker = WorkerId::named("test");
            let claimed = self
                .queue
                .claim(&ClaimRequest {
                    worker: &worker,
                    request: uuid::Uuid::new_v4(),
                    limit: 1,
                    lease: Duration::from_secs(60),
                    only: None,
                })
                .await
                .unwrap();
            let Some(claim) = claimed.claims.into_iter().next() else {
                return;
            };
            let name = ArchiveName::from_task_id(claim.task.as_str()).unwrap();
            self.mill(std::slice::from_ref(&name));
            let lease: Lease = claim.lease();
            let completion = Completion {
                outcome: Outcome::Done,
                summary: receipt(&self.output, &name),
                rows: 1,
                bytes: 1,
            };
            self.queue.complete(&lease, &completion).await.unwrap();
        }
    }
}

fn today() -> jiff::civil::Date {
    "2024-06-15".parse().unwrap()
}

fn names(symbols: &[&str]) -> Vec<ArchiveName> {
    let mut names = Vec::new();
    for data in DATA.split(',') {
        for symbol in symbols {
            for month in MONTHS {
                let id = format!("um/{data}/{symbol}/{month}");
                names.push(ArchiveName::from_task_id(&id).unwrap());
            }
        }
    }
    names
}

fn bytes_of(name: &ArchiveName) -> Vec<u8> {
    format!("the bytes of {}", name.key()).into_bytes()
}

fn sha256_of(name: &ArchiveName) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&bytes_of(name));
    hasher.finish()
}

fn put_archive(archive: &Path, name: &ArchiveName) {
    let file = archive.join(name.key());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes_of(name)).unwrap();
    let sidecar = format!("{}  {}\n", hex(&sha256_of(name)), name.file_name());
    fs::write(archive.join(name.key() + SIDECAR_SUFFIX), sidecar).unwrap();
}

fn put_table(output: &Output, name: &ArchiveName, table: &str) {
    let schema = Schema::new(vec![Field::new("minute", DataType::Int64, false)]);
    let place = output.place(name, table).unwrap();
    let options = TableOptions::bars(0);
    let mut writer = TableWriter::create(&output.lake, &place, &schema, &options).unwrap();
    let minutes: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_new(Arc::new(schema), vec![minutes]).unwrap();
    writer.write(&batch).unwrap();
    let footer = Footer {
        settings: output.settings_of(name.data),
        sources: vec![Origin {
            key: name.key(),
            bytes: bytes_of(name).len() as u64,
            sha256: hex(&sha256_of(name)),
            rows: 7,
        }],
        quality: json!({"verdict": "ok"}),
    };
    writer.finish(footer).unwrap().publish().unwrap();
}

fn size(output: &Output, name: &ArchiveName, table: &str) -> u64 {
    let place = output.place(name, table).unwrap();
    output.lake.size(&place).unwrap().unwrap()
}

fn receipt(output: &Output, name: &ArchiveName) -> String {
    let tables = name.data.tables();
    tapemill_lake::Receipt {
        verdict: "ok".to_owned(),
        bytes: bytes_of(name).len() as u64,
        rows: 7,
        sha256: sha256_of(name),
        files: tables
            .iter()
            .map(|table| size(output, name, table))
            .collect(),
    }
    .to_string()
}

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
async fn a_receipt_of_another_release_is_not_current() {
    let lab = Lab::local();
    lab.plan().await.unwrap();
    let tasks = lab.queue.list(&Default::default(), None, 10).await.unwrap();
    assert!(tasks.tasks.iter().all(|task| task.spec.is_empty()));
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

fn rows(lab: &Lab, dataset: &str) -> Vec<CatalogueRow> {
    let rows = lab.output.lake.catalogue(dataset, Market::Um).unwrap();
    rows.expect("there is a catalogue")
}

fn catalogue_bytes(lab: &Lab) -> Vec<u8> {
    let place = LakePath::parse("_catalogue/aggtrades_1m/um.parquet").unwrap();
    lab.output.lake.read(&place).unwrap().to_vec()
}

#[tokio::test]
async fn the_catalogue_tells_what_there_is_and_is_the_same_from_queue_and_footers() {
    let lab = Lab::local();
    lab.plan().await.unwrap();
    let planned = lab.catalogue().await;
    assert_eq!(rows(&lab, "aggtrades_1m")[0].state, "pending");
    lab.work().await;

    let from_queue = lab.catalogue().await;
    let (told, bytes) = (rows(&lab, "aggtrades_1m"), catalogue_bytes(&lab));
    let again = lab.catalogue().await;
    lab.queue.clear().await.unwrap();
    let without_queue = lab.catalogue().await;
    fs::remove_dir_all(lab.folder.path().join("out/_catalogue")).unwrap();
    let from_footers = lab.catalogue().await;

    let costs = |rebuilt: &[Rebuilt]| -> Vec<(u64, u64, bool)> {
        let costs = rebuilt.iter();
        costs
            .map(|one| (one.rows, one.footers, one.is_new))
            .collect()
    };
    assert_eq!(costs(&planned), [(3, 0, true), (3, 0, true)]);
    assert_eq!(costs(&from_queue), [(3, 0, true), (3, 0, true)]);
    assert_eq!(costs(&again), [(3, 0, false), (3, 0, false)]);
    assert_eq!(costs(&without_queue), [(3, 0, false), (3, 0, false)]);
    assert_eq!(costs(&from_footers), [(3, 3, true), (3, 3, true)]);
    assert!(
        catalogue_bytes(&lab) == bytes,
        "the same state, the same bytes"
    );
    let first = &names(&["BTCUSDT"])[0];
    assert_eq!(
        told[0],
        CatalogueRow {
            symbol: "BTCUSDT".to_owned(),
            period: "2024-01".to_owned(),
            state: "done".to_owned(),
            bytes: Some(size(&lab.output, first, "aggtrades_1m")),
            sha256: Some(hex(&sha256_of(first))),
            rows: Some(7),
            verdict: Some("ok".to_owned()),
            key: first.key(),
        }
    );
}

#[tokio::test]
async fn only_new_files_cost_a_footer_and_only_the_symbols_asked_for_are_renewed() {
    let lab = Lab::local();
    let all = names(&["BTCUSDT", "ETHUSDT"]);
    let trades: Vec<ArchiveName> = all[..6].to_vec();
    lab.mill(&trades[..5]);
    lab.catalogue().await;
    lab.mill(&trades[5..]);
    let stray = lab.output.place(&trades[0], "aggtrades_1m").unwrap();
    lab.output.lake.remove(&stray).unwrap();

    let catalogue = Catalogue {
        queue: &*lab.queue,
        output: &lab.output,
    };
    let data = [Data::AggTrades];
    let one_symbol = [trades[5].symbol.clone()].into();
    let renewed = catalogue
        .rebuild(Market::Um, &data, Some(&one_symbol))
        .await
        .unwrap();
    let partly = rows(&lab, "aggtrades_1m").len();
    let whole = catalogue.rebuild(Market::Um, &data, None).await.unwrap();

    assert_eq!((renewed[0].rows, renewed[0].footers), (6, 1));
    assert_eq!(
        partly, 6,
        "the row of another symbol stays until it is asked for"
    );
    assert_eq!((whole[0].rows, whole[0].footers), (5, 0));
}
