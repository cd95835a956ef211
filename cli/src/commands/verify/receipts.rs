//! What the queue knows of the tables that its tasks published.

use std::collections::BTreeMap;
use std::sync::Arc;

use tapemill_dataset::verify::{Finding, Verdict};
use tapemill_lake::{Lake, LakeError, LakePath, Lineage, Output, Receipt, TablePath, read_lineage};
use tapemill_market::{ArchiveName, Decimal, Thresholds};
use tapemill_queue::{Queue, TaskId, TaskRecord, TaskState};

use crate::args::VerifyArgs;
use crate::commands::run::CHUNK;
use crate::context;
use crate::failure::Failure;

/// A worker may have published a table between its judgement and the look at the queue: then a second look agrees.
const LOOKS: usize = 2;

/// Holds the footers of sound tables against the receipts of their tasks, and against the settings of the queue.
pub(super) async fn compare(
    args: &VerifyArgs,
    queue: &Arc<dyn Queue>,
    found: &mut [Finding],
) -> Result<(), Failure> {
    let lake = context::lake(&args.output)?;
    let settings = queue.settings().await?.unwrap_or_default();
    let output = Output {
        lake: lake.clone(),
        layout: args.shape.layout,
        thresholds: thresholds(&settings),
    };
    let mut judged: Vec<(&mut Finding, ArchiveName)> = found
        .iter_mut()
        .filter(|finding| finding.verdict != Verdict::Defect)
        .filter_map(|finding| {
            let name = finding.name.clone().filter(|name| is_main(finding, name))?;
            Some((finding, name))
        })
        .collect();
    for judged in judged.chunks_mut(CHUNK) {
        let mut doubted: Vec<usize> = (0..judged.len()).collect();
        let mut reasons = BTreeMap::new();
        for _ in 0..LOOKS {
            let ids = doubted
                .iter()
                .map(|at| TaskId::new(judged[*at].1.task_id()));
            let ids: Vec<TaskId> = ids.collect();
            let known = queue.get(&ids).await?;
            reasons.clear();
            for (at, known) in doubted.iter().zip(known) {
                let (finding, name) = &judged[*at];
                let lineage = footer(&lake, &finding.file).await?;
                let why = lineage.and_then(|lineage| doubt(&output, name, &lineage, known));
                if let Some(why) = why {
                    reasons.insert(*at, why);
                }
            }
            doubted = reasons.keys().copied().collect();
        }
        for (at, (kind, reason)) in reasons {
            let finding = &mut *judged[at].0;
            (finding.verdict, finding.kind, finding.reason) = (Verdict::Defect, kind, reason);
        }
    }
    Ok(())
}

/// Whether it is the first table of its task: the others have the same footer.
fn is_main(finding: &Finding, name: &ArchiveName) -> bool {
    let table = TablePath::parse(&finding.file).map(|(table, _)| table);
    table.is_some_and(|table| {
        name.data
            .tables()
            .first()
            .is_some_and(|main| main == table.dataset())
    })
}

async fn footer(lake: &Lake, file: &str) -> Result<Option<Lineage>, Failure> {
    let (lake, path) = (lake.clone(), LakePath::parse(file)?);
    let read = tokio::task::spawn_blocking(move || read_lineage(&lake, &path)).await;
    match read.map_err(Failure::failed)? {
        Ok(lineage) => Ok(Some(lineage)),
        Err(error) if error.is_outage() => Err(error.into()),
        // It was there a moment ago: whoever replaces it now has a say, not we.
        Err(LakeError::Io { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What of a footer is not as the queue has it.
fn doubt(
    output: &Output,
    name: &ArchiveName,
    lineage: &Lineage,
    known: Option<TaskRecord>,
) -> Option<(&'static str, String)> {
    if lineage.settings != output.settings_of(name.data) {
        let reason = "it was made with other settings than those that the queue has fixed";
        return Some(("settings", reason.to_owned()));
    }
    let known = known.filter(|known| known.state == TaskState::Done)?;
    let receipt: Receipt = known.summary?.parse().ok()?;
    let source = lineage.sources.first()?;
    let is_same = source.sha256 == receipt.sha256_hex()
        && source.bytes == receipt.bytes
        && source.rows == receipt.rows
        && lineage.quality["verdict"].as_str() == Some(receipt.verdict.as_str());
    (!is_same).then(|| {
        let reason = format!(
            "its footer names {} bytes with SHA-256 {}, and its task published what it made of {} bytes with {}",
            source.bytes,
            source.sha256,
            receipt.bytes,
            receipt.sha256_hex()
        );
        ("receipt", reason)
    })
}

fn thresholds(settings: &BTreeMap<String, String>) -> Thresholds {
    let default = Thresholds::default();
    let of = |name: &str| {
        settings
            .get(name)
            .and_then(|value| Decimal::parse(value.as_bytes()))
    };
    Thresholds {
        whale_quote: of("whale-quote").unwrap_or(default.whale_quote),
        retail_quote: of("retail-quote").unwrap_or(default.retail_quote),
    }
}
