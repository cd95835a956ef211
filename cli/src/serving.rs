//! How a long-running process is watched, and how it waits for a queue that does not answer.

use std::sync::Arc;

use tapemill_archive::Source;
use tapemill_queue::{Meter, Queue};
use tapemill_runtime::{Health, Metrics, Outages, Router, Server, Shutdown, Stages, vitals};
use tapemill_worker::WorkerMetrics;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::progress::Terminal;

/// Health, metrics and outages of one process.
pub struct Serving {
    /// What it tells in numbers.
    pub metrics: Metrics,
    /// Whether it lives and is ready.
    pub health: Health,
    /// Of its queue.
    pub outages: Outages,
    /// Fires when what it serves has to end.
    pub stop: CancellationToken,
    /// Of the calls to its queue.
    pub meter: Meter,
    draining: CancellationToken,
}

impl Serving {
    /// Of a process that drains with `shutdown`, and is ready while its queue answers.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self::ready_when(shutdown, true, || Ok(()))
    }

    /// As [`Self::new`], of a process that may have no queue, and is ready only while `more` gives no reason why it is not.
    pub fn ready_when(
        shutdown: &Shutdown,
        has_queue: bool,
        more: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let metrics = Metrics::new();
        let meter = Meter::register(metrics.registry()).expect("the registry is new");
        let outages = Outages::of("the queue", "answers again");
        // The queue may answer some calls and refuse others, as one that is full does.
        let (answers, lasting) = (meter.clone(), outages.clone());
        let ready = move || {
            if has_queue {
                lasting.none_lasts()?;
                answers.ready()?;
            }
            more()
        };
        let draining = shutdown.draining().clone();
        Self {
            metrics,
            health: Health::new(draining.clone(), ready),
            outages,
            stop: CancellationToken::new(),
            meter,
            draining,
        }
    }

    /// The counters of the work, and of what is asked of the archive.
    pub fn work(&self, source: &dyn Source, stages: &Arc<Stages>) -> WorkerMetrics {
        let counters = source.counters().clone();
        WorkerMetrics::register(self.metrics.registry(), counters, stages.clone())
            .expect("they are registered once")
    }

    /// Serves health, metrics and `more`, and says where; nothing without an address.
    ///
    /// # Errors
    ///
    /// When the address is taken.
    pub async fn serve(
        &self,
        listen: Option<&str>,
        more: Router,
        terminal: &Terminal,
    ) -> Result<Option<Server>, Failure> {
        let Some(listen) = listen else {
            return Ok(None);
        };
        let routes = vitals(self.health.clone(), self.metrics.clone()).merge(more);
        let server = Server::start(listen, routes, self.stop.clone()).await?;
        let line = format!("listening on http://{}", server.address());
        // A port that was picked is worth nothing unless it is told.
        match listen.ends_with(":0") {
            true => terminal.announce(&line),
            false => terminal.say(&line),
        }
        Ok(Some(server))
    }

    /// A queue, measured.
    pub fn measured(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        self.meter.measure(queue)
    }

    /// Repeats what needs the queue while that does not answer; `None` when the process is told to end meanwhile.
    ///
    /// # Errors
    ///
    /// What waiting does not heal.
    pub async fn once_it_answers<T, F>(
        &self,
        mut open: impl FnMut() -> F,
    ) -> Result<Option<T>, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut outage = self.outages.caller();
        loop {
            let failure = match open().await {
                Err(failure) => failure,
                Ok(opened) => {
                    outage.answered();
                    return Ok(Some(opened));
                }
            };
            let Some(error) = failure.outage() else {
                return Err(failure);
            };
            self.meter.failed(error);
            let wait = outage.failed(error);
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
