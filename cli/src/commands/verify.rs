//! `verify`: proves what is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tapemill_coordinator::Symbols;
use tapemill_dataset::verify::{Finding, Hole, Verdict, holes, verify};
use tapemill_lake::{LakeError, TableFile};
use tapemill_market::{ArchiveName, Data, DateRange, Market};
use tapemill_queue::{TaskId, TaskState};
use tapemill_runtime::{Shutdown, cores, exit};

use super::run::CHUNK;
use crate::args::{ListenArgs, RunArgs, SelectionArgs, VerifyArgs};
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
        fix(&args, &before, terminal, shutdown).await?;
        found = judged(&args, &wanted).await?;
        tell_fixed(&before, &mut found);
    }
    tell(&found, as_json, terminal);
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

/// Makes defective tables again, market by market.
async fn fix(
    args: &VerifyArgs,
    found: &[Finding],
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let mut names: BTreeMap<Market, Vec<&ArchiveName>> = BTreeMap::new();
    let defects = found
        .iter()
        .filter(|finding| finding.verdict == Verdict::Defect);
    for name in defects.filter_map(|finding| finding.name.as_ref()) {
        names.entry(name.market).or_default().push(name);
    }
    for (market, names) in names {
        let kinds: BTreeSet<String> = names.iter().map(|name| name.data.to_string()).collect();
        let symbols: BTreeSet<&str> = names.iter().map(|name| name.symbol.as_str()).collect();
        let kinds: Vec<_> = kinds.into_iter().collect();
        let symbols: Vec<_> = symbols.into_iter().collect();
        let run = RunArgs {
            selection: SelectionArgs::of(market, kinds.join(","), symbols.join(",")),
            source: args.source.clone(),
            asking: args.asking.clone(),
            rest: args.rest.clone(),
            output: args.output.clone(),
            shape: args.shape.clone(),
            queue: args.queue.clone(),
            work: args.work.clone(),
            listen: ListenArgs { listen: None },
            force: true,
            profile: false,
        };
        let these = names.iter().map(|name| name.task_id()).collect();
        super::run::remake(run, these, terminal, shutdown).await?;
    }
    Ok(())
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

fn count(found: &[Finding], verdict: Verdict) -> u64 {
    let of_it = found.iter().filter(|finding| finding.verdict == verdict);
    of_it.count() as u64
}

/// Which tables of an output are meant; what is not named is not asked.
struct OnDisk {
    market: Option<String>,
    tables: Option<Vec<String>>,
    symbols: Option<Vec<String>>,
    range: DateRange,
}

impl OnDisk {
    fn of(args: &VerifyArgs) -> Result<Self, Failure> {
        let (start, end) = (args.start.as_deref(), args.end.as_deref());
        let symbols = match args.symbols.as_deref().map(context::symbols).transpose()? {
            None | Some(Symbols::All) => None,
            Some(Symbols::These(symbols) | Symbols::Among(symbols)) => {
                Some(symbols.iter().map(ToString::to_string).collect())
            }
        };
        let kinds = args.data.as_deref().map(Data::parse_list).transpose()?;
        Ok(Self {
            market: args.market.map(|market| market.to_string()),
            tables: kinds.map(|kinds| kinds.into_iter().flat_map(Data::tables).collect()),
            symbols,
            range: DateRange::parse(start, end, None, context::today())?,
        })
    }

    fn holds(&self, file: &TableFile) -> bool {
        let table = &file.table;
        let among = |names: &Option<Vec<String>>, name: &str| {
            names
                .as_ref()
                .is_none_or(|names| names.iter().any(|known| known == name))
        };
        let touched = table
            .period()
            .parse()
            .map_or(true, |period| self.range.touches(period));
        let of_market = self
            .market
            .as_ref()
            .is_none_or(|market| market == table.market());
        of_market
            && touched
            && among(&self.tables, table.dataset())
            && among(&self.symbols, table.symbol())
    }
}
