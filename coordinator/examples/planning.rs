//! One side of `bench/planning`: what a backlog of many small tasks costs to plan, to look at and to work through.
//!
//! `planning URL FOLDER SYMBOLS MONTHS`: an archive of so many symbols and months, of ten kinds of data, which exists
//! only as the listing that is made up when it is asked for. Surveys it, plans it twice into the queue at URL with its
//! output in FOLDER, asks for what `status` shows, and claims and completes some tasks the way `run` and `worker` do.
//!
//! Prints one line of JSON; `memory` is the process's peak in bytes at that point.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tapemill_archive::{
    ArchiveError, HttpCounters, Object, Opened, Query, Source, SymbolOf, Validator,
};
use tapemill_coordinator::{Asking, Enqueuer, RestUse, Selection, Symbols, survey};
use tapemill_lake::{Lake, Layout, Output};
use tapemill_market::{Data, DateRange, Market, Symbol, Thresholds};
use tapemill_queue::{Budgets, ClaimRequest, Completion, Outcome, Queue, TaskId, WorkerId};
use tapemill_runtime::process_cpu;
use uuid::Uuid;

type Outcomes<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KINDS: &str = "aggTrades,klines:1m,klines:3m,klines:5m,klines:15m,klines:30m,klines:1h,klines:2h,klines:4h,klines:1d";
const FIRST_YEAR: usize = 2018;
/// Looks and claims that are measured.
const TIMES: usize = 200;
/// As many ids as `run` names in a claim at most.
const NAMED: usize = 500;
const LEASE: Duration = Duration::from_secs(60);
/// As long as what a worker brings back.
const SUMMARY: &str =
    "ok 123456789 12345678 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFUBAgMEBQY 1234567 23456";

#[tokio::main]
async fn main() -> Outcomes<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, folder, symbols, months] = args.as_slice() else {
        return Err("planning URL FOLDER SYMBOLS MONTHS".into());
    };
    let (symbols, months): (usize, usize) = (symbols.parse()?, months.parse()?);
    let queue = tapemill_queue::open(url, Budgets::default()).await?;
    let source: Arc<dyn Source> = Arc::new(MadeUp {
        months,
        counters: Arc::default(),
    });
    let output = Output {
        lake: Lake::local(folder),
        layout: Layout::Plain,
        thresholds: Thresholds::default(),
    };
    let selection = selection(symbols)?;

    let begun = Instant::now();
    let found = survey(&source, None, &selection, Asking::Listing).await?;
    let surveyed = begun.elapsed();
    let survey_memory = peak_memory();
    let mut told = json!({
        "tasks": found.archives.len(),
        "survey_seconds": surveyed.as_secs_f64(),
        "survey_memory": survey_memory,
    });
    let enqueuer = Enqueuer {
        queue: queue.clone(),
        source,
        output,
        force: false,
        refresh: false,
        repair: None,
    };
    let mut ids = Vec::new();
    for round in ["first", "second"] {
        let (begun, cpu_before) = (Instant::now(), process_cpu());
        let planned = enqueuer.enqueue(&selection, &found).await?;
        let (took, cpu) = (begun.elapsed(), (process_cpu() - cpu_before).as_secs_f64());
        told[format!("{round}_plan_seconds")] = took.as_secs_f64().into();
        told[format!("{round}_plan_us_per_task")] =
            (took.as_secs_f64() * 1e6 / found.archives.len() as f64).into();
        told[format!("{round}_plan_cpu_us_per_task")] =
            (cpu * 1e6 / found.archives.len() as f64).into();
        told[format!("{round}_plan_created")] = planned.enqueued.created.into();
        ids = planned.tasks;
    }
    told["memory"] = peak_memory().into();
    told["status"] = looks(&*queue).await?;
    told["worker"] = claims(&*queue, None).await?;
    for (part, named) in [20, NAMED].into_iter().enumerate() {
        let from = ids.len() * (part + 1) / 3;
        let to = ids.len().min(from + named + TIMES);
        told[format!("run_naming_{named}")] =
            claims(&*queue, Some((&ids[from..to], named))).await?;
    }
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

