//! Tables that are not there: what the queue knows of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tapemill_dataset::verify::{Finding, Hole, Verdict};
use tapemill_lake::{LakePath, Layout, TablePath};
use tapemill_market::ArchiveName;
use tapemill_queue::{Queue, TaskFilter, TaskId, TaskState};

use super::on_disk::OnDisk;
use crate::args::VerifyArgs;
use crate::commands::run::CHUNK;
use crate::failure::Failure;

/// Judges the holes between tables, and names what was published and is gone; `there` are all tables of the output.
pub(super) async fn lacking(
    args: &VerifyArgs,
    queue: Option<Arc<dyn Queue>>,
    wanted: &OnDisk,
    holes: Vec<Hole>,
    there: &BTreeSet<LakePath>,
) -> Result<Vec<Finding>, Failure> {
    let Some(queue) = queue else {
        let unexplained = "there are tables before and after, and no queue tells why not here";
        let defect = |hole| told(hole, Verdict::Defect, "hole", unexplained);
        return Ok(holes.into_iter().map(defect).collect());
    };
    // The queue knows how the output's folders are named.
    let settings = queue.settings().await?.unwrap_or_default();
    let layout = settings.get("layout").and_then(|name| name.parse().ok());
    let layout = layout.unwrap_or(args.shape.layout);
    let mut found = gone(&*queue, layout, wanted, there).await?;
    let told_dead = dead(&*queue, layout, wanted, there).await?;
    let files: BTreeSet<String> = told_dead.iter().map(|dead| dead.file.clone()).collect();
    let holes: Vec<Hole> = holes
        .into_iter()
        .filter(|hole| !files.contains(&hole.file))
        .collect();
    found.extend(told_dead);
    let ids = holes.iter().map(|hole| TaskId::new(hole.name.task_id()));
    let ids: Vec<TaskId> = ids.collect();
    let mut states = Vec::new();
    for ids in ids.chunks(CHUNK) {
        states.extend(queue.states(ids).await?);
    }
    for (hole, state) in holes.into_iter().zip(states) {
        let (verdict, reason) = match state {
            // It is among those that are gone.
            Some(TaskState::Done) => continue,
            Some(TaskState::Missing) => (Verdict::Note, "the archive has none of this period"),
            // It is among those that are dead, unless it died just now.
            Some(TaskState::Dead) => (Verdict::Defect, "its task is dead: see tapemill tasks"),
            Some(TaskState::Pending | TaskState::Leased) => {
                (Verdict::Note, "its task is not finished")
            }
            None => (Verdict::Note, "this period was never asked for"),
        };
        found.push(told(hole, verdict, "hole", reason));
    }
    Ok(found)
}

/// Finished tasks of the selection whose main table is nowhere, nor that of the month around it.
async fn gone(
    queue: &dyn Queue,
    layout: Layout,
    wanted: &OnDisk,
    there: &BTreeSet<LakePath>,
) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    let lost = |name, path: LakePath, _| {
        let file = path.as_str().to_owned();
        let reason = "it was published and is gone";
        found.push(told(Hole { file, name }, Verdict::Defect, "gone", reason));
    };
    without_table(queue, TaskState::Done, layout, wanted, there, lost).await?;
    Ok(found)
}

/// Dead tasks of the selection, with what killed them.
async fn dead(
    queue: &dyn Queue,
    layout: Layout,
    wanted: &OnDisk,
    there: &BTreeSet<LakePath>,
) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    let died = |name: ArchiveName, path: LakePath, reason: Option<String>| {
        let file = path.as_str().to_owned();
        let reason = format!(
            "its task is dead: {}; tapemill tasks retry {} tries again",
            reason.unwrap_or_default(),
            name.task_id()
        );
        found.push(told(Hole { file, name }, Verdict::Defect, "dead", &reason));
    };
    without_table(queue, TaskState::Dead, layout, wanted, there, died).await?;
    Ok(found)
}

/// Tasks of the selection in a state, whose main table is nowhere, nor that of the month around it: each with the place
/// of that table, and the reason of its state.
async fn without_table(
    queue: &dyn Queue,
    state: TaskState,
    layout: Layout,
    wanted: &OnDisk,
    there: &BTreeSet<LakePath>,
    mut each: impl FnMut(ArchiveName, LakePath, Option<String>),
) -> Result<(), Failure> {
    let filter = TaskFilter {
        state: Some(state),
        ..TaskFilter::default()
    };
    let mut cursor = None;
    loop {
        let page = queue.list(&filter, cursor, CHUNK).await?;
        for task in page.tasks {
            // A task of another release is none of ours.
            let Ok(name) = ArchiveName::from_task_id(task.id.as_str()) else {
                continue;
            };
            let place = |name: &ArchiveName| {
                let table = name.data.tables().swap_remove(0);
                let (market, symbol) = (name.market.as_str(), name.symbol.as_str());
                TablePath::new(&table, market, symbol, &name.period.to_string())
            };
            let table = place(&name)?;
            let month = place(&ArchiveName {
                period: name.period.month(),
                ..name.clone()
            })?;
            let path = table.path(layout)?;
            let is_there = there.contains(&path) || there.contains(&month.path(layout)?);
            if !is_there && wanted.holds_table(&table) {
                each(name, path, task.reason);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn told(hole: Hole, verdict: Verdict, kind: &'static str, reason: &str) -> Finding {
    Finding {
        file: hole.file,
        verdict,
        kind,
        reason: reason.to_owned(),
        name: Some(hole.name),
        has_holes: false,
    }
}
