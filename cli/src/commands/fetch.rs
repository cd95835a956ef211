//! `fetch`: archives only, checked, in their own paths under `raw/`.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;
use tapemill_archive::Brake;
use tapemill_coordinator::{Archive, survey};
use tapemill_lake::{Layout, Output};
use tapemill_market::{ArchiveName, Thresholds};
use tapemill_runtime::{Shutdown, exit};
use tapemill_worker::{AttemptError, TaskProgress, Verdict, Workshop};
use tokio_util::sync::CancellationToken;

use crate::args::FetchArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What became of one archive.
enum Fetched {
    Brought(Verdict),
    There,
    Missing,
    Failed(String),
    Stopped,
}

/// Downloads and checks the selection.
pub async fn run(
    args: FetchArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let selection = context::selection(&args.selection, &args.rest)?;
    let brake = Arc::new(Brake::new());
    let source = context::capped_source(&args.source, &brake, args.max_bytes_per_second)?;
    let lake = context::lake(&args.output)?;
    let (exchange, asking) = (
        context::rest_alone(&args.rest)?,
        context::asking(&args.asking),
    );
    let found = survey(&source, exchange.as_deref(), &selection, asking).await?;
    let output = Output {
        lake,
        layout: Layout::default(),
        thresholds: Thresholds::default(),
    };
    let workshop = context::workshop(source, brake, output, true);
    let bytes: u64 = found.archives.iter().map(|archive| archive.bytes).sum();
    let total = found.archives.len();
    terminal.say(&format!(
        "{}, {}",
        format::plural(total as u64, "archive"),
        format::bytes(bytes)
    ));

    let cancel = shutdown.draining().clone();
    let mut counts = Counts::default();
    let mut fetched = stream::iter(&found.archives)
        .map(|Archive { name, bytes, .. }| {
            let (workshop, cancel) = (&workshop, &cancel);
            async move {
                (
                    name,
                    *bytes,
                    fetch(workshop, name, *bytes, args.attempts, cancel).await,
                )
            }
        })
        .buffer_unordered(context::tasks_at_once(args.workers));
    while let Some((name, bytes, result)) = fetched.next().await {
        let result = result?;
        let (state, detail) = match &result {
            Fetched::Brought(verdict) => ("fetched", verdict.as_str().to_owned()),
            Fetched::There => ("there", String::new()),
            Fetched::Missing => ("missing", String::new()),
            Fetched::Failed(why) => ("failed", why.clone()),
            Fetched::Stopped => ("stopped", String::new()),
        };
        counts.add(&result);
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"key": name.key(), "bytes": bytes, "state": state, "detail": detail})
            );
        } else if !matches!(result, Fetched::There | Fetched::Stopped) {
            let done = counts.brought + counts.there + counts.missing + counts.failed;
            terminal.say(format!("{done}/{total} {state} {} {detail}", name.key()).trim_end());
        }
    }
    drop(fetched);
    terminal.say(&format!(
        "{} fetched, {} were there, {} missing, {} failed",
        counts.brought, counts.there, counts.missing, counts.failed
    ));
    Ok(match counts {
        Counts { stopped: 1.., .. } => exit::INTERRUPTED,
        Counts { failed: 1.., .. } => exit::DEAD_TASKS,
        _ => exit::DONE,
    })
}

#[derive(Default)]
struct Counts {
    brought: u64,
    there: u64,
    missing: u64,
    failed: u64,
    stopped: u64,
}

impl Counts {
    fn add(&mut self, fetched: &Fetched) {
        *match fetched {
            Fetched::Brought(_) => &mut self.brought,
            Fetched::There => &mut self.there,
            Fetched::Missing => &mut self.missing,
            Fetched::Failed(_) => &mut self.failed,
            Fetched::Stopped => &mut self.stopped,
        } += 1;
    }
}

/// One archive, with as many attempts as a task would have. An error is the disk's: every other would fail alike.
async fn fetch(
    workshop: &Workshop,
    name: &ArchiveName,
    bytes: u64,
    attempts: u32,
    cancel: &CancellationToken,
) -> Result<Fetched, Failure> {
    let progress = Arc::new(TaskProgress::default());
    let mut wait = Duration::from_secs(1);
    for attempt in 1..=attempts {
        if cancel.is_cancelled() {
            return Ok(Fetched::Stopped);
        }
        match workshop.fetch(&name.key(), bytes, &progress, cancel).await {
            Ok(Some(verdict)) => return Ok(Fetched::Brought(verdict)),
            Ok(None) => return Ok(Fetched::There),
            Err(AttemptError::Missing(_)) => return Ok(Fetched::Missing),
            Err(AttemptError::Cancelled) => return Ok(Fetched::Stopped),
            Err(AttemptError::Lake(error)) if error.is_disk() => return Err(error.into()),
            Err(error @ AttemptError::Corrupt { .. }) => {
                return Ok(Fetched::Failed(error.to_string()));
            }
            Err(error) if attempt == attempts => return Ok(Fetched::Failed(error.to_string())),
            Err(error) => {
                tracing::warn!(key = %name.key(), attempt, "attempt failed, another follows: {error}")
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Ok(Fetched::Stopped)
}
