//! `verify`: proves what is on disk.

mod on_disk;
mod remake;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tapemill_dataset::verify::{Finding, Hole, Verdict, holes, html_report, json_report, verify};
use tapemill_lake::LakeError;
use tapemill_queue::{TaskId, TaskState};
use tapemill_runtime::{Shutdown, cores, exit};

use on_disk::OnDisk;
use remake::Went;

use super::run::CHUNK;
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
    let wanted = Arc::new(OnDisk::of(&args)?);
    let mut found = judged(&args, &wanted).await?;
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
        found = judged(&args, &wanted).await?;
        tell_fixed(&before, &mut found);
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

/// The verdicts on all tables of the selection, and on those that it lacks.
async fn judged(args: &VerifyArgs, wanted: &Arc<OnDisk>) -> Result<Vec<Finding>, Failure> {
    let lake = context::lake(&args.output)?;
    let wanted = wanted.clone();
    let judging = tokio::task::spawn_blocking(move || {
        let all = lake.tables()?;
        let files: Vec<_> = all.iter().filter(|file| wanted.holds(file)).collect();
        let found = verify(&lake, &files, &all, cores())?;
        Ok::<_, LakeError>((found, holes(&files)))
    });
    let (mut found, holes) = judging.await.map_err(Failure::failed)??;
    found.extend(lacking(args, holes).await?);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}

/// What the queue knows of periods without a table: the archive has none, or none was asked for; otherwise a hole is a
/// defect.
async fn lacking(args: &VerifyArgs, holes: Vec<Hole>) -> Result<Vec<Finding>, Failure> {
    let queue = match holes.is_empty() {
        true => None,
        false => context::existing_queue(&args.queue, &args.output)
            .await
            .ok(),
    };
    let ids = holes.iter().map(|hole| TaskId::new(hole.name.task_id()));
    let ids: Vec<TaskId> = ids.collect();
    let mut states = vec![None; ids.len()];
    if let Some(queue) = &queue {
        states.clear();
        for ids in ids.chunks(CHUNK) {
            states.extend(queue.states(ids).await?);
        }
    }
    let finding = |(hole, state): (Hole, Option<TaskState>)| {
        let (verdict, reason) = match (state, queue.is_some()) {
            (Some(TaskState::Missing), _) => (Verdict::Note, "the archive has none of this period"),
            (None, true) => (Verdict::Note, "this period was never asked for"),
            (Some(TaskState::Dead), _) => (Verdict::Defect, "its task is dead: see tapemill tasks"),
            (Some(TaskState::Done), _) => (Verdict::Defect, "it was published and is gone"),
            (Some(TaskState::Pending | TaskState::Leased), _) => {
                (Verdict::Note, "its task is not finished")
            }
            (None, false) => (
                Verdict::Defect,
                "there are tables before and after, and no queue tells why not here",
            ),
        };
        Finding {
            file: hole.file,
            verdict,
            kind: "hole",
            reason: reason.to_owned(),
            name: Some(hole.name),
        }
    };
    Ok(holes.into_iter().zip(states).map(finding).collect())
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
