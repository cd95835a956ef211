//! A real Prometheus with the repository's own settings, scraping what a test runs.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tapemill_test_servers::{Port, Process, until};
use tempfile::TempDir;

use crate::{Asked, Watched};

/// What Prometheus has to scrape and to work out after the last event.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Longer than any answer takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A Prometheus on a port of its own. Dropping it kills it.
pub struct Prometheus {
    _process: Process,
    port: Port,
    // Removed last.
    _folder: TempDir,
}

/// One series of an answer.
#[derive(Debug)]
pub struct Series {
    /// Its labels.
    pub labels: Value,
    /// Its samples, oldest first, without those that are no number.
    pub samples: Vec<f64>,
}

impl Prometheus {
    /// Scrapes a coordinator and workers every second, as `prometheus/prometheus.yml` says; their targets tell the
    /// queue.
    ///
    /// # Panics
    ///
    /// When `prometheus` is not there: it is Debian's package of this name.
    #[track_caller]
    pub fn scraping(coordinator: &Watched, workers: &[&Watched], queue: &str) -> Self {
        let coordinator = format!(
            "- targets: [\"{}\"]\n        labels: {{queue: {queue}}}",
            coordinator.address()
        );
        let targets = json!([{"targets": addresses(workers), "labels": {"queue": queue}}]);
        Self::with(&coordinator, "workers.json", &targets)
    }

    /// Scrapes collectors every second, as `prometheus/prometheus.yml` says.
    ///
    /// # Panics
    ///
    /// As [`Self::scraping`].
    #[track_caller]
    pub fn scraping_collectors(collectors: &[&Watched]) -> Self {
        let targets = json!([{"targets": addresses(collectors)}]);
        Self::with("- targets: []", "live/collectors.json", &targets)
    }

    /// With these lines in place of the coordinator's target, and a file of targets.
    #[track_caller]
    fn with(coordinator: &str, file: &str, targets: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| folder.path().join(name);
        let read = |name| fs::read_to_string(settings().join(name)).expect("it is there");
        let target = r#"- targets: ["127.0.0.1:9464"]"#;
        let every = |text: &str, what: &str| {
            let slow = format!("{what}_interval: 15s");
            assert!(text.contains(&slow), "no {slow} in\n{text}");
            text.replace(&slow, &format!("{what}_interval: 1s"))
        };
        let config = read("prometheus.yml");
        assert!(config.contains(target), "no {target} in\n{config}");
        let config = ["scrape", "evaluation", "refresh"]
            .into_iter()
            .fold(config.replace(target, coordinator), |text, what| {
                every(&text, what)
            });
        fs::write(path("prometheus.yml"), config).expect("it can be written");
        fs::write(path("rules.yaml"), read("rules.yaml")).expect("it can be written");
        fs::create_dir_all(path("targets/live")).expect("a folder can be made");
        let file = folder.path().join("targets").join(file);
        fs::write(file, targets.to_string()).expect("it can be written");

        let port = Port::reserve();
        let process = Process::start(
            Command::new("prometheus")
                .arg(format!(
                    "--config.file={}",
                    path("prometheus.yml").display()
                ))
                .arg(format!("--storage.tsdb.path={}", path("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{}", port.number())),
        );
        let prometheus = Self {
            _process: process.expect("prometheus is there: install Debian's package of this name"),
            port,
            _folder: folder,
        };
        until("Prometheus is ready", || {
            prometheus
                .ask("/-/ready", "")
                .is_some_and(|(status, _)| status == 200)
        });
        prometheus
    }

    /// What an expression was in each second since then.
    #[track_caller]
    pub fn range(&self, expr: &str, since: SystemTime) -> Vec<Series> {
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let (start, end) = (seconds(since), seconds(SystemTime::now()));
        let found = self.api(
            "query_range",
            &[
                ("query", expr),
                ("start", &start),
                ("end", &end),
                ("step", "1"),
            ],
        );
        let series = found["result"].as_array().expect("a list").iter();
        series
            .map(|series| {
                let values = series["values"].as_array().expect("a list").iter();
                let values = values.map(|pair| pair[1].as_str().expect("a number as text"));
                let values = values.map(|value| value.parse::<f64>().expect("a number"));
                Series {
                    labels: series["metric"].clone(),
                    samples: values.filter(|value| value.is_finite()).collect(),
                }
            })
            .collect()
    }

    /// Whether an expression was once something else than zero since then.
    #[track_caller]
    pub fn showed(&self, expr: &str, since: SystemTime) -> bool {
        let series = self.range(expr, since);
        let mut samples = series.iter().flat_map(|series| &series.samples);
        samples.any(|sample| *sample != 0.0)
    }

    /// Waits until each of these was once something else than zero since then.
    #[track_caller]
    pub fn answers_all(&self, mut unanswered: Vec<Asked>, since: SystemTime) {
        let began = Instant::now();
        while !unanswered.is_empty() && began.elapsed() < SEEN_WITHIN {
            unanswered.retain(|asked| !self.showed(&asked.expr, since));
            thread::sleep(Duration::from_millis(100));
        }
        assert!(
            unanswered.is_empty(),
            "always nothing, or zero: {unanswered:#?}"
        );
    }

    /// What the rules record, and how many alerts there are; all rules have to be in good health.
    #[track_caller]
    pub fn rules(&self) -> (Vec<Asked>, usize) {
        let groups = self.api("rules", &[]);
        let groups = groups["groups"].as_array().expect("a list").iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().expect("a list").clone());
        let rules: Vec<_> = rules.collect();
        for rule in &rules {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }
        let alerting = rules.iter().filter(|rule| rule["type"] == "alerting");
        let recording = rules.iter().filter(|rule| rule["type"] == "recording");
        let recorded = recording.map(|rule| Asked {
            by: "rules.yaml".to_owned(),
            expr: rule["name"].as_str().expect("a name").to_owned(),
        });
        (recorded.collect(), alerting.count())
    }

    /// What the API says to a question, such as `query`, `rules` or `label/queue/values`.
    #[track_caller]
    pub fn api(&self, question: &str, parameters: &[(&str, &str)]) -> Value {
        let mut form = String::new();
        for (name, value) in parameters {
            let _ = write!(form, "{name}=");
            for byte in value.bytes() {
                match byte.is_ascii_alphanumeric() {
                    true => form.push(byte as char),
                    false => {
                        let _ = write!(form, "%{byte:02X}");
                    }
                }
            }
            form.push('&');
        }
        let answer = self.ask(&format!("/api/v1/{question}"), &form);
        let (status, body) = answer.expect("Prometheus answers");
        assert_eq!(status, 200, "{question} {parameters:?}: {body}");
        let body: Value = serde_json::from_str(&body).expect("it is JSON");
        body["data"].clone()
    }

    /// Status and body. As HTTP/1.0 asks for it, the body comes in one piece.
    fn ask(&self, path: &str, query: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number())).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        let request = format!("GET {path}?{query} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

fn addresses<'a>(watched: &[&'a Watched]) -> Vec<&'a str> {
    watched.iter().map(|watched| watched.address()).collect()
}

fn settings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../prometheus")
}
