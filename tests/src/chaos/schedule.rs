//! What is done to whom, and when.

use std::fmt;
use std::time::Duration;

use super::{ChaosOptions, Storm, dealer};

/// All that is done, in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The events.
    pub events: Vec<Event>,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Since the beginning.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// A worker, counted from 1.
    Worker(u32),
    /// A coordinator, counted from 1.
    Coordinator(u32),
}

/// Whom a process talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Redis.
    Queue,
    /// The archive.
    Archive,
    /// The bucket.
    Output,
}

/// What the network between two does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Open connections are reset.
    Reset,
    /// Open connections swallow everything, and nobody is told.
    BlackHole,
    /// Nothing passes, and nothing is lost.
    Hold(Duration),
    /// New connections are refused, open ones reset.
    Refuse(Duration),
    /// Every byte comes this much later.
    Delay(Duration, Duration),
    /// So many bytes a second pass.
    Throttle(u64, Duration),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// SIGKILL, and another process after a while.
    Kill(Victim, Duration),
    /// SIGSTOP, and SIGCONT after a while.
    Stop(Victim, Duration),
    /// SIGTERM, and another process once it ended.
    Term(Victim),
    /// The network between a process and another.
    Network(Victim, Side, Trouble),
    /// The archive fails for a while.
    Archive(Storm, Duration),
    /// Redis is killed, and started again after a while with what it had made durable.
    KillRedis(Duration),
    /// Redis is killed, and started again after a while with nothing.
    LoseRedis(Duration),
    /// Redis is stopped, and continued after a while.
    StopRedis(Duration),
    /// `SCRIPT FLUSH`.
    FlushScripts,
    /// `CLIENT KILL TYPE normal`.
    KillClients,
    /// `CLIENT PAUSE`.
    PauseClients(Duration),
    /// `FLUSHALL`.
    FlushAll,
}

impl Schedule {
    /// The same options give the same schedule, on every machine.
    pub fn of(options: &ChaosOptions) -> Self {
        let mut events = dealer::deal(options);
        events.sort_by_key(|event| event.at);
        Self { events }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.2}s  {}", self.at.as_secs_f64(), self.act)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(victim, down) => write!(f, "{victim}: kill -9, away for {down:?}"),
            Self::Stop(victim, length) => write!(f, "{victim}: SIGSTOP for {length:?}"),
            Self::Term(victim) => write!(f, "{victim}: SIGTERM"),
            Self::Network(victim, side, trouble) => write!(f, "{victim} and {side}: {trouble}"),
            Self::Archive(storm, length) => write!(f, "archive: {storm} for {length:?}"),
            Self::KillRedis(down) => write!(f, "redis: kill -9, away for {down:?}"),
            Self::LoseRedis(down) => {
                write!(f, "redis: kill -9 and its disk lost, away for {down:?}")
            }
            Self::StopRedis(length) => write!(f, "redis: SIGSTOP for {length:?}"),
            Self::FlushScripts => f.write_str("redis: SCRIPT FLUSH"),
            Self::KillClients => f.write_str("redis: CLIENT KILL of all"),
            Self::PauseClients(length) => write!(f, "redis: CLIENT PAUSE for {length:?}"),
            Self::FlushAll => f.write_str("redis: FLUSHALL"),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(number) => write!(f, "worker-{number}"),
            Self::Coordinator(number) => write!(f, "coordinator-{number}"),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "redis",
            Self::Archive => "archive",
            Self::Output => "bucket",
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("connections reset"),
            Self::BlackHole => f.write_str("connections swallow everything"),
            Self::Hold(length) => write!(f, "held for {length:?}"),
            Self::Refuse(length) => write!(f, "cut off for {length:?}"),
            Self::Delay(latency, length) => write!(f, "{latency:?} later for {length:?}"),
            Self::Throttle(rate, length) => write!(f, "{rate} B/s for {length:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::chaos::Store;

    #[test]
    fn a_seed_decides_the_schedule() {
        let of = |seed| Schedule::of(&ChaosOptions::new(seed));

        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn workers_and_redis_are_killed_as_often_as_told_and_nothing_else_happens() {
        let options = ChaosOptions {
            only_kills: true,
            ..ChaosOptions::new(1)
        };

        let events = Schedule::of(&options).events;

        let count = |is: fn(&Act) -> bool| events.iter().filter(|event| is(&event.act)).count();
        assert_eq!(
            count(|act| matches!(act, Act::Kill(Victim::Worker(_), _))),
            29
        );
        assert_eq!(count(|act| matches!(act, Act::KillRedis(_))), 3);
        assert_eq!(events.len(), 32);
    }

    #[test]
    fn all_there_is_comes_within_a_few_seeds() {
        let words: BTreeSet<String> = (0..20)
            .flat_map(|seed| Schedule::of(&ChaosOptions::new(seed)).events)
            .map(|event| {
                let text = event.act.to_string();
                text.chars()
                    .filter(|c| !c.is_ascii_digit())
                    .take(22)
                    .collect()
            })
            .collect();

        for beginning in [
            "redis: FLUSHALL",
            "redis: SIGSTOP",
            "redis: CLIENT PAUSE",
            "redis: SCRIPT FLUSH",
            "redis: kill -, away",
            "redis: kill - and its",
            "archive: ",
            "coordinator-: kill",
            "coordinator-: SIGSTOP",
            "worker-: SIGTERM",
            "worker-: SIGSTOP",
            "worker- and redis: ",
            "worker- and archive: ",
        ] {
            assert!(
                words.iter().any(|word| word.starts_with(beginning)),
                "no {beginning}: {words:#?}"
            );
        }
    }

    #[test]
    fn without_redis_nothing_happens_to_it() {
        let options = ChaosOptions {
            store: Store::Sqlite,
            ..ChaosOptions::new(1)
        };

        for event in Schedule::of(&options).events {
            assert!(!event.act.to_string().contains("redis"), "{event}");
        }
    }
}
