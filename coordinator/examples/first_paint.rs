//! What the page waits for before it shows something, with very many tasks in the queue.
//!
//! `first_paint URL TASKS`: plans that many tasks into the empty queue at URL (10,000 symbols × 84 months of one kind of
//! data, the rest of another; a third done, a thousand dead), serves it as a coordinator does, and asks over HTTP for
//! what a browser asks for: at once, while the map is being walked, and when it is whole. Each series of requests is a
//! new connection each time.
//!
//! Prints one line of JSON; times in ms.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tapemill_coordinator::{QueueView, api};
use tapemill_queue::{Budgets, Meter, NewTask, Queue, TaskId};
use tapemill_runtime::{Health, Metrics, Server};
use tokio_util::sync::CancellationToken;

type Outcomes<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SYMBOLS: usize = 10_000;
const MONTHS: usize = 84;
const DEAD: usize = 1_000;
/// As long as what a worker brings back.
const SUMMARY: &str =
    "ok 123456789 12345678 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFUBAgMEBQY 1234567 23456";
/// Requests of a kind.
const TIMES: usize = 20;

#[tokio::main]
async fn main() -> Outcomes<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, tasks] = args.as_slice() else {
        return Err("first_paint URL TASKS".into());
    };
    let tasks: usize = tasks.parse()?;
    let queue = tapemill_queue::open(url, Budgets::default()).await?;
    plan(&*queue, tasks).await?;

    let metrics = Metrics::new();
    let meter = Meter::register(metrics.registry())?;
    let stop = CancellationToken::new();
    let health = Health::new(stop.clone(), || Ok(()));
    let view = QueueView::new("first_paint");
    view.open(meter.measure(queue));
    let attending = tokio::spawn(view.clone().attend(health));
    let routes = api(view, None, stop.clone());
    let server = Server::start("127.0.0.1:0", routes, stop).await?;
    let address = server.address();

    let begun = Instant::now();
    let mut told = json!({"tasks": tasks, "at_once": first_paint(address).await?});
    let mut walking = Vec::new();
    let walked = loop {
        let map = &get(address, "/api/v1/page").await?.body["map"];
        if map["whole"] == true && map["known"] == map["tasks"] {
            break begun.elapsed();
        }
        walking.push(first_paint(address).await?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    told["walk_seconds"] = walked.as_secs_f64().into();
    told["while_walking"] = most(&walking);
    told["memory"] = peak_memory().into();
    let calls_before = metrics.text().await;
    let whole = Instant::now();
    let mut painted = Vec::new();
    for _ in 0..TIMES {
        painted.push(first_paint(address).await?);
    }
    told["whole"] = most(&painted);
    for (name, path) in [
        ("series", "/api/v1/map?series=um/aggTrades"),
        ("group", "/api/v1/map?series=um/aggTrades&prefix=A"),
        ("dead", "/api/v1/map?series=um/aggTrades&state=dead"),
        ("dead_tasks", "/api/v1/tasks?state=dead&limit=20"),
    ] {
        let mut took = Vec::new();
        let mut size = 0;
        for _ in 0..TIMES {
            let answer = get(address, path).await?;
            took.push(answer.ms);
            size = answer.bytes;
        }
        took.sort_by(f64::total_cmp);
        told["drilling"][name] =
            json!({"median": took[TIMES / 2], "most": took[TIMES - 1], "bytes": size});
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let calls = store_calls(&metrics.text().await) - store_calls(&calls_before);
    told["store_calls_per_second_when_whole"] = (calls / whole.elapsed().as_secs_f64()).into();
    writeln!(std::io::stdout(), "{told}")?;
    attending.abort();
    server.stop().await;
    Ok(())
}

async fn plan(queue: &dyn Queue, tasks: usize) -> Outcomes<()> {
    let mut part = Vec::with_capacity(500);
    for number in 0..tasks {
        let (dataset, number) = match number.checked_sub(SYMBOLS * MONTHS) {
            None => ("aggTrades", number),
            Some(number) => ("klines:1m", number),
        };
        let (symbol, month) = (number / MONTHS, number % MONTHS);
        let id = TaskId::new(format!(
            "um/{dataset}/{}/{}-{:02}",
            symbol_name(symbol),
            2018 + month / 12,
            month % 12 + 1
        ));
        part.push(NewTask {
            rank: 17_500 + 30 * month as i64,
            bytes: 100_000_000,
            done: (number % 3 == 0).then(|| SUMMARY.to_owned()),
            ..NewTask::new(id.as_str(), dataset)
        });
        if part.len() == 500 || number + 1 == tasks {
            queue.enqueue(&part).await?;
            part.clear();
        }
    }
    queue.enqueue(&part).await?;
    let last_month = |symbol| TaskId::new(format!("um/aggTrades/{}/2024-12", symbol_name(symbol)));
    let dead: Vec<TaskId> = (0..DEAD).map(|number| last_month(number * 7)).collect();
    queue.cancel(&dead).await?;
    Ok(())
}

/// Names that begin in many ways.
fn symbol_name(number: usize) -> String {
    let letter = |place: usize| char::from(b'A' + u8::try_from(number / place % 26).unwrap_or(0));
    format!("{}{}{}{number}USDT", letter(1), letter(26), letter(676))
}

/// What a browser asks for until it can show something: the page, its numbers, the map's overview.
async fn first_paint(address: SocketAddr) -> Outcomes<Value> {
    let begun = Instant::now();
    let page = get(address, "/").await?;
    let numbers = get(address, "/api/v1/page").await?;
    let map = get(address, "/api/v1/map").await?;
    Ok(json!({
        "page": page.ms, "numbers": numbers.ms, "map": map.ms, "all": begun.elapsed().as_secs_f64() * 1e3,
        "bytes": page.bytes + numbers.bytes + map.bytes,
    }))
}

/// The median and the most of each.
fn most(paints: &[Value]) -> Value {
    let mut told = json!({"times": paints.len()});
    for key in ["page", "numbers", "map", "all"] {
        let mut took: Vec<f64> = paints
            .iter()
            .filter_map(|paint| paint[key].as_f64())
            .collect();
        took.sort_by(f64::total_cmp);
        told[key] = json!({"median": took.get(took.len() / 2), "most": took.last()});
    }
    told
}

struct Answer {
    ms: f64,
    bytes: usize,
    body: Value,
}

async fn get(address: SocketAddr, path: &str) -> Outcomes<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let asked = tokio::task::spawn_blocking(move || -> std::io::Result<(f64, String)> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok((begun.elapsed().as_secs_f64() * 1e3, text))
    });
    let (ms, text) = asked.await??;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("{path}: {text}").into());
    }
    Ok(Answer {
        ms,
        bytes: body.len(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

/// All calls to the store so far, by its meter.
fn store_calls(metrics: &str) -> f64 {
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("tapemill_store_call_duration_seconds_count"));
    counts
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
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
