//! Which faults a request meets, and how often each has been met.

use std::collections::HashMap;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::faults::{Fault, Faults, When};
use super::glob;

/// Paths whose requests are counted; beyond them a counted fault no longer fires.
const MOST_COUNTED: usize = 1_000_000;

/// What a request asks for, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Head,
    Body,
    /// A page of a listing, from 1.
    Listing(u64),
}

/// What goes wrong with one reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) names: Vec<&'static str>,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) redirect: Option<Option<String>>,
    pub(crate) html: bool,
    pub(crate) empty_listing: bool,
    pub(crate) cut_percent: Option<u8>,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) stall: Option<(f64, u8)>,
    pub(crate) wrong_checksum: bool,
    pub(crate) corrupt_percent: Option<u8>,
    pub(crate) length_delta: i64,
    pub(crate) ignore_range: bool,
    pub(crate) no_etag: bool,
    pub(crate) no_last_modified: bool,
    /// The number of the request on its path, when each sees another version.
    pub(crate) version: Option<u64>,
}

/// The rules in force and how often each has been asked.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    faults: Faults,
    per_path: HashMap<(usize, String), u64>,
    per_rule: Vec<u64>,
}

impl FaultBook {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            per_rule: vec![0; faults.rules.len()],
            per_path: HashMap::new(),
            faults,
        }
    }

    /// What goes wrong with the reply to this request; counts it.
    pub(crate) fn decide(&mut self, path: &str, asked: Asked) -> Effects {
        let mut effects = Effects::default();
        for (at, rule) in self.faults.rules.iter().enumerate() {
            if !rule.fault.concerns(asked, path) || !glob::matches(&rule.path, path) {
                continue;
            }
            let key = (at, path.to_owned());
            let has_room = self.per_path.len() < MOST_COUNTED;
            let nth = if has_room || self.per_path.contains_key(&key) {
                let count = self.per_path.entry(key).or_default();
                *count += 1;
                *count
            } else {
                u64::MAX
            };
            self.per_rule[at] += 1;
            let due = match rule.when {
                When::Always => true,
                When::First(n) => nth <= n,
                When::After(n) => nth > n,
                When::Times(n) => self.per_rule[at] <= n,
                When::Probability(p) => draw(self.faults.seed, at, path, nth) < p,
            };
            if due {
                effects.add(&rule.fault, nth);
            }
        }
        effects
    }
}

impl Effects {
    fn add(&mut self, fault: &Fault, nth: u64) {
        self.names.push(fault.name());
        match fault {
            Fault::Cut { after_percent } => self.cut_percent = Some(*after_percent),
            Fault::Status {
                status,
                retry_after,
            } => {
                self.status = Some(*status);
                self.retry_after = *retry_after;
            }
            Fault::Slow { bytes_per_second } => self.bytes_per_second = Some(*bytes_per_second),
            Fault::Stall {
                seconds,
                after_percent,
            } => {
                self.stall = Some((*seconds, *after_percent));
            }
            Fault::WrongChecksum => self.wrong_checksum = true,
            Fault::Corrupt { at_percent } => self.corrupt_percent = Some(*at_percent),
            Fault::WrongLength { delta } => self.length_delta = *delta,
            Fault::IgnoreRange => self.ignore_range = true,
            Fault::NoEtag => self.no_etag = true,
            Fault::NoLastModified => self.no_last_modified = true,
            Fault::EtagChanges => self.version = Some(nth),
            Fault::Html => self.html = true,
            Fault::ListingPage { status, .. } => self.status = Some(*status),
            Fault::EmptyListing => self.empty_listing = true,
            Fault::Redirect { to } => self.redirect = Some(to.clone()),
        }
    }
}

/// A number in 0..1 that depends on its arguments alone.
fn draw(seed: u64, rule: usize, path: &str, nth: u64) -> f64 {
    // FNV-1a: stable across releases, which std's hasher does not promise.
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ seed;
    let numbers = [rule as u64, nth];
    let bytes = path
        .bytes()
        .chain(numbers.iter().flat_map(|n| n.to_le_bytes()));
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Xoshiro256PlusPlus::seed_from_u64(hash).random()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "data/spot/x.zip";

    #[test]
    fn the_first_requests_of_each_path_fail_and_the_next_do_not() {
        let fault = Fault::Status {
            status: 503,
            retry_after: None,
        };
        let mut book = FaultBook::new(Faults::one("**.zip", fault, When::First(2)));

        let fired =
            [KEY, KEY, KEY, "data/y.zip"].map(|key| book.decide(key, Asked::Body).status.is_some());

        assert_eq!(fired, [true, true, false, true]);
    }

    #[test]
    fn a_probability_is_met_and_repeatable() {
        let fault = Fault::Html;
        let faults = Faults::one("**", fault, When::Probability(0.3));
        let fired = |faults: &Faults| -> Vec<bool> {
            let mut book = FaultBook::new(faults.clone());
            (0..2_000)
                .map(|_| book.decide(KEY, Asked::Body).html)
                .collect()
        };

        let (first, second) = (fired(&faults), fired(&faults));

        assert_eq!(first, second);
        let count = first.into_iter().filter(|fired| *fired).count();
        assert!((500..700).contains(&count), "{count} of 2000");
    }

    #[test]
    fn a_head_does_not_use_up_a_cut() {
        let fault = Fault::Cut { after_percent: 50 };
        let mut book = FaultBook::new(Faults::one("**", fault, When::First(1)));

        let head = book.decide(KEY, Asked::Head);
        let body = book.decide(KEY, Asked::Body);

        assert_eq!(head.cut_percent, None);
        assert_eq!(body.cut_percent, Some(50));
    }
}
