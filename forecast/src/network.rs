//! The temporal convolutional network: what it forecasts, and how that changes with its parameters.

use burn_tensor::{Device, Slice, Tensor, TensorData, activation};

use crate::random::Random;
use crate::shape::{CHANNELS, Grid, KERNEL, Shape, grids, receptive_rows};
use crate::weights::Weights;

/// Windows side by side, and what followed them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// How many windows.
    pub windows: usize,
    /// [`receptive_rows`] × windows × features, standardised; zeros where a window is shorter than that.
    pub inputs: Vec<f32>,
    /// Windows × horizon × targets, standardised.
    pub targets: Vec<f32>,
}

/// Dropout of one batch: with which probability, and where its masks come from.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// Of each value.
    pub probability: f64,
    /// Drawn from, in the order of the layers.
    pub random: Random,
}

/// Forecasts: windows × horizon × targets, standardised.
pub fn forecast(weights: &Weights, shape: &Shape, batch: &Batch, device: &Device) -> Vec<f32> {
    let parameters = parameters(weights, device);
    values(forward(&parameters, shape, batch, None, device))
}

/// The sum of squared errors over a batch, and how it changes with each parameter, divided by `elements`.
pub fn gradient(
    weights: &Weights,
    shape: &Shape,
    batch: &Batch,
    dropout: Option<Dropout>,
    elements: usize,
    device: &Device,
) -> (f64, Weights) {
    let device = device.clone().autodiff();
    let parameters: Vec<_> = parameters(weights, &device)
        .into_iter()
        .map(Tensor::require_grad)
        .collect();
    let outputs = forward(&parameters, shape, batch, dropout, &device);
    let targets = tensor(
        batch.targets.clone(),
        [batch.windows, shape.outputs()],
        &device,
    );
    let squares = (outputs - targets).square().sum();
    let mut gradients = squares.clone().div_scalar(elements as f32).backward();
    let mut changes = Weights::zeros(shape);
    for (parameter, array) in parameters.iter().zip(&mut changes.0) {
        if let Some(gradient) = parameter.grad_remove(&mut gradients) {
            array.values = values(gradient);
        }
    }
    (f64::from(squares.into_scalar::<f32>()), changes)
}

fn parameters(weights: &Weights, device: &Device) -> Vec<Tensor<2>> {
    let array = |array: &crate::weights::Array| {
        tensor(array.values.clone(), [array.rows, array.columns], device)
    };
    weights.0.iter().map(array).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .try_into_vec_as()
        .expect("a tensor of floats was computed")
}

/// Windows × outputs. Inside, values lie by row, window, channel: a shift in time is then a slice of whole rows.
fn forward(
    parameters: &[Tensor<2>],
    shape: &Shape,
    batch: &Batch,
    mut dropout: Option<Dropout>,
    device: &Device,
) -> Tensor<2> {
    let mut parameters = parameters.iter().cloned();
    let mut layer = || {
        let mut next = || parameters.next().expect("there are as many as layers need");
        (next(), next())
    };
    let mut drop = |values: Tensor<3>| match &mut dropout {
        Some(Dropout {
            probability,
            random,
        }) if *probability > 0.0 => {
            let dims = values.dims();
            let mask = random.mask(dims.iter().product(), *probability);
            values * tensor(mask, dims, device)
        }
        _ => values,
    };
    // Rows before the window are zeros to every convolution, not only to the first.
    let within = |values: Tensor<3>, step: usize| match values.dims()[0] {
        rows if (rows - 1) * step < shape.input => values,
        rows => {
            let mask = (0..rows)
                .rev()
                .map(|back| f32::from(back * step < shape.input));
            values * tensor(mask.collect(), [rows, 1, 1], device)
        }
    };
    let mut input = tensor(
        batch.inputs.clone(),
        [receptive_rows(), batch.windows, shape.features],
        device,
    );
    for (block, grid) in grids().into_iter().enumerate() {
        let between = convolve(input.clone(), layer(), 1);
        let between = within(drop(activation::relu(between)), grid.step);
        let output = convolve(between, layer(), grid.stride);
        let output = drop(activation::relu(output));
        let mut same = last_rows(input, &grid);
        if shape.channels_in(block) != CHANNELS[block] {
            same = dense(same, layer());
        }
        input = within(activation::relu(output + same), grid.step * grid.stride);
    }
    let (weight, bias) = layer();
    let last = input.reshape([batch.windows, CHANNELS[CHANNELS.len() - 1]]);
    last.matmul(weight) + bias
}

