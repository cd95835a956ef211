//! Workers and a coordinator that share nothing but a Redis and an output finish a selection as one `run` does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tapemill_tests::{
    Aof, Certificates, Lab, Mirror, Proxy, Redis, RedisOptions, S3, Tapemill, Watched, Way, hashes,
    object_hashes, until,
};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");
const WORKERS: usize = 3;
const PREFIX: &str = "research/tapes";

/// What all processes of a queue are told: where it is, where the tables go, and what only the environment says.
struct Machines<'a> {
    lab: &'a Lab,
    redis: &'a Redis,
    queue: String,
    output: String,
    environment: Vec<(&'static str, String)>,
}

/// Archives of two symbols, aggTrades and klines, by months; of one more symbol, by days.
fn lab(archives: u32) -> Lab {
    let mirror = Mirror::new();
    let months = (0..archives.min(8)).map(|month| format!("2023-{:02}", month + 1));
    for (nth, month) in months.enumerate() {
        match nth % 4 {
            0 => drop(mirror.trades("BTCUSDT", &month, 20_000)),
            1 => drop(mirror.trades("ETHUSDT", &month, 5_000)),
            2 => drop(mirror.klines("BTCUSDT", &month)),
            _ => drop(mirror.klines("ETHUSDT", &month)),
        }
    }
    for day in 0..archives.saturating_sub(8) {
        let (month, day) = (1 + day / 28, 1 + day % 28);
        mirror.trades("SOLUSDT", &format!("2024-{month:02}-{day:02}"), 2_000);
    }
    Lab::with(BINARY, mirror)
}

fn redis() -> Redis {
    Redis::with(RedisOptions::new().aof(Aof::EverySecond))
}

impl<'a> Machines<'a> {
    fn new(lab: &'a Lab, redis: &'a Redis) -> Self {
        Self {
            lab,
            redis,
            queue: format!("{}?queue=tapes", redis.url()),
            output: lab.output().display().to_string(),
            environment: Vec::new(),
        }
    }

    fn into_bucket(mut self, store: &S3) -> Self {
        self.output = store.url(PREFIX);
        self.environment.extend(store.env());
        self
    }

    fn command(&self, words: &[&str]) -> Tapemill {
        let command = self.lab.command_at(words, Path::new(&self.output));
        let mut command = command.args(["--queue", &self.queue]);
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        command
    }

    fn everything(&self, words: &[&str]) -> Tapemill {
        let source = ["--source", self.lab.mirror.url(), "--symbols", "all"];
        self.command(words).args(source)
    }

    fn plan(&self) -> Value {
        let planned = self.everything(&["plan", "--json"]).run();
        planned.expect(0).json_lines().remove(0)
    }

    fn listed(&self) -> Value {
        let listed = self.command(&["queue", "list", "--json"]).run();
        listed.expect(0).json_lines().remove(0)
    }

    /// Plans, and lets three workers and a coordinator finish it. Every worker has its share.
    fn finish(&self, archives: u32) {
        assert_eq!(self.plan()["created"], archives);
        let coordinator = Watched::start(self.everything(&["coordinator"]));
        let workers: Vec<_> = (1..=WORKERS)
            .map(|number| {
                let name = format!("machine-{number}");
                let words = [
                    "worker",
                    "--exit-when-drained",
                    "--workers",
                    "2",
                    "--name",
                    &name,
                ];
                let worker = self.command(&words);
                worker.args(["--source", self.lab.mirror.url()]).spawn()
            })
            .collect();
        for worker in workers {
            let ended = worker.wait().expect(0);
            assert!(
                ended.stderr.contains(" done, 0 missing, 0 dead"),
                "{ended:?}"
            );
        }
        until("the coordinator shows it", || {
            coordinator.json("/api/v1/status")["totals"]["done"] == archives
        });
        coordinator.process.signal(libc::SIGTERM);
        coordinator.wait().expect(0);
        self.assert_each_was_done_once(archives);
    }

    fn assert_each_was_done_once(&self, archives: u32) {
        let listed = self.listed();
        for (count, is) in [
            ("done", archives),
            ("completions", archives),
            ("pending", 0),
            ("leased", 0),
            ("missing", 0),
            ("dead", 0),
        ] {
            assert_eq!(listed[count], is, "{count}: {listed:#}");
        }
    }

    /// A Redis that lost everything costs a listing and no work.
    fn assert_plan_adopts_all(&self, archives: u32) {
        self.redis.cli(&["FLUSHALL"]);
        let asked = self.lab.mirror.zips_asked_for().len();

        let planned = self.plan();

        assert_eq!(planned["finished"], archives, "{planned:#}");
        assert_eq!(
            (&planned["created"], &planned["reopened"]),
            (&0.into(), &0.into())
        );
        let listed = self.listed();
        assert_eq!(listed["done"], archives, "{listed:#}");
        assert_eq!(
            listed["completions"], 0,
            "nobody completed them in this queue"
        );
        assert_eq!(
            self.lab.mirror.zips_asked_for().len(),
            asked,
            "no archive was read"
        );
    }
}

