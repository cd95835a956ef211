//! The linear baseline: least squares over all values of a window.

use crate::prepared::Prepared;

/// The values of a window that it takes at most; of a longer one the newest rows.
const MOST_VALUES: usize = 1024;
/// The windows that it is made from at most, evenly taken.
const MOST_WINDOWS: usize = 20_000;
/// Added to the mean square of each value, which is 1 on the scale: so small that it only settles what the data leaves open.
const RIDGE: f64 = 1e-6;

/// Coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Rows of the window that are taken, its last ones.
    pub rows: usize,
    /// `(rows × features + 1) × outputs`; the last row is what is added.
    pub coefficients: Vec<f32>,
}

impl Linear {
    /// Rows of a window that are taken.
    pub fn rows_of(features: usize, input: usize) -> usize {
        (MOST_VALUES / features).clamp(1, input)
    }

    /// Solves for the coefficients with the least squared error over these windows, in closed form.
    pub fn fit(prepared: &Prepared, starts: &[usize]) -> Self {
        let shape = prepared.shape();
        let rows = Self::rows_of(shape.features, shape.input);
        let (size, outputs) = (rows * shape.features + 1, shape.outputs());
        let mut products = vec![0.0; size * size];
        let mut results = vec![0.0; size * outputs];
        let taken: Vec<usize> = starts
            .iter()
            .copied()
            .step_by(starts.len().div_ceil(MOST_WINDOWS).max(1))
            .collect();
        // Four windows at a time: the matrix goes through the cache a quarter as often.
        for four in taken.chunks(4) {
            let mut values = [const { Vec::new() }; 4];
            for (values, start) in values.iter_mut().zip(four) {
                values.extend(
                    prepared
                        .input(*start, rows)
                        .iter()
                        .map(|value| f64::from(*value)),
                );
                values.push(1.0);
            }
            values
                .iter_mut()
                .for_each(|values| values.resize(size, 0.0));
            let [a, b, c, d] = &values;
            for row in 0..size {
                let line = &mut products[row * size..][row..size];
                let others = a[row..].iter().zip(&b[row..]).zip(&c[row..]).zip(&d[row..]);
                for (product, (((a_value, b_value), c_value), d_value)) in
                    line.iter_mut().zip(others)
                {
                    *product +=
                        a[row] * a_value + b[row] * b_value + c[row] * c_value + d[row] * d_value;
                }
            }
            for (values, start) in values.iter().zip(four) {
                let target = prepared.target(*start);
                for (value, line) in values.iter().zip(results.chunks_exact_mut(outputs)) {
                    for (result, target) in line.iter_mut().zip(target) {
                        *result += value * f64::from(*target);
                    }
                }
            }
        }
        for at in 0..size {
            products[at * size + at] += RIDGE * taken.len().max(1) as f64;
        }
        solve(&mut products, &mut results, size, outputs);
        Self {
            rows,
            coefficients: results.into_iter().map(|value| value as f32).collect(),
        }
    }

    /// The forecast of one window: horizon × targets, scaled.
    pub fn forecast(&self, prepared: &Prepared, start: usize) -> Vec<f32> {
        let outputs = prepared.shape().outputs();
        let values = prepared
            .input(start, self.rows)
            .iter()
            .copied()
            .chain([1.0]);
        let mut forecast = vec![0.0; outputs];
        for (value, line) in values.zip(self.coefficients.chunks_exact(outputs)) {
            for (forecast, coefficient) in forecast.iter_mut().zip(line) {
                *forecast += value * coefficient;
            }
        }
        forecast
    }
}

/// Solves `products × x = results` for a positive definite matrix whose upper half is given, by Cholesky's `Rᵀ R`; `x` takes the place
/// of `results`.
fn solve(products: &mut [f64], results: &mut [f64], size: usize, outputs: usize) {
    for row in 0..size {
        let (above, below) = products.split_at_mut((row + 1) * size);
        let line = &mut above[row * size..];
        // Rounding may leave nothing of a value that others determine: it is then left out.
        let pivot = line[row].max(f64::MIN_POSITIVE).sqrt();
        line[row..].iter_mut().for_each(|value| *value /= pivot);
        for (at, other) in below.chunks_exact_mut(size).enumerate() {
            let column = row + 1 + at;
            let factor = line[column];
            for (value, taken) in other[column..].iter_mut().zip(&line[column..]) {
                *value -= factor * taken;
            }
        }
    }
    for row in 0..size {
        let (done, rest) = results.split_at_mut((row + 1) * outputs);
        let line = &mut done[row * outputs..];
        line.iter_mut()
            .for_each(|value| *value /= products[row * size + row]);
        for (at, other) in rest.chunks_exact_mut(outputs).enumerate() {
            let factor = products[row * size + row + 1 + at];
            other
                .iter_mut()
                .zip(&*line)
                .for_each(|(value, taken)| *value -= factor * taken);
        }
    }
    for row in (0..size).rev() {
        let (before, line) = results.split_at_mut(row * outputs);
        let line = &mut line[..outputs];
        line.iter_mut()
            .for_each(|value| *value /= products[row * size + row]);
        for (at, other) in before.chunks_exact_mut(outputs).enumerate() {
            let factor = products[at * size + row];
            other
                .iter_mut()
                .zip(&*line)
                .for_each(|(value, taken)| *value -= factor * taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        // [[4, 2, 1], [2, 5, 3], [1, 3, 6]] × [[1, 2], [-1, 0], [3, 1]]
        let mut products = vec![4., 2., 1., 0., 5., 3., 0., 0., 6.];
        let mut results = vec![5., 9., 6., 7., 16., 8.];
        solve(&mut products, &mut results, 3, 2);
        for (value, expected) in results.iter().zip([1., 2., -1., 0., 3., 1.]) {
            assert!((value - expected).abs() < 1e-12, "{results:?}");
        }
    }
}
