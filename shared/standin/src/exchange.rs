//! A stand-in for the exchange's REST interface: rows made from their time alone, weights counted and enforced by the
//! minute, refusals on demand.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /{f,d}api/v1/klines` and its kin, `GET /api/v3/klines` | candles, the last one unfinished |
//! | `GET /{f,d}api/v1/fundingRate` | a funding every eight hours |
//! | `GET /{f,d}api/v1/aggTrades`, `GET /api/v3/aggTrades` | a trade every so many milliseconds |
//! | `GET /{f,d}api/v1/exchangeInfo`, `GET /api/v3/exchangeInfo` | the symbols of the market, told apart by their names |
//! | `GET /{f,d}api/v1/depth`, `GET /api/v3/depth` | the book, where tapes are played ([`crate::stream`]) |
//! | `GET /{f,d}api/v1/ticker/24hr`, `GET /api/v3/ticker/24hr` | what they traded within a day, as told to |

mod market;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::StandinError;
use crate::stream::{Stage, Told};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const FUNDING_MS: i64 = 8 * HOUR_MS;

/// Futures' trades can be asked for so far back.
const TRADES_REACH_MS: i64 = 48 * HOUR_MS;

/// What the stand-in knows.
#[derive(Debug, Clone)]
pub struct ExchangeOptions {
    /// Each symbol, and when it was listed, in milliseconds since 1970.
    pub symbols: BTreeMap<String, i64>,
    /// Between two trades of a symbol.
    pub trade_every_ms: i64,
    /// What an address may weigh a minute, where it is not what the exchange allows.
    pub most_weight: Option<u32>,
    /// What symbols traded within a day, where it is not a million: of cm contracts, else quote.
    pub volumes: BTreeMap<String, u64>,
}

impl ExchangeOptions {
    /// Symbols that were listed at a time, a trade a second.
    pub fn new(symbols: &[&str], listed_ms: i64) -> Self {
        Self {
            symbols: symbols
                .iter()
                .map(|symbol| ((*symbol).to_owned(), listed_ms))
                .collect(),
            trade_every_ms: 1_000,
            most_weight: None,
            volumes: BTreeMap::new(),
        }
    }

    /// The same, with what symbols traded within a day.
    pub fn traded(mut self, volumes: &[(&str, u64)]) -> Self {
        let volumes = volumes.iter();
        self.volumes = volumes
            .map(|(symbol, volume)| ((*symbol).to_owned(), *volume))
            .collect();
        self
    }

    /// What an address may weigh a minute.
    fn most_weight(&self, path: &str) -> u32 {
        self.most_weight.unwrap_or(match path.starts_with("/api/") {
            true => 6000,
            false => 2400,
        })
    }

    /// The symbols of a path's market, and when each was listed.
    fn of_market(&self, path: &str) -> impl Iterator<Item = (&str, i64)> {
        let (is_spot, is_cm) = (path.starts_with("/api/"), path.starts_with("/dapi/"));
        let symbols = self.symbols.iter();
        symbols
            .map(|(symbol, listed)| (symbol.as_str(), *listed))
            .filter(move |(symbol, _)| {
                symbol.contains("USD_") == is_cm && !(is_spot && symbol.contains('_'))
            })
    }
}

/// One request, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The path.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// What it weighed.
    pub weight: u32,
    /// The status of the reply.
    pub status: u16,
}

/// A running stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct Exchange {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    state: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    options: ExchangeOptions,
    book: Mutex<Book>,
    /// What is played, where the stand-in has streams.
    stage: Option<Arc<Stage>>,
}

#[derive(Debug, Default)]
struct Book {
    asked: Vec<Asked>,
    minute: i64,
    used: u32,
    /// The next replies: status, and seconds to wait.
    refusals: Vec<(u16, Option<u64>)>,
}

