//! What tells one edition of an archive from another without its bytes.

use std::num::{NonZeroU16, NonZeroU32};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The edition of an archive that was listed or served, as far as the source tells: a fingerprint of its entity tag, and
/// the time of its last change in seconds.
///
/// Small, since a queue keeps one of each finished task: what is published anew has another time, and almost certainly (all
/// but one of 65,535) another fingerprint too. Times before 1970 and after 2106 count as not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    tag: Option<NonZeroU16>,
    changed_s: Option<NonZeroU32>,
}

impl Version {
    /// From an entity tag, weak or not, quoted or not, and a time as a listing (ISO 8601) or a header (an HTTP date) writes
    /// it; `None` where neither tells anything.
    pub fn of(etag: Option<&str>, last_modified: Option<&str>) -> Option<Self> {
        let tag = etag.map(plain).filter(|tag| !tag.is_empty());
        Self {
            tag: tag.map(fingerprint),
            changed_s: last_modified.and_then(seconds),
        }
        .known()
    }

    /// Reads what [`Self::to_bytes`] gives; `None` for zeros.
    pub fn from_bytes([a, b, c, d, e, f]: [u8; 6]) -> Option<Self> {
        Self {
            tag: NonZeroU16::new(u16::from_be_bytes([a, b])),
            changed_s: NonZeroU32::new(u32::from_be_bytes([c, d, e, f])),
        }
        .known()
    }

    /// The fingerprint and the time, each zeros where it is not known.
    pub fn to_bytes(self) -> [u8; 6] {
        let [a, b] = self.tag.map_or(0, NonZeroU16::get).to_be_bytes();
        let [c, d, e, f] = self.changed_s.map_or(0, NonZeroU32::get).to_be_bytes();
        [a, b, c, d, e, f]
    }

    fn known(self) -> Option<Self> {
        (self.tag.is_some() || self.changed_s.is_some()).then_some(self)
    }

    /// Whether the two cannot be one edition. What either does not know makes no difference.
    pub fn differs(&self, other: &Self) -> bool {
        self.differs_in_tag(other) || self.differs_in_time(other)
    }

    /// Whether both know their tags, and these differ.
    pub fn differs_in_tag(&self, other: &Self) -> bool {
        matches!((self.tag, other.tag), (Some(one), Some(two)) if one != two)
    }

    /// Whether both know their times, and these differ.
    pub fn differs_in_time(&self, other: &Self) -> bool {
        matches!((self.changed_s, other.changed_s), (Some(one), Some(two)) if one != two)
    }

    /// Whether both know the same tag, which a store makes from the bytes.
    pub fn has_tag_of(&self, other: &Self) -> bool {
        self.tag.is_some() && self.tag == other.tag
    }

    /// Whether both know a part of the same kind: only then can they be told apart.
    pub fn is_comparable(&self, other: &Self) -> bool {
        (self.tag.is_some() && other.tag.is_some())
            || (self.changed_s.is_some() && other.changed_s.is_some())
    }

    /// The time of the last change, if it is known.
    pub fn changed(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.changed_s?.get().into()).ok()
    }
}

fn plain(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.trim_matches('"')
}

fn fingerprint(tag: &str) -> NonZeroU16 {
    let digest = crc32fast::hash(tag.as_bytes());
    let folded = (digest >> 16) as u16 ^ digest as u16;
    NonZeroU16::new(folded).unwrap_or(NonZeroU16::MIN)
}

fn seconds(text: &str) -> Option<NonZeroU32> {
    let text = text.trim();
    let iso = text.parse::<Timestamp>().ok();
    let time = iso.or_else(|| DateTimeParser::new().parse_timestamp(text).ok())?;
    NonZeroU32::new(u32::try_from(time.as_second()).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listing_and_a_header_tell_the_same() {
        let listed = Version::of(Some("\"0af3\""), Some("2024-02-01T09:18:34.000Z")).unwrap();
        let served =
            Version::of(Some("W/\"0af3\""), Some("Thu, 01 Feb 2024 09:18:34 GMT")).unwrap();

        assert_eq!(listed, served);
        assert_eq!(
            listed.changed().unwrap().to_string(),
            "2024-02-01T09:18:34Z"
        );
    }

    #[test]
    fn what_tells_nothing_is_no_version() {
        for (etag, date) in [
            (None, None),
            (Some(""), Some("yesterday")),
            (Some("\"\""), Some("")),
            (Some("W/\"\""), Some("1969-12-31T23:59:59Z")),
        ] {
            assert_eq!(Version::of(etag, date), None, "{etag:?} {date:?}");
        }
    }

    fn versions() -> impl Strategy<Value = Option<Version>> {
        let dates = (0..=i64::from(u32::MAX)).prop_map(|second| {
            let time = Timestamp::from_second(second).expect("it is a time");
            time.to_string()
        });
        (of("[ -~]{0,40}"), of(dates))
            .prop_map(|(etag, date)| Version::of(etag.as_deref(), date.as_deref()))
    }

    proptest! {
        #[test]
        fn a_version_comes_back_from_its_bytes(version in versions(), bytes: [u8; 6]) {
            if let Some(version) = version {
                prop_assert_eq!(Version::from_bytes(version.to_bytes()), Some(version));
            }
            match Version::from_bytes(bytes) {
                Some(version) => prop_assert_eq!(version.to_bytes(), bytes),
                None => prop_assert_eq!(bytes, [0; 6]),
            }
        }

        #[test]
        fn any_text_is_read_or_passed_over(etag in ".{0,30}", date in ".{0,30}") {
            let _ = Version::of(Some(&etag), Some(&date));
        }

        #[test]
        fn differing_has_no_direction_and_needs_both_parts(one in versions(), two in versions()) {
            let (Some(one), Some(two)) = (one, two) else { return Ok(()) };
            prop_assert_eq!(one.differs(&two), two.differs(&one));
            prop_assert!(!one.differs(&one));
            prop_assert!(one.is_comparable(&one));
            prop_assert!(!one.differs(&two) || one.is_comparable(&two));
            prop_assert!(!(one.has_tag_of(&two) && one.differs_in_tag(&two)));
        }

        #[test]
        fn a_time_is_the_same_in_both_spellings(second in 1..=i64::from(u32::MAX)) {
            let time = Timestamp::from_second(second).expect("it is a time");
            let iso = time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
            let http = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let version = Version::of(None, Some(&iso));
            prop_assert_eq!(version, Version::of(None, Some(&http)));
            prop_assert_eq!(version.and_then(|version| version.changed()), Some(time));
        }
    }
}
