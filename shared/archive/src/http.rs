//! An archive behind HTTP: the exchange's own, or a mirror with the same paths.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, ACCEPT_RANGES, ETAG, IF_RANGE, LAST_MODIFIED, RANGE},
};
use tokio::time::{sleep, timeout};

use crate::{
    ArchiveError, Bandwidth, Brake, HttpCounters, HttpOptions, Object, Opened, Query, Retry,
    RetryPolicy, Source, SymbolOf, Validator,
    address::{Address, shown},
    client::{ClientSettings, client},
    listing::{Page, PageError, parse_page},
    pages::{Step, Walk, Wanted},
    reply,
};

/// The exchange's own archive.
pub const OFFICIAL_BASE: &str = "https://data.binance.vision";

/// Its listing, which lives elsewhere.
pub const OFFICIAL_LISTING: &str = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision";

/// A page of a listing holds 1,000 keys, about 300 bytes each.
const LARGEST_PAGE: u64 = 16 << 20;

/// Of a refusal's body this much is read, so that its connection can serve again.
const DRAINED: usize = 64 << 10;

/// The longest a small file or a page may take as a whole.
const SMALL_TIMEOUT: Duration = Duration::from_secs(120);

/// An archive behind HTTP. Connections are reused; proxies and certificate authorities come from
/// the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`).
#[derive(Debug)]
pub struct HttpSource {
    client: Client,
    base: Address,
    listing: Address,
    retry: RetryPolicy,
    brake: Arc<Brake>,
    bandwidth: Option<Arc<Bandwidth>>,
    counters: Arc<HttpCounters>,
}

/// Cuts of one small answer that are forgiven because bytes came. It is asked for as a whole each time, so they are
/// no progress that could go on for ever.
const FORGIVEN_CUTS: u32 = 20;

/// An answer that is no failure.
enum Answer {
    Found(Response),
    Absent,
}

/// A request that failed.
struct Failed {
    error: ArchiveError,
    /// Whether it was cut after bytes of its body had come.
    cut: bool,
}

impl From<ArchiveError> for Failed {
    fn from(error: ArchiveError) -> Self {
        Self { error, cut: false }
    }
}

