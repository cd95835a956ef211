//! `verify`: proves what is on disk.

use serde_json::json;
use tapemill_coordinator::Symbols;
use tapemill_dataset::verify::{Verdict, verify};
use tapemill_lake::TableFile;
use tapemill_market::{Data, DateRange};
use tapemill_runtime::{cores, exit};

use crate::args::VerifyArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Judges every table of the output, or those that are selected.
pub async fn run(args: VerifyArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let lake = context::lake(&args.output)?;
    let wanted = OnDisk::of(&args)?;
    let judging = tokio::task::spawn_blocking(move || {
        let mut files = lake.tables()?;
        files.retain(|file| wanted.holds(file));
        verify(&lake, &files, cores())
    });
    let found = judging.await.map_err(Failure::failed)??;
    if found.is_empty() {
        return Err(Failure::failed(anyhow::anyhow!(
            "there is no table of this selection; check --output and the selection"
        )));
    }
    for finding in &found {
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
    let count = |verdict| {
        let of_it = found.iter().filter(|finding| finding.verdict == verdict);
        of_it.count() as u64
    };
    terminal.say(&format!(
        "{}: {} ok, {}, {}",
        format::plural(found.len() as u64, "table"),
        count(Verdict::Ok),
        format::plural(count(Verdict::Note), "note"),
        format::plural(count(Verdict::Defect), "defect"),
    ));
    Ok(match count(Verdict::Defect) {
        0 => exit::DONE,
        _ => exit::DEFECTS,
    })
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
