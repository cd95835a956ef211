//! Puts what a survey found into the queue, leaving out what the output already holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tapemill_archive::{SIDECAR_SUFFIX, Source, hex, parse_sidecar};
use tapemill_lake::{CODEC, LakeError, LakePath, Lineage, Output, read_lineage};
use tapemill_market::{ArchiveName, Data, Symbol};
use tapemill_queue::{Enqueued, NewTask, Queue, TaskId, TaskRecord, TaskState};

use crate::error::PlanError;
use crate::selection::Selection;
use crate::survey::Survey;

/// Tasks looked up and enqueued at a time.
const CHUNK: usize = 500;

/// Sidecars asked for at once, when outputs are checked that the queue does not know.
const CHECKS_AT_ONCE: usize = 8;

/// A sidecar is one line.
const LARGEST_SIDECAR: u64 = 4096;

/// What came of planning.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// Every task of the selection, in the order of the survey.
    pub tasks: Vec<TaskId>,
    /// What changed in the queue.
    pub enqueued: Enqueued,
    /// Sum of the archives' sizes.
    pub bytes: u64,
    /// Tasks that were finished before, and stay so.
    pub finished: u64,
}

/// Enqueues a survey.
pub struct Enqueuer {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Where archives come from.
    pub source: Arc<dyn Source>,
    /// Where tables are.
    pub output: Output,
    /// Whether finished tasks are done again.
    pub force: bool,
}

impl Enqueuer {
    /// Enqueues one task per archive; those whose output is complete and current stay or become done.
    ///
    /// # Errors
    ///
    /// [`PlanError`]; what was enqueued before it stays, and planning again goes on from there.
    pub async fn enqueue(
        &self,
        selection: &Selection,
        survey: &Survey,
    ) -> Result<Planned, PlanError> {
        self.queue
            .fix_settings(&self.output.fixed_settings())
            .await?;
        self.finish_removals_of_days(selection, survey)?;
        let mut planned = Planned::default();
        for archives in survey.archives.chunks(CHUNK) {
            let ids: Vec<TaskId> = archives
                .iter()
                .map(|(name, _)| TaskId::new(name.task_id()))
                .collect();
            let known = self.queue.get(&ids).await?;
            let tasks: Vec<Option<NewTask>> = stream::iter(archives.iter().zip(known))
                .map(|((name, bytes), known)| self.task(selection, name, *bytes, known))
                .buffered(CHECKS_AT_ONCE)
                .try_collect()
                .await?;
            planned.finished += tasks.iter().filter(|task| task.is_none()).count() as u64;
            let tasks: Vec<NewTask> = tasks.into_iter().flatten().collect();
            let enqueued = self.queue.enqueue(&tasks).await?;
            planned.enqueued = sum(planned.enqueued, enqueued);
            planned.bytes += archives.iter().map(|(_, bytes)| bytes).sum::<u64>();
            planned.tasks.extend(ids);
        }
        planned.finished += planned.enqueued.adopted;
        Ok(planned)
    }

    /// The task to enqueue; `None` where it is finished and its output is current.
    async fn task(
        &self,
        selection: &Selection,
        name: &ArchiveName,
        bytes: u64,
        known: Option<TaskRecord>,
    ) -> Result<Option<NewTask>, PlanError> {
        let mut task = NewTask {
            urgent: selection.priority.contains(&name.symbol),
            rank: days_since_epoch(name),
            bytes,
            spec: json!({"key": name.key()}).to_string(),
            replaces: name.days().map(|day| TaskId::new(day.task_id())).collect(),
            ..NewTask::new(name.task_id(), name.data.to_string())
        };
        match known.as_ref().map(|known| known.state) {
            _ if self.force => task.reopen = true,
            Some(TaskState::Done) if self.is_current(name, bytes, known.as_ref())? => {
                return Ok(None);
            }
            // Its output is gone, or of another codec or settings; or the archive changed; or it is listed now.
            Some(TaskState::Done | TaskState::Missing) => task.reopen = true,
            Some(TaskState::Leased | TaskState::Dead) => {}
            // The queue may be new while the output is not.
            Some(TaskState::Pending) | None => {
                task.done = self.finished_elsewhere(name, bytes).await?;
            }
        }
        Ok(Some(task))
    }

