//! One side of `bench/queue`: what a queue in Redis does in a second.
//!
//! `redis_throughput URL plan TASKS`: plans that many tasks as a real plan looks.
//! `redis_throughput URL work CONCURRENCY`: claims and completes one task at a time, so many in flight, until
//! nothing is pending.
//! `redis_throughput URL look TIMES`: asks for what `status` shows.
//!
//! What redis-benchmark needs, which can only draw numbers at random:
//! `redis_throughput URL numbered TASKS`: plans tasks whose ids differ in a number of twelve digits.
//! `redis_throughput URL lease TASKS`: leases that many, each alone, all under one request.
//! `redis_throughput URL once 1`: claims and completes one task.
//!
//! Prints one line of JSON.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tapemill_queue::redis::Options;
use tapemill_queue::{
    ClaimRequest, Completion, NewTask, Outcome, Queue, RedisQueue, Wait, WorkerId,
};
use uuid::Uuid;

type Outcomes<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// As long as what a worker brings back.
const SUMMARY: &str =
    "ok 123456789 12345678 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFUBAgMEBQY 1234567 23456";
const LEASE: Duration = Duration::from_secs(60);
/// Periods of a series.
const MONTHS: usize = 84;

#[tokio::main]
async fn main() -> Outcomes<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, verb, number] = args.as_slice() else {
        return Err("redis_throughput URL plan|work|look NUMBER".into());
    };
    let queue = Arc::new(RedisQueue::open(url, Options::default()).await?);
    let number: usize = number.parse()?;
    let told = match verb.as_str() {
        "plan" => plan(&queue, number).await?,
        "work" => work(&queue, number).await?,
        "look" => look(&queue, number).await?,
        "numbered" => numbered(&queue, number).await?,
        "lease" => lease(&queue, url, number).await?,
        "once" => once(&queue).await?,
        other => return Err(format!("unknown verb {other:?}").into()),
    };
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

async fn plan(queue: &RedisQueue, tasks: usize) -> Outcomes<serde_json::Value> {
    let begun = Instant::now();
    let mut created = 0;
    for first in (0..tasks).step_by(500) {
        let part: Vec<_> = (first..tasks.min(first + 500))
            .map(|number| planned(number, tasks))
            .collect();
        created += queue.enqueue(&part).await?.created;
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({"created": created, "seconds": seconds, "tasks_per_second": tasks as f64 / seconds}))
}

/// Newest first, all series of a month together, as a plan comes.
fn planned(number: usize, tasks: usize) -> NewTask {
    const DATASETS: [&str; 2] = ["aggTrades", "klines:1m"];
    let series_count = tasks.div_ceil(MONTHS);
    let (series, month) = (number % series_count, MONTHS - number / series_count);
    let dataset = DATASETS[series % DATASETS.len()];
    let (year, month_of_year) = (2018 + month / 12, month % 12 + 1);
    let id = format!(
        "um/{dataset}/SYM{:05}USDT/{year}-{month_of_year:02}",
        series / 2
    );
    NewTask {
        rank: 17_500 + 30 * month as i64,
        bytes: 100_000_000 + number as u64,
        ..NewTask::new(id, dataset)
    }
}

async fn work(queue: &Arc<RedisQueue>, concurrency: usize) -> Outcomes<serde_json::Value> {
    let begun = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let worker = WorkerId::fresh();
    let hands: Vec<_> = (0..concurrency)
        .map(|_| tokio::spawn(hand(queue.clone(), worker.clone(), done.clone())))
        .collect();
    for hand in hands {
        hand.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let done = done.load(Ordering::Relaxed);
    let cpu = cpu_seconds();
    Ok(json!({
        "done": done, "seconds": seconds, "tasks_per_second": done as f64 / seconds,
        "cpu_seconds": cpu, "cpu_us_per_task": cpu * 1e6 / done.max(1) as f64,
    }))
}

async fn hand(queue: Arc<RedisQueue>, worker: WorkerId, done: Arc<AtomicU64>) -> Outcomes<()> {
    let completion = completion();
    loop {
        let request = ClaimRequest {
            worker: &worker,
            request: Uuid::new_v4(),
            limit: 1,
            lease: LEASE,
            only: None,
        };
        let claimed = queue.claim(&request).await?;
        if claimed.wait == Wait::Empty {
            return Ok(());
        }
        for claim in claimed.claims {
            queue.complete(&claim.lease(), &completion).await?;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn completion() -> Completion {
    Completion {
        outcome: Outcome::Done,
        summary: SUMMARY.to_owned(),
        rows: 12_345_678,
        bytes: 123_456_789,
    }
}

async fn look(queue: &RedisQueue, times: usize) -> Outcomes<serde_json::Value> {
    let mut took = Vec::with_capacity(times);
    let mut totals = [0; 5];
    for _ in 0..times {
        let begun = Instant::now();
        let (stats, _) = tokio::try_join!(queue.stats(), queue.workers())?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        totals = stats.totals().map(|count| count.tasks);
    }
    took.sort_by(f64::total_cmp);
    Ok(json!({"totals": totals, "median_ms": took[times / 2], "most_ms": took[times - 1]}))
}

async fn numbered(queue: &RedisQueue, tasks: usize) -> Outcomes<serde_json::Value> {
    let task = |number| NewTask {
        bytes: 100_000_000,
        ..NewTask::new(format!("um/aggTrades/{number:012}/2024-01"), "aggTrades")
    };
    let tasks: Vec<_> = (0..tasks).map(task).collect();
    let created = queue.enqueue(&tasks).await?.created;
    Ok(json!({"created": created}))
}

/// The request's place is cleared after each claim, so that the next one is no repeat of it.
async fn lease(queue: &RedisQueue, url: &str, tasks: usize) -> Outcomes<serde_json::Value> {
    const REQUEST: &str = "bench-request-01";
    let server = url.split('?').next().unwrap_or_default();
    let mut raw = redis::Client::open(server)?
        .get_multiplexed_async_connection()
        .await?;
    let mut forget = redis::cmd("DEL");
    forget.arg(format!("tapemill:{{{}}}:requests", queue.url().queue));
    let worker = WorkerId::fresh();
    for _ in 0..tasks {
        let request = ClaimRequest {
            worker: &worker,
            request: Uuid::from_slice(REQUEST.as_bytes())?,
            limit: 1,
            lease: 60 * LEASE,
            only: None,
        };
        let claimed = queue.claim(&request).await?;
        assert_eq!(claimed.claims.len(), 1, "{:?}", claimed.wait);
        forget.exec_async(&mut raw).await?;
    }
    Ok(json!({"request": REQUEST}))
}

async fn once(queue: &RedisQueue) -> Outcomes<serde_json::Value> {
    let request = ClaimRequest {
        worker: &WorkerId::fresh(),
        request: Uuid::new_v4(),
        limit: 1,
        lease: LEASE,
        only: None,
    };
    let claims = queue.claim(&request).await?.claims;
    for claim in &claims {
        queue.complete(&claim.lease(), &completion()).await?;
    }
    Ok(json!({"done": claims.len()}))
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
