//! Does what the schedule says, and judges what comes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ground::Ground;
use super::look::{Books, Counts, Look};
use super::member::{Ended, Member};
use super::tally::Tally;
use super::verdict::{Verdict, differences};
use super::{Act, ChaosOptions, Event, Schedule, Side, Victim};
use crate::Keep;

const TURN: Duration = Duration::from_millis(20);
const TOLD_EVERY: Duration = Duration::from_secs(5);
const READ_EVERY: Duration = Duration::from_secs(1);

/// Where what happens is told, a line at a time.
type Say<'a> = &'a dyn Fn(&str);

/// What ends later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Start(Victim),
    Continue(Victim),
    Heal(Victim, Side),
    Calm,
    StartRedis(Keep),
    ContinueRedis,
}

struct World<'a> {
    options: &'a ChaosOptions,
    say: Say<'a>,
    ground: Ground,
    members: BTreeMap<Victim, Member>,
    endings: Vec<(Duration, Ending)>,
    look: Look,
    books: Vec<Books>,
    defects: Vec<String>,
    tally: Tally,
    begun: Instant,
    /// When the tasks were last told, and when counters were last read.
    told: Duration,
    read: Duration,
}

/// Runs it, telling everything as it happens. `binary` is the command.
pub fn run(binary: &'static str, options: &ChaosOptions, say: Say<'_>) -> Verdict {
    let schedule = Schedule::of(options);
    say(&format!("schedule of seed {}:", options.seed));
    schedule
        .events
        .iter()
        .for_each(|event| say(&event.to_string()));
    let temporary = tempfile::tempdir().expect("a folder can be made");
    let logs = options.logs.clone();
    let logs = logs.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&logs).expect("the logs' folder can be made");

    let ground = Ground::new(binary, options);
    say(&format!(
        "{} archives lie there; an undisturbed run:",
        options.tasks
    ));
    let ought = ground.lab.undisturbed();
    say(&format!("it made {} files; now with trouble:", ought.len()));
    let mut world = World::new(options, say, ground, &logs);
    world.go_through(&schedule);
    world.come_to_rest();
    let verdict = world.judge(&ought);
    world.keep_logs(&verdict, &logs, temporary);
    verdict
}

impl<'a> World<'a> {
    fn new(options: &'a ChaosOptions, say: Say<'a>, ground: Ground, logs: &Path) -> Self {
        ground.fail(None);
        let workers = (1..=options.workers).map(Victim::Worker);
        let victims = workers.chain((1..=options.coordinators).map(Victim::Coordinator));
        let members = victims.map(|victim| (victim, ground.member(victim, logs)));
        Self {
            options,
            say,
            members: members.collect(),
            ground,
            endings: Vec::new(),
            look: Look::default(),
            books: Vec::new(),
            defects: Vec::new(),
            tally: Tally::default(),
            begun: Instant::now(),
            told: Duration::ZERO,
            read: Duration::ZERO,
        }
    }

    fn go_through(&mut self, schedule: &Schedule) {
        let victims: Vec<_> = self.members.keys().copied().collect();
        victims.into_iter().for_each(|victim| self.start(victim));
        for event in &schedule.events {
            while self.now() < event.at {
                self.turn();
                if self.is_finished() {
                    self.tell("all is finished before the trouble is");
                    return;
                }
            }
            self.act(event);
        }
        while self.now() < self.options.span() && !self.is_finished() {
            self.turn();
        }
    }

    /// All trouble ends; what is left gets finished.
    fn come_to_rest(&mut self) {
        self.tell("the trouble is over");
        for (_, ending) in std::mem::take(&mut self.endings) {
            self.end(ending);
        }
        self.members.values_mut().for_each(Member::heal_all);
        self.ground.calm();
        let patience = Duration::from_secs(60 * u64::from(self.options.minutes));
        let since = Instant::now();
        // What was seen before may have been lost since.
        self.look.latest = Counts::default();
        while !self.is_finished() && since.elapsed() < patience {
            self.turn();
        }
    }

    fn judge(&mut self, ought: &BTreeMap<String, String>) -> Verdict {
        let seconds = self.now().as_secs_f64();
        self.read_books();
        self.members.values_mut().for_each(Member::term);
        while self.members.values().any(|member| !member.is_away()) {
            thread::sleep(TURN);
            self.bury_ended();
        }
        self.look_for_panics();
        if let Some(redis) = &self.ground.redis
            && redis.restarts() < self.options.redis_kills()
        {
            let why = "Redis was killed too seldom: the work was over too early, raise --seconds";
            self.defects.push(why.to_owned());
        }
        Verdict {
            tasks: self.options.tasks.into(),
            counts: self.look.latest,
            books: self.books.clone(),
            files: ought.len(),
            differences: differences(&self.ground.made(), ought),
            defects: self.defects.clone(),
            tally: self.tally.clone(),
            seconds,
        }
    }