impl Exchange {
    /// Serves on a free loopback port.
    ///
    /// # Errors
    ///
    /// [`StandinError::Listen`] when there is none.
    pub async fn start(options: ExchangeOptions) -> Result<Self, StandinError> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let failed = |source| StandinError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let (router, state) = router(options, None);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the stand-in stopped serving");
            }
        });
        Ok(Self { url, state, task })
    }

    /// The requests so far, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked()
    }

    /// Answers the next request with a status, and asks to wait so many seconds.
    pub fn refuse_next(&self, status: u16, retry_after: Option<u64>) {
        self.state.refuse_next(status, retry_after);
    }

    /// The candle that opens at a time, as an array of the exchange's: what was asked for can be held against it.
    pub fn bar(kind: &str, symbol: &str, open_ms: i64, length_ms: i64) -> Value {
        bar(kind, symbol, open_ms, length_ms)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What answers requests, and what it keeps. What is played answers before the arithmetic does.
pub(crate) fn router(options: ExchangeOptions, stage: Option<Arc<Stage>>) -> (Router, Arc<Shared>) {
    let state = Arc::new(Shared {
        options,
        book: Mutex::default(),
        stage,
    });
    let router = Router::new().fallback(answer).with_state(state.clone());
    (router, state)
}

impl Shared {
    /// The requests so far, oldest first.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.book().asked.clone()
    }

    /// Answers the next request with a status, and asks to wait so many seconds.
    pub(crate) fn refuse_next(&self, status: u16, retry_after: Option<u64>) {
        self.book().refusals.push((status, retry_after));
    }

    /// What is played answers, if it knows. Books take time to be brought up to date: nothing else waits for them.
    async fn told(&self, path: &str, query: &str) -> Option<Told> {
        let stage = Arc::clone(self.stage.as_ref()?);
        let (path, query) = (path.to_owned(), query.to_owned());
        let answer = move || stage.answer(&path, &pairs_of(&query));
        match tokio::task::spawn_blocking(answer).await {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(%error, "the stand-in has no answer");
                None
            }
        }
    }

    /// What follows from the options and the time alone.
    fn arithmetic(&self, path: &str, pairs: &BTreeMap<&str, &str>, now: i64) -> Reply {
        let stage = self.stage.as_ref();
        let (skew_ms, delisted) = stage.map(|stage| stage.oddities()).unwrap_or_default();
        let now = now + skew_ms;
        let told = |body: Value| Reply(200, body.to_string(), None);
        match path.rsplit('/').next() {
            Some("exchangeInfo") => told(market::info(&self.options, path, now, &delisted)),
            Some("24hr") => told(market::ticker(&self.options, path, now)),
            _ => rows(&self.options, path, pairs, now),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reply: the status, the body, and the seconds to wait.
struct Reply(u16, String, Option<u64>);

async fn answer(
    State(state): State<Arc<Shared>>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = query.unwrap_or_default();
    let now = now_ms();
    let pairs = pairs_of(&query);
    let path = uri.path().to_owned();
    let weight = weight_of(&path, &pairs);
    let most = state.options.most_weight(&path);
    let (refusal, used) = {
        let mut book = state.book();
        let minute = now.div_euclid(MINUTE_MS);
        if book.minute != minute {
            (book.minute, book.used) = (minute, 0);
        }
        book.used += weight;
        let refusal = match book.refusals.is_empty() {
            false => Some(book.refusals.remove(0)),
            true if book.used > most => {
                let left = (minute + 1) * MINUTE_MS - now;
                Some((429, Some(left.unsigned_abs().div_ceil(1000))))
            }
            true => None,
        };
        (refusal, book.used)
    };
    let Reply(status, body, retry_after) = match refusal {
        Some((status, wait)) => Reply(
            status,
            json!({"code": -1003, "msg": "Too many requests."}).to_string(),
            wait,
        ),
        None => match state.told(&path, &query).await {
            Some(Told::Reply(status, body, wait)) => Reply(status, body, wait),
            Some(Told::Never) => std::future::pending().await,
            None => state.arithmetic(&path, &pairs, now),
        },
    };
    state.book().asked.push(Asked {
        at_ms: now,
        path,
        query: query.clone(),
        weight,
        status,
    });
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or_default())
        .header("content-type", "application/json")
        .header("x-mbx-used-weight-1m", used);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(Body::from(body)).unwrap_or_default()
}

fn pairs_of(query: &str) -> BTreeMap<&str, &str> {
    let pairs = query.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).collect()
}

/// As the exchange documents it.
fn weight_of(path: &str, pairs: &BTreeMap<&str, &str>) -> u32 {
    let limit: u32 = pairs
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(500);
    match (path.starts_with("/api/"), path.rsplit('/').next()) {
        (true, Some("exchangeInfo")) => 20,
        (true, Some("24hr")) => 80,
        (false, Some("24hr")) => 40,
        (true, Some("depth")) => match limit {
            0..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        },
        (false, Some("depth")) => match limit {
            0..=50 => 2,
            51..=100 => 5,
            101..=500 => 10,
            _ => 20,
        },
        (true, Some("klines")) => 2,
        (true, Some("aggTrades")) => 4,
        (false, Some("aggTrades")) => 20,
        (false, Some(name)) if name.ends_with("lines") => match limit {
            0..100 => 1,
            100..500 => 2,
            500..=1000 => 5,
            _ => 10,
        },
        _ => 1,
    }
}

