//! How the archive fails for a while.

use std::fmt;

use tapemill_standin::server::{Fault, Faults, When};

use crate::Dice;

const ZIPS: &str = "**.zip";

/// One way to fail. All of them are such that a reader who asks again gets what is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storm {
    /// 429 with `Retry-After`, at the first request of each file.
    Brake,
    /// 403 with `Retry-After`, a few times.
    Refusal,
    /// 503, half of the time, listings included.
    Down,
    /// Transfers are cut after this share of them.
    Cut(u8),
    /// Transfers come to a halt.
    Stall,
    /// A byte is flipped once a file, at this share of it: no two storms flip the same, since a file that is broken in
    /// the same way twice is broken.
    Flip(u8),
    /// Ends this many bytes before its end, once a file.
    Truncate(u8),
    /// Range requests are not understood, and transfers cut.
    NoRanges,
    /// Redirects.
    Redirect,
}

impl Storm {
    /// The one that comes as the `nth` of a schedule.
    pub(super) fn roll(dice: &mut Dice, nth: u8) -> Self {
        match dice.below(9) {
            0 => Self::Brake,
            1 => Self::Refusal,
            2 => Self::Down,
            3 => Self::Cut(20 + nth % 60),
            4 => Self::Stall,
            5 => Self::Flip(1 + nth % 98),
            6 => Self::Truncate(1 + nth),
            7 => Self::NoRanges,
            _ => Self::Redirect,
        }
    }

    /// Adds what goes wrong.
    pub(super) fn over(self, mut faults: Faults, seed: u64) -> Faults {
        faults.seed = seed;
        let status = |status, retry_after| Fault::Status {
            status,
            retry_after,
        };
        match self {
            Self::Brake => faults.and(ZIPS, status(429, Some(1)), When::First(1)),
            Self::Refusal => faults.and("**", status(403, Some(1)), When::Times(3)),
            Self::Down => faults.and("**", status(503, None), When::Probability(0.5)),
            Self::Cut(after_percent) => {
                faults.and(ZIPS, Fault::Cut { after_percent }, When::Probability(0.7))
            }
            Self::Stall => {
                let stall = Fault::Stall {
                    seconds: 3.0,
                    after_percent: 50,
                };
                faults.and(ZIPS, stall, When::Probability(0.3))
            }
            Self::Flip(at_percent) => {
                faults.and(ZIPS, Fault::Corrupt { at_percent }, When::First(1))
            }
            Self::Truncate(bytes) => {
                let delta = -i64::from(bytes);
                faults.and(ZIPS, Fault::WrongLength { delta }, When::First(1))
            }
            Self::NoRanges => faults.and(ZIPS, Fault::IgnoreRange, When::Always).and(
                ZIPS,
                Fault::Cut { after_percent: 60 },
                When::Probability(0.5),
            ),
            Self::Redirect => faults.and(ZIPS, Fault::Redirect { to: None }, When::Always),
        }
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brake => f.write_str("429 with Retry-After"),
            Self::Refusal => f.write_str("403 with Retry-After"),
            Self::Down => f.write_str("503 half of the time"),
            Self::Cut(percent) => write!(f, "transfers cut at {percent} %"),
            Self::Stall => f.write_str("transfers stall"),
            Self::Flip(percent) => write!(f, "a byte wrong at {percent} %, once a file"),
            Self::Truncate(bytes) => write!(f, "{bytes} bytes short, once a file"),
            Self::NoRanges => f.write_str("no ranges, and transfers cut"),
            Self::Redirect => f.write_str("redirects"),
        }
    }
}
