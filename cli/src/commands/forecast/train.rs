//! `forecast train`.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tapemill_forecast::checkpoint::{Checkpoint, Part};
use tapemill_forecast::plot;
use tapemill_forecast::prepared::Columns;
use tapemill_forecast::settings::Settings;
use tapemill_forecast::shape::Shape;
use tapemill_forecast::split::Division;
use tapemill_forecast::table::{Asked, Table};
use tapemill_forecast::train::{Progress, train};
use tapemill_runtime::{Shutdown, exit};

use crate::args::ForecastTrainArgs;
use crate::failure::Failure;
use crate::format::{duration, plural};
use crate::progress::Terminal;

use super::{beside, compute, on_a_thread, tell_holes};

/// How often a line is written where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Trains, and leaves a checkpoint and a chart after each epoch.
pub async fn run(
    args: ForecastTrainArgs,
    as_json: bool,
    terminal: &Terminal,
    shutdown: Shutdown,
) -> Result<u8, Failure> {
    let terminal = terminal.clone();
    let stop = shutdown.draining().clone();
    on_a_thread(move || work(&args, as_json, &terminal, &|| stop.is_cancelled())).await
}

fn work(
    args: &ForecastTrainArgs,
    as_json: bool,
    terminal: &Terminal,
    stop: &dyn Fn() -> bool,
) -> Result<u8, Failure> {
    let compute = compute(&args.common)?;
    let file = &args.common.checkpoint;
    let (mut checkpoint, table) = if args.resume {
        resumed(args)?
    } else {
        begun(args)?
    };
    tell_holes(&table, terminal);
    let counts = [Part::Train, Part::Validation, Part::Test].map(|part| {
        // A part that no window fits in is told where it is needed.
        checkpoint
            .starts(&table, part)
            .map_or(0, |starts| starts.len())
    });
    tell_beginning(&checkpoint, &table, counts, as_json, terminal);
    let chart = args
        .plot
        .clone()
        .unwrap_or_else(|| beside(file, "loss.svg"));
    let mut view = View::new(terminal, as_json, &checkpoint, args.epochs);
    let finished = train(
        &mut checkpoint,
        &table,
        args.epochs,
        &compute,
        file,
        |progress| {
            view.show(progress);
            !stop()
        },
    )?;
    view.end();
    plot::learning_curve(&checkpoint, &chart)?;
    if !finished {
        terminal.announce(&format!(
            "stopped after {}; --resume goes on from {}",
            plural(checkpoint.history.len() as u64, "epoch"),
            file.display()
        ));
        return Ok(exit::INTERRUPTED);
    }
    tell_end(&checkpoint, file, terminal);
    Ok(exit::DONE)
}

fn begun(args: &ForecastTrainArgs) -> Result<(Checkpoint, Table), Failure> {
    let named = |flag: &str, columns: &Option<Vec<String>>| {
        let missing = || Failure::usage(format!("{flag} is missing: name columns of the file"));
        columns.clone().ok_or_else(missing)
    };
    let columns = Columns {
        features: named("--features", &args.features)?,
        targets: named("--targets", &args.targets)?,
    };
    columns.check()?;
    let shape = Shape {
        features: columns.features.len(),
        targets: columns.targets.len(),
        input: args.input_length.unwrap_or(100),
        horizon: args.forecast_horizon.unwrap_or(10),
    };
    let settings = Settings {
        shape,
        stride: args.stride.unwrap_or(1),
        batch_size: args.batch_size.unwrap_or(256),
        learning_rate: args.learning_rate.unwrap_or(1e-3),
        weight_decay: args.weight_decay.unwrap_or(1e-5),
        dropout: args.dropout.unwrap_or(0.1),
        shuffle: !args.no_shuffle,
        seed: args.seed.unwrap_or(2024),
        division: Division {
            validation: args.validation.unwrap_or(0.1),
            test: args.test.unwrap_or(0.1),
            embargo: args
                .embargo
                .unwrap_or(shape.input.saturating_add(shape.horizon)),
        },
    };
    settings.check()?;
    let asked = Asked {
        columns: columns.all(),
        time: args.time_column.clone(),
        no_grid: args.no_grid,
    };
    let table = Table::read(&args.common.parquet_path, &asked)?;
    let checkpoint = Checkpoint::begin(&table, &asked, columns, settings)?;
    Ok((checkpoint, table))
}

