//! A cap on the bytes that all transfers of a process bring together.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::{ArchiveError, Body};

/// What a transfer may bring at once before another has its turn.
const SLICE: usize = 16 << 10;

/// How far the bytes may run ahead of their time: timers are coarse, and a sleeper that wakes late catches up by it.
const AHEAD: Duration = Duration::from_millis(100);

/// A token bucket, without a clock of its own: `rate` bytes a second, and at most [`AHEAD`] of that at once.
#[derive(Debug)]
struct Bucket {
    rate: NonZeroU64,
    /// When the bytes taken so far are paid for.
    paid: Option<Instant>,
}

impl Bucket {
    fn new(rate: NonZeroU64) -> Self {
        Self { rate, paid: None }
    }

    /// Takes bytes: how long whoever took them has to wait. Later takers wait for those before.
    fn take(&mut self, now: Instant, bytes: usize) -> Duration {
        let price = Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        // What was not used is lost: an idle hour is no reason for a burst.
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + price;
        self.paid = Some(paid);
        (paid - now).saturating_sub(AHEAD)
    }
}

/// A cap shared by all transfers of a process: each brings its bytes in small slices, in turn.
#[derive(Debug)]
pub struct Bandwidth(Mutex<Bucket>);

impl Bandwidth {
    /// At most so many bytes a second.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(Mutex::new(Bucket::new(bytes_per_second)))
    }

    /// Counts bytes that came, and returns when the next may come.
    pub async fn pass(&self, bytes: usize) {
        let wait = {
            let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(Instant::now(), bytes)
        };
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// A body that comes no faster than the cap allows. What it does not take stays in the socket, which slows the
    /// server down.
    pub(crate) fn pace(self: Arc<Self>, body: Body) -> Body {
        body.map_ok(|chunk| stream::iter(slices(chunk).map(Ok::<_, ArchiveError>)))
            .try_flatten()
            .and_then(move |slice| {
                let bandwidth = self.clone();
                async move {
                    bandwidth.pass(slice.len()).await;
                    Ok(slice)
                }
            })
            .boxed()
    }
}

fn slices(mut chunk: Bytes) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || {
        let length = chunk.len().min(SLICE);
        (length > 0).then(|| chunk.split_to(length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    fn rate(bytes_per_second: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes_per_second).unwrap()
    }

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn bytes_are_paid_for_one_after_another() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(rate(1_000));

        let waits = [100, 100, 300, 0].map(|bytes| bucket.take(begin, bytes));

        assert_eq!(waits, [0, 100, 400, 400].map(milliseconds));
    }

    #[test]
    fn who_comes_when_all_is_paid_for_does_not_wait() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(rate(1_000));
        bucket.take(begin, 1_000);

        assert_eq!(
            bucket.take(begin + milliseconds(1_000), 100),
            Duration::ZERO
        );
    }

    #[test]
    fn an_idle_hour_allows_no_burst() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(rate(1_000));
        bucket.take(begin, 100);
        let later = begin + Duration::from_secs(3_600);

        assert_eq!(bucket.take(later, 1_000), milliseconds(900));
    }

    #[test]
    fn whoever_sleeps_too_long_makes_up_for_it() {
        let mut now = Instant::now();
        let begin = now;
        let mut bucket = Bucket::new(rate(1_000_000));

        // 16,384 bytes are worth 16 ms, and each sleep takes 7 ms more than it should.
        for _ in 0..1_000 {
            let wait = bucket.take(now, SLICE);
            if !wait.is_zero() {
                now += wait + milliseconds(7);
            }
        }

        let bytes_per_second = (1_000 * SLICE) as f64 / (now - begin).as_secs_f64();
        assert!(
            (990_000.0..=1_010_000.0).contains(&bytes_per_second),
            "{bytes_per_second}"
        );
    }

    #[test]
    fn a_byte_a_second_is_a_rate_and_the_largest_never_waits() {
        let begin = Instant::now();

        let slow = Bucket::new(rate(1)).take(begin, SLICE);
        let fast = Bucket::new(rate(u64::MAX)).take(begin, 64 << 20);

        assert_eq!(slow, Duration::from_secs(16_384) - AHEAD);
        assert_eq!(fast, Duration::ZERO);
    }

    fn body(chunk: usize, brought: Arc<AtomicUsize>) -> Body {
        let chunks = std::iter::repeat_with(move || Ok(Bytes::from(vec![0; chunk])));
        stream::iter(chunks)
            .inspect_ok(move |chunk: &Bytes| {
                brought.fetch_add(chunk.len(), Relaxed);
            })
            .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_share_alike_though_one_comes_in_large_chunks() {
        let bandwidth = Arc::new(Bandwidth::new(rate(1_000_000)));
        let [large, small] = [400 << 10, 16 << 10].map(|chunk| {
            let brought = Arc::new(AtomicUsize::new(0));
            let passed = brought.clone();
            let body = bandwidth.clone().pace(body(chunk, Arc::default()));
            let body = body.inspect_ok(move |slice| {
                passed.fetch_add(slice.len(), Relaxed);
            });
            tokio::spawn(body.try_for_each(|_| async { Ok(()) }));
            brought
        });

        sleep(Duration::from_secs(10)).await;

        let [large, small] = [large, small].map(|brought| brought.load(Relaxed));
        // Whoever comes first may have all that runs ahead, once.
        let ahead = 100_000 + 2 * SLICE;
        assert!(large.abs_diff(small) <= ahead, "{large} and {small}");
        let both = (large + small) as u64;
        assert!(
            (9_900_000..=10_100_000 + 2 * SLICE as u64).contains(&both),
            "{both}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_come_yet_is_not_read() {
        let bandwidth = Arc::new(Bandwidth::new(rate(100_000)));
        let read = Arc::new(AtomicUsize::new(0));
        let mut paced = bandwidth.pace(body(SLICE, read.clone()));
        tokio::spawn(async move { while paced.next().await.is_some() {} });

        sleep(Duration::from_secs(10)).await;

        let read = read.load(Relaxed);
        assert!(read <= 1_010_000 + 2 * SLICE, "{read} bytes were read");
    }

    #[tokio::test]
    async fn a_paced_body_has_the_same_bytes() {
        let whole: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
        let chunks: Vec<_> = whole
            .chunks(40_000)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let bandwidth = Arc::new(Bandwidth::new(rate(u64::MAX)));

        let paced = bandwidth.pace(stream::iter(chunks).boxed());
        let slices: Vec<Bytes> = paced.try_collect().await.unwrap();

        assert!(slices.iter().all(|slice| slice.len() <= SLICE));
        assert!(slices.concat() == whole);
    }
}
