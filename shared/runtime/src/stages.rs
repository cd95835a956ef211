//! The time a process spends in each stage of its work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A stage of milling an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Waiting for bytes of the archive.
    Fetch,
    /// The checksum of the archive.
    Hash,
    /// Decompressing.
    Inflate,
    /// Parsing and aggregating rows.
    Parse,
    /// Encoding and writing tables.
    Write,
    /// Waiting for the output: until tables are durable, and until they are shown.
    Publish,
}

impl Stage {
    /// All of them, in the order of the work.
    pub const ALL: [Stage; 6] = [
        Stage::Fetch,
        Stage::Hash,
        Stage::Inflate,
        Stage::Parse,
        Stage::Write,
        Stage::Publish,
    ];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Fetch => "fetch",
            Stage::Hash => "hash",
            Stage::Inflate => "inflate",
            Stage::Parse => "parse",
            Stage::Write => "write",
            Stage::Publish => "publish",
        }
    }
}

/// Time per stage, added up over all threads. Shared by reference; adding costs one atomic.
#[derive(Debug, Default)]
pub struct Stages {
    nanoseconds: [AtomicU64; Stage::ALL.len()],
}

impl Stages {
    /// All at zero.
    pub const fn new() -> Stages {
        Stages {
            nanoseconds: [const { AtomicU64::new(0) }; Stage::ALL.len()],
        }
    }

    /// Adds time spent.
    pub fn add(&self, stage: Stage, spent: Duration) {
        let nanoseconds = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[stage as usize].fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Times what happens until the timer is dropped. Take it per block, not per row: reading the clock costs about
    /// 25 ns, twice.
    pub fn time(&self, stage: Stage) -> StageTimer<'_> {
        StageTimer {
            stages: self,
            stage,
            started: Instant::now(),
        }
    }

    /// The time of one stage so far.
    pub fn spent(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.nanoseconds[stage as usize].load(Ordering::Relaxed))
    }
}

/// Adds the time since it was made to its stage when it is dropped, on an early return or a panic too.
#[derive(Debug)]
#[must_use = "a timer that is dropped at once measures nothing"]
pub struct StageTimer<'a> {
    stages: &'a Stages,
    stage: Stage,
    started: Instant,
}

impl StageTimer<'_> {
    /// Ends this stage and begins another, with one look at the clock.
    pub fn switch(&mut self, stage: Stage) {
        let now = Instant::now();
        self.stages.add(self.stage, now - self.started);
        (self.stage, self.started) = (stage, now);
    }
}

impl Drop for StageTimer<'_> {
    fn drop(&mut self) {
        self.stages.add(self.stage, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn times_of_all_threads_add_up_per_stage() {
        let stages = Stages::new();

        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        stages.add(Stage::Parse, Duration::from_micros(3));
                    }
                });
            }
        });

        assert_eq!(stages.spent(Stage::Parse), Duration::from_millis(12));
        assert_eq!(stages.spent(Stage::Fetch), Duration::ZERO);
    }

    #[test]
    fn a_timer_gives_each_stage_its_own_time_and_no_moment_twice() {
        let stages = Stages::new();
        let started = Instant::now();
        let burn = |least: Duration| {
            let from = Instant::now();
            while from.elapsed() < least {
                std::hint::spin_loop();
            }
        };

        let mut timer = stages.time(Stage::Inflate);
        burn(Duration::from_millis(2));
        timer.switch(Stage::Parse);
        burn(Duration::from_millis(1));
        drop(timer);

        let elapsed = started.elapsed();
        assert!(stages.spent(Stage::Inflate) >= Duration::from_millis(2));
        assert!(stages.spent(Stage::Parse) >= Duration::from_millis(1));
        assert!(stages.spent(Stage::Inflate) + stages.spent(Stage::Parse) <= elapsed);
    }

    #[test]
    fn every_stage_has_its_own_name_and_place() {
        let names = Stage::ALL.map(Stage::name);

        assert_eq!(
            names,
            ["fetch", "hash", "inflate", "parse", "write", "publish"]
        );
        assert_eq!(Stage::ALL.map(|stage| stage as usize), [0, 1, 2, 3, 4, 5]);
    }
}
