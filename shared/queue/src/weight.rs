//! What requests to a host weigh: counted before they are sent, by all processes of a queue together.
//!
//! A host counts by its own minutes, which nobody here can see the beginning of. So no minute, wherever it begins, may
//! hold more than the most: what was taken counts for [`WINDOW`] slices of time, a little more than a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{millis, until};

/// The time that is counted together, in milliseconds.
pub(crate) const SLICE_MS: i64 = 5_000;

/// Slices that count: a minute, the slice that is not over, and one for requests that are under way.
pub(crate) const WINDOW: i64 = 14;

/// Slices that a host's own minute can hold at most.
pub(crate) const MINUTE: i64 = 12;

/// What was taken of one host, and until when it wants no request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostWeight {
    hold_until_ms: i64,
    taken: BTreeMap<i64, u64>,
}

impl HostWeight {
    /// Takes the weight of a request at a time in milliseconds, or says when to ask again.
    pub fn take(&mut self, now: i64, weight: u32, most: u32) -> Option<Duration> {
        let held = until(self.hold_until_ms, now);
        if !held.is_zero() {
            return Some(held);
        }
        let slice = now.div_euclid(SLICE_MS);
        self.forget(slice);
        // What weighs more than all there is waits until nothing is taken.
        let room = u64::from(most.saturating_sub(weight));
        let mut left: u64 = self.taken.values().sum();
        if left <= room {
            *self.taken.entry(slice).or_default() += u64::from(weight);
            return None;
        }
        for (&slice, &taken) in &self.taken {
            left -= taken;
            if left <= room {
                return Some(until((slice + WINDOW) * SLICE_MS, now));
            }
        }
        unreachable!("when all is forgotten nothing is left")
    }

    /// Counts what others must have taken, if the host counted more than we did; and holds.
    pub fn correct(&mut self, now: i64, used: Option<u32>, hold: Option<Duration>) {
        let slice = now.div_euclid(SLICE_MS);
        self.forget(slice);
        let ours: u64 = self
            .taken
            .range(slice - MINUTE..)
            .map(|(_, taken)| taken)
            .sum();
        let others = used.map_or(0, |used| u64::from(used).saturating_sub(ours));
        if others > 0 {
            *self.taken.entry(slice).or_default() += others;
        }
        if let Some(hold) = hold {
            self.hold_until_ms = self.hold_until_ms.max(now + millis(hold));
        }
    }

    fn forget(&mut self, slice: i64) {
        self.taken = self.taken.split_off(&(slice - WINDOW + 1));
    }

    /// As the stores keep it: the hold, then each slice and what was taken in it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = self.hold_until_ms.to_string();
        for (slice, taken) in &self.taken {
            text.push_str(&format!(" {slice}:{taken}"));
        }
        text
    }

    /// Reads [`HostWeight::to_text`] back; nothing of what it is not.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut words = text.split(' ');
        let hold_until_ms = words.next().and_then(|word| word.parse().ok());
        let taken = words.filter_map(|word| {
            let (slice, taken) = word.split_once(':')?;
            Some((slice.parse().ok()?, taken.parse().ok()?))
        });
        Self {
            hold_until_ms: hold_until_ms.unwrap_or_default(),
            taken: taken.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_most(
            asks in prop::collection::vec((0i64..20_000, 1u32..60), 1..300), most in 60u32..200
        ) {
            let mut host = HostWeight::default();
            let mut granted: Vec<(i64, u32)> = Vec::new();
            let mut now = 1_700_000_000_123;
            for (pause, weight) in asks {
                now += pause;
                if host.take(now, weight, most).is_none() {
                    granted.push((now, weight));
                }
                host = HostWeight::of_text(&host.to_text());
                let minute = granted.iter().filter(|(at, _)| now - at < 65_000);
                prop_assert!(minute.map(|(_, weight)| weight).sum::<u32>() <= most);
            }
        }

        #[test]
        fn who_waits_as_long_as_told_is_served_then(
            before in prop::collection::vec((0i64..9_000, 1u32..60), 1..60), weight in 1u32..100, most in 1u32..120
        ) {
            let mut host = HostWeight::default();
            let mut now = 1_700_000_000_123;
            for (pause, weight) in before {
                now += pause;
                host.take(now, weight, most);
            }
            if let Some(wait) = host.take(now, weight, most) {
                prop_assert!(!wait.is_zero());
                now += millis(wait);
                prop_assert_eq!(host.take(now, weight, most), None);
            }
        }
    }
}