/// A convolution of [`KERNEL`] neighbouring rows, of which one in `stride` comes out: one product of matrices.
fn convolve(values: Tensor<3>, layer: (Tensor<2>, Tensor<2>), stride: usize) -> Tensor<3> {
    let rows = (values.dims()[0] - KERNEL) / stride + 1;
    let taps = (0..KERNEL).map(|tap| some_rows(values.clone(), tap, rows, stride));
    dense(Tensor::cat(taps.collect(), 2), layer)
}

/// What the block's input is at the rows that come out of it.
fn last_rows(values: Tensor<3>, grid: &Grid) -> Tensor<3> {
    let first = grid.rows_in - 1 - (grid.rows_out - 1) * grid.stride;
    some_rows(values, first, grid.rows_out, grid.stride)
}

fn some_rows(values: Tensor<3>, first: usize, rows: usize, stride: usize) -> Tensor<3> {
    let end = first + (rows - 1) * stride + 1;
    values.slice_dim(
        0,
        Slice::new(first as isize, Some(end as isize), stride as isize),
    )
}

fn dense(values: Tensor<3>, (weight, bias): (Tensor<2>, Tensor<2>)) -> Tensor<3> {
    let [rows, windows, channels] = values.dims();
    let channels_out = weight.dims()[1];
    let product = values.reshape([rows * windows, channels]).matmul(weight);
    (product + bias).reshape([rows, windows, channels_out])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Array;

    /// The network as textbooks have it, every value of it, in plain loops: rows × channels.
    fn textbook(weights: &Weights, shape: &Shape, input: &[Vec<f64>]) -> Vec<f64> {
        let mut arrays = weights.0.iter();
        let mut layer = || {
            let (weight, bias) = (arrays.next(), arrays.next());
            (weight.expect("a weight"), bias.expect("a bias"))
        };
        let convolve =
            |rows: &[Vec<f64>], (weight, bias): (&Array, &Array), taps: usize, dilation: usize| {
                let value = |row: usize, out: usize| {
                    let mut sum = f64::from(bias.values[out]);
                    for tap in 0..taps {
                        let Some(from) = row.checked_sub((taps - 1 - tap) * dilation) else {
                            continue;
                        };
                        for (channel, value) in rows[from].iter().enumerate() {
                            let at = (tap * rows[from].len() + channel) * weight.columns + out;
                            sum += value * f64::from(weight.values[at]);
                        }
                    }
                    sum
                };
                let line = |row: usize| (0..weight.columns).map(|out| value(row, out)).collect();
                (0..rows.len()).map(line).collect::<Vec<Vec<f64>>>()
            };
        let relu = |mut rows: Vec<Vec<f64>>| {
            rows.iter_mut()
                .flatten()
                .for_each(|value| *value = value.max(0.0));
            rows
        };
        let mut rows = input.to_vec();
        for (block, out) in CHANNELS.into_iter().enumerate() {
            let between = relu(convolve(&rows, layer(), KERNEL, 1 << block));
            let mut output = relu(convolve(&between, layer(), KERNEL, 1 << block));
            if shape.channels_in(block) != out {
                rows = convolve(&rows, layer(), 1, 1);
            }
            let sums = output.iter_mut().flatten().zip(rows.iter().flatten());
            sums.for_each(|(value, same)| *value += same);
            rows = relu(output);
        }
        let last = rows.pop().expect("there is a row");
        convolve(&[last], layer(), 1, 1).remove(0)
    }

    fn batch(shape: &Shape, windows: usize) -> (Batch, Vec<Vec<Vec<f64>>>) {
        let mut random = Random::of(3, &[]);
        let seen = receptive_rows().min(shape.input);
        let mut inputs = vec![0.0; receptive_rows() * windows * shape.features];
        let mut rows = vec![vec![Vec::new(); shape.input]; windows];
        for (window, rows) in rows.iter_mut().enumerate() {
            for (row, values) in rows.iter_mut().enumerate() {
                for feature in 0..shape.features {
                    let value = random.within(2.0);
                    values.push(f64::from(value));
                    if row + seen >= shape.input {
                        let at = receptive_rows() - shape.input + row;
                        inputs[(at * windows + window) * shape.features + feature] = value;
                    }
                }
            }
        }
        let targets = (0..windows * shape.outputs()).map(|_| random.within(1.0));
        let batch = Batch {
            windows,
            inputs,
            targets: targets.collect(),
        };
        (batch, rows)
    }

    #[test]
    fn what_is_left_out_changes_nothing() {
        for input in [1, 2, 7, 28, 29, 30, 100] {
            let shape = Shape {
                features: 5,
                targets: 2,
                input,
                horizon: 3,
            };
            let weights = Weights::random(&shape, 11);
            let (batch, rows) = batch_of(&shape);
            let forecasts = forecast(&weights, &shape, &batch, &Device::flex());
            for (rows, forecast) in rows.iter().zip(forecasts.chunks_exact(shape.outputs())) {
                let expected = textbook(&weights, &shape, rows);
                for (value, expected) in forecast.iter().zip(expected) {
                    assert!(
                        (f64::from(*value) - expected).abs() < 1e-5,
                        "{input}: {value} {expected}"
                    );
                }
            }
        }
    }

    fn batch_of(shape: &Shape) -> (Batch, Vec<Vec<Vec<f64>>>) {
        // Longer windows keep only what is seen.
        if shape.input <= receptive_rows() {
            return batch(shape, 3);
        }
        let seen = Shape {
            input: receptive_rows(),
            ..*shape
        };
        let (batch, mut rows) = batch(&seen, 3);
        for rows in &mut rows {
            let before = vec![vec![0.7; shape.features]; shape.input - receptive_rows()];
            rows.splice(0..0, before);
        }
        (batch, rows)
    }

    #[test]
    fn gradients_are_slopes() {
        for input in [7, 29] {
            let shape = Shape {
                features: 2,
                targets: 1,
                input,
                horizon: 2,
            };
            let weights = Weights::random(&shape, 5);
            let (batch, rows) = batch(&shape, 2);
            let (squares, gradient) = gradient(&weights, &shape, &batch, None, 4, &Device::flex());
            let loss = |weights: &Weights| {
                let outputs = rows.iter().flat_map(|rows| textbook(weights, &shape, rows));
                let errors = outputs.zip(&batch.targets);
                errors
                    .map(|(value, target)| (value - f64::from(*target)).powi(2))
                    .sum::<f64>()
                    / 4.0
            };
            assert!((squares / 4.0 - loss(&weights)).abs() < 1e-5);
            // One parameter of each array, moved a little both ways.
            for (at, array) in weights.0.iter().enumerate() {
                let place = array.values.len() * 2 / 3;
                let moved = |by: f32| {
                    let mut weights = weights.clone();
                    weights.0[at].values[place] += by;
                    (weights.0[at].values[place], loss(&weights))
                };
                // So little that no value passes zero on the way; how much it was, 32 bits say.
                let ((high, above), (low, below)) = (moved(1e-4), moved(-1e-4));
                let slope = (above - below) / f64::from(high - low);
                let found = f64::from(gradient.0[at].values[place]);
                assert!(
                    (slope - found).abs() < 1e-3 * slope.abs().max(0.05),
                    "{}: {slope} {found}",
                    array.name
                );
            }
        }
    }

    #[test]
    fn a_dropped_value_has_no_part() {
        let shape = Shape {
            features: 2,
            targets: 1,
            input: 29,
            horizon: 1,
        };
        let weights = Weights::random(&shape, 5);
        let (batch, _) = batch(&shape, 4);
        let with = |probability| {
            let random = Random::of(1, &[]);
            let dropout = Dropout {
                probability,
                random,
            };
            gradient(&weights, &shape, &batch, Some(dropout), 4, &Device::flex()).0
        };
        let without = gradient(&weights, &shape, &batch, None, 4, &Device::flex()).0;
        assert_eq!(with(0.0), without);
        assert_ne!(with(0.5), without);
        assert_eq!(with(0.5), with(0.5));
    }
}
