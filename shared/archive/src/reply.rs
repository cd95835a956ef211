//! What the headers of an answer say.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER,
};

use crate::{LONGEST_HOLD, Validator};

/// The `Content-Range` of a 206.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) total: Option<u64>,
}

/// A header's text; longer than any sane value counts as absent.
pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (value.len() <= 256).then(|| value.to_owned())
}

/// The declared size of the body.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.parse().ok()
}

/// What identifies the version of the file.
pub(crate) fn validator(headers: &HeaderMap) -> Option<Validator> {
    Validator::new(text(headers, &ETAG), text(headers, &LAST_MODIFIED))
}

/// `bytes 100-199/200`, or with `*` for an unknown total.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let value = text(headers, &CONTENT_RANGE)?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let range = ContentRange {
        first: first.trim().parse().ok()?,
        last: last.trim().parse().ok()?,
        total: match total.trim() {
            "*" => None,
            total => Some(total.parse().ok()?),
        },
    };
    let ordered = range.first <= range.last && range.total.is_none_or(|total| range.last < total);
    ordered.then_some(range)
}

/// The wait a `Retry-After` asks for: seconds, or a date (measured by the server's own clock where
/// it tells it). At most [`LONGEST_HOLD`].
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    named_wait(headers).map(|wait| wait.min(LONGEST_HOLD))
}

/// The wait that an answer names, in seconds or as a date, however long.
pub fn named_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long wait all the same.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(&value)?;
    let now = text(headers, &DATE)
        .and_then(|date| http_date(&date))
        .unwrap_or_else(Timestamp::now);
    let seconds = u64::try_from(until.as_second() - now.as_second()).unwrap_or(0);
    Some(Duration::from_secs(seconds))
}

/// An HTTP date as milliseconds since 1970-01-01 UTC.
pub fn date_ms(text: &str) -> Option<i64> {
    http_date(text).map(Timestamp::as_millisecond)
}

fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let waits = ["0", "7", "99999999999999999999999", "soon", "-1", ""]
            .map(|value| retry_after(&headers(&[(RETRY_AFTER, value)])).map(|wait| wait.as_secs()));
        assert_eq!(waits, [Some(0), Some(7), Some(3600), None, None, None]);

        let date = |until| {
            retry_after(&headers(&[
                (DATE, "Tue, 15 Nov 1994 08:12:00 GMT"),
                (RETRY_AFTER, until),
            ]))
        };
        let minute = date("Tue, 15 Nov 1994 08:13:00 GMT");
        assert_eq!(minute, Some(Duration::from_secs(60)));
        let past = date("Tue, 15 Nov 1994 08:00:00 GMT");
        assert_eq!(past, Some(Duration::ZERO));
    }

    #[test]
    fn content_ranges_that_contradict_themselves_are_none() {
        let read = |value| content_range(&headers(&[(CONTENT_RANGE, value)]));

        assert_eq!(
            read("bytes 100-199/200"),
            Some(ContentRange {
                first: 100,
                last: 199,
                total: Some(200)
            })
        );
        assert!(read("bytes 100-199/*").is_some());
        for bad in [
            "bytes */200",
            "bytes 100-99/200",
            "bytes 0-200/200",
            "items 0-1/2",
            "x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
