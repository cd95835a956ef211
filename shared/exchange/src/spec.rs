//! What a task says of where its rows come from.

use std::fmt;

/// The task's rows are not read from the archive, but asked of the exchange: what of its period had ended by a time. As text
/// `rest 1714694400000`, or `live 1714694400000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestSpec {
    /// Milliseconds since 1970-01-01 UTC.
    pub closed_by_ms: i64,
    /// Whether what a collector captured of it goes before: the exchange is asked only for what that does not prove.
    pub captured_first: bool,
}

impl RestSpec {
    /// Reads a task's spec; `None` for a task of the archive.
    pub fn of(spec: &str) -> Option<Self> {
        let (way, time) = spec.split_once(' ')?;
        let captured_first = match way {
            "rest" => false,
            "live" => true,
            _ => return None,
        };
        Some(Self {
            closed_by_ms: time.parse().ok()?,
            captured_first,
        })
    }
}

impl fmt::Display for RestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.captured_first {
            false => "rest",
            true => "live",
        };
        write!(f, "{way} {}", self.closed_by_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_from_its_text() {
        for text in ["rest 1714694400000", "live 1714694400000"] {
            let spec = RestSpec::of(text).unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(spec.captured_first, text.starts_with("live"));
        }
        for text in ["", "days", "live", "rest x", "other 1", "rest 1 2"] {
            assert_eq!(RestSpec::of(text), None, "{text}");
        }
    }
}
