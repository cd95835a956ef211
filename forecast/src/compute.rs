//! Where the network is computed: on this machine's cores, or on a GPU.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use burn_tensor::Device;

use crate::network::{self, Dropout};
use crate::prepared::Prepared;
use crate::random::Random;
use crate::weights::Weights;

/// Windows that a core takes at a time. Fixed, and sums are taken in the order of the windows: so results do not depend on how many
/// cores there are, or on which is faster.
const SHARE: usize = 64;

/// Windows that a GPU takes at a time.
#[cfg(feature = "gpu")]
const GPU_SHARE: usize = 4096;

/// A device, and how work is cut for it.
#[derive(Debug, Clone)]
pub struct Compute {
    device: Device,
    threads: usize,
    share: usize,
}

impl Compute {
    /// This machine, with so many threads; 0 for one a core.
    pub fn cpu(threads: usize) -> Self {
        let cores = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            device: Device::flex(),
            threads: if threads == 0 { cores() } else { threads },
            share: SHARE,
        }
    }

    /// The GPU that the system names first, by Vulkan, Metal or DirectX.
    #[cfg(feature = "gpu")]
    pub fn gpu() -> Self {
        Self {
            device: Device::wgpu(burn_tensor::DeviceKind::DefaultDevice),
            threads: 1,
            share: GPU_SHARE,
        }
    }

    /// The sum of squared errors over some windows, and how their mean changes with each parameter. With dropout where a probability
    /// is given, its masks drawn from the seed and the place.
    pub fn gradient(
        &self,
        weights: &Weights,
        prepared: &Prepared,
        starts: &[usize],
        dropout: Option<(f64, u64, [u64; 3])>,
    ) -> (f64, Weights) {
        let shape = prepared.shape();
        let elements = starts.len() * shape.outputs();
        let shares = self.each_share(starts, |share, starts| {
            let dropout = dropout.map(|(probability, seed, [kind, epoch, batch])| Dropout {
                probability,
                random: Random::of(seed, &[kind, epoch, batch, share as u64]),
            });
            let batch = prepared.batch(starts, true);
            network::gradient(weights, shape, &batch, dropout, elements, &self.device)
        });
        let (mut squares, mut sum) = (0.0, Weights::zeros(shape));
        for (more, change) in shares {
            squares += more;
            sum.add(&change);
        }
        (squares, sum)
    }

    /// Forecasts of some windows: windows × horizon × targets, scaled.
    pub fn forecasts(&self, weights: &Weights, prepared: &Prepared, starts: &[usize]) -> Vec<f32> {
        let shares = self.each_share(starts, |_, starts| {
            let batch = prepared.batch(starts, false);
            network::forecast(weights, prepared.shape(), &batch, &self.device)
        });
        shares.concat()
    }

    /// What `work` makes of each share of the windows, in their order.
    fn each_share<T: Send>(
        &self,
        starts: &[usize],
        work: impl Fn(usize, &[usize]) -> T + Sync,
    ) -> Vec<T> {
        let shares: Vec<_> = starts.chunks(self.share).collect();
        let threads = self.threads.min(shares.len());
        if threads <= 1 {
            let each = |(share, starts): (usize, &&[usize])| work(share, starts);
            return shares.iter().enumerate().map(each).collect();
        }
        let next = AtomicUsize::new(0);
        let mut made: Vec<(usize, T)> = thread::scope(|scope| {
            let take = || {
                let mut made = Vec::new();
                loop {
                    let share = next.fetch_add(1, Ordering::Relaxed);
                    let Some(starts) = shares.get(share) else {
                        return made;
                    };
                    made.push((share, work(share, starts)));
                }
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
            let ended = workers.into_iter().flat_map(|worker| match worker.join() {
                Ok(made) => made,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect()
        });
        made.sort_by_key(|(share, _)| *share);
        made.into_iter().map(|(_, made)| made).collect()
    }
}
