//! One segment of a path: checked, then percent-encoded where it is not plain.

use crate::error::{LakeError, Result};

/// The longest encoded segment in bytes. With a part's prefix and suffix it stays below the 255 of every file system.
pub(crate) const LONGEST_SEGMENT: usize = 160;

/// A name from outside as one path segment: `[A-Za-z0-9_.-]` as they are, every other byte as `%XX`.
///
/// A leading `.` or `_` is encoded as well: readers of datasets skip such files and folders.
pub(crate) fn encode(what: &'static str, name: &str) -> Result<String> {
    if let Some(problem) = problem(name) {
        return Err(refused(what, name, problem));
    }
    let mut segment = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        if is_plain(byte) && !(at == 0 && matches!(byte, b'.' | b'_')) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    if segment.len() > LONGEST_SEGMENT {
        return Err(refused(what, name, "it is too long"));
    }
    Ok(segment)
}

/// The name behind a segment; `None` unless `encode` would give exactly this segment.
pub(crate) fn decode(segment: &str) -> Option<String> {
    if segment.len() > LONGEST_SEGMENT {
        return None;
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else {
                return None;
            };
            bytes.push(hex(*high)? << 4 | hex(*low)?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (encode("name", &name).ok()? == segment).then_some(name)
}

pub(crate) fn refused(what: &'static str, name: &str, problem: &'static str) -> LakeError {
    LakeError::Name {
        what,
        name: name.chars().take(80).collect(),
        problem,
    }
}

fn problem(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it names a folder"),
        _ if name.len() > LONGEST_SEGMENT => Some("it is too long"),
        _ if name.contains(['/', '\\']) => Some("it contains a separator"),
        _ if name.chars().any(char::is_control) => Some("it contains a control character"),
        _ => None,
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Upper case only, so that every name has one spelling.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in [
            "BTCUSDT",
            "BTCUSD_PERP",
            "aggtrades_1m",
            "2024-01-17",
            "1000PEPE.x",
        ] {
            assert_eq!(encode("symbol", name).unwrap(), name);
            assert_eq!(decode(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_names_are_encoded_and_come_back() {
        for (name, segment) in [
            ("币安人生USDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"),
            ("A B", "A%20B"),
            ("50%", "50%25"),
            (".hidden", "%2Ehidden"),
            ("_catalogue", "%5Fcatalogue"),
            ("symbol=X", "symbol%3DX"),
        ] {
            assert_eq!(encode("symbol", name).unwrap(), segment);
            assert_eq!(decode(segment).as_deref(), Some(name));
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        let long = "A".repeat(LONGEST_SEGMENT + 1);
        let wide = "币".repeat(LONGEST_SEGMENT / 3);
        for name in ["", ".", "..", "a/b", "..\\b", "a\0b", "a\nb", &long, &wide] {
            let refused = encode("symbol", name);

            assert!(
                matches!(refused, Err(LakeError::Name { .. })),
                "{name:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_second_spelling_of_a_name_is_not_decoded() {
        for segment in [
            "%41",
            "%e5%b8%81",
            "%2",
            "%",
            "%FF",
            "A B",
            "",
            ".x",
            "%2F",
            "%2E%2E",
        ] {
            assert_eq!(decode(segment), None, "{segment}");
        }
    }
}
