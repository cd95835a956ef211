//! `verify`: proves what is on disk.

mod lacking;
mod on_disk;
mod remake;
mod sidecars;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tapemill_dataset::verify::{Finding, Verdict, holes, html_report, json_report, verify};
use tapemill_lake::{LakeError, LakePath};
use tapemill_runtime::{Shutdown, cores, exit};

use on_disk::OnDisk;
use remake::Went;

use crate::args::VerifyArgs;
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
    let (mut found, left_out) = judged(&args, &wanted).await?;
    if let Some(line) = left_out {
        terminal.say(&line);
    }
    if found.is_empty() {
        return Err(Failure::failed(anyhow::anyhow!(
            "there is no table of this selection; check --output and the selection"
        )));
    }
    if args.fix {
        let before = found;
        if remake::fix(&args, &before, terminal, shutdown).await? == Went::Interrupted {
            return Ok(exit::INTERRUPTED);
        }
        (found, _) = judged(&args, &wanted).await?;
        tell_fixed(&before, &mut found);
    }
    if args.sidecars {
        sidecars::compare(&args, &mut found).await?;
    }
    if args.remill
        && remake::remill(&args, &mut found, terminal, shutdown).await? == Went::Interrupted
    {
        return Ok(exit::INTERRUPTED);
    }
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
) -> Result<(Vec<Finding>, Option<String>), Failure> {
    let lake = context::lake(&args.output)?;
    let selected = wanted.clone();
    let judging = tokio::task::spawn_blocking(move || {
        let all = lake.tables()?;
        let files: Vec<_> = all.iter().filter(|file| selected.holds(file)).collect();
        let found = verify(&lake, &files, &all, cores())?;
        let holes = holes(&files);
        let left_out = selected.left_out(&all);
        let there: BTreeSet<LakePath> = all.into_iter().map(|file| file.path).collect();
        Ok::<_, LakeError>((found, holes, there, left_out))
    });
    let (mut found, holes, there, left_out) = judging.await.map_err(Failure::failed)??;
    found.extend(lacking::lacking(args, wanted, holes, &there).await?);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok((found, left_out))
}

/// Says of what is sound now what it was before.
fn tell_fixed(before: &[Finding], found: &mut [Finding]) {
    for finding in found {
        let was = before.iter().find(|was| was.file == finding.file);
        if let Some(was) = was
            && was.verdict == Verdict::Defect
            && finding.verdict != Verdict::Defect
        {
            let what = format!("made again; it was {}: {}", was.kind, was.reason);
            finding.reason = match finding.verdict {
                Verdict::Ok => what,
                _ => format!("{}; {what}", finding.reason),
            };
            if finding.verdict == Verdict::Ok {
                (finding.verdict, finding.kind) = (Verdict::Note, "fixed");
            }
        }
    }
}

fn tell(found: &[Finding], as_json: bool, terminal: &Terminal) {
    for finding in found {
        let verdict = finding.verdict.as_str();
        if as_json {
            println!(
                "{}",
                json!({"file": finding.file, "verdict": verdict, "kind": finding.kind, "reason": finding.reason})
            );
        } else if finding.verdict != Verdict::Ok {
            println!(
                "{verdict}\t{}\t{}\t{}",
                finding.file, finding.kind, finding.reason
            );
        }
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
