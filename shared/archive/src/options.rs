//! How an archive is reached.

use std::{sync::Arc, time::Duration};

use crate::{Bandwidth, Brake, RetryPolicy};

/// How an archive is reached over HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The address above `data/`.
    pub base: String,
    /// The S3 listing; by default the exchange's for its own archive, else the base.
    pub listing: Option<String>,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest time without a byte; then the transfer counts as cut.
    pub read_timeout: Duration,
    /// What we call ourselves.
    pub user_agent: String,
    /// How listings, probes and small files are repeated.
    pub retry: RetryPolicy,
    /// What every request waits for.
    pub brake: Arc<Brake>,
    /// What all bodies come no faster than together; without it, as fast as they can.
    pub bandwidth: Option<Arc<Bandwidth>>,
}

impl HttpOptions {
    /// The defaults for an address.
    pub fn new(base: impl Into<String>, brake: Arc<Brake>) -> Self {
        Self {
            base: base.into(),
            listing: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            user_agent: concat!("tapemill/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            brake,
            bandwidth: None,
        }
    }
}
