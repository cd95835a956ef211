//! Keeps the map of a queue while somebody looks at it, at a cost to the store that is bounded whatever its size.
//!
//! The queue has no list of what changed. So the map is walked through in slices, with pauses, until it agrees with the
//! queue's own counters, and between walks it follows what is known without looking at all tasks: which tasks are
//! leased, what became of those that were, and which are dead. While nobody looks, nothing is asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tapemill_queue::{Queue, QueueError, Stats, TaskFilter, TaskId, TaskRecord, TaskState};
use tapemill_runtime::Ticker;

use crate::failures::Failures;
use crate::map::{Part, TaskMap};
use crate::view::{QueueView, Snapshot};

/// Tasks per call to the store: few enough that workers do not wait behind one.
const SLICE: usize = 250;

/// How often leases and dead tasks are followed.
const TURN: Duration = Duration::from_secs(1);

/// Leases that ended, followed in a turn.
const MOST_OVER: usize = 1_000;

/// Calls per turn that list dead tasks.
const DEAD_SLICES: usize = 10;

/// A walk over a map that is not whole yet waits after each slice for as long as that took; any later one waits this
/// many times as long, and as many times as long as it took itself before the next.
const LATER_PAUSES: u32 = 3;

/// The shortest rest between two walks, and the longest, at which one begins even where all counts agree.
const SHORTEST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// The map, and the failures met on the way.
#[derive(Debug, Default)]
pub(crate) struct Chart {
    map: TaskMap,
    failures: Failures,
    /// A walk came to its end.
    is_whole: bool,
}

impl Chart {
    /// How much of the queue is on the map, and the failures.
    pub(crate) fn value(&self, stats: &Stats) -> Value {
        let tasks: u64 = stats.totals().iter().map(|count| count.tasks).sum();
        let known = self.map.known();
        json!({
            "map": {
                "version": self.map.version(), "whole": self.is_whole,
                // A task that is gone may still be on the map.
                "known": known.min(tasks), "tasks": tasks,
            },
            "failures": self.failures.value(),
        })
    }

    /// A part of the map; how much is known stands beside it.
    pub(crate) fn document(&self, part: &Part, stats: &Stats) -> Value {
        let mut document = self.map.document(part);
        document["map"] = self.value(stats)["map"].take();
        document
    }

    /// Tasks as they are now, and those that are gone.
    pub(crate) fn put_all(&mut self, ids: &[TaskId], records: &[Option<TaskRecord>]) {
        for (id, record) in ids.iter().zip(records) {
            match record {
                Some(task) => self.put(task),
                None => {
                    self.map.remove(id.as_str());
                    self.failures.remove(id.as_str());
                }
            }
        }
    }

    fn put(&mut self, task: &TaskRecord) {
        self.map.put(task);
        self.failures.put(task);
    }
}

/// Who keeps it.
pub(crate) struct Mapper<'a> {
    view: &'a Arc<QueueView>,
    /// As of the last turn.
    leased: BTreeSet<TaskId>,
    /// How many tasks were dead when they were listed.
    dead: Option<u64>,
    walk: Option<Walk>,
    /// When the last walk ended, and how long it took.
    last: Option<(Instant, Duration)>,
}

struct Walk {
    begun: Instant,
    cursor: Option<String>,
}

impl<'a> Mapper<'a> {
    pub(crate) fn new(view: &'a Arc<QueueView>) -> Self {
        Self {
            view,
            leased: BTreeSet::new(),
            dead: None,
            walk: None,
            last: None,
        }
    }

    /// Keeps the map for as long as the process runs.
    pub(crate) async fn keep(mut self, ticker: Ticker) {
        loop {
            ticker.tick();
            if !self.view.is_watched().await {
                continue;
            }
            let begun = Instant::now();
            if let Ok(seen) = self.view.look().await
                && let Ok(queue) = self.view.queue()
            {
                // An outage is told by whoever needs the queue; here it only costs time.
                let _ = self.turn(queue, &seen, begun).await;
            }
            tokio::time::sleep(TURN.saturating_sub(begun.elapsed())).await;
        }
    }

