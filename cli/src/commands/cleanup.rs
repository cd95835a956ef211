//! `cleanup`.

use serde_json::json;
use tapemill_lake::cleanup;

use crate::args::CleanupArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Removes what no one needs, or says what that would be.
pub fn run(args: CleanupArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let lake = context::lake(&args.output)?;
    let planned = cleanup::plan(&lake)?;
    let removed = if args.dry_run {
        planned
    } else {
        cleanup::apply(&lake, &planned)?.removed
    };
    let bytes: u64 = removed.iter().map(|removal| removal.bytes).sum();
    for removal in &removed {
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"path": removal.path, "why": removal.why.to_string(), "bytes": removal.bytes})
            );
        } else {
            out!(
                terminal,
                "{}\t{}\t{}",
                removal.path,
                removal.bytes,
                removal.why
            );
        }
    }
    let done = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    eprintln!(
        "{done} {} ({})",
        format::plural(removed.len() as u64, "item"),
        format::bytes(bytes)
    );
    if lake.folder().is_none() {
        eprintln!("{}", cleanup::UPLOADS_HINT);
    }
    Ok(tapemill_runtime::exit::DONE)
}
