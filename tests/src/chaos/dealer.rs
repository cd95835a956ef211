//! From a seed to a schedule.

use std::time::Duration;

use super::{Act, ChaosOptions, Event, Kind, Side, Storm, Trouble, Victim};
use crate::Dice;

/// Other trouble comes after this many milliseconds, and up to as many again.
const PAUSE: u64 = 600;

/// How often a queue may be lost in one schedule: from a quarter of it on, and from three quarters on once more, so that
/// there is something to lose.
const LOSSES: f64 = 2.0;

struct Dealer<'a> {
    options: &'a ChaosOptions,
    dice: Dice,
    events: Vec<Event>,
    /// When Redis is in trouble already, with some time to be whole again.
    redis_taken: Vec<(Duration, Duration)>,
    losses: u32,
    storms: u8,
}

/// The events, in no order.
pub(super) fn deal(options: &ChaosOptions) -> Vec<Event> {
    let mut dealer = Dealer {
        options,
        dice: Dice::new(options.seed),
        events: Vec::new(),
        redis_taken: Vec::new(),
        losses: 0,
        storms: 0,
    };
    dealer.kill_workers();
    dealer.kill_redis();
    dealer.trouble();
    dealer.events
}

impl Dealer<'_> {
    fn kill_workers(&mut self) {
        let every = self.options.kill_every;
        let mut at = every;
        while every > 0 && at < self.options.seconds {
            let down = self.milliseconds(0, 500);
            let act = Act::Kill(self.worker(), down);
            self.add(Duration::from_secs(at.into()), act);
            at += every;
        }
    }

    /// Spread over the time, each somewhere in its share.
    fn kill_redis(&mut self) {
        let kills = self.options.redis_kills();
        let share = self.options.span() / (kills + 1).max(1);
        for nth in 1..=kills {
            let at = share * nth - share.mul_f64(self.dice.below(50) as f64 / 100.0);
            let down = self.milliseconds(200, 2_500);
            self.redis_taken.push((at, at + down));
            self.add(at, Act::KillRedis(down));
        }
    }

    fn trouble(&mut self) {
        let kinds = self.options.kinds();
        if kinds.is_empty() {
            return;
        }
        let mut at = Duration::ZERO;
        loop {
            at += self.milliseconds(PAUSE, 2 * PAUSE);
            if at >= self.options.span() {
                return;
            }
            let kind = self.dice.of(&kinds);
            let (act, length) = self.act(kind);
            let is_free = !kind.is_of_redis() || self.take_redis(at, at + length);
            let is_loss = matches!(kind, Kind::RedisFlush | Kind::RedisLose);
            let passed = at.as_secs_f64() / self.options.span().as_secs_f64();
            let may_lose = f64::from(self.losses) < (passed * LOSSES).round();
            if !is_free || (is_loss && !may_lose) {
                continue;
            }
            self.losses += u32::from(is_loss);
            self.add(at, act);
        }
    }

    /// One act of a kind, and how long it lasts.
    fn act(&mut self, kind: Kind) -> (Act, Duration) {
        let lease = Duration::from_secs(self.options.lease.into());
        let length = self.milliseconds(500, 4_000);
        let act = match kind {
            Kind::WorkerStop => {
                let length = lease + self.milliseconds(500, 2_500);
                Act::Stop(self.worker(), length)
            }
            Kind::WorkerTerm => Act::Term(self.worker()),
            Kind::CoordinatorKill => Act::Kill(self.coordinator(), length),
            Kind::CoordinatorStop => Act::Stop(self.coordinator(), length),
            Kind::QueueNetwork => self.network(Side::Queue),
            Kind::ArchiveNetwork => self.network(Side::Archive),
            Kind::OutputNetwork => self.network(Side::Output),
            Kind::ArchiveFaults => {
                self.storms += 1;
                Act::Archive(Storm::roll(&mut self.dice, self.storms), length)
            }
            Kind::RedisStop => Act::StopRedis(length),
            Kind::RedisScripts => Act::FlushScripts,
            Kind::RedisClients => Act::KillClients,
            Kind::RedisPause => Act::PauseClients(length),
            Kind::RedisFlush => Act::FlushAll,
            Kind::RedisLose => Act::LoseRedis(length),
        };
        (act, length)
    }

    fn network(&mut self, side: Side) -> Act {
        // A coordinator mills nothing, and has the whole network but for that.
        let victim = match self.dice.once_in(4) {
            true => self.coordinator(),
            false => self.worker(),
        };
        let length = self.milliseconds(500, 5_000);
        let trouble = match self.dice.below(6) {
            0 => Trouble::Reset,
            1 => Trouble::BlackHole,
            2 => Trouble::Hold(length),
            3 => Trouble::Refuse(length),
            4 => Trouble::Delay(self.milliseconds(10, 400), length),
            _ => Trouble::Throttle(2_000 + self.dice.below(20_000), length),
        };
        Act::Network(victim, side, trouble)
    }

    fn worker(&mut self) -> Victim {
        Victim::Worker(1 + self.dice.below(self.options.workers.into()) as u32)
    }

    fn coordinator(&mut self) -> Victim {
        Victim::Coordinator(1 + self.dice.below(self.options.coordinators.into()) as u32)
    }

    /// Whether nothing else happens to Redis meanwhile; it is taken then.
    fn take_redis(&mut self, from: Duration, to: Duration) -> bool {
        let rest = Duration::from_millis(500);
        let is_free =
            |(begin, end): &(Duration, Duration)| to + rest < *begin || *end + rest < from;
        let is_free = self.redis_taken.iter().all(is_free);
        if is_free {
            self.redis_taken.push((from, to));
        }
        is_free
    }

    fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.dice.below(to - from))
    }

    fn add(&mut self, at: Duration, act: Act) {
        self.events.push(Event { at, act });
    }
}
