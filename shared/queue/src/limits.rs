//! Bounds on what callers may hand over, the same for every backend.

use crate::{Beat, Completion, Failure, NewTask, QueueError, TaskId};

/// Longest task id, in bytes.
pub const MAX_ID_BYTES: usize = 512;
/// Longest dataset name, in bytes.
pub const MAX_DATASET_BYTES: usize = 128;
/// Largest task spec, in bytes.
pub const MAX_SPEC_BYTES: usize = 4 << 10;
/// Largest summary of a finished task, in bytes.
pub const MAX_SUMMARY_BYTES: usize = 16 << 10;
/// Tasks one new task may replace (a month has 31 days).
pub const MAX_REPLACES: usize = 100;
/// Most tasks one claim returns; a larger limit counts as this.
pub const MAX_CLAIMS: usize = 1_000;
/// Most ids a claim may be restricted to.
pub const MAX_ONLY: usize = 1_000;
/// Most leases one heartbeat extends.
pub const MAX_BEATS: usize = 10_000;
/// Most leases one reap returns; a larger limit counts as this.
pub const MAX_REAPED: usize = 1_000;
/// Largest page of a list; a larger limit counts as this.
pub const MAX_PAGE: usize = 1_000;
/// A failure's reason is cut to this, in bytes.
pub const MAX_REASON_BYTES: usize = 64;
/// A failure's message is cut to this, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 2 << 10;
/// Troubled attempts remembered per task; older ones are forgotten.
pub const MAX_HISTORY: usize = 20;
/// Largest byte or row count of one task (2⁵⁰); larger ones count as this, so sums cannot overflow.
pub const MAX_COUNT: u64 = 1 << 50;
/// Largest rank, and the smallest as its negative; others count as these.
pub const MAX_RANK: i64 = 1 << 42;
/// Size of the fixed settings, names and values together, in bytes.
pub const MAX_SETTINGS_BYTES: usize = 16 << 10;

/// Longest name of a host whose weight is counted, in bytes.
pub const MAX_HOST_BYTES: usize = 256;

/// Checks the name of a host.
pub(crate) fn check_host(host: &str) -> Result<(), QueueError> {
    within(|| "name of the host".into(), host.len(), MAX_HOST_BYTES)
}

/// Checks new tasks before the first of them is written.
pub(crate) fn check_new_tasks(tasks: &[NewTask]) -> Result<(), QueueError> {
    for task in tasks {
        let id = task.id.as_str();
        if id.is_empty() || id.contains(|character: char| character.is_control()) {
            return Err(QueueError::BadId { id: id.to_owned() });
        }
        within(|| "task id".into(), id.len(), MAX_ID_BYTES)?;
        within(
            || format!("dataset of task {id}"),
            task.dataset.len(),
            MAX_DATASET_BYTES,
        )?;
        within(
            || format!("spec of task {id}"),
            task.spec.len(),
            MAX_SPEC_BYTES,
        )?;
        within(
            || format!("list task {id} replaces"),
            task.replaces.len(),
            MAX_REPLACES,
        )?;
        let summary_bytes = task.done.as_ref().map_or(0, String::len);
        within(
            || format!("summary of task {id}"),
            summary_bytes,
            MAX_SUMMARY_BYTES,
        )?;
    }
    Ok(())
}

/// Checks the selection of a claim.
pub(crate) fn check_only(only: Option<&[TaskId]>) -> Result<(), QueueError> {
    within(
        || "selection of a claim".into(),
        only.map_or(0, <[_]>::len),
        MAX_ONLY,
    )
}

/// Checks the leases of a heartbeat.
pub(crate) fn check_beats(beats: &[Beat]) -> Result<(), QueueError> {
    within(
        || "list of leases in a heartbeat".into(),
        beats.len(),
        MAX_BEATS,
    )
}

/// Checks what a finished task brings back.
pub(crate) fn check_completion(task: &TaskId, completion: &Completion) -> Result<(), QueueError> {
    within(
        || format!("summary of task {task}"),
        completion.summary.len(),
        MAX_SUMMARY_BYTES,
    )
}

/// A failure's reason and message, cut to their bounds: a long message must not cost the report.
pub(crate) fn cut_failure(failure: &Failure) -> (String, String) {
    let reason = cut(&failure.reason, MAX_REASON_BYTES);
    let message = cut(&failure.message, MAX_MESSAGE_BYTES);
    (reason.to_owned(), message.to_owned())
}

/// Fails when `size` is over `limit`.
pub(crate) fn within(
    what: impl FnOnce() -> String,
    size: usize,
    limit: usize,
) -> Result<(), QueueError> {
    if size <= limit {
        return Ok(());
    }
    Err(QueueError::TooLarge {
        what: what(),
        size,
        limit,
    })
}

/// The longest prefix of at most `limit` bytes that ends between characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }
}
