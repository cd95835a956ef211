//! The network's parameters, as plain numbers.

use crate::random::Random;
use crate::shape::{CHANNELS, KERNEL, Shape};

/// One array of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Its name in files, as PyTorch names it: `blocks.0.conv1.weight`.
    pub name: String,
    /// How it lies in memory: `rows × columns`, a bias with one row. A convolution's rows are its taps, oldest first, each with all
    /// channels that go in; its columns are the channels that come out.
    pub rows: usize,
    /// See [`Self::rows`].
    pub columns: usize,
    /// Rows in a tap: 0 for what is no convolution.
    pub tap_rows: usize,
    /// The numbers, row by row.
    pub values: Vec<f32>,
}

/// All parameters, in a fixed order: of each block both convolutions and, where the channels change, what brings the block's input to
/// its output; then the head. Each weight is followed by its bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights(pub Vec<Array>);

impl Weights {
    /// All zero: what an optimiser begins with.
    pub fn zeros(shape: &Shape) -> Self {
        let mut arrays = Vec::new();
        let mut layer =
            |name: String, taps: usize, channels_in: usize, channels_out: usize, dense: bool| {
                let rows = taps * channels_in;
                arrays.push(Array {
                    name: format!("{name}.weight"),
                    rows,
                    columns: channels_out,
                    tap_rows: if dense { 0 } else { channels_in },
                    values: vec![0.0; rows * channels_out],
                });
                arrays.push(Array {
                    name: format!("{name}.bias"),
                    rows: 1,
                    columns: channels_out,
                    tap_rows: 0,
                    values: vec![0.0; channels_out],
                });
            };
        for (block, &out) in CHANNELS.iter().enumerate() {
            let into = shape.channels_in(block);
            layer(format!("blocks.{block}.conv1"), KERNEL, into, out, false);
            layer(format!("blocks.{block}.conv2"), KERNEL, out, out, false);
            if into != out {
                layer(format!("blocks.{block}.residual"), 1, into, out, false);
            }
        }
        layer(
            "head".to_owned(),
            1,
            CHANNELS[CHANNELS.len() - 1],
            shape.outputs(),
            true,
        );
        Self(arrays)
    }

    /// What training begins with, as PyTorch's layers do: evenly within one over the root of the inputs of a value.
    pub fn random(shape: &Shape, seed: u64) -> Self {
        let mut weights = Self::zeros(shape);
        let mut bound = 0.0;
        for (place, array) in weights.0.iter_mut().enumerate() {
            // A bias has the bound of the weight before it.
            if array.rows > 1 {
                bound = 1.0 / (array.rows as f32).sqrt();
            }
            let mut random = Random::of(seed, &[INITIAL, place as u64]);
            array.values.fill_with(|| random.within(bound));
        }
        weights
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|array| array.values.len()).sum()
    }

    /// Adds another set of the same shape to this one.
    pub fn add(&mut self, other: &Self) {
        for (array, other) in self.0.iter_mut().zip(&other.0) {
            for (value, more) in array.values.iter_mut().zip(&other.values) {
                *value += more;
            }
        }
    }
}

/// Where in the seed's stream the first weights lie; see [`Random::of`].
const INITIAL: u64 = 1;

impl Array {
    /// The shape it has in files, which is PyTorch's: `[out, in, taps]` of a convolution, `[out, in]` of the head, `[out]` of a bias.
    pub fn file_shape(&self) -> Vec<usize> {
        match (self.rows, self.tap_rows) {
            (1, 0) => vec![self.columns],
            (rows, 0) => vec![self.columns, rows],
            (rows, tap_rows) => vec![self.columns, tap_rows, rows / tap_rows],
        }
    }

    /// The numbers in the order they have in files.
    pub fn file_values(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.values.len());
        self.each_in_file_order(|at| values.push(self.values[at]));
        values
    }

    /// Takes numbers in the order they have in files; as many as there are.
    pub fn set_file_values(&mut self, values: impl IntoIterator<Item = f32>) {
        let mut places = Vec::with_capacity(self.values.len());
        self.each_in_file_order(|at| places.push(at));
        for (at, value) in places.into_iter().zip(values) {
            self.values[at] = value;
        }
    }

    fn each_in_file_order(&self, mut visit: impl FnMut(usize)) {
        let tap_rows = if self.tap_rows == 0 {
            self.rows
        } else {
            self.tap_rows
        };
        for column in 0..self.columns {
            for channel in 0..tap_rows {
                for tap in 0..self.rows / tap_rows {
                    visit((tap * tap_rows + channel) * self.columns + column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED_SHAPE: Shape = Shape {
        features: 7,
        targets: 1,
        input: 100,
        horizon: 10,
    };

    #[test]
    fn seven_features_and_ten_outputs_make_122570_parameters() {
        assert_eq!(Weights::zeros(&SEED_SHAPE).count(), 122_570);
    }

    #[test]
    fn files_have_pytorchs_order() {
        let mut array = Array {
            name: "a.weight".to_owned(),
            rows: 6,
            columns: 2,
            tap_rows: 2,
            values: (0..12).map(|value| value as f32).collect(),
        };
        assert_eq!(array.file_shape(), [2, 2, 3]);
        // Out 0: channel 0 of taps 0, 1, 2, then channel 1 of them; then out 1.
        let expected = [0., 4., 8., 2., 6., 10., 1., 5., 9., 3., 7., 11.];
        assert_eq!(array.file_values(), expected);
        let before = array.clone();
        array.values.fill(0.0);
        array.set_file_values(expected);
        assert_eq!(array, before);
    }

    #[test]
    fn the_first_weights_are_within_their_bounds_and_the_seeds_own() {
        let weights = Weights::random(&SEED_SHAPE, 1);
        assert_eq!(weights, Weights::random(&SEED_SHAPE, 1));
        assert_ne!(weights, Weights::random(&SEED_SHAPE, 2));
        let first = &weights.0[0];
        let bound = 1.0 / 21_f32.sqrt();
        let largest = first
            .values
            .iter()
            .fold(0_f32, |most, value| most.max(value.abs()));
        assert!(largest <= bound && largest > 0.98 * bound, "{largest}");
    }
}
