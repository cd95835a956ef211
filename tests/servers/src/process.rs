//! A server's process.

use std::io;
use std::process::{Child, Command, Stdio};

use crate::{Watchdog, until};

/// A process that ends with its owner: killed on drop, and by a watchdog when the owner's process is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watchdog: Option<Watchdog>,
}

impl Process {
    /// Starts it, its input and output closed.
    ///
    /// # Errors
    ///
    /// The program is not there.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let watchdog = Watchdog::over(child.id())?;
        Ok(Self {
            child,
            watchdog: Some(watchdog),
        })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs; a stopped process does.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, such as `libc::SIGTERM`.
    ///
    /// # Panics
    ///
    /// When the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.id().to_string())
            .status()
            .expect("kill is there");
        assert!(sent.success(), "the process is there to be signalled");
    }

    /// SIGSTOP; returns when it stands still.
    #[track_caller]
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        until("the process stands still", || self.stands_still());
    }

    /// SIGCONT.
    #[track_caller]
    pub fn cont(&self) {
        self.signal(libc::SIGCONT);
    }

    /// The word for the state follows the name, which ends with the last parenthesis.
    fn stands_still(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.id())) else {
            // Systems without /proc stop a process before the signal's sender goes on.
            return true;
        };
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First, so that it never kills a stranger with the same id.
        self.watchdog.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exists(id: u32) -> bool {
        let asked = Command::new("kill")
            .args(["-0", &id.to_string()])
            .stderr(Stdio::null())
            .status();
        asked.unwrap().success()
    }

    #[test]
    fn a_process_ends_with_its_owner_though_it_is_stopped() {
        let process = Process::start(Command::new("sleep").arg("600")).unwrap();
        let id = process.id();
        process.stop();

        drop(process);

        assert!(!exists(id));
    }

    #[test]
    fn a_process_ends_when_its_owner_is_killed() {
        // The owner's end, as the watchdog sees it: its input is closed.
        let mut process = Process::start(Command::new("sleep").arg("600")).unwrap();

        let watchdog = process.watchdog.as_mut().unwrap();
        watchdog.think_the_owner_ended();

        until("the watchdog has killed it", || !process.is_running());
    }
}
