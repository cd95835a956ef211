//! `export`: what the output has, as other programs want it.

use std::collections::{BTreeMap, BTreeSet};

use tapemill_coordinator::{Symbols, VolumeFilter};
use tapemill_dataset::export::{
    ArrowExported, CsvOptions, Export, ExportError, Exported, FactorsOptions, Prefix, QlibExported,
    QlibOptions, export_arrow, export_csv, export_factors, export_qlib, export_wide,
};
use tapemill_market::{ArchiveName, Data, Market, Period, Symbol, iso_time};
use tapemill_queue::{TaskFilter, TaskState};
use tapemill_runtime::{cores, exit};

use crate::args::{
    ExportArgs, ExportArrowArgs, ExportCommand, ExportCsvArgs, ExportQlibArgs, SelectionArgs,
};
use crate::commands::own_factors;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Tasks that are looked at in one call.
const PAGE: usize = 1_000;

/// Gaps of one symbol that are shown.
const GAPS_SHOWN: usize = 10;

/// Exports, and prints what was written: a line for each file.
pub async fn run(
    command: ExportCommand,
    as_json: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let written = match command {
        ExportCommand::Csv(args) => csv(args).await?,
        ExportCommand::Factors(args) => {
            let options = FactorsOptions {
                own: own_factors::read(args.factors.as_deref(), !args.own_only)?,
                own_only: args.own_only,
            };
            let export = export(&args.common).await?;
            on_a_thread(move || export_factors(&export, args.interval, &options)).await?
        }
        ExportCommand::Wide(args) => {
            let own = own_factors::read(args.factors.as_deref(), true)?;
            let export = export(&args.common).await?;
            on_a_thread(move || export_wide(&export, args.interval, own.as_deref())).await?
        }
        ExportCommand::Arrow(args) => return arrow(args, as_json, terminal).await,
        ExportCommand::Qlib(args) => {
            tell_qlib(&qlib(args).await?, as_json, terminal);
            return Ok(exit::DONE);
        }
    };
    tell(&written, as_json, terminal);
    Ok(exit::DONE)
}

async fn csv(args: ExportCsvArgs) -> Result<Vec<Exported>, Failure> {
    let export = export(&args.common).await?;
    let kinds = Data::parse_list(&args.data)?;
    for kind in &kinds {
        kind.check_market(export.market)?;
    }
    let options = CsvOptions {
        names: args.names,
        skip_existing: args.skip_existing,
        failed: failed(&args, &kinds, export.market).await?,
    };
    let tables = tables(&kinds, args.tables.as_deref())?;
    on_a_thread(move || export_csv(&export, &tables, &options)).await
}

async fn arrow(args: ExportArrowArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let export = export(&args.common).await?;
    let mut intervals = Vec::new();
    for interval in args.interval {
        if !intervals.contains(&interval) {
            intervals.push(interval);
        }
    }
    let done = on_a_thread(move || export_arrow(&export, &intervals)).await?;
    for done in &done {
        if as_json {
            out!(terminal, "{}", done.value());
        } else {
            tell_arrow(done, terminal);
        }
    }
    let [written, kept] = [
        |done: &ArrowExported| done.written,
        |done: &ArrowExported| done.kept,
    ]
    .map(|count| done.iter().map(count).sum::<u64>());
    terminal.say(&format!(
        "{} written, {kept} as they were",
        format::plural(written, "file")
    ));
    Ok(exit::DONE)
}

/// A line for what there is, and one for each of the first gaps in it.
fn tell_arrow(done: &ArrowExported, terminal: &Terminal) {
    let ArrowExported {
        exported,
        written,
        kept,
        gaps,
    } = done;
    let lacking: u64 = gaps.iter().map(|gap| gap.bars).sum();
    let lacking = match lacking {
        0 => String::new(),
        bars => format!(
            ", {} missing in {}",
            format::plural(bars, "bar"),
            format::plural(gaps.len() as u64, "gap")
        ),
    };
    out!(
        terminal,
        "{}: {} in {}, {written} written{lacking}{}",
        exported.file,
        format::plural(exported.rows, "row"),
        format::plural(written + kept, "file"),
        without(&exported.missing)
    );
    for gap in gaps.iter().take(GAPS_SHOWN) {
        out!(
            terminal,
            "  no bar from {} to {}: {}",
            iso_time(gap.first_us),
            iso_time(gap.last_us),
            format::plural(gap.bars, "bar")
        );
    }
    if let Some(more) = gaps.len().checked_sub(GAPS_SHOWN).filter(|more| *more > 0) {
        out!(terminal, "  and {more} more; --json has all");
    }
}

async fn qlib(args: ExportQlibArgs) -> Result<Vec<QlibExported>, Failure> {
    let export = export(&args.common).await?;
    let options = QlibOptions {
        frequencies: args.interval,
        prefix: args.prefix.unwrap_or_else(|| Prefix::of(export.market)),
        fill: !args.no_fill,
        csv: args.csv,
        import: args.import,
    };
    on_a_thread(move || export_qlib(&export, &options)).await
}

/// The tables of these kinds, or those of them that are named.
fn tables(kinds: &[Data], named: Option<&str>) -> Result<Vec<String>, Failure> {
    let all: Vec<String> = kinds.iter().flat_map(|kind| kind.tables()).collect();
    let Some(named) = named else {
        return Ok(all);
    };
    let mut tables: Vec<String> = Vec::new();
    for name in named.split(',').map(str::trim) {
        if !all.iter().any(|table| table == name) {
            return Err(Failure::usage(format!(
                "--tables {name:?} is none of {}; --data says of which kinds they are",
                all.join(", ")
            )));
        }
        if !tables.iter().any(|table| table == name) {
            tables.push(name.to_owned());
        }
    }
    Ok(tables)
}

