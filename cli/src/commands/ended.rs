//! How a run ended.

use tapemill_market::ArchiveName;
use tapemill_queue::{Queue, QueueError, TaskId, TaskRecord, TaskState};

use super::run::CHUNK;

/// How the tasks of the selection stand in the end, whoever worked on them.
#[derive(Default)]
pub struct Ended {
    /// Published.
    pub done: u64,
    /// Not in the archive.
    pub missing: u64,
    /// Pending, or leased by others.
    pub unfinished: u64,
    /// Given up.
    pub dead: Vec<TaskRecord>,
    /// Gone from the queue, and replaced by nothing.
    pub vanished: u64,
}

impl Ended {
    /// Looks them up.
    ///
    /// # Errors
    ///
    /// What the queue says.
    pub async fn of(queue: &dyn Queue, tasks: &[TaskId]) -> Result<Self, QueueError> {
        let mut ended = Self::default();
        for ids in tasks.chunks(CHUNK) {
            let states = queue.states(ids).await?;
            let (mut dead, mut gone) = (Vec::new(), Vec::new());
            for (id, state) in ids.iter().zip(states) {
                match state {
                    Some(TaskState::Done) => ended.done += 1,
                    Some(TaskState::Missing) => ended.missing += 1,
                    Some(TaskState::Dead) => dead.push(id.clone()),
                    Some(TaskState::Pending | TaskState::Leased) => ended.unfinished += 1,
                    None => gone.push(id.clone()),
                }
            }
            ended
                .dead
                .extend(queue.get(&dead).await?.into_iter().flatten());
            ended.vanished += vanished(queue, &gone).await?;
        }
        Ok(ended)
    }
}

/// How many of the tasks that are gone were not replaced: a day is gone for good when its month is there.
async fn vanished(queue: &dyn Queue, gone: &[TaskId]) -> Result<u64, QueueError> {
    let months: Vec<TaskId> = gone.iter().filter_map(month_of).collect();
    let states = queue.states(&months).await?;
    let replaced = states.iter().flatten().count();
    Ok((gone.len() - replaced) as u64)
}

/// The task of the month that a day belongs to.
fn month_of(day: &TaskId) -> Option<TaskId> {
    let name = ArchiveName::from_task_id(day.as_str()).ok()?;
    let month = ArchiveName {
        period: name.period.month(),
        ..name.clone()
    };
    name.period.is_day().then(|| TaskId::new(month.task_id()))
}
