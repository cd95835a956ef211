//! One attempt at rows that the exchange is asked for: they come as lines of the archive's CSV, and are milled like them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tapemill_exchange::{ExchangeError, Fetched, RestSpec, Weights, WeightsError};
use tapemill_lake::Source as Origin;
use tapemill_market::ArchiveName;
use tapemill_queue::{Clock, HostWeight, Queue, SystemClock};
use tapemill_runtime::Stage;
use tokio_util::sync::CancellationToken;

use crate::attempt::{AttemptError, Prepared, Verdict, Workshop};
use crate::mills::{self, Mill, MillError, Milled, Plan, Reading};
use crate::progress::TaskProgress;

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
        for _ in 0..MOST_READINGS {
            let (fetched, mill) = self.ask(name, spec, plan.start(), progress, cancel).await?;
            if fetched.rows == 0 {
                return Err(AttemptError::Missing(fetched.key));
            }
            let key = fetched.key.clone();
            match mill.finish().map_err(|error| refused(&key, error))? {
                Reading::Again(next) => plan = next,
                Reading::Milled(milled) => {
                    return self.prepared(name, milled, fetched, cancel).await;
                }
            }
        }
        Err(AttemptError::Unstable {
            key: name.task_id(),
            why: "its rows have to be asked for again and again".to_owned(),
        })
    }

    pub(crate) async fn ask(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
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
            .rows(name, spec.closed_by_ms, cancel, |csv| {
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

    async fn prepared(
        &self,
        name: &ArchiveName,
        milled: Box<dyn Milled>,
        fetched: Fetched,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        let origin = Origin {
            key: fetched.key,
            bytes: fetched.bytes,
            sha256: fetched.sha256,
            rows: fetched.rows,
        };
        let verdict = Verdict::Rest;
        let tables = self
            .write(name, milled, vec![origin.clone()], verdict, cancel)
            .await?;
        Ok(Prepared {
            tables,
            kept: Vec::new(),
            origin,
            verdict,
            version: None,
            disputes: Vec::new(),
        })
    }
}

fn refused(key: &str, error: MillError) -> AttemptError {
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
