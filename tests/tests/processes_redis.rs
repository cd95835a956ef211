//! Workers, coordinators and runs on a Redis that has trouble.

use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Aof, Keep, Lab, Redis, RedisOptions, Tapemill, Watched, hashes, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

const PASSWORD: &str = "open-sesame-4711";

/// Three archives, and a queue on a Redis.
struct Story {
    lab: Lab,
    redis: Redis,
}

impl Story {
    fn with(options: RedisOptions) -> Self {
        let lab = Lab::new(BINARY);
        for month in ["2024-01", "2024-02", "2024-03"] {
            lab.mirror.trades("BTCUSDT", month, 20_000);
        }
        let redis = Redis::with(options.aof(Aof::EverySecond));
        Self { lab, redis }
    }

    fn begin() -> Self {
        Self::with(RedisOptions::new())
    }

    fn on_queue(&self, command: Tapemill) -> Tapemill {
        let url = format!("redis://127.0.0.1:{}?queue=story", self.redis.port());
        command.args(["--queue", &url])
    }

    fn worker(&self, words: &[&str]) -> Watched {
        let command = self.lab.from_source(&["worker"]);
        Watched::start(self.on_queue(command).args(words))
    }

    fn coordinator(&self) -> Watched {
        Watched::start(self.on_queue(self.lab.everything(&["coordinator"])))
    }

    fn plan(&self) {
        let plan = self.on_queue(self.lab.everything(&["plan"]));
        plan.run().expect(0);
    }

    fn slow(&self) {
        let slow = Fault::Slow {
            bytes_per_second: 20_000,
        };
        self.lab
            .mirror
            .set_faults(Faults::one("**.zip", slow, When::Always));
    }

    fn quick(&self) {
        self.lab.mirror.set_faults(Faults::none());
    }

    fn until_at_work(&self) {
        until("it works", || self.lab.mirror.zip_bytes_sent() > 0);
    }

    fn assert_right(&self) {
        self.quick();
        assert_eq!(hashes(&self.lab.output()), self.lab.undisturbed());
    }
}

fn done(watched: &Watched) -> f64 {
    watched.metric("tapemill_tasks_finished_total{dataset=\"aggTrades\",outcome=\"done\"}")
}

#[test]
fn processes_wait_for_a_redis_that_is_not_there_yet() {
    let story = Story::begin();
    story.redis.kill9();
    let (coordinator, worker) = (story.coordinator(), story.worker(&[]));
    for process in [&coordinator, &worker] {
        until("it said so", || process.said("the queue fails") == 1);
        assert_eq!(process.get("/healthz").status, 200);
        assert_eq!(process.get("/readyz").status, 503);
    }
    let early = coordinator.get("/api/v1/status");
    assert_eq!(early.status, 503, "{early:?}");
    assert!(
        !coordinator.get("/metrics").body.contains("queue=\"story\""),
        "what is not known is not told"
    );

    story.redis.restart(Keep::Nothing);

    until("all is done", || done(&worker) == 3.0);
    for process in [coordinator, worker] {
        until("it is ready", || process.get("/readyz").status == 200);
        process.process.signal(libc::SIGTERM);
        let ended = process.wait().expect(0);
        for said in ["the queue fails", "the queue answers again"] {
            assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
        }
    }
    story.assert_right();
}

#[test]
fn a_command_without_its_redis_ends_with_one_line() {
    let story = Story::begin();
    story.redis.kill9();

    for command in ["run", "plan"] {
        let refused = story.on_queue(story.lab.everything(&[command])).run();
        let refused = refused.expect(1);
        let line = refused.only_error_line();
        assert!(line.contains("queue redis://127.0.0.1"), "{line}");
    }
}

#[test]
fn a_wrong_password_is_told_once_never_shown_and_heals() {
    let story = Story::with(RedisOptions::new().password("another"));
    let password = ("TAPEMILL_REDIS_PASSWORD", PASSWORD);
    let command = story.on_queue(story.lab.everything(&["coordinator"]));
    let coordinator = Watched::start(command.env(password.0, password.1));
    let command = story.on_queue(story.lab.from_source(&["worker"]));
    let worker = Watched::start(command.env(password.0, password.1));
    for process in [&coordinator, &worker] {
        until("it said so", || process.said("the queue fails") == 1);
    }

    story.redis.cli(&["CONFIG", "SET", "requirepass", PASSWORD]);

    until("all is done", || done(&worker) == 3.0);
    let status = coordinator.json("/api/v1/status");
    let metrics = coordinator.get("/metrics").body;
    assert!(metrics.contains("queue=\"story\""), "{metrics}");
    for text in [
        status.to_string(),
        metrics,
        coordinator.log(),
        worker.log(),
        coordinator.get("/api/v1/tasks").body,
    ] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    assert_eq!(worker.said("the queue fails"), 1, "{}", worker.log());
}

#[test]
fn a_full_redis_and_one_that_became_a_replica_are_lived_through() {
    for (breaks, heals) in [
        (
            &["CONFIG", "SET", "maxmemory", "1"][..],
            &["CONFIG", "SET", "maxmemory", "0"][..],
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"][..],
            &["REPLICAOF", "NO", "ONE"][..],
        ),
    ] {
        let story = Story::begin();
        story.plan();
        story.slow();
        let worker = story.worker(&[]);
        story.until_at_work();

        story.redis.cli(breaks);
        until("it said so", || worker.said("the queue fails") == 1);
        until("it is not ready", || worker.get("/readyz").status == 503);
        assert_eq!(worker.get("/healthz").status, 200);
        story.quick();
        story.redis.cli(heals);

        until("all is done", || done(&worker) == 3.0);
        until("it said so", || worker.said("answers again") >= 1);
        assert_eq!(worker.said("the queue fails"), 1, "{}", worker.log());
        story.assert_right();
    }
}

#[test]
fn a_redis_that_restarts_empty_is_planned_again_by_the_coordinator() {
    let story = Story::begin();
    let coordinator = story.coordinator();
    story.slow();
    let worker = story.worker(&["--lease", "3s"]);
    story.until_at_work();

    story.redis.restart(Keep::Nothing);
    story.quick();

    until("all is done", || {
        let status = coordinator.get("/api/v1/status");
        status.body.contains("\"totals\":{\"dead\":0,\"done\":3,")
    });
    assert_eq!(
        coordinator.said("the queue lost its tasks"),
        1,
        "{}",
        coordinator.log()
    );
    assert_eq!(worker.get("/readyz").status, 200);
    story.assert_right();
}

#[test]
fn a_run_over_a_redis_that_restarts_empty_finishes() {
    let story = Story::begin();
    story.slow();
    let run = story.on_queue(story.lab.everything(&["run", "--lease", "3s"]));
    let run = Watched::start(run);
    story.until_at_work();

    story.redis.restart(Keep::Nothing);
    story.quick();

    let ended = run.wait().expect(0);
    let told = ended.stderr.matches("the queue lost tasks of this run");
    assert_eq!(told.count(), 1, "{}", ended.stderr);
    story.assert_right();
}
