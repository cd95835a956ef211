//! Parts, their publication and their leftovers; writers that are dropped, killed, or side by side.

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use support::{files, footer, minutes, place, publish, schema};
use tapemill_lake::cleanup::{self, Removal, Why};
use tapemill_lake::{
    Lake, LakeError, LakePath, Layout, PART_VERSION_SUFFIX, Part, StagedTable, TableOptions,
    TablePath, TableWriter,
};

/// A child that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stage(lake: &Lake, place: &LakePath) -> StagedTable {
    let mut writer = TableWriter::create(lake, place, &schema(), &TableOptions::bars(1)).unwrap();
    writer.write(&minutes(0, 100)).unwrap();
    writer.finish(footer()).unwrap()
}

fn reasons(removals: &[Removal]) -> Vec<(&str, &Why)> {
    removals
        .iter()
        .map(|removal| (&*removal.path, &removal.why))
        .collect()
}

#[test]
fn nothing_ends_in_parquet_before_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let visible = || {
        files(folder.path())
            .iter()
            .filter(|file| file.ends_with(".parquet"))
            .count()
    };

    let mut writer =
        TableWriter::create(&lake, &place("2024-01"), &schema(), &TableOptions::bars(1)).unwrap();
    writer.write(&minutes(0, 100)).unwrap();
    assert_eq!((files(folder.path()).len(), visible()), (1, 0));
    let staged = writer.finish(footer()).unwrap();
    assert_eq!((files(folder.path()).len(), visible()), (1, 0));
    assert!(lake.tables().unwrap().is_empty());
    staged.publish().unwrap();

    assert_eq!(
        files(folder.path()),
        ["aggtrades_1m/um/BTCUSDT/2024-01.parquet"]
    );
}

#[test]
fn dropping_a_writer_or_a_staged_table_removes_its_part_and_keeps_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    publish(&lake, &place("2024-01"));
    let before = fs::read(lake.locate(&place("2024-01")).unwrap()).unwrap();

    drop(TableWriter::create(&lake, &place("2024-01"), &schema(), &TableOptions::bars(1)).unwrap());
    drop(stage(&lake, &place("2024-01")));

    assert_eq!(files(folder.path()), [place("2024-01").as_str()]);
    assert!(fs::read(lake.locate(&place("2024-01")).unwrap()).unwrap() == before);
}

#[test]
fn publishing_again_replaces_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    fs::create_dir_all(lake.locate(&place("2024-01")).unwrap().parent().unwrap()).unwrap();
    fs::write(lake.locate(&place("2024-01")).unwrap(), "old").unwrap();

    let published = stage(&lake, &place("2024-01")).publish().unwrap();

    assert_eq!(lake.size(&place("2024-01")).unwrap(), Some(published.bytes));
    assert!(lake.remove(&place("2024-01")).unwrap());
    assert!(!lake.remove(&place("2024-01")).unwrap());
}

