//! `forecast`: training, scores and forecasts; with the feature of that name.

#[cfg(feature = "forecast")]
mod evaluate;
#[cfg(feature = "forecast")]
mod predict;
#[cfg(feature = "forecast")]
mod train;

use tapemill_runtime::{RuntimeError, Shutdown};

use crate::args::ForecastCommand;
use crate::failure::Failure;
use crate::progress::Terminal;

/// Runs one of them.
#[cfg(feature = "forecast")]
pub async fn run(
    command: ForecastCommand,
    as_json: bool,
    terminal: &Terminal,
    shutdown: impl Fn() -> Result<Shutdown, RuntimeError>,
) -> Result<u8, Failure> {
    match command {
        ForecastCommand::Train(args) => train::run(*args, as_json, terminal, shutdown()?).await,
        ForecastCommand::Evaluate(args) => evaluate::run(args, as_json, terminal).await,
        ForecastCommand::Predict(args) => predict::run(args, as_json, terminal).await,
    }
}

/// Without the engine there is none to run.
#[cfg(not(feature = "forecast"))]
pub async fn run(
    _: ForecastCommand,
    _: bool,
    _: &Terminal,
    _: impl Fn() -> Result<Shutdown, RuntimeError>,
) -> Result<u8, Failure> {
    Err(Failure::usage(
        "this tapemill was built without the forecaster; cargo install --path cli --features forecast builds one with it",
    ))
}

/// What computes.
#[cfg(feature = "forecast")]
fn compute(
    args: &crate::args::ForecastArgs,
) -> Result<tapemill_forecast::compute::Compute, Failure> {
    use tapemill_forecast::compute::Compute;

    match args.device.as_str() {
        #[cfg(feature = "forecast-gpu")]
        "gpu" => Ok(Compute::gpu()),
        #[cfg(not(feature = "forecast-gpu"))]
        "gpu" => Err(Failure::usage(
            "this tapemill was built without GPUs; cargo install --path cli --features forecast-gpu builds one with them",
        )),
        _ => Ok(Compute::cpu(args.threads)),
    }
}

/// Runs what computes on a thread where it holds nobody up.
#[cfg(feature = "forecast")]
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Failure::failed)?
}

/// A file beside the checkpoint: its name with another ending.
#[cfg(feature = "forecast")]
fn beside(checkpoint: &std::path::Path, ending: &str) -> std::path::PathBuf {
    checkpoint.with_extension(ending)
}

/// Tells what windows may not reach across, where there is such a thing.
#[cfg(feature = "forecast")]
fn tell_holes(table: &tapemill_forecast::table::Table, terminal: &Terminal) {
    use crate::format::plural;

    let holes = table.holes;
    if table.times.is_none() {
        terminal.say("the file has no column of times: its rows are taken as following each other");
    }
    if holes.jumps + holes.lacking > 0 {
        terminal.say(&format!(
            "no window reaches across {} in time or {} without a value",
            plural(holes.jumps as u64, "jump"),
            plural(holes.lacking as u64, "row")
        ));
    }
}
