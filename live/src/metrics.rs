//! What a collector did, for whoever scrapes it.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

use crate::collector::State;

/// From what a good line has to what nobody wants, in seconds.
const LAGS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What of a state a number is.
type Of = fn(&State) -> u64;

/// The numbers of one collector.
pub struct LiveMetrics {
    counters: Vec<(IntCounter, Of)>,
    gauges: Vec<(IntGauge, Of)>,
    gaps_per_million: Gauge,
    flush_seconds: Gauge,
    lag: Histogram,
}

impl LiveMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// Where they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters: [(&str, &str, Of); 13] = [
            ("frames_total", "Messages of all connections.", |state| {
                state.counts.frames
            }),
            (
                "rows_total",
                "Rows that were stored or are held.",
                |state| state.counts.rows,
            ),
            ("bytes_total", "Bytes of messages.", |state| state.bytes),
            ("stored_rows_total", "Rows that are durable.", |state| {
                state.written.stored.rows
            }),
            ("stored_bytes_total", "Bytes of files.", |state| {
                state.written.stored.bytes
            }),
            ("gaps_total", "Holes in streams.", |state| state.counts.gaps),
            (
                "missing_ids_total",
                "Messages in holes, where ids count.",
                |state| state.counts.missing,
            ),
            (
                "filled_total",
                "Messages of holes that were asked for and came.",
                |state| state.counts.filled,
            ),
            (
                "duplicates_total",
                "Messages that were known already.",
                |state| state.counts.duplicates,
            ),
            (
                "resyncs_total",
                "Books that found their snapshot.",
                |state| state.counts.resyncs,
            ),
            (
                "dropped_total",
                "Rows that were not stored, for their symbols had been taken over.",
                |state| state.dropped,
            ),
            (
                "malformed_total",
                "Texts that could not be read.",
                |state| state.counts.malformed,
            ),
            (
                "flush_failures_total",
                "Tries to store rows that failed.",
                |state| state.written.failures,
            ),
        ];
        let gauges: [(&str, &str, Of); 2] = [
            ("connections", "Connections that are open.", |state| {
                state.connections as u64
            }),
            (
                "buffered_bytes",
                "Rows that are not stored yet, about.",
                |state| state.held.1 as u64,
            ),
        ];
        let name = |name: &str| format!("tapemill_live_{name}");
        let mut metrics = Self {
            counters: Vec::new(),
            gauges: Vec::new(),
            gaps_per_million: Gauge::new(name("gaps_per_million"), "Holes in a million rows.")?,
            flush_seconds: Gauge::new(name("flush_seconds"), "What the last flush took.")?,
            lag: Histogram::with_opts(
                HistogramOpts::new(
                    name("lag_seconds"),
                    "From the exchange's time of a message to its receipt; none below zero.",
                )
                .buckets(LAGS.to_vec()),
            )?,
        };
        for (short, help, of) in counters {
            let counter = IntCounter::new(name(short), help)?;
            registry.register(Box::new(counter.clone()))?;
            metrics.counters.push((counter, of));
        }
        for (short, help, of) in gauges {
            let gauge = IntGauge::new(name(short), help)?;
            registry.register(Box::new(gauge.clone()))?;
            metrics.gauges.push((gauge, of));
        }
        registry.register(Box::new(metrics.gaps_per_million.clone()))?;
        registry.register(Box::new(metrics.flush_seconds.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        Ok(metrics)
    }

    /// Takes how the collector is.
    pub fn take(&self, state: &State) {
        for (counter, of) in &self.counters {
            counter.inc_by(of(state).saturating_sub(counter.get()));
        }
        for (gauge, of) in &self.gauges {
            gauge.set(i64::try_from(of(state)).unwrap_or(i64::MAX));
        }
        let (gaps, rows) = (state.counts.gaps as f64, state.counts.rows.max(1) as f64);
        self.gaps_per_million.set(gaps * 1e6 / rows);
        self.flush_seconds
            .set(state.written.last_flush.as_secs_f64());
        for lag in &state.lags {
            self.lag.observe((*lag).max(0) as f64 / 1e3);
        }
    }
}
