//! What watches a run: rules, dashboards and what they ask of a real Prometheus, and what a scrape costs.
//!
//! There is no Grafana here: nothing is said of how it draws.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;
use tapemill_standin::generate::{Archive, Damage, Packing};
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{
    Aof, Asked, Dashboard, Lab, Prometheus, Python, Redis, RedisOptions, Tapemill, Watched,
    trades_of, until,
};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// Longer than a worker is stopped, and so not scraped: what it counts then has to be between two samples.
const RATE_INTERVAL: &str = "15s";

/// The dashboard that `observability_live.rs` asks.
const OF_COLLECTORS: &str = "live";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a command prints; fails with all it said when it fails.
#[track_caller]
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| {
            let program = program.display();
            panic!("{program}: {error}; scripts/test installs what the tests need")
        });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        output.status.success(),
        "{} {arguments:?} failed:\n{said}",
        program.display()
    );
    said
}

#[test]
fn prometheus_takes_the_rules_and_their_tests_pass() {
    let promtool = Path::new("promtool");

    run(promtool, &["check", "config", "prometheus/prometheus.yml"]);
    run(promtool, &["check", "config", "prometheus/compose.yml"]);
    run(promtool, &["check", "rules", "prometheus/rules.yaml"]);
    run(promtool, &["test", "rules", "prometheus/rules_test.yaml"]);
}

fn alerts() -> Vec<String> {
    let rules = text("prometheus/rules.yaml");
    let names = rules.lines().filter_map(|line| {
        let (_, name) = line.split_once("- alert: ")?;
        Some(name.to_owned())
    });
    names.collect()
}

#[test]
fn every_alert_is_tested_and_has_its_section_in_the_handbook() {
    let alerts = alerts();
    let (rules, handbook) = (text("prometheus/rules.yaml"), text("docs/operations.md"));
    let tests = text("prometheus/rules_test.yaml");
    let sections = handbook.lines().filter_map(|line| {
        let name = line.strip_prefix("### ")?;
        name.starts_with("Tapemill").then(|| name.to_owned())
    });
    let documented: BTreeSet<_> = sections.collect();
    assert_eq!(documented, alerts.iter().cloned().collect());

    for alert in &alerts {
        let anchor = format!("docs/operations.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} names no runbook");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "no test has {alert} fire");
        let silent = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.matches(&silent).count() >= 2, "{alert} is not silent");
    }
    for part in ["severity: ", "summary: ", "description: ", "runbook_url: "] {
        assert_eq!(rules.matches(part).count(), alerts.len(), "{part}");
    }
}

#[test]
fn the_dashboards_are_those_that_their_program_writes() {
    let generate = root().join("grafana/generate");

    Python::new().run(&[generate.to_str().expect("a plain path"), "--check"]);
}

#[test]
fn the_dashboards_are_whole() {
    let dashboards = Dashboard::all();
    let names: Vec<_> = dashboards.iter().map(|board| board.name.as_str()).collect();
    assert_eq!(names, ["live", "run", "store", "workers"]);
    let uids = dashboards.iter().map(|board| board.json["uid"].as_str());
    assert_eq!(uids.collect::<BTreeSet<_>>().len(), 4);

    for board in &dashboards {
        let name = &board.name;
        let panels = board.panels();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: an id is there twice");
        for (at, panel) in panels.iter().enumerate() {
            let title = panel["title"].as_str().expect("a title");
            let [x, _, width, _] = place(panel);
            assert!(x + width <= 24, "{name}: {title} is too wide");
            for other in &panels[..at] {
                let other_title = &other["title"];
                assert!(
                    !overlap(place(panel), place(other)),
                    "{name}: {title} lies on {other_title}"
                );
            }
            if panel["type"] != "row" {
                whole_panel(name, title, panel);
            }
        }
        variables_are_known_and_used(board);
    }
}

fn place(panel: &Value) -> [u64; 4] {
    ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number"))
}

fn overlap([ax, ay, aw, ah]: [u64; 4], [bx, by, bw, bh]: [u64; 4]) -> bool {
    ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah
}

fn whole_panel(name: &str, title: &str, panel: &Value) {
    for (what, value) in [
        ("description", &panel["description"]),
        ("unit", &panel["fieldConfig"]["defaults"]["unit"]),
    ] {
        let given = value.as_str().is_some_and(|value| !value.is_empty());
        assert!(given, "{name}: {title} has no {what}");
    }
    let targets = panel["targets"].as_array().expect("a list");
    assert!(!targets.is_empty(), "{name}: {title} asks nothing");
    let refs: BTreeSet<_> = targets.iter().map(|one| one["refId"].as_str()).collect();
    assert_eq!(refs.len(), targets.len(), "{name}: {title}");
    for asks in targets.iter().chain([panel]) {
        let source = &asks["datasource"];
        assert_eq!(
            (&source["type"], &source["uid"]),
            (&"prometheus".into(), &"${datasource}".into()),
            "{name}: {title}"
        );
    }
}

