use serde::{Deserialize, Serialize};

use super::fault_book::Asked;
use crate::StandinError;

const MOST_RULES: usize = 1_000;
const LONGEST_PATTERN: usize = 1_000;

/// Everything that goes wrong: all rules that match and are due apply together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Decides the faults that have a probability.
    pub seed: u64,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// One thing that goes wrong, where and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Keys it is about: `*` any run without a slash, `**` any run, `?` any one character. A listing is
    /// `?prefix=` and its prefix, so `?prefix=**` is every listing.
    pub path: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How often.
    #[serde(default)]
    pub when: When,
}

/// How often a rule fires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Each time.
    #[default]
    Always,
    /// The first n requests of each path.
    First(u64),
    /// All but the first n requests of each path.
    After(u64),
    /// The first n requests of all paths together.
    Times(u64),
    /// With this probability, 0 to 1, drawn from the seed, the path and the request's number on it: the same
    /// requests fail whatever the order in which the paths are asked for.
    Probability(f64),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The socket closes after this share of the declared body, rounded up to a byte.
    Cut {
        /// Per cent of what the reply declares.
        after_percent: u8,
    },
    /// This status instead of the file or listing.
    Status {
        /// 300 to 599.
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The body comes this slowly.
    Slow {
        /// At least 1.
        bytes_per_second: u64,
    },
    /// Nothing comes for a while, then the rest.
    Stall {
        /// How long.
        seconds: f64,
        /// After this share of the body.
        #[serde(default)]
        after_percent: u8,
    },
    /// A `.CHECKSUM` names another hash.
    WrongChecksum,
    /// One byte of the file comes out flipped, at this share of the file.
    Corrupt {
        /// Per cent of the file.
        at_percent: u8,
    },
    /// `Content-Length` says more (then the socket closes) or less (then the body is cut to it) than there is.
    WrongLength {
        /// Added to the true length.
        delta: i64,
    },
    /// `Range` is not understood: the whole file with 200.
    IgnoreRange,
    /// No `ETag`.
    NoEtag,
    /// No `Last-Modified`.
    NoLastModified,
    /// Every request sees another `ETag` and a later `Last-Modified`, as if the file were published anew each time.
    EtagChanges,
    /// An HTML page with 200.
    Html,
    /// The page of a listing fails.
    ListingPage {
        /// Counted from 1 at the start of the prefix.
        page: u64,
        /// 300 to 599.
        status: u16,
    },
    /// A listing without a key in it.
    EmptyListing,
    /// 302 to another place.
    Redirect {
        /// The `Location`; without one, the same file under a query that is not redirected again.
        #[serde(default)]
        to: Option<String>,
    },
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// One rule.
    pub fn one(path: &str, fault: Fault, when: When) -> Self {
        Self::none().and(path, fault, when)
    }

    /// These and one more rule.
    #[must_use]
    pub fn and(mut self, path: &str, fault: Fault, when: When) -> Self {
        let path = path.to_owned();
        self.rules.push(Rule { path, fault, when });
        self
    }

    /// Reads the rules from JSON: `{"seed": 1, "rules": [{"path": "**.zip", "fault": {"kind": "cut",
    /// "after_percent": 40}, "when": {"first": 2}}]}`.
    ///
    /// # Errors
    ///
    /// [`StandinError::Invalid`] says what is wrong and where.
    pub fn from_json(text: &str) -> Result<Self, StandinError> {
        let faults: Self = serde_json::from_str(text)
            .map_err(|error| StandinError::invalid("faults", error.to_string()))?;
        faults.check()?;
        Ok(faults)
    }

    pub(crate) fn check(&self) -> Result<(), StandinError> {
        if self.rules.len() > MOST_RULES {
            let why = format!("at most {MOST_RULES} rules");
            return Err(StandinError::invalid("faults", why));
        }
        self.rules.iter().enumerate().try_for_each(|(at, rule)| {
            let why = rule.problem();
            why.map_or(Ok(()), |why| {
                Err(StandinError::invalid(format!("fault rule {at}"), why))
            })
        })
    }
}

