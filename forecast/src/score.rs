//! How far forecasts were from what came, beside how far the baselines were.

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::compute::Compute;
use crate::prepared::{Prepared, Scales};

/// Errors of one forecaster at one horizon of one target.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Errors {
    /// Mean squared error, in the target's unit squared.
    pub mse: f64,
    /// Its root, in the target's unit.
    pub rmse: f64,
    /// Mean absolute error, in the target's unit.
    pub mae: f64,
    /// Share of the windows whose target moved in which the forecast moved the same way, both from the last value; `None` where no target
    /// moved, and for the last value, which never does.
    pub direction: Option<f64>,
}

/// All forecasters at one horizon of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The target.
    pub target: String,
    /// Rows ahead, from 1.
    pub horizon: usize,
    /// Windows.
    pub windows: usize,
    /// The network.
    pub network: Errors,
    /// What says that nothing changes.
    pub last_value: Errors,
    /// The linear baseline.
    pub linear: Errors,
    /// Share of the windows whose target moved in which it rose: what always saying "up" would score.
    pub up: Option<f64>,
}

impl Score {
    /// By how much of the last value's squared error the network's is less: 0 is no better, and below that worse.
    pub fn skill(&self) -> f64 {
        1.0 - self.network.mse / self.last_value.mse
    }
}

/// The mean squared error on the scale of the network, over all outputs: what training lowers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// Of what says that nothing changes.
    pub last_value: f64,
    /// Of the linear baseline.
    pub linear: f64,
}

/// One window's forecasts by all forecasters, scaled: horizon × targets each.
struct Window<'a> {
    actual: &'a [f32],
    network: &'a [f32],
    last: Vec<f32>,
    linear: Vec<f32>,
}

/// The baselines' losses over some windows.
pub fn losses(checkpoint: &Checkpoint, prepared: &Prepared, starts: &[usize]) -> Losses {
    let (mut last_value, mut linear) = (0.0, 0.0);
    for &start in starts {
        let actual = prepared.target(start);
        last_value += squares(actual, &repeated_last(prepared, start));
        linear += squares(actual, &checkpoint.linear.forecast(prepared, start));
    }
    let elements = (starts.len() * prepared.shape().outputs()) as f64;
    Losses {
        last_value: last_value / elements,
        linear: linear / elements,
    }
}

/// Squared errors, summed.
pub fn squares(actual: &[f32], forecast: &[f32]) -> f64 {
    let square =
        |(actual, forecast): (&f32, &f32)| (f64::from(*forecast) - f64::from(*actual)).powi(2);
    actual.iter().zip(forecast).map(square).sum()
}

fn repeated_last(prepared: &Prepared, start: usize) -> Vec<f32> {
    prepared.last(start).repeat(prepared.shape().horizon)
}

/// Scores of each target at each horizon over some windows, of the best weights; and the network's forecasts, as
/// [`Compute::forecasts`] gives them.
pub fn scores(
    checkpoint: &Checkpoint,
    prepared: &Prepared,
    starts: &[usize],
    compute: &Compute,
) -> (Vec<Score>, Vec<f32>) {
    let shape = prepared.shape();
    let outputs = shape.outputs();
    let forecasts = compute.forecasts(&checkpoint.best, prepared, starts);
    let mut sums = vec![Sums::default(); outputs];
    for (&start, network) in starts.iter().zip(forecasts.chunks_exact(outputs)) {
        let window = Window {
            actual: prepared.target(start),
            network,
            last: repeated_last(prepared, start),
            linear: checkpoint.linear.forecast(prepared, start),
        };
        for (output, sums) in sums.iter_mut().enumerate() {
            sums.take(&window, output);
        }
    }
    let scored = sums.iter().enumerate().map(|(output, sums)| {
        let target = output % shape.targets;
        sums.score(
            checkpoint,
            output / shape.targets + 1,
            target,
            &checkpoint.scales,
        )
    });
    (scored.collect(), forecasts)
}

#[derive(Debug, Clone, Default)]
struct Sums {
    windows: usize,
    /// Of network, last value and linear: squared and absolute errors.
    errors: [(f64, f64); 3],
    moved: usize,
    up: usize,
    /// Of network and linear.
    right: [usize; 2],
}

impl Sums {
    fn take(&mut self, window: &Window<'_>, output: usize) {
        self.windows += 1;
        let [actual, last] = [window.actual, &window.last].map(|values| f64::from(values[output]));
        let forecasts =
            [window.network, &window.last, &window.linear].map(|values| f64::from(values[output]));
        for (sums, forecast) in self.errors.iter_mut().zip(forecasts) {
            sums.0 += (forecast - actual).powi(2);
            sums.1 += (forecast - actual).abs();
        }
        let moved = actual - last;
        if moved != 0.0 {
            self.moved += 1;
            self.up += usize::from(moved > 0.0);
            for (right, forecast) in self.right.iter_mut().zip([forecasts[0], forecasts[2]]) {
                *right += usize::from((forecast - last) * moved > 0.0);
            }
        }
    }

    fn score(
        &self,
        checkpoint: &Checkpoint,
        horizon: usize,
        target: usize,
        scales: &Scales,
    ) -> Score {
        // Errors are differences: the mean falls out, and the deviation brings them back.
        let unit = scales.targets.deviation[target];
        let windows = self.windows as f64;
        let share = |count: usize| (self.moved > 0).then(|| count as f64 / self.moved as f64);
        let errors = |(squares, absolutes): (f64, f64), direction| Errors {
            mse: squares / windows * unit * unit,
            rmse: (squares / windows).sqrt() * unit,
            mae: absolutes / windows * unit,
            direction,
        };
        let [network, last, linear] = self.errors;
        Score {
            target: checkpoint.columns.targets[target].clone(),
            horizon,
            windows: self.windows,
            network: errors(network, share(self.right[0])),
            last_value: errors(last, None),
            linear: errors(linear, share(self.right[1])),
            up: share(self.up),
        }
    }
}
