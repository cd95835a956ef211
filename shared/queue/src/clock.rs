//! The store's clock, and one that tests move by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time a store lives by.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        millis(since_epoch)
    }
}

/// A clock that stands still until it is moved; clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Stands at `now_ms`, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Moves every clone forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Whole milliseconds, rounded up so that no wait ends early, and at most about 140 years:
/// adding one to a time cannot overflow.
pub(crate) fn millis(duration: Duration) -> i64 {
    const MOST: u128 = 1 << 42;
    let rounded_up = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(rounded_up.min(MOST)).expect("2^42 fits an i64")
}

/// The time from `now_ms` to `then_ms`, zero when that has passed.
pub(crate) fn until(then_ms: i64, now_ms: i64) -> Duration {
    let left_ms = then_ms.saturating_sub(now_ms);
    Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
}
