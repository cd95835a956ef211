//! Now, by both clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::recorder::Received;

/// When something comes that is taken now.
pub fn received_now() -> Received {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ns = since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    });
    Received {
        ns,
        at: Instant::now(),
    }
}
