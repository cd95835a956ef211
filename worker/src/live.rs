//! One attempt at trades that a collector captured: they come as lines of the archive's CSV, and are milled like them. What
//! they do not prove the exchange is asked for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tapemill_archive::{Hasher, hex};
use tapemill_capture::{CapturedDay, Proven};
use tapemill_exchange::{RestSpec, Since};
use tapemill_lake::{LakeError, Output, Source as Origin, read_lineage};
use tapemill_market::{ArchiveName, Data, Period};
use tapemill_runtime::Stage;
use tokio_util::sync::CancellationToken;

use crate::attempt::{AttemptError, Prepared, Verdict, Workshop};
use crate::mills::{self, Mill, MillError, Plan, Reading};
use crate::progress::TaskProgress;
use crate::rest::{origin_of, refused};

/// Rows that repeat have to be read twice.
const MOST_READINGS: u32 = 3;

/// Captured trades, fed to a mill.
struct Fed {
    mill: Box<dyn Mill>,
    proven: Proven,
    bytes: u64,
    sha256: String,
}

impl Workshop {
    /// Mills what was captured of a day, as far as nothing is missing, and asks the exchange for what follows.
    pub(crate) async fn attempt_by_live(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Prepared, AttemptError> {
        let mut plan: Box<dyn Plan> =
            mills::plan(&self.output, name).ok_or_else(|| AttemptError::Missing(name.task_id()))?;
        for _ in 0..MOST_READINGS {
            let fed = self.feed(name, spec, plan.start(), progress, cancel);
            let Some(fed) = fed.await? else {
                return self.attempt_by_rest(name, spec, progress, cancel).await;
            };
            let Fed {
                mut mill,
                proven,
                bytes,
                sha256,
            } = fed;
            let mut rest = None;
            if proven.fault.is_some() {
                let since = Some(since(name, spec, &proven));
                let (fetched, followed) =
                    self.ask(name, spec, since, mill, progress, cancel).await?;
                mill = followed;
                rest = (fetched.rows > 0).then(|| origin_of(fetched));
            }
            let key = match rest {
                // Nothing follows: what was captured is all.
                None => key_of(name, until_ms(name, spec)),
                Some(_) => key_of(name, proven.last_ms + 1),
            };
            let reading = mill.finish().map_err(|error| refused(&key, error))?;
            let milled = match reading {
                Reading::Again(next) => {
                    plan = next;
                    continue;
                }
                Reading::Milled(milled) => milled,
            };
            let verdict = match rest {
                None => Verdict::Live,
                Some(_) => Verdict::Rest,
            };
            let captured = Origin {
                key,
                bytes,
                sha256,
                rows: proven.rows,
            };
            let sources = [captured].into_iter().chain(rest).collect();
            return self.prepared(name, milled, sources, verdict, cancel).await;
        }
        Err(AttemptError::Unstable {
            key: name.task_id(),
            why: "its rows have to be read again and again".to_owned(),
        })
    }

    /// Feeds what was captured; `None` where it proves nothing, or cannot be read or milled.
    async fn feed(
        &self,
        name: &ArchiveName,
        spec: RestSpec,
        mill: Box<dyn Mill>,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Option<Fed>, AttemptError> {
        let (output, of) = (self.output.clone(), name.clone());
        let (progress, cancel) = (progress.clone(), cancel.clone());
        let started = Instant::now();
        let feeding = move || fed(&output, &of, spec, mill, &progress, &cancel);
        let fed = tokio::task::spawn_blocking(feeding).await;
        self.stages.add(Stage::Parse, started.elapsed());
        let why = match fed {
            Err(error) => return Err(AttemptError::Thread(error.to_string())),
            Ok(Err(AttemptError::Lake(error))) if error.is_outage() || error.is_disk() => {
                return Err(error.into());
            }
            Ok(Err(AttemptError::Cancelled)) => return Err(AttemptError::Cancelled),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(None)) => "captured trades do not reach back to its first".to_owned(),
            Ok(Ok(Some(fed))) => {
                if let Some(fault) = fed.proven.fault {
                    tracing::info!(task = %name.task_id(), rows = fed.proven.rows, "{fault}: the exchange is asked from there on");
                }
                return Ok(Some(fed));
            }
        };
        tracing::info!(task = %name.task_id(), "{why}: the exchange is asked for all of it");
        Ok(None)
    }
}

fn fed(
    output: &Output,
    name: &ArchiveName,
    spec: RestSpec,
    mut mill: Box<dyn Mill>,
    progress: &TaskProgress,
    cancel: &CancellationToken,
) -> Result<Option<Fed>, AttemptError> {
    let Period::Day(day) = name.period else {
        return Ok(None);
    };
    if name.data != Data::AggTrades {
        return Ok(None);
    }
    progress.set(0, 0);
    let last_before = last_before(output, name)?;
    let (lake, until) = (&output.lake, until_ms(name, spec));
    let found = CapturedDay::find(lake, name.market, &name.symbol, day, until, last_before)?;
    let Some(found) = found else {
        return Ok(None);
    };
    let (mut hasher, mut bytes) = (Hasher::new(), 0);
    let mut milled = Ok(());
    let proven = found.lines(lake, &mut |lines| {
        hasher.update(lines.as_bytes());
        bytes += lines.len() as u64;
        milled = mill.feed(lines.as_bytes());
        progress.set(bytes, mill.rows());
        match milled.is_err() || cancel.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    if cancel.is_cancelled() {
        return Err(AttemptError::Cancelled);
    }
    milled.map_err(|error: MillError| refused(&key_of(name, until), error))?;
    if proven.rows == 0 {
        return Ok(None);
    }
    Ok(Some(Fed {
        mill,
        proven,
        bytes,
        sha256: hex(&hasher.finish()),
    }))
}

/// The last id of the day before, as the table there tells it.
fn last_before(output: &Output, name: &ArchiveName) -> Result<Option<i64>, LakeError> {
    let Ok(yesterday) = name.period.first_day().yesterday() else {
        return Ok(None);
    };
    for period in [Period::Day(yesterday), Period::month_of(yesterday)] {
        if period.month() == period && period.last_day() != yesterday {
            continue;
        }
        let before = ArchiveName {
            period,
            ..name.clone()
        };
        let place = output.place(&before, &name.data.tables()[0])?;
        match read_lineage(&output.lake, &place) {
            Ok(lineage) => return Ok(lineage.quality["last_id"].as_i64()),
            Err(error) if error.is_outage() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Where the exchange's trades follow the captured ones.
fn since(name: &ArchiveName, spec: RestSpec, proven: &Proven) -> Since {
    // Within the period, so that it is asked at all.
    let (start, until) = (name.period.start_us() / 1000, until_ms(name, spec));
    let time_ms = (proven.last_ms + 1).min(until - 1).max(start + 1);
    Since {
        time_ms,
        id: u64::try_from(proven.last_id).unwrap_or_default() + 1,
    }
}

/// The end of the period, or of what of it has passed.
fn until_ms(name: &ArchiveName, spec: RestSpec) -> i64 {
    (name.period.end_us() / 1000).min(spec.closed_by_ms)
}

/// What names captured trades in a lineage: the task's id, and the range where that is not the whole day.
fn key_of(name: &ArchiveName, until_ms: i64) -> String {
    let (start, end) = (name.period.start_us() / 1000, name.period.end_us() / 1000);
    let key = Origin::captured_key(name);
    match until_ms < end {
        true => format!("{key}?startTime={start}&endTime={}", until_ms - 1),
        false => key,
    }
}
