//! A disk that can be full.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A small disk of the test's own, unmounted when dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one; `None`, said aloud, where this process may not mount: it takes root.
    ///
    /// # Panics
    ///
    /// With `CI` set it must be possible.
    pub fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).expect("a folder can be made");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(at));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "the disk tests need root to mount"
        );
        eprintln!(
            "skipped: this process may not mount a disk at {}",
            at.display()
        );
        None
    }

    /// Nothing can be written any more.
    pub fn make_read_only(&self) {
        let mount = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(mount.expect("mount is there").success());
    }

    /// Makes room.
    pub fn enlarge(&self, bytes: &str) {
        let options = format!("remount,size={bytes}");
        let mount = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(mount.expect("mount is there").success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
