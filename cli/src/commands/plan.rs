//! `plan`.

use std::sync::Arc;

use serde_json::json;
use tapemill_archive::Brake;
use tapemill_coordinator::{Archive, Enqueuer, Survey, in_step, survey};
use tapemill_runtime::exit;

use crate::args::PlanArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Lists the archive and enqueues one task per file; or only prints what there is.
pub async fn run(args: PlanArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let selection = context::selection(&args.selection, &args.rest)?;
    let brake = Arc::new(Brake::new());
    let source = context::source(&args.source, &brake)?;
    let output = context::output(&args.output, &args.shape)?;
    let asking = context::asking(&args.asking);
    if args.dry_run {
        let exchange = context::rest_alone(&args.rest)?;
        let found = survey(&source, exchange.as_deref(), &selection, asking).await?;
        print_survey(&found, as_json, terminal);
        return Ok(exit::DONE);
    }
    // A queue that cannot be opened should not cost the time of a listing.
    let queue = context::queue(&args.queue, &args.output).await?;
    let exchange = context::rest(&args.rest, queue.clone())?;
    let planning = async {
        let found = survey(&source, exchange.as_deref(), &selection, asking).await?;
        let enqueuer = Enqueuer {
            queue: queue.clone(),
            source: source.clone(),
            output: output.clone(),
            force: args.force,
            refresh: false,
            repair: None,
        };
        let planned = enqueuer.enqueue(&selection, &found).await?;
        Ok::<_, Failure>((found, planned))
    };
    let (found, planned) = in_step(&*queue, &brake, planning).await?;
    context::catalogue(&*queue, &output, &selection, &planned).await;
    let (tasks, enqueued) = (planned.tasks.len() as u64, planned.enqueued);
    if as_json {
        out!(
            terminal,
            "{}",
            json!({
                "tasks": tasks, "bytes": planned.bytes, "created": enqueued.created, "reopened": enqueued.reopened,
                "finished": planned.finished, "replaced": enqueued.replaced, "holes": found.holes.len(),
            })
        );
    } else {
        out!(
            terminal,
            "{}, {}: {} new, {} again, {} finished, {}",
            format::plural(tasks, "task"),
            format::bytes(planned.bytes),
            enqueued.created,
            enqueued.reopened,
            planned.finished,
            format::plural(found.holes.len() as u64, "hole"),
        );
    }
    Ok(exit::DONE)
}

fn print_survey(found: &Survey, as_json: bool, terminal: &Terminal) {
    let bytes: u64 = found.archives.iter().map(|archive| archive.bytes).sum();
    for Archive { name, bytes, .. } in &found.archives {
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"task": name.task_id(), "key": name.key(), "bytes": bytes})
            );
        } else {
            out!(terminal, "{}\t{bytes}", name.key());
        }
    }
    for hole in &found.holes {
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"task": hole.task_id(), "key": hole.key(), "hole": true})
            );
        } else {
            out!(terminal, "{}\thole", hole.key());
        }
    }
    eprintln!(
        "{}, {}, {}",
        format::plural(found.archives.len() as u64, "archive"),
        format::bytes(bytes),
        format::plural(found.holes.len() as u64, "hole"),
    );
}