fn variables_are_known_and_used(board: &Dashboard) {
    let variables = board.variables().iter();
    let known: BTreeSet<_> = variables
        .map(|variable| variable["name"].as_str().expect("a name").to_owned())
        .collect();
    let asked = board.queries().into_iter().map(|asked| asked.expr);
    let asked = asked.chain(board.variables().iter().filter_map(Dashboard::asked_by));
    let mut used: BTreeSet<String> = asked.flat_map(|expr| variables_in(&expr)).collect();
    used.remove("__rate_interval");
    used.insert("datasource".to_owned());
    assert_eq!(used, known, "{}", board.name);
    // Collectors have no queue of tasks.
    let narrows = match board.name == OF_COLLECTORS {
        true => "instance",
        false => "queue",
    };
    for name in [narrows, "dataset", "datasource"] {
        assert!(known.contains(name), "{}: no {name}", board.name);
    }
}

fn variables_in(expr: &str) -> Vec<String> {
    let parts = expr.split('$').skip(1);
    let name = |part: &str| {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        part[..end.unwrap_or(part.len())].to_owned()
    };
    parts.map(name).collect()
}

#[test]
fn the_dashboards_have_the_types_of_grafanas_schema() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let types = root().join("tests/grafana");
    let installed = types.join("node_modules");
    let compiler = installed.join(".bin/tsc");
    let mut arguments: Vec<_> =
        "--noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target esnext"
            .split(' ')
            .map(str::to_owned)
            .collect();
    let mut write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("it can be written");
        arguments.push(path.to_str().expect("a plain path").to_owned());
    };
    for name in ["board.ts", "refused.ts"] {
        write(name, &text(&format!("tests/grafana/{name}")));
    }
    for Dashboard { name, json } in Dashboard::all() {
        let import = "import type { Board } from './board';";
        let checked = format!("{import}\nexport const board: Board = {json:#};\n");
        write(&format!("{name}.ts"), &checked);
    }
    symlink(installed, folder.path().join("node_modules")).expect("a link can be made");

    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    assert_eq!(run(&compiler, &arguments), "");
}

#[test]
fn grafana_is_told_where_prometheus_and_the_dashboards_are() {
    let script = "
import sys, yaml
source, boards = (yaml.safe_load(open(f'{sys.argv[1]}/grafana/provisioning/{path}'))
                  for path in ('datasources/prometheus.yaml', 'dashboards/tapemill.yaml'))
[source], [boards] = source['datasources'], boards['providers']
print(source['type'], source['uid'], source['url'], boards['type'], boards['options']['path'])
";

    let told = Python::new().run(&["-c", script, root().to_str().expect("a plain path")]);

    assert_eq!(
        told,
        "prometheus prometheus http://prometheus:9090 file /var/lib/grafana/dashboards\n"
    );
}

/// What a coordinator tells of its queue, by the labels beside `queue`.
const OF_A_QUEUE: [(&str, &[&str]); 8] = [
    ("tapemill_queue_tasks", &["dataset", "state"]),
    ("tapemill_queue_bytes", &["dataset", "state"]),
    ("tapemill_queue_oldest_pending_age_seconds", &[]),
    ("tapemill_queue_oldest_lease_age_seconds", &[]),
    ("tapemill_queue_paused", &[]),
    ("tapemill_brake_seconds_remaining", &[]),
    ("tapemill_workers", &["state"]),
    ("tapemill_store_memory_bytes", &[]),
];

/// What every process counts, by its labels.
const OF_EVERY_PROCESS: [(&str, &[&str]); 14] = [
    ("tapemill_tasks_finished_total", &["dataset", "outcome"]),
    ("tapemill_task_failures_total", &["dataset", "reason"]),
    ("tapemill_task_duration_seconds", &["dataset"]),
    ("tapemill_stage_seconds_total", &["stage"]),
    ("tapemill_rows_total", &["dataset"]),
    ("tapemill_bytes_total", &["direction"]),
    ("tapemill_http_responses_total", &["class"]),
    ("tapemill_fetch_resumes_total", &[]),
    ("tapemill_lease_expirations_total", &[]),
    ("tapemill_lease_lost_total", &[]),
    ("tapemill_stale_calls_rejected_total", &["op"]),
    ("tapemill_heartbeat_delay_seconds", &[]),
    ("tapemill_store_call_duration_seconds", &["op"]),
    ("tapemill_build_info", &["version"]),
];

