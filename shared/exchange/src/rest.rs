//! Sends questions to the exchange, under the weights of its hosts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use tapemill_archive::{
    ArchiveError, ClientSettings, Hasher, HttpCounters, Retry, RetryPolicy, client, date_ms, hex,
    named_wait, shown,
};
use tapemill_market::{ArchiveName, Market, Symbol};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::endpoint::{Bounds, Question};
use crate::error::ExchangeError;
use crate::info::ExchangeInfo;
use crate::pages::{BadAnswer, Pages, Since};
use crate::ticker::{Volumes, volumes};
use crate::weights::Weights;

/// A wait for the host that is sat out; a longer one is the caller's.
const LONGEST_WAIT: Duration = Duration::from_secs(150);

/// A ban that claims to be longer is not believed.
const LONGEST_BAN: Duration = Duration::from_secs(7 * 86_400);

/// A ban that names no time.
const UNNAMED_BAN: Duration = Duration::from_secs(600);

/// A refusal that names no time: the host counts by minutes.
const UNNAMED_WAIT: Duration = Duration::from_secs(60);

/// What the exchange calls the weight it has counted.
const USED_WEIGHT: &str = "x-mbx-used-weight-1m";

/// What the exchange says when it has no such symbol, or not so far back.
const NO_SUCH_SYMBOL: i64 = -1121;
const OUT_OF_REACH: i64 = -4166;

/// How much of a host's weight is used: the rest is for whoever else asks from this address.
const SHARE: u32 = 90;

/// How the exchange is asked.
#[derive(Debug, Clone)]
pub struct RestOptions {
    /// Scheme, host and port, where it is not the exchange's own.
    pub base: Option<String>,
    /// What requests to one host may weigh a minute, where it is not nine tenths of what it serves an address.
    pub most_weight: Option<u32>,
    /// How requests are repeated.
    pub retry: RetryPolicy,
    /// The longest time to connect, and without a byte.
    pub timeout: Duration,
    /// How requests introduce themselves.
    pub user_agent: String,
}