    async fn turn(
        &mut self,
        queue: &Arc<dyn Queue>,
        seen: &Snapshot,
        begun: Instant,
    ) -> Result<(), QueueError> {
        self.follow_leases(&**queue, seen).await?;
        self.list_dead(&**queue, &seen.stats).await?;
        while begun.elapsed() < TURN {
            if self.walk.is_none() && !self.is_walk_due(&seen.stats) {
                return Ok(());
            }
            let slice = Instant::now();
            self.walk_on(&**queue).await?;
            let pauses = if self.view.chart().is_whole {
                LATER_PAUSES
            } else {
                1
            };
            tokio::time::sleep(slice.elapsed() * pauses).await;
        }
        Ok(())
    }

    /// What is leased now, and what became of the leases that are over.
    async fn follow_leases(
        &mut self,
        queue: &dyn Queue,
        seen: &Snapshot,
    ) -> Result<(), QueueError> {
        let tasks = seen.workers.iter().flat_map(|worker| &worker.tasks);
        let leased: BTreeSet<TaskId> = tasks.map(|working| working.task.clone()).collect();
        {
            let mut chart = self.view.chart();
            for id in leased.difference(&self.leased) {
                chart.map.lease(id.as_str());
            }
        }
        let mut over: Vec<TaskId> = self.leased.difference(&leased).cloned().collect();
        self.leased = leased;
        // Where more end than that, a walk finds the rest.
        over.truncate(MOST_OVER);
        if !over.is_empty() {
            let records = queue.get(&over).await?;
            self.view.chart().put_all(&over, &records);
        }
        Ok(())
    }

