//! `queue pause`, `resume`, `list`, `delete`, `prune`.

use std::collections::BTreeMap;

use serde_json::json;
use tapemill_queue::Stats;
use tapemill_runtime::exit;

use crate::args::{QueueCommand, QueueOnlyArgs};
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Runs one of the five.
pub async fn run(command: QueueCommand, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    match command {
        QueueCommand::Pause(args) => pause(&args, true, as_json, terminal).await,
        QueueCommand::Resume(args) => pause(&args, false, as_json, terminal).await,
        QueueCommand::List(args) => list(&args, as_json, terminal).await,
        QueueCommand::Delete(args) => {
            let url = context::shown_queue(&args.queue.queue, &args.queue.output)?;
            if !args.yes {
                return Err(Failure::usage(format!(
                    "this forgets every task of {url}; say --yes if that is meant"
                )));
            }
            let queue = context::existing_queue(&args.queue.queue, &args.queue.output).await?;
            queue.clear().await?;
            say(
                as_json,
                json!({"deleted": url}),
                &format!("deleted the tasks and settings of {url}"),
                terminal,
            );
            Ok(exit::DONE)
        }
        QueueCommand::Prune(args) => {
            let queue = context::existing_queue(&args.queue.queue, &args.queue.output).await?;
            let pruned = queue.prune(args.older_than).await?;
            say(
                as_json,
                json!({"pruned": pruned}),
                &format!("forgot {}", format::plural(pruned, "finished task")),
                terminal,
            );
            Ok(exit::DONE)
        }
    }
}

async fn pause(
    args: &QueueOnlyArgs,
    paused: bool,
    as_json: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    context::existing_queue(&args.queue, &args.output)
        .await?
        .pause(paused)
        .await?;
    say(
        as_json,
        json!({"paused": paused}),
        if paused { "paused" } else { "resumed" },
        terminal,
    );
    Ok(exit::DONE)
}

/// The queue named, or every queue of the server when none is.
async fn list(args: &QueueOnlyArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let urls = tapemill_queue::queues(&context::queue_url(&args.queue, &args.output)?).await?;
    for url in urls {
        let queue = tapemill_queue::open_existing(&url, context::budgets(&args.queue)).await?;
        let stats = queue.stats().await?;
        let settings = queue.settings().await?.unwrap_or_default();
        list_one(
            &tapemill_queue::shown(&url)?,
            &stats,
            &settings,
            as_json,
            terminal,
        );
    }
    Ok(exit::DONE)
}

fn list_one(
    url: &str,
    stats: &Stats,
    settings: &BTreeMap<String, String>,
    as_json: bool,
    terminal: &Terminal,
) {
    let [pending, leased, done, missing, dead] = stats.totals().map(|count| count.tasks);
    let value = json!({
        "queue": url, "paused": stats.paused, "pending": pending, "leased": leased, "done": done,
        "missing": missing, "dead": dead, "completions": stats.completions, "bytes": stats.store_bytes,
        "settings": settings,
    });
    let settings: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = format!(
        "{url}{}: {pending} pending, {leased} leased, {done} done, {missing} missing, {dead} dead; {}; {}",
        if stats.paused { " (paused)" } else { "" },
        format::bytes(stats.store_bytes),
        settings.join(" ")
    );
    say(as_json, value, &text, terminal);
}

fn say(as_json: bool, value: serde_json::Value, text: &str, terminal: &Terminal) {
    if as_json {
        out!(terminal, "{value}");
    } else {
        out!(terminal, "{text}");
    }
}
