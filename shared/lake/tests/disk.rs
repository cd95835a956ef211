//! Real disks that are full or may not be written. Linux, as root: a small tmpfs is mounted.
#![cfg(target_os = "linux")]

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{files, footer, minutes, place, publish, schema};
use tapemill_lake::{Lake, LakeError, TableOptions, TableWriter, cleanup};

/// A mounted tmpfs of one MiB; unmounted on drop.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, said aloud, where mounting is not allowed. In CI that is a failure.
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "none"], folder.path());
        if !mounted {
            let in_ci = env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(
                !in_ci,
                "cannot mount a tmpfs: in CI this test must run as root"
            );
            eprintln!("SKIPPED: a full disk needs root to mount a tmpfs");
            return None;
        }
        Some(SmallDisk { folder })
    }

    fn lake(&self) -> Lake {
        Lake::local(self.folder.path())
    }

    fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.folder.path()));
    }

    fn fill(&self) -> PathBuf {
        let filler = self.folder.path().join("filler");
        fs::write(&filler, vec![1; 2 << 20]).unwrap_err();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn mount(options: &[&str], folder: &Path) -> bool {
    let mounted = Command::new("mount").args(options).arg(folder).output();
    mounted.is_ok_and(|output| output.status.success())
}

fn write_month(lake: &Lake) -> Result<(), LakeError> {
    let mut writer =
        TableWriter::create(lake, &place("2024-01"), &schema(), &TableOptions::bars(1))?;
    for day in 0..31 {
        writer.write(&minutes(day * 1_440, day * 1_440 + 1_440))?;
    }
    writer.finish(footer())?.publish()?;
    Ok(())
}

#[test]
fn a_disk_that_fills_while_a_table_is_written_is_a_full_disk_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let lake = disk.lake();
    publish(&lake, &place("2023-12"));
    let filler = disk.fill();

    let full = write_month(&lake);
    let left = files(lake.folder().unwrap());
    fs::remove_file(filler).unwrap();
    let with_room = write_month(&lake);

    assert!(matches!(full, Err(LakeError::Full { .. })), "{full:?}");
    assert!(full.unwrap_err().is_disk());
    assert_eq!(left, [place("2023-12").as_str(), "filler"]);
    assert!(with_room.is_ok(), "{with_room:?}");
}

#[test]
fn a_table_so_small_that_only_its_end_meets_the_full_disk_is_a_full_disk_too() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let lake = disk.lake();
    disk.fill();

    let options = TableOptions::bars(1);
    let mut writer = TableWriter::create(&lake, &place("2024-01"), &schema(), &options).unwrap();
    writer.write(&minutes(0, 60)).unwrap();
    let full = writer.finish(footer()).map(drop);

    assert!(matches!(full, Err(LakeError::Full { .. })), "{full:?}");
    assert_eq!(files(lake.folder().unwrap()), ["filler"]);
}

#[test]
fn a_read_only_disk_is_told_and_can_still_be_read() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let lake = disk.lake();
    publish(&lake, &place("2023-12"));
    publish(&lake, &place("2023-12-01"));
    disk.make_read_only();

    let written = write_month(&lake);
    let removed = lake.remove(&place("2023-12"));
    let plan = cleanup::plan(&lake).unwrap();
    let cleaned = cleanup::apply(&lake, &plan);

    assert_eq!(plan.len(), 1);
    for refused in [
        written.unwrap_err(),
        removed.unwrap_err(),
        cleaned.unwrap_err(),
    ] {
        assert!(
            matches!(&refused, LakeError::ReadOnly { .. }) && refused.is_disk(),
            "{refused:?}"
        );
    }
    assert!(tapemill_lake::verify_content(&lake, &place("2023-12")).unwrap());
}

#[test]
fn a_file_where_a_folder_should_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path());
    fs::write(folder.path().join("aggtrades_1m"), "in the way").unwrap();

    let refused = write_month(&lake).unwrap_err();

    assert!(!refused.is_disk(), "{refused:?}");
    assert!(refused.to_string().contains("aggtrades_1m"), "{refused}");
}
