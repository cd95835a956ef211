//! What every process tells of itself, and how it is told.

use std::sync::Arc;

use futures::future::BoxFuture;
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

/// The metrics of a process: a registry of its own, and what has to be read before each scrape.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    before: Option<Arc<Before>>,
}

type Before = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

impl Metrics {
    /// With the version, and what the system knows of the process.
    pub fn new() -> Self {
        let registry = Registry::new();
        let info = IntGaugeVec::new(
            Opts::new("tapemill_build_info", "The release that runs; always 1."),
            &["version"],
        )
        .expect("the name is fixed");
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry
            .register(Box::new(info))
            .expect("nothing else is called so");
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(
                prometheus::process_collector::ProcessCollector::for_self(),
            ))
            .expect("nothing else is called so");
        Self {
            registry,
            before: None,
        }
    }

    /// Where collectors are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Has this done before each scrape.
    #[must_use]
    pub fn before_each_scrape(
        mut self,
        read: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.before = Some(Arc::new(read));
        self
    }

    /// Everything in the text format.
    pub async fn text(&self) -> String {
        if let Some(before) = &self.before {
            before().await;
        }
        // Only a metric of a broken type cannot be written, and none of ours is.
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