    /// A process that died between publishing a month and removing its days left days behind.
    fn finish_removals_of_days(
        &self,
        selection: &Selection,
        survey: &Survey,
    ) -> Result<(), PlanError> {
        let mut series: BTreeSet<(Data, Symbol)> = BTreeSet::new();
        for (name, _) in &survey.archives {
            if !series.insert((name.data, name.symbol.clone())) {
                continue;
            }
            for month in
                self.output
                    .months_with_leftover_days(selection.market, name.data, &name.symbol)?
            {
                self.output.remove_days_of(&ArchiveName {
                    period: month,
                    ..name.clone()
                })?;
            }
        }
        Ok(())
    }

    /// Whether a done task's files are there, as they were published, and of the archive as it is listed.
    fn is_current(
        &self,
        name: &ArchiveName,
        bytes: u64,
        known: Option<&TaskRecord>,
    ) -> Result<bool, PlanError> {
        let summary = known.and_then(|known| known.summary.as_deref());
        let Some(summary) = summary.and_then(|text| serde_json::from_str::<Value>(text).ok())
        else {
            return Ok(false);
        };
        let settings = Value::Object(self.output.settings_of(name.data));
        if summary["codec"] != CODEC || summary["settings"] != settings {
            return Ok(false);
        }
        if bytes > 0 && summary["bytes"] != bytes {
            return Ok(false);
        }
        let files = summary["files"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if files.len() != name.data.tables().len() {
            return Ok(false);
        }
        for file in files {
            let path = file["path"]
                .as_str()
                .and_then(|path| LakePath::parse(path).ok());
            let Some(path) = path else { return Ok(false) };
            if self.output.lake.size(&path)? != file["bytes"].as_u64() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The summary of an output that the queue does not know, if it is complete, current and of this archive.
    async fn finished_elsewhere(
        &self,
        name: &ArchiveName,
        bytes: u64,
    ) -> Result<Option<String>, PlanError> {
        let mut files = Vec::new();
        let mut lineage = None;
        for table in name.data.tables() {
            let place = self.output.place(name, &table)?;
            let Some(size) = self.output.lake.size(&place)? else {
                return Ok(None);
            };
            let found = match read_lineage(&self.output.lake, &place) {
                Ok(found) => found,
                Err(error) if error.is_disk() => return Err(error.into()),
                Err(LakeError::Io { .. }) => return Ok(None),
                // Foreign, cut or damaged: it is milled again, which replaces it.
                Err(_) => return Ok(None),
            };
            if !self.is_of(&found, name, bytes) {
                return Ok(None);
            }
            files.push(json!({"path": place.as_str(), "bytes": size}));
            lineage = Some(found);
        }
        let Some(lineage) = lineage else {
            return Ok(None);
        };
        let Some(origin) = lineage.sources.first() else {
            return Ok(None);
        };
        let verdict = lineage.quality["verdict"].as_str().unwrap_or_default();
        if !self
            .checksum_agrees(&origin.key, &origin.sha256, verdict)
            .await?
        {
            return Ok(None);
        }
        let summary = json!({
            "codec": lineage.codec,
            "settings": lineage.settings,
            "sha256": origin.sha256,
            "bytes": origin.bytes,
            "rows": origin.rows,
            "verdict": verdict,
            "files": files,
        });
        Ok(Some(summary.to_string()))
    }

    fn is_of(&self, lineage: &Lineage, name: &ArchiveName, bytes: u64) -> bool {
        lineage.codec == CODEC
            && lineage.settings == self.output.settings_of(name.data)
            && lineage.sources.len() == 1
            && lineage
                .sources
                .iter()
                .all(|source| source.key == name.key() && (bytes == 0 || source.bytes == bytes))
    }

    async fn checksum_agrees(
        &self,
        key: &str,
        sha256: &str,
        verdict: &str,
    ) -> Result<bool, PlanError> {
        let text = self
            .source
            .small(&format!("{key}{SIDECAR_SUFFIX}"), LARGEST_SIDECAR)
            .await?;
        let Some(text) = text else {
            return Ok(verdict == "no_sidecar");
        };
        // A sidecar that cannot be read is a matter for the worker, which says what is wrong with it.
        let Ok(checksum) = parse_sidecar(key, &text) else {
            return Ok(false);
        };
        let agrees = hex(&checksum) == sha256;
        Ok(if verdict == "ok" {
            agrees
        } else {
            verdict == "stale_sidecar" && !agrees
        })
    }
}

fn days_since_epoch(name: &ArchiveName) -> i64 {
    name.period.start_us() / 86_400_000_000
}

fn sum(a: Enqueued, b: Enqueued) -> Enqueued {
    Enqueued {
        created: a.created + b.created,
        reopened: a.reopened + b.reopened,
        adopted: a.adopted + b.adopted,
        unchanged: a.unchanged + b.unchanged,
        replaced: a.replaced + b.replaced,
    }
}
