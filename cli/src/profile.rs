//! Where the time of a run went, and what bounded it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tapemill_queue::Calls;
use tapemill_runtime::{Stage, Stages};
use tapemill_worker::Finished;

use crate::format;

/// From this share of all cores on the CPU is what bounds a run, whatever is waited for beside it: then every wait is
/// longer for the lack of a core.
const SATURATED: f64 = 0.8;

/// What does not even come to this share of the wall time bounds nothing.
const NEGLIGIBLE: f64 = 0.1;

/// What a run spent. Times of stages and calls are sums over all tasks, so together they may be longer than the wall.
#[derive(Debug, Clone)]
pub struct Profile {
    /// From the start to the end.
    pub wall: Duration,
    /// Of all threads, user and system.
    pub cpu: Duration,
    /// How many cores the process may use.
    pub cores: usize,
    /// Whether the archive is read through the network.
    pub remote_archive: bool,
    /// Whether the output is a bucket.
    pub remote_output: bool,
    /// Listing the archive and looking at the output, without the calls to the queue.
    pub plan: Duration,
    /// Each stage of milling, in the order of [`Stage::ALL`].
    pub stages: [Duration; Stage::ALL.len()],
    /// The calls to the queue that something waited for.
    pub store: Calls,
    /// Writing the catalogue, without the calls to the queue.
    pub catalogue: Duration,
    /// The calls that tasks made, from their claims to their ends.
    pub task_calls: u64,
    /// All calls, heartbeats and the like included.
    pub all_calls: u64,
    /// What was finished.
    pub finished: Finished,
}

/// What the time of a run depended on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The archive, or a bucket, through the network.
    Network,
    /// Computing.
    Cpu,
    /// The disk of the archive or of the output.
    Disk,
    /// The queue's store.
    Store,
    /// Other workers that had the tasks, or a wait that was asked for.
    Tasks,
}

impl Bound {
    /// The word in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Cpu => "CPU",
            Self::Disk => "disk",
            Self::Store => "store",
            Self::Tasks => "tasks",
        }
    }
}

impl Profile {
    /// The time of each stage so far.
    pub fn times(stages: &Stages) -> [Duration; Stage::ALL.len()] {
        Stage::ALL.map(|stage| stages.spent(stage))
    }

