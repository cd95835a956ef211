//! Values as they lie in the file.

use rusqlite::Row;
use serde_json::Value;

use crate::limits::MAX_COUNT;
use crate::{TaskId, TaskState};

/// A count as stored: cut to its bound, so that sums of many stay in range.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count.min(MAX_COUNT)).expect("2^50 fits an i64")
}

/// A count as read back; never negative in what this code writes.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

/// A state as stored; its position in [`TaskState::ALL`], which the schema's partial indexes spell.
pub(super) fn state_number(state: TaskState) -> i64 {
    match state {
        TaskState::Pending => 0,
        TaskState::Leased => 1,
        TaskState::Done => 2,
        TaskState::Missing => 3,
        TaskState::Dead => 4,
    }
}

/// A state as read back.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskState> {
    let stored: i64 = row.get(column)?;
    usize::try_from(stored)
        .ok()
        .and_then(|index| TaskState::ALL.get(index).copied())
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

/// A task id as read back.
pub(super) fn task_id(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskId> {
    row.get::<_, String>(column).map(TaskId::new)
}

/// Ids, as a statement takes any number of them in one argument.
pub(super) fn json_list<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> String {
    let ids = ids.into_iter().map(|id| Value::from(id.as_ref())).collect();
    Value::Array(ids).to_string()
}