impl HttpSource {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Address`] for an unusable base or listing, [`ArchiveError::Client`] for
    /// certificates or proxies of the environment that cannot be used.
    pub fn new(options: HttpOptions) -> Result<Self, ArchiveError> {
        let base = Address::parse(&options.base)?;
        let listing = match &options.listing {
            Some(listing) => Address::parse(listing)?,
            None if base.is_root_of(OFFICIAL_BASE) => Address::parse(OFFICIAL_LISTING)?,
            None => base.clone(),
        };
        let client = client(&ClientSettings {
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            user_agent: &options.user_agent,
            https: base.is_https() || listing.is_https(),
        })?;
        Ok(Self {
            client,
            base,
            listing,
            retry: options.retry,
            brake: options.brake,
            bandwidth: options.bandwidth,
            counters: Arc::default(),
        })
    }

    /// Where it lists, for messages.
    pub fn listing(&self) -> String {
        self.listing.shown()
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client
            .request(method, url)
            .header(ACCEPT_ENCODING, "identity")
    }

    /// Sends one request. A 2xx is found, a 404 absent, everything else an error.
    async fn send(&self, request: RequestBuilder, url: &str) -> Result<Answer, ArchiveError> {
        self.counters.request();
        let response = request.send().await.map_err(|error| {
            self.counters.response(None);
            ArchiveError::network(url, error)
        })?;
        let status = response.status();
        self.counters.response(Some(status.as_u16()));
        if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            self.brake.eased();
            return Ok(Answer::Found(response));
        }
        let error = self.refusal(&response, url);
        drain(response).await;
        match status {
            StatusCode::NOT_FOUND => Ok(Answer::Absent),
            _ => Err(error),
        }
    }

    fn refusal(&self, response: &Response, url: &str) -> ArchiveError {
        let status = response.status().as_u16();
        let named = reply::retry_after(response.headers());
        if matches!(status, 418 | 429) || (status == 403 && named.is_some()) {
            return ArchiveError::RateLimited {
                url: url.to_owned(),
                status,
                wait: self.brake.refused(named),
            };
        }
        ArchiveError::Status {
            url: url.to_owned(),
            status,
        }
    }

    /// Repeats a request as the policy has it.
    async fn retried<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T, ArchiveError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut retry = Retry::new(self.retry.clone());
        let mut cuts = 0;
        loop {
            self.brake.free().await;
            let Failed { error, cut } = match request().await {
                Err(failed) if failed.error.is_transient() => failed,
                settled => return settled.map_err(|failed| failed.error),
            };
            let wait = if cut && cuts < FORGIVEN_CUTS {
                cuts += 1;
                retry.progress();
                Some(retry.after_progress())
            } else {
                retry.failed()
            };
            let Some(wait) = wait else {
                return Err(error);
            };
            tracing::debug!(error = error.one_line(), ?wait, "repeating a request");
            sleep(wait).await;
        }
    }

    /// A body as a whole, bounded in size and time.
    async fn whole(
        &self,
        request: RequestBuilder,
        url: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, Failed> {
        let too_slow = |_| ArchiveError::reply(url, "it took more than two minutes");
        let read = async {
            let Answer::Found(response) = self.send(request, url).await? else {
                return Ok::<_, Failed>(None);
            };
            let too_large = || ArchiveError::TooLarge {
                what: url.to_owned(),
                limit,
                unit: "bytes",
            };
            if reply::length(response.headers()).is_some_and(|length| length > limit) {
                return Err(too_large().into());
            }
            let mut body = response.bytes_stream();
            let mut whole = BytesMut::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| Failed {
                    error: ArchiveError::network(url, error),
                    cut: !whole.is_empty(),
                })?;
                self.counters.received(chunk.len());
                if (whole.len() + chunk.len()) as u64 > limit {
                    return Err(too_large().into());
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(Some(whole.freeze()))
        };
        let whole = timeout(SMALL_TIMEOUT, read).await.map_err(too_slow)??;
        // It is here as a whole already, but those that follow wait for it, and the cap does not cost it its time.
        if let (Some(bandwidth), Some(whole)) = (&self.bandwidth, &whole) {
            bandwidth.pass(whole.len()).await;
        }
        Ok(whole)
    }

    /// All pages of a listing, into `walk`.
    async fn walk(&self, walk: &mut Walk<'_>) -> Result<(), ArchiveError> {
        loop {
            let page = self.page(walk).await?;
            let more = walk.take(page).map_err(|why| self.no_listing(why))?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn page(&self, walk: &Walk<'_>) -> Result<Page, ArchiveError> {
        let mut pairs = vec![("delimiter", "/"), ("prefix", walk.prefix())];
        match walk.step() {
            Step::Marker(marker) if marker.is_empty() => {}
            Step::Marker(marker) => pairs.push(("marker", marker)),
            Step::Token(token) => {
                pairs.extend([("list-type", "2"), ("continuation-token", token.as_str())]);
            }
        }
        let address = self.listing.query(&pairs);
        let url = self.listing.shown();
        self.retried(async || {
            let request = self.request(Method::GET, address.clone());
            let reply = self
                .whole(request, &url, LARGEST_PAGE)
                .await?
                .ok_or_else(|| self.no_listing("it answered 404".to_owned()))?;
            let page = parse_page(&reply).map_err(|error| match error {
                PageError::Foreign(why) => self.no_listing(why),
                PageError::Broken(why) => {
                    ArchiveError::reply(&url, format!("a page of the listing: {why}"))
                }
            });
            Ok(page?)
        })
        .await
    }

    fn no_listing(&self, why: String) -> ArchiveError {
        ArchiveError::Listing {
            url: self.listing.shown(),
            why,
        }
    }

    async fn probe(&self, key: &str, url: &Url) -> Result<Option<Object>, ArchiveError> {
        let name = shown(url);
        let head = self.request(Method::HEAD, url.clone());
        match self.send(head, &name).await {
            Ok(Answer::Absent) => return Ok(None),
            Ok(Answer::Found(response)) => {
                if let Some(bytes) = reply::length(response.headers()) {
                    return Ok(Some(object(key, bytes, &response)));
                }
            }
            // A plain file server may know only GET.
            Err(ArchiveError::Status {
                status: 405 | 501, ..
            }) => {}
            Err(error) => return Err(error),
        }
        // Meanwhile another request may have been told to wait.
        self.brake.free().await;
        let first_byte = self
            .request(Method::GET, url.clone())
            .header(RANGE, "bytes=0-0");
        let Answer::Found(response) = self.send(first_byte, &name).await? else {
            return Ok(None);
        };
        let bytes = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                reply::content_range(response.headers()).and_then(|range| range.total)
            }
            _ => reply::length(response.headers()),
        };
        let bytes = bytes.ok_or_else(|| ArchiveError::reply(&name, "it tells no size"))?;
        Ok(Some(object(key, bytes, &response)))
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn list(&self, query: &Query) -> Result<Vec<Object>, ArchiveError> {
        let mut walk = Walk::new(Wanted::Files(query));
        self.walk(&mut walk).await?;
        Ok(walk.objects())
    }

    async fn folders(
        &self,
        prefix: &str,
        _symbol_of: SymbolOf<'_>,
    ) -> Result<Vec<String>, ArchiveError> {
        let mut walk = Walk::new(Wanted::Folders(prefix));
        self.walk(&mut walk).await?;
        Ok(walk.folders())
    }

    async fn head(&self, key: &str) -> Result<Option<Object>, ArchiveError> {
        let url = self.base.file(key)?;
        self.retried(async || Ok(self.probe(key, &url).await?))
            .await
    }

    async fn small(&self, key: &str, limit: u64) -> Result<Option<Bytes>, ArchiveError> {
        let url = self.base.file(key)?;
        let name = shown(&url);
        self.retried(|| self.whole(self.request(Method::GET, url.clone()), &name, limit))
            .await
    }

    async fn open(
        &self,
        key: &str,
        from: u64,
        validator: Option<&Validator>,
    ) -> Result<Opened, ArchiveError> {
        let url = self.base.file(key)?;
        let name = shown(&url);
        let mut request = self.request(Method::GET, url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
            if let Some(condition) = validator.and_then(Validator::if_range) {
                request = request.header(IF_RANGE, condition);
            }
        }
        let Answer::Found(response) = self.send(request, &name).await? else {
            return Err(ArchiveError::Missing {
                key: key.to_owned(),
            });
        };
        self.opened(response, from, name)
    }

    fn counters(&self) -> &Arc<HttpCounters> {
        &self.counters
    }

    fn place(&self) -> String {
        self.base.shown()
    }
}

impl HttpSource {
    fn opened(&self, response: Response, from: u64, url: String) -> Result<Opened, ArchiveError> {
        let headers = response.headers();
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let (offset, total) = if partial {
            match reply::content_range(headers) {
                Some(range) if range.first == from => (from, range.total),
                _ => return Err(ArchiveError::reply(&url, "it is not the range asked for")),
            }
        } else {
            (0, reply::length(headers))
        };
        let ranges = partial
            || reply::text(headers, &ACCEPT_RANGES)
                .is_some_and(|unit| unit.eq_ignore_ascii_case("bytes"));
        let validator = reply::validator(headers);
        let counters = self.counters.clone();
        let body = response
            .bytes_stream()
            .inspect_ok(move |chunk| counters.received(chunk.len()))
            .map_err(move |error| ArchiveError::network(&url, error))
            .boxed();
        let body = match &self.bandwidth {
            Some(bandwidth) => bandwidth.clone().pace(body),
            None => body,
        };
        Ok(Opened {
            offset,
            total,
            validator,
            ranges,
            body,
        })
    }
}

fn object(key: &str, bytes: u64, response: &Response) -> Object {
    Object {
        key: key.to_owned(),
        bytes,
        etag: reply::text(response.headers(), &ETAG),
        last_modified: reply::text(response.headers(), &LAST_MODIFIED),
        has_sidecar: false,
    }
}

/// Reads a refusal's body to its end, where that is near, so that the connection can be reused.
async fn drain(response: Response) {
    let mut body = response.bytes_stream();
    let read = async {
        let mut left = DRAINED;
        while let Some(Ok(chunk)) = body.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Too slow a body is simply dropped, and its connection with it.
    let _ = timeout(Duration::from_secs(2), read).await;
}
