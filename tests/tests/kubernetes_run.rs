//! What the manifests of `k8s/` say, done by real processes: their command lines, settings, probes, exit codes, and their Redis.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_standin::stream::{Script, StreamOptions, Streams};
use tapemill_tests::{
    Lab, Manifests, Redis, RedisOptions, Running, S3, Tapemill, Watched, hashes, object_hashes,
    promtool, until, words,
};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The commands of the workloads' containers with the settings of the cluster, on a queue, output and archive of this machine.
struct Cluster<'a> {
    manifests: Manifests,
    lab: &'a Lab,
    redis: &'a Redis,
    output: String,
    environment: Vec<(&'static str, String)>,
}

impl<'a> Cluster<'a> {
    fn new(manifests: Manifests, lab: &'a Lab, redis: &'a Redis) -> Self {
        Self {
            manifests,
            lab,
            redis,
            output: lab.output().display().to_string(),
            environment: Vec::new(),
        }
    }

    fn into_bucket(mut self, store: &S3) -> Self {
        self.output = store.url("lake");
        self.environment.extend(store.env());
        self
    }

    fn command(&self, kind: &str, name: &str) -> Tapemill {
        self.command_by(Tapemill::new(BINARY), kind, name)
    }

    fn command_by(&self, program: Tapemill, kind: &str, name: &str) -> Tapemill {
        let workload = self.manifests.one(kind, name);
        let pods = self.manifests.pods();
        let pod = pods.iter().find(|pod| pod.workload == workload);
        let container = pod.and_then(|pod| pod.ours()).expect("it is ours");
        // Each process of a machine needs a port of its own.
        let mut arguments = words(&container["args"]);
        let asks_the_archive = !["export", "live"].contains(&arguments[0]);
        let at = arguments.iter().position(|word| *word == "--listen");
        arguments.drain(at.map_or(0..0, |at| at..at + 2));
        // What the cluster puts in place of a variable.
        let arguments = arguments
            .iter()
            .map(|word| word.replace("$(TAPEMILL_OUTPUT)", &self.output));
        let mut command = program.folder(self.lab.folder()).args(arguments);
        for (name, value) in self.manifests.settings() {
            if !["TAPEMILL_QUEUE", "TAPEMILL_OUTPUT", "TAPEMILL_START"].contains(&name.as_str()) {
                command = command.env(&name, &value);
            }
        }
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        let queue = format!("{}?queue=default", self.redis.url());
        let command = command.args(["--queue", &queue, "--output", &self.output]);
        match asks_the_archive {
            true => command.args(["--source", self.lab.mirror.url()]),
            false => command,
        }
    }

    fn pod_of_the_job(&self) -> Running {
        self.command("Job", "tapemill-run").spawn()
    }
}

/// The Redis of the component `redis-dev`, in a folder of this machine.
fn redis_dev(manifests: &Manifests) -> Redis {
    let redis = manifests.one("StatefulSet", "tapemill-redis");
    let container = &redis["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(words(&container["command"]), ["redis-server"]);
    let mut arguments = words(&container["args"]);
    let folder = arguments
        .iter()
        .position(|word| *word == "--dir")
        .expect("it has a folder");
    assert_eq!(arguments[folder + 1], "/data");
    arguments.drain(folder..folder + 2);
    Redis::with(RedisOptions::new().args(arguments))
}

fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    lab
}

#[test]
fn every_command_line_is_one() {
    let mut seen = BTreeSet::new();
    for built in Manifests::all() {
        for pod in built.pods() {
            let Some(container) = pod.ours() else {
                continue;
            };
            let arguments = words(&container["args"]);
            let line = ["tapemill"].iter().chain(&arguments);
            let parsed = tapemill::command().try_get_matches_from(line);
            if let Err(error) = parsed {
                panic!("{}: {arguments:?}: {error}", pod.name);
            }
            seen.insert(arguments[0].to_owned());
        }
    }
    let all = [
        "coordinator",
        "export",
        "live",
        "run",
        "update",
        "verify",
        "worker",
    ]
    .map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(all));
}

