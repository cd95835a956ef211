//! The loop.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::checkpoint::{Checkpoint, Epoch, Part};
use crate::compute::Compute;
use crate::error::{ForecastError, Result};
use crate::prepared::Prepared;
use crate::random::Random;
use crate::score;
use crate::table::Table;

/// What training tells while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// A batch is done.
    Batch {
        /// The epoch it is of, from 1.
        epoch: usize,
        /// Batches of this epoch that are done.
        done: usize,
        /// Batches of an epoch.
        batches: usize,
        /// The mean loss of this epoch so far.
        loss: f64,
    },
    /// An epoch is done, and in the checkpoint.
    Epoch {
        /// Which, from 1.
        epoch: usize,
        /// Its losses.
        losses: Epoch,
        /// Whether its weights are the best so far.
        best: bool,
        /// How long it took.
        took: Duration,
        /// Windows that were learned from.
        windows: usize,
    },
}

/// Where in the seed's stream orders and masks lie; see [`Random::of`].
const ORDER: u64 = 2;
const MASKS: u64 = 3;

/// Goes on with a training until it has so many epochs, and leaves a checkpoint after each; `watch` says whether to go on. Whether it
/// did: a training that was stopped in an epoch goes on from the end of the one before.
///
/// The same seed, settings and rows give the same losses and the same file, with as many threads as there are, in one go or in several.
///
/// # Errors
///
/// [`ForecastError::Diverged`]; [`ForecastError::Write`] for the checkpoint; [`ForecastError::Data`] for a table without windows.
pub fn train(
    checkpoint: &mut Checkpoint,
    table: &Table,
    epochs: usize,
    compute: &Compute,
    file: &Path,
    mut watch: impl FnMut(Progress) -> bool,
) -> Result<bool> {
    let settings = checkpoint.settings.clone();
    let prepared = Prepared::of(
        table,
        &checkpoint.columns,
        &checkpoint.scales,
        settings.shape,
    )?;
    let starts = checkpoint.starts(table, Part::Train)?;
    let validation = match checkpoint.split.validation.is_empty() {
        true => Vec::new(),
        false => checkpoint.starts(table, Part::Validation)?,
    };
    if epochs == 0 {
        checkpoint.save(file)?;
    }
    let outputs = settings.shape.outputs() as f64;
    for epoch in checkpoint.history.len() + 1..=epochs {
        let begun = Instant::now();
        let mut order = starts.clone();
        if settings.shuffle {
            Random::of(settings.seed, &[ORDER, epoch as u64]).shuffle(&mut order);
        }
        let batches = order.len().div_ceil(settings.batch_size);
        let (mut squares, mut windows) = (0.0, 0);
        let (mut last, mut adam) = (checkpoint.last.clone(), checkpoint.adam.clone());
        for (batch, starts) in order.chunks(settings.batch_size).enumerate() {
            let place = [MASKS, epoch as u64, batch as u64];
            let dropout =
                (settings.dropout > 0.0).then_some((settings.dropout, settings.seed, place));
            let (more, gradient) = compute.gradient(&last, &prepared, starts, dropout);
            squares += more;
            windows += starts.len();
            let loss = squares / (windows as f64 * outputs);
            if !loss.is_finite() {
                return Err(ForecastError::Diverged { epoch });
            }
            adam.step(
                &mut last,
                &gradient,
                settings.learning_rate,
                settings.weight_decay,
            );
            let done = Progress::Batch {
                epoch,
                done: batch + 1,
                batches,
                loss,
            };
            if !watch(done) {
                return Ok(false);
            }
        }
        let took = begun.elapsed();
        (checkpoint.last, checkpoint.adam) = (last, adam);
        let losses = Epoch {
            train: squares / (windows as f64 * outputs),
            validation: loss(checkpoint, &prepared, &validation, compute),
        };
        if losses.validation.is_some_and(|loss| !loss.is_finite()) {
            return Err(ForecastError::Diverged { epoch });
        }
        let best = is_best(checkpoint, &losses);
        if best {
            (checkpoint.best, checkpoint.best_epoch) = (checkpoint.last.clone(), epoch);
        }
        checkpoint.history.push(losses);
        checkpoint.save(file)?;
        let done = Progress::Epoch {
            epoch,
            losses,
            best,
            took,
            windows,
        };
        if !watch(done) {
            return Ok(epoch == epochs);
        }
    }
    Ok(true)
}

/// The last weights' mean loss over some windows, if there are any.
fn loss(
    checkpoint: &Checkpoint,
    prepared: &Prepared,
    starts: &[usize],
    compute: &Compute,
) -> Option<f64> {
    let outputs = prepared.shape().outputs();
    let forecasts = compute.forecasts(&checkpoint.last, prepared, starts);
    let each = starts.iter().zip(forecasts.chunks_exact(outputs));
    let squares: f64 = each
        .map(|(start, forecast)| score::squares(prepared.target(*start), forecast))
        .sum();
    (!starts.is_empty()).then(|| squares / (starts.len() * outputs) as f64)
}

fn is_best(checkpoint: &Checkpoint, losses: &Epoch) -> bool {
    let Some(loss) = losses.validation else {
        return true;
    };
    let before = checkpoint
        .history
        .iter()
        .filter_map(|epoch| epoch.validation);
    before.into_iter().all(|before| loss < before)
}