/// The main job of one machine, with a queue in a file.
fn undisturbed(lab: &Lab, archives: u32) -> BTreeMap<String, String> {
    let made = lab.undisturbed();
    assert!(made.len() >= archives as usize, "{made:#?}");
    made
}

fn assert_a_folder_is_finished_by_many(archives: u32) {
    let (lab, redis) = (lab(archives), redis());
    let expected = undisturbed(&lab, archives);
    let machines = Machines::new(&lab, &redis);

    machines.finish(archives);

    assert_eq!(hashes(&lab.output()), expected);
    machines.assert_plan_adopts_all(archives);
    assert_eq!(hashes(&lab.output()), expected);
}

#[test]
fn three_workers_and_a_coordinator_make_the_bytes_of_one_run() {
    assert_a_folder_is_finished_by_many(24);
}

#[test]
fn three_workers_and_a_coordinator_make_the_bytes_of_one_run_of_two_hundred_archives() {
    assert_a_folder_is_finished_by_many(200);
}

#[test]
fn a_bucket_gets_the_same_bytes() {
    let (lab, redis, store) = (lab(24), redis(), S3::start());
    let expected = undisturbed(&lab, 24);
    let machines = Machines::new(&lab, &redis).into_bucket(&store);

    machines.finish(24);

    assert_eq!(object_hashes(&store, PREFIX), expected);
    assert_eq!(store.unfinished_uploads(), [""; 0]);
    machines.assert_plan_adopts_all(24);
    assert_eq!(object_hashes(&store, PREFIX), expected);
}

#[test]
fn a_plan_that_takes_long_to_list_a_bucket_leaves_what_workers_finish_meanwhile() {
    let (lab, redis, store) = (lab(16), redis(), S3::start());
    let machines = Machines::new(&lab, &redis).into_bucket(&store);
    machines.plan();
    let far = Proxy::before(store.port());
    far.delay(Way::Down, Duration::from_millis(400));
    let endpoint = far.instead_of(&store.endpoint());
    let planner = Machines {
        environment: store.env_at(&endpoint),
        ..Machines::new(&lab, &redis).into_bucket(&store)
    };

    let plan = planner.everything(&["plan", "--json"]).spawn();
    until("it lists the bucket", || far.connections() > 0);
    let worker = machines.command(&["worker", "--exit-when-drained"]);
    let worker = worker.args(["--source", lab.mirror.url()]).spawn();
    let planned = plan.wait().expect(0).json_lines().remove(0);
    worker.wait().expect(0);

    assert_eq!(planned["reopened"], 0, "{planned:#}");
    machines.assert_each_was_done_once(16);
}

#[test]
fn an_encrypted_redis_with_a_user_of_few_rights_serves_as_well() {
    let lab = lab(6);
    let rules = "~tapemill:* +@all -@admin -@dangerous";
    let options = RedisOptions::new().tls().user("miller", "s3cret/@:", rules);
    let redis = Redis::with(options.aof(Aof::EverySecond));
    let expected = undisturbed(&lab, 6);
    let authority = redis.certificates().map(Certificates::authority);
    let authority = authority.expect("it has TLS").display().to_string();
    let machines = Machines {
        queue: format!("rediss://127.0.0.1:{}?queue=tapes", redis.port()),
        environment: vec![
            ("SSL_CERT_FILE", authority),
            ("TAPEMILL_REDIS_USER", "miller".to_owned()),
            ("TAPEMILL_REDIS_PASSWORD", "s3cret/@:".to_owned()),
        ],
        ..Machines::new(&lab, &redis)
    };

    machines.finish(6);

    assert_eq!(hashes(&lab.output()), expected);
    let listed = machines.command(&["queue", "list"]).run().expect(0);
    assert!(!listed.stdout.contains("s3cret"), "{}", listed.stdout);

    let stranger = machines.command(&["status"]);
    let refused = stranger.env("TAPEMILL_REDIS_PASSWORD", "wrong").run();
    let refused = refused.expect(1);
    assert!(
        refused.error_line().contains("TAPEMILL_REDIS_PASSWORD"),
        "{}",
        refused.stderr
    );
    let untrusting = machines.command(&["status"]);
    let refused = untrusting.env("SSL_CERT_FILE", "/dev/null").run();
    assert_ne!(refused.code, Some(0), "an unknown authority: {refused:?}");
}
