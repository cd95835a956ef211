//! `forecast evaluate`.

use serde_json::json;
use tapemill_forecast::checkpoint::{Checkpoint, Part};
use tapemill_forecast::plot;
use tapemill_forecast::prepared::Prepared;
use tapemill_forecast::score::{Errors, Score, scores};
use tapemill_forecast::table::Table;
use tapemill_runtime::exit;

use crate::args::ForecastEvaluateArgs;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

use super::{beside, compute, on_a_thread, tell_holes};

/// Scores a checkpoint.
pub async fn run(
    args: ForecastEvaluateArgs,
    as_json: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let terminal = terminal.clone();
    on_a_thread(move || work(&args, as_json, &terminal)).await
}

fn work(args: &ForecastEvaluateArgs, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    let compute = compute(&args.common)?;
    let file = &args.common.checkpoint;
    let checkpoint = Checkpoint::load(file)?;
    let part: Part = args.part.parse().map_err(Failure::usage)?;
    let table = Table::read(&args.common.parquet_path, &checkpoint.asked())?;
    tell_holes(&table, terminal);
    let starts = checkpoint.starts(&table, part)?;
    let shape = checkpoint.settings.shape;
    let prepared = Prepared::of(&table, &checkpoint.columns, &checkpoint.scales, shape)?;
    let (scores, forecasts) = scores(&checkpoint, &prepared, &starts, &compute);
    if as_json {
        for score in &scores {
            out!(terminal, "{}", value(score));
        }
    } else {
        tell(&scores, terminal);
    }
    for target in &checkpoint.columns.targets {
        let of_target = scores.iter().filter(|score| score.target == *target);
        terminal.say(&verdict(
            target,
            &of_target.collect::<Vec<_>>(),
            starts.len(),
        ));
    }
    let chart = args
        .plot
        .clone()
        .unwrap_or_else(|| beside(file, "forecasts.svg"));
    plot::forecasts(&checkpoint, &prepared, &starts, &forecasts, &chart)?;
    Ok(exit::DONE)
}

fn value(score: &Score) -> serde_json::Value {
    json!({
        "target": score.target,
        "horizon": score.horizon,
        "windows": score.windows,
        "network": score.network,
        "last_value": score.last_value,
        "linear": score.linear,
        "up": score.up,
        "skill": finite(score.skill()),
    })
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

fn tell(scores: &[Score], terminal: &Terminal) {
    let header = [
        "target",
        "ahead",
        "RMSE",
        "last value",
        "linear",
        "MAE",
        "last value",
        "linear",
        "same way",
        "linear",
        "always up",
        "skill",
    ];
    let error = |error: f64| format!("{error:.6}");
    let share = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
    };
    let row = |score: &Score| {
        let all = [score.network, score.last_value, score.linear];
        let mut cells = vec![score.target.clone(), score.horizon.to_string()];
        cells.extend(all.map(|errors: Errors| error(errors.rmse)));
        cells.extend(all.map(|errors: Errors| error(errors.mae)));
        cells.extend([score.network.direction, score.linear.direction, score.up].map(share));
        cells.push(
            finite(score.skill()).map_or_else(|| "-".to_owned(), |skill| format!("{skill:+.3}")),
        );
        cells
    };
    let rows: Vec<_> = scores.iter().map(row).collect();
    let numbers: Vec<usize> = (1..header.len()).collect();
    terminal.print(&format::table(&header, &rows, &numbers));
}

/// What all horizons together come to.
fn verdict(target: &str, scores: &[&Score], windows: usize) -> String {
    let sum = |of: fn(&Score) -> f64| scores.iter().map(|score| of(score)).sum::<f64>();
    let network = sum(|score| score.network.mse);
    let (last, linear) = (
        network / sum(|score| score.last_value.mse),
        network / sum(|score| score.linear.mse),
    );
    let but = match (last < 1.0, linear < 1.0) {
        (true, true) => "better than both",
        (true, false) => "no better than a linear forecast",
        (false, true) => "no better than saying that nothing changes",
        (false, false) => "no better than either",
    };
    format!(
        "{target}: over {} the network's squared error is {last:.3} of the last value's and {linear:.3} of the linear one's: {but}",
        format::plural(windows as u64, "window")
    )
}