impl RestOptions {
    /// Of the exchange's own address, or another one.
    pub fn new(base: Option<String>) -> Self {
        Self {
            base,
            most_weight: None,
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(20),
            user_agent: concat!("tapemill/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The exchange's REST interface. Connections are reused.
pub struct Rest {
    /// Made for the first request: certificates take time and memory, and most processes ask for nothing.
    client: OnceCell<Client>,
    options: RestOptions,
    base: Option<Url>,
    weights: Arc<dyn Weights>,
    counters: Arc<HttpCounters>,
}

/// What came of asking for a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Names the endpoint and the range.
    pub key: String,
    /// Bytes of the rows as CSV.
    pub bytes: u64,
    /// The SHA-256 of the rows as CSV, in hexadecimal digits.
    pub sha256: String,
    /// Rows.
    pub rows: u64,
}

/// The exchange's own address for a market.
pub fn official_base(market: Market) -> &'static str {
    match market {
        Market::Um => "https://fapi.binance.com",
        Market::Cm => "https://dapi.binance.com",
        Market::Spot => "https://api.binance.com",
    }
}

/// What a host serves an address a minute.
fn weight_a_minute(market: Market) -> u32 {
    match market {
        Market::Um | Market::Cm => 2400,
        Market::Spot => 6000,
    }
}

impl Rest {
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Address`] for an unusable base.
    pub fn new(options: RestOptions, weights: Arc<dyn Weights>) -> Result<Self, ArchiveError> {
        let base = options.base.as_deref().map(parse_base).transpose()?;
        Ok(Self {
            client: OnceCell::new(),
            base,
            options,
            weights,
            counters: Arc::default(),
        })
    }

    async fn client(&self) -> Result<&Client, ExchangeError> {
        let base = self.base.as_ref();
        let make = || async {
            client(&ClientSettings {
                connect_timeout: self.options.timeout,
                read_timeout: self.options.timeout,
                user_agent: &self.options.user_agent,
                https: base.is_none_or(|base| base.scheme() == "https"),
            })
        };
        let made = self.client.get_or_try_init(make).await;
        made.map_err(ExchangeError::Http)
    }

    /// What was asked and answered so far.
    pub fn counters(&self) -> &Arc<HttpCounters> {
        &self.counters
    }

    /// Asks for the rows of a period that had ended by a time, and hands them on as CSV, some at a time; of trades, where told,
    /// only for those that follow others.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Missing`] where the exchange has no such symbol or does not reach back so far; else what the last
    /// request met.
    pub async fn rows(
        &self,
        name: &ArchiveName,
        closed_by_ms: i64,
        since: Option<Since>,
        cancel: &CancellationToken,
        mut each: impl FnMut(&str),
    ) -> Result<Fetched, ExchangeError> {
        let url = self.url(name.market, "/")?;
        let mut pages = Pages::new(name, closed_by_ms).ok_or_else(|| ExchangeError::Missing {
            url: shown(&url),
            why: format!("{} is only in the archive", name.data),
        })?;
        if let Some(since) = since {
            pages = pages.since(since);
        }
        let (mut hasher, mut bytes, mut csv) = (Hasher::new(), 0, String::new());
        while let Some(question) = pages.question() {
            csv.clear();
            self.answered(name.market, &question, cancel, |answer| {
                pages.take(&answer.body, question.limit, answer.server_ms, &mut csv)
            })
            .await?;
            hasher.update(csv.as_bytes());
            bytes += csv.len() as u64;
            each(&csv);
        }
        Ok(Fetched {
            key: pages.key(),
            bytes,
            sha256: hex(&hasher.finish()),
            rows: pages.rows(),
        })
    }

    /// Asks what a market says of its symbols.
    ///
    /// # Errors
    ///
    /// As [`Rest::rows`].
    pub async fn info(&self, market: Market) -> Result<ExchangeInfo, ExchangeError> {
        let (question, cancel) = (Question::info(market), CancellationToken::new());
        let take = |answer: &Answer| ExchangeInfo::parse(&answer.body);
        let info = self.answered(market, &question, &cancel, take).await?;
        let used = self.most_weight(market);
        if let Some(served) = info.weight_a_minute
            && served < used
        {
            tracing::warn!(
                %market,
                served,
                used,
                "the exchange serves an address less than what requests may weigh here: set --rest-weight"
            );
        }
        Ok(info)
    }

    /// Asks what each symbol of a market traded within the last 24 hours, in its quote.
    ///
    /// # Errors
    ///
    /// As [`Rest::rows`].
    pub async fn volumes(&self, market: Market) -> Result<Volumes, ExchangeError> {
        let (question, cancel) = (Question::ticker(market), CancellationToken::new());
        let take = |answer: &Answer| volumes(market, &answer.body);
        self.answered(market, &question, &cancel, take).await
    }

    /// A symbol's order book, at most so many levels of each side: the answer's text.
    ///
    /// # Errors
    ///
    /// As [`Rest::rows`].
    pub async fn book(
        &self,
        market: Market,
        symbol: &Symbol,
        levels: u32,
        cancel: &CancellationToken,
    ) -> Result<String, ExchangeError> {
        let question = Question::book(market, symbol, levels);
        self.text(market, &question, cancel).await
    }

    /// A symbol's aggregated trades from an id on, or the last ones, at most so many: the answer's text.
    ///
    /// # Errors
    ///
    /// As [`Rest::rows`].
    pub async fn trades(
        &self,
        market: Market,
        symbol: &Symbol,
        from_id: Option<i64>,
        most: u32,
        cancel: &CancellationToken,
    ) -> Result<String, ExchangeError> {
        let question = Question::trades(market, symbol, from_id, most);
        self.text(market, &question, cancel).await
    }

    async fn text(
        &self,
        market: Market,
        question: &Question,
        cancel: &CancellationToken,
    ) -> Result<String, ExchangeError> {
        let take = |answer: &Answer| {
            let text = String::from_utf8(answer.body.clone());
            text.map_err(|_| BadAnswer("the answer is no text".to_owned()))
        };
        self.answered(market, question, cancel, take).await
    }

    /// What came of an answer, asked for until there is one that can be taken.
    async fn answered<T>(
        &self,
        market: Market,
        question: &Question,
        cancel: &CancellationToken,
        mut take: impl FnMut(&Answer) -> Result<T, BadAnswer>,
    ) -> Result<T, ExchangeError> {
        let mut url = self.url(market, question.path)?;
        if !question.pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(&question.pairs);
        }
        let place = shown(&url);
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut retry = Retry::new(self.options.retry.clone());
        loop {
            self.wait_for_weight(&host, market, question.weight, cancel)
                .await?;
            let asked = async {
                let answer = self.ask(url.clone(), &host, question.bounds).await?;
                take(&answer).map_err(|bad| {
                    ExchangeError::Http(ArchiveError::Reply {
                        url: place.clone(),
                        why: bad.to_string(),
                    })
                })
            };
            let asked = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ExchangeError::Cancelled),
                asked = asked => asked,
            };
            let error = match asked {
                Ok(taken) => return Ok(taken),
                // The wait that was told is waited for where the next weight is taken.
                Err(ExchangeError::Http(ArchiveError::RateLimited { .. })) => continue,
                Err(ExchangeError::Http(error)) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            let Some(wait) = retry.failed() else {
                return Err(ExchangeError::Http(error));
            };
            tracing::debug!(error = error.one_line(), ?wait, "repeating a request");
            pause(wait, cancel).await?;
        }
    }

    /// What requests of a market may weigh a minute.
    fn most_weight(&self, market: Market) -> u32 {
        let served = weight_a_minute(market) * SHARE / 100;
        self.options.most_weight.unwrap_or(served)
    }

    async fn wait_for_weight(
        &self,
        host: &str,
        market: Market,
        weight: u32,
        cancel: &CancellationToken,
    ) -> Result<(), ExchangeError> {
        let most = self.most_weight(market);
        while let Some(wait) = self.weights.take(host, weight, most).await? {
            if wait > LONGEST_WAIT {
                return Err(ExchangeError::Held {
                    host: host.to_owned(),
                    wait,
                });
            }
            pause(wait, cancel).await?;
        }
        Ok(())
    }

    async fn ask(&self, url: Url, host: &str, bounds: Bounds) -> Result<Answer, ExchangeError> {
        let place = shown(&url);
        let network = |error| ExchangeError::Http(ArchiveError::network(&place, error));
        let client = self.client().await?;
        self.counters.request();
        let sent = client.get(url).send().await;
        let response = sent.map_err(|error| {
            self.counters.response(None);
            network(error)
        })?;
        let status = response.status();
        self.counters.response(Some(status.as_u16()));
        let used = number(response.headers(), USED_WEIGHT);
        let named = named_wait(response.headers()).map(|wait| wait.min(LONGEST_BAN));
        let server_ms = response
            .headers()
            .get(DATE)
            .and_then(|date| date_ms(date.to_str().ok()?));
        let hold = match status.as_u16() {
            429 => Some(named.unwrap_or(UNNAMED_WAIT)),
            418 => Some(named.unwrap_or(UNNAMED_BAN)),
            403 => named,
            _ => None,
        };
        if used.is_some() || hold.is_some() {
            self.weights.correct(host, used, hold).await?;
        }
        if let Some(wait) = hold {
            tracing::warn!(
                host,
                status = status.as_u16(),
                seconds = wait.as_secs(),
                "the exchange asks for fewer requests: all workers of the queue wait"
            );
            return Err(ExchangeError::Http(ArchiveError::RateLimited {
                url: place,
                status: status.as_u16(),
                wait,
            }));
        }
        let body = timeout(bounds.time, self.body(response, &place, bounds.bytes)).await;
        let body = body.unwrap_or_else(|_| {
            Err(ExchangeError::Http(ArchiveError::Reply {
                url: place.clone(),
                why: format!("it took more than {} s", bounds.time.as_secs()),
            }))
        });
        if status == StatusCode::OK {
            return Ok(Answer {
                body: body?,
                server_ms,
            });
        }
        Err(refusal(place, status.as_u16(), &body.unwrap_or_default()))
    }

    async fn body(
        &self,
        mut response: Response,
        place: &str,
        most_bytes: usize,
    ) -> Result<Vec<u8>, ExchangeError> {
        let mut body = Vec::new();
        let network = |error| ExchangeError::Http(ArchiveError::network(place, error));
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            self.counters.received(chunk.len());
            body.extend_from_slice(&chunk);
            if body.len() > most_bytes {
                return Err(ExchangeError::Http(ArchiveError::TooLarge {
                    what: place.to_owned(),
                    limit: most_bytes as u64,
                    unit: "bytes",
                }));
            }
        }
        Ok(body)
    }

    fn url(&self, market: Market, path: &str) -> Result<Url, ExchangeError> {
        let mut url = match &self.base {
            Some(base) => base.clone(),
            None => parse_base(official_base(market)).map_err(ExchangeError::Http)?,
        };
        url.set_path(path);
        Ok(url)
    }
}

