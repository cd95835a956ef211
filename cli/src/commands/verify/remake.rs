//! Making tables again: in their place, or beside them to compare.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tapemill_dataset::verify::{Finding, Verdict, without_klines};
use tapemill_lake::{Lake, LakeError, LakePath, Layout, TablePath, read_lineage};
use tapemill_market::{ArchiveName, Market};
use tapemill_runtime::{Shutdown, exit};
use tempfile::TempDir;

use super::on_disk::OnDisk;

use crate::args::{
    ListenArgs, OutputArgs, QueueArgs, RunArgs, SelectionArgs, ShapeArgs, VerifyArgs,
};
use crate::commands::run;
use crate::context;
use crate::failure::Failure;
use crate::output_place::OutputPlace;
use crate::progress::Terminal;

/// How far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    Through,
    /// Told to stop: nothing can be said of the rest.
    Interrupted,
}

/// Makes defective and lacking tables again, and those with holes that something may fill, market by market.
pub(super) async fn fix(
    args: &VerifyArgs,
    found: &[Finding],
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<Went, Failure> {
    let mut markets: BTreeMap<(Market, bool), Vec<&ArchiveName>> = BTreeMap::new();
    let repair = Some(args.max_gap_days).filter(|days| *days > 0);
    let wrong = found.iter().filter(|finding| {
        finding.verdict == Verdict::Defect || finding.has_holes && repair.is_some()
    });
    for finding in wrong {
        if let Some(name) = &finding.name {
            let key = (name.market, is_hive(finding));
            markets.entry(key).or_default().push(name);
        }
    }
    for ((market, hive), names) in markets {
        if again(
            args,
            (market, layout(hive)),
            &names,
            Made::InPlace { repair },
            terminal,
            shutdown,
        )
        .await?
            == Went::Interrupted
        {
            return Ok(Went::Interrupted);
        }
    }
    Ok(Went::Through)
}

/// The exchange's one-minute klines of minutes that have none on disk, in a folder that goes when it is dropped; `None`
/// where it was told to stop.
pub(super) async fn klines(
    args: &VerifyArgs,
    wanted: &Arc<OnDisk>,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<Option<TempDir>, Failure> {
    let folder = folder()?;
    let (lake, selected) = (context::lake(&args.output)?, wanted.clone());
    let listing = tokio::task::spawn_blocking(move || {
        let all = lake.tables()?;
        let files: Vec<_> = all.iter().filter(|file| selected.holds(file)).collect();
        Ok::<_, LakeError>(without_klines(&files, &all))
    });
    let lacking = listing.await.map_err(Failure::failed)??;
    let mut series: BTreeMap<(Market, bool, String), Vec<&ArchiveName>> = BTreeMap::new();
    for (name, layout) in &lacking {
        let key = (
            name.market,
            *layout == Layout::Hive,
            name.symbol.to_string(),
        );
        series.entry(key).or_default().push(name);
    }
    for ((market, hive, symbol), names) in series {
        let elsewhere = Elsewhere {
            folder: folder.path(),
            no_rest: args.rest.no_rest,
        };
        let shape = (market, layout(hive));
        match again(
            args,
            shape,
            &names,
            Made::Elsewhere(elsewhere),
            terminal,
            shutdown,
        )
        .await
        {
            Ok(Went::Interrupted) => return Ok(None),
            Ok(Went::Through) => {}
            // Those minutes stay without klines, and are told so.
            Err(failure) => {
                let failure = failure.line();
                tracing::warn!(%market, symbol, "no klines to compare with: {failure}");
            }
        }
    }
    Ok(Some(folder))
}

fn folder() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("tapemill-verify-")
        .tempdir();
    folder.map_err(|error| {
        Failure::failed(anyhow::anyhow!("cannot make a folder for a while: {error}"))
    })
}

/// Mills the archives of sound tables once more, a symbol at a time, and holds the rows against those on disk.
pub(super) async fn remill(
    args: &VerifyArgs,
    found: &mut [Finding],
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<Went, Failure> {
    let lake = context::lake(&args.output)?;
    let mut series: BTreeMap<(Market, bool, String), Vec<&mut Finding>> = BTreeMap::new();
    for finding in found {
        if finding.verdict == Verdict::Defect || finding.kind == "hole" {
            continue;
        }
        if let Some(name) = &finding.name {
            let key = (name.market, is_hive(finding), name.symbol.to_string());
            series.entry(key).or_default().push(finding);
        }
    }
    for ((market, hive, _), findings) in series {
        let folder = folder()?;
        let names: Vec<_> = findings
            .iter()
            .filter_map(|finding| finding.name.as_ref())
            .collect();
        // Only archives prove something: the exchange's rows may have changed since.
        let elsewhere = Elsewhere {
            folder: folder.path(),
            no_rest: true,
        };
        let went = again(
            args,
            (market, layout(hive)),
            &names,
            Made::Elsewhere(elsewhere),
            terminal,
            shutdown,
        )
        .await?;
        if went == Went::Interrupted {
            return Ok(went);
        }
        let (lake, made) = (lake.clone(), Lake::local(folder.path()));
        for finding in findings {
            let path = LakePath::parse(&finding.file)?;
            let (lake, made) = (lake.clone(), made.clone());
            let compared = tokio::task::spawn_blocking(move || same(&lake, &made, &path));
            match compared.await.map_err(Failure::failed)?? {
                Some(Same::Everything) => {}
                Some(Same::Rows) => {
                    (finding.verdict, finding.kind) = (Verdict::Defect, "lineage");
                    finding.reason =
                        "it has the archive's rows, and names other bytes, settings or counts than the archive gives"
                            .to_owned();
                }
                Some(Same::Nothing) => {
                    (finding.verdict, finding.kind) = (Verdict::Defect, "remill");
                    finding.reason = "its archive, milled once more, has other rows".to_owned();
                }
                None => {
                    let why = "its archive could not be milled once more";
                    finding.reason = match finding.verdict {
                        Verdict::Ok => why.to_owned(),
                        _ => format!("{}; {why}", finding.reason),
                    };
                    if finding.verdict == Verdict::Ok {
                        (finding.verdict, finding.kind) = (Verdict::Note, "no_archive");
                    }
                }
            }
        }
    }
    Ok(Went::Through)
}

/// How the folders of a file are named: a table is made again where it is.
fn is_hive(finding: &Finding) -> bool {
    TablePath::parse(&finding.file).is_some_and(|(_, layout)| layout == Layout::Hive)
}

fn layout(hive: bool) -> Layout {
    match hive {
        true => Layout::Hive,
        false => Layout::Plain,
    }
}

/// What two tables of the same place have in common.
enum Same {
    Nothing,
    Rows,
    /// And what they were made of.
    Everything,
}

/// Compares two tables of the same place; `None` where the second is not there.
fn same(lake: &Lake, made: &Lake, path: &LakePath) -> Result<Option<Same>, LakeError> {
    let again = match read_lineage(made, path) {
        Ok(lineage) => lineage,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let before = read_lineage(lake, path)?;
    let is_alike = before.sources == again.sources
        && before.settings == again.settings
        && before.quality == again.quality;
    Ok(Some(if before.content != again.content {
        Same::Nothing
    } else if !is_alike {
        Same::Rows
    } else {
        Same::Everything
    }))
}

/// A folder that takes tables for a while, and whether the exchange is left alone.
struct Elsewhere<'a> {
    folder: &'a Path,
    no_rest: bool,
}

/// Where tables are made again.
enum Made<'a> {
    /// In their place; holes in them of up to so many days are filled.
    InPlace {
        repair: Option<u32>,
    },
    Elsewhere(Elsewhere<'a>),
}

/// Runs the tasks of these tables, whatever is there, into the output or elsewhere.
async fn again(
    args: &VerifyArgs,
    (market, layout): (Market, Layout),
    names: &[&ArchiveName],
    made: Made<'_>,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<Went, Failure> {
    let kinds: BTreeSet<String> = names.iter().map(|name| name.data.to_string()).collect();
    let symbols: BTreeSet<&str> = names.iter().map(|name| name.symbol.as_str()).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let symbols: Vec<_> = symbols.into_iter().collect();
    let mut rest = args.rest.clone();
    let mut queue = args.queue.clone();
    let mut output = args.output.clone();
    let mut repair = None;
    if let Made::InPlace { repair: holes } = made {
        repair = holes;
    }
    if let Made::Elsewhere(elsewhere) = made {
        rest.no_rest = elsewhere.no_rest;
        let place = OutputPlace::Folder(elsewhere.folder.to_owned());
        queue = QueueArgs {
            queue: None,
            ..queue
        };
        output = OutputArgs { output: place };
    }
    let shape = ShapeArgs {
        layout,
        ..args.shape.clone()
    };
    let run = RunArgs {
        selection: SelectionArgs::of(market, kinds.join(","), symbols.join(",")),
        source: args.source.clone(),
        asking: args.asking.clone(),
        rest,
        output,
        shape,
        queue,
        work: args.work.clone(),
        listen: ListenArgs { listen: None },
        force: true,
        profile: false,
    };
    let these = names.iter().map(|name| name.task_id()).collect();
    let code = run::remake(run, these, repair, terminal, shutdown).await?;
    Ok(match code {
        exit::INTERRUPTED => Went::Interrupted,
        _ => Went::Through,
    })
}
