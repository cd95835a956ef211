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
