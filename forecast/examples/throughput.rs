//! How many windows a second are trained on and forecast.
use std::time::Instant;
use tapemill_forecast::{
    network::{self, Batch, Dropout},
    random::Random,
    shape::{Shape, receptive_rows},
    weights::Weights,
};

fn main() {
    let shape = Shape {
        features: 7,
        targets: 1,
        input: 100,
        horizon: 10,
    };
    let weights = Weights::random(&shape, 1);
    for (windows, threads) in [
        (32usize, 1usize),
        (64, 1),
        (128, 1),
        (256, 1),
        (64, 2),
        (128, 2),
    ] {
        let mut random = Random::of(1, &[]);
        let batch = Batch {
            windows,
            inputs: (0..receptive_rows() * windows * 7)
                .map(|_| random.within(1.0))
                .collect(),
            targets: (0..windows * 10).map(|_| random.within(1.0)).collect(),
        };
        let device = burn_tensor::Device::flex();
        let times = 4096 / windows / threads;
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..times {
                        let drop = Dropout {
                            probability: 0.1,
                            random: Random::of(1, &[2]),
                        };
                        network::gradient(
                            &weights,
                            &shape,
                            &batch,
                            Some(drop),
                            windows * 10,
                            &device,
                        );
                    }
                });
            }
        });
        let train = (windows * times * threads) as f64 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        for _ in 0..times {
            network::forecast(&weights, &shape, &batch, &device);
        }
        println!(
            "{windows} x {threads}: train {train:.0}/s, forecast {:.0}/s",
            (windows * times) as f64 / started.elapsed().as_secs_f64()
        );
    }
}
