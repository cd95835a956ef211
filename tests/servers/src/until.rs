//! Waiting for what a test must be sure of.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything a test waits for; only a broken test gets here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
///
/// When it does not within a minute.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
