//! Arguments of the calls that plan, and what comes back.

use redis::Cmd;

use crate::limits::{MAX_COUNT, MAX_RANK};
use crate::{Enqueued, NewTask, QueueError, TaskId};

use super::reply::Fields;

/// Tasks per call at most, so that a server is never busy for long.
const MOST_TASKS: usize = 250;
/// Ids, specs and summaries per call at most, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// Cuts tasks into calls.
pub(super) fn calls(tasks: &[NewTask]) -> Vec<&[NewTask]> {
    let mut calls = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (position, task) in tasks.iter().enumerate() {
        let size = size_of(task);
        if position > begin && (position - begin == MOST_TASKS || bytes + size > MOST_BYTES) {
            calls.push(&tasks[begin..position]);
            (begin, bytes) = (position, 0);
        }
        bytes += size;
    }
    if begin < tasks.len() {
        calls.push(&tasks[begin..]);
    }
    calls
}

fn size_of(task: &NewTask) -> usize {
    let replaced: usize = task.replaces.iter().map(|id| id.as_str().len()).sum();
    let summary = task.done.as_ref().map_or(0, String::len);
    task.id.as_str().len() + task.spec.len() + summary + replaced
}

/// Adds a task as `enqueue.lua` reads it.
pub(super) fn add_task(command: &mut Cmd, task: &NewTask) {
    let summary = task.done.as_ref().map(|summary| format!("={summary}"));
    command
        .arg(task.id.as_str())
        .arg(&task.dataset)
        .arg(u8::from(task.urgent))
        .arg(task.rank.clamp(-MAX_RANK, MAX_RANK))
        .arg(task.bytes.min(MAX_COUNT))
        .arg(&task.spec)
        .arg(u8::from(task.reopen))
        .arg(summary.unwrap_or_default());
    let (beginning, rests) = replaced(task);
    command.arg(beginning).arg(rests);
}

/// The ids a task replaces: what they all begin with, and what follows it in each, one a line and never empty.
///
/// A plan names each day of every month, and a server would spend most of its time on so many arguments.
fn replaced(task: &NewTask) -> (&str, String) {
    // What no task can be called is not there.
    let is_name = |id: &&str| !id.is_empty() && !id.contains(char::is_control);
    let ids = task.replaces.iter().map(TaskId::as_str).filter(is_name);
    let Some(first) = ids.clone().next() else {
        return ("", String::new());
    };
    let common = ids.clone().fold(first.len(), |common, id| {
        let alike = first.bytes().zip(id.bytes()).take_while(|(a, b)| a == b);
        common.min(alike.count()).min(id.len() - 1)
    });
    let common = first.floor_char_boundary(common);
    let rests: Vec<&str> = ids.map(|id| &id[common..]).collect();
    (&first[..common], rests.join("\n"))
}

/// Reads what `enqueue.lua` returns.
pub(super) fn enqueued(mut fields: Fields) -> Result<Enqueued, QueueError> {
    Ok(Enqueued {
        created: fields.count()?,
        reopened: fields.count()?,
        adopted: fields.count()?,
        unchanged: fields.count()?,
        replaced: fields.count()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_ids_are_told_by_what_follows_their_common_beginning() {
        let told = |ids: &[&str]| {
            let task = NewTask {
                replaces: ids.iter().map(|id| TaskId::new(*id)).collect(),
                ..NewTask::new("new", "d")
            };
            let (beginning, rests) = replaced(&task);
            (beginning.to_owned(), rests)
        };
        let pair = |beginning: &str, rests: &str| (beginning.to_owned(), rests.to_owned());
        assert_eq!(told(&[]), pair("", ""));
        assert_eq!(told(&["a"]), pair("", "a"));
        assert_eq!(told(&["m-01", "m-02", "m-13"]), pair("m-", "01\n02\n13"));
        assert_eq!(told(&["m-1", "m-1", "m-12"]), pair("m-", "1\n1\n12"));
        assert_eq!(told(&["a", "b"]), pair("", "a\nb"));
        assert_eq!(told(&["mä", "mö"]), pair("m", "ä\nö"), "between characters");
        assert_eq!(told(&["x\ny", "", "z"]), pair("", "z"), "no names of tasks");
    }

    #[test]
    fn calls_are_bounded_in_tasks_and_bytes_and_keep_the_order() {
        let small: Vec<_> = (0..600)
            .map(|n| NewTask::new(format!("{n}"), "d"))
            .collect();
        let sizes: Vec<_> = calls(&small).iter().map(|call| call.len()).collect();
        assert_eq!(sizes, [250, 250, 100]);

        let large = NewTask {
            spec: "x".repeat(MOST_BYTES - 10),
            ..NewTask::new("large", "d")
        };
        let tasks = [large.clone(), large.clone(), small[0].clone()];
        let sizes: Vec<_> = calls(&tasks).iter().map(|call| call.len()).collect();
        assert_eq!(sizes, [1, 2]);
        assert!(calls(&[]).is_empty());
    }
}
