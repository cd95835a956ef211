//! `demo`: the main job on a small archive of our own, without network.

use std::path::Path;

use serde_json::json;
use tapemill_lake::{Lake, read_lineage};
use tapemill_runtime::{Shutdown, exit};
use tapemill_standin::generate::{DEMO_MONTHS, DEMO_SYMBOLS, demo_archive};
use tapemill_standin::server::{Faults, Standin};

use crate::args::{Cli, Command, DemoArgs};
use crate::commands::run;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Makes the archive, serves it, runs the main job on it, shows the result.
pub async fn run(
    args: DemoArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let archive = args.folder.join("archive");
    let output = args.folder.join("data");
    terminal.say(&format!(
        "making a small archive in {}",
        context::shown(&archive)
    ));
    let root = archive.clone();
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&root).map_err(anyhow::Error::new)?;
        demo_archive(&root).map_err(anyhow::Error::new)
    });
    made.await
        .map_err(Failure::failed)?
        .map_err(Failure::failed)?;
    let standin = Standin::start(&archive, Faults::none())
        .await
        .map_err(Failure::failed)?;
    terminal.say(&format!("serving it at {}", standin.url));
    let code = run::run(main_job(&standin.url, &output)?, false, terminal, shutdown).await?;
    standin.stop().await;
    if code == exit::DONE {
        show(&output, as_json, terminal)?;
    }
    Ok(code)
}

/// The very arguments a person would give.
fn main_job(url: &str, output: &Path) -> Result<crate::args::RunArgs, Failure> {
    let [first, .., last] = DEMO_MONTHS;
    let output = context::shown(output);
    let symbols = DEMO_SYMBOLS.join(",");
    let arguments = [
        "tapemill",
        "run",
        "--source",
        url,
        "--listing",
        url,
        "--market",
        "um",
        "--data",
        "aggTrades,klines:1m",
        "--symbols",
        &symbols,
        "--start",
        first,
        "--end",
        last,
        "--output",
        &output,
    ];
    let cli = <Cli as clap::Parser>::try_parse_from(arguments).map_err(Failure::failed)?;
    match cli.command {
        Command::Run(run) => Ok(run),
        _ => unreachable!("the arguments say run"),
    }
}

fn show(output: &Path, as_json: bool, terminal: &Terminal) -> Result<(), Failure> {
    let lake = Lake::local(output);
    let mut rows = Vec::new();
    for file in lake.tables()? {
        let lineage = read_lineage(&lake, &file.path)?;
        let verdict = lineage.quality["verdict"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if as_json {
            out!(
                terminal,
                "{}",
                json!({"file": file.path.as_str(), "rows": lineage.rows, "bytes": file.bytes, "verdict": verdict})
            );
        }
        rows.push(vec![
            file.path.as_str().to_owned(),
            lineage.rows.to_string(),
            format::bytes(file.bytes),
            verdict,
        ]);
    }
    if as_json {
        return Ok(());
    }
    terminal.print(&format::table(
        &["file", "rows", "size", "verdict"],
        &rows,
        &[1, 2],
    ));
    let output = context::shown(output);
    out!(
        terminal,
        "\nThe tables lie in {output}. Open them with one call:"
    );
    out!(
        terminal,
        "  python   polars.read_parquet(\"{output}/factors_1h/um/BTCUSDT/*.parquet\")"
    );
    out!(
        terminal,
        "  duckdb   SELECT * FROM '{output}/aggtrades_1m/um/*/*.parquet' LIMIT 5;"
    );
    out!(terminal, "The same job on the exchange's archive:");
    out!(
        terminal,
        "  tapemill run --symbols BTCUSDT,ETHUSDT --start 2024-01 --end 2024-03"
    );
    Ok(())
}
