//! A container's share of the CPU, with a real control group.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapemill_runtime::cores;

const ASKED: &str = "CORES_TEST_SAYS_ITS_CORES";

/// A control group of this test's own, removed when it is dropped.
struct Group(PathBuf);

impl Group {
    /// With a quota of `percent` of one core; none where this process may not make groups.
    fn with_quota(percent: u32) -> Option<Self> {
        let name = format!("tapemill-cores-{}-{percent}", std::process::id());
        let quota = percent * 1_000;
        let first = Path::new("/sys/fs/cgroup/cpu").join(&name);
        let second = Path::new("/sys/fs/cgroup").join(&name);
        let made = if first.parent().is_some_and(Path::is_dir) {
            let group = Self::make(first)?;
            fs::write(group.0.join("cpu.cfs_period_us"), "100000").ok()?;
            fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string()).ok()?;
            group
        } else {
            let group = Self::make(second)?;
            fs::write(group.0.join("cpu.max"), format!("{quota} 100000")).ok()?;
            group
        };
        Some(made)
    }

    fn make(place: PathBuf) -> Option<Self> {
        fs::create_dir(&place).ok()?;
        Some(Self(place))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Not a test by itself: the other one runs it inside the group.
#[test]
fn says_its_cores() {
    if std::env::var_os(ASKED).is_some() {
        eprintln!("cores={}", cores());
    }
}

#[test]
fn a_quota_of_a_control_group_bounds_the_cores_and_half_a_core_is_one() {
    for (percent, most) in [(50, 1), (100, 1), (199, 1)] {
        let Some(group) = Group::with_quota(percent) else {
            eprintln!("skipped: this process may not make control groups");
            return;
        };
        let child = Command::new("sh")
            .args([
                "-c",
                "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"",
                "sh",
            ])
            .arg(&group.0)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "says_its_cores", "--nocapture"])
            .env(ASKED, "1")
            .output()
            .unwrap();

        let said = String::from_utf8_lossy(&child.stderr);
        let found = said.lines().find_map(|line| line.split_once("cores="));
        assert_eq!(
            found.map(|(_, count)| count.trim().parse()),
            Some(Ok(most)),
            "{percent} %: {said}"
        );
    }
}