fn resumed(args: &ForecastTrainArgs) -> Result<(Checkpoint, Table), Failure> {
    let checkpoint = Checkpoint::load(&args.common.checkpoint)?;
    let settings = &checkpoint.settings;
    let text = |value: &dyn ToString| value.to_string();
    let given = |value: &Option<usize>| value.map(|value| value.to_string());
    let rate = |value: &Option<f64>| value.map(|value| value.to_string());
    let names = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.join(","));
    let flags = [
        (
            "--features",
            names(&args.features),
            checkpoint.columns.features.join(","),
        ),
        (
            "--targets",
            names(&args.targets),
            checkpoint.columns.targets.join(","),
        ),
        (
            "--time-column",
            args.time_column.clone(),
            checkpoint
                .time_column
                .clone()
                .unwrap_or_else(|| "the usual one".to_owned()),
        ),
        (
            "--input-length",
            given(&args.input_length),
            text(&settings.shape.input),
        ),
        (
            "--forecast-horizon",
            given(&args.forecast_horizon),
            text(&settings.shape.horizon),
        ),
        ("--stride", given(&args.stride), text(&settings.stride)),
        (
            "--validation",
            rate(&args.validation),
            text(&settings.division.validation),
        ),
        ("--test", rate(&args.test), text(&settings.division.test)),
        (
            "--embargo",
            given(&args.embargo),
            text(&settings.division.embargo),
        ),
        (
            "--batch-size",
            given(&args.batch_size),
            text(&settings.batch_size),
        ),
        (
            "--learning-rate",
            rate(&args.learning_rate),
            text(&settings.learning_rate),
        ),
        (
            "--weight-decay",
            rate(&args.weight_decay),
            text(&settings.weight_decay),
        ),
        ("--dropout", rate(&args.dropout), text(&settings.dropout)),
        (
            "--seed",
            args.seed.map(|seed| seed.to_string()),
            text(&settings.seed),
        ),
    ];
    let switches = [
        ("--no-grid", args.no_grid && !checkpoint.no_grid),
        ("--no-shuffle", args.no_shuffle && settings.shuffle),
    ];
    if let Some((flag, _)) = switches.iter().find(|(_, differs)| *differs) {
        return Err(Failure::usage(format!(
            "{flag} cannot be gone on with: the checkpoint was begun without it"
        )));
    }
    for (flag, given, had) in flags {
        if let Some(given) = given
            && given != had
        {
            return Err(Failure::usage(format!(
                "{flag} {given} cannot be gone on with: the checkpoint has {had}"
            )));
        }
    }
    let table = Table::read(&args.common.parquet_path, &checkpoint.asked())?;
    checkpoint.goes_on_with(&table)?;
    Ok((checkpoint, table))
}

fn tell_beginning(
    checkpoint: &Checkpoint,
    table: &Table,
    counts: [usize; 3],
    as_json: bool,
    terminal: &Terminal,
) {
    let (parameters, [train, validation, test]) = (checkpoint.best.count(), counts);
    if as_json {
        out!(
            terminal,
            "{}",
            json!({
                "parameters": parameters,
                "epochs_done": checkpoint.history.len(),
                "rows": table.rows,
                "windows": {"train": train, "validation": validation, "test": test},
                "jumps": table.holes.jumps,
                "rows_without_a_value": table.holes.lacking,
            })
        );
        return;
    }
    terminal.say(&format!(
        "{parameters} parameters; windows: {train} to learn from, {validation} for validation, {test} for the test",
    ));
    out!(
        terminal,
        "{:>6} {:>12} {:>12} {:>12} {:>12}",
        "epoch",
        "training",
        "validation",
        "last value",
        "linear"
    );
}

