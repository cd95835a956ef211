//! The attempts that failed last, as far as anybody met them. PURE: tasks in, a short list out.

use serde_json::{Value, json};
use tapemill_queue::TaskRecord;

/// Tasks remembered.
const MOST: usize = 20;

/// Longest message told, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// The tasks that had trouble last, each with its last trouble.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Latest first.
    tasks: Vec<Failed>,
}

#[derive(Debug)]
struct Failed {
    id: String,
    ended_ms: i64,
    told: Value,
}

impl Failures {
    /// A task as it is now.
    pub(crate) fn put(&mut self, task: &TaskRecord) {
        self.remove(task.id.as_str());
        let Some(attempt) = task.history.last() else {
            return;
        };
        let later = |other: &Failed| other.ended_ms > attempt.ended_ms;
        let at = self.tasks.partition_point(later);
        if at >= MOST {
            return;
        }
        let message = &attempt.message[..attempt.message.floor_char_boundary(LONGEST_MESSAGE)];
        let told = json!({
            "id": task.id, "state": task.state, "attempts": task.attempts, "expiries": task.expiries,
            "ended_ms": attempt.ended_ms, "outcome": attempt.outcome, "reason": attempt.reason, "message": message,
        });
        let failed = Failed {
            id: task.id.as_str().to_owned(),
            ended_ms: attempt.ended_ms,
            told,
        };
        self.tasks.insert(at, failed);
        self.tasks.truncate(MOST);
    }

    /// A task that is gone.
    pub(crate) fn remove(&mut self, id: &str) {
        self.tasks.retain(|failed| failed.id != id);
    }

    /// The list, latest first.
    pub(crate) fn value(&self) -> Value {
        let told = self.tasks.iter().map(|failed| failed.told.clone());
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use tapemill_queue::{Attempt, AttemptOutcome, TaskId, TaskState};

    use super::*;

    fn failed(id: &str, ended_ms: &[i64]) -> TaskRecord {
        let attempt = |ended_ms: &i64| Attempt {
            generation: 1,
            worker: "w".to_owned(),
            started_ms: 0,
            ended_ms: *ended_ms,
            outcome: AttemptOutcome::Failed,
            reason: "network".to_owned(),
            message: "é".repeat(400),
        };
        TaskRecord {
            id: TaskId::new(id),
            dataset: String::new(),
            state: TaskState::Pending,
            generation: 1,
            attempts: 1,
            expiries: 0,
            not_before_ms: None,
            reason: None,
            message: None,
            spec: String::new(),
            bytes: 0,
            summary: None,
            progress: None,
            worker: None,
            history: ended_ms.iter().map(attempt).collect(),
        }
    }

    fn ids(failures: &Failures) -> Vec<String> {
        let value = failures.value();
        let told = value.as_array().expect("a list").iter();
        told.map(|told| told["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    #[test]
    fn the_latest_come_first_each_task_once_and_no_more_than_a_few() {
        let mut failures = Failures::default();
        failures.put(&failed("a", &[10]));
        failures.put(&failed("b", &[30]));
        failures.put(&failed("quiet", &[]));
        failures.put(&failed("c", &[20]));
        failures.put(&failed("a", &[10, 40]));
        let first = ids(&failures);
        failures.remove("b");
        for number in 0..50 {
            failures.put(&failed(&format!("d{number}"), &[100 + number]));
        }

        assert_eq!(first, ["a", "b", "c"]);
        assert_eq!(ids(&failures).len(), 20);
        assert_eq!(ids(&failures)[0], "d49");
        let message = failures.value()[0]["message"].as_str().map(str::len);
        assert_eq!(message, Some(300));
    }
}
