//! One attempt at an archive: read it, judge it, write its tables; publishing is the caller's.
//!
//! An archive is read once where all is well. It is read again to learn whether damage or a wrong checksum is the
//! archive's own (the same bytes twice) or the transfer's, and where its ids repeat (see `AggTradesMill`).

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tapemill_archive::{
    ArchiveError, Brake, DirSource, Resume, RetryPolicy, SIDECAR_SUFFIX, Sha256Digest, Source,
    Transfer, hex, parse_sidecar,
};
use tapemill_exchange::{ExchangeError, Rest};
use tapemill_lake::{
    Dispute, Footer, Handover, LakeError, Output, Source as Origin, Staged, StagedTable, TaskSpec,
};
use tapemill_market::{ArchiveName, Version};
use tapemill_runtime::{Stage, Stages};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::Corrupt;
use crate::keep::Keeper;
use crate::milling::Start;
use crate::mills::{self, Milled, Plan, Reading};
use crate::progress::TaskProgress;
use crate::reading::{self, Read, ReadError};

/// Readings of one archive in one attempt: damage and repeated ids can each ask for another.
const MOST_READINGS: u32 = 5;

/// Archives of this size are read by two threads where a core is idle: a second one costs a twentieth of the CPU more,
/// so it has to save more than a moment.
const HUGE: u64 = 128 << 20;

/// A sidecar is one line.
const LARGEST_SIDECAR: u64 = 4096;

/// What every attempt of a process shares.
#[derive(Clone)]
pub struct Workshop {
    /// Where archives come from.
    pub source: Arc<dyn Source>,
    /// The process's brake.
    pub brake: Arc<Brake>,
    /// How requests are repeated inside an attempt.
    pub policy: RetryPolicy,
    /// How archives become tables, and where.
    pub output: Output,
    /// Whether archives are kept under `raw/`.
    pub keep_zip: bool,
    /// Where time goes.
    pub stages: Arc<Stages>,
    /// What is asked for what the archive does not have; none where that is not wanted.
    pub rest: Option<Arc<Rest>>,
    /// The cores that no reading has taken. More tasks than cores may run; then there are none.
    pub cores: Arc<Semaphore>,
}

/// Whether an archive is what its sidecar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The checksum agrees.
    Ok,
    /// It does not, but the same bytes came twice and the ZIP is sound.
    StaleSidecar,
    /// There is no sidecar.
    NoSidecar,
    /// It is no archive: the rows were asked of the exchange.
    Rest,
    /// It is no archive: the rows were captured, all of them.
    Live,
}

impl Verdict {
    /// The word in footers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::StaleSidecar => "stale_sidecar",
            Self::NoSidecar => "no_sidecar",
            Self::Rest => "rest",
            Self::Live => "live",
        }
    }

    /// Whether it is on an archive.
    pub(crate) fn is_of_archive(self) -> bool {
        !matches!(self, Self::Rest | Self::Live)
    }
}

/// An archive milled and written, not yet visible.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub tables: Vec<StagedTable>,
    pub kept: Vec<Staged>,
    pub origin: Origin,
    pub verdict: Verdict,
    pub version: Option<Version>,
    /// Days of which there were two accounts.
    pub disputes: Vec<Dispute>,
    /// Days whose trades had been captured.
    pub handovers: Vec<Handover>,
}

/// Why an attempt brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The archive has no such file.
    #[error("{0} is not in the archive")]
    Missing(String),
    /// The exchange failed, or refused.
    #[error(transparent)]
    Exchange(ExchangeError),
    /// Rows to be asked of the exchange, which this process must not.
    #[error("{0} is asked of the exchange, and this process runs with --no-rest")]
    NoRest(String),
    /// The source failed, after all requests.
    #[error("{}", .0.one_line())]
    Archive(ArchiveError),
    /// The archive is corrupt: the same bytes came twice.
    #[error("{key}: {corrupt}; the same bytes came twice")]
    Corrupt {
        /// The archive.
        key: String,
        /// What is wrong with it.
        corrupt: Corrupt,
    },
    /// Each reading brought other bytes.
    #[error("{key}: {why}, and each reading brought other bytes")]
    Unstable {
        /// The archive.
        key: String,
        /// What was wrong with the last reading.
        why: String,
    },
    /// The output failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A thread of the pipeline failed.
    #[error("{0}")]
    Thread(String),
    /// The attempt was told to stop.
    #[error("stopped")]
    Cancelled,
}