#[test]
fn the_metrics_are_those_of_the_contract_and_nothing_else() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 1_000);
    let coordinator = Watched::start(lab.everything(&["coordinator"]));
    let worker = Watched::start(lab.from_source(&["worker"]));
    until("it is done", || totals(&coordinator)["done"] == 1);

    let every = OF_EVERY_PROCESS.map(|(name, labels)| (name.to_owned(), set(labels)));
    let queue = OF_A_QUEUE.map(|(name, labels)| {
        let labels = [labels, &["queue"]].concat();
        (name.to_owned(), set(&labels))
    });
    assert_eq!(worker.families(), BTreeMap::from(every.clone()));
    let both = every.into_iter().chain(queue);
    assert_eq!(coordinator.families(), both.collect());

    let handbook = text("docs/operations.md");
    for (name, labels) in OF_A_QUEUE.iter().chain(&OF_EVERY_PROCESS) {
        let labels = match labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        assert!(handbook.contains(&format!("`{name}{labels}`")), "{name}");
    }
}

fn set(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// A run in which everything happens that a panel shows.
struct Story {
    lab: Lab,
    redis: Redis,
    /// An archive that is there when it is planned, and taken away then.
    gone: Archive,
}

impl Story {
    fn begin() -> Self {
        let lab = Lab::new(BINARY);
        for symbol in ["AAAUSDT", "BBBUSDT"] {
            for month in 1..=5 {
                lab.mirror
                    .trades(symbol, &format!("2024-{month:02}"), 10_000);
            }
            for day in 1..=3 {
                lab.mirror.klines(symbol, &format!("2024-09-0{day}"));
            }
        }
        for symbol in ["CUTUSDT", "FAILUSDT", "HOLDUSDT"] {
            lab.mirror.trades(symbol, "2024-06", 10_000);
        }
        let damaged = Packing {
            damage: Some(Damage::FlippedByte(50)),
            ..Packing::default()
        };
        lab.mirror
            .lay(trades_of("DEADUSDT", "2024-06", 10_000), &damaged);
        let redis = Redis::with(RedisOptions::new().aof(Aof::EverySecond));
        let gone = lab.mirror.trades("GONEUSDT", "2024-06", 1_000);
        Self { lab, redis, gone }
    }

    fn on_queue(&self, command: Tapemill) -> Tapemill {
        let url = format!("redis://127.0.0.1:{}?queue=story", self.redis.port());
        command.args(["--queue", &url])
    }

    fn pause(&self, verb: &str) {
        let command = self.lab.command(&["queue", verb]);
        self.on_queue(command).run().expect(0);
    }

    fn worker(&self) -> Watched {
        let words = ["worker", "--workers", "2", "--lease", "3s"];
        Watched::start(self.on_queue(self.lab.from_source(&words)))
    }

    /// Everything comes slowly; one archive is cut off, one fails for an attempt, one holds the queue.
    fn trouble(&self) {
        let status = |status, retry_after| Fault::Status {
            status,
            retry_after,
        };
        let slow = Fault::Slow {
            bytes_per_second: 60_000,
        };
        let cut = Fault::Cut { after_percent: 40 };
        let faults = Faults::one("**.zip", slow, When::Always)
            .and("**CUTUSDT**.zip", cut, When::First(2))
            .and("**FAILUSDT**.zip", status(503, None), When::First(6))
            .and("**HOLDUSDT**.zip", status(429, Some(3)), When::First(1));
        self.lab.mirror.set_faults(faults);
    }
}

/// Tasks by state; nothing while the queue is not open.
fn totals(coordinator: &Watched) -> Value {
    let status = coordinator.get("/api/v1/status");
    let status: Value = serde_json::from_str(&status.body).expect("it is JSON");
    status["totals"].clone()
}

/// What processes counted together, over all labels that the name leaves open.
fn counted(watched: &[&Watched], name: &str) -> f64 {
    let values = |watched: &&Watched| {
        let text = watched.get("/metrics").body;
        let of_it = text.lines().filter(|line| line.starts_with(name));
        let values = of_it.map(|line| line.rsplit(' ').next()?.parse().ok());
        values
            .map(|value: Option<f64>| value.expect("a number"))
            .sum::<f64>()
    };
    watched.iter().map(values).sum()
}

#[test]
fn what_the_dashboards_ask_has_an_answer_in_a_real_run() {
    let story = Story::begin();
    let begun = SystemTime::now();
    let coordinator = Watched::start(story.on_queue(story.lab.everything(&["coordinator"])));
    let total = |state: &str| totals(&coordinator)[state].clone();
    until("it planned", || total("pending") == 21);
    story.lab.mirror.remove(&story.gone);
    story.trouble();
    story.pause("pause");
    let workers = [story.worker(), story.worker()];
    let [steady, stopped] = &workers;
    let prometheus = Prometheus::scraping(&coordinator, &[steady, stopped], "story");
    let seen = |expr: &str| prometheus.showed(expr, begun);
    until("Prometheus saw the pause and all processes", || {
        seen("tapemill_queue_paused == 1") && seen("count(tapemill_build_info) == 3")
    });

    story.pause("resume");
    until("the worker has bytes of tasks", || {
        counted(&[stopped], "tapemill_bytes_total{direction=\"in\"}") > 50_000.0
    });
    stopped.process.signal(libc::SIGSTOP);
    until("its leases ran out", || {
        counted(&[&coordinator, steady], "tapemill_lease_expirations_total") > 0.0
    });
    stopped.process.signal(libc::SIGCONT);
    until("it noticed", || {
        counted(&[stopped], "tapemill_lease_lost_total") > 0.0
    });
    until("all is finished", || {
        (total("done"), total("missing"), total("dead")) == (19.into(), 1.into(), 1.into())
    });

    // What it has in the end is what there was: each archive counts once, whoever lost its lease.
    for (expr, last) in [
        ("sum(tapemill_rows_total)", 13.0 * 10_000.0 + 6.0 * 1_440.0),
        ("queue:tapemill_queue_tasks_finished:sum", 21.0),
        ("queue:tapemill_progress:ratio", 1.0),
    ] {
        until(&format!("{expr} is {last}"), || {
            let series = prometheus.range(expr, begun);
            series
                .iter()
                .any(|series| series.samples.last() == Some(&last))
        });
    }
    let mut boards = Dashboard::all();
    boards.retain(|board| board.name != OF_COLLECTORS);
    let mut unanswered: Vec<Asked> = boards
        .iter()
        .flat_map(|board| board.everything_asked(&prometheus, RATE_INTERVAL))
        .collect();
    assert!(unanswered.len() > 100, "{}", unanswered.len());
    let (mut recorded, alerting) = prometheus.rules();
    assert_eq!(alerting, alerts().len());
    recorded.retain(|asked| !asked.expr.contains("tapemill_live_"));
    unanswered.extend(recorded);
    prometheus.answers_all(unanswered, begun);
}

#[test]
fn a_scrape_asks_the_store_once_however_many_tasks_there_are() {
    let redis = Redis::start();
    let asked = [2, 1_500].map(|tasks| {
        let lab = Lab::new(BINARY);
        let folder = lab.mirror.root().join("data/futures/um/monthly/klines");
        for number in 0..tasks / 2 {
            let symbol = format!("S{number:03}USDT");
            let folder = folder.join(format!("{symbol}/1m"));
            fs::create_dir_all(&folder).expect("a folder can be made");
            for month in ["2024-01", "2024-02"] {
                let zip = folder.join(format!("{symbol}-1m-{month}.zip"));
                fs::write(zip, "a size is all a plan looks at").expect("it can be written");
            }
        }
        let url = format!("{}?queue=of-{tasks}", redis.url());
        let command = lab.everything(&["coordinator"]).args(["--queue", &url]);
        let coordinator = Watched::start(command.args(["--data", "klines:1m"]));
        until("it planned", || totals(&coordinator)["pending"] == tasks);
        // For which it lists the tasks.
        let catalogue = lab.output().join("_catalogue/klines_1m/um.parquet");
        until("it wrote its catalogue", || catalogue.exists());
        calls_of_three_looks(&coordinator)
    });

    for calls in &asked {
        assert_eq!(calls, &BTreeMap::from([("stats".to_owned(), 3)]));
    }
}

/// The calls to the store while it is scraped as fast as can be, until the gauges were read three times; those that a
/// coordinator makes by itself are left out.
fn calls_of_three_looks(coordinator: &Watched) -> BTreeMap<String, i64> {
    let calls = || -> BTreeMap<String, i64> {
        let text = coordinator.get("/metrics").body;
        let counts = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("tapemill_store_call_duration_seconds_count{op=\"")?;
            let (op, count) = rest.split_once("\"} ")?;
            Some((op.to_owned(), count.parse().expect("a number")))
        });
        counts.collect()
    };
    let before = calls();
    let (mut after, mut scrapes) = (calls(), 2);
    until("the gauges were read three times", || {
        (after, scrapes) = (calls(), scrapes + 1);
        // It looks whether the queue lost something by these two, one after the other.
        let by_scrapes = |calls: &BTreeMap<String, i64>| calls["stats"] - calls["settings"];
        by_scrapes(&after) == by_scrapes(&before) + 3
    });
    assert!(scrapes > 10, "most scrapes share a look: {scrapes}");
    let mut made: BTreeMap<_, _> = after
        .iter()
        .map(|(op, count)| (op.clone(), count - before[op]))
        .collect();
    let by_itself = made["settings"];
    *made.get_mut("stats").expect("it is counted") -= by_itself;
    for op in ["settings", "reap", "brake_left"] {
        made.remove(op);
    }
    made.retain(|_, count| *count != 0);
    made
}
