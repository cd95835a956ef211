//! The archive's checksums beside those that the footers name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tapemill_archive::{Brake, SIDECAR_SUFFIX, Source, hex, parse_sidecar};
use tapemill_dataset::verify::{Finding, Verdict};
use tapemill_lake::{LakePath, Lineage, read_lineage};

use crate::args::VerifyArgs;
use crate::context;
use crate::failure::Failure;

/// A sidecar is one line.
const LARGEST: u64 = 4096;

/// Asked for at once.
const AT_ONCE: usize = 16;

/// Compares what footers name with the sidecars of the source, for all tables that are sound so far.
pub(super) async fn compare(args: &VerifyArgs, found: &mut [Finding]) -> Result<(), Failure> {
    let source = context::source(&args.source, &Arc::new(Brake::new()))?;
    let lake = context::lake(&args.output)?;
    let is_judged = |finding: &&mut Finding| {
        finding.verdict != Verdict::Defect && finding.kind != "hole" && finding.name.is_some()
    };
    // Tables of one task are of one archive.
    let mut archives: BTreeMap<String, Vec<(&mut Finding, Lineage)>> = BTreeMap::new();
    for finding in found.iter_mut().filter(is_judged) {
        let (lake, path) = (lake.clone(), LakePath::parse(&finding.file)?);
        let read = tokio::task::spawn_blocking(move || read_lineage(&lake, &path));
        let lineage = read.await.map_err(Failure::failed)??;
        let archive = finding.name.as_ref().map(|name| name.key());
        let key = lineage.sources.first().map(|source| source.key.clone());
        if let Some(key) = key.filter(|key| archive.as_ref() == Some(key)) {
            archives.entry(key).or_default().push((finding, lineage));
        }
    }
    let keys: Vec<String> = archives.keys().cloned().collect();
    let sidecars: Vec<(String, Option<String>)> = stream::iter(keys)
        .map(|key| async {
            let sidecar = sidecar(&*source, &key).await?;
            Ok::<_, Failure>((key, sidecar))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for (key, sidecar) in sidecars {
        for (finding, lineage) in archives.remove(&key).unwrap_or_default() {
            judge(finding, &lineage, sidecar.as_deref());
        }
    }
    Ok(())
}

async fn sidecar(source: &dyn Source, key: &str) -> Result<Option<String>, Failure> {
    let text = source
        .small(&format!("{key}{SIDECAR_SUFFIX}"), LARGEST)
        .await?;
    let digest = text.map(|text| parse_sidecar(key, &text)).transpose()?;
    Ok(digest.map(|digest| hex(&digest)))
}

fn judge(finding: &mut Finding, lineage: &Lineage, sidecar: Option<&str>) {
    let named = lineage.sources.first().map(|source| source.sha256.as_str());
    let known = lineage.quality["verdict"].as_str();
    let (verdict, reason) = match sidecar {
        Some(sidecar) if Some(sidecar) == named => return,
        // It was told when it was milled, and may have been put right since.
        Some(_) if known == Some("stale_sidecar") => (
            Verdict::Note,
            "the archive's checksum was and is not that of its bytes",
        ),
        Some(_) => (
            Verdict::Defect,
            "the archive's checksum is not that of the bytes it was made of",
        ),
        None if known == Some("no_sidecar") => return,
        None => (
            Verdict::Note,
            "the archive's checksum is not there any more",
        ),
    };
    if verdict == Verdict::Defect || finding.verdict == Verdict::Ok {
        (finding.verdict, finding.kind) = (verdict, "sidecar");
        finding.reason = reason.to_owned();
    }
}