/// The periods whose task is dead, by kind and symbol; none where there is no queue.
async fn failed(
    args: &ExportCsvArgs,
    kinds: &[Data],
    market: Market,
) -> Result<BTreeMap<(Data, Symbol), BTreeSet<Period>>, Failure> {
    let mut failed: BTreeMap<_, BTreeSet<Period>> = BTreeMap::new();
    let output = &args.common.output;
    let own = output.output.own_queue();
    if args.queue.queue.is_none() && !own.is_some_and(|path| path.exists()) {
        return Ok(failed);
    }
    let queue = context::existing_queue(&args.queue, output).await?;
    for kind in kinds {
        let filter = TaskFilter {
            state: Some(TaskState::Dead),
            dataset: Some(kind.to_string()),
            id_prefix: Some(format!("{market}/")),
        };
        let mut cursor = None;
        loop {
            let page = queue.list(&filter, cursor, PAGE).await?;
            for task in &page.tasks {
                if let Ok(name) = ArchiveName::from_task_id(task.id.as_str()) {
                    failed
                        .entry((*kind, name.symbol))
                        .or_default()
                        .insert(name.period);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(failed)
}

/// What all exports have in common.
async fn export(args: &ExportArgs) -> Result<Export, Failure> {
    let output = context::output(&args.output, &args.shape)?;
    let to = context::lake_at(&args.to, "--to")?;
    let mut asked = SelectionArgs::of(args.of.market, "aggTrades".to_owned(), String::new());
    asked.of = args.of.clone();
    let has_groups = args.of.priority_only || args.of.categories.is_some();
    if args.of.symbols.is_none() && !has_groups {
        asked.of.symbols = Some("all".to_owned());
    }
    let selection = context::selection(&asked, &args.rest)?;
    let market = selection.market;
    let mut symbols: Option<BTreeSet<Symbol>> = match selection.symbols {
        Symbols::All => None,
        Symbols::These(symbols) => Some(symbols.into_iter().collect()),
        // Of a group only what is there.
        Symbols::Among(symbols) => {
            let output = output.clone();
            let there = on_a_thread(move || there(&output, market)).await?;
            let among = symbols.into_iter().filter(|symbol| there.contains(symbol));
            Some(among.collect())
        }
    };
    if let Some(least) = selection.min_volume {
        let exchange = context::rest_alone(&args.rest)?;
        let filter = VolumeFilter::ask(exchange.as_deref(), market, least).await?;
        let all = match symbols {
            Some(symbols) => symbols,
            None => {
                let output = output.clone();
                on_a_thread(move || there(&output, market)).await?
            }
        };
        symbols = Some(
            all.into_iter()
                .filter(|symbol| filter.passes(symbol))
                .collect(),
        );
    }
    if symbols.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(Failure::usage(
            "the selection leaves no symbol that the output has",
        ));
    }
    Ok(Export {
        output,
        market,
        symbols,
        range: selection.range,
        to,
        threads: cores(),
    })
}

/// The symbols that an output has any table of.
fn there(output: &tapemill_lake::Output, market: Market) -> Result<BTreeSet<Symbol>, ExportError> {
    let tables = output.lake.tables()?;
    let of_market = tables
        .iter()
        .filter(|file| file.table.market() == market.as_str());
    Ok(of_market
        .filter_map(|file| Symbol::exact(file.table.symbol()).ok())
        .collect())
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(Failure::failed)??)
}

fn tell(written: &[Exported], as_json: bool, terminal: &Terminal) {
    for file in written {
        if as_json {
            out!(terminal, "{}", file.value());
            continue;
        }
        let missing = without(&file.missing);
        let kept = if file.is_kept { ", as it was" } else { "" };
        out!(
            terminal,
            "{}: {}{missing}{kept}",
            file.file,
            format::plural(file.rows, "row")
        );
    }
    terminal.say(&format!(
        "{} exported",
        format::plural(written.len() as u64, "file")
    ));
}

fn without(missing: &[Period]) -> String {
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    match missing.is_empty() {
        true => String::new(),
        false => format!(", without {}", missing.join(" ")),
    }
}

fn tell_qlib(written: &[QlibExported], as_json: bool, terminal: &Terminal) {
    for dumped in written {
        if as_json {
            out!(terminal, "{}", dumped.value());
            continue;
        }
        let mut line = format!(
            "{} {}: {}",
            dumped.instrument,
            dumped.frequency,
            format::plural(dumped.bars, "bar")
        );
        if dumped.empty > 0 {
            line += &format!(", {} empty", dumped.empty);
        }
        if dumped.folded > 0 {
            line += &format!(", {} made of shorter ones", dumped.folded);
        }
        if dumped.partial > 0 {
            line += &format!(" ({} of them of fewer than belong in it)", dumped.partial);
        }
        if dumped.off_grid > 0 {
            line += &format!(", {} off the calendar left out", dumped.off_grid);
        }
        if dumped.is_kept {
            line += ", as it was";
        }
        out!(terminal, "{line}");
    }
    let instruments: BTreeSet<_> = written.iter().map(|dumped| &dumped.instrument).collect();
    terminal.say(&format!(
        "{} exported",
        format::plural(instruments.len() as u64, "instrument")
    ));
}