#[test]
fn two_writers_of_one_table_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());

    let (one, other) = (
        stage(&lake, &place("2024-01")),
        stage(&lake, &place("2024-01")),
    );
    one.publish().unwrap();
    let first = fs::read(lake.locate(&place("2024-01")).unwrap()).unwrap();
    other.publish().unwrap();

    assert!(fs::read(lake.locate(&place("2024-01")).unwrap()).unwrap() == first);
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn a_writer_killed_between_staging_and_publishing_leaves_a_part_that_is_stale_at_once() {
    const CHILD: &str = "TEST_CHILD_ROOT";
    const NAME: &str =
        "a_writer_killed_between_staging_and_publishing_leaves_a_part_that_is_stale_at_once";
    if let Some(root) = env::var_os(CHILD) {
        let _staged = stage(&Lake::local(root), &place("2024-01"));
        stdout().write_all(b"staged\n").unwrap();
        loop {
            thread::park();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Killed(child.unwrap());
    let said = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(
        said.map_while(Result::ok)
            .any(|line| line.ends_with("staged"))
    );

    let while_alive = cleanup::plan(&lake).unwrap();
    child.kill();
    let when_killed = cleanup::plan(&lake).unwrap();

    assert_eq!(while_alive, []);
    assert_eq!(when_killed[0].why, Why::StalePart);
    assert!(when_killed[0].bytes > 0);
    let cleaned = cleanup::apply(&lake, &when_killed).unwrap();
    assert_eq!(cleaned.removed, when_killed);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_month_supersedes_its_days_in_its_own_layout_only() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    for period in ["2024-01", "2024-01-01", "2024-01-31", "2024-02-01"] {
        publish(&lake, &place(period));
    }
    let hive = TablePath::new("aggtrades_1m", "um", "BTCUSDT", "2024-01-02").unwrap();
    publish(&lake, &hive.path(Layout::Hive).unwrap());

    let plan = cleanup::plan(&lake).unwrap();

    let why = Why::SupersededDay {
        month: place("2024-01"),
    };
    let days = ["2024-01-01", "2024-01-31"].map(place);
    assert_eq!(
        reasons(&plan),
        [(days[0].as_str(), &why), (days[1].as_str(), &why)]
    );
    assert_eq!(cleanup::apply(&lake, &plan).unwrap().removed, plan);
    let left: Vec<_> = lake
        .tables()
        .unwrap()
        .into_iter()
        .map(|file| file.table)
        .collect();
    let periods: Vec<_> = left.iter().map(TablePath::period).collect();
    assert_eq!(periods, ["2024-01", "2024-01-02", "2024-02-01"]);
}

#[test]
fn a_day_stays_when_its_month_is_unreadable_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    publish(&lake, &place("2024-01"));
    publish(&lake, &place("2024-01-01"));
    let plan = cleanup::plan(&lake).unwrap();
    assert_eq!(plan.len(), 1);

    fs::write(lake.locate(&place("2024-01")).unwrap(), "PAR1 cut").unwrap();
    let planned_when_cut = cleanup::plan(&lake).unwrap();
    lake.remove(&place("2024-01")).unwrap();
    let cleaned = cleanup::apply(&lake, &plan).unwrap();

    assert_eq!(planned_when_cut, []);
    assert_eq!((cleaned.removed, cleaned.kept), (vec![], plan));
    assert!(lake.size(&place("2024-01-01")).unwrap().is_some());
}

#[test]
fn a_part_taken_up_after_the_plan_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let archive = LakePath::raw("data/spot/BTCUSDT-aggTrades-2024-01.zip").unwrap();
    Part::resume(&lake, &archive)
        .unwrap()
        .write_all(b"PK12")
        .unwrap();
    let plan = cleanup::plan(&lake).unwrap();
    assert_eq!(plan[0].why, Why::RawPart);
    assert_eq!(plan[0].path, format!("{archive}.part"));

    let resumed = Part::resume(&lake, &archive).unwrap();
    let cleaned = cleanup::apply(&lake, &plan).unwrap();

    assert_eq!(resumed.bytes(), 4);
    assert_eq!((cleaned.removed, cleaned.kept), (vec![], plan));
}

#[test]
fn the_version_of_a_part_that_is_held_is_kept_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let archive = LakePath::raw("data/spot/BTCUSDT-aggTrades-2024-01.zip").unwrap();
    let held = Part::resume(&lake, &archive).unwrap();
    let version = format!("{archive}{PART_VERSION_SUFFIX}");
    fs::write(folder.path().join(&version), "an etag").unwrap();

    let while_held = cleanup::plan(&lake).unwrap();
    drop(held);
    let after = cleanup::plan(&lake).unwrap();
    let cleaned = cleanup::apply(&lake, &after).unwrap();

    assert_eq!(while_held, []);
    assert!(
        after.iter().any(|removal| removal.path == version),
        "{after:?}"
    );
    assert_eq!((cleaned.removed, cleaned.kept), (after, vec![]));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_kept_archive_resumes_restarts_and_is_published_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let archive = LakePath::raw("data/spot/BTCUSDT-aggTrades-2024-01.zip").unwrap();
    Part::resume(&lake, &archive)
        .unwrap()
        .write_all(b"PK12")
        .unwrap();

    let mut part = Part::resume(&lake, &archive).unwrap();
    let busy = Part::resume(&lake, &archive);
    part.write_all(b"34").unwrap();
    drop(part);
    let resumed = Part::resume(&lake, &archive).unwrap();
    assert_eq!(resumed.bytes(), 6);
    drop(resumed.stage().unwrap());
    let mut resumed = Part::resume(&lake, &archive).unwrap();
    assert_eq!(resumed.bytes(), 6);
    resumed.restart().unwrap();
    resumed.write_all(b"PK").unwrap();
    let published = resumed.stage().unwrap().publish().unwrap();

    assert!(matches!(busy, Err(LakeError::Busy { .. })), "{busy:?}");
    assert_eq!(published.bytes, 2);
    assert_eq!(fs::read(lake.locate(&archive).unwrap()).unwrap(), b"PK");
    assert_eq!(files(folder.path()), [archive.as_str()]);
    assert_eq!(cleanup::plan(&lake).unwrap(), []);
}

