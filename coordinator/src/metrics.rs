//! What the queue knows, as gauges: read from it at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};
use tapemill_market::Data;
use tapemill_queue::{Stats, TaskState, WorkerState};

use crate::view::QueueView;

/// What is no kind of data is counted here, as workers do it: no name from outside becomes a label.
const OTHER: &str = "other";

/// The gauges of one queue. While the queue does not answer they are absent, not stale.
#[derive(Clone)]
pub struct QueueGauges(Arc<Inner>);

struct Inner {
    view: Arc<QueueView>,
    /// The queue's name, in every label.
    label: String,
    seen: Mutex<Option<Arc<Stats>>>,
    tasks: GaugeVec,
    bytes: GaugeVec,
    oldest_pending: GaugeVec,
    oldest_lease: GaugeVec,
    paused: GaugeVec,
    brake: GaugeVec,
    workers: GaugeVec,
    store: GaugeVec,
}

impl QueueGauges {
    /// Registers the gauges of a queue; `label` is its name, and never a URL with a password in it.
    ///
    /// # Errors
    ///
    /// When the registry has these gauges already.
    pub fn register(
        registry: &Registry,
        view: Arc<QueueView>,
        label: impl Into<String>,
    ) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let labels: Vec<&str> = ["queue"].iter().chain(labels).copied().collect();
            GaugeVec::new(Opts::new(name, help), &labels)
        };
        let gauges = Self(Arc::new(Inner {
            view,
            label: label.into(),
            seen: Mutex::default(),
            tasks: gauge(
                "tapemill_queue_tasks",
                "Tasks by dataset and state.",
                &["dataset", "state"],
            )?,
            bytes: gauge(
                "tapemill_queue_bytes",
                "Sizes of the tasks' archives by dataset and state.",
                &["dataset", "state"],
            )?,
            oldest_pending: gauge(
                "tapemill_queue_oldest_pending_age_seconds",
                "How long the oldest claimable task has waited; 0 when none waits.",
                &[],
            )?,
            oldest_lease: gauge(
                "tapemill_queue_oldest_lease_age_seconds",
                "How long the oldest attempt has run; 0 when none runs.",
                &[],
            )?,
            paused: gauge(
                "tapemill_queue_paused",
                "Whether claims are refused until someone resumes: 1 or 0.",
                &[],
            )?,
            brake: gauge(
                "tapemill_brake_seconds_remaining",
                "How long claims are still refused because the archive asked for fewer requests.",
                &[],
            )?,
            workers: gauge(
                "tapemill_workers",
                "Workers heard of lately, by what they do.",
                &["state"],
            )?,
            store: gauge(
                "tapemill_store_memory_bytes",
                "What the queue's store takes, in memory or on disk.",
                &[],
            )?,
        }));
        registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    /// Reads the queue; to be done before each scrape.
    pub fn read(&self) -> BoxFuture<'static, ()> {
        let gauges = self.0.clone();
        Box::pin(async move {
            let seen = gauges.view.stats().await.ok();
            *gauges.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        })
    }
}

impl Inner {
    fn all(&self) -> [&GaugeVec; 8] {
        [
            &self.tasks,
            &self.bytes,
            &self.oldest_pending,
            &self.oldest_lease,
            &self.paused,
            &self.brake,
            &self.workers,
            &self.store,
        ]
    }

    fn set(&self, stats: &Stats) {
        let queue = self.label.as_str();
        for (dataset, counts) in &stats.datasets {
            for (state, count) in TaskState::ALL.iter().zip(counts) {
                let labels = [queue, known(dataset), state.as_str()];
                // Added, since several may be no kind of data.
                self.tasks
                    .with_label_values(&labels)
                    .add(count.tasks as f64);
                self.bytes
                    .with_label_values(&labels)
                    .add(count.bytes as f64);
            }
        }
        for (state, &count) in WorkerState::ALL.iter().zip(&stats.workers) {
            let labels = [queue, state.as_str()];
            self.workers.with_label_values(&labels).set(count as f64);
        }
        let seconds = |age: Option<std::time::Duration>| age.unwrap_or_default().as_secs_f64();
        for (gauge, value) in [
            (&self.oldest_pending, seconds(stats.oldest_pending_age)),
            (&self.oldest_lease, seconds(stats.oldest_lease_age)),
            (&self.paused, f64::from(u8::from(stats.paused))),
            (&self.brake, seconds(stats.brake)),
            (&self.store, stats.store_bytes as f64),
        ] {
            gauge.with_label_values(&[queue]).set(value);
        }
    }
}

/// The label of a dataset that the queue names.
fn known(dataset: &str) -> &str {
    match Data::parse_list(dataset) {
        Ok(items) if items.len() == 1 => dataset,
        _ => OTHER,
    }
}

impl Collector for QueueGauges {
    fn desc(&self) -> Vec<&Desc> {
        self.0
            .all()
            .into_iter()
            .flat_map(|gauge| gauge.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held throughout, so that two scrapes do not see each other's half.
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.all().iter().for_each(|gauge| gauge.reset());
        if let Some(seen) = &*seen {
            self.0.set(seen);
        }
        self.0
            .all()
            .into_iter()
            .flat_map(|gauge| gauge.collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use tapemill_queue::Count;

    use super::*;

    #[test]
    fn what_is_no_kind_of_data_is_counted_together() {
        let registry = Registry::new();
        let gauges = QueueGauges::register(&registry, QueueView::new("q"), "q").unwrap();
        let waiting = |tasks| [Count { tasks, bytes: 10 }; 5];
        let datasets = ["klines:1h", "../etc", "a\nb", "aggTrades,trades"];
        let datasets = datasets.map(|dataset| (dataset.to_owned(), waiting(3)));
        let stats = Stats {
            datasets: datasets.into(),
            ..Stats::default()
        };
        *gauges.0.seen.lock().unwrap() = Some(Arc::new(stats));

        for _ in ["a scrape", "another adds nothing"] {
            let text = TextEncoder::new().encode_to_string(&registry.gather());
            let text = text.unwrap();
            for (dataset, tasks) in [("klines:1h", 3), ("other", 9)] {
                let line = format!(
                    "tapemill_queue_tasks{{dataset=\"{dataset}\",queue=\"q\",state=\"dead\"}} {tasks}\n"
                );
                assert!(text.contains(&line), "no {line} in\n{text}");
            }
            assert_eq!(text.matches("tapemill_queue_tasks{").count(), 10, "{text}");
        }
    }
}
