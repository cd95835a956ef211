//! Puts what a survey found into the queue, leaving out what the output already holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tapemill_archive::Source;
use tapemill_exchange::RestSpec;
use tapemill_lake::{Holdings, Output, Receipt, TaskSpec, Wanted};
use tapemill_market::{ArchiveName, Market, Symbol};
use tapemill_queue::{Enqueued, NewTask, Queue, TaskId, TaskRecord, TaskState};

use crate::adoption::Adoption;
use crate::error::PlanError;
use crate::selection::Selection;
use crate::sidecar::is_other_edition;
use crate::survey::{Archive, Survey};
use crate::thread::on_a_thread;

/// Tasks looked up and enqueued at a time.
const CHUNK: usize = 500;

/// Outputs checked at once that the queue does not know.
const CHECKS_AT_ONCE: usize = 8;

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
    /// The symbols of these tasks.
    pub symbols: BTreeSet<Symbol>,
    /// Footers read of outputs that the queue did not know.
    pub footers: u64,
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
    /// Whether those are whose archive was published anew with the size it had.
    pub refresh: bool,
    /// Holes of up to so many days in these are filled from elsewhere.
    pub repair: Option<u32>,
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
        let asked = survey.rest.iter().map(|(name, _)| name);
        let names = survey.archives.iter().map(|archive| &archive.name);
        let names = names.chain(asked);
        let holdings = self.holdings(selection.market, names).await?;
        let adoption = Adoption::new(&*self.source, &self.output);
        let mut planned = Planned::default();
        for archives in survey.archives.chunks(CHUNK) {
            let ids: Vec<TaskId> = archives
                .iter()
                .map(|archive| TaskId::new(archive.name.task_id()))
                .collect();
            let known = self.queue.get(&ids).await?;
            let held = archives.iter().map(|archive| holdings.of(&archive.name));
            let mut held: Vec<_> = held.collect();
            self.look_again(selection.market, archives, &known, &mut held)
                .await?;
            let tasks: Vec<Option<NewTask>> = stream::iter(archives.iter().zip(known).zip(held))
                .map(|((archive, known), held)| {
                    let task = self.plain(selection, archive, &holdings);
                    self.task(task, archive, known, held, &adoption)
                })
                .buffered(CHECKS_AT_ONCE)
                .try_collect()
                .await?;
            planned.finished += tasks.iter().filter(|task| task.is_none()).count() as u64;
            let tasks: Vec<NewTask> = tasks.into_iter().flatten().collect();
            let enqueued = self.queue.enqueue(&tasks).await?;
            planned.enqueued = sum(planned.enqueued, enqueued);
            planned.bytes += archives.iter().map(|archive| archive.bytes).sum::<u64>();
            planned.tasks.extend(ids);
            for Archive { name, .. } in archives {
                if !planned.symbols.contains(&name.symbol) {
                    planned.symbols.insert(name.symbol.clone());
                }
            }
        }
        for asked in survey.rest.chunks(CHUNK) {
            self.enqueue_rest(selection, asked, &mut planned).await?;
        }
        planned.finished += planned.enqueued.adopted;
        planned.footers = adoption.footers();
        Ok(planned)
    }

    /// Enqueues what the exchange is asked for. What was asked for up to the same time is finished, if its files are there;
    /// what was not there then is not asked for again.
    async fn enqueue_rest(
        &self,
        selection: &Selection,
        asked: &[(ArchiveName, RestSpec)],
        planned: &mut Planned,
    ) -> Result<(), PlanError> {
        let ids = asked.iter().map(|(name, _)| TaskId::new(name.task_id()));
        let ids: Vec<TaskId> = ids.collect();
        let known = self.queue.get(&ids).await?;
        // Looked at after the queue: what is done was published before.
        let names = asked.iter().map(|(name, _)| name);
        let holdings = self.holdings(selection.market, names).await?;
        let mut tasks = Vec::new();
        for ((name, spec), known) in asked.iter().zip(known) {
            let (closed_by_ms, spec) = (spec.closed_by_ms, spec.to_string());
            let same = known.as_ref().is_some_and(|known| known.spec == spec);
            // Of the same time, whichever way it was made.
            let was = known.as_ref().and_then(|known| RestSpec::of(&known.spec));
            let same_time = was.is_some_and(|was| was.closed_by_ms == closed_by_ms);
            let state = known.as_ref().map(|known| known.state);
            let is_finished = match state {
                Some(TaskState::Done) => {
                    same_time && has_files(known.as_ref(), holdings.of(name).as_deref())
                }
                Some(TaskState::Missing) => same,
                _ => false,
            };
            if is_finished && !self.force {
                planned.finished += 1;
                continue;
            }
            tasks.push(NewTask {
                urgent: selection.priority.contains(&name.symbol),
                rank: days_since_epoch(name),
                spec,
                reopen: true,
                ..NewTask::new(name.task_id(), name.data.to_string())
            });
        }
        let enqueued = self.queue.enqueue(&tasks).await?;
        planned.enqueued = sum(planned.enqueued, enqueued);
        planned.tasks.extend(ids);
        let symbols = asked.iter().map(|(name, _)| name.symbol.clone());
        planned.symbols.extend(symbols);
        Ok(())
    }

    /// The task of an archive, whatever is known of it.
    fn plain(&self, selection: &Selection, archive: &Archive, holdings: &Holdings) -> NewTask {
        let Archive { name, bytes, .. } = archive;
        // The id says the rest.
        let spec = TaskSpec {
            days: holdings.has_days_of(name),
            again: holdings.has_any_of(name),
            repair: self.repair,
        };
        NewTask {
            urgent: selection.priority.contains(&name.symbol),
            rank: days_since_epoch(name),
            bytes: *bytes,
            spec: spec.to_string(),
            replaces: name.task_ids_of_days().map(TaskId::new).collect(),
            ..NewTask::new(name.task_id(), name.data.to_string())
        }
    }

    /// The task as it is to be enqueued; `None` where it is finished and its output is current. `held` are the sizes of
    /// its files, if all are there.
    async fn task(
        &self,
        mut task: NewTask,
        archive: &Archive,
        known: Option<TaskRecord>,
        held: Option<Vec<u64>>,
        adoption: &Adoption<'_>,
    ) -> Result<Option<NewTask>, PlanError> {
        let bytes = task.bytes;
        match known.as_ref().map(|known| known.state) {
            _ if self.force => task.reopen = true,
            Some(TaskState::Done) if is_current(known.as_ref(), bytes, held.as_deref()) => {
                if !self.is_renewed(archive, known.as_ref()).await? {
                    return Ok(None);
                }
                task.reopen = true;
            }
            // Its output is gone, or of another codec or settings; or the archive changed; or it is listed now.
            Some(TaskState::Done | TaskState::Missing) => task.reopen = true,
            Some(TaskState::Leased | TaskState::Dead) => {}
            // The queue may be new while the output is not.
            Some(TaskState::Pending) | None => {
                if let Some(sizes) = held {
                    let receipt = adoption.receipt(&archive.name, bytes, sizes).await?;
                    task.done = receipt.map(|receipt| receipt.to_string());
                }
            }
        }
        Ok(Some(task))
    }

    /// Whether a done task is to be done again although nothing but its archive's edition is another.
    async fn is_renewed(
        &self,
        archive: &Archive,
        known: Option<&TaskRecord>,
    ) -> Result<bool, PlanError> {
        match receipt(known).filter(|_| self.refresh) {
            Some(receipt) => is_other_edition(&*self.source, archive, &receipt).await,
            None => Ok(false),
        }
    }

    /// Looks again for the files of done tasks that were not there, or not as they were published.
    ///
    /// Tasks that workers finished since the first look would be milled again otherwise: what is done was published
    /// before, so a look after the queue was asked sees it.
    async fn look_again(
        &self,
        market: Market,
        archives: &[Archive],
        known: &[Option<TaskRecord>],
        held: &mut [Option<Vec<u64>>],
    ) -> Result<(), PlanError> {
        let is_doubtful = |at: &usize| {
            let known = known[*at].as_ref();
            known.is_some_and(|known| known.state == TaskState::Done)
                && !is_current(known, archives[*at].bytes, held[*at].as_deref())
        };
        let doubtful: Vec<usize> = (0..archives.len()).filter(is_doubtful).collect();
        if doubtful.is_empty() || self.force {
            return Ok(());
        }
        let names = doubtful.iter().map(|at| &archives[*at].name);
        let holdings = self.holdings(market, names).await?;
        for at in doubtful {
            held[at] = holdings.of(&archives[at].name);
        }
        Ok(())
    }

    /// What the output has of these, from one look at it.
    ///
    /// A process that died between publishing a month and removing its days left days behind: they go now.
    async fn holdings(
        &self,
        market: Market,
        names: impl Iterator<Item = &ArchiveName>,
    ) -> Result<Holdings, PlanError> {
        let mut wanted = Wanted::new();
        for name in names {
            let symbols = wanted.entry(name.data).or_default();
            if !symbols.contains(&name.symbol) {
                symbols.insert(name.symbol.clone());
            }
        }
        let output = self.output.clone();
        on_a_thread(move || {
            let mut holdings = output.holdings(market, &wanted)?;
            for (data, symbols) in wanted {
                for symbol in symbols {
                    for period in holdings.months_with_leftover_days(data, &symbol) {
                        let month = ArchiveName {
                            market,
                            data,
                            symbol: symbol.clone(),
                            period,
                        };
                        output.remove_days_of(&month)?;
                        holdings.forget_days_of(&month);
                    }
                }
            }
            Ok(holdings)
        })
        .await
    }
}

/// Whether a done task's files are there, as they were published, and of the archive as it is listed.
///
/// Codec and settings are those of the queue, which are compared before.
fn is_current(known: Option<&TaskRecord>, bytes: u64, held: Option<&[u64]>) -> bool {
    // What was captured or asked for gives way to the archive.
    let is_rest = known.is_some_and(|known| RestSpec::of(&known.spec).is_some());
    !is_rest
        && has_files(known, held)
        && receipt(known).is_some_and(|receipt| bytes == 0 || receipt.bytes == bytes)
}

/// Whether a done task's files are there, as they were published.
fn has_files(known: Option<&TaskRecord>, held: Option<&[u64]>) -> bool {
    receipt(known).is_some_and(|receipt| held == Some(&*receipt.files))
}

fn receipt(known: Option<&TaskRecord>) -> Option<Receipt> {
    known?.summary.as_deref()?.parse().ok()
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
