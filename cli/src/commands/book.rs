//! `book`: the best levels of captured order books at fixed times.

use std::path::Path;

use tapemill_capture::Dataset;
use tapemill_coordinator::Symbols;
use tapemill_dataset::books::{BookDay, Books, BooksError, HftFiles, OneFile};
use tapemill_lake::{Lake, LakePath, Output};
use tapemill_market::{DateRange, Thresholds};
use tapemill_runtime::{cores, exit};

use crate::args::{BookArgs, Trades};
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Makes the tables, and prints a line for each.
pub async fn run(args: BookArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let books = books(&args)?;
    let made = tokio::task::spawn_blocking(move || books.make(&|_| ())).await;
    let made = made.map_err(Failure::failed)?.map_err(failure)?;
    for day in &made {
        if as_json {
            out!(terminal, "{}", day.value());
        } else {
            tell(day, terminal);
        }
    }
    let tables = made.iter().filter(|day| day.table.is_some()).count();
    terminal.say(&format!("{} made", format::plural(tables as u64, "table")));
    Ok(exit::DONE)
}

fn books(args: &BookArgs) -> Result<Books, Failure> {
    let symbols = match context::symbols(&args.symbols)? {
        Symbols::All => None,
        Symbols::These(symbols) | Symbols::Among(symbols) => Some(symbols.into_iter().collect()),
    };
    let range = DateRange::parse(
        args.start.as_deref(),
        args.end.as_deref(),
        None,
        context::today(),
    )?;
    let step_ms = match args.frequency_ms {
        Some(step_ms) => i64::from(step_ms),
        None => i64::try_from(args.step.as_millis()).unwrap_or(i64::MAX),
    };
    let hftbacktest = match &args.hftbacktest {
        None => None,
        Some(place) => Some(HftFiles {
            folder: context::lake_at(place, "--hftbacktest")?,
            trades: match args.trades {
                Trades::Aggregated => Dataset::Trades,
                Trades::Single => Dataset::RawTrades,
            },
        }),
    };
    Ok(Books {
        output: Output {
            lake: context::lake(&args.output)?,
            layout: args.layout,
            // They shape no book.
            thresholds: Thresholds::default(),
        },
        market: args.market,
        symbols,
        range,
        levels: usize::from(args.levels),
        step_ms,
        threads: args.workers.map_or_else(cores, usize::from),
        merged: args.merged.as_deref().map(one_file).transpose()?,
        hftbacktest,
    })
}

/// The folder and the name of a file.
fn one_file(file: &Path) -> Result<OneFile, Failure> {
    let refused = |problem: &str| Failure::usage(format!("--merged {}: {problem}", file.display()));
    if file.is_dir() {
        return Err(refused("it is a folder; name a file"));
    }
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refused("name a file"))?;
    let path = LakePath::of(&[name])?;
    if path.as_str() != name {
        return Err(refused(
            "letters, digits, dots, - and _ make a name that every store takes",
        ));
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(OneFile {
        folder: Lake::local(folder),
        path,
    })
}

fn failure(error: BooksError) -> Failure {
    match error {
        BooksError::Lake(error) => error.into(),
        other => Failure::failed(other),
    }
}

fn tell(day: &BookDay, terminal: &Terminal) {
    let counts = &day.counts;
    let mut line = match &day.table {
        Some(table) => format!("{table}: {}", format::plural(day.rows, "row")),
        None if counts.applied == 0 => {
            format!(
                "{} {}: no rows, for want of a snapshot to begin with",
                day.symbol, day.day
            )
        }
        None => format!("{} {}: no rows", day.symbol, day.day),
    };
    if counts.holes > 0 {
        line += &format!(", {}", format::plural(counts.holes, "hole"));
    }
    if counts.renewed > 0 {
        line += &format!(
            ", {} of {} later {} equal to the book",
            counts.renewed - counts.differing,
            counts.renewed,
            if counts.renewed == 1 {
                "snapshot"
            } else {
                "snapshots"
            }
        );
    }
    if let Some((path, rows)) = &day.hftbacktest {
        line += &format!("; {path}: {}", format::plural(*rows, "row"));
    }
    out!(terminal, "{line}");
}