struct Answer {
    body: Vec<u8>,
    server_ms: Option<i64>,
}

/// What an answer that is neither rows nor a wait means.
fn refusal(url: String, status: u16, body: &[u8]) -> ExchangeError {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let message: String = told["msg"]
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    match (status, told["code"].as_i64()) {
        (451, _) => ExchangeError::Region { url },
        (400..=499, Some(NO_SUCH_SYMBOL | OUT_OF_REACH)) => {
            ExchangeError::Missing { url, why: message }
        }
        (400, Some(code)) => ExchangeError::Refused {
            url,
            why: format!("{code} {message}"),
        },
        _ => ExchangeError::Http(ArchiveError::Status { url, status }),
    }
}

fn parse_base(text: &str) -> Result<Url, ArchiveError> {
    let refuse = |why: &str| ArchiveError::Address {
        text: text.split(['@', '?']).next().unwrap_or_default().to_owned(),
        why: format!("{why}; --rest takes scheme, host and port, such as http://127.0.0.1:8080"),
    };
    let url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("only http:// and https:// will do"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a path"));
    }
    Ok(url)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

async fn pause(wait: Duration, cancel: &CancellationToken) -> Result<(), ExchangeError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ExchangeError::Cancelled),
        () = sleep(wait) => Ok(()),
    }
}
