//! What passes, and when.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Way;

/// The rules of a proxy, shared by its threads.
#[derive(Debug, Default)]
pub(super) struct Rules {
    current: Mutex<Current>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) held: bool,
    pub(super) refusing: bool,
    pub(super) closed: bool,
    up: Lane,
    down: Lane,
}

/// One way.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) latency: Duration,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// When what has passed so far is paid for.
    paid: Option<Instant>,
}

impl Current {
    pub(super) fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

impl Rules {
    pub(super) fn change(&self, change: impl FnOnce(&mut Current)) {
        change(&mut self.current());
        self.wake();
    }

    /// All rules of the beginning. Whether connections were refused until now.
    pub(super) fn heal(&self) -> bool {
        let before = std::mem::take(&mut *self.current());
        self.wake();
        before.refusing
    }

    /// Has all who wait look again.
    pub(super) fn wake(&self) {
        // Under the lock: whoever has just looked is waiting by now.
        let _current = self.current();
        self.changed.notify_all();
    }

    /// Whether a connection that was just taken is let go.
    pub(super) fn refuses(&self) -> bool {
        let rules = self.current();
        rules.refusing || rules.closed
    }

    /// Returns when connections are to be taken; `false`: never again. Where it must wait, the door is shut first.
    pub(super) fn serves(&self, mut shut: impl FnMut()) -> bool {
        let mut rules = self.current();
        while rules.refusing && !rules.closed {
            shut();
            rules = self.wait(rules);
        }
        !rules.closed
    }

    /// Returns when bytes that arrived at some time may go on; `false`: their connection was given up.
    pub(super) fn pass(
        &self,
        way: Way,
        arrived: Instant,
        bytes: usize,
        gone: impl Fn() -> bool,
    ) -> bool {
        let mut rules = self.current();
        loop {
            if gone() {
                return false;
            }
            if rules.held {
                rules = self.wait(rules);
                continue;
            }
            let now = Instant::now();
            let lane = rules.lane(way);
            let mut due = arrived + lane.latency;
            if lane.rate.is_some() {
                due = lane.paid.map_or(due, |paid| due.max(paid));
            }
            if now < due {
                let waited = self.changed.wait_timeout(rules, due - now);
                rules = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if let Some(rate) = lane.rate {
                let price = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
                lane.paid = Some(now + price);
            }
            return true;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, rules: MutexGuard<'a, Current>) -> MutexGuard<'a, Current> {
        let waited = self.changed.wait(rules);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}
