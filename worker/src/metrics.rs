//! What this process did, counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use tapemill_archive::{HttpCounters, RESPONSE_CLASSES};
use tapemill_market::Data;
use tapemill_runtime::{Stage, Stages};

/// Whose counters are there from the start. Those of other data begin at zero when their first task is claimed: all
/// combinations there could be would be thousands of series that stay at zero.
const USUAL: [&str; 2] = ["aggTrades", "klines:1m"];

/// What is no kind of data is counted here, so that no name from outside becomes a label.
const OTHER: &str = "other";

/// How a task can be finished.
const OUTCOMES: [&str; 3] = ["done", "missing", "dead"];

/// Why an attempt can fail.
const REASONS: [&str; 20] = [
    "http_403",
    "http_4xx",
    "http_5xx",
    "http_other",
    "rate_limited",
    "network",
    "bad_reply",
    "listing",
    "ambiguous",
    "io",
    "too_large",
    "sidecar",
    "key",
    "client",
    "corrupt",
    "unstable",
    "output",
    "internal",
    "unknown_task",
    OTHER,
];

/// From a day of a quiet symbol to a month of a busy one over a slow line, in seconds.
const DURATIONS: [f64; 11] = [
    0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
];

/// A sixth of a lease is 10 s unless told otherwise.
const DELAYS: [f64; 8] = [0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The counters of a process that works. Clones are the same counters.
#[derive(Clone)]
pub struct WorkerMetrics {
    finished: IntCounterVec,
    failures: IntCounterVec,
    durations: HistogramVec,
    rows: IntCounterVec,
    bytes: IntCounterVec,
    leases_lost: IntCounter,
    heartbeat_delay: Histogram,
}

impl WorkerMetrics {
    /// Registers the counters, and those that the source and the stages keep themselves.
    ///
    /// # Errors
    ///
    /// When the registry has these metrics already.
    pub fn register(
        registry: &Registry,
        source: Arc<HttpCounters>,
        stages: Arc<Stages>,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            finished: counters(
                "tapemill_tasks_finished_total",
                "Tasks that this process finished.",
                &["dataset", "outcome"],
            )?,
            failures: counters(
                "tapemill_task_failures_total",
                "Attempts that failed, the last ones of dead tasks included.",
                &["dataset", "reason"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "tapemill_task_duration_seconds",
                    "From claim to completion, of tasks done.",
                )
                .buckets(DURATIONS.into()),
                &["dataset"],
            )?,
            rows: counters(
                "tapemill_rows_total",
                "Rows of the archives done.",
                &["dataset"],
            )?,
            bytes: counters(
                "tapemill_bytes_total",
                "Bytes received from the archive (in), and of tables published (out).",
                &["direction"],
            )?,
            leases_lost: IntCounter::new(
                "tapemill_lease_lost_total",
                "Leases that this process lost: their attempts stopped and did not count.",
            )?,
            heartbeat_delay: Histogram::with_opts(
                HistogramOpts::new(
                    "tapemill_heartbeat_delay_seconds",
                    "How much later than due heartbeats are sent.",
                )
                .buckets(DELAYS.into()),
            )?,
        };
        USUAL.iter().for_each(|dataset| metrics.begin(dataset));
        metrics.bytes.with_label_values(&["out"]);
        registry.register(Box::new(metrics.finished.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.rows.clone()))?;
        registry.register(Box::new(metrics.leases_lost.clone()))?;
        registry.register(Box::new(metrics.heartbeat_delay.clone()))?;
        registry.register(Box::new(Kept {
            stage_seconds: CounterVec::new(
                Opts::new(
                    "tapemill_stage_seconds_total",
                    "Time spent in each stage, added up over all threads.",
                ),
                &["stage"],
            )?,
            responses: counters(
                "tapemill_http_responses_total",
                "Answers of the archive by class; none: there was no answer.",
                &["class"],
            )?,
            resumes: IntCounter::new(
                "tapemill_fetch_resumes_total",
                "Transfers that went on by range after a cut.",
            )?,
            bytes: metrics.bytes.clone(),
            source,
            stages,
            reading: Mutex::new(()),
        }))?;
        Ok(metrics)
    }

    /// A task of this dataset is claimed: its counters are there from now on.
    pub(crate) fn begin(&self, dataset: &str) {
        let dataset = known(dataset);
        for outcome in OUTCOMES {
            self.finished.with_label_values(&[dataset, outcome]);
        }
        for reason in REASONS {
            self.failures.with_label_values(&[dataset, reason]);
        }
        self.durations.with_label_values(&[dataset]);
        self.rows.with_label_values(&[dataset]);
    }

    /// A task was finished: `done`, `missing` or `dead`.
    pub(crate) fn finished(&self, dataset: &str, outcome: &str) {
        let labels = [known(dataset), outcome];
        self.finished.with_label_values(&labels).inc();
    }

    /// A task done took this long and had so many rows.
    pub(crate) fn milled(&self, dataset: &str, took: Duration, rows: u64) {
        let labels = [known(dataset)];
        let duration = self.durations.with_label_values(&labels);
        duration.observe(took.as_secs_f64());
        self.rows.with_label_values(&labels).inc_by(rows);
    }

    /// Tables of so many bytes were published.
    pub(crate) fn published(&self, bytes: u64) {
        self.bytes.with_label_values(&["out"]).inc_by(bytes);
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, dataset: &str, reason: &str) {
        let listed = REASONS.into_iter().find(|listed| *listed == reason);
        let labels = [known(dataset), listed.unwrap_or(OTHER)];
        self.failures.with_label_values(&labels).inc();
    }

    /// A lease was lost.
    pub(crate) fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    /// A heartbeat was sent this much later than it was due.
    pub(crate) fn heartbeat(&self, late: Duration) {
        self.heartbeat_delay.observe(late.as_secs_f64());
    }
}