#[test]
fn files_of_others_are_never_planned() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    for file in [
        "queue.db",
        "queue.db-wal",
        "notes.part",
        ".download.part",
        "aggtrades_1m/um/BTCUSDT/2024-01.parquet.part",
        "aggtrades_1m/um/BTCUSDT/.2024-01.parquet.xyz.part",
        "aggtrades_1m/um/BTCUSDT/.part",
        ".git/objects/.pack.0123456789abcdef.part",
        "raw/data/BTCUSDT.zip",
        "_catalogue/aggtrades_1m/um.parquet",
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    // Where the locks of a queue's processes were; the next one may be about to put its own there.
    fs::create_dir(folder.path().join("queue.db.locks")).unwrap();

    assert_eq!(cleanup::plan(&lake).unwrap(), []);
}

#[test]
fn a_plan_from_outside_removes_nothing_but_leftovers_of_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path().join("lake"));
    let outside = folder.path().join("precious.0123456789abcdef.part");
    publish(&lake, &place("2024-01"));
    fs::write(&outside, "x").unwrap();
    let forged = [
        ("../.precious.0123456789abcdef.part", Why::StalePart),
        ("../precious.0123456789abcdef.part", Why::RawPart),
        ("raw/../../precious.0123456789abcdef.part", Why::RawPart),
        (place("2024-01").as_str(), Why::StalePart),
        (
            place("2024-01").as_str(),
            Why::SupersededDay {
                month: place("2024-01"),
            },
        ),
        ("..", Why::EmptyFolder),
    ]
    .map(|(path, why)| Removal {
        path: path.to_owned(),
        why,
        bytes: 0,
    });

    let cleaned = cleanup::apply(&lake, &forged).unwrap();

    assert_eq!(cleaned.removed, []);
    assert!(outside.exists() && lake.size(&place("2024-01")).unwrap().is_some());
}

#[test]
fn empty_folders_go_and_a_folder_filled_meanwhile_stays() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    fs::create_dir_all(folder.path().join("klines_1m/um/OLDUSDT")).unwrap();
    fs::create_dir_all(folder.path().join("klines_1m/cm")).unwrap();
    let plan = cleanup::plan(&lake).unwrap();
    let planned: Vec<_> = plan.iter().map(|removal| &*removal.path).collect();
    assert_eq!(
        planned,
        [
            "klines_1m/um/OLDUSDT",
            "klines_1m/um",
            "klines_1m/cm",
            "klines_1m"
        ]
    );

    publish(
        &lake,
        &TablePath::new("klines_1m", "cm", "X", "2024-01")
            .unwrap()
            .path(Layout::Plain)
            .unwrap(),
    );
    let cleaned = cleanup::apply(&lake, &plan).unwrap();

    assert_eq!(cleaned.removed, plan[..2]);
    assert_eq!(files(folder.path()), ["klines_1m/cm/X/2024-01.parquet"]);
}

#[test]
fn writers_survive_a_cleanup_that_runs_all_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    let places: Vec<_> = (1..=12)
        .map(|month| place(&format!("2024-{month:02}")))
        .collect();

    thread::scope(|scope| {
        let writers: Vec<_> = places
            .chunks(6)
            .map(|places| {
                scope.spawn(|| {
                    for place in places.iter().cycle().take(60) {
                        stage(&lake, place).publish().unwrap();
                        lake.remove(place).unwrap();
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let plan = cleanup::plan(&lake).unwrap();
            cleanup::apply(&lake, &plan).unwrap();
        }
    });

    let plan = cleanup::plan(&lake).unwrap();
    cleanup::apply(&lake, &plan).unwrap();
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn linked_folders_are_followed_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path().join("lake"));
    let elsewhere = Lake::local(folder.path().join("big-disk"));
    publish(&elsewhere, &place("2024-01"));
    fs::create_dir_all(lake.folder().unwrap()).unwrap();
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, lake.folder().unwrap().join(name)).unwrap();
    };
    link(
        &elsewhere.folder().unwrap().join("aggtrades_1m"),
        "aggtrades_1m",
    );
    link(lake.folder().unwrap(), "loop");

    assert_eq!(lake.tables().unwrap().len(), 1);
    assert_eq!(cleanup::plan(&lake).unwrap(), []);
}
