//! What the processes counted, added up over all of them, the killed ones included.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A process that is stopped does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// What is told at the end, and the counters behind it.
const COUNTERS: [(&str, &str); 6] = [
    (
        "tasks that processes finished",
        "tapemill_tasks_finished_total",
    ),
    ("attempts failed", "tapemill_task_failures_total"),
    ("leases expired", "tapemill_lease_expirations_total"),
    ("leases lost by their holders", "tapemill_lease_lost_total"),
    ("stale calls refused", "tapemill_stale_calls_rejected_total"),
    ("transfers resumed", "tapemill_fetch_resumes_total"),
];

/// Sums by what they are called. A process that is killed is read just before; what it counts while it is stopped or
/// does not answer is lost, so a sum is "at least".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// What a process at this port has counted so far.
    pub fn read(port: u16) -> Option<Self> {
        Some(Self::of(&metrics(port).ok()?))
    }

    fn of(metrics: &str) -> Self {
        let sums = COUNTERS.map(|(words, counter)| {
            let series = metrics.lines().filter_map(|line| {
                let labels = line.strip_prefix(counter)?;
                let (labels, value) = labels.rsplit_once(' ')?;
                (labels.is_empty() || labels.starts_with('{')).then_some(value)
            });
            let values = series.filter_map(|value| value.parse::<f64>().ok());
            (words, values.sum::<f64>() as u64)
        });
        Self(sums.into())
    }

    /// Adds what another process counted.
    pub fn add(&mut self, other: &Self) {
        for (words, count) in &other.0 {
            *self.0.entry(words).or_default() += count;
        }
    }

    /// One more of what is no counter.
    pub fn count(&mut self, words: &'static str) {
        *self.0.entry(words).or_default() += 1;
    }

    /// How often, by what it is called.
    pub fn sums(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(words, count)| (*words, *count))
    }
}

fn metrics(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_up_and_longer_names_are_others() {
        let text = "# HELP tapemill_lease_lost_total x\ntapemill_lease_lost_total 2\n\
                    tapemill_stale_calls_rejected_total{op=\"complete\"} 1\n\
                    tapemill_stale_calls_rejected_total{op=\"fail\"} 3\n\
                    tapemill_lease_lost_total_of_others 9\n";

        let tally = Tally::of(text);

        assert_eq!(tally.0["leases lost by their holders"], 2);
        assert_eq!(tally.0["stale calls refused"], 4);
    }
}