/// The label of a dataset that a task of the queue names.
fn known(dataset: &str) -> &str {
    match Data::parse_list(dataset) {
        Ok(items) if items.len() == 1 => dataset,
        _ => OTHER,
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// Counters that others keep, read when they are scraped.
struct Kept {
    stage_seconds: CounterVec,
    responses: IntCounterVec,
    resumes: IntCounter,
    bytes: IntCounterVec,
    source: Arc<HttpCounters>,
    stages: Arc<Stages>,
    /// Held by a scrape: two at once would raise a counter twice.
    reading: Mutex<()>,
}

impl Kept {
    fn all(&self) -> [&dyn Collector; 4] {
        [
            &self.stage_seconds,
            &self.responses,
            &self.resumes,
            &self.bytes,
        ]
    }

    fn read(&self) {
        for stage in Stage::ALL {
            let counter = self.stage_seconds.with_label_values(&[stage.name()]);
            let spent = self.stages.spent(stage).as_secs_f64();
            counter.inc_by((spent - counter.get()).max(0.0));
        }
        let source = self.source.stats();
        for (class, count) in RESPONSE_CLASSES.into_iter().zip(source.responses) {
            raise(&self.responses.with_label_values(&[class]), count);
        }
        raise(&self.resumes, source.resumes);
        raise(&self.bytes.with_label_values(&["in"]), source.bytes);
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

impl Collector for Kept {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.read();
        self.all()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn counters_are_there_from_the_start_and_labels_are_closed() {
        let registry = Registry::new();
        let stages = Arc::new(Stages::new());
        let metrics = WorkerMetrics::register(&registry, Arc::default(), stages.clone()).unwrap();
        let text = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather());
            text.unwrap()
        };
        let has = |line: &str| text().lines().any(|found| found == line);
        for line in [
            "tapemill_tasks_finished_total{dataset=\"klines:1m\",outcome=\"dead\"} 0",
            "tapemill_task_failures_total{dataset=\"aggTrades\",reason=\"http_5xx\"} 0",
            "tapemill_task_duration_seconds_count{dataset=\"aggTrades\"} 0",
            "tapemill_stage_seconds_total{stage=\"write\"} 0",
            "tapemill_bytes_total{direction=\"in\"} 0",
            "tapemill_bytes_total{direction=\"out\"} 0",
            "tapemill_http_responses_total{class=\"none\"} 0",
            "tapemill_fetch_resumes_total 0",
            "tapemill_lease_lost_total 0",
            "tapemill_heartbeat_delay_seconds_count 0",
        ] {
            assert!(has(line), "no {line} in\n{}", text());
        }

        metrics.failed("um/../../etc", "a new reason");
        metrics.begin("klines:1h");
        stages.add(Stage::Write, Duration::from_millis(1500));

        assert!(has(
            "tapemill_task_failures_total{dataset=\"other\",reason=\"other\"} 1"
        ));
        assert!(has(
            "tapemill_tasks_finished_total{dataset=\"klines:1h\",outcome=\"done\"} 0"
        ));
        assert!(has("tapemill_stage_seconds_total{stage=\"write\"} 1.5"));
        assert!(has("tapemill_stage_seconds_total{stage=\"write\"} 1.5"));
    }
}