fn selection(symbols: usize) -> Outcomes<Selection> {
    let symbols = (0..symbols).map(|number| Symbol::exact(&format!("SYM{number:04}USDT")));
    let symbols: Vec<Symbol> = symbols.collect::<Result<_, _>>()?;
    Ok(Selection {
        market: Market::Um,
        data: Data::parse_list(KINDS)?,
        priority: symbols.iter().take(35).cloned().collect(),
        symbols: Symbols::These(symbols),
        min_volume: None,
        range: DateRange::default(),
        today: jiff::civil::date(2040, 1, 1),
        rest: RestUse::default(),
        captured: Default::default(),
    })
}

/// What `status` asks for.
async fn looks(queue: &dyn Queue) -> Outcomes<Value> {
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        queue.stats().await?;
        queue.workers().await?;
        took.push(begun.elapsed());
    }
    Ok(spread(took))
}

/// Claims and completes one task after another; the next of the queue, or the first of so many that are named.
async fn claims(queue: &dyn Queue, only: Option<(&[TaskId], usize)>) -> Outcomes<Value> {
    let worker = WorkerId::fresh();
    let completion = Completion {
        outcome: Outcome::Done,
        summary: SUMMARY.to_owned(),
        rows: 12_345_678,
        bytes: 123_456_789,
    };
    let (mut claiming, mut completing) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let begun = Instant::now();
        let named = only.map(|(ids, named)| &ids[time.min(ids.len())..ids.len().min(time + named)]);
        let request = ClaimRequest {
            worker: &worker,
            request: Uuid::new_v4(),
            limit: 1,
            lease: LEASE,
            only: named,
        };
        let claimed = queue.claim(&request).await?;
        claiming.push(begun.elapsed());
        for claim in claimed.claims {
            let begun = Instant::now();
            queue.complete(&claim.lease(), &completion).await?;
            completing.push(begun.elapsed());
        }
    }
    Ok(json!({"claim": spread(claiming), "complete": spread(completing)}))
}

fn spread(mut took: Vec<Duration>) -> Value {
    took.sort();
    let ms = |at: usize| took.get(at).map(|took| took.as_secs_f64() * 1e3);
    json!({"times": took.len(), "median_ms": ms(took.len() / 2), "most_ms": ms(took.len().saturating_sub(1))})
}

/// The most memory this process held so far, in bytes; absent where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// A source that lists months of any symbol and kind, no days, and holds nothing.
struct MadeUp {
    months: usize,
    counters: Arc<HttpCounters>,
}

#[async_trait]
impl Source for MadeUp {
    async fn list(&self, query: &Query) -> Result<Vec<Object>, ArchiveError> {
        if !query.folder.contains("/monthly/") {
            return Ok(Vec::new());
        }
        let objects = (0..self.months).map(|month| {
            let (year, month) = (FIRST_YEAR + month / 12, month % 12 + 1);
            Object {
                key: format!("{}{}{year}-{month:02}.zip", query.folder, query.stem),
                bytes: 100_000,
                etag: Some("\"0123456789abcdef0123456789abcdef\"".to_owned()),
                last_modified: Some("2030-01-01T00:00:00.000Z".to_owned()),
                has_sidecar: true,
            }
        });
        Ok(objects.collect())
    }

    async fn folders(
        &self,
        _prefix: &str,
        _symbol_of: SymbolOf<'_>,
    ) -> Result<Vec<String>, ArchiveError> {
        Ok(Vec::new())
    }

    async fn head(&self, _key: &str) -> Result<Option<Object>, ArchiveError> {
        Ok(None)
    }

    async fn small(&self, _key: &str, _limit: u64) -> Result<Option<Bytes>, ArchiveError> {
        Ok(None)
    }

    async fn open(
        &self,
        key: &str,
        _from: u64,
        _validator: Option<&Validator>,
    ) -> Result<Opened, ArchiveError> {
        Err(ArchiveError::Missing {
            key: key.to_owned(),
        })
    }

    fn counters(&self) -> &Arc<HttpCounters> {
        &self.counters
    }

    fn place(&self) -> String {
        "a made-up listing".to_owned()
    }
}