    /// What bounded the run, and why.
    ///
    /// The CPU, when nearly all cores were busy; else whatever took the longest of the CPU time and the waits. Nothing
    /// of this process, when all of that is short beside the wall time.
    pub fn verdict(&self) -> (Bound, String) {
        let wall = self.wall.as_secs_f64();
        let cpu = self.cpu.as_secs_f64();
        let busy = format!(
            "busy for {} of {}, {:.1} of {}",
            seconds(self.cpu),
            seconds(self.wall),
            cpu / wall.max(f64::MIN_POSITIVE),
            format::plural(self.cores as u64, "core"),
        );
        if cpu >= SATURATED * wall * self.cores as f64 {
            return (Bound::Cpu, busy);
        }
        let place = |remote| if remote { Bound::Network } else { Bound::Disk };
        let waits = [
            (
                place(self.remote_archive),
                "the archive",
                self.plan + self.stage(Stage::Fetch),
            ),
            (
                place(self.remote_output),
                "the output",
                self.stage(Stage::Publish) + self.catalogue,
            ),
            (Bound::Store, "the queue", self.store.spent),
        ];
        let (bound, what, waited) = waits
            .into_iter()
            .max_by_key(|(.., waited)| *waited)
            .expect("there are three");
        let longest = waited.max(self.cpu);
        if longest.as_secs_f64() < NEGLIGIBLE * wall {
            let idle = "idle: the tasks were held by other workers, put off or paused";
            return (Bound::Tasks, idle.to_owned());
        }
        if longest == self.cpu {
            return (Bound::Cpu, busy);
        }
        let why = format!(
            "{what} was waited for {}, the CPU was busy for {} of {}",
            seconds(waited),
            seconds(self.cpu),
            seconds(self.wall)
        );
        (bound, why)
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let parts = self.parts();
        let all: f64 = parts.iter().map(|(_, spent)| spent.as_secs_f64()).sum();
        let rows: Vec<Vec<String>> = parts
            .iter()
            .map(|(name, spent)| {
                let share = 100.0 * spent.as_secs_f64() / all.max(f64::MIN_POSITIVE);
                vec![(*name).to_owned(), seconds(*spent), format!("{share:.0} %")]
            })
            .collect();
        let table = format::table(&["stage", "time", "share"], &rows, &[1, 2]);
        let wall = self.wall.as_secs_f64().max(f64::MIN_POSITIVE);
        let Finished { bytes, rows, .. } = self.finished;
        let (bound, why) = self.verdict();
        format!(
            "{table}wall {}, CPU {}; {} of {} rows, {} rows/s, {}/s\n\
             calls to the queue: {}, {:.1} a task\n\
             bounded by: {} ({why})\n",
            seconds(self.wall),
            seconds(self.cpu),
            format::bytes(bytes),
            format::count(rows as f64),
            format::count(rows as f64 / wall),
            format::bytes((bytes as f64 / wall) as u64),
            self.all_calls,
            self.calls_a_task(),
            bound.name(),
        )
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let parts: Map<String, Value> = self
            .parts()
            .into_iter()
            .map(|(name, spent)| (name.to_owned(), spent.as_secs_f64().into()))
            .collect();
        let (bound, why) = self.verdict();
        json!({
            "seconds": parts,
            "wall_seconds": self.wall.as_secs_f64(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "cores": self.cores,
            "queue_calls": self.all_calls,
            "queue_calls_per_task": self.calls_a_task(),
            "bound": bound.name(),
            "why": why,
        })
    }

    /// What each part of a run took, in the order of the work.
    fn parts(&self) -> Vec<(&'static str, Duration)> {
        let mut parts = vec![("plan", self.plan)];
        parts.extend(
            Stage::ALL
                .iter()
                .zip(self.stages)
                .map(|(stage, spent)| (stage.name(), spent)),
        );
        parts.push(("store", self.store.spent));
        parts.push(("catalogue", self.catalogue));
        parts
    }

    fn stage(&self, stage: Stage) -> Duration {
        self.stages[stage as usize]
    }

    fn calls_a_task(&self) -> f64 {
        let Finished {
            done,
            missing,
            dead,
            ..
        } = self.finished;
        self.task_calls as f64 / (done + missing + dead).max(1) as f64
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds of wall on two cores, a mirror and a folder, and nothing spent.
    fn idle() -> Profile {
        Profile {
            wall: Duration::from_secs(10),
            cpu: Duration::ZERO,
            cores: 2,
            remote_archive: true,
            remote_output: false,
            plan: Duration::ZERO,
            stages: Default::default(),
            store: Calls::default(),
            catalogue: Duration::ZERO,
            task_calls: 0,
            all_calls: 0,
            finished: Finished::default(),
        }
    }

    fn with(stage: Stage, spent: u64) -> Profile {
        let mut profile = idle();
        profile.stages[stage as usize] = Duration::from_secs(spent);
        profile
    }

    #[test]
    fn the_longest_wait_or_the_cpu_is_the_bound() {
        let network = Profile {
            cpu: Duration::from_secs(3),
            ..with(Stage::Fetch, 9)
        };
        let (bound, why) = network.verdict();
        assert_eq!(bound, Bound::Network);
        assert_eq!(
            why,
            "the archive was waited for 9.00 s, the CPU was busy for 3.00 s of 10.00 s"
        );

        let computing = Profile {
            cpu: Duration::from_secs(8),
            ..with(Stage::Fetch, 3)
        };
        let (bound, why) = computing.verdict();
        assert_eq!(bound, Bound::Cpu);
        assert_eq!(why, "busy for 8.00 s of 10.00 s, 0.8 of 2 cores");

        let store = Profile {
            store: Calls {
                count: 100,
                spent: Duration::from_secs(5),
            },
            ..with(Stage::Publish, 4)
        };
        assert_eq!(store.verdict().0, Bound::Store);
    }

    #[test]
    fn where_the_archive_and_the_output_are_decides_between_network_and_disk() {
        let folder = Profile {
            remote_archive: false,
            ..with(Stage::Fetch, 9)
        };
        assert_eq!(folder.verdict().0, Bound::Disk);

        let output = with(Stage::Publish, 9);
        assert_eq!(output.verdict().0, Bound::Disk);

        let bucket = Profile {
            remote_output: true,
            ..output
        };
        assert_eq!(bucket.verdict().0, Bound::Network);
        assert!(bucket.verdict().1.starts_with("the output"));
    }

    #[test]
    fn the_listing_is_waited_for_as_the_archive_is() {
        let listing = Profile {
            plan: Duration::from_secs(6),
            ..with(Stage::Publish, 4)
        };

        assert_eq!(listing.verdict().0, Bound::Network);
    }

    #[test]
    fn cores_that_are_all_busy_are_the_bound_even_where_tasks_wait_longer() {
        let crowded = Profile {
            cpu: Duration::from_secs(18),
            ..with(Stage::Fetch, 60)
        };

        assert_eq!(crowded.verdict().0, Bound::Cpu);
    }

    #[test]
    fn a_run_that_did_next_to_nothing_waited_for_its_tasks() {
        let waiting = Profile {
            cpu: Duration::from_millis(300),
            ..with(Stage::Fetch, 0)
        };

        assert_eq!(waiting.verdict().0, Bound::Tasks);
    }

    #[test]
    fn the_table_names_every_part_once_with_its_share() {
        let mut profile = Profile {
            cpu: Duration::from_secs(8),
            task_calls: 9,
            all_calls: 21,
            finished: Finished {
                done: 2,
                missing: 1,
                bytes: 50_000_000,
                rows: 20_000_000,
                ..Finished::default()
            },
            ..with(Stage::Inflate, 6)
        };
        profile.stages[Stage::Parse as usize] = Duration::from_secs(2);

        assert_eq!(
            profile.text(),
            "stage        time  share\n\
             plan       0.00 s    0 %\n\
             fetch      0.00 s    0 %\n\
             hash       0.00 s    0 %\n\
             inflate    6.00 s   75 %\n\
             parse      2.00 s   25 %\n\
             write      0.00 s    0 %\n\
             publish    0.00 s    0 %\n\
             store      0.00 s    0 %\n\
             catalogue  0.00 s    0 %\n\
             wall 10.00 s, CPU 8.00 s; 50.0 MB of 20.0 M rows, 2.0 M rows/s, 5.0 MB/s\n\
             calls to the queue: 21, 3.0 a task\n\
             bounded by: CPU (busy for 8.00 s of 10.00 s, 0.8 of 2 cores)\n"
        );
        assert_eq!(profile.json()["seconds"]["parse"], 2.0);
        assert_eq!(profile.json()["queue_calls_per_task"], 3.0);
    }
}
