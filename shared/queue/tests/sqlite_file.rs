//! The queue file itself: what is refused, what is made, and a disk that fills up.

mod fixture;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tapemill_queue::conformance::{Fixture, Fresh, LEASE};
use tapemill_queue::sqlite::Options;
use tapemill_queue::{
    ClaimRequest, Completion, NewTask, Outcome, Queue, QueueError, SqliteQueue, TaskState, WorkerId,
};
use uuid::Uuid;

fn open(path: &Path) -> Result<SqliteQueue, QueueError> {
    SqliteQueue::open(path, Options::default())
}

/// The error of opening a file, which must stay as it is.
fn refusal(path: &Path) -> QueueError {
    let before = std::fs::read(path).unwrap();
    let error = open(path).err().expect("the file is refused");
    assert_eq!(std::fs::read(path).unwrap(), before, "the file was changed");
    assert!(!error.retryable());
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn a_file_that_is_not_sqlite_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::write(&path, "symbol,price\nBTCUSDT,1\n".repeat(1_000)).unwrap();

    let error = refusal(&path);

    assert!(matches!(error, QueueError::NotAQueue { .. }), "{error:?}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch("CREATE TABLE song (title TEXT)")
        .unwrap();
    theirs.close().unwrap();

    let error = refusal(&path);

    assert!(matches!(error, QueueError::NotAQueue { .. }), "{error:?}");
}

#[test]
fn a_queue_of_a_newer_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    drop(open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    newer.close().unwrap();

    let error = refusal(&path);

    assert!(
        matches!(error, QueueError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
}

#[test]
fn a_folder_in_the_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();

    let error = open(folder.path()).err().unwrap();

    assert!(matches!(error, QueueError::NotAQueue { .. }), "{error:?}");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();

    let error = open(&file.join("queue.db")).err().unwrap();

    assert!(matches!(error, QueueError::NotAQueue { .. }), "{error:?}");
}

#[test]
fn opening_makes_the_folders_above_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/of/btc/queue.db");

    drop(open(&path).unwrap());

    assert!(path.is_file());
}

#[test]
fn many_openers_of_a_new_file_agree_on_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let together = std::sync::Barrier::new(8);

    let opened = std::thread::scope(|scope| {
        let opening = || {
            together.wait();
            open(&path).map(drop)
        };
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(opening)).collect();
        openers
            .into_iter()
            .map(|opener| opener.join().unwrap())
            .collect::<Vec<_>>()
    });

    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[tokio::test]
async fn tasks_outlive_the_queue_that_planned_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let first = open(&path).unwrap();
    first
        .enqueue(&[NewTask::new("a", "aggTrades")])
        .await
        .unwrap();
    drop(first);

    let second = open(&path).unwrap();

    assert_eq!(
        second.states(&["a".into()]).await.unwrap(),
        [Some(TaskState::Pending)]
    );
}

#[tokio::test]
async fn reads_do_not_wait_for_a_process_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path).unwrap();
    queue
        .enqueue(&[NewTask::new("a", "aggTrades")])
        .await
        .unwrap();
    let writer = Connection::open(&path).unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; UPDATE task SET rank = 9")
        .unwrap();

    let reads = async {
        queue.states(&["a".into()]).await.unwrap();
        queue.stats().await.unwrap();
        queue.workers().await.unwrap();
        queue.reap(10).await.unwrap();
    };
    let in_time = tokio::time::timeout(Duration::from_secs(5), reads).await;

    assert!(in_time.is_ok(), "reads waited for the writer");
    writer.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_call_waits_for_a_process_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = Arc::new(open(&path).unwrap());
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();

    let waiting = queue.clone();
    let call = tokio::spawn(async move { waiting.pause(true).await });
    // A read on the same queue comes through meanwhile, so the call has had its chance.
    queue.stats().await.unwrap();
    assert!(!call.is_finished());
    writer.execute_batch("COMMIT").unwrap();

    call.await.unwrap().unwrap();
    assert!(queue.stats().await.unwrap().paused);
}

#[tokio::test]
async fn the_leases_of_a_closed_queue_return_at_once() {
    let Fresh {
        queue,
        other,
        guard: _guard,
        ..
    } = fixture::SqliteFixture.fresh().await;
    queue
        .enqueue(&[NewTask::new("a", "aggTrades")])
        .await
        .unwrap();
    let worker = WorkerId::fresh();
    let wanted = ClaimRequest {
        worker: &worker,
        request: Uuid::new_v4(),
        limit: 1,
        lease: LEASE,
        only: None,
    };
    assert_eq!(queue.claim(&wanted).await.unwrap().claims.len(), 1);
    assert!(
        other.reap(10).await.unwrap().returned.is_empty(),
        "it is still open"
    );

    drop(queue);

    assert_eq!(other.reap(10).await.unwrap().returned[0].task, "a".into());
}

/// Set in the copy of this test that runs where a small disk is mounted.
const SMALL_DISK: &str = "TAPEMILL_TEST_SMALL_DISK";

#[test]
fn a_full_disk_is_told_apart_and_the_queue_works_on_after_it() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(fill_and_free(Path::new(&disk)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A disk of its own for this test alone: namespaces let anyone mount one where they exist.
    let script = "mount -t tmpfs -o size=2m tapemill-test \"$1\" || exit 77; shift; exec \"$@\"";
    let status = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_full_disk_is_told_apart_and_the_queue_works_on_after_it",
        ])
        .env(SMALL_DISK, folder.path())
        .stdin(Stdio::null())
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(77 | 1)) | Err(_) => eprintln!("SKIPPED: no small disk can be mounted here"),
        Ok(code) => assert_eq!(code, Some(0), "the test on the small disk failed"),
    }
}

async fn fill_and_free(disk: &Path) {
    let queue = open(&disk.join("queue.db")).unwrap();
    let task = |number: usize| NewTask {
        spec: "x".repeat(1_000),
        ..NewTask::new(format!("task/{number}"), "aggTrades")
    };
    queue
        .enqueue(&(0..100).map(task).collect::<Vec<_>>())
        .await
        .unwrap();
    let worker = WorkerId::fresh();
    let wanted = ClaimRequest {
        worker: &worker,
        request: Uuid::new_v4(),
        limit: 1,
        lease: LEASE,
        only: None,
    };
    let held = queue.claim(&wanted).await.unwrap().claims.remove(0);
    let ballast = disk.join("ballast");
    fill(&ballast);

    let mut refused = None;
    for number in 100..10_000 {
        if let Err(error) = queue.enqueue(&[task(number)]).await {
            refused = Some(error);
            break;
        }
    }

    let refused = refused.expect("the disk fills up");
    assert!(matches!(refused, QueueError::Full { .. }), "{refused:?}");
    assert!(!refused.retryable());
    queue
        .confirm(&held.lease())
        .await
        .expect("what was written can be read");
    let before = queue.stats().await.unwrap().totals();
    std::fs::remove_file(&ballast).unwrap();
    let completion = Completion {
        outcome: Outcome::Done,
        summary: String::new(),
        rows: 0,
        bytes: 0,
    };
    queue.complete(&held.lease(), &completion).await.unwrap();
    queue.enqueue(&[task(20_000)]).await.unwrap();
    let after = queue.stats().await.unwrap().totals();
    assert_eq!(
        after[0].tasks,
        before[0].tasks + 1,
        "nothing is lost, nothing is half written"
    );
    assert_eq!(after[TaskState::Done.index()].tasks, 1);
}

/// Takes all the space there is.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
