//! The tasks by series, symbol and month, as the page's map shows them. PURE: tasks in, documents out.
//!
//! It is filled by walks over the queue and by single tasks that changed meanwhile. A task that a whole walk did not
//! meet is gone.

mod document;
mod place;

use std::collections::BTreeMap;

use tapemill_queue::{StateCounts, TaskRecord, TaskState};

pub(crate) use document::Part;
use place::Place;

/// Tasks per state, in the order of [`TaskState::ALL`].
type Counts = [u64; 5];

/// Reasons told apart; further ones are shown as [`OTHER`].
const MOST_REASONS: usize = 254;

/// What stands for reasons beyond those.
const OTHER: &str = "other";

/// What is known of the queue's tasks.
#[derive(Debug, Default)]
pub(crate) struct TaskMap {
    series: BTreeMap<String, Series>,
    reasons: Vec<String>,
    counts: Counts,
    walk: u8,
    version: u64,
}

/// One market's archives of one kind, such as `um/aggTrades`.
#[derive(Debug, Default)]
struct Series {
    symbols: BTreeMap<String, Row>,
    /// Of all symbols, by month.
    months: BTreeMap<u16, Counts>,
    counts: Counts,
}

/// The tasks of one symbol.
#[derive(Debug, Default)]
struct Row {
    /// Ascending by month and day.
    cells: Vec<Cell>,
    counts: Counts,
}

/// One task, in six bytes: there may be millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    month: u16,
    /// Of the month, from 1; 0 for a whole month.
    day: u8,
    state: TaskState,
    /// Position among the reasons and one; 0 for none.
    reason: u8,
    /// The walk that met it last.
    walk: u8,
}

impl Row {
    fn position(&self, place: &Place<'_>) -> Result<usize, usize> {
        let wanted = (place.month, place.day);
        if self
            .cells
            .last()
            .is_none_or(|last| (last.month, last.day) < wanted)
        {
            return Err(self.cells.len());
        }
        self.cells
            .binary_search_by_key(&wanted, |cell| (cell.month, cell.day))
    }
}

impl TaskMap {
    /// Rises whenever a document would differ.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Tasks on the map.
    pub(crate) fn known(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Tasks on the map in a state.
    pub(crate) fn count(&self, state: TaskState) -> u64 {
        self.counts[state.index()]
    }

    /// Whether as many tasks are on the map in each state as the queue counts.
    pub(crate) fn agrees(&self, totals: &StateCounts) -> bool {
        self.counts == totals.map(|count| count.tasks)
    }

    /// A task as it is now.
    pub(crate) fn put(&mut self, task: &TaskRecord) {
        let reason = match (&task.reason, task.state) {
            (Some(reason), TaskState::Pending | TaskState::Leased | TaskState::Dead) => {
                self.reason(reason)
            }
            _ => 0,
        };
        self.set(task.id.as_str(), task.state, Some(reason));
    }

    /// A worker holds a task.
    pub(crate) fn lease(&mut self, id: &str) {
        self.set(id, TaskState::Leased, None);
    }

    fn set(&mut self, id: &str, state: TaskState, reason: Option<u8>) {
        let place = Place::of(id);
        let walk = self.walk;
        let series = entry(&mut self.series, place.series);
        let row = entry(&mut series.symbols, place.symbol);
        let cell = |reason| Cell {
            month: place.month,
            day: place.day,
            state,
            reason,
            walk,
        };
        let before = match row.position(&place) {
            Ok(at) => {
                let found = &mut row.cells[at];
                let before = std::mem::replace(found, cell(reason.unwrap_or(found.reason)));
                if (before.state, before.reason) == (found.state, found.reason) {
                    return;
                }
                Some(before.state)
            }
            Err(at) => {
                row.cells.insert(at, cell(reason.unwrap_or(0)));
                None
            }
        };
        let month = series.months.entry(place.month).or_default();
        for counts in [&mut row.counts, month, &mut series.counts, &mut self.counts] {
            counts[state.index()] += 1;
            if let Some(before) = before {
                counts[before.index()] -= 1;
            }
        }
        self.version += 1;
    }

    /// A task that is gone.
    pub(crate) fn remove(&mut self, id: &str) {
        let place = Place::of(id);
        let Some(series) = self.series.get_mut(place.series) else {
            return;
        };
        let Some(row) = series.symbols.get_mut(place.symbol) else {
            return;
        };
        let Ok(at) = row.position(&place) else {
            return;
        };
        let cell = row.cells.remove(at);
        row.counts[cell.state.index()] -= 1;
        if row.cells.is_empty() {
            series.symbols.remove(place.symbol);
        }
        series.forget(cell);
        self.counts[cell.state.index()] -= 1;
        self.series.retain(|_, series| !series.symbols.is_empty());
        self.version += 1;
    }

    /// A walk over all tasks begins.
    pub(crate) fn begin_walk(&mut self) {
        self.walk = self.walk.wrapping_add(1);
    }

    /// It met every task that is there.
    pub(crate) fn end_walk(&mut self) {
        let (walk, before) = (self.walk, self.known());
        for series in self.series.values_mut() {
            let mut gone = Vec::new();
            for row in series.symbols.values_mut() {
                let from = gone.len();
                gone.extend(row.cells.extract_if(.., |cell| cell.walk != walk));
                for cell in &gone[from..] {
                    row.counts[cell.state.index()] -= 1;
                }
            }
            series.symbols.retain(|_, row| !row.cells.is_empty());
            for cell in gone {
                series.forget(cell);
                self.counts[cell.state.index()] -= 1;
            }
        }
        self.series.retain(|_, series| !series.symbols.is_empty());
        self.version += u64::from(self.known() != before);
    }

    fn reason(&mut self, reason: &str) -> u8 {
        let known = self.reasons.iter().position(|known| known == reason);
        let at = known.unwrap_or_else(|| {
            if self.reasons.len() < MOST_REASONS {
                self.reasons.push(reason.to_owned());
            } else if self.reasons.len() == MOST_REASONS {
                self.reasons.push(OTHER.to_owned());
            }
            self.reasons.len() - 1
        });
        u8::try_from(at + 1).unwrap_or(u8::MAX)
    }

    fn reason_of(&self, cell: &Cell) -> Option<&str> {
        let at = usize::from(cell.reason).checked_sub(1)?;
        self.reasons.get(at).map(String::as_str)
    }
}

impl Series {
    fn forget(&mut self, cell: Cell) {
        let state = cell.state.index();
        self.counts[state] -= 1;
        if let Some(month) = self.months.get_mut(&cell.month) {
            month[state] -= 1;
            if month.iter().all(|tasks| *tasks == 0) {
                self.months.remove(&cell.month);
            }
        }
    }
}

/// Without a copy of the name where it is there.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name).expect("it was put there just above")
}

#[cfg(test)]
mod tests;
