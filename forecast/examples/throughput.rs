//! How many windows a second are trained on and forecast: `throughput BATCH THREADS SECONDS`, as a line of JSON. See bench/forecast/run.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

use std::time::{Duration, Instant};

use tapemill_forecast::adam::Adam;
use tapemill_forecast::compute::Compute;
use tapemill_forecast::prepared::{Columns, Prepared, Scales};
use tapemill_forecast::random::Random;
use tapemill_forecast::scaler::Scaler;
use tapemill_forecast::shape::Shape;
use tapemill_forecast::stretches::Holes;
use tapemill_forecast::table::Table;
use tapemill_forecast::weights::Weights;

/// More rows than a cache holds.
const ROWS: usize = 50_000;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let mut next = |usual| args.next().map_or(usual, |arg| arg.expect("a number"));
    let (batch, threads, seconds) = (next(256), next(2), next(5));
    let shape = Shape {
        features: 7,
        targets: 1,
        input: 100,
        horizon: 10,
    };
    let columns: Vec<_> = (0..shape.features)
        .map(|column| column.to_string())
        .collect();
    let mut random = Random::of(1, &[]);
    let table = Table {
        file: "made up".into(),
        columns: columns.clone(),
        rows: ROWS,
        values: (0..ROWS * shape.features)
            .map(|_| f64::from(random.within(1.7)))
            .collect(),
        times: None,
        stretches: std::iter::once(0..ROWS).collect(),
        holes: Holes::default(),
    };
    let columns = Columns {
        targets: vec![columns[2].clone()],
        features: columns,
    };
    let scales = Scales {
        features: Scaler::of(&table, &[0, 1, 2, 3, 4, 5, 6], &(0..ROWS)),
        targets: Scaler::of(&table, &[2], &(0..ROWS)),
    };
    let prepared = Prepared::of(&table, &columns, &scales, shape).expect("its columns are there");
    let mut starts: Vec<usize> = (0..ROWS - shape.rows()).collect();
    random.shuffle(&mut starts);
    let compute = Compute::cpu(threads);
    let (mut weights, mut adam) = (Weights::random(&shape, 1), Adam::new(&shape));
    let mut batches = starts.chunks_exact(batch).cycle().zip(0..);
    let train = rate(seconds, || {
        let (starts, at) = batches.next().expect("it goes on for ever");
        let (_, gradient) =
            compute.gradient(&weights, &prepared, starts, Some((0.1, 1, [3, 1, at])));
        adam.step(&mut weights, &gradient, 1e-3, 1e-5);
        starts.len()
    });
    let mut batches = starts.chunks_exact(batch).cycle();
    let forecast = rate(seconds, || {
        let starts = batches.next().expect("it goes on for ever");
        compute.forecasts(&weights, &prepared, starts).len() / shape.outputs()
    });
    println!("{{\"train\": {train:.1}, \"forecast\": {forecast:.1}}}");
}

/// Windows a second, over so many seconds, after two batches to get warm.
fn rate(seconds: usize, mut batch: impl FnMut() -> usize) -> f64 {
    batch();
    batch();
    let (begun, mut windows) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds as u64) {
        windows += batch();
    }
    windows as f64 / begun.elapsed().as_secs_f64()
}
