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
mod rows;

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

    /// A trade by its id and time, as an object of the exchange's: of `spot` with one field more.
    pub fn trade(symbol: &str, id: i64, at_ms: i64, spot: bool) -> Value {
        rows::trade(symbol, id, at_ms, spot)
    }

    /// The candle that opens at a time, as an array of the exchange's: what was asked for can be held against it.
    pub fn bar(kind: &str, symbol: &str, open_ms: i64, length_ms: i64) -> Value {
        rows::bar(kind, symbol, open_ms, length_ms)
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
            _ => rows::answer(&self.options, path, pairs, now),
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
    if path.starts_with("/standin/") {
        // What tests ask the stand-in itself weighs nothing and is never refused.
        let (status, body) = match state.told(&path, &query).await {
            Some(Told::Reply(status, body, _)) => (status, body),
            _ => (404, "{}".to_owned()),
        };
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap_or_default());
        return response.body(Body::from(body)).unwrap_or_default();
    }
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

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