#[test]
fn every_setting_is_one() {
    for built in Manifests::all() {
        let settings = built.settings();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut show = Tapemill::new(BINARY)
            .folder(folder.path())
            .args(["config", "show", "--json"]);
        for (name, value) in &settings {
            show = show.env(name, value);
        }
        for pod in built.pods() {
            for variable in pod
                .containers()
                .flat_map(|one| one["env"].as_array().into_iter().flatten())
            {
                show = show.env(variable["name"].as_str().expect("a name"), "secret");
            }
        }

        let shown = show.run().expect(0).json_lines();

        // What else is there belongs to the store's client: AWS_REGION.
        for (name, value) in settings
            .iter()
            .filter(|(name, _)| name.starts_with("TAPEMILL_"))
        {
            let origin = format!("environment {name}");
            let setting = shown.iter().find(|setting| setting["origin"] == *origin);
            let setting = setting.unwrap_or_else(|| panic!("{}: {name} is no setting", built.name));
            assert_eq!(setting["value"], *value, "{}: {name}", built.name);
        }
    }
}

/// Why `enableServiceLinks` is off: the cluster would give each pod such variables for the service `tapemill-coordinator`.
#[test]
fn the_variables_of_a_service_would_be_refused() {
    for variable in [
        "TAPEMILL_COORDINATOR_SERVICE_HOST",
        "TAPEMILL_COORDINATOR_PORT",
    ] {
        let worker = Tapemill::new(BINARY)
            .args(["worker"])
            .env(variable, "10.0.0.1");
        let refused = worker.run().expect(2);
        assert!(
            refused.only_error_line().contains(variable),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn the_redis_for_trying_out_keeps_everything_within_its_memory() {
    let manifests = Manifests::of_components(&["redis-dev"]);
    let redis = redis_dev(&manifests);

    let set = |name: &str| {
        redis
            .cli(&["CONFIG", "GET", name])
            .lines()
            .last()
            .map(str::to_owned)
    };
    assert_eq!(set("appendonly").as_deref(), Some("yes"));
    assert_eq!(set("maxmemory-policy").as_deref(), Some("noeviction"));
    let most: u64 = set("maxmemory")
        .and_then(|most| most.parse().ok())
        .expect("a number");
    let container = &manifests.one("StatefulSet", "tapemill-redis")["spec"]["template"]["spec"]["containers"]
        [0];
    let limit = container["resources"]["limits"]["memory"]
        .as_str()
        .expect("a limit");
    // A rewrite of the append-only file may copy what is written meanwhile.
    assert!(most > 0 && most * 2 <= bytes(limit), "{most} of {limit}");
}

fn bytes(quantity: &str) -> u64 {
    let (number, unit) = quantity.split_at(
        quantity
            .find(|c: char| c.is_ascii_alphabetic())
            .expect("a unit"),
    );
    let unit = match unit {
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        other => panic!("{other}?"),
    };
    number.parse::<u64>().expect("a number") * unit
}

#[test]
fn coordinator_and_workers_start_answer_their_probes_and_drain() {
    let overlays = Manifests::overlays();
    let manifests = overlays
        .into_iter()
        .find(|built| built.name == "overlays/kind")
        .expect("kind");
    let redis = redis_dev(&manifests);
    let lab = lab();
    let cluster = Cluster::new(manifests, &lab, &redis);
    let coordinator = Watched::start(cluster.command("Deployment", "tapemill-coordinator"));
    let worker = Watched::start(cluster.command("Deployment", "tapemill-worker"));

    until("all is done", || {
        let status = coordinator.get("/api/v1/status");
        status.status == 200 && coordinator.json("/api/v1/status")["totals"]["done"] == 8
    });
    for process in [&coordinator, &worker] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(process.get(path).status, 200, "{path}");
        }
    }
    // What the ScaledObject sums up, and the rules judge.
    for state in ["pending", "leased"] {
        let series = format!(
            "tapemill_queue_tasks{{dataset=\"aggTrades\",queue=\"default\",state=\"{state}\"}}"
        );
        assert_eq!(coordinator.metric(&series), 0.0, "{series}");
    }
    assert_eq!(promtool(&coordinator.get("/metrics").body), "");
    for process in [worker, coordinator] {
        process.process.signal(libc::SIGTERM);
        process.wait().expect(0);
    }
    assert_eq!(hashes(&lab.output()), lab.undisturbed());
}

/// As the pods are: no user of the machine, no capabilities, a root that cannot be written, and /tmp.
#[test]
fn everything_works_as_nobody_on_a_root_that_is_read_only() {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    if id.stdout != b"0\n" {
        assert!(
            std::env::var_os("CI").is_none(),
            "only root can make a root read-only"
        );
        eprintln!("skipped: only root can make a root read-only");
        return;
    }
    let (lab, store) = (lab(), S3::start());
    // Others have no way into the folders of builds and tests.
    let pod = tempfile::tempdir().expect("a folder can be made");
    let everyone = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let (binary, tmp, script) = (
        pod.path().join("tapemill"),
        pod.path().join("tmp"),
        pod.path().join("pod"),
    );
    fs::copy(BINARY, &binary).expect("it can be copied");
    fs::create_dir(&tmp).expect("a folder can be made");
    fs::write(&script, AS_IN_A_POD).expect("a file can be written");
    for (path, mode) in [
        (pod.path(), 0o755),
        (&binary, 0o755),
        (&tmp, 0o1777),
        (&script, 0o644),
    ] {
        everyone(path, mode);
    }
    let manifests = Manifests::of_components(&["redis-dev", "job", "schedule", "live"]);
    let redis = redis_dev(&manifests);
    let cluster = Cluster::new(manifests, &lab, &redis).into_bucket(&store);
    let in_a_pod = |kind: &str, name: &str| {
        let unshare = Tapemill::new("unshare")
            .args(["--mount", "bash"])
            .args([&script, &tmp, &binary]);
        cluster.command_by(unshare, kind, name)
    };

    let coordinator = Watched::start(in_a_pod("Deployment", "tapemill-coordinator"));
    in_a_pod("Job", "tapemill-run").run().expect(0);
    in_a_pod("CronJob", "tapemill-export").run().expect(0);
    in_a_pod("CronJob", "tapemill-verify").run().expect(0);
    until("it shows what was done", || {
        let status = coordinator.get("/api/v1/status");
        status.status == 200 && coordinator.json("/api/v1/status")["totals"]["done"] == 8
    });
    coordinator.process.signal(libc::SIGTERM);
    coordinator.wait().expect(0);

    let exported = store.keys("lake/exports/csv/");
    assert!(
        exported
            .iter()
            .any(|key| key.ends_with("BTCUSDT_aggTrades.csv")),
        "{exported:?}"
    );
    let streams = exchange();
    let live = collecting(in_a_pod("Deployment", "tapemill-live"), &streams);
    live.args(["--run-for", "6s"]).run().expect(0);
    let collected = store.keys("lake/orderbook/");
    assert!(!collected.is_empty(), "nothing was collected");
    let left = fs::read_dir(&tmp).expect("it is there").count();
    assert_eq!(left, 0, "nothing is left in /tmp");
    let mut stored = object_hashes(&store, "lake");
    stored.retain(|path, _| !path.contains("date="));
    assert_eq!(stored, lab.undisturbed());
}

/// The exchange's streams of the symbols in the settings.
fn exchange() -> Streams {
    let tape = Script::new(Market::Um, &["BTCUSDT", "ETHUSDT"], 600).tape();
    let options = StreamOptions::new(Market::Um);
    Streams::start([tape.expect("it can be made")], options).expect("it plays")
}

/// A collector of that exchange, which need not wait for others to begin.
fn collecting(live: Tapemill, streams: &Streams) -> Tapemill {
    live.args(["--rest", &streams.url_rest(), "--ws", &streams.url_ws()])
        .args(["--lease", "3s"])
}

#[test]
fn collectors_start_answer_their_probes_and_hand_their_symbols_over() {
    let (lab, streams) = (lab(), exchange());
    let manifests = Manifests::of_components(&["redis-dev", "live"]);
    let redis = redis_dev(&manifests);
    let cluster = Cluster::new(manifests, &lab, &redis);
    let started = || {
        let command = cluster.command("Deployment", "tapemill-live");
        Watched::start(collecting(command, &streams))
    };
    let rows = |live: &Watched| live.metric("tapemill_live_rows_total");
    let first = started();
    until("it collects", || rows(&first) > 0.0);
    let standing_by = started();
    for process in [&first, &standing_by] {
        for path in ["/healthz", "/metrics"] {
            assert_eq!(process.get(path).status, 200, "{path}");
        }
        until("it is ready", || process.get("/readyz").status == 200);
    }
    assert_eq!(promtool(&first.get("/metrics").body), "");

    first.process.signal(libc::SIGTERM);

    first.wait().expect(0);
    until("the other took over", || rows(&standing_by) > 0.0);
    standing_by.process.signal(libc::SIGTERM);
    standing_by.wait().expect(0);
}

/// Its arguments: a folder to write to, then a command line.
const AS_IN_A_POD: &str = "set -e
tmp=$1
shift
mount --make-rprivate /
mount --bind \"$tmp\" \"$tmp\"
mount --options remount,bind,ro /
cd /
if touch /written 2>/dev/null; then
  echo 'the root can be written' >&2
  exit 99
fi
exec setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set=-all --no-new-privs env TMPDIR=\"$tmp\" \"$@\"
";

#[test]
fn a_finite_run_survives_its_pods_and_ends_with_one_code() {
    let lab = lab();
    for month in 1..=8 {
        lab.mirror
            .trades("BTCUSDT", &format!("2023-{month:02}"), 30_000);
    }
    let expected = lab.undisturbed();
    let slow = Faults::one(
        "**.zip",
        Fault::Slow {
            bytes_per_second: 400_000,
        },
        When::Always,
    );
    let broken = "**BTCUSDT-aggTrades-2024-01.zip";
    lab.mirror
        .set_faults(slow.and(broken, Fault::Html, When::Always));
    let manifests = Manifests::of_components(&["redis-dev", "job"]);
    let redis = redis_dev(&manifests);
    let cluster = Cluster::new(manifests, &lab, &redis);
    let codes = codes_that_fail_the_job(&cluster.manifests);

    // A pod of a node that is drained is neither a success, which would end the Job, nor a failure of it.
    let evicted = cluster.pod_of_the_job();
    until("it has a task in hand", || lab.mirror.zip_bytes_sent() > 0);
    evicted.signal(libc::SIGTERM);
    let evicted = evicted.wait().expect(130);
    assert!(!codes.contains(&130), "{evicted:?}");

    let pods = [cluster.pod_of_the_job(), cluster.pod_of_the_job()];
    for pod in pods {
        let ended = pod.wait().expect(3);
        assert!(
            ended.stderr.contains("um/aggTrades/BTCUSDT/2024-01"),
            "{}",
            ended.stderr
        );
    }
    assert!(codes.contains(&3));

    // The archive is mended, and the Job applied again.
    lab.mirror.set_faults(Faults::none());
    for pod in [cluster.pod_of_the_job(), cluster.pod_of_the_job()] {
        pod.wait().expect(0);
    }
    assert_eq!(hashes(&lab.output()), expected);
}

fn codes_that_fail_the_job(manifests: &Manifests) -> Vec<u64> {
    let job = manifests.one("Job", "tapemill-run");
    let rules = job["spec"]["podFailurePolicy"]["rules"]
        .as_array()
        .expect("rules")
        .iter();
    rules
        .filter(|rule| rule["action"] == "FailJob")
        .flat_map(|rule| rule["onExitCodes"]["values"].as_array().expect("codes"))
        .filter_map(Value::as_u64)
        .collect()
}
