//! One output folder, the archive it is made from, and the commands that work on it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Finished, Mirror, Running, Tapemill};

/// An archive and one output folder.
pub struct Lab {
    /// The archive.
    pub mirror: Mirror,
    folder: TempDir,
    binary: &'static str,
}

impl Lab {
    /// An empty archive and no output yet; `binary` is `env!("CARGO_BIN_EXE_tapemill-under-test")`.
    pub fn new(binary: &'static str) -> Self {
        Self::with(binary, Mirror::new())
    }

    /// No output yet, from this archive.
    pub fn with(binary: &'static str, mirror: Mirror) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Self {
            mirror,
            folder,
            binary,
        }
    }

    /// The folder the commands run in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The output folder.
    pub fn output(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A command on the output.
    pub fn command(&self, words: &[&str]) -> Tapemill {
        self.command_at(words, &self.output())
    }

    /// A command on another output.
    pub fn command_at(&self, words: &[&str], output: &Path) -> Tapemill {
        let command = Tapemill::new(self.binary).folder(self.folder());
        command.args(words).args([Path::new("--output"), output])
    }

    /// A command on the output that reads the archive: `worker`.
    pub fn from_source(&self, words: &[&str]) -> Tapemill {
        self.command(words).args(["--source", self.mirror.url()])
    }

    /// A command on the output that takes a selection, and gets everything: `run`, `plan`, `fetch`.
    pub fn everything(&self, words: &[&str]) -> Tapemill {
        self.from_source(words).args(["--symbols", "all"])
    }

    /// `run` of everything, into another output.
    pub fn run_into(&self, output: &Path) -> Tapemill {
        self.command_at(
            &["run", "--symbols", "all", "--source", self.mirror.url()],
            output,
        )
    }

    /// What an undisturbed run of everything makes of the archive as it is now.
    #[track_caller]
    pub fn undisturbed(&self) -> std::collections::BTreeMap<String, String> {
        let output = self.folder.path().join("undisturbed");
        self.run_into(&output).run().expect(0);
        let made = crate::hashes(&output);
        assert!(!made.is_empty(), "an undisturbed run makes files");
        std::fs::remove_dir_all(&output).expect("the output can be removed");
        self.mirror.clear_log();
        made
    }

    /// `tasks show` of one task.
    #[track_caller]
    pub fn task(&self, id: &str) -> Value {
        let shown = self.command(&["tasks", "show", id, "--json"]).run();
        shown.expect(0).json_lines().remove(0)
    }

    /// Every task of the queue, as `tasks list` has it.
    #[track_caller]
    pub fn tasks(&self) -> Vec<Value> {
        let listed = self.command(&["tasks", "list", "--json"]).run();
        listed.expect(0).json_lines()
    }

    /// Tasks per state, as `status` has it.
    #[track_caller]
    pub fn totals(&self) -> Value {
        let status = self.command(&["status", "--json"]).run();
        status.expect(0).json_lines()[0]["totals"].clone()
    }
}

impl Finished {
    /// The one line an error is; fails when there are several, or none.
    #[track_caller]
    pub fn error_line(&self) -> &str {
        let mut lines = self
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("tapemill: "));
        let (first, second) = (lines.next(), lines.next());
        assert!(second.is_none(), "more than one error:\n{}", self.stderr);
        first.unwrap_or_else(|| panic!("no error:\n{}", self.stderr))
    }

    /// As [`Self::error_line`], where nothing else may have been said.
    #[track_caller]
    pub fn only_error_line(&self) -> &str {
        assert_eq!(self.stdout, "", "an error is no data");
        assert_eq!(self.stderr.lines().count(), 1, "one line:\n{}", self.stderr);
        self.error_line()
    }
}

impl Running {
    /// Ends it as a power cut would.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for the end; also gives the most memory it held, in KiB.
    pub fn wait_with_peak(mut self) -> (Finished, u64) {
        let status = format!("/proc/{}/status", self.id());
        let mut peak = 0;
        while self.is_running() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let held = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
            peak = held.unwrap_or(peak);
            thread::sleep(Duration::from_millis(1));
        }
        (self.wait(), peak)
    }
}
