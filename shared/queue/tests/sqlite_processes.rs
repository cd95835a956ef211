//! Several processes on one queue file: shared work, sudden death, and one that sleeps too long.
//!
//! The other processes are copies of this test binary, told by the environment which part to play.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tapemill_queue::conformance::LEASE;
use tapemill_queue::sqlite::Options;
use tapemill_queue::{
    AttemptOutcome, Claim, ClaimRequest, Completion, NewTask, Outcome, Queue, QueueError,
    SqliteQueue, TaskState, WorkerId,
};
use uuid::Uuid;

/// The queue file, in the copies.
const QUEUE: &str = "TAPEMILL_TEST_QUEUE";

fn open(path: &Path) -> SqliteQueue {
    SqliteQueue::open(path, Options::default()).unwrap()
}

fn tasks(count: usize) -> Vec<NewTask> {
    (0..count)
        .map(|number| NewTask::new(format!("task/{number:04}"), "aggTrades"))
        .collect()
}

async fn claim(queue: &dyn Queue, limit: usize, lease: Duration) -> Vec<Claim> {
    let worker = WorkerId::fresh();
    let request = ClaimRequest {
        worker: &worker,
        request: Uuid::new_v4(),
        limit,
        lease,
        only: None,
    };
    queue.claim(&request).await.unwrap().claims
}

fn output() -> Completion {
    Completion {
        outcome: Outcome::Done,
        summary: String::new(),
        rows: 1,
        bytes: 1,
    }
}

/// A copy of this binary in the part of one test, and its two ends of a conversation.
struct Part {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Part {
    fn play(test: &str, queue: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(QUEUE, queue)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    /// What it says next; the test harness's own lines are passed over.
    fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The harness prints "test NAME ... " before the first, on the same line.
            if let Some((_, said)) = line.split_once("@ ") {
                return Some(said.trim().to_owned());
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a copy: says a line to the test.
#[expect(clippy::print_stdout, reason = "it is the conversation")]
fn say(line: &str) {
    println!("@ {line}");
}

/// In a copy: waits for a line from the test.
fn wait_for_word() {
    std::io::stdin()
        .lock()
        .read_line(&mut String::new())
        .unwrap();
}

fn queue_of_the_test() -> Option<SqliteQueue> {
    std::env::var_os(QUEUE).map(|path| open(Path::new(&path)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_frees_its_leases_at_once() {
    if let Some(queue) = queue_of_the_test() {
        let held = claim(&queue, 2, LEASE).await;
        say(&format!("holds {}", held.len()));
        wait_for_word();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path);
    queue.enqueue(&tasks(3)).await.unwrap();
    let mut victim = Part::play("a_killed_process_frees_its_leases_at_once", &path);
    assert_eq!(victim.hear().as_deref(), Some("holds 2"));
    assert!(
        queue.reap(10).await.unwrap().returned.is_empty(),
        "it lives"
    );

    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    let reaped = queue.reap(10).await.unwrap();

    let tasks: Vec<_> = reaped
        .returned
        .iter()
        .map(|lease| lease.task.as_str())
        .collect();
    assert_eq!(tasks, ["task/0000", "task/0001"]);
    let record = queue
        .get(&["task/0000".into()])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(
        (record.state, record.attempts, record.expiries),
        (TaskState::Pending, 0, 1)
    );
    assert_eq!(record.history[0].outcome, AttemptOutcome::Expired);
    assert_eq!(claim(&queue, 10, LEASE).await.len(), 3);
    let locks = std::fs::read_dir(folder.path().join("queue.db.locks"))
        .unwrap()
        .count();
    assert_eq!(locks, 1, "the lock file of the dead is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_slept_past_its_lease_is_refused_when_it_wakes() {
    if let Some(queue) = queue_of_the_test() {
        let held = claim(&queue, 1, Duration::from_millis(1)).await.remove(0);
        say("holds");
        wait_for_word();
        match queue.complete(&held.lease(), &output()).await {
            Err(QueueError::LeaseLost { .. }) => say("refused"),
            other => say(&format!("{other:?}")),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path);
    queue.enqueue(&tasks(1)).await.unwrap();
    let test = "a_process_that_slept_past_its_lease_is_refused_when_it_wakes";
    let mut sleeper = Part::play(test, &path);
    assert_eq!(sleeper.hear().as_deref(), Some("holds"));
    sleeper.signal("STOP");

    // The lease lasts a millisecond, so this ends as soon as the clock has moved on.
    while queue.reap(10).await.unwrap().returned.is_empty() {
        tokio::task::yield_now().await;
    }
    let live = claim(&queue, 1, LEASE).await.remove(0);
    sleeper.signal("CONT");
    sleeper.tell("wake up");

    assert_eq!(sleeper.hear().as_deref(), Some("refused"));
    queue.complete(&live.lease(), &output()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_and_threads_share_a_queue_without_doing_a_task_twice() {
    const TASKS: usize = 600;
    /// Claims and completes until nothing is left, on several threads; returns what was done.
    async fn drain(path: &Path) -> Vec<String> {
        let mut drains = Vec::new();
        for instance in 0..2 {
            let queue = std::sync::Arc::new(open(path));
            for thread in 0..2 {
                let queue = queue.clone();
                drains.push(tokio::spawn(async move {
                    let mut done = Vec::new();
                    loop {
                        let claims = claim(&*queue, 1 + instance + thread, LEASE).await;
                        if claims.is_empty() {
                            return done;
                        }
                        for claim in claims {
                            queue.complete(&claim.lease(), &output()).await.unwrap();
                            done.push(claim.task.to_string());
                        }
                    }
                }));
            }
        }
        let mut done = Vec::new();
        for drain in drains {
            done.extend(drain.await.unwrap());
        }
        done
    }
    if let Some(path) = std::env::var_os(QUEUE) {
        say("ready");
        wait_for_word();
        let done = drain(Path::new(&path)).await;
        done.iter().for_each(|task| say(task));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path);
    queue.enqueue(&tasks(TASKS)).await.unwrap();
    let test = "processes_and_threads_share_a_queue_without_doing_a_task_twice";
    let mut parts = [Part::play(test, &path), Part::play(test, &path)];
    for part in &mut parts {
        assert_eq!(part.hear().as_deref(), Some("ready"));
    }

    parts.iter_mut().for_each(|part| part.tell("go"));
    let mut done = drain(&path).await;
    for part in &mut parts {
        done.extend(std::iter::from_fn(|| part.hear()));
    }

    assert_eq!(done.len(), TASKS);
    assert_eq!(done.iter().collect::<HashSet<_>>().len(), TASKS);
    let totals = queue.stats().await.unwrap().totals();
    assert_eq!(totals[TaskState::Done.index()].tasks, TASKS as u64);
}