impl AttemptError {
    /// A short code, for metrics and histories.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Exchange(error) => error.reason(),
            Self::NoRest(_) => "no_rest",
            Self::Archive(error) => error.reason(),
            Self::Corrupt { .. } => "corrupt",
            Self::Unstable { .. } => "unstable",
            Self::Lake(_) => "output",
            Self::Thread(_) => "internal",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<ArchiveError> for AttemptError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Missing { key } => Self::Missing(key),
            ArchiveError::Cancelled => Self::Cancelled,
            error => Self::Archive(error),
        }
    }
}

impl From<ReadError> for AttemptError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Archive(error) => error.into(),
            ReadError::Lake(error) => error.into(),
            ReadError::Thread(why) => Self::Thread(why),
        }
    }
}

/// A reading that was judged fit to be written.
pub(crate) struct Accepted {
    pub milled: Box<dyn Milled>,
    verdict: Verdict,
    pub origin: Origin,
    checksum: Option<Sha256Digest>,
    version: Option<Version>,
}

impl Workshop {
    /// Mills one archive into staged tables; from `raw/`, where it is kept there and its checksum agrees. What is done again
    /// may have been published anew: then the copy has to be what the archive's own checksum says.
    pub(crate) async fn attempt(
        &self,
        name: &ArchiveName,
        planned_bytes: u64,
        spec: TaskSpec,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        if let Some(kept) = self.kept(&name.key(), planned_bytes)? {
            match kept
                .attempt_from_source(name, planned_bytes, spec, progress, cancel)
                .await
            {
                Ok(prepared) if prepared.verdict == Verdict::Ok => {
                    let sha256 = &prepared.origin.sha256;
                    if !spec.again || self.is_still(&name.key(), sha256, cancel).await? {
                        // Nobody served it.
                        let version = None;
                        return Ok(Prepared {
                            version,
                            ..prepared
                        });
                    }
                }
                Err(AttemptError::Cancelled) => return Err(AttemptError::Cancelled),
                // Whatever is wrong with the copy, the archive decides.
                Ok(_) | Err(_) => {}
            }
        }
        self.attempt_from_source(name, planned_bytes, spec, progress, cancel)
            .await
    }

    /// The same workshop over the kept copy of an archive, if there is one.
    fn kept(&self, key: &str, bytes: u64) -> Result<Option<Self>, AttemptError> {
        let kept = if self.keep_zip {
            Keeper::kept(&self.output.lake, key, bytes)?
        } else {
            None
        };
        let Some(folder) = kept.as_deref().and_then(Path::parent) else {
            return Ok(None);
        };
        let source = Arc::new(DirSource::new(folder)?);
        Ok(Some(Self {
            source,
            keep_zip: false,
            ..self.clone()
        }))
    }

    async fn attempt_from_source(
        &self,
        name: &ArchiveName,
        planned_bytes: u64,
        spec: TaskSpec,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        progress.set_total(planned_bytes);
        let mut keeper = match self.keep_zip {
            true => Some(Keeper::open(&self.output.lake, &name.key())?),
            false => None,
        };
        let plan: Arc<dyn Plan> = mills::plan(&self.output, name)
            .ok_or_else(|| AttemptError::Missing(name.key()))?
            .into();
        let accepted = self
            .read_and_judge(&name.key(), plan, &mut keeper, progress, cancel)
            .await?;
        let Accepted {
            mut milled,
            verdict,
            origin,
            checksum,
            version,
        } = accepted;
        let settled = self
            .settle(name, spec, &origin, &mut *milled, progress, cancel)
            .await?;
        let sources = [vec![origin.clone()], settled.sources].concat();
        let tables = self.write(name, milled, sources, verdict, cancel).await?;
        let kept = match keeper {
            Some(keeper) => {
                let stages = self.stages.clone();
                on_a_thread(move || {
                    let _publishing = stages.time(Stage::Publish);
                    keeper.stage(checksum.as_ref())
                })
                .await?
            }
            None => Vec::new(),
        };
        Ok(Prepared {
            tables,
            kept,
            origin,
            verdict,
            version,
            disputes: settled.disputes,
            handovers: settled.handovers,
        })
    }

