//! Whether a process is alive (its loops turn) and ready (it may be given work).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A loop is given up for stuck when it has not turned for this many of its longest periods.
const PERIODS: u32 = 3;

/// The health of a process, shared by its loops and its server. Clones are the same health.
///
/// Alive tests no dependency: restarting a process does not heal its queue. Ready does.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

type Ready = dyn Fn() -> Result<(), String> + Send + Sync;

struct Inner {
    loops: Mutex<BTreeMap<u64, Loop>>,
    draining: CancellationToken,
    ready: Box<Ready>,
}

struct Loop {
    name: &'static str,
    longest_period: Duration,
    turned: Instant,
}

impl Health {
    /// Of a process that drains when the token fires; `ready` gives the reason why it is not, if there is one.
    pub fn new(
        draining: CancellationToken,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            loops: Mutex::default(),
            draining,
            ready: Box::new(ready),
        }))
    }

    /// Has a loop watched that turns at least once in `longest_period`, its longest calls included, until the ticker
    /// is dropped.
    pub fn watch(&self, name: &'static str, longest_period: Duration) -> Ticker {
        let mut loops = self.loops();
        let id = loops.last_key_value().map_or(0, |(id, _)| id + 1);
        let watched = Loop {
            name,
            longest_period,
            turned: Instant::now(),
        };
        loops.insert(id, watched);
        Ticker {
            health: self.clone(),
            id,
        }
    }

    /// Whether all loops turn.
    ///
    /// # Errors
    ///
    /// Names the first that does not.
    pub fn alive(&self) -> Result<(), String> {
        self.alive_at(Instant::now())
    }

    fn alive_at(&self, now: Instant) -> Result<(), String> {
        for watched in self.loops().values() {
            let still = now.saturating_duration_since(watched.turned);
            if still > watched.longest_period * PERIODS {
                return Err(format!(
                    "the {} loop has not turned for {} s",
                    watched.name,
                    still.as_secs()
                ));
            }
        }
        Ok(())
    }

    /// Whether the process may be given work.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.0.draining.is_cancelled() {
            return Err("draining".to_owned());
        }
        (self.0.ready)()
    }

    fn loops(&self) -> MutexGuard<'_, BTreeMap<u64, Loop>> {
        self.0.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("alive", &self.alive())
            .field("ready", &self.ready())
            .finish()
    }
}

/// One watched loop. Dropping it ends the watch: a loop that ended is not stuck.
#[derive(Debug)]
pub struct Ticker {
    health: Health,
    id: u64,
}

impl Ticker {
    /// The loop turned.
    pub fn tick(&self) {
        if let Some(watched) = self.health.loops().get_mut(&self.id) {
            watched.turned = Instant::now();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.health.loops().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_process_is_alive_while_every_loop_turned_within_three_periods() {
        let health = Health::new(CancellationToken::new(), || Ok(()));
        let begun = Instant::now();
        let slow = health.watch("planner", 60 * SECOND);
        let quick = health.watch("claim", SECOND);

        assert_eq!(health.alive_at(begun + 3 * SECOND), Ok(()));
        let stuck = health.alive_at(begun + 5 * SECOND).unwrap_err();
        assert!(
            stuck.starts_with("the claim loop has not turned"),
            "{stuck}"
        );

        drop(quick);
        assert_eq!(health.alive_at(begun + 5 * SECOND), Ok(()));
        assert!(health.alive_at(begun + 200 * SECOND).is_err());
        slow.tick();
        assert_eq!(health.alive(), Ok(()));
    }

    #[test]
    fn a_draining_process_is_alive_and_not_ready() {
        let draining = CancellationToken::new();
        let health = Health::new(draining.clone(), || Ok(()));
        assert_eq!(health.ready(), Ok(()));

        draining.cancel();

        assert_eq!(health.alive(), Ok(()));
        assert_eq!(health.ready(), Err("draining".to_owned()));
    }

    #[test]
    fn a_process_without_its_store_says_so() {
        let health = Health::new(CancellationToken::new(), || Err("no answer".to_owned()));

        assert_eq!(health.ready(), Err("no answer".to_owned()));
    }
}
