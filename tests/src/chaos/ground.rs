//! The archive, the queue and the output of a run, and the commands on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tapemill_standin::generate::{KlinesSpec, Packing};
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_standin::{Interval, Market};

use super::member::Member;
use super::troubled_redis::TroubledRedis;
use super::{ChaosOptions, Output, Side, Store, Storm, Victim};
use crate::{Lab, Mirror, Proxy, S3, Tapemill, hashes, object_hashes};

/// Where the tables lie in the bucket.
const PREFIX: &str = "chaos";
/// Tasks at once of a worker.
const TASKS_AT_ONCE: u32 = 2;
/// Budgets that kills do not use up: what is tested is not how often one may try.
const BUDGET: &str = "1000";
const ROWS: u64 = 2_000;

/// What the processes work on.
pub(super) struct Ground {
    pub lab: Lab,
    pub redis: Option<TroubledRedis>,
    s3: Option<S3>,
    lease: String,
    /// How slow the archive is.
    slow: Faults,
}

impl Ground {
    /// Starts the servers and lays the archives down.
    pub fn new(binary: &'static str, options: &ChaosOptions) -> Self {
        let mirror = Mirror::new();
        lay(&mirror, options.tasks);
        let lab = Lab::with(binary, mirror);
        std::fs::create_dir_all(lab.output()).expect("a folder can be made");
        Self {
            slow: slowness(lab.mirror.root(), options),
            lab,
            redis: (options.store == Store::Redis).then(TroubledRedis::start),
            s3: (options.output == Output::S3).then(S3::start),
            lease: format!("{}s", options.lease),
        }
    }

    /// A process with ways of its own to every server.
    pub fn member(&self, victim: Victim, logs: &Path) -> Member {
        let mut proxies = BTreeMap::new();
        let mut way = |side, port| {
            proxies.insert(side, Proxy::before(port));
        };
        let archive = self.lab.mirror.url().rsplit_once(':');
        let port = archive.and_then(|(_, port)| port.parse().ok());
        way(Side::Archive, port.expect("a URL with a port"));
        if let Some(redis) = &self.redis {
            way(Side::Queue, redis.server.port());
        }
        if let Some(s3) = &self.s3 {
            way(Side::Output, s3.port());
        }
        Member::new(victim, logs, proxies)
    }

    /// The command of a process.
    pub fn command_of(&self, member: &Member) -> Tapemill {
        let by_way = |side, url: &str| match member.proxy(side) {
            Some(proxy) => proxy.instead_of(url),
            None => url.to_owned(),
        };
        let source = by_way(Side::Archive, self.lab.mirror.url());
        let queue = by_way(Side::Queue, &self.queue());
        let command = match member.victim {
            Victim::Coordinator(_) => self.milling(&["coordinator", "--symbols", "all"]),
            Victim::Worker(_) => self.milling(&["worker", "--grace", "5s"]).args([
                "--lease",
                &self.lease,
                "--workers",
                &TASKS_AT_ONCE.to_string(),
                "--name",
                &member.victim.to_string(),
            ]),
        };
        let command = command.args(["--source", &source, "--queue", &queue]);
        let mut command = command.args(["--attempts", BUDGET, "--expiries", BUDGET]);
        if let (Some(s3), Some(proxy)) = (&self.s3, member.proxy(Side::Output)) {
            for (name, value) in s3.env_at(&proxy.instead_of(&s3.endpoint())) {
                command = command.env(name, &value);
            }
        }
        command
    }

    /// A command on the queue alone, by the straight way.
    pub fn on_queue(&self, words: &[&str]) -> Tapemill {
        let command = self.lab.command(words);
        command.args(["--json", "--queue", &self.queue()])
    }

    fn queue(&self) -> String {
        match &self.redis {
            Some(redis) => format!("{}?queue=chaos", redis.server.url()),
            None => format!("sqlite:{}", self.lab.folder().join("queue.db").display()),
        }
    }

    fn milling(&self, words: &[&str]) -> Tapemill {
        match &self.s3 {
            Some(s3) => self.lab.command_at(words, Path::new(&s3.url(PREFIX))),
            None => self.lab.command(words),
        }
    }

    /// The tables that were made, by their path.
    pub fn made(&self) -> BTreeMap<String, String> {
        match &self.s3 {
            Some(s3) => object_hashes(s3, PREFIX),
            None => hashes(&self.lab.output()),
        }
    }

    /// The archive is as slow as the run takes, and fails besides in this way.
    pub fn fail(&self, storm: Option<(Storm, u64)>) {
        let faults = match storm {
            Some((storm, seed)) => storm.over(self.slow.clone(), seed),
            None => self.slow.clone(),
        };
        self.lab.mirror.set_faults(faults);
    }

    /// The archive is fast, and never fails.
    pub fn calm(&self) {
        self.lab.mirror.set_faults(Faults::none());
    }
}

/// Mostly days of trades, every tenth a day of klines, and a month now and then.
fn lay(mirror: &Mirror, tasks: u32) {
    let mut left = tasks;
    for symbol in 0.. {
        let name = format!("C{symbol:03}USDT");
        for month in 1..=12 {
            for day in 1..=20 {
                if left == 0 {
                    return;
                }
                left -= 1;
                let day = format!("2024-{month:02}-{day:02}");
                match left % 40 {
                    10 | 20 | 30 => klines(mirror, &name, &day),
                    0 => drop(mirror.trades(&format!("M{left:03}USDT"), &day[..7], ROWS)),
                    _ => drop(mirror.trades(&name, &day, ROWS)),
                }
            }
        }
    }
}

fn klines(mirror: &Mirror, symbol: &str, day: &str) {
    let period = day.parse().expect("it is a day");
    let spec = KlinesSpec::new(Market::Um, symbol, Interval::MINUTE, period);
    let written = spec.write(mirror.root(), &Packing::default());
    written.expect("the archive can be written");
}

/// Each transfer takes so long that all of them together take as long as the trouble.
fn slowness(root: &Path, options: &ChaosOptions) -> Faults {
    let at_once = u64::from(options.workers * TASKS_AT_ONCE);
    let span = options.span().as_millis() as u64;
    let milliseconds = (span * at_once / u64::from(options.tasks)).max(1);
    let mut faults = Faults::none();
    for kind in ["aggTrades", "klines"] {
        let zips = zips(root, kind);
        let Some(mean) = zips.iter().sum::<u64>().checked_div(zips.len() as u64) else {
            continue;
        };
        let slow = Fault::Slow {
            bytes_per_second: (mean * 1_000 / milliseconds).max(1),
        };
        faults = faults.and(&format!("**/{kind}/**.zip"), slow, When::Always);
    }
    faults
}

/// The sizes of all archives of a kind.
fn zips(root: &Path, kind: &str) -> Vec<u64> {
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut sizes = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "zip")
                && path.components().any(|part| part.as_os_str() == kind)
            {
                sizes.push(entry.metadata().expect("it is there").len());
            }
        }
    }
    sizes
}