impl Rule {
    fn problem(&self) -> Option<&'static str> {
        if self.path.len() > LONGEST_PATTERN {
            return Some("the path is longer than 1000 bytes");
        }
        if let When::Probability(p) = self.when
            && !(0.0..=1.0).contains(&p)
        {
            return Some("a probability lies between 0 and 1");
        }
        match self.fault {
            Fault::Cut {
                after_percent: percent,
            }
            | Fault::Stall {
                after_percent: percent,
                ..
            }
            | Fault::Corrupt {
                at_percent: percent,
            } if percent > 100 => Some("a share lies between 0 and 100 per cent"),
            Fault::Stall { seconds, .. } if !(0.0..=86_400.0).contains(&seconds) => {
                Some("a stall lasts between 0 and 86400 seconds")
            }
            Fault::Slow {
                bytes_per_second: 0,
            } => Some("at least 1 byte per second"),
            Fault::Status { status, .. } | Fault::ListingPage { status, .. }
                if !(300..600).contains(&status) =>
            {
                Some("a status lies between 300 and 599")
            }
            _ => None,
        }
    }
}

impl Fault {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Status { .. } => "status",
            Self::Slow { .. } => "slow",
            Self::Stall { .. } => "stall",
            Self::WrongChecksum => "wrong_checksum",
            Self::Corrupt { .. } => "corrupt",
            Self::WrongLength { .. } => "wrong_length",
            Self::IgnoreRange => "ignore_range",
            Self::NoEtag => "no_etag",
            Self::NoLastModified => "no_last_modified",
            Self::EtagChanges => "etag_changes",
            Self::Html => "html",
            Self::ListingPage { .. } => "listing_page",
            Self::EmptyListing => "empty_listing",
            Self::Redirect { .. } => "redirect",
        }
    }

    /// Whether the fault can show in such a reply. One that cannot is not used up by it.
    pub(super) fn concerns(&self, asked: Asked, path: &str) -> bool {
        match self {
            Self::Status { .. } | Self::Html | Self::Redirect { .. } => true,
            Self::ListingPage { page, .. } => asked == Asked::Listing(*page),
            Self::EmptyListing => matches!(asked, Asked::Listing(_)),
            Self::WrongChecksum => asked == Asked::Body && path.ends_with(".CHECKSUM"),
            Self::NoEtag | Self::NoLastModified | Self::EtagChanges => {
                !matches!(asked, Asked::Listing(_))
            }
            Self::Cut { .. } | Self::Slow { .. } | Self::Stall { .. } => asked != Asked::Head,
            Self::Corrupt { .. } | Self::WrongLength { .. } | Self::IgnoreRange => {
                asked == Asked::Body
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_json_and_wrong_ones_refused() {
        let good = r#"{"seed": 7, "rules": [
            {"path": "**.zip", "fault": {"kind": "cut", "after_percent": 40}, "when": {"first": 2}},
            {"path": "?prefix=**", "fault": {"kind": "listing_page", "page": 2, "status": 500}}]}"#;
        let wrong = [
            r#"{"rules": [{"path": "**", "fault": {"kind": "cut", "after_percent": 101}}]}"#,
            r#"{"rules": [{"path": "**", "fault": {"kind": "cutt"}}]}"#,
            r#"{"rules": [{"path": "**", "fault": {"kind": "html"}, "when": {"probability": 2}}]}"#,
            r#"{"rule": []}"#,
            "",
        ];

        let faults = Faults::from_json(good).unwrap();

        assert_eq!(faults.rules[0].when, When::First(2));
        assert_eq!(faults.rules[1].when, When::Always);
        for text in wrong {
            assert!(Faults::from_json(text).is_err(), "{text}");
        }
    }
}
