//! What a collector did, for whoever scrapes it.

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use tapemill_stream::Channel;

use crate::collector::State;
use crate::rows::dataset_of;

/// From what a good line has to what nobody wants, in seconds.
const LAGS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Why a connection is replaced; each is told from the beginning, so that the first one is an increase.
const CAUSES: [&str; 3] = ["disconnect", "silent", "rotation"];

/// What of a state a number is.
type Of = fn(&State) -> u64;

/// The numbers of one collector.
pub struct LiveMetrics {
    counters: Vec<(IntCounter, Of)>,
    gauges: Vec<(IntGauge, Of)>,
    frames: IntCounterVec,
    rows: IntCounterVec,
    reconnects: IntCounterVec,
    symbols: IntGaugeVec,
    ban_seconds: Gauge,
    gaps_per_million: Gauge,
    flush_seconds: Gauge,
    lag: Histogram,
}

impl LiveMetrics {
    /// Registers them; of what the channels bring each number is there from the beginning.
    ///
    /// # Errors
    ///
    /// Where they are registered already.
    pub fn register(registry: &Registry, channels: &[Channel]) -> Result<Self, prometheus::Error> {
        let counters: [(&str, &str, Of); 12] = [
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
                "connect_failures_total",
                "Tries to connect that failed.",
                |state| state.counts.failed_tries,
            ),
            (
                "flush_failures_total",
                "Tries to store rows that failed.",
                |state| state.written.failures,
            ),
        ];
        let gauges: [(&str, &str, Of); 3] = [
            ("connections", "Connections that are open.", |state| {
                state.connections as u64
            }),
            (
                "buffered_bytes",
                "Rows that are not stored yet, about.",
                |state| state.held.1 as u64,
            ),
            (
                "buffer_limit_bytes",
                "What rows that are not stored yet may take; with more, sockets are not read.",
                |state| state.max_buffer as u64,
            ),
        ];
        let name = |name: &str| format!("tapemill_live_{name}");
        let labelled = |short: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name(short), help), &[label])
        };
        let mut metrics = Self {
            counters: Vec::new(),
            gauges: Vec::new(),
            frames: labelled("frames_total", "Messages of all connections.", "dataset")?,
            rows: labelled(
                "rows_total",
                "Rows that were stored or are held.",
                "dataset",
            )?,
            reconnects: labelled(
                "reconnects_total",
                "Connections that ended and were to be replaced, by why they ended.",
                "cause",
            )?,
            symbols: IntGaugeVec::new(
                Opts::new(
                    name("symbols"),
                    "Symbols that are collected here, by how they are.",
                ),
                &["state"],
            )?,
            ban_seconds: Gauge::new(
                name("ban_seconds_remaining"),
                "How long the exchange still answers nothing over REST, as it said.",
            )?,
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
        for channel in channels {
            let dataset = dataset_of(channel.kind()).name();
            metrics.frames.with_label_values(&[&dataset]);
            metrics.rows.with_label_values(&[&dataset]);
        }
        for cause in CAUSES {
            metrics.reconnects.with_label_values(&[cause]);
        }
        registry.register(Box::new(metrics.frames.clone()))?;
        registry.register(Box::new(metrics.rows.clone()))?;
        registry.register(Box::new(metrics.reconnects.clone()))?;
        registry.register(Box::new(metrics.symbols.clone()))?;
        registry.register(Box::new(metrics.ban_seconds.clone()))?;
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
        let (counts, symbols) = (&state.counts, &state.symbols);
        for (dataset, count) in counts.frames_of.iter() {
            raise(&self.frames, &dataset.name(), count);
        }
        for (dataset, count) in counts.rows_of.iter() {
            raise(&self.rows, &dataset.name(), count);
        }
        for (cause, count) in counts.reconnects.iter() {
            raise(&self.reconnects, cause, count);
        }
        for (how, count) in [
            ("collecting", symbols.collecting),
            ("waiting", symbols.waiting),
            ("delisted", symbols.delisted),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.symbols.with_label_values(&[how]).set(count);
        }
        self.ban_seconds.set(state.ban.as_secs_f64());
        let (gaps, rows) = (state.counts.gaps as f64, state.counts.rows.max(1) as f64);
        self.gaps_per_million.set(gaps * 1e6 / rows);
        self.flush_seconds
            .set(state.written.last_flush.as_secs_f64());
        for lag in &state.lags {
            self.lag.observe((*lag).max(0) as f64 / 1e3);
        }
    }
}

/// Takes a counter to where its count is.
fn raise(counters: &IntCounterVec, label: &str, count: u64) {
    let counter = counters.with_label_values(&[label]);
    counter.inc_by(count.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::TextEncoder;
    use tapemill_capture::Dataset;

    use super::*;
    use crate::collector::Symbols;

    #[test]
    fn counts_become_series_that_never_fall() {
        let registry = Registry::new();
        let metrics = LiveMetrics::register(&registry, &[]).unwrap();
        let mut state = State {
            symbols: Symbols {
                collecting: 3,
                waiting: 2,
                delisted: 1,
            },
            ban: Duration::from_millis(1_500),
            max_buffer: 1 << 20,
            ..State::default()
        };
        state.counts.frames_of.add(Dataset::Trades, 7);
        state.counts.reconnects.add("silent", 2);

        metrics.take(&state);
        state.counts.frames_of.add(Dataset::Trades, 1);
        metrics.take(&state);
        metrics.take(&State::default());

        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            "tapemill_live_frames_total{dataset=\"trades\"} 8",
            "tapemill_live_reconnects_total{cause=\"silent\"} 2",
            "tapemill_live_reconnects_total{cause=\"disconnect\"} 0",
            "tapemill_live_symbols{state=\"waiting\"} 0",
            "tapemill_live_ban_seconds_remaining 0",
            "tapemill_live_buffer_limit_bytes 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
        }
    }
}
