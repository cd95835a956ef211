//! The optimiser.

use crate::shape::Shape;
use crate::weights::Weights;

/// Adam (Kingma and Ba, 2015) with PyTorch's constants and its `weight_decay`, which is added to the gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Steps taken.
    pub steps: u64,
    /// The running mean of each gradient.
    pub mean: Weights,
    /// The running mean of its square.
    pub square: Weights,
}

const MEAN_KEPT: f64 = 0.9;
const SQUARE_KEPT: f64 = 0.999;
const EPSILON: f32 = 1e-8;

impl Adam {
    /// Before the first step.
    pub fn new(shape: &Shape) -> Self {
        Self {
            steps: 0,
            mean: Weights::zeros(shape),
            square: Weights::zeros(shape),
        }
    }

    /// Moves the weights against the gradient.
    pub fn step(&mut self, weights: &mut Weights, gradient: &Weights, rate: f64, decay: f64) {
        self.steps += 1;
        let correction = |kept: f64| 1.0 - kept.powf(self.steps as f64);
        let size = (rate / correction(MEAN_KEPT)) as f32;
        let root = correction(SQUARE_KEPT).sqrt() as f32;
        let (mean_kept, square_kept, decay) = (MEAN_KEPT as f32, SQUARE_KEPT as f32, decay as f32);
        let (mean_new, square_new) = ((1.0 - MEAN_KEPT) as f32, (1.0 - SQUARE_KEPT) as f32);
        let moments = self.mean.0.iter_mut().zip(&mut self.square.0);
        let arrays = weights.0.iter_mut().zip(&gradient.0).zip(moments);
        for ((weights, gradient), (mean, square)) in arrays {
            let moments = mean.values.iter_mut().zip(&mut square.values);
            let each = weights.values.iter_mut().zip(&gradient.values).zip(moments);
            for ((weight, gradient), (mean, square)) in each {
                let gradient = gradient + decay * *weight;
                *mean = mean_kept * *mean + mean_new * gradient;
                *square = square_kept * *square + square_new * gradient * gradient;
                *weight -= size * *mean / (square.sqrt() / root + EPSILON);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_as_long_as_the_rate() {
        let shape = Shape {
            features: 1,
            targets: 1,
            input: 1,
            horizon: 1,
        };
        let mut weights = Weights::zeros(&shape);
        let mut gradient = Weights::zeros(&shape);
        gradient.0[0].values[0] = 3.0;
        gradient.0[0].values[1] = -0.001;
        let mut adam = Adam::new(&shape);
        adam.step(&mut weights, &gradient, 0.01, 0.0);
        let moved = &weights.0[0].values;
        assert!(
            (moved[0] + 0.01).abs() < 1e-7 && (moved[1] - 0.01).abs() < 1e-6,
            "{:?}",
            &moved[..2]
        );
        assert_eq!(moved[2], 0.0);
    }
}