    /// The dead ones, whenever their number is another one: they matter most, and the store has them by themselves.
    async fn list_dead(&mut self, queue: &dyn Queue, stats: &Stats) -> Result<(), QueueError> {
        let dead = stats.totals()[TaskState::Dead.index()].tasks;
        if self.dead == Some(dead) || self.view.chart().map.count(TaskState::Dead) == dead {
            return Ok(());
        }
        let filter = TaskFilter {
            state: Some(TaskState::Dead),
            ..TaskFilter::default()
        };
        let mut cursor = None;
        for _ in 0..DEAD_SLICES {
            let page = queue.list(&filter, cursor, SLICE).await?;
            let mut chart = self.view.chart();
            page.tasks.iter().for_each(|task| chart.put(task));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.dead = Some(dead);
        Ok(())
    }

    fn is_walk_due(&self, stats: &Stats) -> bool {
        let Some((ended, took)) = self.last else {
            return true;
        };
        let rest = (took * LATER_PAUSES).clamp(SHORTEST_REST, LONGEST_REST);
        let rested = ended.elapsed();
        rested >= LONGEST_REST || rested >= rest && !self.view.chart().map.agrees(&stats.totals())
    }

    /// One slice further, from the beginning where no walk is under way.
    async fn walk_on(&mut self, queue: &dyn Queue) -> Result<(), QueueError> {
        let walk = self.walk.get_or_insert_with(|| {
            self.view.chart().map.begin_walk();
            Walk {
                begun: Instant::now(),
                cursor: None,
            }
        });
        let all = TaskFilter::default();
        let page = queue.list(&all, walk.cursor.clone(), SLICE).await?;
        let mut chart = self.view.chart();
        page.tasks.iter().for_each(|task| chart.put(task));
        walk.cursor = page.next;
        if walk.cursor.is_none() {
            chart.map.end_walk();
            chart.is_whole = true;
            self.last = Some((Instant::now(), walk.begun.elapsed()));
            self.walk = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tapemill_queue::{Budgets, ClaimRequest, Failure, Meter, NewTask, Retry, WorkerId};
    use tapemill_runtime::{Health, Metrics};
    use tempfile::TempDir;
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;

    const TASKS: usize = 2 * SLICE + 7;

    struct Watched {
        view: Arc<QueueView>,
        queue: Arc<dyn Queue>,
        metrics: Metrics,
        attending: JoinHandle<()>,
        _folder: TempDir,
    }

    async fn watched() -> Watched {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("queue.db").display());
        let queue = tapemill_queue::open(&url, Budgets::default())
            .await
            .unwrap();
        let task = |number| NewTask::new(format!("um/aggTrades/S{number:04}/2024-01"), "aggTrades");
        let tasks: Vec<_> = (0..TASKS).map(task).collect();
        queue.enqueue(&tasks).await.unwrap();
        let metrics = Metrics::new();
        let meter = Meter::register(metrics.registry()).unwrap();
        let view = QueueView::new("q");
        view.open(meter.measure(queue.clone()));
        let health = Health::new(CancellationToken::new(), || Ok(()));
        let attending = tokio::spawn(view.clone().attend(health));
        Watched {
            view,
            queue,
            metrics,
            attending,
            _folder: folder,
        }
    }

    impl Watched {
        async fn until(&self, what: &str, holds: impl Fn(&Chart) -> bool) {
            let begun = Instant::now();
            while !holds(&self.view.chart()) {
                assert!(begun.elapsed() < Duration::from_secs(30), "in vain: {what}");
                self.view.watch();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        async fn calls(&self, op: &str) -> Option<u64> {
            let text = self.metrics.text().await;
            let name = format!("tapemill_store_call_duration_seconds_count{{op=\"{op}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&name)?.parse().ok())
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.attending.abort();
        }
    }

    #[tokio::test]
    async fn the_map_is_walked_in_slices_once_somebody_looks() {
        let watched = watched().await;
        tokio::time::sleep(TURN * 3 / 2).await;
        assert_eq!(watched.calls("list").await.unwrap_or(0), 0, "nobody looks");

        watched.until("it is whole", |chart| chart.is_whole).await;

        assert_eq!(
            watched.view.chart().map.count(TaskState::Pending),
            TASKS as u64
        );
        assert_eq!(watched.calls("list").await, Some(3));
        tokio::time::sleep(SHORTEST_REST * 2).await;
        assert_eq!(
            watched.calls("list").await,
            Some(3),
            "its sums are the counters"
        );
    }

    #[tokio::test]
    async fn what_workers_do_shows_without_a_walk() {
        let watched = watched().await;
        watched.until("it is whole", |chart| chart.is_whole).await;
        let worker = WorkerId::named("w");
        let request = ClaimRequest {
            worker: &worker,
            request: Uuid::new_v4(),
            limit: 1,
            lease: Duration::from_secs(60),
            only: None,
        };
        let claim = watched
            .queue
            .claim(&request)
            .await
            .unwrap()
            .claims
            .remove(0);
        let failure = Failure {
            reason: "network".to_owned(),
            message: "no route".to_owned(),
            retry: Retry::Final,
        };

        watched.queue.fail(&claim.lease(), &failure).await.unwrap();
        watched
            .until("it is dead on the map", |chart| {
                chart.map.count(TaskState::Dead) == 1
            })
            .await;

        let told = watched.view.chart().failures.value();
        assert_eq!(told[0]["id"], claim.task.as_str());
        assert_eq!(
            (&told[0]["reason"], &told[0]["message"]),
            (&json!("network"), &json!("no route"))
        );
        watched.queue.retry(&[claim.task]).await.unwrap();
        watched
            .until("it is pending again", |chart| {
                chart.map.count(TaskState::Dead) == 0
            })
            .await;
        watched.queue.clear().await.unwrap();
        watched
            .until("all are gone", |chart| chart.map.known() == 0)
            .await;
    }
}
