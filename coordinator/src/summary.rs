//! The queue by symbols: which are done. It walks through all tasks, and remembers only symbols.

use std::collections::HashMap;

use tapemill_queue::{Queue, QueueError, TaskFilter, TaskId, TaskRecord, TaskState};

/// Tasks looked at in one call.
const PAGE: usize = 500;

/// How many symbols are done. One of two markets counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Symbols that have tasks.
    pub symbols: u64,
    /// Symbols whose tasks are all done or missing.
    pub symbols_done: u64,
    /// Symbols of which a task is dead.
    pub symbols_with_dead: u64,
    /// Bytes of the archives that are done.
    pub archive_bytes: u64,
}

impl Summary {
    /// Looks at every task.
    ///
    /// # Errors
    ///
    /// What the queue says.
    pub async fn of(queue: &dyn Queue) -> Result<Self, QueueError> {
        let (mut tally, mut cursor) = (Tally::default(), None);
        loop {
            let page = queue.list(&TaskFilter::default(), cursor, PAGE).await?;
            page.tasks.iter().for_each(|task| tally.add(task));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(tally.summary());
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    /// By market and symbol.
    symbols: HashMap<String, Standing>,
    archive_bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Standing {
    unfinished: bool,
    dead: bool,
}

impl Tally {
    fn add(&mut self, task: &TaskRecord) {
        let standing = self.symbols.entry(symbol_of(&task.id)).or_default();
        match task.state {
            TaskState::Pending | TaskState::Leased => standing.unfinished = true,
            TaskState::Dead => standing.dead = true,
            TaskState::Done => self.archive_bytes += task.bytes,
            TaskState::Missing => {}
        }
    }

    fn summary(&self) -> Summary {
        let count = |wanted: fn(&Standing) -> bool| {
            let standings = self.symbols.values();
            standings.filter(|standing| wanted(standing)).count() as u64
        };
        Summary {
            symbols: self.symbols.len() as u64,
            symbols_done: count(|standing| !standing.unfinished && !standing.dead),
            symbols_with_dead: count(|standing| standing.dead),
            archive_bytes: self.archive_bytes,
        }
    }
}

/// `um/BTCUSDT` of `um/klines:1m/BTCUSDT/2024-01`; a task of another release may be named in any way.
fn symbol_of(id: &TaskId) -> String {
    let mut parts = id.as_str().split('/');
    let (market, symbol) = (parts.next(), parts.nth(1));
    format!(
        "{}/{}",
        market.unwrap_or_default(),
        symbol.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, state: TaskState) -> TaskRecord {
        TaskRecord {
            id: TaskId::new(id),
            dataset: String::new(),
            state,
            generation: 1,
            attempts: 1,
            expiries: 0,
            not_before_ms: None,
            reason: None,
            message: None,
            spec: String::new(),
            bytes: 10,
            summary: None,
            progress: None,
            worker: None,
            history: Vec::new(),
        }
    }

    #[test]
    fn a_symbol_is_done_when_nothing_of_it_is_left_or_dead() {
        use TaskState::{Dead, Done, Leased, Missing, Pending};
        let mut tally = Tally::default();
        for (id, state) in [
            ("um/aggTrades/AUSDT/2024-01", Done),
            ("um/klines:1m/AUSDT/2024-01", Missing),
            ("um/aggTrades/BUSDT/2024-01", Done),
            ("um/klines:1m/BUSDT/2024-02", Leased),
            ("um/aggTrades/CUSDT/2024-01", Dead),
            ("um/aggTrades/CUSDT/2024-02", Pending),
            ("um/aggTrades/DUSDT/2024-01", Dead),
            ("spot/aggTrades/AUSDT/2024-01", Done),
        ] {
            tally.add(&task(id, state));
        }

        assert_eq!(
            tally.summary(),
            Summary {
                symbols: 5,
                symbols_done: 2,
                symbols_with_dead: 2,
                archive_bytes: 30
            }
        );
    }
}
