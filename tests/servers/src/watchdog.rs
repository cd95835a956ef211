//! Ends what this process started when this process is killed.

use std::io;
use std::process::{Child, Command, Stdio};

/// Kills a child of this process when this process ends before the watchdog is dropped, however that comes about.
#[derive(Debug)]
pub struct Watchdog(Child);

impl Watchdog {
    /// Begins. Drop it before the child is waited for, so that it never kills a stranger with the same id.
    ///
    /// # Errors
    ///
    /// There is no `sh`.
    pub fn over(id: u32) -> io::Result<Self> {
        // Its input ends when this process does.
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\""])
            .arg(id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(watchdog))
    }

    #[cfg(test)]
    pub(crate) fn think_the_owner_ended(&mut self) {
        drop(self.0.stdin.take());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