fn rows(options: &ExchangeOptions, path: &str, pairs: &BTreeMap<&str, &str>, now: i64) -> Reply {
    let refuse =
        |code: i64, msg: &str| Reply(400, json!({"code": code, "msg": msg}).to_string(), None);
    let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<i64>().ok());
    let symbol = pairs.get("symbol").or_else(|| pairs.get("pair")).copied();
    let Some((symbol, &listed)) = symbol.and_then(|symbol| options.symbols.get_key_value(symbol))
    else {
        return refuse(-1121, "Invalid symbol.");
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let most = if path.starts_with("/api/") || !name.ends_with("lines") {
        1000
    } else {
        1500
    };
    let limit = number("limit").unwrap_or(500).clamp(1, most);
    let start = number("startTime").unwrap_or(0).max(listed);
    let end = number("endTime").unwrap_or(now).min(now);
    let every = |first: i64, step: i64| {
        let first =
            first.div_euclid(step) * step + if first.rem_euclid(step) == 0 { 0 } else { step };
        (0..limit)
            .map(move |at| first + at * step)
            .take_while(move |at| *at <= end)
    };
    let found: Vec<Value> = match name {
        "fundingRate" => every(start, FUNDING_MS)
            .map(|at| {
                let rate = (mixed(symbol, at) % 2000) as f64 / 1e7 - 1e-4;
                // Some milliseconds late, as it is.
                let late = at + (mixed(symbol, at) % 13) as i64;
                json!({"symbol": symbol, "fundingTime": late, "fundingRate": format!("{rate:.8}"), "markPrice": "1.0"})
            })
            .collect(),
        "aggTrades" => {
            let step = options.trade_every_ms;
            let last = (now - listed) / step;
            let first = match number("fromId") {
                Some(id) => id,
                None if end - start >= HOUR_MS => {
                    return refuse(-1127, "More than 1 hours between startTime and endTime.");
                }
                None if !path.starts_with("/api/") && start < now - TRADES_REACH_MS => {
                    return refuse(-4166, "Search window is restricted to recent 2 days only.");
                }
                None => (start - listed + step - 1) / step,
            };
            let last = match number("fromId") {
                Some(_) => last,
                None => last.min((end - listed).div_euclid(step)),
            };
            (first..=last)
                .take(limit as usize)
                .map(|id| trade(symbol, id, listed + id * step, path.starts_with("/api/")))
                .collect()
        }
        _ if name.ends_with("lines") => {
            let length = pairs.get("interval").and_then(|interval| length_ms(interval));
            let Some(length) = length else {
                return refuse(-1120, "Invalid interval.");
            };
            every(start, length)
                .map(|open| bar(name, symbol, open, length))
                .collect()
        }
        _ => return Reply(404, "{}".to_owned(), None),
    };
    Reply(200, Value::Array(found).to_string(), None)
}

fn length_ms(interval: &str) -> Option<i64> {
    let (count, unit) = interval.split_at(interval.len().checked_sub(1)?);
    let unit = match unit {
        "s" => 1000,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => 24 * HOUR_MS,
        "w" => 7 * 24 * HOUR_MS,
        _ => return None,
    };
    Some(count.parse::<i64>().ok()? * unit)
}

fn bar(kind: &str, symbol: &str, open_ms: i64, length_ms: i64) -> Value {
    let seed = mixed(&format!("{kind} {symbol}"), open_ms);
    let cents = |from: u64| format!("{}.{:02}", 100 + from / 100, from % 100);
    let (open, close) = (seed % 5000, (seed >> 16) % 5000);
    let (high, low) = (
        open.max(close) + seed % 7,
        open.min(close) - open.min(close).min(seed % 5),
    );
    let volume = 1 + (seed >> 32) % 100_000;
    json!([
        open_ms,
        cents(open),
        cents(high),
        cents(low),
        cents(close),
        format!("{}.{:03}", volume / 1000, volume % 1000),
        open_ms + length_ms - 1,
        format!("{volume}.5"),
        1 + seed % 900,
        format!("{}.{:03}", volume / 3000, volume % 1000),
        format!("{}.25", volume / 3),
        "0"
    ])
}

fn trade(symbol: &str, id: i64, at_ms: i64, spot: bool) -> Value {
    let seed = mixed(symbol, id);
    let mut trade = json!({
        "a": id,
        "p": format!("{}.{}", 100 + seed % 10, seed % 9 + 1),
        "q": format!("0.{:03}", 1 + (seed >> 20) % 999),
        "f": id * 2,
        "l": id * 2 + i64::from(seed.is_multiple_of(3)),
        "T": at_ms,
        "m": seed.is_multiple_of(2)
    });
    if spot {
        trade["M"] = true.into();
    }
    trade
}

/// A number that only the name and the place decide.
fn mixed(name: &str, place: i64) -> u64 {
    let mut mixed = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(place.to_le_bytes()) {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mixed ^ mixed >> 29
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
