//! One attempt at rows that the exchange is asked for: they come as lines of the archive's CSV, and are milled like them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tapemill_exchange::{ExchangeError, Fetched, RestSpec, Since, Weights, WeightsError};
use tapemill_lake::{LakeError, Output, Source as Origin};
use tapemill_market::{Account, ArchiveName, Data, Quality};
use tapemill_queue::{Clock, HostWeight, Queue, SystemClock};
use tapemill_runtime::Stage;
use tokio_util::sync::CancellationToken;

use crate::attempt::{AttemptError, Prepared, Verdict, Workshop, on_a_thread};
use crate::mills::{self, Mill, MillError, Milled, Plan, Reading};
use crate::progress::TaskProgress;
use crate::settle::account_of;

/// Rows that repeat have to be asked for twice.
const MOST_READINGS: u32 = 3;

/// The weights of hosts, counted in the queue: so all its workers share them.
pub struct QueueWeights(pub Arc<dyn Queue>);

#[async_trait]
impl Weights for QueueWeights {
    async fn take(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, WeightsError> {
        let taken = self.0.take_weight(host, weight, most).await;
        taken.map_err(|error| WeightsError(error.to_string()))
    }

    async fn correct(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), WeightsError> {
        let corrected = self.0.correct_weight(host, used, hold).await;
        corrected.map_err(|error| WeightsError(error.to_string()))
    }
}

/// The weights of hosts, counted in this process alone: for what works without a queue.
#[derive(Debug, Default)]
pub struct OwnWeights(Mutex<BTreeMap<String, HostWeight>>);

impl OwnWeights {
    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, HostWeight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Weights for OwnWeights {
    async fn take(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, WeightsError> {
        let (mut hosts, now) = (self.hosts(), SystemClock.now_ms());
        let host = hosts.entry(host.to_owned()).or_default();
        Ok(host.take(now, weight, most))
    }

    async fn correct(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), WeightsError> {
        let (mut hosts, now) = (self.hosts(), SystemClock.now_ms());
        let host = hosts.entry(host.to_owned()).or_default();
        host.correct(now, used, hold);
        Ok(())
    }
}

impl Workshop {
    /// Mills what the exchange has of a period.
    pub(crate) async fn attempt_by_rest(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        let mut plan: Box<dyn Plan> =
            mills::plan(&self.output, name).ok_or_else(|| AttemptError::Missing(name.task_id()))?;
        let (output, of) = (self.output.clone(), name.clone());
        let before = on_a_thread(move || Before::of(&output, &of)).await?;
        if let Some(before) = before.filter(|before| before.since.time_ms < spec.closed_by_ms) {
            let went_on = self.go_on(name, spec, plan.start(), before, progress, cancel);
            if let Some(prepared) = went_on.await? {
                return Ok(prepared);
            }
        }
        for _ in 0..MOST_READINGS {
            let mill = plan.start();
            let (fetched, mill) = self.ask(name, spec, None, mill, progress, cancel).await?;
            if fetched.rows == 0 {
                return Err(AttemptError::Missing(fetched.key));
            }
            let key = fetched.key.clone();
            match mill.finish().map_err(|error| refused(&key, error))? {
                Reading::Again(next) => plan = next,
                Reading::Milled(milled) => {
                    let sources = vec![origin_of(fetched)];
                    let verdict = Verdict::Rest;
                    return self.prepared(name, milled, sources, verdict, cancel).await;
                }
            }
        }
        Err(AttemptError::Unstable {
            key: name.task_id(),
            why: "its rows have to be asked for again and again".to_owned(),
        })
    }

    /// Asks only for the trades that follow those of a published table, and puts them behind; `None` where that table turns
    /// out not to end where it should.
    async fn go_on(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
        mill: Box<dyn Mill>,
        before: Before,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Option<Prepared>, AttemptError> {
        let since = Some(before.since);
        let (fetched, mill) = self.ask(name, spec, since, mill, progress, cancel).await?;
        let Ok(Reading::Milled(mut milled)) = mill.finish() else {
            return Ok(None);
        };
        let Some(later) = milled.account() else {
            return Ok(None);
        };
        let last = before.account.times().last().copied();
        if later.times().first().copied() <= last && !later.is_empty() {
            tracing::info!(task = %name.task_id(), "trades of a minute that was taken for finished came later: all are asked for again");
            return Ok(None);
        }
        let quality = before.quality.followed_by(milled.quality(), &later);
        milled.settle(before.account.filled(&later), quality);
        let mut sources = before.sources;
        if fetched.rows > 0 {
            sources.push(origin_of(fetched));
        }
        let verdict = Verdict::Rest;
        let prepared = self.prepared(name, milled, sources, verdict, cancel);
        Ok(Some(prepared.await?))
    }

    pub(crate) async fn ask(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
        since: Option<Since>,
        mut mill: Box<dyn Mill>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<(Fetched, Box<dyn Mill>), AttemptError> {
        let Some(rest) = &self.rest else {
            return Err(AttemptError::NoRest(name.task_id()));
        };
        progress.set(0, 0);
        let (started, mut parsing, mut bytes) = (Instant::now(), Duration::ZERO, 0);
        let mut fed = Ok(());
        let fetched = rest
            .rows(name, spec.closed_by_ms, since, cancel, |csv| {
                let started = Instant::now();
                if fed.is_ok() {
                    fed = mill.feed(csv.as_bytes());
                }
                bytes += csv.len() as u64;
                progress.set(bytes, mill.rows());
                parsing += started.elapsed();
            })
            .await;
        self.stages.add(Stage::Parse, parsing);
        self.stages
            .add(Stage::Fetch, started.elapsed().saturating_sub(parsing));
        let fetched = fetched?;
        fed.map_err(|error| refused(&fetched.key, error))?;
        Ok((fetched, mill))
    }

    pub(crate) async fn prepared(
        &self,
        name: &ArchiveName,
        milled: Box<dyn Milled>,
        sources: Vec<Origin>,
        verdict: Verdict,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        let origin = sources[0].clone();
        let tables = self.write(name, milled, sources, verdict, cancel).await?;
        Ok(Prepared {
            tables,
            kept: Vec::new(),
            origin,
            verdict,
            version: None,
            disputes: Vec::new(),
            handovers: Vec::new(),
        })
    }
}

/// A published table of trades that were asked for or captured, to go on from.
struct Before {
    account: Account,
    quality: Quality,
    sources: Vec<Origin>,
    since: Since,
}

impl Before {
    /// `None` where there is no such table, or no going on from it.
    fn of(output: &Output, name: &ArchiveName) -> Result<Option<Self>, LakeError> {
        if name.data != Data::AggTrades {
            return Ok(None);
        }
        let place = output.place(name, &name.data.tables()[0])?;
        let Some((account, lineage)) = account_of(&output.lake, &place, name)? else {
            return Ok(None);
        };
        let is_ours = lineage.settings == output.settings_of(name.data)
            && lineage.sources.iter().all(Origin::gives_way);
        let last = lineage.sources.last().filter(|_| is_ours);
        let time_ms = last.and_then(|source| Since::time_of(&source.key));
        let quality: Option<Quality> = serde_json::from_value(lineage.quality).ok();
        let (Some(time_ms), Some(quality)) = (time_ms, quality) else {
            return Ok(None);
        };
        let sources = lineage.sources;
        Ok(quality.last_id.map(|last_id| Self {
            since: Since {
                time_ms,
                id: last_id + 1,
            },
            account,
            quality,
            sources,
        }))
    }
}

pub(crate) fn origin_of(fetched: Fetched) -> Origin {
    Origin {
        key: fetched.key,
        bytes: fetched.bytes,
        sha256: fetched.sha256,
        rows: fetched.rows,
    }
}

pub(crate) fn refused(key: &str, error: MillError) -> AttemptError {
    match error {
        MillError::Lake(error) => AttemptError::Lake(error),
        MillError::Corrupt(corrupt) => AttemptError::Corrupt {
            key: key.to_owned(),
            corrupt,
        },
    }
}

impl From<ExchangeError> for AttemptError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Missing { .. } => Self::Missing(error.to_string()),
            ExchangeError::Cancelled => Self::Cancelled,
            error => Self::Exchange(error),
        }
    }
}