fn tell_end(checkpoint: &Checkpoint, file: &std::path::Path, terminal: &Terminal) {
    if checkpoint.history.is_empty() {
        terminal.say(&format!(
            "{}: the weights before the first epoch",
            file.display()
        ));
        return;
    }
    let best = checkpoint
        .history
        .get(checkpoint.best_epoch.wrapping_sub(1));
    let best = best.and_then(|epoch| epoch.validation);
    let verdict = match (best, checkpoint.baselines) {
        (Some(loss), Some(baselines)) => format!(
            ": its validation loss is {:.3} of the last value's and {:.3} of the linear one's",
            loss / baselines.last_value,
            loss / baselines.linear
        ),
        _ => String::new(),
    };
    terminal.say(&format!(
        "{}: epoch {} is the best{verdict}",
        file.display(),
        checkpoint.best_epoch
    ));
}

/// What is seen of a training: bars on a terminal, else a line now and then; and for each epoch a line of data.
struct View {
    terminal: Terminal,
    as_json: bool,
    baselines: [Option<f64>; 2],
    epochs: usize,
    /// Of epochs and of batches.
    bars: Option<(ProgressBar, ProgressBar)>,
    begun: Instant,
    told: Instant,
}

impl View {
    fn new(terminal: &Terminal, as_json: bool, checkpoint: &Checkpoint, epochs: usize) -> Self {
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .expect("the template is fixed")
                .progress_chars("━╸─")
        };
        let bars = terminal.bars().map(|bars| {
            let of_epochs = bars.add(ProgressBar::new(epochs as u64));
            of_epochs.set_style(style("epochs  {bar:30.green/dim} {pos:>4}/{len:4} {msg}"));
            of_epochs.set_position(checkpoint.history.len() as u64);
            let of_batches = bars.add(ProgressBar::new(1));
            of_batches.set_style(style("batches {bar:30.cyan/dim} {pos:>4}/{len:4} {msg}"));
            (of_epochs, of_batches)
        });
        let losses = checkpoint.baselines;
        Self {
            terminal: terminal.clone(),
            as_json,
            baselines: [
                losses.map(|losses| losses.last_value),
                losses.map(|losses| losses.linear),
            ],
            epochs,
            bars,
            begun: Instant::now(),
            told: Instant::now(),
        }
    }

    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Batch {
                epoch,
                done,
                batches,
                loss,
            } => {
                if let Some((_, bar)) = &self.bars {
                    bar.set_length(batches as u64);
                    bar.set_position(done as u64);
                    bar.set_message(format!("loss {loss:.6}"));
                } else if self.told.elapsed() >= LINE_EVERY {
                    self.told = Instant::now();
                    self.terminal.say(&format!(
                        "{}: epoch {epoch}/{}, batch {done}/{batches}, loss {loss:.6}",
                        duration(self.begun.elapsed()),
                        self.epochs
                    ));
                }
            }
            Progress::Epoch {
                epoch,
                losses,
                best,
                took,
                windows,
            } => {
                let rate = windows as f64 / took.as_secs_f64();
                if let Some((bar, _)) = &self.bars {
                    bar.set_position(epoch as u64);
                    bar.set_message(format!("{rate:.0} windows/s"));
                }
                let [last_value, linear] = self.baselines;
                if self.as_json {
                    let line = json!({
                        "epoch": epoch,
                        "train_loss": losses.train,
                        "validation_loss": losses.validation,
                        "last_value_loss": last_value,
                        "linear_loss": linear,
                        "best": best,
                        "seconds": took.as_secs_f64(),
                        "windows_per_second": rate,
                    });
                    self.data(&line.to_string());
                } else {
                    let number = |loss: Option<f64>| {
                        loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.6}"))
                    };
                    let mark = if best { "  best" } else { "" };
                    self.data(&format!(
                        "{epoch:>6} {:>12} {:>12} {:>12} {:>12}{mark}",
                        number(Some(losses.train)),
                        number(losses.validation),
                        number(last_value),
                        number(linear)
                    ));
                }
            }
        }
    }

    /// A line of data, above the bars.
    fn data(&self, line: &str) {
        match self.terminal.bars() {
            Some(bars) => bars.suspend(|| out!(self.terminal, "{line}")),
            None => out!(self.terminal, "{line}"),
        }
    }

    fn end(self) {
        if let Some((epochs, batches)) = self.bars {
            batches.finish_and_clear();
            epochs.finish_and_clear();
        }
    }
}
