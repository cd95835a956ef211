//! How often and after what wait a request is repeated.

use std::time::Duration;

/// The budget of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Requests in a row without progress that fail the attempt; at least 1.
    pub requests: u32,
    /// The first wait; each further one is twice as long.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// The part of a wait that is random, 0 to 1, so that workers do not come back all at once.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            requests: 6,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(10),
            jitter: 0.5,
        }
    }
}

impl RetryPolicy {
    /// The wait after this many failures in a row.
    pub fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        let jitter = self.jitter.clamp(0.0, 1.0) * rand::random::<f64>();
        full.mul_f64(1.0 - jitter)
    }
}

/// Failures in a row, against a [`RetryPolicy`].
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    failures: u32,
}

impl Retry {
    /// A full budget.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// New bytes came: the budget is full again, and the wait short.
    pub fn progress(&mut self) {
        self.failures = 0;
    }

    /// Counts a request without progress: the wait before the next one, `None` when the budget is spent.
    pub fn failed(&mut self) -> Option<Duration> {
        self.failures += 1;
        (self.failures < self.policy.requests).then(|| self.policy.wait(self.failures))
    }

    /// The wait after a request that brought something before it was cut; costs nothing.
    pub fn after_progress(&self) -> Duration {
        self.policy.wait(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady() -> RetryPolicy {
        RetryPolicy {
            jitter: 0.0,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<u128> = [1, 2, 3, 6, 7, 4_000_000_000]
            .map(|failures| steady().wait(failures).as_millis())
            .to_vec();

        assert_eq!(waits, [200, 400, 800, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn jitter_only_shortens() {
        let policy = RetryPolicy::default();

        for _ in 0..100 {
            let wait = policy.wait(2).as_millis();
            assert!((200..=400).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn the_sixth_failure_in_a_row_ends_the_attempt() {
        let mut retry = Retry::new(steady());
        for _ in 0..5 {
            assert!(retry.failed().is_some());
        }

        assert_eq!(retry.failed(), None);
    }

    #[test]
    fn progress_fills_the_budget_again() {
        let mut retry = Retry::new(steady());
        for _ in 0..5 {
            retry.failed();
        }

        retry.progress();

        assert_eq!(retry.failed(), Some(Duration::from_millis(200)));
    }
}
