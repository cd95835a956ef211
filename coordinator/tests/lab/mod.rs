//! An archive, a queue and an output, and what planners and workers do with them.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde_json::json;
use tapemill_archive::{DirSource, Hasher, SIDECAR_SUFFIX, Source, hex};
use tapemill_coordinator::{
    Asking, Catalogue, Enqueuer, PlanError, Planned, Rebuilt, RestUse, Selection, Symbols, survey,
};
use tapemill_lake::{
    Footer, Lake, Layout, Output, Receipt, Source as Origin, TableOptions, TableWriter,
};
use tapemill_market::{ArchiveName, Data, DateRange, Market, Thresholds};
use tapemill_queue::{
    Budgets, ClaimRequest, Completion, Lease, Outcome, Queue, SqliteQueue, WorkerId, sqlite,
};

/// Three months of two kinds of data: six tasks, twelve files.
pub const MONTHS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];
pub const DATA: &str = "aggTrades,klines:1m";

/// A folder of archives that nobody opens: their names, sizes and checksums are enough here.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub queue: Arc<dyn Queue>,
    pub source: Arc<dyn Source>,
    pub output: Output,
}

impl Lab {
    pub fn new(lake: impl FnOnce(&Path) -> Lake) -> Lab {
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

    pub fn local() -> Lab {
        Lab::new(|folder| Lake::local(folder))
    }

    pub fn selection(&self, symbols: Symbols) -> Selection {
        Selection {
            market: Market::Um,
            data: Data::parse_list(DATA).unwrap(),
            symbols,
            min_volume: None,
            range: DateRange::parse(None, None, None, today()).unwrap(),
            priority: Vec::new(),
            today: today(),
            rest: RestUse::default(),
            captured: Default::default(),
        }
    }

    pub async fn plan(&self) -> Result<Planned, PlanError> {
        let selection = self.selection(Symbols::All);
        // Archives may have come since.
        let source: Arc<dyn Source> =
            Arc::new(DirSource::new(self.folder.path().join("archive")).unwrap());
        let found = survey(&source, None, &selection, Asking::Listing).await?;
        let enqueuer = Enqueuer {
            queue: self.queue.clone(),
            source: self.source.clone(),
            output: self.output.clone(),
            force: false,
            refresh: false,
            repair: None,
        };
        enqueuer.enqueue(&selection, &found).await
    }

    pub async fn catalogue(&self) -> Vec<Rebuilt> {
        let (queue, output) = (&*self.queue, &self.output);
        let data = Data::parse_list(DATA).unwrap();
        let catalogue = Catalogue { queue, output };
        catalogue.rebuild(Market::Um, &data, None).await.unwrap()
    }

    /// Publishes what a worker would, of all archives.
    pub fn mill(&self, names: &[ArchiveName]) {
        for name in names {
            for table in name.data.tables() {
                put_table(&self.output, name, &table);
            }
        }
    }

    /// Plans, mills and completes everything, as workers would.
    pub async fn work(&self) {
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

pub fn today() -> jiff::civil::Date {
    "2024-06-15".parse().unwrap()
}

pub fn names(symbols: &[&str]) -> Vec<ArchiveName> {
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

pub fn bytes_of(name: &ArchiveName) -> Vec<u8> {
    format!("the bytes of {}", name.key()).into_bytes()
}

pub fn sha256_of(name: &ArchiveName) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&bytes_of(name));
    hasher.finish()
}

pub fn put_archive(archive: &Path, name: &ArchiveName) {
    let file = archive.join(name.key());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes_of(name)).unwrap();
    let sidecar = format!("{}  {}\n", hex(&sha256_of(name)), name.file_name());
    fs::write(archive.join(name.key() + SIDECAR_SUFFIX), sidecar).unwrap();
}

pub fn put_table(output: &Output, name: &ArchiveName, table: &str) {
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

pub fn size(output: &Output, name: &ArchiveName, table: &str) -> u64 {
    let place = output.place(name, table).unwrap();
    output.lake.size(&place).unwrap().unwrap()
}

pub fn receipt(output: &Output, name: &ArchiveName) -> String {
    let tables = name.data.tables();
    Receipt {
        verdict: "ok".to_owned(),
        bytes: bytes_of(name).len() as u64,
        rows: 7,
        sha256: sha256_of(name),
        files: tables
            .iter()
            .map(|table| size(output, name, table))
            .collect(),
        version: None,
    }
    .to_string()
}