    /// Writes the tables, none of them visible yet.
    pub(crate) async fn write(
        &self,
        name: &ArchiveName,
        milled: Box<dyn Milled>,
        sources: Vec<Origin>,
        verdict: Verdict,
        cancel: &CancellationToken,
    ) -> Result<Vec<StagedTable>, AttemptError> {
        let footer = Footer {
            settings: self.output.settings_of(name.data),
            sources,
            quality: quality_of(&*milled, verdict),
        };
        let stages = self.stages.clone();
        let tables = on_a_thread(move || {
            let started = Instant::now();
            let staged = milled.write(&footer)?;
            let waited = staged.iter().map(StagedTable::waited).sum();
            stages.add(Stage::Publish, waited);
            stages.add(Stage::Write, started.elapsed().saturating_sub(waited));
            Ok(staged)
        })
        .await?;
        if cancel.is_cancelled() {
            return Err(AttemptError::Cancelled);
        }
        Ok(tables)
    }

    /// Downloads one archive into `raw/` and checks it, without milling; `None` when it was there already.
    ///
    /// # Errors
    ///
    /// As an attempt; nothing is shown under `raw/` then.
    pub async fn fetch(
        &self,
        key: &str,
        planned_bytes: u64,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Option<Verdict>, AttemptError> {
        progress.set_total(planned_bytes);
        if let Some(kept) = self.kept(key, planned_bytes)? {
            let read = kept
                .read_and_judge(key, Arc::new(mills::CheckPlan), &mut None, progress, cancel)
                .await;
            match read {
                Ok(read) if self.is_still(key, &read.origin.sha256, cancel).await? => {
                    return Ok(None);
                }
                Err(AttemptError::Cancelled) => return Err(AttemptError::Cancelled),
                Ok(_) | Err(_) => {}
            }
        }
        if self.output.lake.folder().is_none()
            && self.is_in_bucket(key, planned_bytes, cancel).await?
        {
            return Ok(None);
        }
        let mut keeper = Some(Keeper::open(&self.output.lake, key)?);
        let checked = self
            .read_and_judge(
                key,
                Arc::new(mills::CheckPlan),
                &mut keeper,
                progress,
                cancel,
            )
            .await?;
        if let Some(keeper) = keeper {
            on_a_thread(move || {
                let staged = keeper.stage(checked.checksum.as_ref())?;
                staged
                    .into_iter()
                    .try_for_each(|staged| staged.publish().map(drop))
            })
            .await?;
        }
        Ok(Some(checked.verdict))
    }

    async fn is_in_bucket(
        &self,
        key: &str,
        bytes: u64,
        cancel: &CancellationToken,
    ) -> Result<bool, AttemptError> {
        let checksum = self.sidecar(key, cancel).await?;
        let (lake, key) = (self.output.lake.clone(), key.to_owned());
        on_a_thread(move || Keeper::is_in_bucket(&lake, &key, bytes, checksum.as_ref())).await
    }

    pub(crate) async fn read_and_judge(
        &self,
        key: &str,
        first_plan: Arc<dyn Plan>,
        keeper: &mut Option<Keeper>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Accepted, AttemptError> {
        let mut plan = first_plan.clone();
        // A plan for another reading is made for the bytes of the reading before.
        let mut plan_is_for: Option<Sha256Digest> = None;
        let mut judge = Judge::default();
        let mut why = String::new();
        for _ in 0..MOST_READINGS {
            let reading = self.read(key, plan.clone(), keeper, progress, cancel);
            let read = match judge.sidecar_is_known() {
                true => reading.await?,
                false => {
                    // Beside the archive, so that it costs no time, unless it comes later.
                    let timed = async { (reading.await, Instant::now()) };
                    let ((read, ended), sidecar) = tokio::join!(timed, self.sidecar(key, cancel));
                    self.stages.add(Stage::Fetch, ended.elapsed());
                    let read = read?;
                    judge.sidecar(sidecar?);
                    read
                }
            };
            let mut verdict = judge.judge(&read.sha256);
            if verdict == Judgement::ReadAgain {
                let before = judge.checksum();
                judge.sidecar(self.sidecar(key, cancel).await?);
                if judge.checksum() != before {
                    verdict = judge.judge(&read.sha256);
                }
            }
            let seen_before = judge.saw(&read.sha256);
            let plan_fits = plan_is_for
                .take()
                .is_none_or(|digest| digest == read.sha256);
            match (read.outcome, verdict) {
                (Err(corrupt), _) if seen_before => {
                    return Err(AttemptError::Corrupt {
                        key: key.to_owned(),
                        corrupt,
                    });
                }
                (Err(corrupt), _) => {
                    why = corrupt.to_string();
                    plan = first_plan.clone();
                }
                (Ok(Reading::Again(next)), _) => {
                    why = "its rows have to be read twice".to_owned();
                    plan = next.into();
                    plan_is_for = Some(read.sha256);
                }
                (Ok(Reading::Milled(milled)), Judgement::Accept(verdict)) if plan_fits => {
                    let sha256 = hex(&read.sha256);
                    let origin = Origin {
                        key: key.to_owned(),
                        bytes: read.bytes,
                        sha256,
                        rows: milled.quality().rows,
                    };
                    return Ok(Accepted {
                        milled,
                        verdict,
                        origin,
                        checksum: judge.checksum(),
                        version: read.version,
                    });
                }
                (Ok(Reading::Milled(_)), _) => {
                    why = "its checksum is not the sidecar's".to_owned();
                    plan = first_plan.clone();
                }
            }
        }
        Err(AttemptError::Unstable {
            key: key.to_owned(),
            why,
        })
    }

    async fn read(
        &self,
        key: &str,
        plan: Arc<dyn Plan>,
        keeper: &mut Option<Keeper>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Read, AttemptError> {
        progress.set(0, 0);
        let (resume, keep) = match keeper {
            Some(keeper) => keeper.begin(),
            None => (Resume::default(), None),
        };
        let transfer = Transfer::start(
            self.source.clone(),
            key,
            resume,
            self.policy.clone(),
            self.brake.clone(),
            cancel.clone(),
        );
        let cores = self.take_cores(progress.get().bytes_total);
        let start = Start {
            plan,
            second_thread: cores.len() > 1,
            progress: progress.clone(),
            stages: self.stages.clone(),
        };
        let mut read = reading::read(transfer, start, keep).await?;
        drop(cores);
        if let Some(keeper) = keeper {
            keeper.take_back(read.kept.take());
        }
        Ok(read)
    }

    /// A core, if one is idle, and a second one for a huge archive.
    fn take_cores(&self, bytes: u64) -> Vec<OwnedSemaphorePermit> {
        let wanted = if bytes >= HUGE { 2 } else { 1 };
        let taken = (0..wanted).map_while(|_| self.cores.clone().try_acquire_owned().ok());
        taken.collect()
    }

    /// Whether the source's checksum is that of these bytes, or there is none.
    async fn is_still(
        &self,
        key: &str,
        sha256: &str,
        cancel: &CancellationToken,
    ) -> Result<bool, AttemptError> {
        let checksum = self.sidecar(key, cancel).await?;
        Ok(checksum.is_none_or(|expected| hex(&expected) == sha256))
    }

    async fn sidecar(
        &self,
        key: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Sha256Digest>, AttemptError> {
        let path = format!("{key}{SIDECAR_SUFFIX}");
        let text = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(AttemptError::Cancelled),
            text = self.source.small(&path, LARGEST_SIDECAR) => text?,
        };
        Ok(text.map(|text| parse_sidecar(key, &text)).transpose()?)
    }
}

/// Works on the output where waiting for a disk or a store is allowed.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, AttemptError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(AttemptError::Thread(error.to_string())),
    }
}

/// Compares readings with the sidecar and with each other.
#[derive(Default)]
struct Judge {
    /// Outer: asked for; inner: there is one.
    sidecar: Option<Option<Sha256Digest>>,
    seen: Vec<Sha256Digest>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Accept(Verdict),
    ReadAgain,
}

impl Judge {
    fn sidecar_is_known(&self) -> bool {
        self.sidecar.is_some()
    }

    fn sidecar(&mut self, digest: Option<Sha256Digest>) {
        self.sidecar = Some(digest);
    }

    fn checksum(&self) -> Option<Sha256Digest> {
        self.sidecar.flatten()
    }

    fn judge(&self, found: &Sha256Digest) -> Judgement {
        match self.checksum() {
            None => Judgement::Accept(Verdict::NoSidecar),
            Some(expected) if expected == *found => Judgement::Accept(Verdict::Ok),
            Some(_) if self.seen.contains(found) => Judgement::Accept(Verdict::StaleSidecar),
            Some(_) => Judgement::ReadAgain,
        }
    }

    /// Remembers a reading, and says whether the same bytes came before.
    fn saw(&mut self, found: &Sha256Digest) -> bool {
        let before = self.seen.contains(found);
        if !before {
            self.seen.push(*found);
        }
        before
    }
}

fn quality_of(milled: &dyn Milled, verdict: Verdict) -> Value {
    let mut quality = serde_json::to_value(milled.quality()).expect("counts are JSON");
    quality["verdict"] = verdict.as_str().into();
    quality
}
