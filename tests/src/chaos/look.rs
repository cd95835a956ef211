//! What the queue's own records say.

use serde_json::Value;

use crate::{Running, Tapemill};

/// Counts of the queue at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub pending: u64,
    pub leased: u64,
    pub done: u64,
    pub missing: u64,
    pub dead: u64,
    pub completions: u64,
}

/// Looks at the queue again and again, and never waits for an answer.
#[derive(Default)]
pub(super) struct Look {
    asked: Option<Running>,
    pub latest: Counts,
}

/// The records of all tasks, beside the count of completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books {
    /// Completions that the queue accepted.
    pub completions: u64,
    /// Tasks that a completion finished.
    pub completed: u64,
    /// Tasks that planning found finished.
    pub adopted: u64,
}

impl Counts {
    pub fn finished(&self) -> u64 {
        self.done + self.missing + self.dead
    }

    /// From a line of `queue list --json`.
    fn of(line: &Value) -> Option<Self> {
        let count = |name: &str| line[name].as_u64();
        Some(Self {
            pending: count("pending")?,
            leased: count("leased")?,
            done: count("done")?,
            missing: count("missing")?,
            dead: count("dead")?,
            completions: count("completions")?,
        })
    }

    fn from_stdout(stdout: &str) -> Option<Self> {
        Self::of(&serde_json::from_str(stdout.lines().next()?).ok()?)
    }
}

impl Look {
    /// Takes an answer that is there; asks again when there is none to wait for.
    pub fn turn(&mut self, ask: impl FnOnce() -> Option<Tapemill>) {
        let Some(mut running) = self.asked.take() else {
            self.asked = ask().map(Tapemill::spawn);
            return;
        };
        if running.is_running() {
            self.asked = Some(running);
        } else if let Some(counts) = Counts::from_stdout(&running.wait().stdout) {
            self.latest = counts;
        }
    }
}

impl Books {
    /// Reads them: the count first, so that a completion between the two is never one too many.
    pub fn read(list_queue: Tapemill, list_tasks: Tapemill) -> Option<Self> {
        let counted = Counts::from_stdout(&list_queue.run().stdout)?;
        let listed = list_tasks.run();
        if listed.code != Some(0) {
            return None;
        }
        let (mut completed, mut adopted) = (0, 0);
        for task in listed.json_lines() {
            let is_finished = task["state"] == "done" || task["state"] == "missing";
            match (is_finished, task["attempts"].as_u64()) {
                (false, _) => {}
                // Whoever completes a task has attempted it.
                (true, Some(0)) => adopted += 1,
                (true, _) => completed += 1,
            }
        }
        Some(Self {
            completions: counted.completions,
            completed,
            adopted,
        })
    }

    /// Completions beyond one a task.
    pub fn doubles(&self) -> u64 {
        self.completions.saturating_sub(self.completed)
    }
}
