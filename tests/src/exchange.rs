//! The exchange's REST interface of a test's own.

use tapemill_standin::exchange::{Asked, Exchange, ExchangeOptions};
use tokio::runtime::Runtime;

/// A stand-in on a port of its own.
pub struct Rest {
    exchange: Exchange,
    // Dropped last: the server runs on it.
    _runtime: Runtime,
}

impl Rest {
    /// Of these symbols, listed at a time.
    pub fn new(symbols: &[&str], listed_ms: i64) -> Self {
        Self::with(ExchangeOptions::new(symbols, listed_ms))
    }

    /// As the options say.
    pub fn with(options: ExchangeOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let exchange = runtime
            .block_on(Exchange::start(options))
            .expect("the stand-in starts");
        Self {
            exchange,
            _runtime: runtime,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.exchange.url
    }

    /// The requests so far, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.exchange.asked()
    }

    /// Answers the next request with a status, and asks to wait so many seconds.
    pub fn refuse_next(&self, status: u16, retry_after: Option<u64>) {
        self.exchange.refuse_next(status, retry_after);
    }
}
