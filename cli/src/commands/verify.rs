//! `verify`: proves what is on disk.

mod lacking;
mod on_disk;
mod receipts;
mod remake;
mod sidecars;
mod superseded;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tapemill_archive::OFFICIAL_BASE;
use tapemill_dataset::verify::{
    Finding, Limits, Options, Verdict, holes, html_report, json_report, strays, verify,
};
use tapemill_lake::{Lake, LakeError, LakePath};
use tapemill_queue::Queue;
use tapemill_runtime::{Shutdown, cores, exit};

use on_disk::OnDisk;
use remake::Went;

use crate::args::{LimitArgs, VerifyArgs};
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Judges every table of the output, or those that are selected; with `--fix` makes those that are no good again.
pub async fn run(
    args: VerifyArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let wanted = Arc::new(OnDisk::of(&args).await?);
    // Kept until all is judged.
    let mut klines = None;
    if args.against_klines {
        let fetched = remake::klines(&args, &wanted, terminal, shutdown).await?;
        let Some(fetched) = fetched else {
            return Ok(exit::INTERRUPTED);
        };
        klines = Some(fetched);
    }
    let klines = klines.as_ref().map(|folder| Lake::local(folder.path()));
    let (mut found, left_out) = judged(&args, &wanted, klines.clone()).await?;
    if let Some(line) = left_out {
        terminal.say(&line);
    }
    if found.is_empty() {
        return Err(Failure::failed(anyhow::anyhow!(
            "there is no table of this selection; check --output and the selection"
        )));
    }
    let with_sidecars = args.sidecars || args.source.source != OFFICIAL_BASE;
    if with_sidecars {
        sidecars::compare(&args, &mut found).await?;
    }
    if args.remill
        && remake::remill(&args, &mut found, terminal, shutdown).await? == Went::Interrupted
    {
        return Ok(exit::INTERRUPTED);
    }
    if args.fix {
        if remake::fix(&args, &found, terminal, shutdown).await? == Went::Interrupted {
            return Ok(exit::INTERRUPTED);
        }
        let before = found;
        (found, _) = judged(&args, &wanted, klines).await?;
        if with_sidecars {
            sidecars::compare(&args, &mut found).await?;
        }
        tell_fixed(before, &mut found);
    }
    superseded::remove(&args, &mut found).await?;
    tell(&found, as_json, terminal);
    if let Some(folder) = &args.report {
        let json = format!("{:#}\n", json_report(&found));
        write_report(folder, "verify.json", &json)?;
        write_report(folder, "verify.html", &html_report(&found))?;
    }
    Ok(match count(&found, Verdict::Defect) {
        0 => exit::DONE,
        _ => exit::DEFECTS,
    })
}

/// The verdicts on all tables of the selection, and on those that it lacks; and what `--min-volume` left out.
async fn judged(
    args: &VerifyArgs,
    wanted: &Arc<OnDisk>,
    klines: Option<Lake>,
) -> Result<(Vec<Finding>, Option<String>), Failure> {
    let lake = context::lake(&args.output)?;
    let selected = wanted.clone();
    let options = Options {
        threads: cores(),
        limits: limits(&args.limits),
        klines,
        now_us: jiff::Timestamp::now().as_microsecond(),
    };
    let judging = tokio::task::spawn_blocking(move || {
        let all = lake.tables()?;
        let files: Vec<_> = all.iter().filter(|file| selected.holds(file)).collect();
        let mut found = verify(&lake, &files, &all, &options)?;
        if selected.is_everything() {
            found.extend(strays(&lake)?);
        }
        let holes = holes(&files);
        let left_out = selected.left_out(&all);
        let there: BTreeSet<LakePath> = all.into_iter().map(|file| file.path).collect();
        Ok::<_, LakeError>((found, holes, there, left_out))
    });
    let (mut found, holes, there, left_out) = judging.await.map_err(Failure::failed)??;
    let queue = queue(args).await?;
    if let Some(queue) = &queue {
        receipts::compare(args, queue, &mut found).await?;
    }
    found.extend(lacking::lacking(args, queue, wanted, holes, &there).await?);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok((found, left_out))
}

/// The queue of the output, if there is one.
async fn queue(args: &VerifyArgs) -> Result<Option<Arc<dyn Queue>>, Failure> {
    let own = args.output.output.own_queue();
    let has_queue = args.queue.queue.is_some() || own.is_some_and(|path| path.exists());
    Ok(match has_queue {
        true => Some(context::existing_queue(&args.queue, &args.output).await?),
        false => None,
    })
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        gap_minutes: args.gap_minutes,
        price_change: args.max_price_change,
        volume_spike: args.volume_spike_factor,
        funding_rate: args.max_funding_rate,
    }
}

/// Says of what is sound now what it was before; what was not touched is as it was found, by whatever means.
fn tell_fixed(before: Vec<Finding>, found: &mut [Finding]) {
    let mut before: BTreeMap<String, Finding> = before
        .into_iter()
        .map(|finding| (finding.file.clone(), finding))
        .collect();
    for finding in found {
        let was = before.remove(&finding.file);
        let Some(was) = was.filter(|_| finding.verdict != Verdict::Defect) else {
            continue;
        };
        if was.verdict != Verdict::Defect && (!was.has_holes || was.reason == finding.reason) {
            *finding = was;
            continue;
        }
        let how = match was.verdict {
            Verdict::Defect => "made again",
            _ => "filled",
        };
        let what = format!("{how}; it was {}: {}", was.kind, was.reason);
        finding.reason = match finding.reason.as_str() {
            "" => what,
            reason => format!("{what}; {reason}"),
        };
        if finding.verdict == Verdict::Ok {
            (finding.verdict, finding.kind) = (Verdict::Note, "fixed");
        }
    }
}

fn tell(found: &[Finding], as_json: bool, terminal: &Terminal) {
    for finding in found {
        let verdict = finding.verdict.as_str();
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"file": finding.file, "verdict": verdict, "kind": finding.kind, "reason": finding.reason})
            );
        } else if finding.verdict != Verdict::Ok {
            out!(
                terminal,
                "{verdict}\t{}\t{}\t{}",
                finding.file,
                finding.kind,
                finding.reason
            );
        }
    }
    let halts = found
        .iter()
        .filter(|finding| finding.kind == "halt")
        .count();
    if halts > 0 && !as_json {
        terminal.say(&format!(
            "in {} the exchange was silent for a while, and no id lacks: --json and --report tell when",
            format::plural(halts as u64, "table")
        ));
    }
    terminal.say(&format!(
        "{}: {} ok, {}, {}",
        format::plural(found.len() as u64, "table"),
        count(found, Verdict::Ok),
        format::plural(count(found, Verdict::Note), "note"),
        format::plural(count(found, Verdict::Defect), "defect"),
    ));
}

/// Whole or not at all: the page of an earlier run stays until the new one is there.
fn write_report(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&part, text))
        .and_then(|()| std::fs::rename(&part, &path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        Failure::failed(anyhow::anyhow!("cannot write {}: {error}", path.display()))
    })
}

fn count(found: &[Finding], verdict: Verdict) -> u64 {
    let of_it = found.iter().filter(|finding| finding.verdict == verdict);
    of_it.count() as u64
}
