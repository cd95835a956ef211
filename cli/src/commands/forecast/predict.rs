//! `forecast predict`.

use serde_json::json;
use tapemill_forecast::checkpoint::Checkpoint;
use tapemill_forecast::output::Forecasts;
use tapemill_forecast::table::Table;
use tapemill_runtime::exit;

use crate::args::ForecastPredictArgs;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

use super::{compute, on_a_thread, tell_holes};

/// Forecasts from each row, writes that, and prints what the last row gives.
pub async fn run(
    args: ForecastPredictArgs,
    as_json: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let terminal = terminal.clone();
    on_a_thread(move || work(&args, as_json, &terminal)).await
}

fn work(args: &ForecastPredictArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let compute = compute(&args.common)?;
    let checkpoint = Checkpoint::load(&args.common.checkpoint)?;
    let table = Table::read(&args.common.parquet_path, &checkpoint.asked())?;
    tell_holes(&table, terminal);
    let forecasts = Forecasts::of(&checkpoint, &table, &compute)?;
    if let Some(file) = &args.to {
        forecasts.write(&checkpoint, &table, file)?;
        terminal.say(&format!(
            "{}: {}",
            file.display(),
            format::plural(forecasts.rows.len() as u64, "row")
        ));
    }
    let (shape, targets) = (checkpoint.settings.shape, &checkpoint.columns.targets);
    let (Some(row), Some(last)) = (
        forecasts.rows.last(),
        forecasts.values.chunks_exact(shape.outputs()).last(),
    ) else {
        return Ok(exit::DONE);
    };
    let ahead = |target: usize| last.iter().skip(target).step_by(shape.targets);
    if as_json {
        let time = table.times.as_ref().map(|times| times.values[*row]);
        let each = targets.iter().enumerate();
        let each = each.map(|(at, target)| (target.clone(), json!(ahead(at).collect::<Vec<_>>())));
        let forecast = serde_json::Map::from_iter(each);
        out!(
            terminal,
            "{}",
            json!({"row": row, "time": time, "forecast": forecast})
        );
        return Ok(exit::DONE);
    }
    for (at, target) in targets.iter().enumerate() {
        let place = table.place(target).unwrap_or_default();
        out!(terminal, "{target}\t0\t{}", table.row(*row)[place]);
        for (ahead, value) in ahead(at).enumerate() {
            out!(terminal, "{target}\t{}\t{value}", ahead + 1);
        }
    }
    Ok(exit::DONE)
}