    fn keep_logs(&self, verdict: &Verdict, logs: &Path, temporary: TempDir) {
        if let Some(redis) = &self.ground.redis {
            let _ = std::fs::write(logs.join("redis.log"), redis.server.log());
        }
        let kept: PathBuf = match (&self.options.logs, verdict.is_good()) {
            (Some(folder), _) => folder.clone(),
            (None, true) => return,
            (None, false) => temporary.keep(),
        };
        (self.say)(&format!("the logs are in {}", kept.display()));
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn tell(&self, what: &str) {
        (self.say)(&format!("{:7.2}s  {what}", self.now().as_secs_f64()));
    }

    fn is_finished(&self) -> bool {
        self.look.latest.finished() == u64::from(self.options.tasks)
    }

    /// What happens between two events.
    fn turn(&mut self) {
        thread::sleep(TURN);
        let now = self.now();
        let (due, later) = std::mem::take(&mut self.endings)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.endings = later;
        let due: Vec<(Duration, Ending)> = due;
        due.into_iter().for_each(|(_, ending)| self.end(ending));
        for victim in self.bury_ended() {
            self.start(victim);
        }
        let ground = &self.ground;
        let is_up = ground.redis.as_ref().is_none_or(|redis| redis.is_up());
        self.look
            .turn(|| is_up.then(|| ground.on_queue(&["queue", "list"])));
        if now > self.read + READ_EVERY {
            self.read = now;
            self.members.values_mut().for_each(Member::read);
        }
        if now > self.told + TOLD_EVERY {
            self.told = now;
            let Counts {
                pending,
                leased,
                done,
                dead,
                ..
            } = self.look.latest;
            self.tell(&format!(
                "  {done} done, {leased} leased, {pending} pending, {dead} dead"
            ));
        }
    }

    /// Those that ended by themselves, or when told to.
    fn bury_ended(&mut self) -> Vec<Victim> {
        let mut buried = Vec::new();
        for (victim, member) in &mut self.members {
            let Some(ended) = member.ended() else {
                continue;
            };
            self.tally.add(&member.bury());
            buried.push(*victim);
            if let Ended::Wrongly(why) = ended {
                (self.say)(&format!("WRONG: {why}"));
                self.defects.push(why);
            }
        }
        buried
    }

    fn start(&mut self, victim: Victim) {
        if let Some(member) = self.members.get_mut(&victim)
            && member.is_away()
        {
            let command = self.ground.command_of(member);
            member.start(command);
        }
    }

    fn act(&mut self, event: &Event) {
        self.tell(&event.act.to_string());
        match event.act {
            Act::Kill(victim, down) => {
                self.tally.count(match victim {
                    Victim::Worker(_) => "workers killed",
                    Victim::Coordinator(_) => "coordinators killed",
                });
                let member = self.members.get_mut(&victim).expect("it is a member");
                member.kill();
                let counted = member.bury();
                self.tally.add(&counted);
                self.later(down, Ending::Start(victim));
            }
            Act::Stop(victim, length) => {
                self.tally.count("processes stopped and continued");
                self.members.get_mut(&victim).expect("a member").stop();
                self.later(length, Ending::Continue(victim));
            }
            Act::Term(victim) => {
                self.tally.count("workers told to end");
                self.members.get_mut(&victim).expect("a member").term();
            }
            Act::Network(victim, side, trouble) => {
                self.tally.count("networks troubled");
                if let Some(length) = self.members[&victim].trouble(side, trouble) {
                    self.later(length, Ending::Heal(victim, side));
                }
            }
            Act::Archive(storm, length) => {
                self.tally.count("storms of the archive");
                let seed = event.at.as_millis() as u64;
                self.ground.fail(Some((storm, seed)));
                self.later(length, Ending::Calm);
            }
            Act::FlushAll => {
                self.tally.count("times the queue was lost");
                self.read_books();
                self.redis(|redis| redis.cli(&["FLUSHALL"]));
            }
            Act::LoseRedis(down) => {
                self.tally.count("times the queue was lost");
                self.read_books();
                self.redis(|redis| redis.kill());
                self.later(down, Ending::StartRedis(Keep::Nothing));
            }
            Act::KillRedis(down) => {
                self.tally.count("times Redis was killed");
                self.redis(|redis| redis.kill());
                self.later(down, Ending::StartRedis(Keep::Data));
            }
            Act::StopRedis(length) => {
                self.tally.count("other trouble of Redis");
                self.redis(|redis| redis.stop());
                self.later(length, Ending::ContinueRedis);
            }
            Act::FlushScripts => {
                self.tally.count("other trouble of Redis");
                self.redis(|redis| redis.cli(&["SCRIPT", "FLUSH"]));
            }
            Act::KillClients => {
                self.tally.count("other trouble of Redis");
                self.redis(|redis| redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]));
            }
            Act::PauseClients(length) => {
                self.tally.count("other trouble of Redis");
                let length = length.as_millis().to_string();
                self.redis(|redis| redis.cli(&["CLIENT", "PAUSE", &length]));
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Start(victim) => self.start(victim),
            Ending::Continue(victim) => self.members.get_mut(&victim).expect("a member").cont(),
            Ending::Heal(victim, side) => self.members[&victim].heal(side),
            Ending::Calm => self.ground.fail(None),
            Ending::StartRedis(keep) => self.redis(|redis| redis.restart(keep)),
            Ending::ContinueRedis => self.redis(|redis| redis.cont()),
        }
    }

    fn later(&mut self, length: Duration, ending: Ending) {
        self.endings.push((self.now() + length, ending));
    }

    fn redis(&mut self, act: impl FnOnce(&mut super::troubled_redis::TroubledRedis)) {
        act(self.ground.redis.as_mut().expect("there is a Redis"));
    }

    fn read_books(&mut self) {
        let list_queue = self.ground.on_queue(&["queue", "list"]);
        let books = Books::read(list_queue, self.ground.on_queue(&["tasks", "list"]));
        self.books.extend(books);
    }

    fn look_for_panics(&mut self) {
        for (victim, member) in &self.members {
            let log = member.log();
            let panics = log.lines().filter(|line| line.contains("panicked"));
            self.defects
                .extend(panics.map(|line| format!("{victim} panicked: {line}")));
        }
    }
}
