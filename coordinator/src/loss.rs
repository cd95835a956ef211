//! Whether a queue came back empty, or older than it was.

use tapemill_queue::Stats;

use crate::enqueuer::Planned;

/// What was seen of a queue before.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    completions: u64,
}

impl Memory {
    /// Whether the queue forgot: its settings are gone, or it counts fewer completions than before.
    pub fn lost(&mut self, has_settings: bool, stats: &Stats) -> bool {
        let fewer = stats.completions < self.completions;
        self.completions = stats.completions;
        !has_settings || fewer
    }

    /// Whether nothing is there of a plan that had something, and nothing was ever done: a worker may have fixed the
    /// settings of an empty queue. Where something was done, the finished tasks were pruned.
    pub fn lacks(&self, planned: &Planned, stats: &Stats) -> bool {
        let tasks: u64 = stats.totals().iter().map(|count| count.tasks).sum();
        !planned.tasks.is_empty() && tasks == 0 && stats.completions == 0
    }
}

#[cfg(test)]
mod tests {
    use tapemill_queue::{Count, TaskId};

    use super::*;

    fn stats(tasks: u64, completions: u64) -> Stats {
        let count = Count { tasks, bytes: 0 };
        Stats {
            datasets: [("d".to_owned(), [count; 5])].into(),
            completions,
            ..Stats::default()
        }
    }

    #[test]
    fn a_queue_forgot_when_settings_tasks_or_completions_are_gone() {
        let planned = Planned {
            tasks: vec![TaskId::new("a")],
            ..Planned::default()
        };
        let mut memory = Memory::default();

        assert!(!memory.lost(true, &stats(1, 3)));
        assert!(!memory.lacks(&planned, &stats(1, 3)));
        assert!(memory.lost(false, &stats(1, 3)));
        assert!(memory.lost(true, &stats(1, 2)));
        assert!(memory.lacks(&planned, &stats(0, 0)));
        assert!(!memory.lacks(&planned, &stats(0, 3)), "they were pruned");
        assert!(!memory.lacks(&Planned::default(), &stats(0, 3)));
    }
}
