//! `status --changes`.

use std::sync::Arc;

use serde_json::{Value, json};
use tapemill_archive::Brake;
use tapemill_coordinator::{Change, ChangeState, Changes, in_step};
use tapemill_lake::Output;
use tapemill_market::Thresholds;
use tapemill_runtime::exit;

use crate::args::StatusArgs;
use crate::context;
use crate::failure::Failure;
use crate::progress::Terminal;

/// Archives that were published anew or withdrawn after they were milled, and what was made of the old ones; and whether those
/// that replaced captured trades agree with them.
pub async fn run(args: StatusArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let queue = context::existing_queue(&args.queue, &args.output).await?;
    let brake = Arc::new(Brake::new());
    let source = context::source(&args.source, &brake)?;
    // The queue knows how the output's folders are named.
    let settings = queue.settings().await?.unwrap_or_default();
    let layout = settings.get("layout").and_then(|name| name.parse().ok());
    let output = Output {
        lake: context::lake(&args.output)?,
        layout: layout.unwrap_or_default(),
        thresholds: Thresholds::default(),
    };
    let changes = Changes {
        queue: &*queue,
        source: &source,
        output: &output,
    };
    let found = in_step(&*queue, &brake, changes.find()).await?;
    for change in &found {
        match as_json {
            true => out!(terminal, "{}", as_value(change)),
            false => out!(terminal, "{}", as_line(change)),
        }
    }
    if !as_json {
        out!(terminal, "{}", remedy(&found));
    }
    Ok(exit::DONE)
}

fn as_value(change: &Change) -> Value {
    json!({
        "archive": change.archive,
        "state": change.state.as_str(),
        "what": change.what,
        "old_sha256": change.old_sha256,
        "new_sha256": change.new_sha256,
        "tables": change.tables,
    })
}

fn as_line(change: &Change) -> String {
    let Change {
        archive,
        state,
        what,
        old_sha256: old,
        new_sha256: new,
        tables,
    } = change;
    if *state == ChangeState::HandedOver {
        return format!("{archive} {}: {what}", state.as_str());
    }
    let bytes = match (state, new) {
        (ChangeState::Refreshed, Some(new)) => format!("it was {old}, and is {new}"),
        (ChangeState::Withdrawn, _) => format!("it was {old}"),
        (_, Some(new)) if new == old => {
            format!("it was {old}, and the checksum file names the same bytes: touched only")
        }
        (_, Some(new)) => format!("it was {old}, and the checksum file names other bytes: {new}"),
        (_, None) => format!("it was {old}, and no checksum file tells what it is now"),
    };
    let made = match (state, tables.is_empty()) {
        (_, true) => "no table is made of it".to_owned(),
        (ChangeState::Refreshed, false) => format!("made of the new one: {}", tables.join(", ")),
        (_, false) => format!("made of the old one: {}", tables.join(", ")),
    };
    format!("{archive} {}: {what}; {bytes}; {made}", state.as_str())
}

fn remedy(changes: &[Change]) -> &'static str {
    let is_open = |change: &Change| {
        matches!(
            change.state,
            ChangeState::Republished | ChangeState::Touched
        )
    };
    match changes.iter().any(is_open) {
        true => {
            "tapemill update --refresh, with the selection and source of the run, takes them up"
        }
        false => "nothing was published anew that was not taken up",
    }
}
